"""Figures of results with matplotlib, without pyplot: no global state changes and no window opens."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..arrays import as_numpy
from ..errors import ResultError
from ..result.rows import record_rows
from ..result.summary import method_expression
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .needs import require_matplotlib as require_matplotlib
from .records import describe_panel, find_kind
from .records import select_record as select_record
from .table_data import format_value
from .texts import text, token_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..display.layouts import Kind
    from ..result.attribution import Attribution
    from .images import image
    from .lanes import series
    from .layers import depth, heads
    from .many_records import decisions, heatmap, interactions
    from .removal_curves import curves, rules
    from .stacks import frames, volume
    from .tables import beeswarm, dependence, importance, waterfall

__all__ = [
    "beeswarm", "compare", "curves", "decisions", "dependence", "depth", "frames", "heads", "heatmap", "image", "importance",
    "interactions", "plot", "rules", "series", "text", "token_matrix", "volume", "waterfall",
]  # fmt: skip

LATER = {
    "beeswarm": "tables", "curves": "removal_curves", "decisions": "many_records", "dependence": "tables", "depth": "layers",
    "frames": "stacks", "heads": "layers", "heatmap": "many_records", "image": "images", "importance": "tables",
    "interactions": "many_records", "rules": "removal_curves", "series": "lanes", "volume": "stacks", "waterfall": "tables",
}  # fmt: skip
"""Figures in modules that import matplotlib, which are loaded when they are first used."""


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
    resolved = find_kind(a, values, under, kind)
    if resolved == "tokens":
        return text(a, ax, records=[record], tokens=names, merge=merge)
    with require_matplotlib():
        from . import draw, images, lanes
    if resolved.startswith("image"):
        return images.image(a, ax, record=record, kind=resolved, image=image)
    if resolved.startswith("series"):
        return lanes.series(a, ax, record=record, kind=resolved, names=names, top=top)
    rows = record_rows(a, values, error, record % len(a))
    labels: Sequence[object] = rows.labels(names, "feature")
    labels = with_values(labels, rows.record_values(under)) if names is None and rows.names is not None else labels
    drawing = draw.Drawing(rows.values, under, labels, top, rows.error)
    ax = draw.new_figure(drawing).add_subplot() if ax is None else ax
    draw.draw_bars(ax, drawing)
    title = textwrap.fill(escape_control(method_expression(a.method)), 64)
    ax.set_title(title, fontsize="medium", loc="left", parse_math=False)
    ax.set_xlabel(textwrap.fill(describe_panel(a, record), 84), loc="left", fontsize="small", color="0.4", parse_math=False)
    figure: Figure = ax.figure.figure
    return figure


def with_values(names: Sequence[object], values: Sequence[Any] | None) -> Sequence[object]:
    """Returns ``age = 54`` for the names of bars; the names alone for records that are not known."""
    if values is None:
        return names
    return [name if isinstance(value, list) else f"{name} = {format_value(value)}" for name, value in zip(names, values, strict=True)]


def compare(results: Mapping[str, Attribution], columns: int = 4, **look: Any) -> Figure:
    """Returns a figure with one panel for each result, to compare methods on one record.

    ``results`` maps titles to results. ``columns`` is the number of panels in a row; ``look`` are arguments of :func:`plot`. Images have
    one legend for all panels, and take the arguments of :func:`image`: ``side_by_side`` adds a panel with the photograph, and
    ``same_scale`` gives all maps the scale of all values, for methods of the same unit.
    """
    if not results:
        raise ResultError("`asc.plots.compare` needs at least one result", found="an empty dict", advice="asc.plots.compare({'name': a})")
    with require_matplotlib():
        from . import draw, images
    record, photo = look.get("record", 0), look.get("image")
    kinds = set()
    for a in results.values():
        values, under, _ = select_record(a, record)
        kinds.add(find_kind(a, values, under if photo is None else as_numpy(photo), look.get("kind")).removesuffix("_last"))
    if kinds == {"image"}:
        return images.compare_images(results, columns, **look)
    figure, panels = draw.new_panels(len(results), columns)
    for ax, (name, a) in zip(panels, results.items(), strict=True):
        plot(a, ax, **look)
        ax.set_title(escape_control(name), fontsize="medium", loc="left", parse_math=False)
        ax.set_xlabel("")
    figure.suptitle(describe_panel(next(iter(results.values())), record), fontsize="medium", color="0.4", parse_math=False)
    return figure
