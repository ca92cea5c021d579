"""A call of captum's ``attribute`` in ascribe's terms, and how it is executed and formatted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....calls.call import Call
from ....cuts import INPUT, OUTPUT, Cut
from ....distributions.draws import Distribution
from ....engine.chunks import ProgressOption
from ....engine.request import Combine, make_request
from ....engine.run import explain
from ....engine.verbs import activation
from ....errors import InputError
from ....quantities import Bound, Part, Quantity, select_scores
from ....result.attribution import Attribution as Result
from ....rules import Rule
from ....tree import walk
from .inputs import CaptumInputs, repeat_rows
from .progress import CaptumProgress
from .targets import repeat_quantity

IGNORED_GRAD_KWARGS = ("allow_unused", "materialize_grads", "retain_graph")
"""Entries of ``grad_kwargs`` that make no difference: inputs that the output does not depend on always get zeros."""


@dataclass(frozen=True)
class CaptumCall:
    """A call of ``attribute`` with its arguments translated: the model, its inputs, the quantity ``of`` and the cut ``at``.

    ``at`` is a cut, or a list of cuts. ``options`` are the remaining arguments by their captum names. ``output_dtype`` is the dtype of
    the model's output where it differs from the one that the quantity reads.
    """

    model: Any
    inputs: CaptumInputs
    extra_args: tuple[Any, ...]
    extra_kwargs: Mapping[str, Any]
    of: Any
    at: Any
    multiply: bool
    options: Mapping[str, Any]
    output_dtype: torch.dtype | None = None

    def __getitem__(self, option: str) -> Any:
        """Returns an option as the caller passed it; None if the class has no such option."""
        return self.options.get(option)

    @property
    def model_call(self) -> Call:
        """The arguments that the model is called with."""
        return self.inputs.make_call(self.extra_args, self.extra_kwargs)

    @property
    def progress(self) -> ProgressOption:
        """The progress line, or False if ``show_progress`` is off."""
        return partial(CaptumProgress, f"{self['name']} attribution") if self["show_progress"] else False

    @property
    def at_layer(self) -> bool:
        """True if the attribution is at a layer."""
        return self.at is not INPUT

    def attribute(
        self,
        over: Distribution | None = None,
        by: Rule | None = None,
        *,
        multiply: bool | None = None,
        of: Quantity | None = None,
        at: Any = None,
        seed: int = 0,
        combine: Combine | None = None,
    ) -> Result:
        """Computes the attribution over points; arguments that are None come from the call."""
        request = make_request(
            self.of if of is None else of,
            self.at if at is None else at,
            over,
            by,
            multiply=self.multiply if multiply is None else multiply,
            seed=seed,
            progress=self.progress,
            combine=combine,
            most=self["internal_batch_size"],
            bare=not self["return_convergence_delta"],
        )
        return explain(self.model, self.model_call, request)

    def attribute_coalitions(self, over: Any, by: Any, features: Any, *, at: Any = None, seed: int = 0) -> tuple[Result, torch.dtype]:
        """Computes the attribution over coalitions of features. Returns it with the dtype of the model's output.

        ``perturbations_per_eval`` above 1 limits the rows of one forward pass.
        """
        many = isinstance(self.of, list)
        recorders = [DtypeRecorder(of) for of in (self.of if many else [self.of])]
        each = self["perturbations_per_eval"] or 1
        most = each * self.inputs.records if each > 1 else None
        of, at = recorders if many else recorders[0], self.at if at is None else at
        request = make_request(of, at, over, by, features, seed=seed, progress=self.progress, most=most)
        return explain(self.model, self.model_call, request), self.output_dtype or recorders[0].dtypes[-1]

    def format_values(self, values: Any) -> Any:
        """Returns ascribe's values in captum's structure: that of the inputs, of the layer's value, or a list for several layers.

        Raises InputError if an input has no attribution: integers passed together with floating-point inputs.
        """
        if isinstance(self.at, list):
            return [to_tuples(v) for v in values]
        if self.at is not INPUT:
            return to_tuples(values)
        arrays = [leaf for _, leaf in walk(values)]
        if not any(t.is_floating_point() for t in self.inputs.tensors):  # token ids: explained at their embeddings
            return arrays[0] if self.inputs.single else tuple(arrays)
        if len(arrays) != len(self.inputs.tensors):
            there = ", ".join(f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in self.inputs.tensors)
            raise InputError(
                "Integer inputs have no attribution next to floating-point inputs",
                found=there,
                advice="additional_forward_args=(ids,), with the integers there",
            )
        return self.inputs.pack(arrays)

    def repeat_records(self, times: int) -> CaptumCall:
        """Returns the call with every record repeated ``times`` times, its copies one after the other."""
        n = self.inputs.records
        inputs = replace(self.inputs, tensors=repeat_rows(self.inputs.tensors, times, n))
        kwargs = {key: repeat_rows(value, times, n) for key, value in self.extra_kwargs.items()}
        args = repeat_rows(self.extra_args, times, n)
        return replace(self, inputs=inputs, extra_args=args, extra_kwargs=kwargs, of=repeat_quantity(self.of, times))

    def with_options(self, **options: Any) -> CaptumCall:
        """Returns the call with other options."""
        return replace(self, options={**self.options, **options})

    def with_inputs(self, tensors: Sequence[Tensor]) -> CaptumCall:
        """Returns the call with other input tensors."""
        return replace(self, inputs=replace(self.inputs, tensors=tuple(tensors)))


class DtypeRecorder:
    """A quantity that records the dtype of the values that it is read from."""

    def __init__(self, of: Quantity) -> None:
        self.of, self.dtypes = of, [torch.get_default_dtype()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def __repr__(self) -> str:
        return repr(self.of)

    @property
    def on(self) -> Cut:
        """The cut that the quantity is read at."""
        return self.of.on

    @property
    def kind(self) -> Any:
        """A key that is equal for quantities that treat rows alike."""
        return getattr(self.of, "kind", type(self.of))

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        """Binds the quantity and records the dtype of ``y``."""
        dtype = getattr(y, "dtype", None)
        self.dtypes += [dtype] if isinstance(dtype, torch.dtype) else []
        return self.of.bind(y, names, part)


def to_tuples(value: Any) -> Any:
    """Returns a layer's value with every container as a tuple, as captum returns it."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return tuple(to_tuples(v) for v in value)
    return value


def compute_change(call: CaptumCall, start: Sequence[Tensor], end: Sequence[Tensor]) -> Tensor:
    """Returns the quantity at the inputs ``end`` minus that at ``start``, ``[records]``. Two forward passes."""
    return evaluate_quantity(call.with_inputs(end)) - evaluate_quantity(call.with_inputs(start))


def evaluate_quantity(call: CaptumCall) -> Tensor:
    """Returns the quantity of every record, ``[records]``. One forward pass without gradients."""
    y = select_scores(activation(call.model, call.model_call, at=OUTPUT).values, call.of)
    found = call.of.bind(y)(y)
    assert isinstance(found, Tensor)
    return found


def sum_per_record(values: Any) -> Tensor:
    """Returns the sum of the values of each record, ``[records]``."""
    parts = [leaf.reshape(len(leaf), -1).sum(1) for _, leaf in walk(values)]
    return torch.stack(parts).sum(0)


def make_baselines(call: CaptumCall, baselines: Any) -> list[Tensor]:
    """Returns ``baselines`` as one tensor ``[1 or records, ...]`` for each input. Raises InputError if their numbers differ."""
    if isinstance(baselines, Mapping):
        baselines = tuple(baselines[name] for name in call.inputs.names)
    many = 1 if isinstance(baselines, Tensor) else len(call.inputs.tensors)
    each = baselines if isinstance(baselines, (tuple, list)) else (baselines,) * many
    if len(each) != len(call.inputs.tensors):
        there, advice = f"{len(each)} baselines for {len(call.inputs.tensors)} inputs", "baselines=(0.0, 0.0), one baseline for each input"
        raise InputError("The number of baselines differs from the number of inputs", found=there, advice=advice)
    return [make_baseline(x, 0 if b is None else b) for x, b in zip(call.inputs.tensors, each, strict=True)]


def make_baseline(x: Tensor, baseline: Any) -> Tensor:
    """Returns the baseline of one input with a batch dimension; a number fills a row. Raises InputError for other types."""
    try:
        start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        there = f"a baseline of type {type(baseline).__name__}"
        raise InputError(
            "A baseline must be a number or a tensor", found=there, advice="baselines=0.0, or a tensor of the input's shape"
        ) from error
    if not start.ndim:
        return torch.full_like(x[:1], start.item())
    return start[None] if start.ndim == x.ndim - 1 else start


def draw_seed() -> int:
    """Returns a seed drawn from PyTorch's generator: ``torch.manual_seed`` decides, and two calls draw anew, as in captum."""
    return int(torch.randint(2**31 - 1, ()))
