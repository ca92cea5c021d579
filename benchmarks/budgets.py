"""``python -m benchmarks.budgets``: the error of every Shapley estimator against its budget, on games whose values are known.

Prints the table; ``--commit`` also writes docs/reports/shapley-budgets.md and the figure.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ascribe.coalitions import Leverage, Permutations, Players, ShapleyRegression
from ascribe.errors import CoalitionError
from benchmarks.shapley_games import FEATURES, Table, products, table, tables

DOCS = Path(__file__).parents[1] / "docs" / "reports"
ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "ShapleyRegression": ShapleyRegression,
    "Leverage": Leverage,
    "ShapleyRegression, smooth=True": lambda budget: ShapleyRegression(budget, smooth=True),
    "ShapleyRegression, smooth=False": lambda budget: ShapleyRegression(budget, smooth=False),
    "ShapleyRegression, paired=False": lambda budget: ShapleyRegression(budget, paired=False),
    "Permutations": Permutations,
    "Permutations, circles": lambda budget: Permutations(budget, "circles"),
    "Permutations, independent": lambda budget: Permutations(budget, "independent"),
}
COLOURS = ("#0072b2", "#56b4e9", "#000000", "#009e73", "#999999", "#d55e00", "#e69f00", "#cc79a7")
BUDGETS = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
WORDS = """Mean squared error to the exact Shapley values, as a share of their mean square, over {seeds} seeds, against the number of
coalitions evaluated. A net and a forest at a record with 12 features, where all 4,096 coalitions make every estimator exact; a
table of random numbers, in which coalitions are independent; and a sum of 150 products of 1 to 6 of 30 features. A line begins
at the least budget of its estimator; it ends where the error of a smooth fit vanishes.
Written by `python -m benchmarks.budgets --commit`."""


def error(game: Table, over: Any, seed: int) -> float:
    run = over.game(Players(game.features), seed)
    while (there := run.ask(4096)) is not None:
        run.tell(there, game.look(there)[None, :, None])
    return game.error(run.estimate().values)


def games() -> list[Table]:
    models = {t.name: t for t in tables(1)}
    noise = table("random numbers", np.random.default_rng(3).normal(size=2**FEATURES))
    return [models["wine net"], models["cancer forest"], noise, products(30, 150)]


def curve(game: Table, make: Callable[[int], Any], seeds: int) -> dict[int, float]:
    """The mean error at each budget that has room."""
    found = {}
    for budget in BUDGETS:
        try:
            over = make(budget)
            over.rows(Players(game.features))
        except CoalitionError:
            continue
        found[budget] = float(np.mean([error(game, over, seed) for seed in range(seeds)]))
    return found


def draw_curves(curves: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    for axes, (name, lines) in zip(figure.subplots(2, 2).flat, curves.items(), strict=True):
        for colour, (label, line) in zip(COLOURS, lines.items(), strict=True):
            seen = {b: e for b, e in line.items() if e > 1e-20}
            axes.loglog(list(seen), list(seen.values()), ".-", color=colour, label=label, linewidth=1.3, markersize=4)
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3)
        axes.set_xlabel("coalitions", fontsize=8)
        axes.set_ylabel("relative squared error", fontsize=8)
        axes.tick_params(labelsize=8)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=80)
    with Image.open(path) as drawn:  # a handful of colours on white: a quarter of the size
        drawn.convert("P", palette=Image.Palette.ADAPTIVE, colors=48).save(path, optimize=True)


def lines(curves: dict[str, dict[str, dict[int, float]]], budgets: Sequence[int] = (64, 256, 1024, 2048)) -> list[list[str]]:
    table = [["game", "estimator", *map(str, budgets)]]
    for name, found in curves.items():
        table += [[name, label, *(f"{line[b]:.1e}" if b in line else "-" for b in budgets)] for label, line in found.items()]
    return table


def main(argv: Sequence[str] | None = None) -> int:
    from benchmarks.report import aligned, markdown

    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--commit", action="store_true", help="also write the page and the figure")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    curves = {game.name: {label: curve(game, make, options.seeds) for label, make in ESTIMATORS.items()} for game in games()}
    print(aligned(lines(curves)))
    if options.commit:
        draw_curves(curves, DOCS / "shapley-budgets.png")
        shown = "![Error against budget](shapley-budgets.png)"
        text = f"# Error against budget\n\n{WORDS.format(seeds=options.seeds)}\n\n{shown}\n\n{markdown(lines(curves))}\n"
        (DOCS / "shapley-budgets.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
