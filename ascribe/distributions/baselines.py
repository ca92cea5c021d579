"""Baselines: numbers, rows, names, functions of the model's arguments, or another call of the model.

:func:`resolve_baseline` converts each of them to one array for each array at the cut, with one row or one row per record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, cast_numbers, is_array, is_table, namespace
from ..calls.call import Call as Call
from ..calls.call import argument_name
from ..errors import AscribeError, DistributionError, FeatureError
from ..tree import walk
from ..utils.polars_tables import is_polars, polars_numbers
from ..utils.ragged import Ragged
from ..utils.record_layout import ImageLayout, spatial_axes
from ..values import Value

BESIDE_IDS = ("mask", "type", "position", "label")  # in the names of integer arguments that are not token ids
RIDES_ALONG = ("mask", "token_type", "position_id", "labels", "length", "offset", "batch")
"""In the names of integer arguments that describe the layout of others, and are not explained next to floating-point ones."""
NAMED = ("zeros", "mean", "blur", "uniform")


@dataclass(frozen=True, eq=False, repr=False)
class FromInput(Value):
    """A baseline given for the model's inputs if the path is at a layer: the value of the layer for these inputs."""

    baseline: Any


@dataclass(frozen=True, repr=False)
class MaskedTokens(Value):
    """A baseline for token ids: the same call with every id replaced by ``token``, except those in ``keep`` (separators, padding).

    *Use it when* a path of points starts at a text without content: ``asc.Line(MaskedTokens(103), at=asc.EMBEDDINGS)``.
    """

    token: int
    keep: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", int(self.token))
        object.__setattr__(self, "keep", tuple(map(int, self.keep)))

    def __call__(self, *args: Any, **kwargs: Any) -> Call:
        """Returns the call with its token ids replaced."""
        return replace_token_ids(Call.of(args, kwargs), self._masked, "MaskedTokens")

    def _masked(self, ids: Array) -> Array:
        xp = namespace(ids)
        numbers = xp.numpy(ids)
        return xp.asarray(np.where(np.isin(numbers, self.keep), numbers, self.token).astype(numbers.dtype), ids)


def replace_token_ids(call: Call, change: Callable[[Array], Array], who: str) -> Call:
    """Returns the call with changed token ids: the argument ``input_ids``, or else the first integer array with a token axis.

    Raises DistributionError if no argument has token ids.
    """
    args, kwargs = call.args, call.kwargs
    where = "input_ids" if "input_ids" in kwargs else None
    spot = None if where else next((i for i, a in enumerate(args) if _is_ids(a)), None)
    if where is None and spot is None:
        where = next((name for name, a in kwargs.items() if _is_ids(a) and not any(part in name for part in BESIDE_IDS)), None)
    if where is None and spot is None:
        there = ", ".join([*(f"input {i}" for i in range(len(args))), *kwargs]) or "no argument"
        raise DistributionError(
            f"`{who}` needs token ids among the arguments of the model", found=there, advice="model(input_ids=ids) with integer ids"
        )
    swap = {where: change(kwargs[where])} if where else {}
    return call.like(tuple(change(a) if i == spot else a for i, a in enumerate(args)), {**kwargs, **swap})


def _is_ids(value: Any) -> bool:
    return is_array(value) and len(value.shape) >= 2 and not namespace(value).is_floating(value)


@dataclass(frozen=True)
class CutValues:
    """The arrays of some records at a cut, to which baselines are fitted, and a function that reads the cut in another call.

    ``names`` are the names of the arrays in messages, ``index`` the records of the batch, ``total`` the number of records of the call.
    """

    values: Sequence[Array]
    names: Sequence[str]
    index: np.ndarray
    total: int
    call: Call
    read: Callable[[Call], list[Array]] = lambda _: []
    seed: int = 0
    axes: Sequence[int | Ragged | None] = ()
    layer: bool = False
    first: int = 0
    """The number of arrays before these; it selects the stream of random numbers."""

    def records_first(self, array: Array, i: int) -> Array:
        """Returns an array that has the axes of the user's i-th array with the records first; other arrays unchanged."""
        axis, value = self.axes[i] if i < len(self.axes) else 0, self.values[i]
        shape, target = tuple(array.shape), (self.total, *value.shape[1:])
        if isinstance(axis, Ragged):
            return axis.padded(array) if shape == (len(axis), *target[2:]) else array
        if axis is None or axis == 0 or shape == target or len(shape) != len(target):
            return array
        moved = namespace(array).moveaxis(array, axis, 0)
        return moved if tuple(moved.shape) == target else array

    def places(self, value: Array, layout: ImageLayout | None = None) -> tuple[int, ...]:
        """Returns the spatial axes of an array: as ``layout`` says, those after the channels in a layer, or judged by their lengths."""
        shape = tuple(value.shape[1:])
        if len(shape) < 2 or (self.layer and layout is None):
            return tuple(range(2, len(shape) + 1))
        return tuple(axis + 1 for axis in spatial_axes(shape, layout))


def resolve_baseline(baseline: Any, here: CutValues) -> list[Array]:
    """Returns the baseline as one array ``[1 or records, ...]`` for each array at the cut.

    Raises DistributionError if shapes or names do not fit.
    """
    if type(baseline) in (int, float):
        return [_fitted(baseline, value, here, i) for i, value in enumerate(here.values)]
    baseline = _called(baseline, here)
    result = []
    for i, (b, value) in enumerate(zip(split_by_array(baseline, here), here.values, strict=True)):
        if isinstance(b, str) and b not in NAMED and getattr(value.dtype, "kind", "") in ("O", "U", "T"):
            b = np.array(b, object)  # a text as the baseline of texts
        result.append(_named(b, value, here, i) if isinstance(b, str) else _fitted(b, value, here, i))
    return result


def split_by_array(given: Any, here: CutValues) -> list[Any]:
    """Returns the entry of ``given`` for each array at the cut: by name or index from a dict, in order from a tuple, or the same for all.

    Raises DistributionError if an entry is missing or there are too many.
    """
    result = [given] * len(here.values)
    if isinstance(given, Mapping):
        result = [_looked_up(given, here.names, i) for i in range(len(here.values))]
    elif isinstance(given, (tuple, list)) and not (len(here.values) == 1 and len(given) != 1):
        if len(given) != len(here.values):
            there = f"{len(given)} baselines for {len(here.values)} inputs ({', '.join(here.names)})"
            problem = "The number of baselines does not fit the number of inputs"
            raise DistributionError(problem, found=there, advice=f"a tuple of {len(here.values)} baselines", code="E-BASELINE-COUNT")
        result = list(given)
    return [order_columns(one, here.call) for one in result]


def order_columns(given: Any, call: Call) -> Any:
    """Returns a pandas table or row with its columns in the order of the call's table; other values unchanged.

    Raises DistributionError if a column is missing.
    """
    if is_polars(given):
        return polars_numbers(order_polars(given, call))
    labels = getattr(given, "columns", getattr(given, "index", None))
    tables = [list(leaf.columns) for _, leaf in walk((call.args, call.kwargs)) if is_table(leaf)]
    if not tables or not hasattr(given, "to_numpy") or labels is None or list(labels) in tables:
        return given
    fits = next((names for names in tables if set(names) <= set(labels)), None)
    if fits is not None:
        return given[fits]
    if is_table(given):
        asked, there = (", ".join(map(repr, names[:20])) for names in (list(labels), tables[0]))
        what = f"The baseline does not have the columns of the input: its columns are {asked}"
        raise DistributionError(what, found=f"inputs with columns {there}", advice="baseline[x.columns]", code="E-BASELINE-COLUMNS")
    return given


def order_polars(given: Any, call: Call) -> Any:
    """Returns a polars table with its columns in the order of the call's table. Raises DistributionError if a column is missing."""
    tables = [list(leaf.columns) for _, leaf in walk((call.args, call.kwargs)) if is_table(leaf)]
    fits = next((names for names in tables if set(names) <= set(given.columns)), None)
    if tables and fits is None:
        there = f"inputs with columns {', '.join(map(repr, tables[0][:20]))}"
        what = f"The baseline does not have the columns of the input: its columns are {', '.join(map(repr, given.columns[:20]))}"
        raise DistributionError(what, found=there, advice="baseline[x.columns]", code="E-BASELINE-COLUMNS")
    return given if fits is None else given.select(fits)


def call_baseline(given: Any, call: Call) -> Any:
    """Returns the result of a baseline function of the model's arguments; other values unchanged.

    Raises DistributionError if the function raises.
    """
    if not callable(given):
        return given
    try:
        return given(*call.args, **call.kwargs)
    except AscribeError:
        raise
    except Exception as wrong:
        there = f"{type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0]}"
        problem = "The baseline function raised an error; it is called with the model's arguments"
        raise DistributionError(problem, found=there, advice="baseline=lambda x: x * 0", code="E-BASELINE-RAISED") from wrong


def refuse_other_ids(baseline: Call, call: Call) -> None:
    """Raises DistributionError for a baseline with other token ids if the path is one of the floating-point inputs only."""
    theirs = dict(walk((baseline.args, baseline.kwargs)))
    for path, own in walk((call.args, call.kwargs)):
        other = theirs.get(path)
        if not is_array(own) or not is_array(other) or any(part in str(path[1]) for part in BESIDE_IDS):
            continue
        a, b = as_numpy(own), as_numpy(other)
        if a.dtype.kind in "iu" and a.shape == b.shape and (a != b).any():
            raise DistributionError(
                f"The baseline has other integers in {argument_name(path)}, but only floating-point inputs can follow a path",
                found="integer ids, of which only the embedding is continuous",
                advice="at=asc.EMBEDDINGS with the same baseline, or at=asc.INPUT with the ids of the record in the baseline",
                code="E-BASELINE-IDS",
            )


def _called(given: Any, here: CutValues) -> Any:
    """Returns the result of a baseline function, and the value at the cut of a baseline that is a call."""
    given = call_baseline(given, here.call)
    return tuple(here.read(given)) if isinstance(given, Call) else given


def resolve_background(given: Any, here: CutValues) -> list[Array]:
    """Returns a background as one array ``[rows, ...]`` for each array at the cut; row i of all arrays is one sample.

    Raises DistributionError if shapes do not fit or the numbers of rows differ.
    """
    given = _called(given, here)
    rows = []
    for part, value, name in zip(split_by_array(given, here), here.values, here.names, strict=True):
        array = _typed(part, value)
        inner = tuple(value.shape[1:])
        if tuple(array.shape[1:]) != inner or not len(array):
            raise DistributionError(
                f"The rows of the background do not have the shape of a record of {name}",
                found=f"a background of shape {tuple(array.shape)} for records of shape {inner}",
                advice=f"an array [rows, {', '.join(map(str, inner))}]",
                code="E-BASELINE-SHAPE",
            )
        rows.append(array)
    if len({len(r) for r in rows}) > 1:
        raise DistributionError(
            "The backgrounds of several inputs must have the same number of rows, because row i of all of them is one sample",
            found=f"backgrounds with {[len(r) for r in rows]} rows",
            advice="asc.Background((a[:100], b[:100]))",
            code="E-BASELINE-COUNT",
        )
    return rows


def resolve_points(given: Any, here: CutValues) -> list[Array]:
    """Returns points as one array ``[points, records, ...]`` for each array at the cut, restricted to the records of the batch.

    Raises DistributionError if shapes do not fit or the numbers of points differ.
    """
    result = []
    for part, value, name in zip(split_by_array(given, here), here.values, here.names, strict=True):
        array = _typed(part, value)
        shape, inner = tuple(array.shape), tuple(value.shape[1:])
        if len(shape) != len(inner) + 2 or shape[2:] != inner or shape[1] not in (1, here.total):
            raise DistributionError(
                f"The points do not have the shape of the records of {name}",
                found=f"points of shape {shape} for {here.total} records of shape {inner}",
                advice=f"an array [points, {here.total}, {', '.join(map(str, inner))}]",
                code="E-POINTS-SHAPE",
            )
        result.append(array if shape[1] == 1 else array[:, here.index])
    if len({len(array) for array in result}) > 1:
        counts = [len(array) for array in result]
        problem = "The inputs must have the same number of points"
        raise DistributionError(problem, found=f"{counts} points", advice="Points((a, b)) with len(a) == len(b)", code="E-POINTS-SHAPE")
    return result


def _looked_up(baseline: Mapping[Any, Any], names: Sequence[str], i: int) -> Any:
    for key in (names[i], i):
        if key in baseline:
            return baseline[key]
    problem, there = f"The baseline has no entry for {names[i]!r}", f"entries for {sorted(map(str, baseline))}"
    raise DistributionError(problem, found=there, advice=f"baseline={{{names[i]!r}: 0.0, ...}}")


def _typed(given: Any, value: Array) -> Array:
    """Returns a number, a list or an array as an array of the framework and the data type of ``value``.

    Raises DistributionError for values without numbers, and for numbers that the type cannot represent: fractions in an integer array,
    numbers in an array of texts.
    """
    xp = namespace(value)
    if getattr(value.dtype, "kind", "") == "O" and is_missing(given):  # object columns of a table
        return np.array(None if given is None else np.nan, dtype=object)
    try:
        if hasattr(given, "to_numpy"):  # pandas; missing values become NaN
            given = given.to_numpy(np.float64 if xp.is_floating(value) else None)
        array = xp.asarray(given if is_array(given) else np.asarray(given, dtype=np.float64), value)
        with np.errstate(invalid="ignore"):
            result = xp.cast(array, value)
        cut = not xp.is_floating(value) and loses_information(xp.numpy(array), xp.numpy(result))
    except (TypeError, ValueError, OverflowError) as wrong:
        what, there = "The baseline has no numbers", f"a value of type {type(given).__name__}"
        raise DistributionError(what, found=there, advice="baseline=0.0, or an array of numbers", code="E-BASELINE-TYPE") from wrong
    if cut:
        words = getattr(value.dtype, "kind", "") in ("U", "S")
        problem = "The data type of the input cannot represent the baseline"
        advice = f"x.astype({'object' if words else 'float'}), or a baseline of that type with one value for each column"
        raise DistributionError(problem, found=f"an input of type {value.dtype}", advice=advice, code="E-BASELINE-TYPE")
    return result


def is_missing(value: Any) -> bool:
    """True for missing values: None, NaN, or the NA of pandas."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def loses_information(array: np.ndarray, converted: np.ndarray) -> bool:
    """True if the conversion of ``array`` to ``converted`` changed a value, or put a number into an array of texts."""
    if converted.dtype.kind in "OUS" and array.dtype.kind in "fiub":
        return converted.dtype.kind != "O" or not array.ndim
    return converted.dtype != array.dtype and bool((converted != array).any())


def _fitted(given: Any, value: Array, here: CutValues, i: int) -> Array:
    """Returns a number or an array as ``[1 or records, ...]`` for the i-th array, restricted to the records of the batch."""
    given = 0.0 if given is None and getattr(value.dtype, "kind", "") != "O" else given
    array = here.records_first(_typed(given, value), i)
    target = tuple(value.shape)
    if tuple(array.shape) == target[1:]:
        array = array.reshape((1, *array.shape))
    rows = array.shape[0] if len(array.shape) == len(target) else 1
    if rows == here.total > 1:
        array = array[here.index]
    shape = tuple(array.shape)
    fits = len(shape) <= len(target) and all(s in (1, t) for s, t in zip(shape[::-1], target[::-1], strict=False))
    if not fits or rows not in (1, here.total):
        raise DistributionError(
            f"The shape of the baseline does not fit {here.names[i]}",
            found=f"a baseline of shape {tuple(as_numpy(given).shape)} for a value of shape {(here.total, *target[1:])}",
            advice=f"baseline=0.0, an array of shape {target[1:]}, or one row per record",
            code="E-BASELINE-SHAPE",
        )
    array = array.reshape((*[1] * (len(target) - len(shape)), *shape))
    return namespace(value).broadcast_to(array, (array.shape[0], *target[1:]))


def _named(name: str, value: Array, here: CutValues, leaf: int) -> Array:
    """Returns a named baseline: zeros, the mean of each channel, the blurred record, or uniform noise in the range of the record."""
    xp = namespace(value)
    if name not in NAMED:
        raise DistributionError(f"The baseline {name!r} is not known", found=f"the names {', '.join(NAMED)}", advice='baseline="mean"')
    if name == "zeros":
        return xp.zeros_like(value[:1])
    numbers = to_float64(value, repr(name))
    if name == "blur":
        return cast_numbers(blur(numbers, axes=here.places(value)), value)
    axes = here.places(value) or tuple(range(1, numbers.ndim))
    if name == "mean":
        return cast_numbers(np.broadcast_to(numbers.mean(axes, keepdims=True), numbers.shape), value)
    rng = np.random.default_rng((here.seed, 3, here.first + leaf))
    axes = tuple(range(1, numbers.ndim))
    low, high = numbers.min(axes, keepdims=True), numbers.max(axes, keepdims=True)
    return cast_numbers(low + (high - low) * rng.random(numbers.shape[1:])[None], value)


def to_float64(x: Array, who: str) -> np.ndarray:
    """Returns an array as float64. Raises FeatureError for texts."""
    try:
        result: np.ndarray = namespace(x).numpy(x).astype(np.float64)
    except (TypeError, ValueError) as wrong:
        problem = f"`{who}` needs numbers, but the input has texts"
        raise FeatureError(problem, found=f"an array of type {x.dtype}", advice="by=asc.Resample(rows)") from wrong
    return result


def blur(a: np.ndarray, share: float = 0.1, axes: Sequence[int] | None = None) -> np.ndarray:
    """Returns ``a`` after a Gaussian blur whose standard deviation is a ``share`` of the length of each axis."""
    return gaussian_blur(a, lambda size: max(share * size, 1e-6), axes)


def gaussian_blur(a: np.ndarray, width: Callable[[int], float], axes: Sequence[int] | None = None) -> np.ndarray:
    """Returns ``a`` after a Gaussian blur along ``axes`` (by default all after the channels).

    ``width`` returns the standard deviation for the length of an axis. The kernel is truncated at the border and normalised to sum to 1,
    so that a constant does not change. Raises DistributionError for values without spatial axes (tables).
    """
    if a.ndim < 3:
        problem = "A blurred baseline needs spatial axes or a time axis"
        raise DistributionError(problem, found=f"a value of shape {a.shape}", advice='baseline="mean", baseline=0.0, or an array')
    for axis in range(2, a.ndim) if axes is None else axes:
        grid = np.arange(a.shape[axis])
        kernel = np.exp(-0.5 * ((grid[:, None] - grid) / width(len(grid))) ** 2)
        kernel /= kernel.sum(1, keepdims=True)
        a = np.moveaxis(np.moveaxis(a, axis, -1) @ kernel.T, -1, axis)
    return a
