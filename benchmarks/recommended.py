"""``python -m benchmarks.recommended``: recommended methods against random values and the plain gradient; ``--commit`` writes the report.

Three tasks (handwritten digits, breast cancer, short texts), three seeds; each trains a small model on the spot and asks
``asc.recommend`` for a method. The numbers are those of records that had no part in the training, nor in the choice of the method.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import ascribe as asc
from ascribe.demo.data import Task, load_cancer_task, load_digits_task
from ascribe.demo.models import accuracy, train_model

REPORT = Path(__file__).parents[1] / "docs" / "reports" / "recommended.md"
SEEDS = (0, 1, 2)
RECORDS = 240
"""Records for the choice and the final scores, where the task has so many: one third of them is held out."""
GOOD, BAD, NOT, PLAIN = range(1, 9), range(9, 17), 17, range(18, 60)
"""The words of the texts by id; 0 is the removed word."""
LENGTH = 12


@dataclass(frozen=True)
class Judged:
    """One task and seed: the accuracy of its model, the recommendation, and whether the intervals are apart."""

    task: str
    seed: int
    accuracy: float
    found: asc.choose.Recommendation

    def interval(self, name: str) -> tuple[float, float]:
        """The interval of the mean score of a method on the records held out."""
        return self.found.comparison.score_of(name).interval()

    @property
    def apart(self) -> bool:
        """True if the interval of the recommended method is above those of random values and of the plain gradient."""
        return self.interval(self.found.name)[0] > max(self.interval(name)[1] for name in ("RandomValues", "Saliency"))


def write_texts(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns texts of word ids and their classes: more good or more bad words among plain ones; "not" turns the next word around."""
    rng = np.random.default_rng(seed)
    texts, classes = rng.choice(PLAIN, (count, LENGTH)), np.zeros(count, int)
    for text in range(count):
        total = 0
        while total == 0:
            row = rng.choice(PLAIN, LENGTH)
            for place in rng.choice(np.arange(1, LENGTH), 3, replace=False):
                row[place] = rng.choice([*GOOD, *BAD])
                if rng.random() < 0.3:
                    row[place - 1] = NOT
            signs = np.isin(row, GOOD).astype(int) - np.isin(row, BAD)
            signs[1:] *= np.where(row[:-1] == NOT, -1, 1)
            total = int(signs.sum())
        texts[text], classes[text] = row, total > 0
    return torch.as_tensor(texts), torch.as_tensor(classes)


class Reader(nn.Module):
    """A recurrent network that reads word ids in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell = nn.Embedding(60, 16, padding_idx=0), nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.cell(self.words(ids))[0].amax(1)
        scores: torch.Tensor = self.head(states)
        return scores


def train_reader(seed: int) -> nn.Module:
    """Returns a trained network for texts, whose words are removed at random meanwhile, so that removed words are not strange to it."""
    ids, classes = write_texts(3000, 100 + seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader()
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(12):
            for part in torch.randperm(len(ids)).split(100):
                seen = ids[part] * (torch.rand(len(part), LENGTH) > 0.1)
                loss = nn.functional.cross_entropy(model(seen), classes[part])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return model.eval().requires_grad_(False)


def judge_texts(seed: int) -> Judged:
    """Judges a recommendation for the network that reads texts."""
    model = train_reader(seed)
    ids, classes = write_texts(RECORDS, 200 + seed)
    found = asc.recommend(model, ids, budget=BUDGET, seed=seed, progress=False)
    return Judged("texts", seed, accuracy(model, ids.numpy(), classes.numpy()), found)


def judge_task(load: Callable[[int], Task], seed: int) -> Judged:
    """Judges a recommendation for a task of the demo: its training records are the background, and 0 replaces removed features."""
    task = load(seed)
    model = train_model(task, seed)
    x, background = torch.as_tensor(task.held_out[:RECORDS]), torch.as_tensor(task.train[:32])
    metric = asc.metrics.RelevanceGain(by=[asc.Replace(0.0), asc.Resample(task.train[:16])])
    found = asc.recommend(model, x, budget=BUDGET, metric=metric, background=background, by=0.0, seed=seed, progress=False)
    return Judged(task.name, seed, accuracy(model, task.held_out, task.held_out_labels), found)


BUDGET = 400_000
"""Evaluations of the model for one recommendation."""


def judged(seeds: Sequence[int]) -> Iterator[Judged]:
    """Yields every task and seed."""
    for seed in seeds:
        yield judge_task(load_digits_task, seed)
        yield judge_task(load_cancer_task, seed)
        yield judge_texts(seed)


HEAD = ("task", "seed", "accuracy", "recommended", "its score", "plain gradient", "random values", "held out", "apart", "evaluations")


def cells(one: Judged) -> list[str]:
    """Returns the row of the report for a task and seed."""

    def score(name: str) -> str:
        low, high = one.interval(name)
        return f"{one.found.comparison.score_of(name).mean:.3g} ({low:.3g} to {high:.3g})"

    r = one.found
    last: list[Any] = [r.held_out, "yes" if one.apart else "no", f"{r.evaluations:,}"]
    numbers = [score(name) for name in (r.name, "Saliency", "RandomValues")]
    return [one.task, str(one.seed), f"{one.accuracy:.1%}", f"`{r.method!r}`"[:90], *numbers, *map(str, last)]


TOP = """# Recommended methods against random values and the plain gradient

Written by `python -m benchmarks.recommended --commit`. Each model is trained on the spot, from one seed. The scores are `RelevanceGain`
(the area between the curves of removal, least relevant and most relevant first) on records that had no part in the training nor in the
choice of the method: mean, and the 95 % bootstrap interval over these records. *Apart* says that the interval of the recommended method is
above those of the plain gradient (`Saliency`) and of random values.

The digits and the cancer table have removed features replaced by 0 and by values of training records; in the texts removed words become id
0, which the model has seen in training. Most methods that explain these models well do not differ clearly from each other; the verdicts
below say so where that is the case.
"""


def page(rows: Sequence[Judged]) -> str:
    """Returns the report as Markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(cells(one) for one in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    said = "\n".join(f"- {one.task}, seed {one.seed}: {one.found.verdict}." for one in rows)
    apart = sum(one.apart for one in rows)
    return f"{TOP}\n{table}\n\nApart in {apart} of {len(rows)}.\n\n## Verdicts\n\n{said}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Returns 1 if the intervals of a row are not apart."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.recommended", description=__doc__)
    options.add_argument("--commit", action="store_true", help=f"write docs/reports/{REPORT.name}")
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    given = options.parse_args(argv)
    torch.set_num_threads(1)
    rows = []
    for one in judged(given.seeds):
        rows.append(one)
        sys.stderr.write(f"{one.task} {one.seed}: {one.found.verdict}; {one.found.seconds:.0f} s\n")
    text = page(rows)
    if given.commit:
        REPORT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0 if all(one.apart for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
