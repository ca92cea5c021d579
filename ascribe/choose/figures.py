"""Figures of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..metrics import Metric, Scores
from ..plots import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Scored(Protocol):
    """What is drawn of a comparison."""

    @property
    def methods(self) -> Sequence[Any]: ...
    @property
    def metrics(self) -> Mapping[str, Metric]: ...
    @property
    def scores(self) -> Mapping[tuple[str, str], Scores]: ...


MOST_CURVES = 8
"""The number of methods whose curves are drawn: the best ones."""


def plot_comparison(c: Scored) -> Figure:
    """Returns a figure with a panel of intervals for each metric, and a panel of curves for each metric that has curves."""
    with require_matplotlib():
        from matplotlib.figure import Figure
    curves = [metric for metric in c.metrics if any(s.curves for (_, m), s in c.scores.items() if m == metric)]
    panels = [("scores", metric) for metric in c.metrics] + [("curves", metric) for metric in curves]
    height = max(2.4, 0.32 * len(c.methods) + 1.0)
    figure = Figure(figsize=(5.4 * len(panels), height), layout="constrained")
    for k, (kind, metric) in enumerate(panels):
        ax = figure.add_subplot(1, len(panels), k + 1)
        (draw_scores if kind == "scores" else draw_curves)(ax, c, metric)
    return figure


def ordered(c: Scored, metric: str) -> list[str]:
    """Returns the methods that have a score, the best first."""
    known = {n: s for (n, m), s in c.scores.items() if m == metric and not np.isnan(s.mean)}
    return sorted(known, key=lambda name: known[name].mean, reverse=c.metrics[metric].direction == "higher")


def draw_scores(ax: Any, c: Scored, metric: str) -> None:
    """Draws the mean of each method with its interval."""
    names = ordered(c, metric)
    controls = {row.name for row in c.methods if row.control}
    for k, name in enumerate(names):
        scores = c.scores[name, metric]
        low, high = scores.interval()
        colour = "0.6" if name in controls else "C0"
        if np.isfinite(low):
            ax.plot([low, high], [k, k], color=colour, linewidth=2)
        ax.plot([scores.mean], [k], "o", color=colour)
    ax.set_yticks(range(len(names)))
    ax.set_yticklabels(names, parse_math=False)
    ax.invert_yaxis()
    ax.set_xlabel(f"{metric} ({c.metrics[metric].direction} is better)", parse_math=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def draw_curves(ax: Any, c: Scored, metric: str) -> None:
    """Draws the mean curves of the best methods, with the interval of the mean at each point."""
    with require_matplotlib():
        from ..plots import removal_curves
    removal_curves.draw_curves(ax, {name: c.scores[name, metric] for name in ordered(c, metric)[:MOST_CURVES]}, inside=True)
    ax.set_xlabel("share of features removed (dashed: least relevant first)")
