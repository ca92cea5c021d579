"""Figures of results with matplotlib, without pyplot: no global state changes and no window opens."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..display.layouts import Kind, resolve_kind
from ..errors import ResultError
from ..result.parts import part_at
from ..result.rows import axis_labels, is_tokens, record_rows
from ..result.summary import describe_record, method_expression
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .needs import require_matplotlib as require_matplotlib
from .table_data import format_value
from .texts import text, token_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..result.attribution import Attribution
    from .many_records import decisions, heatmap, interactions
    from .tables import beeswarm, dependence, importance, waterfall

__all__ = [
    "beeswarm", "compare", "decisions", "dependence", "heatmap", "importance", "interactions", "plot", "text", "token_matrix",
    "waterfall",
]  # fmt: skip

LATER = {
    "beeswarm": "tables", "decisions": "many_records", "dependence": "tables", "heatmap": "many_records", "importance": "tables",
    "interactions": "many_records", "waterfall": "tables",
}  # fmt: skip
"""Figures in modules that import matplotlib, which are loaded when they are first used."""

CHANNELS = {"series": 1, "series_last": 2}
"""The axis of the channels of a series, counted from the batch dimension."""
AXIS = {"series": ("time",), "series_last": ("time",)}


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with require_matplotlib():
        return getattr(import_module(f".{LATER[name]}", __name__), name)


@check_arguments
def plot(
    a: Attribution,
    ax: Axes | None = None,
    *,
    record: int = 0,
    kind: Kind | None = None,
    names: Sequence[object] | None = None,
    image: Any = None,
    top: int = 15,
    merge: bool = True,
) -> Figure:
    """Returns the figure of one record; see :meth:`ascribe.result.attribution.Attribution.plot`. ``names`` are features or tokens.

    Raises ResultError if matplotlib is not installed, the kind does not fit, or there are several arrays or quantities.
    """
    values, under, error = select_record(a, record)
    under = under if image is None else as_numpy(image)
    kind = "tokens" if kind is None and values.ndim == 1 and is_tokens(a) else kind
    resolved = resolve_kind(values.shape, kind, () if under is None else under.shape)
    if resolved == "tokens":
        return text(a, ax, records=[record], tokens=names, merge=merge)
    if names is None and resolved in CHANNELS:
        names = axis_labels(a, CHANNELS[resolved], record % len(a), values.shape[CHANNELS[resolved] - 1])
    if resolved == "bars":
        rows = record_rows(a, values, error, record % len(a))
        values, error = rows.values, rows.error
        named = names is None and rows.names is not None
        labels = rows.labels(names, "feature")
        names = with_values(labels, rows.record_values(under), resolved) if named else labels
    with require_matplotlib():
        from . import draw
    drawing = draw.Drawing(values, under, names, top, error)
    ax = draw.new_figure(resolved, drawing).add_subplot() if ax is None else ax
    draw.DRAW[resolved](ax, drawing)
    title = textwrap.fill(escape_control(method_expression(a.method)), 44 if resolved.startswith("image") else 64)
    ax.set_title(title, fontsize="medium", loc="left", parse_math=False)
    caption = textwrap.fill(" · ".join([*AXIS.get(resolved, ()), describe_panel(a, record)]), 52 if resolved.startswith("image") else 84)
    ax.set_xlabel(caption, loc="left", fontsize="small", color="0.4", parse_math=False)
    figure: Figure = ax.figure.figure
    return figure


def with_values(names: Sequence[object], values: Sequence[Any] | None, kind: str) -> Sequence[object]:
    """Returns ``age = 54`` for the names of bars; the names alone for other figures and for records that are not known."""
    if values is None or kind != "bars":
        return names
    return [name if isinstance(value, list) else f"{name} = {format_value(value)}" for name, value in zip(names, values, strict=True)]


def compare(results: Mapping[str, Attribution], columns: int = 4, **look: Any) -> Figure:
    """Returns a figure with one panel for each result, to compare methods on one record.

    ``results`` maps titles to results. ``columns`` is the number of panels in a row; ``look`` are arguments of :func:`plot`.
    """
    if not results:
        raise ResultError("`asc.plots.compare` needs at least one result", found="an empty dict", advice="asc.plots.compare({'name': a})")
    with require_matplotlib():
        from . import draw

    figure, panels = draw.new_panels(len(results), columns)
    for ax, (name, a) in zip(panels, results.items(), strict=True):
        plot(a, ax, **look)
        ax.set_title(escape_control(name), fontsize="medium", loc="left", parse_math=False)
        ax.set_xlabel("")
    first = next(iter(results.values()))
    figure.suptitle(describe_panel(first, look.get("record", 0)), fontsize="medium", color="0.4", parse_math=False)
    return figure


def describe_panel(a: Attribution, record: int) -> str:
    """Returns the caption of a record: its index, class and gap."""
    text = describe_record(a, record)
    return escape_control(f"record {record % len(a)}" + (f": {text}" if text else ""))


def select_record(a: Attribution, record: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Returns the values of one record, the record itself, and the standard errors of the values.

    Raises ResultError for several arrays or quantities, and for a record that does not exist.
    """
    arrays = a.arrays()
    if a.quantities is not None:
        raise ResultError("A figure shows one quantity", found=f"{a.quantities} quantities", advice="a.quantity_at(0).plot()")
    if len(arrays) != 1:
        parts = ", ".join(f"a.part({', '.join(map(repr, path))})" for path, _ in arrays)
        raise ResultError("A figure shows one array", found=f"{len(arrays)} arrays", advice=parts)
    if not -len(a) <= record < len(a):
        raise ResultError(f"Record {record} is out of range", found=f"{len(a)} records", advice="a.plot(record=0)")
    path, values = arrays[0]

    def at_same_path(tree: Any) -> np.ndarray | None:
        leaf = part_at(tree, path)
        return as_numpy(leaf[record]) if is_array(leaf) and tuple(leaf.shape[:1]) == (len(a),) else None

    return as_numpy(values[record]), at_same_path(a.record), at_same_path(a.error)
