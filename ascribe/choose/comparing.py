"""Methods compared by metrics on the same records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import AscribeError, InputError
from ..metrics import Curve, Metric, RelevanceGain, Scores
from ..metrics.base import Evaluation
from ..metrics.controls import CONTROLS
from ..metrics.infidelity import holds_distance
from ..metrics.removed import open_features
from ..metrics.similarity import spearman
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution, Check
from ..utils.entry import entry
from .batches import Batch, batches_of
from .comparison import Comparison, MethodRow
from .progress import Steps

Methods = Sequence[Any] | Mapping[str, Any]
EXAMPLES = 6
"""The number of records whose explanations are kept for pictures."""
NOT_PAID = "not measured: the budget was spent"


@entry
def compare(
    model: Any,
    *inputs: Any,
    methods: Methods,
    metrics: Sequence[Metric] | Mapping[str, Metric] | Metric | None = None,
    of: QuantityLike = None,
    controls: bool = True,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | None = None,
    **kwargs: Any,
) -> Comparison:
    """Returns how well several methods explain the same records, by several metrics, with intervals and ranks.

    >>> c = asc.compare(model, x, methods=[asc.Saliency(), asc.IntegratedGradients()], of=1)
    >>> c.best()
    'IntegratedGradients()'

    *Use it when* you must choose a method, and want to show why. :func:`recommend` also proposes the methods.

    ``inputs`` and ``kwargs`` are the model's arguments; a single iterable of batches (a list, a DataLoader) is read one batch after the
    other, and only the scores are kept. ``methods`` are methods, or a dict of methods by name; ``metrics`` likewise, by default
    ``RelevanceGain()``. ``of="labels"`` explains the labels of batches ``(x, y)``. ``controls`` adds random and constant values as methods.

    Each method explains the records once, and all metrics that judge results share that. ``c.held_out()`` chooses the best method on two
    thirds of the records, and scores it on the others. Methods with the same rank are tied: the paired
    bootstrap interval of their difference over the records includes 0. A method that fails becomes a row with its error, and the others go
    on. A metric in the unit of the values is scaled, where it can be, if the values of the methods mean different things, or ranks nothing.
    An interrupt keeps what was measured: ``error.partial`` is the comparison so far; records that a pair had not reached have no score.

    Raises InputError without methods, or for names given twice.
    """
    named, judges = name_values(methods, "methods"), name_values(default_metrics(metrics), "metrics")
    if controls:
        named |= {type(one).__name__: one for one in CONTROLS}
    work = Work(model, named, judges, of, seed, chunk)
    steps = Steps(len(named) * (1 + len(judges)), progress)
    try:
        for batch in batches_of(inputs, kwargs):
            work.add(batch, steps)
    except BaseException as error:
        vars(error)["partial"] = work.result() if work.records else None
        raise
    finally:
        steps.close()
    return work.result()


def default_metrics(metrics: Any) -> Any:
    """Returns the metrics, by default one; a single metric as a list."""
    if metrics is None:
        return [RelevanceGain()]
    return [metrics] if isinstance(metrics, Metric) else metrics


def name_values(values: Any, what: str) -> dict[str, Any]:
    """Returns methods or metrics by name. Raises InputError for none, for classes, and for a name given twice."""
    pairs = list(values.items()) if isinstance(values, Mapping) else [(name_of(one), one) for one in values]
    if not pairs:
        raise InputError(f"`{what}=` is empty", found=f"{what}={values!r}", advice=f"{what}=[asc.Saliency(), asc.IntegratedGradients()]")
    for name, value in pairs:
        if isinstance(value, type):
            raise InputError(f"`{what}=` has a class, not a value", found=f"the class {name}", advice=f"{value.__name__}()")
    if len({name for name, _ in pairs}) < len(pairs):
        raise InputError(f"`{what}=` has a name twice", found=", ".join(name for name, _ in pairs), advice=f"{what}={{'name': value}}")
    return dict(pairs)


def name_of(value: Any) -> str:
    """Returns the name of a method or of a metric: its code, without the module."""
    return repr(value).removeprefix("metrics.").removeprefix("methods.") if not callable(getattr(value, "__name__", None)) else str(value)


@dataclass
class Cell:
    """The scores of one method by one metric, batch by batch."""

    scores: list[Scores] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    def joined(self, metric: Metric, records: int) -> Scores | None:
        """Returns the scores of all batches as one, with NaN for the last of ``records`` that were not judged before an interrupt."""
        if not self.scores or self.error:
            return None
        first = self.scores[0]
        values = filled([one.values for one in self.scores], records)
        checks = first.checks if len(self.scores) == 1 and len(first.values) == records else undefined_check(values)
        curves = {
            name: Curve(curve.removed, np.concatenate([one.curves[name].values for one in self.scores], 1))
            for name, curve in first.curves.items()
            if all(name in one.curves and one.curves[name].removed.shape == curve.removed.shape for one in self.scores)
        }
        parts = {
            name: replace(part, values=filled([one.parts[name].values for one in self.scores], records))
            for name, part in first.parts.items()
        }
        rows = sum(one.evaluations for one in self.scores)
        return Scores(values, first.direction, repr(metric), rows, checks, curves, parts)


def filled(parts: Sequence[np.ndarray], records: int) -> np.ndarray:
    """Returns the numbers of all batches, with NaN up to ``records``: the difference of two methods is over the same records."""
    values = np.concatenate(parts)
    return np.concatenate([values, np.full(records - len(values), np.nan)])


def undefined_check(values: np.ndarray) -> tuple[Check, ...]:
    """Returns the check that says how many records have no score."""
    lost = int(np.isnan(values).sum())
    return (Check("undefined", "warn", f"{lost} of {len(values)} records have no score"),) if lost else ()


class Work:
    """A comparison while it runs: the scores so far of each method by each metric."""

    def __init__(self, model: Any, methods: dict[str, Any], metrics: dict[str, Metric], of: Any, seed: int, chunk: int | None) -> None:
        self.model, self.methods, self.metrics, self.of, self.seed, self.chunk = model, methods, metrics, of, seed, chunk
        self.cells = {(name, metric): Cell() for name in methods for metric in metrics}
        self.errors: dict[str, str] = {}
        self.seconds: dict[str, float] = dict.fromkeys(methods, 0.0)
        self.rows: dict[str, int] = dict.fromkeys(methods, 0)
        self.agreements: list[tuple[int, np.ndarray]] = []
        self.examples: dict[str, Attribution] = {}
        self.notes: list[str] = []
        self.sizes: list[int] = []

    @property
    def records(self) -> int:
        """The number of records that a method explained."""
        return sum(self.sizes)

    def add(self, batch: Batch, steps: Steps, stop: Callable[[], bool] | None = None) -> None:
        """Explains and judges one batch; methods for which ``stop`` is true fail with that as the reason."""
        of = self.quantity(batch)
        self.sizes.append(0)
        explained: dict[str, Attribution] = {}
        for name in self.methods:
            if stop is not None and explained and stop():
                self.errors[name] = NOT_PAID
            elif (a := self.explain(name, batch, of)) is not None:
                explained[name] = a
                if stop is not None:
                    self.judge_all(name, a, batch, of, steps)
            steps.advance()
        self.note_units(explained)
        if len(explained) > 1 and not self.examples:
            self.examples = {name: a.records(slice(0, EXAMPLES)) for name, a in explained.items()}
        if stop is None:
            for name, a in explained.items():
                self.judge_all(name, a, batch, of, steps)
        self.agree(explained, batch, of, self.sizes[-1])

    def quantity(self, batch: Batch) -> Any:
        """Returns the quantity of a batch."""
        if not isinstance(self.of, str) or self.of != "labels":
            return self.of
        if batch.labels is None:
            raise InputError(
                '`of="labels"` needs batches with labels', found="batches of inputs alone", advice="batches (x, y), or of=None"
            )
        return batch.labels

    def explain(self, name: str, batch: Batch, of: Any) -> Attribution | None:
        """Returns the explanation of a batch by a method; None if it fails, or has failed."""
        if name in self.errors:
            return None
        start = time.perf_counter()
        try:
            a = self.methods[name](self.model, batch.call, of=of, seed=self.seed, chunk=self.chunk)
            if not isinstance(a, Attribution):
                raise InputError("A method must return an Attribution", found=f"a {type(a).__name__}", advice="a method of ascribe")
        except Exception as error:
            self.errors[name] = first_line(error)
            return None
        self.seconds[name] += time.perf_counter() - start
        self.rows[name] += a.cost.rows if a.cost is not None else 0
        self.sizes[-1] = max(self.sizes[-1], len(a))
        return a

    def judge_all(self, name: str, a: Attribution, batch: Batch, of: Any, steps: Steps) -> None:
        """Adds the scores of one method by all metrics for a batch."""
        for metric_name, metric in self.metrics.items():
            self.judge(name, metric_name, metric, a, batch, of)
            steps.advance()

    def judge(self, name: str, metric_name: str, metric: Metric, a: Attribution, batch: Batch, of: Any) -> None:
        """Adds the scores of one method by one metric for a batch."""
        cell = self.cells[name, metric_name]
        if cell.error:
            return
        explained = self.methods[name] if "method" in metric.needs else a
        start = time.perf_counter()
        try:
            cell.scores.append(metric.judge(Evaluation(explained, self.model, batch.call, of, self.seed, self.chunk)))
        except Exception as error:
            cell.error = first_line(error)
        cell.seconds += time.perf_counter() - start

    def note_units(self, explained: Mapping[str, Attribution]) -> None:
        """Scales metrics in the unit of the values where the values of the methods mean different things, and says so once."""
        kinds = {holds_distance(a) for name, a in explained.items() if name not in {type(c).__name__ for c in CONTROLS}}
        if len(kinds) < 2:
            return
        for name, metric in self.metrics.items():
            scaled = metric.without_units()
            if scaled is None:
                note = f"{name}: in the unit of the values, which differs between these methods; no ranks"
                self.notes += [note] if note not in self.notes else []
            elif scaled != metric:
                self.metrics[name] = scaled
                self.notes.append(f"{name}: values of several units, so that each record's values are scaled by the factor that fits best")

    def agree(self, explained: Mapping[str, Attribution], batch: Batch, of: Any, count: int) -> None:
        """Adds the rank correlations between the methods, over the features of each record."""
        names = list(self.methods)
        table = np.full((len(names), len(names), count), np.nan)
        try:
            with open_features(self.model, batch.call, of, seed=self.seed) as removed:
                flat = {}
                for name, a in explained.items():
                    try:
                        flat[name] = removed.per_feature([leaf for _, leaf in a.arrays()])
                    except AscribeError:
                        continue
        except AscribeError:
            return
        for i, one in enumerate(names):
            for k, other in enumerate(names):
                if one in flat and other in flat:
                    table[i, k] = spearman(flat[one], flat[other])
        self.agreements.append((count, table))

    def evaluations(self) -> int:
        """Returns the number of evaluations so far."""
        return sum(self.rows.values()) + sum(scores.evaluations for cell in self.cells.values() for scores in cell.scores)

    def scores(self) -> dict[tuple[str, str], Scores]:
        """Returns the scores of each pair of a method that did not fail and a metric."""
        pairs = ((key, cell.joined(self.metrics[key[1]], self.records)) for key, cell in self.cells.items() if key[0] not in self.errors)
        return {key: scores for key, scores in pairs if scores is not None}

    def result(self) -> Comparison:
        """Returns the comparison of what was measured."""
        agreement = np.concatenate([table for _, table in self.agreements], 2) if self.agreements else None
        controls = {type(one).__name__ for one in CONTROLS}
        return Comparison(
            tuple(
                MethodRow(name, method, self.rows[name], self.seconds[name], self.errors.get(name, ""), name in controls)
                for name, method in self.methods.items()
            ),
            dict(self.metrics),
            self.scores(),
            {key: cell.error for key, cell in self.cells.items() if cell.error},
            {key: cell.seconds for key, cell in self.cells.items()},
            self.records,
            None if agreement is None else mean_of_known(agreement),
            self.examples,
            tuple(self.notes),
        )


def mean_of_known(table: np.ndarray) -> np.ndarray:
    """Returns the mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(table)
    counts = known.sum(-1)
    return np.where(counts > 0, np.where(known, table, 0.0).sum(-1) / np.maximum(counts, 1), np.nan)


def first_line(error: BaseException) -> str:
    """Returns an error as one line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
