"""The settings of a method, tuned by a metric, with a score on records that the search never saw."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..engine.request import as_call
from ..errors import AscribeError, InputError, MethodError
from ..metrics import Metric, Scores
from ..metrics.base import Evaluation
from ..quantities.parse import QuantityLike
from ..utils.entry import entry
from ..utils.intervals import interval_of_mean
from .comparing import first_line
from .comparison import sign_of
from .describing import describe
from .progress import Steps
from .recommending import Chooser
from .spaces import Space, space_of, suggest_method
from .tables import as_html, as_text, write

FIRST_PART = 0.5
"""The share of the records after which a trial may be stopped."""


@dataclass(frozen=True, eq=False, repr=False)
class Tuning:
    """A tuned method, with its score on the records of the search and on records held out, beside the method as it was.

    ``method`` is the best method, ready to call; ``front`` are the methods that no other one beats by all metrics, where there are several.
    ``tuned`` and ``before`` are the scores on the records held out, by the first metric; ``gain`` is the mean difference of the two with
    its interval (95 %), positive if tuning helped. ``searched`` is the mean score on the records of the search, which is always too good.
    ``trials`` has one row for each trial: number, values, state, seconds, the error if it failed, and the settings.
    """

    method: Any
    tuned: Scores
    before: Scores
    searched: float
    gain: tuple[float, float, float]
    trials: tuple[Mapping[str, Any], ...]
    space: Mapping[str, Space]
    front: tuple[tuple[Any, tuple[float, ...]], ...] = ()
    held_out: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def helped(self) -> bool:
        """True if the interval of the gain on the records held out is above 0."""
        return bool(self.gain[1] > 0)

    def lines(self) -> list[str]:
        """Returns the result as sentences."""
        gain = f"{self.gain[0]:.3g} ({self.gain[1]:.3g} to {self.gain[2]:.3g})"
        where = f"{self.held_out} records held out" if self.held_out else "the records of the search (too few to hold any out)"
        said = "better than before" if self.helped else "no difference from before was found"
        return [
            f"{self.method!r}",
            f"{said}: {gain} on {where}; score {self.tuned.mean:.4g}, before {self.before.mean:.4g}, on the records of the search "
            f"{self.searched:.4g}; {len(self.trials)} trials, {self.seconds:.1f} s",
            *self.notes,
        ]

    def rows(self) -> list[list[str]]:
        """Returns the best trials as text."""
        done = [row for row in self.trials if row["state"] == "complete"]
        done.sort(key=lambda row: -sign_of(self.tuned) * row["values"][0])
        shown = [[str(row["trial"]), ", ".join(f"{v:.4g}" for v in row["values"]), settings_text(row["settings"])] for row in done[:10]]
        return shown + [[str(row["trial"]), row["state"], row["error"]] for row in self.trials if row["error"]][:5]

    def show(self, file: IO[str] | None = None) -> None:
        """Writes the result to ``file``, by default standard output."""
        write(repr(self), file)

    def __repr__(self) -> str:
        return "\n".join(self.lines()) + "\n\n" + as_text(HEAD, self.rows())

    def _repr_html_(self) -> str:
        return as_html(HEAD, self.rows(), self.lines()[1:], self.lines()[0])


HEAD = ("trial", "score", "settings")


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings as ``name=value`` pairs."""
    return ", ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in settings.items())


@entry
def tune(
    method: Any,
    model: Any,
    *args: Any,
    metric: Metric | Sequence[Metric] | None = None,
    trials: int = 30,
    seconds: float | None = None,
    of: QuantityLike = None,
    space: Mapping[str, Space] | None = None,
    study: str | PathLike[str] | None = None,
    sampler: Any = None,
    seed: int = 0,
    progress: bool | None = None,
    **kwargs: Any,
) -> Tuning:
    """Returns a method whose settings are tuned by a metric on these records, with an honest score on records held out.

    >>> t = asc.tune(asc.SmoothGrad(), model, x, trials=4)
    >>> a = t.method(model, x)

    *Use it when* a method has settings that you would otherwise guess. The scores of the search are too good, because the best of many
    trials is chosen by them: quote ``tuned``, which is from one third of the records that the search never saw.

    The search is Optuna's (extra ``ascribe[tune]``) over the fields of the method and of the values inside it: steps, samples, noise,
    baselines, replacements with their widths, groupings, rules, poolings; ``space`` (see :func:`space_of`) replaces it. ``metric`` is by
    default the one of :func:`recommend`; with a list of metrics, ``front`` has the methods that no other one beats. Bad trials are stopped
    after half of the records. The search ends after ``trials`` or ``seconds``. ``study`` is a file in which the trials are kept (Optuna's
    journal, text): a second call with the same file goes on. ``sampler`` is an Optuna sampler, by default a seeded one.

    A trial that fails is a row with its error. An interrupt ends the search with the result of the trials so far. Raises MethodError for
    a method without anything to tune, and without Optuna; InputError where no trial succeeds.
    """
    optuna = import_optuna()
    start = time.perf_counter()
    call = as_call(args, kwargs)
    notes: list[str] = []
    description = describe(model, call)
    several: list[Metric] = [] if metric is None else [metric] if isinstance(metric, Metric) else list(metric)
    chooser = Chooser(model, call, description, of, several[0] if several else None, None, None, seed, notes)
    metrics: list[Metric] = several or [chooser.metric]
    found = dict(space) if space is not None else space_of(method, description.modality, chooser.background)
    if not found:
        raise MethodError("The method has nothing to tune", found=repr(method), advice="asc.SmoothGrad(), or space={...}")
    selection, final = chooser.split()
    search = Search(method, found, metrics, chooser, selection)
    steps = Steps(trials, progress)
    with quiet(optuna):
        made = make_study(optuna, metrics, study, sampler, seed)
        try:
            left = trials - sum(t.state.is_finished() for t in made.trials)
            if left > 0:
                made.optimize(search, n_trials=left, timeout=seconds, catch=(Exception,), callbacks=[lambda *_: steps.advance()])
        except KeyboardInterrupt:
            notes.append("interrupted: the result is that of the trials so far")
        finally:
            steps.close()
    return conclude(made, search, method, metrics, chooser, final if final is not selection else None, time.perf_counter() - start)


def import_optuna() -> Any:
    """Returns Optuna. Raises MethodError without it."""
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise MethodError("`asc.tune` needs Optuna", found="Optuna is not installed", advice="pip install 'ascribe[tune]'") from error
    return optuna


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Optuna without its messages, which it prints for every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def make_study(optuna: Any, metrics: Sequence[Metric], path: Any, sampler: Any, seed: int) -> Any:
    """Returns the study: in memory, or in a journal file, which is gone on from. Raises InputError for a file of another search."""
    directions = ["maximize" if metric.direction == "higher" else "minimize" for metric in metrics]
    storage = None
    if path is not None:
        storage = optuna.storages.JournalStorage(import_module("optuna.storages.journal").JournalFileBackend(str(Path(path))))
    study = optuna.create_study(
        storage=storage,
        study_name="ascribe",
        load_if_exists=True,
        directions=directions,
        sampler=optuna.samplers.TPESampler(seed=seed) if sampler is None else sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    if [d.name.lower() for d in study.directions] != directions:
        there = f"directions {[d.name.lower() for d in study.directions]} for metrics with {directions}"
        raise InputError("The study belongs to other metrics", found=there, advice="another file for study=")
    return study


class Search:
    """The objective of a study: the mean score of the method that a trial suggests."""

    def __init__(self, method: Any, space: Mapping[str, Space], metrics: Sequence[Metric], chooser: Chooser, index: np.ndarray) -> None:
        self.method, self.space, self.metrics, self.chooser, self.index = method, space, metrics, chooser, index

    def __call__(self, trial: Any) -> Any:
        """Returns the mean score by each metric. Raises Optuna's TrialPruned for a trial that is worse than the others."""
        suggested = suggest_method(self.method, self.space, trial)
        trial.set_user_attr("method", repr(suggested))
        try:
            single = len(self.metrics) == 1 and len(self.index) >= 4 and self.chooser.call.records is None
            if single:
                half = self.index[: max(2, round(FIRST_PART * len(self.index)))]
                first = self.scores(suggested, half)[0].mean
                if not math.isnan(first):
                    trial.report(first, 0)
                    if trial.should_prune():
                        raise import_optuna().TrialPruned
            means = [scores.mean for scores in self.scores(suggested, self.index)]
        except AscribeError as error:
            trial.set_user_attr("error", first_line(error))
            raise
        if any(map(math.isnan, means)):
            trial.set_user_attr("error", "no record has a score")
            raise InputError("No record has a score", found=repr(suggested), advice="another metric, or other records")
        return means[0] if len(means) == 1 else tuple(means)

    def scores(self, method: Any, index: np.ndarray) -> list[Scores]:
        """Returns the scores of a method on some records by all metrics, which share the explanation where they can."""
        call, of = self.chooser.part(index)
        a = method(self.chooser.model, call, of=of, seed=self.chooser.seed)
        each = [
            Evaluation(method if "method" in m.needs else a, self.chooser.model, call, of, self.chooser.seed, None) for m in self.metrics
        ]
        return [metric.judge(one) for metric, one in zip(self.metrics, each, strict=True)]


def conclude(
    study: Any, search: Search, method: Any, metrics: Sequence[Metric], chooser: Chooser, held_out: np.ndarray | None, seconds: float
) -> Tuning:
    """Returns the result of a search. Raises InputError where no trial succeeded."""
    rows = tuple(trial_row(trial) for trial in study.trials)
    if not any(row["state"] == "complete" for row in rows):
        there = "; ".join(dict.fromkeys(row["error"] for row in rows if row["error"])) or "no trial was finished"
        raise InputError("No trial succeeded", found=there, advice="more trials, or another space=")
    front: tuple[tuple[Any, tuple[float, ...]], ...] = ()
    if len(metrics) == 1:
        best = study.best_trial
    else:
        sign = 1.0 if metrics[0].direction == "higher" else -1.0
        best = max(study.best_trials, key=lambda t: sign * t.values[0])
        front = tuple((suggest_method(method, search.space, Fixed(t.params)), tuple(t.values)) for t in study.best_trials)
    tuned = suggest_method(method, search.space, Fixed(best.params))
    index = search.index if held_out is None else held_out
    after, before = (search.scores(one, index)[0] for one in (tuned, method))
    gain = sign_of(after) * (after.values - before.values)
    return Tuning(
        tuned,
        after,
        before,
        float(best.values[0]),
        (float(np.nanmean(gain)), *interval_of_mean(gain)),
        rows,
        dict(search.space),
        front,
        0 if held_out is None else len(held_out),
        seconds,
        tuple(chooser.notes),
    )


def trial_row(trial: Any) -> dict[str, Any]:
    """Returns a trial as a row of a table."""
    took = (trial.datetime_complete - trial.datetime_start).total_seconds() if trial.datetime_complete else 0.0
    state = {"complete": "complete", "pruned": "stopped early", "fail": "failed"}.get(trial.state.name.lower(), trial.state.name.lower())
    return {
        "trial": trial.number,
        "values": tuple(trial.values or ()),
        "state": state,
        "seconds": took,
        "error": trial.user_attrs.get("error", ""),
        "settings": dict(trial.params),
    }


class Fixed:
    """A trial with fixed settings, from which a method is made again."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.settings[name])

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self.settings[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.settings[name]
