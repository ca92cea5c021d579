"""Where a path starts: numbers, rows, names, functions of the model's arguments, or another call of the model.

Whatever the user gave, :func:`resolve_baseline` turns into one array per array at the cut, with one row or one per record.
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
from ..utils.ragged import Ragged
from ..utils.record_layout import spatial_axes
from ..values import Value

BESIDE_IDS = ("mask", "type", "position", "label")  # in the names of integer arguments that are not the tokens
RIDES_ALONG = ("mask", "token_type", "position_id", "labels", "length", "offset", "batch")
"""In the names of integer arguments that describe the layout of others, and are not explained next to floating ones."""
NAMED = ("zeros", "mean", "blur", "uniform")


@dataclass(frozen=True, eq=False, repr=False)
class FromInput(Value):
    """A baseline for the model's inputs, where the path is at a layer: what the layer holds when the inputs are the baseline."""

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
        """The call with other ids."""
        return replace_token_ids(Call.of(args, kwargs), self._masked, "MaskedTokens")

    def _masked(self, ids: Array) -> Array:
        xp = namespace(ids)
        numbers = xp.numpy(ids)
        return xp.asarray(np.where(np.isin(numbers, self.keep), numbers, self.token).astype(numbers.dtype), ids)


def replace_token_ids(call: Call, change: Callable[[Array], Array], who: str) -> Call:
    """The call with its token ids changed: the argument named ``input_ids``, or else the first integer array with a token axis, by
    position or name. Raises DistributionError where there is none.
    """
    args, kwargs = call.args, call.kwargs
    where = "input_ids" if "input_ids" in kwargs else None
    spot = None if where else next((i for i, a in enumerate(args) if _is_ids(a)), None)
    if where is None and spot is None:
        where = next((name for name, a in kwargs.items() if _is_ids(a) and not any(part in name for part in BESIDE_IDS)), None)
    if where is None and spot is None:
        raise DistributionError(f"{who} found no token ids among the arguments", try_="integer ids, by position or as input_ids=")
    swap = {where: change(kwargs[where])} if where else {}
    return call.like(tuple(change(a) if i == spot else a for i, a in enumerate(args)), {**kwargs, **swap})


def _is_ids(value: Any) -> bool:
    return is_array(value) and len(value.shape) >= 2 and not namespace(value).is_floating(value)


@dataclass(frozen=True)
class CutValues:
    """What a baseline is fitted to: the arrays of some records at a cut, and how to read the cut in another call.

    ``names`` is what the user calls the arrays, ``index`` the records they are of, ``total`` how many the call has.
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
    """How many arrays come before these: draws for them are others."""

    def records_first(self, array: Array, i: int) -> Array:
        """An array with the axes of the user's own i-th one, in the form of ``values``; any other as it is."""
        axis, value = self.axes[i] if i < len(self.axes) else 0, self.values[i]
        shape, target = tuple(array.shape), (self.total, *value.shape[1:])
        if isinstance(axis, Ragged):
            return axis.padded(array) if shape == (len(axis), *target[2:]) else array
        if axis is None or axis == 0 or shape == target or len(shape) != len(target):
            return array
        moved = namespace(array).moveaxis(array, axis, 0)
        return moved if tuple(moved.shape) == target else array

    def places(self, value: Array) -> tuple[int, ...]:
        """The axes of an array here that are places: behind the channels in a layer, as the lengths say at the input."""
        shape = tuple(value.shape[1:])
        return tuple(range(2, len(shape) + 1)) if self.layer or len(shape) < 2 else tuple(axis + 1 for axis in spatial_axes(shape))


def resolve_baseline(baseline: Any, here: CutValues) -> list[Array]:
    """One start array for each array at the cut, shaped ``[1 or records, ...]``.

    Raises DistributionError where shapes or names do not fit.
    """
    if type(baseline) in (int, float):
        return [_fitted(baseline, value, here, i) for i, value in enumerate(here.values)]
    baseline = _called(baseline, here)
    found = []
    for i, (b, value) in enumerate(zip(split_by_array(baseline, here), here.values, strict=True)):
        if isinstance(b, str) and b not in NAMED and getattr(value.dtype, "kind", "") in ("O", "U", "T"):
            b = np.array(b, object)  # a word among words
        found.append(_named(b, value, here, i) if isinstance(b, str) else _fitted(b, value, here, i))
    return found


def split_by_array(given: Any, here: CutValues) -> list[Any]:
    """What was given for each array at the cut: by name or number from a dict, in order from a tuple, or the same for all.

    Raises DistributionError where one is missing, or there are too many.
    """
    found = [given] * len(here.values)
    if isinstance(given, Mapping):
        found = [_looked_up(given, here.names, i) for i in range(len(here.values))]
    elif isinstance(given, (tuple, list)) and not (len(here.values) == 1 and len(given) != 1):
        if len(given) != len(here.values):
            there = f"{len(here.values)} inputs: {', '.join(here.names)}"
            raise DistributionError(f"{len(given)} baselines", there=there, try_="one for each", code="E-BASELINE-COUNT")
        found = list(given)
    return [order_columns(one, here.call) for one in found]


def order_columns(given: Any, call: Call) -> Any:
    """A pandas table, or a row of one, with its columns as those of the call's own table; anything else as it is.

    Raises DistributionError where it lacks some.
    """
    labels = getattr(given, "columns", getattr(given, "index", None))
    tables = [list(leaf.columns) for _, leaf in walk((call.args, call.kwargs)) if is_table(leaf)]
    if not tables or not hasattr(given, "to_numpy") or labels is None or list(labels) in tables:
        return given
    fits = next((names for names in tables if set(names) <= set(labels)), None)
    if fits is not None:
        return given[fits]
    if is_table(given):
        asked, there = (", ".join(map(repr, names[:20])) for names in (list(labels), tables[0]))
        what = f"a baseline with columns {asked}"
        raise DistributionError(what, there=there, try_="the same columns, in any order, or .to_numpy()", code="E-BASELINE-COLUMNS")
    return given


def call_baseline(given: Any, call: Call) -> Any:
    """What a function of the model's arguments gives; anything else as it is. Raises DistributionError with what the function raised."""
    if not callable(given):
        return given
    try:
        return given(*call.args, **call.kwargs)
    except AscribeError:
        raise
    except Exception as wrong:
        said = f"the baseline raised {type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0]}"
        raise DistributionError(said, try_="a function of the model's own arguments", code="E-BASELINE-RAISED") from wrong


def refuse_other_ids(baseline: Call, call: Call) -> None:
    """Raise DistributionError for a baseline of other token ids where only floating inputs move."""
    theirs = dict(walk((baseline.args, baseline.kwargs)))
    for path, own in walk((call.args, call.kwargs)):
        other = theirs.get(path)
        if not is_array(own) or not is_array(other) or any(part in str(path[1]) for part in BESIDE_IDS):
            continue
        a, b = as_numpy(own), as_numpy(other)
        if a.dtype.kind in "iu" and a.shape == b.shape and (a != b).any():
            raise DistributionError(
                f"the baseline has other whole numbers in {argument_name(path)}, and the path is one of the floating inputs alone",
                there="ids have no path of their own, only their embedding has",
                try_="at= the embedding, with the same baseline; and at=asc.INPUT with the ids of the record, for the floating inputs",
                code="E-BASELINE-IDS",
            )


def _called(given: Any, here: CutValues) -> Any:
    """What a function of the model's arguments gives, and what the cut holds in another call."""
    given = call_baseline(given, here.call)
    return tuple(here.read(given)) if isinstance(given, Call) else given


def resolve_background(given: Any, here: CutValues) -> list[Array]:
    """A background as one array ``[rows, ...]`` for each array at the cut; row i of each belongs together.

    Raises DistributionError where shapes do not fit or the numbers of rows differ.
    """
    given = _called(given, here)
    rows = []
    for part, value, name in zip(split_by_array(given, here), here.values, here.names, strict=True):
        array = _typed(part, value)
        inner = tuple(value.shape[1:])
        if tuple(array.shape[1:]) != inner or not len(array):
            raise DistributionError(
                f"a background of shape {tuple(array.shape)} for {name}",
                there=f"records of shape {inner}",
                try_=f"an array [rows, {', '.join(map(str, inner))}]",
                code="E-BASELINE-SHAPE",
            )
        rows.append(array)
    if len({len(r) for r in rows}) > 1:
        raise DistributionError(
            f"backgrounds with {[len(r) for r in rows]} rows",
            try_="the same rows for each input: they are drawn together",
            code="E-BASELINE-COUNT",
        )
    return rows


def resolve_points(given: Any, here: CutValues) -> list[Array]:
    """Points as one array ``[points, records, ...]`` for each array at the cut, cut to the records that are here.

    Raises DistributionError where shapes do not fit or the numbers of points differ.
    """
    found = []
    for part, value, name in zip(split_by_array(given, here), here.values, here.names, strict=True):
        array = _typed(part, value)
        shape, inner = tuple(array.shape), tuple(value.shape[1:])
        if len(shape) != len(inner) + 2 or shape[2:] != inner or shape[1] not in (1, here.total):
            raise DistributionError(
                f"points of shape {shape} for {name}",
                there=f"{here.total} records of shape {inner}",
                try_=f"an array [points, {here.total}, {', '.join(map(str, inner))}]",
                code="E-POINTS-SHAPE",
            )
        found.append(array if shape[1] == 1 else array[:, here.index])
    if len({len(array) for array in found}) > 1:
        counts = [len(array) for array in found]
        raise DistributionError(f"{counts} points", try_="as many for each input: they are visited together", code="E-POINTS-SHAPE")
    return found


def _looked_up(baseline: Mapping[Any, Any], names: Sequence[str], i: int) -> Any:
    for key in (names[i], i):
        if key in baseline:
            return baseline[key]
    raise DistributionError(f"no baseline for {names[i]!r}", there=f"baselines for {sorted(map(str, baseline))}", try_="one for each input")


def _typed(given: Any, value: Array) -> Array:
    """A number, a list or an array, whole numbers too, as an array of the kind and type of ``value``.

    Raises DistributionError for what holds no numbers, and for what that type cannot hold: parts of whole numbers, numbers for words.
    """
    xp = namespace(value)
    if getattr(value.dtype, "kind", "") == "O" and is_missing(given):  # cells of a table with words hold anything
        return np.array(None if given is None else np.nan, dtype=object)
    try:
        if hasattr(given, "to_numpy"):  # of pandas; what is missing there is NaN
            given = given.to_numpy(np.float64 if xp.is_floating(value) else None)
        array = xp.asarray(given if is_array(given) else np.asarray(given, dtype=np.float64), value)
        with np.errstate(invalid="ignore"):
            found = xp.cast(array, value)
        cut = not xp.is_floating(value) and loses_information(xp.numpy(array), xp.numpy(found))
    except (TypeError, ValueError, OverflowError) as wrong:
        what = f"a baseline of type {type(given).__name__}"
        raise DistributionError(what, there="no table of numbers", try_="a number or an array", code="E-BASELINE-TYPE") from wrong
    if cut:
        words = getattr(value.dtype, "kind", "") in ("U", "S")
        try_ = f"values of that type, one for each column where columns differ; or x.astype({'object' if words else 'float'})"
        raise DistributionError("a baseline that has to be cut to fit", there=f"type {value.dtype}", try_=try_, code="E-BASELINE-TYPE")
    return found


def is_missing(value: Any) -> bool:
    """Whether something is what tables have where a value is missing: None, NaN, or the NA of pandas."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def loses_information(array: np.ndarray, found: np.ndarray) -> bool:
    """Whether something was lost when an array took another type that is no floating one, or a number came among words."""
    if found.dtype.kind in "OUS" and array.dtype.kind in "fiub":
        return found.dtype.kind != "O" or not array.ndim
    return found.dtype != array.dtype and bool((found != array).any())


def _fitted(given: Any, value: Array, here: CutValues, i: int) -> Array:
    """A number or an array as ``[1 or records, ...]`` for the i-th array, cut to the records that are here."""
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
            f"a baseline of shape {tuple(as_numpy(given).shape)} for {here.names[i]}",
            there=f"a value of shape {(here.total, *target[1:])}",
            try_=f"a number, one row {target[1:]}, or one row per record",
            code="E-BASELINE-SHAPE",
        )
    array = array.reshape((*[1] * (len(target) - len(shape)), *shape))
    return namespace(value).broadcast_to(array, (array.shape[0], *target[1:]))


def _named(name: str, value: Array, here: CutValues, leaf: int) -> Array:
    """The named baselines: zeros, each record's mean per channel, the record blurred, uniform noise in the record's range."""
    xp = namespace(value)
    if name not in NAMED:
        raise DistributionError(f"baseline {name!r} is not known", there=", ".join(NAMED), try_="one of these, a number, or an array")
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
    """An array in double precision. Raises FeatureError for words."""
    try:
        found: np.ndarray = namespace(x).numpy(x).astype(np.float64)
    except (TypeError, ValueError) as wrong:
        raise FeatureError(f"{who} for words", there="columns without numbers", try_="asc.Resample(rows)") from wrong
    return found


def blur(a: np.ndarray, share: float = 0.1, axes: Sequence[int] | None = None) -> np.ndarray:
    """``a`` smoothed, over a ``share`` of each axis."""
    return gaussian_blur(a, lambda size: max(share * size, 1e-6), axes)


def gaussian_blur(a: np.ndarray, width: Callable[[int], float], axes: Sequence[int] | None = None) -> np.ndarray:
    """``a`` smoothed along ``axes`` (all behind the channels) by a normal curve, its ``width`` a function of the size of the axis.

    The curve is cut off at the border and scaled to sum to 1 there, so that a constant stays what it is.

    Raises DistributionError for values without such an axis (tables).
    """
    if a.ndim < 3:
        raise DistributionError(f"a blurred baseline for a value of shape {a.shape}", try_='"mean", "zeros" or rows of your own')
    for axis in range(2, a.ndim) if axes is None else axes:
        grid = np.arange(a.shape[axis])
        kernel = np.exp(-0.5 * ((grid[:, None] - grid) / width(len(grid))) ** 2)
        kernel /= kernel.sum(1, keepdims=True)
        a = np.moveaxis(np.moveaxis(a, axis, -1) @ kernel.T, -1, axis)
    return a
