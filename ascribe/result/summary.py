"""What a result says of itself in words: one line, its facts, a sentence about each record. Notebooks and terminals show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import as_numpy, is_array
from ..display.layouts import possible_kinds
from ..utils.completeness import describe_gaps
from ..utils.escape import escape_control
from ..utils.pooling import describe_shapes
from .axes import find_names

if TYPE_CHECKING:
    from .attribution import Attribution, Check, Cost

SHOWN = 4
"""The maximum number of records shown."""
TOP = 8
"""The maximum number of features shown per record."""
WIDE = 40
"""The maximum number of characters shown of a name."""


def format_line(a: Attribution) -> str:
    """Returns a result on one line, without its values."""
    parts = [describe_shapes(a.values)]
    parts += [f"gap {describe_gaps(a.gap.relative)}"] if a.gap is not None else []
    bad = [check for check in a.checks if check.bad]
    parts += [", ".join(f"{check.name}: {check.status}" for check in bad)] if bad else []
    about = [a.method or "values"]
    about += [f"of {a.quantity}"] if a.quantity and f"of={a.quantity}" not in a.method else []
    about += [f"at {a.cut}"] if f"at={a.cut}" not in a.method else []
    return escape_control(f"<Attribution {' '.join(about)}: {'; '.join(parts)}>")


def method_expression(method: str) -> str:
    """Returns the expression of a method without the call on the model: ``SmoothGrad(8)``."""
    head, call, _ = method.partition(")(model")
    return f"{head})" if call else method


def format_checks(checks: tuple[Check, ...]) -> str:
    """Returns the number of checks that are ok, and the names of the others."""
    bad = [f"{check.name} {check.status}" for check in checks if check.status != "ok"]
    return f"{sum(check.status == 'ok' for check in checks)} ok" + "".join(f", {text}" for text in bad)


def list_facts(a: Attribution) -> list[tuple[str, str]]:
    """Returns the properties of a result as pairs of name and text."""
    cost = a.cost
    table = {
        "method": a.method,
        "of": a.quantity,
        "at": a.cut,
        "values": describe_shapes(a.values),
        "gap": describe_gaps(a.gap.relative) if a.gap is not None else "",
        "checks": format_checks(a.checks) if a.checks else "",
        "cost": describe_cost(cost) if cost else "",
    }
    return [(name, text) for name, text in table.items() if text]


def describe_cost(cost: Cost) -> str:
    """Returns the cost in words: passes, evaluations of the model on one record, seconds."""
    counts = ((cost.forward, "forward pass", "es"), (cost.backward, "backward pass", "es"), (cost.rows, "model evaluation", "s"))
    return ", ".join([f"{n} {what}{'' if n == 1 else plural}" for n, what, plural in counts] + [f"{cost.seconds:.3g} s"])


def describe_record(a: Attribution, i: int) -> str:
    """Returns a text about one record: its score with the class, the predicted class, the gap."""
    several = a.quantities is not None
    predicted = ""
    if a.prediction is not None and a.prediction.ndim == 2 and not has_single_output(a):
        predicted = f"predicted {format_class(a, int(np.argmax(a.prediction[i])))}"
    about = f"class {format_class(a, int(a.target[i]))}" if a.target is not None and has_class(a) else ""
    if a.explained is not None and not several:
        about = f"score{' of ' if about else ''}{about}: {float(a.explained[i]):.4g}"
    first = f"{about} ({predicted})" if about and predicted else about or predicted
    gap = f"gap {describe_gaps(a.gap.relative[[i]])}" if a.gap is not None and not several else ""
    return ", ".join(part for part in (first, gap) if part)


def has_class(a: Attribution) -> bool:
    """True if the quantity is a class of each record."""
    return a.target is not None and np.ndim(a.target) == 1 and not has_single_output(a)


def name_ends(a: Attribution) -> tuple[str, str]:
    """Returns what negative and positive values mean, for a legend: the score falls or rises, with the name of a class that all have."""
    classes = np.unique(np.asarray(a.target)) if has_class(a) else np.zeros(0, int)
    score = f"class {format_class(a, int(classes[0]))}" if len(classes) == 1 else "the score"
    return f"against {score}", f"for {score}"


def has_single_output(a: Attribution) -> bool:
    """True if the model returns a single number per record, so that index 0 is not a class."""
    if a.prediction is None:
        return a.class_names is None and a.target is not None and not np.any(a.target)
    return a.prediction.ndim == 2 and a.prediction.shape[1] == 1


def format_class(a: Attribution, index: int) -> str:
    """Returns the name of a class, or its index as text."""
    return a.class_names[index] if a.class_names is not None and 0 <= index < len(a.class_names) else str(index)


def single(a: Attribution) -> np.ndarray | None:
    """Returns the values as one array with the records on axis 0; None for several arrays or quantities."""
    arrays = a.arrays()
    return as_numpy(arrays[0][1]) if len(arrays) == 1 and a.records_axis == 0 else None


def shorten_name(name: str) -> str:
    """Returns a name shortened to ``WIDE`` characters."""
    return name if len(name) <= WIDE else name[: WIDE - 1] + "…"


def series_kind(a: Attribution, values: np.ndarray) -> str | None:
    """Returns "series" for values ``[records, channels, time]``, "series_last" for ``[records, time, channels]``, None if they are none."""
    if values.ndim != 3:
        return None
    named = {one.axis: one.kind for one in a.axes if one.kind in ("channel", "time") and one.axis in (1, 2)}
    if named:
        return "series" if named.get(1) == "channel" or named.get(2) == "time" else "series_last"
    record = tuple(a.record.shape[1:]) if is_array(a.record) else ()
    kinds = possible_kinds(values.shape[1:], record)
    return kinds[0] if len(kinds) == 1 and kinds[0].startswith("series") else None


def unit_of(a: Attribution, axis: int) -> str:
    """Returns the unit of the names on an axis; '' if there is none."""
    known = find_names(a.axes, axis)
    return escape_control(known.unit) if known is not None else ""
