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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array, as_numpy
from ..calls.call import Call
from ..engine.request import as_call
from ..errors import InputError
from ..quantities import Labels
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution, Check
from ..tree import walk
from ..utils.entry import entry
from ..utils.recipe import Recipe
from .records import Records, open_records
from .scores import Direction, Scores

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
        """The values of the explanation, one array for each explained input."""
        explained = self.explained
        held = explained if not callable(explained) and not isinstance(explained, Attribution) else self.attribution.values
        return [leaf for _, leaf in walk(held)]

    @cached_property
    def attribution(self) -> Attribution:
        """The attribution that is judged; a method is called once."""
        if isinstance(self.explained, Attribution):
            return self.explained
        return self._explain(self.call, self.of)

    def explain_again(self, call: Call) -> Attribution:
        """Returns the method's explanation of another call, for the same quantity: predicted classes are those of the judged call."""
        target = self.attribution.target
        return self._explain(call, Labels(tuple(map(int, target))) if self.of is None and target is not None else self.of)

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

    def _explain(self, call: Call, of: QuantityLike) -> Attribution:
        if not callable(self.explained):
            raise InputError(
                "This metric explains other inputs too, so it needs a method and not its result",
                found=type(self.explained).__name__,
                advice="metric(asc.Saliency(), model, x)",
            )
        a: Attribution = self.explained(self.model, call, of=of)
        self.evaluations += a.cost.rows if a.cost is not None else 0
        return a


class Metric(Recipe):
    """A metric of explanations: one number for each record.

    A class that extends it is a frozen dataclass with ``score``. ``direction`` says whether lower or higher numbers are better.
    """

    direction: ClassVar[Direction] = "lower"

    @entry
    def __call__(
        self,
        explained: Explained,
        model: Any,
        *args: Any,
        of: QuantityLike = None,
        seed: int = 0,
        chunk: int | None = None,
        **kwargs: Any,
    ) -> Scores:
        """Judge an explanation of a call of the model, ``model(*args, **kwargs)``.

        ``explained`` is a method, an Attribution of this call, or arrays with the shapes of the inputs. ``of`` is the quantity that it
        explains; the other arguments are those of a method. Raises InputError for values that do not have the shapes of the inputs, or for
        a result where the metric needs a method, and QuantityError for several quantities.
        """
        evaluation = Evaluation(explained, model, as_call(args, kwargs), of, seed, chunk)
        values = np.asarray(self.score(evaluation))
        return Scores(values, self.direction, repr(self), evaluation.evaluations, tuple(evaluation.checks))

    def score(self, evaluation: Evaluation) -> np.ndarray:
        """Returns one number for each record, ``[records]``."""
        raise NotImplementedError


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
