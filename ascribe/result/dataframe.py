"""Results as pandas DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy
from ..errors import ResultError
from ..features.table import FeatureTable, count_names, group_columns, split_rows
from ..tree import Path
from .axes import AxisNames, find_names

if TYPE_CHECKING:
    from .attribution import Attribution

Columns = dict[str, Any]


def build_frame(a: Attribution, features: Sequence[str] | None, wide: bool) -> Any:
    """Returns a result as a DataFrame; see :meth:`ascribe.result.attribution.Attribution.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise ResultError(
            "A DataFrame needs pandas", found="pandas is not installed", advice="pip install pandas, or a.to_numpy()"
        ) from error
    parts = [(path, as_numpy(array), _features(a, k)) for k, (path, array) in enumerate(a.arrays())]
    given = {path: shared_names(a, array, path) if features is None else features for path, array, _ in parts}
    arrays = [(path, *name_columns(array, a.records_axis, table, given[path])) for path, array, table in parts]
    for path, array, names in arrays:
        if features is not None and len(names or ()) != array.shape[-1]:
            where = f" of {path}" if path else ""
            raise ResultError(
                f"{count_names(features)} for {array.shape[-1]} positions of the last axis{where}",
                found=f"features={list(features[:8])!r}",
                advice=f"a.part({', '.join(map(repr, path))}), or a.pool(...) first" if path else f"{array.shape[-1]} names in features=",
            )
    if wide:
        return pandas.DataFrame(_wide(a, [(array, names) for _, array, names in arrays])).rename_axis("record")
    tables = [pandas.DataFrame(_tidy(a, array, names, path)) for path, array, names in arrays]
    return pandas.concat(tables, ignore_index=True) if len(tables) != 1 else tables[0]


def _features(a: Attribution, k: int) -> FeatureTable | None:
    """Returns the feature table of the k-th array."""
    return None if a.features is None else a.features.part(k) if len(a.features.places) > 1 else a.features


def name_columns(
    array: np.ndarray, first: int, table: FeatureTable | None, given: Sequence[str] | None
) -> tuple[np.ndarray, Sequence[str] | None]:
    """Returns an array with one column per feature if it is a table, and the names of its columns: the given or the known ones."""
    grouped, known = (array, table.names) if table is not None and holds_pairs(array, first, table) else group_columns(array, table)
    if given is None or table is None or grouped is array:
        return grouped, known if given is None else given
    (places,) = table.places
    if places is None or len(places) > 1 or len(given) == grouped.shape[-1]:
        return grouped, given
    one = table if array.ndim == 2 else table.quantity_at(0)
    return grouped, split_rows(np.zeros(array.shape[-1]), None, one, 0).labels(given, "feature")


def shared_names(a: Attribution, array: np.ndarray, path: Path) -> Sequence[str] | None:
    """Returns the names of the last axis that all records share; None if there are none."""
    known = find_names(a.axes, array.ndim - a.records_axis - 1, path)
    return known.names[0] if known is not None and known.kind == "feature" and len(known.names) == 1 else None


def name_places(known: AxisNames, record: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Returns the name of each position, ``""`` for padding."""
    longest = max(max(map(len, known.names)), int(place.max(initial=-1)) + 1)
    table = np.array([(*names, *[""] * (longest - len(names))) for names in known.names], dtype=object)
    return np.asarray(table[record if len(known.names) > 1 else 0, place])


def holds_pairs(array: np.ndarray, first: int, table: FeatureTable | None) -> bool:
    """True if an array with its records on axis ``first`` has interactions: one value for each pair of features."""
    return table is not None and array.ndim - first == 3 and array.shape == table.values.shape


def per_record(a: Attribution) -> Columns:
    """Returns the explained quantity and the gap per record: float64 ``[records]`` or ``[quantities, records]``."""
    columns = {
        "explained": a.explained,
        "gap": a.gap.absolute if a.gap else None,
        "relative_gap": a.gap.relative if a.gap else None,
    }
    return {name: np.asarray(column) for name, column in columns.items() if column is not None}


def _tidy(a: Attribution, array: np.ndarray, features: Sequence[str] | None, path: Path) -> Columns:
    first = a.records_axis
    places = np.indices(array.shape, dtype=np.int32).reshape(array.ndim, -1)
    columns: Columns = {"quantity": places[0]} if first else {}
    columns["record"] = places[first]
    if path:
        columns["array"] = [".".join(map(str, path))] * array.size
    inner = places[first + 1 :]
    pairs = holds_pairs(array, first, a.features)
    for axis, place in enumerate(inner, 1):
        last = axis == len(inner)
        known = find_names(a.axes, axis, path)
        if known is not None and not (last and features is not None):
            columns |= {known.kind: name_places(known, places[first], place)} | ({"position": place} if known.kind == "token" else {})
            continue
        name = "feature" if last and (features is not None or len(inner) == 1) else f"axis{axis}"
        both = pairs and axis == len(inner) - 1
        columns[name] = np.array(features, dtype=object)[place] if (last or both) and features is not None else place
    columns["value"] = array.reshape(-1)
    return columns | {name: known[tuple(places[: known.ndim])] for name, known in per_record(a).items()}


def _wide(a: Attribution, arrays: list[tuple[np.ndarray, Sequence[str] | None]]) -> Columns:
    table, features = arrays[0] if arrays else (np.zeros(0), None)
    if len(arrays) != 1 or table.ndim != 2 or a.records_axis:
        there = f"values of shape {', '.join(str(array.shape) for array, _ in arrays)}"
        raise ResultError("`wide=True` needs values [records, features]", found=there, advice="a.to_pandas(), or a.pool(...) first")
    known = per_record(a)
    names = list(features) if features is not None else [str(i) for i in range(table.shape[1])]
    if len({*names, *known}) != len(names) + len(known):
        raise ResultError("Two columns have the same name", found=", ".join([*names, *known]), advice="other names in features=")
    return dict(zip(names, table.T, strict=True)) | known
