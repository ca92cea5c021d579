"""A recommended method: those that apply, measured on the user's own records within a budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from ..arrays import as_numpy, is_array, is_table
from ..calls.call import Call
from ..cuts import OUTPUT
from ..engine.request import as_call
from ..engine.verbs import activation
from ..errors import InputError
from ..metrics import Metric, RandomValues, RelevanceGain
from ..quantities import Labels, Unit
from ..quantities.parse import QuantityLike
from ..removal import Blur, Drop, MaskToken, Mean, Replace, Resample
from ..tree import map_leaves, walk
from ..utils.entry import entry
from ..utils.intervals import interval_of_mean
from ..utils.polars_tables import is_polars
from .batches import Batch
from .candidates import Candidate, list_candidates
from .comparing import NOT_PAID, Work
from .comparison import Comparison, sign_of
from .describing import Description, describe
from .progress import Steps
from .tables import as_html, as_text, write

FIRST = 4
"""The number of records of the first round."""
HELD_OUT = 1 / 3
"""The share of records that are kept for the final score."""
LEAST_HELD_OUT = 8
"""With fewer records than this, all of them serve for both."""
LEAST_FINAL = 8
"""The final scores are of no fewer records held out than this, also where the budget pays for fewer."""
STEPS = "a row of scores for each step"
GRADIENT, RANDOM = "Saliency", "RandomValues"


@dataclass(frozen=True, eq=False, repr=False)
class Recommendation:
    """A recommended method with the reasons: what the model is made of, what was measured, and how far ahead the winner is.

    ``method`` is ready to call, ``name`` its name. ``runner_up`` is the best of the others on the records held out. ``lead`` is the mean
    difference from it with its interval, below 0 where it is ahead of the recommended method; ``over_random`` is that from random values.
    ``conclusive`` is False where no difference from the runner-up, or from random values, was found. ``comparison`` has the final scores,
    ``rounds`` those of the selection. ``skipped`` are methods that do not apply or were not measured, each with the reason.
    """

    method: Any
    name: str
    description: Description
    comparison: Comparison
    rounds: tuple[Comparison, ...]
    lead: tuple[float, float, float]
    over_random: tuple[float, float, float]
    runner_up: str
    skipped: Mapping[str, str]
    seconds: float
    evaluations: int
    held_out: int
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def beats_random(self) -> bool:
        """True if the interval of the difference from random values is above 0."""
        return bool(self.over_random[1] > 0)

    @property
    def conclusive(self) -> bool:
        """True if the winner is clearly ahead of the runner-up and of random values."""
        return self.beats_random and bool(self.lead[1] > 0)

    @property
    def verdict(self) -> str:
        """The result as one sentence."""
        metric = next(iter(self.comparison.metrics))
        if not self.beats_random:
            return f"no method is clearly better than random values by {metric} on these records; {self.name} was the best of the selection"
        ahead = f"{self.lead[0]:.3g} ({self.lead[1]:.3g} to {self.lead[2]:.3g})"
        if self.lead[2] < 0:
            return f"{self.name} by the selection, but {self.runner_up} is ahead on the records held out: {ahead} in {metric}"
        if not self.conclusive:
            return f"{self.name}; no difference from {self.runner_up} was found by {metric}: {ahead}"
        return f"{self.name}: ahead of {self.runner_up} by {ahead} in {metric}"

    def lines(self) -> list[str]:
        """Returns the verdict, the final scores and the notes as text."""
        random = f"over random values: {self.over_random[0]:.3g} ({self.over_random[1]:.3g} to {self.over_random[2]:.3g})"
        where = f"{self.held_out} records held out" if self.held_out else "the same records that chose the method (too few to hold any out)"
        cost = f"{self.evaluations} evaluations, {self.seconds:.1f} s"
        reasons = [f"{', '.join(names)}: {why}" for why, names in self.by_reason().items()]
        return [self.verdict, f"{random}; scores on {where}; {cost}", *self.notes, *reasons]

    def by_reason(self) -> dict[str, list[str]]:
        """Returns the methods that were left out by the reason."""
        found: dict[str, list[str]] = {}
        for name, why in self.skipped.items():
            found.setdefault(why, []).append(name)
        return found

    def show(self, file: IO[str] | None = None) -> None:
        """Writes the recommendation to ``file``, by default standard output."""
        write(repr(self), file)

    def to_pandas(self) -> Any:
        """Returns the final scores as a DataFrame. Raises ResultError if pandas is not installed."""
        return self.comparison.to_pandas()

    def __repr__(self) -> str:
        rows = self.comparison.text_rows()
        return f"{self.lines()[0]}\n\n" + as_text(COLUMNS, [row[:6] for row in rows], self.lines()[1:])

    def _repr_html_(self) -> str:
        return as_html(COLUMNS, [row[:6] for row in self.comparison.text_rows()], self.lines()[1:], self.lines()[0])


COLUMNS = ("method", "metric", "mean", "95 % interval", "rank", "evaluations")


@entry
def recommend(
    model: Any,
    *args: Any,
    labels: Any = None,
    of: QuantityLike = None,
    budget: float | int = 20.0,
    metric: Metric | None = None,
    background: Any = None,
    by: Any = None,
    seed: int = 0,
    progress: bool | None = None,
    **kwargs: Any,
) -> Recommendation:
    """Returns the method that explains these records best, among those that apply, with its lead over the others.

    >>> r = asc.recommend(model, x, budget=2000)
    >>> a = r.method(model, x)

    *Use it when* you have a model and some records, and do not know which method to believe. Give 30 records or more: intervals narrow with
    their number.

    :func:`describe` finds what the model is made of, and the facts on the classes of the methods say which apply. All of these explain a
    few records; the better half goes on to twice as many, and so on. The best one then is the recommended method. One third of the records,
    held out, has no part in that choice: on these it is compared with the last others, the gradient and random values. ``budget`` is a
    number of seconds (a float) or of model evaluations (an int), checked between methods: records become fewer to keep it, down to eight
    held out. ``metric`` is by default ``RelevanceGain`` with two replacements that suit the input; ``labels`` or ``of`` is what to explain,
    by default the predicted class (for sequences, the likeliest token at the last step). ``background`` are records to compare with, by
    default these records; ``by`` the replacement of removed features.

    Methods that fail become reasons in ``skipped``. An interrupt keeps what was measured: ``error.partial`` is the last comparison. Raises
    InputError for budgets that are not positive, and the errors of a call for models that cannot be run.
    """
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or budget <= 0:
        raise InputError(
            "`budget=` must be a positive number of seconds or of evaluations", found=f"budget={budget!r}", advice="budget=20.0"
        )
    start = time.perf_counter()
    call = as_call(args, kwargs)
    description = describe(model, call)
    notes: list[str] = list(description.notes)
    chooser = Chooser(model, call, description, of if labels is None else labels, metric, background, by, seed, notes)
    selection, final = chooser.split()
    found = list_candidates(description, background=chooser.background, by=chooser.by, features=chooser.features)
    skipped = {one.name: one.reason for one in found if one.method is None}
    limit = Budget(budget, start)
    rounds, left = chooser.run_rounds([one for one in found if one.method is not None], selection, limit, skipped, progress)
    last = with_controls(left, found)
    held_out = 0
    if final is not selection:
        held_out = min(len(final), max(LEAST_FINAL, limit.affordable(rounds, [one.name for one in last])))
        final = final[:held_out]
    comparison = chooser.compare(last, final)
    limit.spend(comparison)
    return chooser.conclude(left, comparison, rounds, skipped, limit, held_out)


class Budget:
    """Seconds or evaluations, and how many are spent."""

    def __init__(self, budget: float | int, start: float) -> None:
        self.seconds = float(budget) if isinstance(budget, float) else None
        self.rows = None if isinstance(budget, float) else int(budget)
        self.start, self.spent = start, 0

    def spend(self, comparison: Comparison) -> None:
        """Counts the evaluations of a comparison."""
        self.spent += sum(row.evaluations for row in comparison.methods) + sum(s.evaluations for s in comparison.scores.values())

    def is_spent(self, share: float = 1.0, more: int = 0) -> bool:
        """Returns whether a share of the budget is spent, with ``more`` evaluations that are not counted yet."""
        if self.rows is not None:
            return self.spent + more >= share * self.rows
        assert self.seconds is not None
        return time.perf_counter() - self.start >= share * self.seconds

    def affordable(self, rounds: Sequence[Comparison], names: Sequence[str], share: float = 1.0) -> int:
        """Returns the number of records that what is left of a share of the budget pays for, by what methods cost in earlier rounds."""
        timed = self.seconds is not None
        each: dict[str, float] = {}
        for one in rounds:
            each |= {name: cost / max(1, one.records) for name, cost in costs(one, timed).items()}
        usual = sum(each.values()) / max(1, len(each))
        price = sum(each.get(name, usual) for name in names)
        if self.seconds is not None:
            left = share * self.seconds - (time.perf_counter() - self.start)
        else:
            left = share * (self.rows or 0) - self.spent
        return max(0, int(left / price)) if price > 0 else UNLIMITED


UNLIMITED = 10**9


def costs(comparison: Comparison, timed: bool) -> dict[str, float]:
    """Returns the evaluations, or the seconds, that each measured method of a comparison took with its scores."""
    found: dict[str, float] = {}
    for row in comparison.methods:
        judged = [(key, s.evaluations) for key, s in comparison.scores.items() if key[0] == row.name]
        if judged:
            own = row.seconds if timed else row.evaluations
            found[row.name] = own + sum(comparison.seconds[key] if timed else rows for key, rows in judged)
    return found


SELECTION = 0.7
"""The share of the budget for the selection; the rest is for the final scores."""


def with_controls(left: Sequence[Candidate], found: Sequence[Candidate]) -> list[Candidate]:
    """Returns the last candidates, the gradient if it applies, and random values."""
    gradient = [one for one in found if one.name == GRADIENT and one.method is not None and all(one.name != o.name for o in left)]
    return [*left, *gradient, Candidate(RANDOM, RandomValues())]


class Chooser:
    """Chooses among methods on subsets of the records of a call."""

    def __init__(
        self,
        model: Any,
        call: Call,
        description: Description,
        of: Any,
        metric: Metric | None,
        background: Any,
        by: Any,
        seed: int,
        notes: list[str],
    ) -> None:
        self.model, self.call, self.description, self.of, self.seed, self.notes = model, call, description, of, seed, notes
        self.records = description.records
        floats = [leaf for _, leaf in walk((call.args, call.kwargs)) if is_array(leaf) or is_table(leaf)]
        first = floats[0] if floats else None
        single = len([one for one in description.inputs if one.kind != "mask"]) == 1
        self.features = int(np.prod(description.inputs[0].shape[1:])) if single and description.inputs else None
        numeric = first is not None and single and description.modality in ("table", "series", "image", "audio")
        self.background = (
            background
            if background is not None
            else (first[:BACKGROUND] if numeric and first is not None and not is_table(first) else None)
        )
        self.by = by if by is not None else self.default_removal(first if single else None)
        self.metric = metric if metric is not None else RelevanceGain(self.default_replacements(first if single else None))
        self.last: Comparison | None = None
        if of is None and description.output == STEPS:
            self.notes.append("explained is the likeliest token of the last step; give r.method of=asc.Unit(step, token) too")

    def default_removal(self, x: Any) -> Any:
        """Returns the replacement of removal methods; None takes the default of the package."""
        kind = self.description.modality
        if kind == "tokens" or any(one.kind == "tokens" for one in self.description.inputs):
            if "attention_mask" in self.call.kwargs:
                return Drop()
            self.notes.append("removed tokens become id 0: without attention_mask=, give by=asc.MaskToken(id) for another")
            return MaskToken(0)
        if kind == "table" and x is not None and is_array(x) and self.records > 1:
            return Resample(as_rows(x)[:ROWS])
        return None

    def default_replacements(self, x: Any) -> Any:
        """Returns the replacements of the metric: two that suit the input."""
        if self.description.modality == "image" and x is not None:
            return [Mean(), Blur(2.0)]
        if self.description.modality == "series" and x is not None:
            return [Replace(0.0), Blur(2.0)]
        if (
            self.description.modality == "table"
            and x is not None
            and is_array(x)
            and as_numpy(x[:1]).dtype.kind == "f"
            and self.records > 1
        ):
            return [Replace(as_numpy(x).mean(0)), Resample(as_rows(x)[:ROWS])]
        return self.by

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the records for the selection and for the final scores; all of them for both where they are few, or one call."""
        every = np.arange(self.records)
        if self.records < LEAST_HELD_OUT or self.call.records is not None:
            return every, every
        mixed = np.random.default_rng(self.seed).permutation(self.records)
        held_out = max(2, round(self.records * HELD_OUT))
        return np.sort(mixed[held_out:]), np.sort(mixed[:held_out])

    def part(self, index: np.ndarray) -> tuple[Call, Any]:
        """Returns the call of some records, and the quantity that they explain."""
        whole = len(index) == self.records
        call = self.call if whole else take_records(self.call, index, self.records)
        return call, self.quantity(call, index)

    def quantity(self, call: Call, index: np.ndarray) -> Any:
        """Returns what some records explain: their labels, the user's quantity, or the likeliest token at the last step."""
        of = self.of
        if of is None and self.description.output == STEPS:
            scores = next(as_numpy(leaf) for _, leaf in walk(activation(self.model, call, at=OUTPUT).values) if leaf.ndim == 3)
            last = scores.shape[1] - 1
            return Unit(last, [int(k) for k in scores[:, last].argmax(1)])
        if isinstance(of, (list, tuple)) and len(of) == self.records and all(isinstance(label, (int, str)) for label in of):
            return [of[i] for i in index]  # labels, one for each record
        per_record = is_array(of) and len(of.shape) == 1 and len(of) == self.records
        if per_record:
            return as_numpy(of)[index]
        return Labels(tuple(of.labels[i] for i in index)) if isinstance(of, Labels) and len(of.labels) == self.records else of

    def compare(
        self, candidates: Sequence[Candidate], index: np.ndarray, progress: bool | None = False, limit: Budget | None = None
    ) -> Comparison:
        """Returns the comparison of some methods on some records; those for which no budget was left have that as their error."""
        call, of = self.part(index)
        work = Work(self.model, {one.name: one.method for one in candidates}, {metric_name(self.metric): self.metric}, of, self.seed, None)
        steps = Steps(2 * len(candidates), progress)
        try:
            work.add(Batch(call), steps, stop=None if limit is None else lambda: limit.is_spent(SELECTION, work.evaluations()))
        except BaseException as error:
            partial = work.result()
            vars(error)["partial"] = partial if partial.scores else self.last
            raise
        finally:
            steps.close()
        self.last = work.result()
        return self.last

    def run_rounds(
        self, candidates: list[Candidate], index: np.ndarray, limit: Budget, skipped: dict[str, str], progress: bool | None
    ) -> tuple[list[Comparison], list[Candidate]]:
        """Returns the comparisons of the selection, and the two best methods: each round keeps the better half, on twice the records."""
        rounds: list[Comparison] = []
        size, left = min(FIRST, len(index)) if self.call.records is None else len(index), by_cost(candidates)
        while True:
            comparison = self.compare(left, index[:size], progress, limit)
            limit.spend(comparison)
            rounds.append(comparison)
            skipped |= {row.name: row.error for row in comparison.methods if row.error}
            skipped |= {name: text for (name, _), text in comparison.errors.items()}
            scores = {name: s for (name, _), s in comparison.scores.items() if not np.isnan(s.mean)}
            measured = sorted((one for one in left if one.name in scores), key=lambda o: -sign_of(scores[o.name]) * scores[o.name].mean)
            waiting = [one for one in left if len(rounds) > 1 and skipped.get(one.name) == NOT_PAID]
            for one in waiting:  # it has a rank from the round before
                del skipped[one.name]
            left = measured + waiting
            if not left:
                there = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[-4:])  # those that were tried come last
                raise InputError("No method could explain these records", found=there, advice="asc.describe(model, *inputs)")
            left = left[: max(2, -(-len(left) // 2))]
            paid = limit.affordable(rounds, [one.name for one in left], SELECTION)
            if size >= len(index) or len(left) <= 2 or paid <= size:
                return rounds, left[:FINAL]
            size = min(len(index), 2 * size, paid)

    def conclude(
        self,
        left: Sequence[Candidate],
        comparison: Comparison,
        rounds: list[Comparison],
        skipped: dict[str, str],
        limit: Budget,
        held_out: int,
    ) -> Recommendation:
        """Returns the recommendation: the method that the selection ranks first, with its final scores against the best of the others."""
        metric = next(iter(comparison.metrics))
        known = {n: s for (n, m), s in comparison.scores.items() if m == metric and n != RANDOM and not np.isnan(s.mean)}
        if not known:
            there = "; ".join(f"{row.name}: {row.error}" for row in comparison.methods if row.error) or "no scores"
            raise InputError("No method has a score on the records held out", found=there, advice="more records")
        ordered = sorted(known, key=lambda name: -sign_of(known[name]) * known[name].mean)
        name = next((one.name for one in left if one.name in known), ordered[0])
        runner_up = next((other for other in ordered if other != name), RANDOM)
        method = next(row.method for row in comparison.methods if row.name == name)
        lead, over = (self.gap(comparison, name, other) for other in (runner_up, RANDOM))
        seconds = time.perf_counter() - limit.start
        return Recommendation(
            method,
            name,
            self.description,
            comparison,
            tuple(rounds),
            lead,
            over,
            runner_up,
            skipped,
            seconds,
            limit.spent,
            held_out,
            tuple(self.notes),
        )

    def gap(self, comparison: Comparison, name: str, other: str) -> tuple[float, float, float]:
        """Returns the mean difference of two methods and its interval; NaN where one has no scores."""
        metric = next(iter(comparison.metrics))
        a, b = comparison.scores.get((name, metric)), comparison.scores.get((other, metric))
        if a is None or b is None:
            return (float("nan"),) * 3
        gain = sign_of(a) * (a.values - b.values)
        return float(np.nanmean(gain)), *interval_of_mean(gain)


BACKGROUND, ROWS, FINAL = 32, 16, 3
"""Records that serve as background, rows to resample from, and methods in the final comparison."""


def metric_name(metric: Metric) -> str:
    """Returns the name of the class of a metric."""
    return type(metric).__name__


def by_cost(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Returns methods in the order of their cost, as the facts on their classes say it: gradients before thousands of evaluations."""

    def cost(one: Candidate) -> int:
        method = getattr(one.method, "method", one.method)
        try:
            forward, backward = method.cost.count(method, features=64, rows=BACKGROUND, channels=64, windows=64, points=1)
        except (KeyError, AttributeError):
            return 1000
        return int(forward + 2 * backward)

    return sorted(candidates, key=cost)


def take_records(call: Call, index: np.ndarray, count: int) -> Call:
    """Returns the call of some of its records: every array whose first axis has the number of records is cut."""

    def take(_: Any, leaf: Any) -> Any:
        if is_table(leaf) and len(leaf) == count:
            return leaf[index.tolist()] if is_polars(leaf) else leaf.iloc[index]
        return leaf[index] if is_array(leaf) and len(leaf.shape) and leaf.shape[0] == count else leaf

    args, kwargs = map_leaves((call.args, call.kwargs), take)
    return call.like(args, kwargs)


def as_rows(x: Any) -> Any:
    """Returns a table as an array."""
    return x.to_numpy() if is_table(x) else x
