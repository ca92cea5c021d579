"""The demo from beginning to end: data, training, explanations, the table, the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import report
from ..result.attribution import Attribution
from ..utils.columns import align_columns
from ..version import VERSION
from .data import Task, breast_cancer, digits
from .explain import RECORDS, Explained, explain_task
from .models import accuracy, train_model
from .removal import DRAWS
from .table import format_row

SHOWN = 12
"""How many of the explained records the report shows."""
SAVED = "integrated-gradients.safetensors"

Writer = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """One task, learnt and explained."""

    task: Task
    accuracy: float
    explained: Sequence[Explained]


def run(out: Path, seed: int, say: Writer, log: Writer) -> bool:
    """Train, explain, check, tabulate; write the report and one saved result into ``out``. Whether every check passed."""
    torch.set_num_threads(1)  # networks this small are up to ten times slower on two threads that others want too
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for load in (digits, breast_cancer):
        done.append(learn_task(load(seed), seed, say, log))
        rows = [format_row(one) for one in done[-1].explained]
        say("\n" + align_columns([list(rows[0]), *(list(row.values()) for row in rows)]) + "\n")
    path = write_demo_report(out, done, seed)
    done[0].explained[2].result.save(out / SAVED)
    say(f"Open {path} in a browser. Look at a saved result: ascribe show {out / SAVED}")
    return report_checks(done, say)


def learn_task(task: Task, seed: int, say: Writer, log: Writer) -> TaskResult:
    """A model for the task, how often it is right on records that it never saw, and every method's explanations."""
    start = time.perf_counter()
    model = train_model(task, seed)
    seconds = time.perf_counter() - start
    share = accuracy(model, task.held_out, task.held_out_labels)
    say(f"{task.name}: trained on {len(task.train)} records in {seconds:.1f} s; {share:.1%} of {len(task.held_out)} held-out ones right")
    found = []
    for one in explain_task(model, task, seed):
        log(f"  {one.recipe.name}")
        found.append(one)
    say(f"explained: the first {RECORDS}, whose scores (logits of the predicted class) are {mean_score(found[0].result):.2f} in the mean")
    return TaskResult(task, share, found)


def mean_score(a: Attribution) -> float:
    """The explained quantity's mean over the records."""
    assert a.explained is not None
    return float(a.explained.mean())


def report_checks(done: Sequence[TaskResult], say: Writer) -> bool:
    """Tell how the checks of all results came out, each bad one by name; whether none failed."""
    asked = [(it, one, check) for it in done for one in it.explained for check in one.result.checks]
    for it, one, check in asked:
        if check.bad:
            say(f"{check.status}: {it.task.name}, {one.recipe.name}, {check.name}: {check.detail}{about(check.records)}")
    count: dict[str, int] = {status: sum(check.status == status for *_, check in asked) for status in ("ok", "warn", "fail", "skipped")}
    say(f"{len(asked)} checks: " + ", ".join(f"{number} {status}" for status, number in count.items()))
    return count["fail"] == 0


def about(records: Sequence[int]) -> str:
    """How many records a check is about, where it is not about all."""
    return f" ({len(records)} of {RECORDS} records)" if records else ""


def write_demo_report(out: Path, done: Sequence[TaskResult], seed: int) -> Path:
    """The report: the table, the first records with all methods side by side, and what it takes to do it again."""
    pages = [card for it in done for card in cards(it)]
    rows = [{"task": it.task.name, **format_row(one)} for it in done for one in it.explained]
    return report.write_report(out / "report.html", pages, title="ascribe demo", settings=settings(done, seed), summary=rows)


def cards(done: TaskResult) -> list[report.Card]:
    """The first records; in a table, methods that explain units of a layer get pages of their own."""
    task, titles = done.task, [f"Record {i}: {done.task.class_names[label]}" for i, label in enumerate(done.task.held_out_labels[:SHOWN])]
    groups: dict[str, dict[str, Attribution]] = {}
    for one in done.explained:
        result = replace(one.result if task.feature_names else one.result.sum("channels"), method=repr(one.recipe.method))
        error = one.result.error
        result = replace(result, error=error if error is None or task.feature_names else error[:, 0])  # the pictures have one channel
        place = f"{task.name}, units of {one.recipe.layer}" if task.feature_names and one.recipe.layer else task.name
        groups.setdefault(place, {})[one.recipe.name] = result
    made = []
    for place, results in groups.items():
        names = task.feature_names if place == task.name else None
        images = None if task.feature_names else task.held_out
        made += report.cards(results, range(SHOWN), titles=titles, images=images, feature_names=names, group=place)
    return made


def settings(done: Sequence[TaskResult], seed: int) -> dict[str, Any]:
    """What was done, and what it takes to do it again."""
    return {
        "command": f"ascribe demo --seed {seed}",
        "versions": {"ascribe": VERSION, "torch": torch.__version__, "numpy": np.__version__},
        **{it.task.name: f"{it.accuracy:.1%} of {len(it.task.held_out)} held-out records right" for it in done},
        "explained": f"the first {RECORDS} held-out records of each task, each for the class that the model finds most likely",
        "gap": "completeness gap, relative, the largest of all records; – where the method promises no sum",
        "error": "standard error of a value, as a share of its record's largest: the mean; – where nothing was sampled by removal",
        "drop": "mean fall of the explained score when the tenth of the features that the method puts first is set to its baseline",
        "random": f"the same for as many features at random: mean and standard deviation of {DRAWS} draws",
        "better": "whether the drop is larger than that mean by more than two standard deviations",
        "passes": "calls of the model forward + backward, for all records together; how many depends on the machine",
        "rows": "records x points that went through the model; these do not",
    }
