"""The result of a comparison: methods by metrics, with intervals, ranks and agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ResultError
from ..metrics import Metric, Scores
from ..reports import cards, write_report
from ..result.attribution import Attribution
from ..utils.intervals import interval_of_mean
from .tables import as_html, as_text, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method of a comparison: its name and value, the rows and seconds of its explanations, and its error if it failed."""

    name: str
    method: Any
    evaluations: int = 0
    seconds: float = 0.0
    error: str = ""
    control: bool = False


class HeldOut(NamedTuple):
    """The winner of some records, and its mean score with the interval (95 %) on the ``records`` that had no part in the choice."""

    name: str
    records: int
    mean: float
    low: float
    high: float


Key = tuple[str, str]
"""The names of a method and of a metric."""


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Methods by metrics on the same records.

    ``scores`` has the :class:`~ascribe.metrics.Scores` of each pair ``(method, metric)`` of names, ``errors`` why a pair has none, and
    ``seconds`` how long each took. ``agreement`` is the mean rank correlation between the methods over the records,
    ``[methods, methods]``. ``examples`` are the explanations of the first records. ``notes`` say what was changed or cannot be compared.
    """

    methods: tuple[MethodRow, ...]
    metrics: Mapping[str, Metric]
    scores: Mapping[Key, Scores]
    errors: Mapping[Key, str] = field(default_factory=dict)
    seconds: Mapping[Key, float] = field(default_factory=dict)
    records: int = 0
    agreement: np.ndarray | None = None
    examples: Mapping[str, Attribution] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """The names of the methods."""
        return [row.name for row in self.methods]

    def ranks(self, metric: str | None = None) -> dict[str, int]:
        """Returns the rank of each method by a metric, the first by default: methods with the same rank are tied.

        A method has the rank of a better one if the paired bootstrap interval (95 %) of their difference over the records includes 0. With
        many methods some of these intervals miss 0 by chance: one in twenty. Raises ResultError for an unknown metric.
        """
        metric = self.metric_name(metric)
        if any(note.startswith(f"{metric}:") and note.endswith("no ranks") for note in self.notes):
            return {}
        left = {n: s for (n, m), s in self.scores.items() if m == metric and not np.isnan(s.mean)}
        ranks: dict[str, int] = {}
        while left:
            best = max(left, key=lambda name: sign_of(left[name]) * left[name].mean)
            rank = len(ranks) + 1
            tied = [name for name in left if name == best or not clearly_better(left[best], left[name])]
            for name in tied:
                ranks[name] = rank
                del left[name]
        return ranks

    def best(self, metric: str | None = None) -> str:
        """Returns the name of the method with the best mean by a metric, controls left out. Raises ResultError if none has a score."""
        metric = self.metric_name(metric)
        controls = {row.name for row in self.methods if row.control}
        known = {n: s for (n, m), s in self.scores.items() if m == metric and n not in controls and not np.isnan(s.mean)}
        if not known:
            there = "; ".join(f"{row.name}: {row.error}" for row in self.methods if row.error) or "no scores"
            raise ResultError("No method has a score", found=there, advice="c.show()")
        return max(known, key=lambda name: sign_of(known[name]) * known[name].mean)

    def held_out(self, metric: str | None = None, share: float = 1 / 3, seed: int = 0) -> HeldOut:
        """Returns the best method of some records, and its score on the others: the number to quote, because it did not choose itself.

        ``share`` of the records are held out, drawn with the seed. Controls cannot win. No model is run. Raises ResultError where no
        method has a score, and for a share that leaves no record on one side.
        """
        metric = self.metric_name(metric)
        count = round(share * self.records)
        if not 0 < count < self.records:
            raise ResultError("No records are left on one side", found=f"{count} of {self.records} held out", advice="share=1/3")
        order = np.random.default_rng(seed).permutation(self.records)
        chosen, others = order[count:], order[:count]
        controls = {row.name for row in self.methods if row.control}
        own = {n: s for (n, m), s in self.scores.items() if m == metric and n not in controls}
        means = {n: sign_of(s) * mean_of(s.values[chosen]) for n, s in own.items()}
        known = {n: mean for n, mean in means.items() if not np.isnan(mean)}
        name = max(known, key=lambda n: known[n]) if known else self.best(metric)
        values = own[name].values[others]
        return HeldOut(name, count, mean_of(values), *interval_of_mean(values))

    def difference(self, better: str, other: str, metric: str | None = None) -> tuple[float, float, float]:
        """Returns the mean difference of two methods over the records, positive if the first is better, and its interval (95 %)."""
        metric = self.metric_name(metric)
        a, b = (self.score_of(name, metric) for name in (better, other))
        gain = sign_of(a) * (a.values - b.values)
        low, high = interval_of_mean(gain)
        return float(np.nanmean(gain)), low, high

    def score_of(self, method: str, metric: str | None = None) -> Scores:
        """Returns the scores of a pair. Raises ResultError where there are none, with the reason."""
        key = method, self.metric_name(metric)
        if key not in self.scores:
            failed = next((row.error for row in self.methods if row.name == method and row.error), "")
            there = self.errors.get(key) or failed or f"the methods {', '.join(self.names)}"
            raise ResultError(f"{method!r} has no scores by {key[1]!r}", found=there, advice="c.show()")
        return self.scores[key]

    def metric_name(self, metric: str | None) -> str:
        """Returns the name of a metric, the first by default. Raises ResultError for an unknown one."""
        if metric is None:
            return next(iter(self.metrics))
        if metric not in self.metrics:
            known = ", ".join(map(repr, self.metrics))
            raise ResultError(f"The comparison has no metric {metric!r}", found=known, advice=repr(next(iter(self.metrics))))
        return metric

    def table(self) -> list[dict[str, Any]]:
        """Returns one row for each method and metric: mean, interval, rank, evaluations, seconds, and the error if there is one."""
        rows = []
        for metric in self.metrics:
            ranks = self.ranks(metric)
            for row in self.methods:
                scores, key = self.scores.get((row.name, metric)), (row.name, metric)
                low, high = (np.nan, np.nan) if scores is None else scores.interval()
                tied = row.name in ranks and list(ranks.values()).count(ranks[row.name]) > 1
                rank = "" if row.name not in ranks else f"{ranks[row.name]}{' tied' if tied else ''}"
                rows.append(
                    {
                        "method": row.name,
                        "metric": metric,
                        "better": self.metrics[metric].direction,
                        "mean": np.nan if scores is None else scores.mean,
                        "low": low,
                        "high": high,
                        "rank": rank,
                        "evaluations": row.evaluations + (0 if scores is None else scores.evaluations),
                        "seconds": row.seconds + self.seconds.get(key, 0.0),
                        "note": row.error or self.errors.get(key, "") or notes_of(scores),
                    }
                )
        return rows

    def to_pandas(self) -> Any:
        """Returns :meth:`table` as a DataFrame. Raises ResultError if pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ResultError("A DataFrame needs pandas", found="pandas is not installed", advice="pip install pandas") from error
        return pd.DataFrame(self.table())

    def text_rows(self) -> list[list[str]]:
        """Returns the table as text, the best first within each metric."""
        places = {name: place for place, name in enumerate(self.metrics)}
        signs = {name: 1 if metric.direction == "lower" else -1 for name, metric in self.metrics.items()}
        rows = sorted(
            self.table(), key=lambda r: (places[r["metric"]], int((r["rank"] or "999").split()[0]), signs[r["metric"]] * r["mean"])
        )
        return [
            [r["method"], r["metric"], *number_cells(r), r["rank"], str(r["evaluations"]), f"{r['seconds']:.2g}", r["note"]] for r in rows
        ]

    def remarks(self) -> list[str]:
        """Returns the number of records, notes, and which methods agree."""
        said = [f"{self.records} records; intervals are 95 % bootstrap over records", *self.notes]
        return said + self.held_out_lines() + self.agreement_lines()

    def held_out_lines(self) -> list[str]:
        """Returns the score of the winner on records held out, for each metric with ranks; nothing for few records or one method."""
        if self.records < ENOUGH or sum(not row.control for row in self.methods) < 2:
            return []
        found = [(metric, self.held_out(metric)) for metric in self.metrics if self.ranks(metric)]
        return [
            f"{metric}: {one.name} is best without {one.records} records; mean on these: {one.mean:.4g} ({one.low:.4g} to {one.high:.4g})"
            for metric, one in found
        ]

    def agreement_lines(self) -> list[str]:
        """Returns the pairs of methods with the highest and the lowest rank correlation, controls left out."""
        own = [k for k, row in enumerate(self.methods) if not row.control]
        if self.agreement is None or len(own) < 2:
            return []
        pairs = [(self.agreement[i, k], i, k) for i in own for k in own if i < k and not np.isnan(self.agreement[i, k])]
        if not pairs:
            return []
        ends = (max(pairs), min(pairs)) if len(pairs) > 1 else (max(pairs),)
        words = ("agree most", "agree least")
        return [
            f"{self.names[i]} and {self.names[k]} {word}: rank correlation {r:.2f}" for (r, i, k), word in zip(ends, words, strict=False)
        ]

    def show(self, file: IO[str] | None = None) -> None:
        """Writes the table to ``file``, by default standard output."""
        write(repr(self), file)

    def __repr__(self) -> str:
        return as_text(HEAD, self.text_rows(), self.remarks())

    def _repr_html_(self) -> str:
        return as_html(HEAD, self.text_rows(), self.remarks(), "Comparison of methods")

    def plot(self) -> Figure:
        """Returns a matplotlib figure: the mean of each method with its interval, and the mean removal curves, for each metric."""
        from .figures import plot_comparison

        return plot_comparison(self)

    def plot_maps(self, record: int = 0, columns: int = 4) -> Figure:
        """Returns a matplotlib figure with the explanations of one of the first records by all methods."""
        from ..plots import compare

        if not self.examples:
            raise ResultError("The comparison has no explanations to show", found="no method that explained", advice="c.show()")
        return compare(self.examples, columns, record=record)

    def report_rows(self) -> list[dict[str, str]]:
        """Returns the table for a report: ``write_report(path, cards, tables={"Comparison": c.report_rows()})``."""
        return [dict(zip(HEAD, row, strict=True)) for row in self.text_rows()]

    def write_report(self, path: str | PathLike[str], title: str = "Comparison of methods") -> Path:
        """Writes a self-contained HTML file with the table and the explanations of the first records."""
        shown = dict(self.examples.items())
        try:
            drawn: Sequence[Any] = cards(shown) if shown else []
        except ResultError:  # results of several shapes: the table alone
            drawn = []
        settings = {f"note {k + 1}": text for k, text in enumerate(self.remarks())}
        return write_report(path, drawn, title=title, settings=settings, summary=self.report_rows())


HEAD = ("method", "metric", "mean", "95 % interval", "rank", "evaluations", "seconds", "note")


ENOUGH = 12
"""With fewer records, none are held out in the table."""


def mean_of(values: np.ndarray) -> float:
    """Returns the mean of the numbers that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def sign_of(scores: Scores) -> float:
    """Returns 1 if higher numbers are better, else -1."""
    return 1.0 if scores.direction == "higher" else -1.0


def clearly_better(a: Scores, b: Scores) -> bool:
    """Returns whether the paired interval of the difference of two methods is above 0."""
    low, _ = interval_of_mean(sign_of(a) * (a.values - b.values))
    return bool(low > 0)


def number_cells(row: Mapping[str, Any]) -> list[str]:
    """Returns the mean and the interval as text."""
    mean = "" if np.isnan(row["mean"]) else f"{row['mean']:.4g}"
    return [mean, "" if np.isnan(row["low"]) else f"{row['low']:.4g} to {row['high']:.4g}"]


def notes_of(scores: Scores | None) -> str:
    """Returns what the checks of scores warn of."""
    return "" if scores is None else "; ".join(check.detail for check in scores.checks if check.bad)
