"""Robustness: how much an explanation changes when the input hardly changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..cuts import OUTPUT, CutLike
from ..engine.verbs import activation
from ..errors import InputError
from ..tree import walk
from ..utils.record_layout import has_channels_last
from .base import Evaluation, Metric, Needs, check_choice, check_settings
from .copies import as_call_of, explain_copies
from .records import Records
from .scores import Direction

REDUCE: dict[str, Callable[..., Any]] = {"max": np.nanmax, "mean": np.nanmean}


@dataclass(frozen=True, repr=False)
class Neighbourhood(Metric):
    """The base of metrics over uniform draws within ``radius`` of each element of the inputs.

    ``samples`` is the number of draws, ``reduce`` the statistic over them, "max" or "mean". A method is needed, such as ``asc.Saliency()``;
    predicted classes are those of the original records.
    """

    radius: float = 0.02
    samples: int = 10
    reduce: Literal["max", "mean"] = "max"

    family = "robustness"
    direction: ClassVar[Direction] = "lower"
    needs: ClassVar[tuple[Needs, ...]] = ("method",)
    cost = "the explanation, samples + 1 times"

    def __post_init__(self) -> None:
        check_settings(self, radius=0, samples=1)
        check_choice(self, "reduce", REDUCE)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        before = evaluation.flat_values()
        with evaluation.open_records() as records:
            copies = self.neighbours(evaluation, records)
            after = explain_copies(evaluation, records, copies)
            ratios = self.ratios(evaluation, records, copies, before, after)
        undefined = np.isnan(ratios).all(0)
        evaluation.note_undefined(undefined, "the predicted class is another one in every draw")
        return np.where(undefined, np.nan, REDUCE[self.reduce](np.where(undefined, 0.0, ratios), axis=0))

    def neighbours(self, evaluation: Evaluation, records: Records) -> list[list[Array]]:
        """Returns the changed inputs of each draw."""
        uniform, shapes = evaluation.random.uniform, [tuple(x.shape) for x in records.x]
        noise = [[uniform(-self.radius, self.radius, shape) for shape in shapes] for _ in range(self.samples)]
        return [[x + namespace(x).asarray(e, x) for x, e in zip(records.x, draw, strict=True)] for draw in noise]

    def ratios(
        self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]], before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Returns a number for each draw and record, ``[draws, records]``; NaN for draws that do not count."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Sensitivity(Neighbourhood):
    """The largest (or mean) relative change of an explanation over inputs within ``radius`` of each element: 0 is best.

    *Use it when* you ask whether an explanation is stable. A score of 1 says that the explanation changes by its own norm. It needs a
    method, such as ``asc.Saliency()``; predicted classes are those of the original records.

    ``norm`` is the order of the norm; other fields as in :class:`Neighbourhood`. Cost: the explanation, once more for each of ``samples``
    uniform draws. Raises InputError for fewer than one sample, and for an Attribution in place of a method.
    """

    norm: float = 2.0

    formula = "max over x' of |a(x') - a(x)| / |a(x)|"
    weakness = "A constant explanation is best; it says nothing about the model."
    source = 'Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392, definition 3.1'

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, norm=0)

    def ratios(
        self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]], before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return np.stack([change_of_norm(before, a, self.norm) for a in after])


def change_of_norm(before: np.ndarray, after: np.ndarray, norm: float) -> np.ndarray:
    """Returns the norm of each row's change over the norm of the row; the norm of the change where the row is zero."""
    size = np.linalg.norm(before, ord=norm, axis=1)
    return np.asarray(np.linalg.norm(after - before, ord=norm, axis=1) / np.where(size > 0, size, 1.0))


@dataclass(frozen=True, repr=False)
class LipschitzEstimate(Neighbourhood):
    """The largest change of an explanation for each unit of change of the input, over inputs nearby: 0 is best.

    *Use it when* you compare the stability of one method on several models or records in the unit of the values. To compare methods take
    ``Sensitivity``, which is relative. Fields as in :class:`Neighbourhood`.
    """

    formula = "max over x' of |a(x') - a(x)| / |x' - x|"
    weakness = "In the unit of the values: methods with small values seem stable. A constant explanation is best."
    source = 'Alvarez-Melis and Jaakkola 2018a, "On the Robustness of Interpretability Methods", arXiv:1806.08049'
    unit_free = False

    def ratios(
        self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]], before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return np.asarray(np.linalg.norm(after - before, axis=2) / distances(records, copies))


def distances(records: Records, copies: Sequence[Sequence[Array]]) -> np.ndarray:
    """Returns the Euclidean distances of changed inputs from the records, ``[copies, records]``; tiny where nothing changed."""
    return np.maximum(np.linalg.norm(changes(records, copies), axis=2), np.finfo(np.float64).tiny)


def changes(records: Records, copies: Sequence[Sequence[Array]]) -> np.ndarray:
    """Returns the changes of the inputs, ``[copies, records, elements]``."""
    before = flat_inputs(records.x)
    return np.stack([flat_inputs(copy) - before for copy in copies])


def flat_inputs(arrays: Sequence[Array]) -> np.ndarray:
    """Returns the inputs as ``[records, elements]``."""
    return np.concatenate([as_numpy(x).astype(np.float64).reshape(len(x), -1) for x in arrays], 1)


LEAST = 1e-3
"""The smallest denominator, as a share of the largest number of a record: elements near zero would decide the ratio alone."""


def relative_change(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Returns ``(after - before) / before`` for each element, with a smallest size of the denominators."""
    least = LEAST * np.abs(before).max(-1, keepdims=True) + np.finfo(np.float64).tiny
    return np.asarray((after - before) / np.where(np.abs(before) < least, np.where(before < 0, -least, least), before))


@dataclass(frozen=True, repr=False)
class RelativeInputStability(Neighbourhood):
    """The largest relative change of an explanation for the relative change of the input, over inputs with the same predicted class.

    *Use it when* inputs have features of several scales: the changes of each are relative to its own size. 0 is best. NaN for a record
    whose predicted class changes in every draw. Fields as in :class:`Neighbourhood`; denominators are at least a thousandth of the record's
    largest number.
    """

    formula = "max over x' of |(a(x') - a(x)) / a(x)| / |(x' - x) / x|"
    weakness = "Elements near zero decide the ratio. A constant explanation is best."
    source = 'Agarwal et al. 2022, "Rethinking Stability for Attribution-based Explanations", arXiv:2203.06877, equation 2'

    def ratios(
        self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]], before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        top = np.linalg.norm(relative_change(after, before), axis=2)
        outputs = self.outputs(evaluation, records, copies)
        found = top / np.maximum(self.bottom(records, copies, outputs), LEAST)
        return np.where(outputs.argmax(2)[1:] == outputs.argmax(2)[0], found, np.nan)

    def bottom(self, records: Records, copies: Sequence[Sequence[Array]], outputs: np.ndarray) -> np.ndarray:
        """Returns the denominators, ``[draws, records]``."""
        x = flat_inputs(records.x)
        return np.asarray(np.linalg.norm(relative_change(x + changes(records, copies), x), axis=2))

    def outputs(self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]]) -> np.ndarray:
        """Returns the model's outputs at the records, and at each draw: ``[1 + draws, records, classes]``."""
        calls = [records.session.call, *(as_call_of(records, copy) for copy in copies)]
        evaluation.evaluations += len(calls) * len(records)
        return np.stack([output_rows(evaluation, call) for call in calls])


@dataclass(frozen=True, repr=False)
class RelativeOutputStability(RelativeInputStability):
    """The largest relative change of an explanation for the change of the model's output, over inputs with the same predicted class.

    *Use it when* the model itself may be unstable: an explanation may change where the output does. 0 is best. Fields as in
    :class:`Neighbourhood`.
    """

    formula = "max over x' of |(a(x') - a(x)) / a(x)| / |f(x') - f(x)|"
    source = 'Agarwal et al. 2022, "Rethinking Stability for Attribution-based Explanations", arXiv:2203.06877, equation 5'

    def bottom(self, records: Records, copies: Sequence[Sequence[Array]], outputs: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(outputs[1:] - outputs[0], axis=2))


@dataclass(frozen=True, repr=False)
class RelativeRepresentationStability(RelativeInputStability):
    """The largest relative change of an explanation for the relative change of a layer, over inputs with the same predicted class.

    *Use it when* you ask whether an explanation follows what the model makes of the input. ``at`` is the layer. 0 is best. Other fields as
    in :class:`Neighbourhood`.
    """

    at: CutLike | None = None

    formula = "max over x' of |(a(x') - a(x)) / a(x)| / |(h(x') - h(x)) / h(x)|"
    needs = ("method", "layers")
    source = 'Agarwal et al. 2022, "Rethinking Stability for Attribution-based Explanations", arXiv:2203.06877, equation 3'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at is None:
            advice = 'at="layer3"; asc.cuts_of(model, *args) lists the layers'
            raise InputError("`RelativeRepresentationStability` needs a layer", found="at=None", advice=advice)

    def ratios(
        self, evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]], before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        top = np.linalg.norm(relative_change(after, before), axis=2)
        outputs = self.outputs(evaluation, records, copies)
        calls = [records.session.call, *(as_call_of(records, copy) for copy in copies)]
        layer = np.stack([layer_rows(evaluation, call, self.at) for call in calls])
        found = top / np.maximum(np.linalg.norm(relative_change(layer[1:], layer[0]), axis=2), LEAST)
        return np.where(outputs.argmax(2)[1:] == outputs.argmax(2)[0], found, np.nan)


@dataclass(frozen=True, repr=False)
class Continuity(Metric):
    """The largest change of an explanation for each unit of change of the input, while images are shifted sideways: 0 is best.

    *Use it when* you ask whether a map moves smoothly with the image. ``steps`` shifts of ``pixels`` each; what comes in is zero. Images
    and series only; ``layout`` as in ``asc.Grid``.
    """

    steps: int = 5
    pixels: int = 1
    layout: Literal["NCHW", "NHWC"] | None = None

    family = "robustness"
    direction: ClassVar[Direction] = "lower"
    formula = "max over shifts of |a(x') - a(x)|_1 / |x' - x|_2"
    cost = "the explanation, steps + 1 times"
    needs = ("method",)
    weakness = "In the unit of the values; a constant explanation is best."
    source = 'Montavon et al. 2018, "Methods for Interpreting and Understanding Deep Neural Networks", arXiv:1706.07979, section 7.1'
    unit_free = False

    def __post_init__(self) -> None:
        check_settings(self, steps=1, pixels=1)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        before = evaluation.flat_values()
        with evaluation.open_records() as records:
            copies = [[self.shifted(x, k * self.pixels) for x in records.x] for k in range(1, self.steps + 1)]
            after = explain_copies(evaluation, records, copies)
            return np.asarray((np.abs(after - before).sum(2) / distances(records, copies)).max(0))

    def shifted(self, x: Array, by: int) -> Array:
        """Returns images shifted along their last spatial axis. Raises InputError for records without one."""
        if x.ndim < 3:
            there = f"records of shape {tuple(x.shape[1:])}"
            raise InputError("`Continuity` shifts images and series", found=there, advice="metrics.LipschitzEstimate()")
        axis = x.ndim - 2 if has_channels_last(tuple(x.shape[1:]), self.layout) else x.ndim - 1
        moved = np.roll(as_numpy(x), by, axis)
        moved[(slice(None),) * axis + (slice(0, by),)] = 0
        return namespace(x).asarray(moved, x)


def output_rows(evaluation: Evaluation, call: Any) -> np.ndarray:
    """Returns the model's output as ``[records, numbers]``."""
    return layer_rows(evaluation, call, None)


def layer_rows(evaluation: Evaluation, call: Any, at: CutLike | None) -> np.ndarray:
    """Returns the value of a layer, or the output, as ``[records, numbers]``."""
    found = activation(evaluation.model, call, at=OUTPUT if at is None else at)
    return np.concatenate([as_numpy(a).astype(np.float64).reshape(len(a), -1) for a in leaves_of(found)], 1)


def leaves_of(value: Any) -> list[Array]:
    """Returns the floating-point arrays of a value with a row for each record."""
    leaves = [leaf for _, leaf in walk(getattr(value, "values", value)) if leaf is not None and getattr(leaf, "ndim", 0) > 0]
    return [leaf for leaf in leaves if as_numpy(leaf[:0]).dtype.kind == "f"]
