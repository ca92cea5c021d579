"""``python -m bench.accuracy``: how near sampled Shapley values come at the same number of model evaluations, beside captum and shap.

Prints a table; ``--commit`` also writes docs/shapley-accuracy.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ascribe.coalitions import Leverage, Permutations, ShapleyKernel
from bench.shapley_games import FEATURES, PLAYERS, Table, tables

PAGE = Path(__file__).parents[1] / "docs" / "shapley-accuracy.md"
BUDGETS = (64, 256, 1024)
OURS, CAPTUM, SHAP = "ShapleyKernel", "captum KernelShap", "shap KernelExplainer"
AIMS = {CAPTUM: 0.5, SHAP: 1.0}
"""What ascribe's error is to be, at most, as a share of each."""
WORDS = """Mean squared error to the exact Shapley values, as a share of their mean square, over {records} records and {seeds} seeds of each
model: 12 features, a removed one takes its mean, {budgets} evaluations of the model at most. Ratios are ascribe's `ShapleyKernel` over
the other library, with 95 % intervals (bootstrap over seeds, the same for both); aimed at is at most half of captum's error and at
most shap's. `l1` is shap's default, which keeps ten features. Written by `python -m bench.accuracy --commit`."""

Run = Callable[[Table, int, int], np.ndarray]


def ascribe_run(make: Callable[[int], Any]) -> Run:
    def run(table: Table, budget: int, seed: int) -> np.ndarray:
        game = make(budget).game(PLAYERS, seed)
        while (there := game.ask(budget)) is not None:
            game.tell(there, table.look(there)[None, :, None])
        return np.asarray(game.estimate().values).reshape(-1)

    return run


def captum_run(table: Table, budget: int, seed: int) -> np.ndarray:
    """Its samples hold the two ends; all are given to it in one batch, which changes no number."""
    import torch
    from captum.attr import KernelShap

    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.tensor(table.look(x.numpy()))

    torch.manual_seed(seed)
    ends = torch.ones(1, FEATURES), torch.zeros(1, FEATURES)
    return KernelShap(forward).attribute(*ends, n_samples=budget, perturbations_per_eval=budget).numpy().reshape(-1)


def shap_run(l1: Any) -> Run:
    def run(table: Table, budget: int, seed: int) -> np.ndarray:
        import shap

        np.random.seed(seed)  # the only way to seed it
        explainer = shap.KernelExplainer(table.look, np.zeros((1, FEATURES)))
        values = explainer.shap_values(np.ones((1, FEATURES)), nsamples=budget - 2, l1_reg=l1, silent=True)
        return np.asarray(values).reshape(-1)

    return run


RUNS: dict[str, Run] = {
    OURS: ascribe_run(ShapleyKernel),
    "Leverage": ascribe_run(Leverage),
    "Permutations": ascribe_run(Permutations),
    CAPTUM: captum_run,
    SHAP: shap_run(False),
    "shap, l1": shap_run("num_features(10)"),
}


@dataclass(frozen=True, eq=False)
class Race:
    """The errors of every contender on the records of one model at one budget: ``[seeds]``, means over records."""

    model: str
    budget: int
    errors: dict[str, np.ndarray]

    def ratio(self, other: str) -> tuple[float, float, float]:
        """ascribe's error over another's, with an interval over resampled seeds."""
        ours, theirs = self.errors[OURS], self.errors[other]
        draws = np.random.default_rng(0).integers(len(ours), size=(2000, len(ours)))
        low, high = np.quantile(ours[draws].mean(axis=1) / theirs[draws].mean(axis=1), (0.025, 0.975))
        return float(ours.mean() / theirs.mean()), float(low), float(high)


def race(games: Sequence[Table], budget: int, seeds: int) -> Race:
    errors = {
        name: np.array([np.mean([g.error(run(g, budget, seed)) for g in games]) for seed in range(seeds)]) for name, run in RUNS.items()
    }
    return Race(games[0].name, budget, errors)


def lines(races: Sequence[Race]) -> list[list[str]]:
    """A table: errors of all, and the two ratios with whether they are what was aimed at."""
    found = [["model", "evaluations", *RUNS, *(f"ascribe / {name}" for name in AIMS), "aim"]]
    for one in races:
        ratios = {name: one.ratio(name) for name in AIMS}
        met = all(ratios[name][0] <= most for name, most in AIMS.items())
        told = [f"{mid:.2g} [{low:.2g}-{high:.2g}]" for mid, low, high in ratios.values()]
        found.append([one.model, str(one.budget), *(f"{e.mean():.1e}" for e in one.errors.values()), *told, "met" if met else "MISSED"])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    from bench.report import aligned, markdown

    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--records", type=int, default=3, help="of each model")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--commit", action="store_true", help=f"write {PAGE.name} too")
    asked = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    logging.getLogger("shap").setLevel(logging.ERROR)
    found = tables(asked.records)
    names = list(dict.fromkeys(game.name for game in found))
    races = []
    for name in names:
        races += [race([g for g in found if g.name == name], budget, asked.seeds) for budget in asked.budgets]
        sys.stderr.write(f"{name} done\n")
    print(aligned(lines(races)))
    if asked.commit:
        words = WORDS.format(records=asked.records, seeds=asked.seeds, budgets=", ".join(map(str, asked.budgets)))
        PAGE.write_text(f"# How near sampled Shapley values come\n\n{words}\n\n{markdown(lines(races))}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
