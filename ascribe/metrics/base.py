"""The base class of metrics, and the evaluation that a metric is given.

A metric is a value that is called with a method or an attribution, the model and its arguments. A metric of your own is a frozen
dataclass with :meth:`Metric.score`:

>>> from dataclasses import dataclass
>>> import numpy as np
>>> from ascribe.metrics import Metric
>>> @dataclass(frozen=True, repr=False)
... class LargestShare(Metric):
...     '''The share of the largest value of a record in the sum of absolute values.'''
...     def score(self, evaluation):
...         sizes = np.abs(evaluation.flat_values())
...         return sizes.max(1) / sizes.sum(1)
>>> LargestShare()(asc.Saliency(), model, x, of=1).values.shape
(3,)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from ..arrays import Array, as_numpy, is_array
from ..calls.call import Call
from ..cuts import INPUT, CutLike
from ..engine.request import as_call
from ..errors import InputError
from ..features.coordinates import FeaturesLike
from ..quantities import Labels
from ..quantities.parse import QuantityLike
from ..removal.base import RemovalLike
from ..result.attribution import Attribution, Check
from ..tree import Path, walk
from ..utils.entry import entry
from ..utils.intervals import interval_of_mean
from ..utils.recipe import Recipe
from .controls import CONTROLS
from .records import Records, open_records
from .removed import RemovedFeatures, open_features
from .scores import Curve, Direction, Scores

Explained = Callable[..., Attribution] | Attribution | Any
"""What a metric judges: a method (any function that is called as one), an Attribution, or arrays with the shapes of the inputs."""


class Evaluation:
    """One explained call that a metric judges: the explanation, the model and its records, and a count of the rows that were run."""

    def __init__(self, explained: Explained, model: Any, call: Call, of: QuantityLike, seed: int, chunk: int | None) -> None:
        self.explained, self.model, self.call, self.of, self.seed, self.chunk = explained, model, call, of, seed, chunk
        self.random = np.random.default_rng(seed)
        self.evaluations = 0
        self.checks: list[Check] = []

    @cached_property
    def values(self) -> list[Array]:
        """The values of the explanation, one array for each explained input. Raises InputError for values that are not finite."""
        explained = self.explained
        held = explained if not callable(explained) and not isinstance(explained, Attribution) else self.attribution.values
        values = [leaf for _, leaf in walk(held) if leaf is not None]
        flat = flatten_records(values)
        if wrong := np.flatnonzero(~np.isfinite(flat).all(1)).tolist():
            advice = "a.show(), whose checks say where the numbers come from"
            raise InputError("The values to judge are not finite", found=f"NaN or infinity in records {wrong[:8]}", advice=advice)
        return values

    @cached_property
    def attribution(self) -> Attribution:
        """The attribution that is judged; a method is called once."""
        if isinstance(self.explained, Attribution):
            return self.explained
        return self._explain(self.call, self.of)

    def explain_again(self, call: Call, of: QuantityLike = None, model: Any = None) -> Attribution:
        """Returns the method's explanation of another call, or of another model.

        The quantity is the same, with the predicted classes of the judged call, unless ``of`` is another.
        """
        target = self.attribution.target
        same = Labels(tuple(map(int, target))) if self.of is None and target is not None else self.of
        return self._explain(call, same if of is None else of, model)

    def inputs(self) -> list[tuple[Path, Array]]:
        """Returns the arrays among the arguments of the call, with their paths."""
        return [(path, leaf) for path, leaf in walk((self.call.args, self.call.kwargs)) if is_array(leaf)]

    @cached_property
    def takes_ids(self) -> bool:
        """True if the first array among the arguments holds token ids: integers ``[records, tokens]``."""
        first = next((leaf for _, leaf in self.inputs()), None)
        return first is not None and len(first.shape) == 2 and as_numpy(first[:0]).dtype.kind in "iu"

    def predicted_classes(self) -> np.ndarray:
        """Returns the predicted class of each record."""
        with open_records(self.model, self.call, None) as records:
            self.evaluations += records.evaluations
            classes = records.bound.classes()
        assert classes is not None
        return classes[0]

    def flat_values(self) -> np.ndarray:
        """Returns the values as ``[records, elements]``."""
        return flatten_records(self.values)

    @contextmanager
    def open_records(self) -> Iterator[Records]:
        """Opens the model at the records of the call. Raises QuantityError for several quantities."""
        with open_records(self.model, self.call, self.of) as records:
            try:
                yield records
            finally:
                self.evaluations += records.evaluations

    @contextmanager
    def open_features(self, by: RemovalLike = None, features: FeaturesLike = None, at: CutLike = INPUT) -> Iterator[RemovedFeatures]:
        """Opens the model at the records of the call with their features, to remove some of them."""
        seed, chunk = self.seed, self.chunk
        with open_features(self.model, self.call, self.of, by=by, features=features, at=at, seed=seed, chunk=chunk) as removed:
            try:
                yield removed
            finally:
                self.evaluations += removed.evaluations

    def note_undefined(self, where: np.ndarray, why: str) -> None:
        """Adds a check that names the records, a mask ``[records]``, for which the metric has no number."""
        if where.any():
            found = tuple(np.flatnonzero(where).tolist())
            self.checks.append(Check("undefined", "warn", f"{len(found)} of {len(where)} records have no score: {why}", found))

    def _explain(self, call: Call, of: QuantityLike, model: Any = None) -> Attribution:
        if not callable(self.explained):
            raise InputError(
                "This metric explains other inputs too, so it needs a method and not its result",
                found=type(self.explained).__name__,
                advice="metric(asc.Saliency(), model, x)",
            )
        a: Attribution = self.explained(self.model if model is None else model, call, of=of)
        self.evaluations += a.cost.rows if a.cost is not None else 0
        return a


@dataclass(frozen=True, eq=False)
class Measured:
    """What ``score`` may return in place of bare numbers: the numbers, the curves that they come from, and parts by replacement."""

    values: np.ndarray
    curves: Mapping[str, Curve] = field(default_factory=dict)
    parts: Mapping[str, Measured] = field(default_factory=dict)


Family = Literal["faithfulness", "robustness", "randomisation", "complexity", "localisation", "axioms"]
"""What a metric judges: whether values follow the model (faithfulness), stay similar for similar inputs (robustness), change with the
model's weights or the class (randomisation), are few (complexity), lie where they should (localisation), or keep an axiom."""
Needs = Literal["method", "gradient", "mask", "labels", "layers", "weights", "training"]
"""Something that a metric requires: a method in place of its result, a gradient, masks of the right regions, labels, named layers, weights
that can be changed, or a function that trains the model."""


class Metric(Recipe):
    """A metric of explanations: one number for each record.

    A class that extends it is a frozen dataclass with ``score``. ``direction`` says whether lower or higher numbers are better. The
    other class attributes are the facts of docs/metrics.md: the ``family``, the ``formula``, the ``cost`` in passes, what it ``needs``,
    its known ``weakness`` and the ``source``. ``unit_free`` is False where the number depends on the unit of the values, so that methods
    with values of different units cannot be compared by it.
    """

    direction: ClassVar[Direction] = "lower"
    family: ClassVar[Family] = "faithfulness"
    formula: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    needs: ClassVar[tuple[Needs, ...]] = ()
    weakness: ClassVar[str] = ""
    source: ClassVar[str] = ""
    unit_free: ClassVar[bool] = True

    def without_units(self) -> Metric | None:
        """Returns the form of this metric that does not depend on the unit of the values, None where there is none."""
        return self if self.unit_free else None

    @entry
    def __call__(
        self,
        explained: Explained,
        model: Any,
        *args: Any,
        of: QuantityLike = None,
        seed: int = 0,
        chunk: int | None = None,
        controls: bool = False,
        **kwargs: Any,
    ) -> Scores:
        """Judge an explanation of a call of the model, ``model(*args, **kwargs)``.

        ``explained`` is a method, an Attribution of this call, or arrays with the shapes of the inputs. ``of`` is the quantity that it
        explains; the other arguments are those of a method. ``controls`` also judges random and constant values, and adds a check that
        says whether the explanation is better than these. Raises InputError for values that are not finite or do not have the shapes of
        the inputs, or for a result where the metric needs a method, and QuantityError for several quantities.
        """
        call = as_call(args, kwargs)
        scores = self.judge(Evaluation(explained, model, call, of, seed, chunk))
        if controls:
            others = {type(one).__name__: self.judge(Evaluation(one, model, call, of, seed, chunk)) for one in CONTROLS}
            scores = compare_with_controls(scores, others)
        return scores

    def judge(self, evaluation: Evaluation) -> Scores:
        """Returns the scores of one evaluation."""
        found = self.score(evaluation)
        measured = found if isinstance(found, Measured) else Measured(np.asarray(found))
        checks, rows = tuple(evaluation.checks), evaluation.evaluations
        parts = {name: Scores(part.values, self.direction, repr(self), 0, (), part.curves) for name, part in measured.parts.items()}
        return Scores(measured.values, self.direction, repr(self), rows, checks, measured.curves, parts)

    def score(self, evaluation: Evaluation) -> np.ndarray | Measured:
        """Returns one number for each record, ``[records]``."""
        raise NotImplementedError


def compare_with_controls(scores: Scores, controls: Mapping[str, Scores]) -> Scores:
    """Returns scores with a check that says which controls do as well: those whose paired interval includes no difference."""
    sign = 1.0 if scores.direction == "higher" else -1.0
    defined = {name: one for name, one in controls.items() if not np.isnan(one.mean)}
    gains = {name: interval_of_mean(sign * (scores.values - one.values))[0] for name, one in defined.items()}
    equal = [f"{name} {defined[name].mean:.3g}" for name, low in gains.items() if not low > 0]
    detail = f"as good by this metric: {', '.join(equal)}, against {scores.mean:.3g}" if equal else f"better than {', '.join(defined)}"
    check = Check("controls", "warn" if equal else "ok", detail)
    return replace(scores, checks=(*scores.checks, check), evaluations=scores.evaluations + sum(c.evaluations for c in controls.values()))


def flatten_records(arrays: Sequence[Array]) -> np.ndarray:
    """Returns arrays ``[records, ...]`` next to each other as ``[records, elements]``."""
    return np.concatenate([as_numpy(a).astype(np.float64).reshape(len(a), -1) for a in arrays], 1)


def check_settings(metric: Metric, **smallest: float) -> None:
    """Raises InputError for a setting of a metric that is no number, or smaller than its smallest sensible value."""
    for name, least in smallest.items():
        value = getattr(metric, name)
        if not isinstance(value, (int, float, np.number)) or not value >= least:
            problem = f"`{name}=` of `{type(metric).__name__}` must be a number >= {least}"
            raise InputError(problem, found=f"{name}={value!r}", advice=f"{name}={getattr(type(metric), name, least)!r}")


def check_choice(metric: Metric, name: str, choices: Collection[str]) -> None:
    """Raises InputError for a setting of a metric that is none of the choices."""
    if (value := getattr(metric, name)) not in choices:
        problem = f"`{name}=` of `{type(metric).__name__}` must be {' or '.join(map(repr, choices))}"
        raise InputError(problem, found=f"{name}={value!r}", advice=f"{name}={getattr(type(metric), name, next(iter(choices)))!r}")
