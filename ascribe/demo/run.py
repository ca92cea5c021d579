"""The demo from start to end: data, training, explanations, table, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import reports
from ..choose import Recommendation, recommend
from ..metrics import RelevanceGain
from ..result.attribution import Attribution
from ..utils.columns import align_columns
from ..version import VERSION
from .data import Task, load_cancer_task, load_digits_task
from .explain import RECORDS, Explained, explain_task
from .models import accuracy, train_model
from .removal import DRAWS
from .table import format_row

SHOWN = 12
"""The number of explained records that the report shows."""
SAVED = "integrated-gradients.safetensors"

Writer = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """One task with the accuracy of its model and its explanations."""

    task: Task
    accuracy: float
    explained: Sequence[Explained]
    recommended: Recommendation | None = None


BUDGET = 250_000
"""The evaluations that may be spent on a recommendation."""
JUDGED = 120
"""The number of held-out records on which methods are compared."""


def run(out: Path, seed: int, say: Writer, log: Writer) -> bool:
    """Runs the demo, writes the report and one saved result into ``out``, and returns True if no check failed."""
    torch.set_num_threads(1)  # networks this small are slower on several threads
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for load in (load_digits_task, load_cancer_task):
        done.append(learn_task(load(seed), seed, say, log))
        rows = [format_row(one) for one in done[-1].explained]
        say("\n" + align_columns([list(rows[0]), *(list(row.values()) for row in rows)]) + "\n")
    for it in done:
        say_recommendation(it, say)
    path = write_demo_report(out, done, seed)
    done[0].explained[2].result.save(out / SAVED)
    say(f"Open {path} in a browser. Look at a saved result: ascribe show {out / SAVED}")
    return report_checks(done, say)


def learn_task(task: Task, seed: int, say: Writer, log: Writer) -> TaskResult:
    """Trains a model for the task and returns its accuracy on held-out records and the explanations of all methods."""
    start = time.perf_counter()
    model = train_model(task, seed)
    seconds = time.perf_counter() - start
    share = accuracy(model, task.held_out, task.held_out_labels)
    say(f"{task.name}: trained on {len(task.train)} records in {seconds:.1f} s; {share:.1%} of {len(task.held_out)} held-out correct")
    result = []
    for one in explain_task(model, task, seed):
        log(f"  {one.recipe.name}")
        result.append(one)
    say(f"explained: the first {RECORDS}, with a mean score (logit of the predicted class) of {mean_score(result[0].result):.2f}")
    log("  recommendation")
    return TaskResult(task, share, result, recommend_method(model, task, seed))


def recommend_method(model: torch.nn.Module, task: Task, seed: int) -> Recommendation:
    """Returns the method that explains records held out best: removed features are set to 0, which means nothing in both tasks."""
    x = torch.as_tensor(task.held_out[:JUDGED])
    background = torch.as_tensor(task.train[:32])
    metric = RelevanceGain(by=0.0)
    return recommend(model, x, budget=BUDGET, metric=metric, background=background, by=0.0, seed=seed, progress=False)


def say_recommendation(done: TaskResult, say: Writer) -> None:
    """Prints the method to trust for a task, and why."""
    r = done.recommended
    if r is None:
        return
    say(f"The method to trust for {done.task.name}: {r.verdict}.")
    gain, low, high = r.over_random
    say(f"  On {r.held_out} records held out it is ahead of random values by {gain:.2f} ({low:.2f} to {high:.2f}). As code: {r.method!r}")


def mean_score(a: Attribution) -> float:
    """Returns the mean of the explained quantity over the records."""
    assert a.explained is not None
    return float(a.explained.mean())


def report_checks(done: Sequence[TaskResult], say: Writer) -> bool:
    """Prints warnings, failures and the number of checks of each status; returns True if none failed."""
    asked = [(it, one, check) for it in done for one in it.explained for check in one.result.checks]
    for it, one, check in asked:
        if check.bad:
            say(f"{check.status}: {it.task.name}, {one.recipe.name}, {check.name}: {check.detail}{describe_records(check.records)}")
    count: dict[str, int] = {status: sum(check.status == status for *_, check in asked) for status in ("ok", "warn", "fail", "skipped")}
    say(f"{len(asked)} checks: " + ", ".join(f"{number} {status}" for status, number in count.items()))
    return count["fail"] == 0


def describe_records(records: Sequence[int]) -> str:
    """Returns the number of records that a check concerns; an empty text for all."""
    return f" ({len(records)} of {RECORDS} records)" if records else ""


def write_demo_report(out: Path, done: Sequence[TaskResult], seed: int) -> Path:
    """Writes the report: the table, the first records with all methods, and the settings. Returns its path."""
    pages = [card for it in done for card in make_cards(it)]
    rows = [{"task": it.task.name, **format_row(one)} for it in done for one in it.explained]
    tables = {
        f"{it.task.name}: {it.recommended.verdict}": it.recommended.comparison.report_rows() for it in done if it.recommended is not None
    }
    settings = list_settings(done, seed)
    return reports.write_report(out / "report.html", pages, title="ascribe demo", settings=settings, summary=rows, tables=tables)


def make_cards(done: TaskResult) -> list[reports.Card]:
    """Returns the cards of the first records; methods that explain units of a layer of a table are a group of their own."""
    task, titles = done.task, [f"Record {i}: {done.task.class_names[label]}" for i, label in enumerate(done.task.held_out_labels[:SHOWN])]
    groups: dict[str, dict[str, Attribution]] = {}
    for one in done.explained:
        result = replace(one.result if task.feature_names else one.result.sum("channels"), method=repr(one.recipe.method))
        error = one.result.error
        result = replace(result, error=error if error is None or task.feature_names else error[:, 0])  # the images have one channel
        place = f"{task.name}, units of {one.recipe.layer}" if task.feature_names and one.recipe.layer else task.name
        groups.setdefault(place, {})[one.recipe.name] = result
    made = []
    for place, results in groups.items():
        names = task.feature_names if place == task.name else None
        images = None if task.feature_names else task.held_out
        made += reports.cards(results, range(SHOWN), titles=titles, images=images, feature_names=names, group=place)
    return made


def list_settings(done: Sequence[TaskResult], seed: int) -> dict[str, Any]:
    """Returns the settings that reproduce the demo, and the meaning of the columns."""
    return {
        "command": f"ascribe demo --seed {seed}",
        "versions": {"ascribe": VERSION, "torch": torch.__version__, "numpy": np.__version__},
        **{it.task.name: f"{it.accuracy:.1%} of {len(it.task.held_out)} held-out records correct" for it in done},
        "explained": f"the first {RECORDS} held-out records of each task, each for its predicted class",
        "gap": "largest relative completeness gap of all records; – for methods without completeness",
        "error": "mean standard error of a value, as a share of the largest value of its record; – for methods without sampling",
        "drop": "mean drop of the explained score when the highest-ranked tenth of the features is set to the baseline",
        "random": f"the same for as many random features: mean and standard deviation of {DRAWS} draws",
        "better": "yes if the drop exceeds the random mean by more than two standard deviations",
        "passes": "forward + backward calls of the model for all records; the number depends on the machine",
        "rows": "records x points evaluated by the model; independent of the machine",
    }
