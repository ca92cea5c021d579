"""``python -m benchmarks.accuracy``: how near sampled Shapley values come at the same number of model evaluations, with captum, shap and
shapiq for comparison.

Prints a table; ``--commit`` also writes docs/reports/shapley-accuracy.md. shapiq's newest release needs Python 3.12:
``make peers`` installs it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ascribe.coalitions import Leverage, Permutations, Players, ShapleyRegression
from benchmarks.shapley_games import Table, products, tables

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "shapley-accuracy.md"
BUDGETS = (64, 256, 1024)
OURS, CAPTUM, SHAP = "ShapleyRegression", "captum KernelShap", "shap KernelExplainer"
AIMS = {CAPTUM: 0.5, SHAP: 1.0}
"""What ascribe's error is to be, at most, as a share of each; of the best of shapiq's estimators it is to be below 1."""
WORDS = """Mean squared error to the exact Shapley values, as a share of their mean square, over {records} records and {seeds} seeds of each
model: 12 features, removed features take their mean, {budgets} evaluations of the model at most; and a sum of 150 products of 1 to 6 of
30 features, for which a budget of 64 is too small for ascribe's fit. Ratios are ascribe's `ShapleyRegression` over the other library,
with 95 % intervals
(bootstrap over seeds, the same for both); the targets are at most half of captum's error, at most shap's, and at most that of
the best of shapiq's five estimators. `l1` is shap's default, which keeps ten features. No estimator sees more distinct coalitions than
the budget. Measured with {versions}; written by `make peers`."""

Run = Callable[[Table, int, int], np.ndarray]


def ascribe_run(make: Callable[[int], Any]) -> Run:
    def run(table: Table, budget: int, seed: int) -> np.ndarray:
        game = make(budget).game(Players(table.features), seed)
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
    ends = torch.ones(1, table.features), torch.zeros(1, table.features)
    return KernelShap(forward).attribute(*ends, n_samples=budget, perturbations_per_eval=budget).numpy().reshape(-1)


def shap_run(l1: Any) -> Run:
    def run(table: Table, budget: int, seed: int) -> np.ndarray:
        import shap

        np.random.seed(seed)  # the only way to seed it
        explainer = shap.KernelExplainer(table.look, np.zeros((1, table.features)))
        values = explainer.shap_values(np.ones((1, table.features)), nsamples=budget - 2, l1_reg=l1, silent=True)
        return np.asarray(values).reshape(-1)

    return run


def shapiq_run(make: Callable[[Any, int, int], Any]) -> Run:
    def run(table: Table, budget: int, seed: int) -> np.ndarray:
        import shapiq

        found = make(shapiq, table.features, seed).approximate(budget, table.look)
        return np.array([found[(i,)] for i in range(table.features)])

    return run


RUNS: dict[str, Run] = {
    OURS: ascribe_run(ShapleyRegression),
    "Leverage": ascribe_run(Leverage),
    "Permutations": ascribe_run(Permutations),
    CAPTUM: captum_run,
    SHAP: shap_run(False),
    "shap, l1": shap_run("num_features(10)"),
}
SHAPIQ: dict[str, Run] = {
    "shapiq LeverageSHAP": shapiq_run(lambda lib, n, seed: lib.LeverageSHAP(n, random_state=seed)),
    "shapiq PolySHAP 3": shapiq_run(lambda lib, n, seed: lib.PolySHAP(n, max_order=3, pairing_trick=True, random_state=seed)),
    "shapiq OddSHAP": shapiq_run(lambda lib, n, seed: lib.OddSHAP(n, random_state=seed)),
    "shapiq RegressionMSR": shapiq_run(lambda lib, n, seed: lib.RegressionMSR(n, "SV", random_state=seed)),
    "shapiq ProxySHAP": shapiq_run(lambda lib, n, seed: lib.ProxySHAP(n, max_order=1, index="SV", random_state=seed)),
}
if find_spec("shapiq") is not None:
    RUNS |= SHAPIQ


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

    def best_of_shapiq(self) -> str | None:
        """The one of shapiq's estimators with the smallest error, where shapiq is there."""
        return min((name for name in self.errors if name in SHAPIQ), key=lambda name: self.errors[name].mean(), default=None)


def race(games: Sequence[Table], budget: int, seeds: int) -> Race:
    errors = {
        name: np.array([np.mean([g.error(run(g, budget, seed)) for g in games]) for seed in range(seeds)]) for name, run in RUNS.items()
    }
    return Race(games[0].name, budget, errors)


def lines(races: Sequence[Race]) -> list[list[str]]:
    """A table: errors of all, the ratios to captum, shap and the best of shapiq, and whether they meet the targets."""
    found = [["model", "evaluations", *RUNS, *(f"ascribe / {name}" for name in AIMS), "ascribe / best of shapiq", "target"]]
    for one in races:
        best = one.best_of_shapiq()
        ratios = {name: one.ratio(name) for name in (*AIMS, *([best] if best else []))}
        met = all(middle <= AIMS.get(name, 1.0) for name, (middle, _, _) in ratios.items())
        shown = [f"{mid:.2g} [{low:.2g}-{high:.2g}]" for mid, low, high in ratios.values()] + ["-"] * (best is None)
        found.append([one.model, str(one.budget), *(f"{e.mean():.1e}" for e in one.errors.values()), *shown, "met" if met else "MISSED"])
    return found


def versions() -> str:
    """The releases that were compared."""
    return ", ".join(f"{name} {version(name)}" for name in ("captum", "shap", "shapiq") if find_spec(name) is not None)


def main(argv: Sequence[str] | None = None) -> int:
    from benchmarks.report import aligned, markdown

    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--records", type=int, default=3, help="records of each model")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--commit", action="store_true", help=f"write {PAGE.name} too")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    logging.getLogger("shap").setLevel(logging.ERROR)
    found = [*tables(options.records), products(30, 150)]
    names = list(dict.fromkeys(game.name for game in found))
    races = []
    for name in names:
        games = [g for g in found if g.name == name]
        races += [race(games, budget, options.seeds) for budget in options.budgets if budget >= 3 * games[0].features + 2]
        sys.stderr.write(f"{name} done\n")
    print(aligned(lines(races)))
    if options.commit:
        words = WORDS.format(
            records=options.records, seeds=options.seeds, budgets=", ".join(map(str, options.budgets)), versions=versions()
        )
        PAGE.write_text(f"# How near sampled Shapley values come\n\n{words}\n\n{markdown(lines(races))}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
