"""Results as objects of other libraries: ``shap.Explanation`` and ``xarray.Dataset``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..features.table import group_columns
from .axes import AxisNames, find_names

if TYPE_CHECKING:
    from .attribution import Attribution


def to_shap(a: Attribution) -> Any:
    """Returns a result as ``shap.Explanation``; see :meth:`ascribe.result.attribution.Attribution.to_shap`."""
    try:
        shap = import_module("shap")
    except ImportError as error:
        raise ResultError("`to_shap` needs shap", found="shap is not installed", advice="pip install shap, or a.plot()") from error
    array = only_array(a)
    values, names = group_columns(array, a.features)
    known = find_names(a.axes, array.ndim - a.records_axis - 1)
    if known is not None and len(known.names) == 1 and values is array:
        names = list(known.names[0])
    data = as_numpy(a.record) if is_array(a.record) and tuple(a.record.shape) == values.shape[a.records_axis :] else None
    base = None if a.base_value is None else np.asarray(a.base_value)
    outputs = None if a.target is None or a.class_names is None else [a.class_names[int(k)] for k in np.ravel(a.target)]
    if a.records_axis:
        values, base = np.moveaxis(values, 0, -1), None if base is None else base.T
    texts = [list(one) for one in known.names] if known is not None and len(known.names) > 1 else data
    return shap.Explanation(
        values, base, texts, feature_names=names, output_names=None if a.records_axis else outputs, error_std=errors_of(a, values)
    )


def errors_of(a: Attribution, values: np.ndarray) -> np.ndarray | None:
    """Returns the standard errors where they have the form of the values."""
    found = as_numpy(a.error) if is_array(a.error) else None
    return found if found is not None and found.shape == values.shape else None


def to_xarray(a: Attribution) -> Any:
    """Returns a result as ``xarray.Dataset``; see :meth:`ascribe.result.attribution.Attribution.to_xarray`."""
    try:
        xarray = import_module("xarray")
    except ImportError as error:
        advice = "pip install xarray, or a.to_pandas()"
        raise ResultError("`to_xarray` needs xarray", found="xarray is not installed", advice=advice) from error
    array, first = only_array(a), a.records_axis
    lead = ["quantity", "record"] if first else ["record"]
    named = {one.axis: one for one in a.axes if len(one.names) == 1}
    table, columns = group_columns(array, a.features)
    if columns is not None and table is array:
        named.setdefault(array.ndim - first - 1, AxisNames("feature", array.ndim - first - 1, (tuple(columns),)))
    dims = lead + [named[axis].kind if axis in named else f"axis{axis}" for axis in range(1, array.ndim - first)]
    per_record = {"explained": a.explained, "base_value": a.base_value, "gap": None if a.gap is None else a.gap.absolute}
    data = {"values": (dims, array)} | {name: (lead, np.asarray(x)) for name, x in per_record.items() if x is not None}
    coordinates = {one.kind: list(one.names[0]) for one in named.values()}
    return xarray.Dataset(data, coordinates, attrs={"method": a.method, "of": a.quantity, "at": a.cut})


def only_array(a: Attribution) -> np.ndarray:
    """Returns the values as one NumPy array. Raises ResultError for several arrays."""
    arrays = a.arrays()
    if len(arrays) != 1:
        parts = ", ".join(f"a.part({', '.join(map(repr, path))})" for path, _ in arrays)
        raise ResultError("This form holds one array", found=f"{len(arrays)} arrays", advice=parts)
    return as_numpy(arrays[0][1])
