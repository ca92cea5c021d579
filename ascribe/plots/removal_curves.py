"""Figures of removal curves of metrics, and of the operations that a rule treats. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import ResultError
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from ..utils.intervals import bootstrap_means, expanded_tail
from .canvas import name_length, start, width_of
from .images import label_axes

SHADES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f7f7f")
"""Colours of methods: Okabe and Ito's, which differ for common colour vision deficiencies."""
MARKS = "os^Dv<>P"
"""Markers of methods, by which they differ without colours."""
DRAWS = 400
"""The number of resamples for the interval at each point of a curve."""
WITHOUT = "#d55e00"
TREATED = "#4a6fa5"


class RemovalCurve(Protocol):
    """The quantity ``values`` ``[points, records]`` at shares of removed features; ``area`` has that under it, ``[records]``."""

    @property
    def removed(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def area(self) -> np.ndarray: ...


class Curved(Protocol):
    """Scores that have curves by their order of removal."""

    @property
    def curves(self) -> Mapping[str, Any]: ...


@check_arguments
def curves(scores: Curved | Mapping[str, Curved], ax: Axes | None = None, *, title: str | None = None) -> Figure:
    """Returns the figure of the quantity while features are removed: the mean over records, its 95 % interval, the mean area.

    >>> figure = asc.plots.curves({"IG": asc.metrics.Deletion()(a, model, x), "random": deletion_of_random})  # doctest: +SKIP

    *Use it when* you look at what the numbers of ``Deletion``, ``Insertion``, ``RelevanceGain`` or ``Irof`` are areas of. ``scores`` are
    the scores of one method, or of several by their names. Solid curves remove the most relevant features first, dashed ones the least
    relevant first: features that are inserted with the most relevant first, read from right to left.

    Raises ResultError for scores without curves.
    """
    named: dict[str, Curved] = dict(scores) if isinstance(scores, Mapping) else {"": scores}
    without = [name for name, one in named.items() if not one.curves]
    if without or not named:
        found = f"no curves of {without[0]!r}" if without and without[0] else "no curves"
        raise ResultError(
            "Only scores of removal have curves, with one replacement each", found=found, advice="asc.metrics.Deletion()(a, model, x)"
        )
    _, ax = start(ax, (6.4, 3.6 + 0.2 * len(named)))
    draw_curves(ax, named)
    every = [curve for one in named.values() for curve in one.curves.values()]
    records = every[0].values.shape[1]
    orders = dict.fromkeys(order for one in named.values() for order in one.curves)
    drawn = "; ".join(f"{'dashed' if is_dashed(order) else 'solid'}: {order}" for order in orders)
    spread = ", mean and 95 % interval" if records > 1 else ""
    caption = f"share of features removed\n{drawn} · {records} record{'s' * (records != 1)}{spread}"
    label_axes(ax, title or "", caption, left=0.8, above=8 + 14.5 * len(named))
    figure: Figure = ax.figure.figure
    return figure


def is_dashed(order: str) -> bool:
    """Returns whether the curves of an order of removal are dashed."""
    return order.startswith("least")


def draw_curves(ax: Axes, named: Mapping[str, Curved], *, inside: bool = False) -> None:
    """Draws the curves of methods on axes, with a legend of the mean areas above them, or ``inside``."""
    long = int(14 * (width_of(ax) - 1.5))
    for k, (name, one) in enumerate(named.items()):
        label = _legend_text(name, one.curves, long)
        for order, curve in one.curves.items():
            draw_curve(ax, curve, k, dashed=is_dashed(order), label=label)
            label = "_"
    ax.set_ylabel("mean score", fontsize="small")
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.spines[["top", "right"]].set_visible(False)
    where: dict[str, Any] = {"loc": "best"} if inside else {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
    legend = ax.legend(fontsize="small", frameon=False, **where)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _legend_text(name: str, curves: Mapping[str, RemovalCurve], long: int) -> str:
    """Returns the name of a method and the mean areas of its curves."""
    areas = {order: f"{np.nanmean(curve.area):.3g}".replace("-", "−") for order, curve in curves.items()}
    said = ", ".join(f"dashed {area}" if is_dashed(order) and len(areas) > 1 else f"area {area}" for order, area in areas.items())
    room = max(8, long - len(said) - 2)
    short = escape_control(name)
    return ": ".join(filter(None, [short if len(short) <= room else short[: room - 1] + "…", said]))


def draw_curve(ax: Axes, curve: RemovalCurve, k: int, *, dashed: bool, label: str) -> None:
    """Draws the mean of a curve and its interval, in the colour and with the marker of method ``k``."""
    colour, mark = SHADES[k % len(SHADES)], MARKS[k % len(MARKS)]
    mean = np.nanmean(curve.values, 1)
    records = curve.values.shape[1]
    if records > 1:
        tail = expanded_tail(0.025, records)
        low, high = np.nanquantile(bootstrap_means(curve.values.T, DRAWS), [tail, 1 - tail], axis=0)
        ax.fill_between(curve.removed, low, high, color=colour, alpha=0.15, linewidth=0)
    every = max(1, len(mean) // 6)
    style: dict[str, Any] = {"linestyle": "--" if dashed else "-", "linewidth": 1.6, "marker": mark, "markersize": 4.5}
    ax.plot(curve.removed, mean, color=colour, label=label, markevery=(min(k, every - 1), every), **style)


class Applied(Protocol):
    """One row of a table of rules."""

    @property
    def rule(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def times(self) -> int: ...
    @property
    def exact(self) -> bool: ...


class Rules(Protocol):
    """A table of rules."""

    @property
    def rows(self) -> Sequence[Any]: ...


@check_arguments
def rules(table: Rules, ax: Axes | None = None, *, title: str | None = None) -> Figure:
    """Returns the figure of the share of operations that each formula of a rule treats; those without a formula are hatched.

    >>> figure = asc.plots.rules(asc.explain_rules(model, x, by=asc.rules.Epsilon()))  # doctest: +SKIP

    *Use it when* you ask whether a rule fits a model: operations without a formula pass the gradient. Raises ResultError for a table
    without operations.
    """
    counts: dict[tuple[bool, str], int] = {}
    kinds: dict[tuple[bool, str], set[str]] = {}
    for row in table.rows:
        key = (bool(row.exact), row.rule)
        counts[key] = counts.get(key, 0) + row.times
        kinds.setdefault(key, set()).add(row.operation)
    total = sum(counts.values())
    if not total:
        raise ResultError("The table of rules has no operations", found="an empty table", advice="asc.explain_rules(model, x, by=rule)")
    order = sorted(counts, key=lambda key: (not key[0], counts[key]), reverse=True)  # without a formula first
    _, ax = start(ax, (6.4, 1.5 + 0.42 * len(order)))
    most = max(14, int(1.4 * name_length(ax)))
    for place, key in enumerate(order):
        share = counts[key] / total
        look: dict[str, Any] = {"color": TREATED} if key[0] else {"facecolor": "white", "edgecolor": WITHOUT, "hatch": "////"}
        ax.barh(place, share, height=0.62, **look)
        text = f" {100 * share:.3g} % ({counts[key]})"
        ax.text(share, place, text, va="center", ha="left", fontsize="small")
    labels = [_label_rule(key, kinds[key], most) for key in order]
    ax.set_yticks(range(len(order)), labels=labels, parse_math=False, fontsize="small")
    ax.set_ylim(len(order) - 0.4, -0.6)
    longest = max(counts.values()) / total
    ax.set_xlim(0, longest * (1 + 1.15 / max(0.6, width_of(ax) - 2.3)))
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    missing = sum(count for (exact, _), count in counts.items() if not exact)
    caption = f"share of {total} operations; hatched: without a formula ({missing})" if missing else f"share of {total} operations"
    label_axes(ax, title or "", caption, left=width_of_rules(labels))
    figure: Figure = ax.figure.figure
    return figure


def width_of_rules(labels: Sequence[str]) -> float:
    """Returns the width in inches that the labels of rules take, about."""
    return 0.1 + 0.075 * max(len(line) for label in labels for line in label.split("\n"))


def _label_rule(key: tuple[bool, str], operations: set[str], most: int) -> str:
    """Returns the formula, with its operations in a second line."""
    rule = escape_control(key[1] if key[0] else f"none: {key[1]}")
    names = ", ".join(sorted(map(escape_control, operations)))
    return "\n".join(text if len(text) <= most else text[: most - 1] + "…" for text in (rule, names))
