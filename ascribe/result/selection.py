"""Parts of a result: some of its records, one of its quantities, one of its arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import is_array
from ..errors import ResultError
from ..tree import Path, follow, map_leaves
from ..utils import pooling
from . import row_records
from .axes import at_part
from .parts import Gap, part_at, restrict_check

if TYPE_CHECKING:
    from .attribution import Attribution


def select_records(a: Attribution, index: pooling.Records) -> Attribution:
    """Returns the selected records; see :meth:`ascribe.result.attribution.Attribution.records`."""
    place = pooling.record_positions(index, len(a))
    first, count = a.records_axis, len(a)

    def rows(array: Any, axis: int = first) -> Any:
        own = is_array(array) and tuple(array.shape[axis : axis + 1]) == (count,)  # arrays that all records share are unchanged
        return array[(slice(None),) * axis + (place,)] if own else array

    def part(value: Any, axis: int = first) -> Any:
        if a.rows is None:
            return map_leaves(value, lambda _, leaf: rows(leaf, axis))
        return row_records.take_rows(a.rows, kept, value, axis, lambda leaf: rows(leaf, axis))

    kept, numbers = (place, None) if a.rows is None else row_records.select_rows(a.rows, place)
    known = {name: getattr(a, name) for name in ("explained", "target", "base_value")}
    return replace(
        a,
        values=part(a.values),
        record=part(a.record, 0),
        error=part(a.error),
        rows=numbers,
        features=None if a.features is None else a.features.records(place, first),
        prediction=rows(a.prediction, 0),
        gap=None if a.gap is None else Gap(rows(a.gap.absolute), rows(a.gap.relative)),
        checks=tuple(restrict_check(check, place) for check in a.checks),
        axes=tuple(one.records(place) for one in a.axes),
        **{name: rows(array, np.ndim(array) - 1) for name, array in known.items()},
    )


def select_quantity(a: Attribution, k: int) -> Attribution:
    """Returns the result of one of several quantities; see :meth:`ascribe.result.attribution.Attribution.quantity_at`."""
    several = a.quantities
    if several is None or not -several <= k < several:
        there = "a single quantity" if several is None else f"{several} quantities"
        raise ResultError(f"The result has no quantity {k}", found=there, advice="a.quantity_at(0)" if several else "a itself")
    known = {name: getattr(a, name) for name in ("explained", "target", "base_value")}
    return replace(
        a,
        values=map_leaves(a.values, lambda _, leaf: None if leaf is None else leaf[k]),
        error=map_leaves(a.error, lambda _, leaf: None if leaf is None else leaf[k]),
        features=None if a.features is None else a.features.quantity_at(k),
        quantity=one_of_list(a.quantity, several, k),
        gap=None if a.gap is None else Gap(a.gap.absolute[k], a.gap.relative[k]),
        **{name: array[k] if np.ndim(array) == 2 else array for name, array in known.items()},
    )


def one_of_list(text: str, count: int, k: int) -> str:
    """Returns the k-th of ``count`` expressions in the text of a list: ``Unit(1)`` of ``[Unit(0), Unit(1)]``.

    Texts of another form get an index.
    """
    parts, depth = [""], 0
    for letter in text[1:-1] if text.startswith("[") and text.endswith("]") else "":
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts[k].strip() if len(parts) == count and depth == 0 else f"{text}[{k}]"


def select_part(a: Attribution, path: Path) -> tuple[Any, dict[str, Any]]:
    """Returns the values at a path and the fields that go with them. Raises ResultError if the part does not exist."""
    try:
        values = follow(a.values, path)
    except (LookupError, AttributeError, TypeError):
        parts = [f"part({', '.join(map(repr, p))})" for p, _ in a.arrays() if p] or ["values"]
        problem, there = f"The result has no part({', '.join(map(repr, path))})", ", ".join(parts)
        raise ResultError(problem, found=there, advice=f"a.{parts[0]}") from None
    inside = [k for k, (p, _) in enumerate(a.arrays()) if p[: len(path)] == path]
    features = a.features.part(inside[0]) if a.features is not None and len(inside) == 1 else None
    axes = at_part(a.axes, path)
    return values, {"record": part_at(a.record, path), "error": part_at(a.error, path), "features": features, "axes": axes}
