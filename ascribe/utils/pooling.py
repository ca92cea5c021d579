"""Array functions for results: pooling over an axis, scales per record, resizing of maps.

The arithmetic is NumPy in float64, so that half precision neither overflows nor underflows. Results have the framework, data type and
device of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np

from ..arrays import Array, as_numpy, is_array, namespace
from ..errors import ResultError
from ..tree import children, walk

How = Literal["sum", "mean", "max", "l2"]
Scale = Literal["max", "sum", "l2", "quantile"]
Axis = int | Literal["channels", "embedding"]
"""An axis counted from the batch dimension, which is 0, or a named axis."""
Records = int | slice | Sequence[int] | np.ndarray

NAMED = {"channels": 1, "embedding": -1}

POOLS: dict[str, Callable[[np.ndarray, int], Any]] = {
    "sum": lambda a, axis: np.sum(a, axis, dtype=np.float64),
    "mean": lambda a, axis: np.mean(a, axis, dtype=np.float64),
    "max": lambda a, axis: np.max(a, axis),
    "l2": lambda a, axis: np.sqrt(np.sum(np.square(a, dtype=np.float64), axis)),
}

SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "max": lambda rows: rows.max(-1, initial=0.0),
    "sum": lambda rows: rows.sum(-1),
    "l2": lambda rows: np.sqrt(np.square(rows).sum(-1)),
    "quantile": lambda rows: np.quantile(rows, 0.99, axis=-1, method="higher") if rows.shape[-1] else rows.sum(-1),
}


def look_up(table: dict[str, Any], name: str, what: str) -> Any:
    """Returns the entry of that name. Raises ResultError with the known names if there is none."""
    if name not in table:
        near = get_close_matches(str(name), table, 1) or [next(iter(table))]
        raise ResultError(f"The {what} {name!r} is not known", found=f"the names {', '.join(map(repr, table))}", advice=repr(near[0]))
    return table[name]


def convert_like(values: np.ndarray, model: Array) -> Array:
    """Returns NumPy values as an array of the framework, data type and device of ``model``."""
    return namespace(model).asarray(values, like=model)


def resolve_axis(axis: Axis, rank: int, first: int) -> int:
    """Returns the index of ``axis`` in an array of that rank whose records are axis ``first``.

    Axes are counted from the batch dimension, so that the same call works for one quantity and for several. Raises ResultError if the
    array has no such axis.
    """
    inner = rank - first
    if not isinstance(axis, int) and axis not in NAMED and inner == 3:  # [records, tokens, embedding]
        names = ", ".join(map(repr, NAMED))
        raise ResultError(f"The axis {axis!r} is not known", found=f"the names {names}", advice="'embedding', for one value per token")
    place: int = axis if isinstance(axis, int) else look_up(NAMED, axis, "axis")
    if isinstance(axis, str) and inner < 3:
        raise ResultError(
            f"The array has no axis {axis!r}, which needs three axes", found=f"{inner} axes with the batch dimension", advice="axis=1"
        )
    at = place + inner if place < 0 else place
    if at == 0:
        raise ResultError("Axis 0 is the batch dimension and cannot be pooled", found=f"axis={axis!r}", advice="a.to_numpy().mean(0)")
    if not 0 < at < inner:
        raise ResultError(f"Axis {axis} is out of range", found=f"axes 0 (the records) to {inner - 1}", advice="axis=1")
    return at + first


def describe_shapes(value: Any, types: bool = True) -> str:
    """Returns the types and shapes in a nested value: ``float32[8, 3]``, ``(float32[8, 3], None)``, ``{'image': float32[8, 3]}``."""
    if is_array(value):
        shape = ", ".join(map(str, value.shape))
        return f"{getattr(value.dtype, 'name', str(value.dtype)).removeprefix('torch.') if types else ''}[{shape}]"
    parts = children(value)
    if parts is None:
        return repr(value) if value is None or isinstance(value, (bool, int, float)) else type(value).__name__
    inside = [(repr(key), describe_shapes(part, types)) for key, part in parts]
    if isinstance(value, (tuple, list)):
        return f"({', '.join(text for _, text in inside)})"
    return "{" + ", ".join(f"{key}: {text}" for key, text in inside) + "}"


def pool_axis(array: Array, axis: int, how: str) -> Array:
    """Returns the sum, mean, maximum or L2 norm of ``array`` along ``axis``."""
    return convert_like(look_up(POOLS, how, "pooling")(as_numpy(array), axis), array)


def record_scale(arrays: Sequence[Array], how: str, first: int) -> np.ndarray:
    """Returns one positive number per record (and quantity) from all arrays of a result; 1 for records of zeros."""
    rows = [np.abs(as_numpy(a).astype(np.float64)) for a in arrays]
    if len({r.shape[: first + 1] for r in rows}) > 1 or any(r.ndim <= first for r in rows):
        there = ", ".join(describe_shapes(a) for a in arrays)
        raise ResultError("Arrays with different records cannot be normalised together", found=there, advice="a.part(0).normalize()")
    flat = np.concatenate([r.reshape(*r.shape[: first + 1], -1) for r in rows], -1)
    scale: np.ndarray = look_up(SCALES, how, "normalisation")(flat)
    return np.where(scale > 0, scale, np.where(np.isnan(scale), np.nan, 1.0))


def divide_by_scale(array: Array, scale: np.ndarray, clip: bool) -> Array:
    """Returns ``array`` divided by the scale of each record; clipped to [-1, 1] if ``clip``."""
    wide = as_numpy(array).astype(np.float64)
    wide = wide / scale.reshape(scale.shape + (1,) * (wide.ndim - scale.ndim))
    return convert_like(np.clip(wide, -1.0, 1.0) if clip else wide, array)


def bilinear(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each new pixel the two nearest old pixels and the weight of the second (``align_corners=False``).

    Outside of the outermost old centres, values are constant.
    """
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0.0, old - 1.0)
    low = place.astype(int)
    return low, np.minimum(low + 1, old - 1), place - low


def resize_maps(array: Array, height: int, width: int) -> Array:
    """Returns maps ``[..., h, w]`` at another height and width, by bilinear interpolation."""
    wide = as_numpy(array).astype(np.float64)
    low, high, share = bilinear(wide.shape[-1], width)
    wide = wide[..., low] * (1 - share) + wide[..., high] * share
    low, high, share = bilinear(wide.shape[-2], height)
    return convert_like(wide[..., low, :] * (1 - share)[:, None] + wide[..., high, :] * share[:, None], array)


def resize_single_maps(array: Array, height: int, width: int, first: int) -> Array:
    """Returns maps ``[..., h, w]`` or ``[..., h, w, 1]``, whose records are axis ``first``, at another height and width."""
    if array.ndim - first == 4 and array.shape[-1] == 1 < array.shape[-3]:
        xp = namespace(array)
        return xp.moveaxis(resize_maps(xp.moveaxis(array, -1, -3), height, width), -3, -1)
    return resize_maps(array, height, width)


def common_value(ours: Any, theirs: Any) -> Any:
    """Returns the value if it is the same in two results, else None."""
    if ours is theirs:
        return ours
    mine, yours = list(walk(ours)), list(walk(theirs))
    if [path for path, _ in mine] != [path for path, _ in yours]:
        return None
    pairs = [(a, b) for (_, a), (_, b) in zip(mine, yours, strict=True)]
    return ours if all(np.array_equal(as_numpy(a), as_numpy(b)) for a, b in pairs) else None


def record_positions(index: Records, count: int) -> np.ndarray:
    """Returns an index of records as non-negative integers. Raises ResultError if it is out of range."""
    try:
        return np.atleast_1d(np.arange(count)[index if isinstance(index, (int, slice)) else np.asarray(index)])
    except IndexError as error:
        raise ResultError(f"The records {index!r} are out of range", found=f"{count} records", advice="a.records([0])") from error
