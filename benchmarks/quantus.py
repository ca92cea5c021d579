"""Metrics compared with Quantus 0.6: numbers and speed, ``python -m benchmarks.quantus [--commit]``. ``make parity`` installs Quantus.

``--commit`` writes ``docs/reports/quantus.md``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

import ascribe as asc
from ascribe import metrics

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "quantus.md"
HERE = find_spec("quantus") is not None
HEAD = """# Compared with Quantus 0.6

Written by `python -m benchmarks.quantus --commit`, which `make parity` runs.

## The same numbers

16 images of 8 x 8, a network of two convolutions, integrated gradients. The largest difference between the two, where Quantus and the
paper agree and nothing is random; for the random subsets of the faithfulness correlation, that of the means. The table
[names elsewhere](../metrics.md#names-elsewhere) says where Quantus differs from the papers.

| metric | largest difference |
|---|---|
"""
SPEED = """## Speed

64 images of 16 x 16 with one channel, because Quantus' ROAD fails for several; both in one run, in turns, the median of {rounds} rounds
({where}).

*Passes alone* are those of our call without anything else: the same inputs in the same chunks, with gradients where it took them. No
program that runs the model as often can be much faster, so that the last column is about the largest ratio that there is; where it is
below the measured one, these inputs came from memory and ours were in the cache. What is left is mostly a fixed cost of some milliseconds
for each call, and for the first calls the search for the size of a chunk, which later calls of the same model go on with.
`Road` takes both orders and Quantus one, so that one order takes half of its time.

| metric | ascribe, ms | Quantus, ms | ratio | passes alone, ms | the largest ratio |
|---|---|---|---|---|---|
"""
QUIET = {"disable_warnings": True, "display_progressbar": False, "return_aggregate": False}


def network(channels: int = 1, size: int = 8) -> nn.Sequential:
    """A small network of images in evaluation mode, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = (nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Flatten())
        return nn.Sequential(*parts, nn.Linear(8 * (size // 2) ** 2, 5)).eval()


@dataclass
class Setting:
    """A network, records, their classes, values of integrated gradients and regions."""

    records: int = 16
    channels: int = 1
    size: int = 8
    net: nn.Sequential = field(init=False)
    x: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.net = network(self.channels, self.size)
        self.x = torch.rand(self.records, self.channels, self.size, self.size, generator=torch.Generator().manual_seed(1))
        self.y = self.net(self.x).argmax(1)
        self.of = asc.Labels(tuple(self.y.tolist()))
        self.a = asc.IntegratedGradients(0.0)(self.net, self.x, of=self.of)
        self.values = self.a.values.detach().numpy()
        self.mask = np.zeros((self.records, 1, self.size, self.size), bool)
        self.mask[:, :, 2:6, 2:6] = True

    def ours(self, metric: metrics.Metric, explained: Any = None, **kwargs: Any) -> metrics.Scores:
        """The scores of a metric of ascribe."""
        return metric(self.a if explained is None else explained, self.net, self.x, of=self.of, **kwargs)

    def theirs(self, name: str, *, values: np.ndarray | None = None, masks: bool = False, method: Any = None, **settings: Any) -> Any:
        """The scores of a metric of Quantus."""
        made = {**QUIET, "normalise": False, **settings}
        metric = getattr(import_module("quantus"), name)(**made)
        call: dict[str, Any] = {"a_batch": self.values if values is None else values} if method is None else {"explain_func": method}
        if masks:
            call["s_batch"] = self.mask
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            return metric(
                model=self.net, x_batch=self.x.numpy(), y_batch=self.y.numpy(), device="cpu", softmax=False, channel_first=True, **call
            )


def saliency(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: Any) -> np.ndarray:
    """The gradient, as a function for Quantus."""
    x = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
    model(x).gather(1, torch.as_tensor(targets).long()[:, None]).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def largest(values: np.ndarray, **_: Any) -> np.ndarray:
    """Values with the largest absolute value of each record at 1."""
    scaled: np.ndarray = values / np.abs(values).max((1, 2, 3), keepdims=True)
    return scaled


Numbers = Callable[[Setting], Any]
CASES: dict[str, tuple[Numbers, Numbers, float]] = {
    "Sparseness": (lambda s: s.ours(metrics.Sparseness()).values, lambda s: s.theirs("Sparseness", abs=True), 1e-4),
    "Entropy": (lambda s: s.ours(metrics.Entropy()).values, lambda s: s.theirs("Complexity", abs=True), 1e-5),
    "EffectiveComplexity": (
        lambda s: s.ours(metrics.EffectiveComplexity(0.01)).values,
        lambda s: s.theirs("EffectiveComplexity", eps=0.01, abs=True, normalise=True, normalise_func=largest),
        0.0,
    ),
    "PointingGame": (
        lambda s: s.ours(metrics.PointingGame(s.mask)).values,
        lambda s: s.theirs("PointingGame", masks=True, abs=False),
        0.0,
    ),
    "TopKIntersection": (
        lambda s: s.ours(metrics.TopKIntersection(s.mask, k=10)).values,
        lambda s: s.theirs("TopKIntersection", masks=True, k=10, abs=False),
        1e-9,
    ),
    "RelevanceRank": (
        lambda s: s.ours(metrics.RelevanceRank(s.mask)).values,
        lambda s: s.theirs("RelevanceRankAccuracy", masks=True, abs=False),
        1e-9,
    ),
    "RelevanceMass, of absolute values": (
        lambda s: s.ours(metrics.RelevanceMass(s.mask), np.abs(s.values)).values,
        lambda s: s.theirs("RelevanceMassAccuracy", masks=True, abs=True),
        1e-6,
    ),
    "LocalisationAuc": (
        lambda s: s.ours(metrics.LocalisationAuc(s.mask)).values,
        lambda s: s.theirs("AUC", masks=True, abs=False),
        1e-6,
    ),
    "Deletion, the curve": (
        lambda s: next(iter(s.ours(metrics.Deletion(by=0.0, steps=None)).curves.values())).values[1:].T,
        lambda s: s.theirs("PixelFlipping", perturb_baseline=0.0, features_in_step=1, abs=False),
        1e-5,
    ),
    "MonotonicityCorrelation": (
        lambda s: s.ours(metrics.MonotonicityCorrelation(by=0.0)).values,
        lambda s: s.theirs("MonotonicityCorrelation", perturb_baseline=0.0, nr_samples=1, abs=True),
        1e-6,
    ),
    "FaithfulnessEstimate": (
        lambda s: s.ours(metrics.FaithfulnessEstimate(by=0.0)).values,
        lambda s: s.theirs("FaithfulnessEstimate", perturb_baseline=0.0, features_in_step=1, abs=False),
        1e-5,
    ),
    "FaithfulnessCorrelation, the mean over the records of 2,000 subsets": (
        lambda s: [s.ours(metrics.FaithfulnessCorrelation(by=0.0, samples=2000, share=13 / 64)).mean],
        lambda s: [np.mean(s.theirs("FaithfulnessCorrelation", perturb_baseline=0.0, nr_runs=2000, subset_size=13, abs=False))],
        0.02,
    ),
}
"""For each metric: ours, theirs, and the largest difference."""

TIMED: dict[str, tuple[Numbers, Numbers]] = {
    "pixel flipping, 32 steps": (
        lambda s: s.ours(metrics.Deletion(by=0.0, steps=32)),
        lambda s: s.theirs("PixelFlipping", perturb_baseline=0.0, features_in_step=s.x[0].numel() // 32, abs=False),
    ),
    "ROAD, 9 shares": (
        lambda s: s.ours(metrics.Road()),
        lambda s: s.theirs("ROAD", percentages=list(range(10, 100, 10)), abs=False),
    ),
    "faithfulness correlation, 100 subsets": (
        lambda s: s.ours(metrics.FaithfulnessCorrelation(by=0.0, samples=100)),
        lambda s: s.theirs("FaithfulnessCorrelation", perturb_baseline=0.0, nr_runs=100, subset_size=s.x[0].numel() // 5, abs=False),
    ),
    "max sensitivity of the gradient, 10 neighbours": (
        lambda s: s.ours(metrics.Sensitivity(radius=0.2, samples=10), asc.Saliency(signed=True)),
        lambda s: s.theirs("MaxSensitivity", nr_samples=10, lower_bound=0.2, method=saliency),
    ),
    "MPRT of the gradient, three layers": (
        lambda s: s.ours(metrics.ParameterRandomization(), asc.Saliency(signed=True)),
        lambda s: s.theirs("MPRT", abs=False, method=saliency),
    ),
    "sparseness": (lambda s: s.ours(metrics.Sparseness()), lambda s: s.theirs("Sparseness", abs=True)),
    "entropy": (lambda s: s.ours(metrics.Entropy()), lambda s: s.theirs("Complexity", abs=True)),
    "relevance rank": (
        lambda s: s.ours(metrics.RelevanceRank(s.mask)),
        lambda s: s.theirs("RelevanceRankAccuracy", masks=True, abs=False),
    ),
    "monotonicity correlation": (
        lambda s: s.ours(metrics.MonotonicityCorrelation(by=0.0)),
        lambda s: s.theirs("MonotonicityCorrelation", perturb_baseline=0.0, nr_samples=1, abs=True),
    ),
    "faithfulness estimate": (
        lambda s: s.ours(metrics.FaithfulnessEstimate(by=0.0)),
        lambda s: s.theirs("FaithfulnessEstimate", perturb_baseline=0.0, features_in_step=1, abs=False),
    ),
}
"""Calls of both with the same work."""


def difference(name: str, setting: Setting) -> float:
    """The largest difference between the numbers of the two."""
    ours, theirs, _ = CASES[name]
    a, b = (np.asarray(f(setting), float) for f in (ours, theirs))
    return float(np.abs(a - b.reshape(a.shape)).max())


def seconds(call: Numbers, setting: Setting) -> float:
    """The time of one call."""
    start = time.perf_counter()
    call(setting)
    return time.perf_counter() - start


def race(name: str, setting: Setting, rounds: int) -> tuple[float, float]:
    """The median seconds of both, in turns, after one call each."""
    pair = TIMED[name]
    for call in pair:
        call(setting)
    taken = [[seconds(call, setting) for call in pair] for _ in range(rounds)]
    return median(t[0] for t in taken), median(t[1] for t in taken)


def bare(name: str, setting: Setting, rounds: int) -> float:
    """The median seconds of the passes of our call alone, with the inputs that it ran; 0 without any."""
    ran: list[tuple[torch.Tensor, bool]] = []
    hook = setting.net.register_forward_pre_hook(lambda _, args: ran.append((args[0].detach().clone(), torch.is_grad_enabled())))
    TIMED[name][0](setting)
    hook.remove()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        for rows, gradients in ran:
            with torch.set_grad_enabled(gradients):
                inputs = rows.detach().requires_grad_(gradients)
                scores = setting.net(inputs)
                if gradients:
                    torch.autograd.grad(scores[:, 0].sum(), inputs)
        taken.append(time.perf_counter() - start)
    return median(taken)


def report(rounds: int) -> str:
    """The page."""
    setting = Setting()
    same = [f"| `{name}` | {difference(name, setting):.0e} |" for name in CASES]
    timed = Setting(records=64, size=16)
    rows = []
    for name in TIMED:
        ours, theirs = race(name, timed, rounds)
        alone = bare(name, timed, rounds)
        limit = f"{alone * 1e3:.1f} | {theirs / alone:.1f}" if alone > 1e-4 else "none | "
        rows.append(f"| {name} | {ours * 1e3:.1f} | {theirs * 1e3:.1f} | {theirs / ours:.1f} | {limit} |")
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
    where = f"{date.today()}, {machine}"
    return "\n".join([*HEAD.splitlines(), *same, "", *SPEED.format(rounds=rounds, where=where).splitlines(), *rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/quantus.md")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not HERE:
        sys.exit("Quantus is not installed: make parity")
    text = report(args.rounds)
    sys.stdout.write(text)
    if args.commit:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
