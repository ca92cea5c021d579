"""The result of every call: the values, how they were computed, and the checks that show how far they can be trusted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..features.table import FeatureTable
from ..tree import Path, follow, map_leaves, walk
from ..utils import pooling
from ..utils.entry import check_arguments
from ..utils.hints import RESULT
from . import row_records, summary
from .arithmetic import check_same_records
from .parts import SUMS, Check, Cost, Gap, keep_problems, part_at, restrict_check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..arrays import ArrayLike
    from ..display.layouts import Kind

__all__ = ("Attribution", "Check", "Cost", "Gap")


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """The contribution of each input element to the explained quantity, per record, with the completeness gap and checks.

    >>> a = asc.IntegratedGradients()(model, x, of=1)
    >>> a.values.shape                    # that of x
    torch.Size([3, 4])
    >>> a.ok                              # no check failed; a.checks has the details
    True
    >>> figure = a.plot(record=0)

    ``values`` has the structure of the cut: an array, or a tuple or a dict of arrays, of the user's framework, data type and device. The
    records (samples) are axis 0; if one call explained several quantities, these are axis 0 and the records axis 1.

    ``record`` is the value at the cut, ``explained`` the quantity per record, ``prediction`` the model's output if it is
    ``[records, classes]``, ``target`` the class of each record if the quantity is a class. ``gap`` is the completeness gap (convergence
    delta), None for methods without completeness. ``error`` has the standard errors of sampled values, ``features`` one value per
    feature group of perturbation methods. ``method``, ``quantity`` and ``cut`` are expressions, with arrays shown by their shape.
    ``rows`` is the record of each row of the values if the call used ``Call(..., records=array)``, else None.

    Results of the same records can be added and subtracted, and multiplied and divided by numbers: ``sum(results) / len(results)`` is
    their mean. The new result has no gap, because the values no longer add up to one change of the quantity.
    """

    values: Any
    record: Any = None
    cut: str = "INPUT"
    quantity: str = ""
    method: str = ""
    explained: np.ndarray | None = None
    prediction: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    target: np.ndarray | None = None
    gap: Gap | None = None
    checks: tuple[Check, ...] = ()
    cost: Cost | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    error: Any = None
    features: FeatureTable | None = None
    rows: np.ndarray | None = None

    __array_ufunc__: ClassVar[None] = None  # np.float64(2) * a calls __rmul__ instead of iterating over a

    # Contents

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            said = f"'Attribution' object has no attribute {name!r}"
            raise AttributeError(f"{said}. Try: {RESULT[name]}" if name in RESULT else said, name=name, obj=self)

    def arrays(self) -> list[tuple[Path, Any]]:
        """Returns the arrays in ``values`` with their paths: ``[((), values)]`` for a single array."""
        return [(path, leaf) for path, leaf in walk(self.values) if leaf is not None]

    @property
    def quantities(self) -> int | None:
        """The number of quantities; None for a single one, whose arrays have the records on axis 0."""
        known = self.explained if self.explained is not None else self.gap.absolute if self.gap else None
        return known.shape[0] if known is not None and np.ndim(known) == 2 else None

    @property
    def records_axis(self) -> int:
        """The batch dimension of the values: 0, or 1 for several quantities."""
        return 0 if self.quantities is None else 1

    def __len__(self) -> int:
        if self.rows is not None:
            return int(self.rows.max(initial=-1)) + 1 if self.explained is None else int(self.explained.shape[-1])
        arrays = self.arrays()
        shape = arrays[0][1].shape[self.records_axis :] if arrays else ()
        return int(shape[0]) if shape else 0

    @property
    def ok(self) -> bool:
        """True if no check failed."""
        return all(check.status != "fail" for check in self.checks)

    def raise_for_checks(self) -> Attribution:
        """Returns this result. Raises ResultError with the code E-CHECKS if a check failed."""
        failed = [check for check in self.checks if check.status == "fail"]
        if failed:
            details = "; ".join(f"{check.name}: {check.detail}" if check.detail else check.name for check in failed)
            problem = f"The result failed {len(failed)} of {len(self.checks)} checks"
            raise ResultError(problem, found=details, advice="a.show()", code="E-CHECKS")
        return self

    # Parts

    def records(self, index: pooling.Records) -> Attribution:
        """Returns the selected records: an index, a slice, a list or a boolean mask. The batch dimension is kept.

        Raises ResultError for an index that is out of range.
        """
        place = pooling.record_positions(index, len(self))
        first, count = self.records_axis, len(self)

        def rows(array: Any, axis: int = first) -> Any:
            own = is_array(array) and tuple(array.shape[axis : axis + 1]) == (count,)  # arrays that all records share are unchanged
            return array[(slice(None),) * axis + (place,)] if own else array

        def part(value: Any, axis: int = first) -> Any:
            if self.rows is None:
                return map_leaves(value, lambda _, leaf: rows(leaf, axis))
            return row_records.take_rows(self.rows, kept, value, axis, lambda leaf: rows(leaf, axis))

        kept, numbers = (place, None) if self.rows is None else row_records.select_rows(self.rows, place)
        known = {name: getattr(self, name) for name in ("explained", "target")}
        return replace(
            self,
            values=part(self.values),
            record=part(self.record, 0),
            error=part(self.error),
            rows=numbers,
            features=None if self.features is None else self.features.records(place, first),
            prediction=rows(self.prediction, 0),
            gap=None if self.gap is None else Gap(rows(self.gap.absolute), rows(self.gap.relative)),
            checks=tuple(restrict_check(check, place) for check in self.checks),
            **{name: rows(array, np.ndim(array) - 1) for name, array in known.items()},
        )

    def padded(self) -> Attribution:
        """Returns a result with ``rows`` as ``[records, longest, ...]``, padded with 0; a result without ``rows`` is unchanged."""
        if self.rows is None:
            return self
        values, error = (row_records.pad_rows(self.rows, value, self.records_axis) for value in (self.values, self.error))
        return replace(self, values=values, error=error, record=row_records.pad_rows(self.rows, self.record, 0), rows=None)

    def quantity_at(self, k: int) -> Attribution:
        """Returns the result of one of several quantities, by its position in ``of=``. Raises ResultError if it does not exist."""
        several = self.quantities
        if several is None or not -several <= k < several:
            there = "a single quantity" if several is None else f"{several} quantities"
            raise ResultError(f"The result has no quantity {k}", found=there, advice="a.quantity_at(0)" if several else "a itself")
        known = {name: getattr(self, name) for name in ("explained", "target")}
        return replace(
            self,
            values=map_leaves(self.values, lambda _, leaf: None if leaf is None else leaf[k]),
            error=map_leaves(self.error, lambda _, leaf: None if leaf is None else leaf[k]),
            features=None if self.features is None else self.features.quantity_at(k),
            quantity=f"{self.quantity}[{k}]",
            gap=None if self.gap is None else Gap(self.gap.absolute[k], self.gap.relative[k]),
            **{name: array[k] if np.ndim(array) == 2 else array for name, array in known.items()},
        )

    def part(self, *path: int | str) -> Attribution:
        """Returns the result of one of several arrays, by its position or name: ``a.part(0)``, ``a.part("image")``.

        The gap concerns the sum of all arrays, so that a part has none. Raises ResultError if the part does not exist.
        """
        try:
            values = follow(self.values, path)
        except (LookupError, AttributeError, TypeError):
            parts = [f"part({', '.join(map(repr, p))})" for p, _ in self.arrays() if p] or ["values"]
            problem, there = f"The result has no part({', '.join(map(repr, path))})", ", ".join(parts)
            raise ResultError(problem, found=there, advice=f"a.{parts[0]}") from None
        inside = [k for k, (p, _) in enumerate(self.arrays()) if p[: len(path)] == path]
        features = self.features.part(inside[0]) if self.features is not None and len(inside) == 1 else None
        more = {"record": part_at(self.record, path), "error": part_at(self.error, path), "features": features}
        return self._changed(values, f"part({', '.join(map(repr, path))})", **more)

    # Arithmetic

    def __add__(self, other: Attribution) -> Attribution:
        return self._combined(other, "+", operator.add)

    def __radd__(self, other: int) -> Attribution:
        return self if other == 0 else NotImplemented  # the built-in sum() starts with 0

    def __sub__(self, other: Attribution) -> Attribution:
        return self._combined(other, "-", operator.sub)

    def __mul__(self, number: float) -> Attribution:
        if not isinstance(number, Real):
            return NotImplemented
        factor = float(number)
        return self._changed(self._each(lambda array: array * factor), method=f"({self.method} * {factor:g})", **self._scaled(factor))

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> Attribution:
        if not isinstance(number, Real):
            return NotImplemented
        if number == 0:
            raise ResultError("A result cannot be divided by zero", found=f"{self.method} / {number!r}", advice="a / len(results)")
        divisor = float(number)
        scaled = self._scaled(1 / divisor)
        return self._changed(self._each(lambda array: array / divisor), method=f"({self.method} / {divisor:g})", **scaled)

    def __neg__(self) -> Attribution:
        return self._changed(self._each(operator.neg), method=f"(-{self.method})", **self._scaled(-1.0))

    def abs(self) -> Attribution:
        """Returns the absolute values."""
        features = None if self.features is None else self.features.with_values(np.abs)
        return self._changed(self._each(operator.abs), "abs()", features=features)

    __abs__ = abs

    # Pooling

    def pool(self, axis: pooling.Axis, how: pooling.How = "sum") -> Attribution:
        """Returns the values reduced over one axis: the sum, mean, maximum or L2 norm.

        *Use it when* one value per pixel or token is needed: ``a.pool("channels")``, ``a.pool("embedding", "l2")``.

        ``axis`` is counted from the batch dimension, which is 0. "channels" is axis 1 and "embedding" the last axis of arrays with at least
        three axes. The sum keeps the gap, because the values still add up to the same total.

        Raises ResultError if the array has no such axis.
        """
        pooling.look_up(pooling.POOLS, how, "pooling")
        first = self.records_axis
        values = self._each(lambda array: pooling.pool_axis(array, pooling.resolve_axis(axis, array.ndim, first), how))
        return self._changed(values, f"pool({axis!r}, {how!r})", adds_up=how == "sum")

    def sum(self, axis: pooling.Axis) -> Attribution:
        """Returns ``pool(axis, "sum")``."""
        return self.pool(axis, "sum")

    def mean(self, axis: pooling.Axis) -> Attribution:
        """Returns ``pool(axis, "mean")``."""
        return self.pool(axis, "mean")

    def normalize(self, how: pooling.Scale = "max") -> Attribution:
        """Returns each record divided by a statistic of its absolute values, over all arrays together.

        ``how`` is the maximum, the sum, the L2 norm or the 99 % quantile; with "quantile", values are clipped to [-1, 1]. Signs do not
        change, and a record of zeros stays zero. Raises ResultError if the arrays have different records.
        """
        scale, rows = pooling.record_scale([array for _, array in self.padded().arrays()], how, self.records_axis), self.rows

        def scaled(array: Any) -> Any:
            own = rows is not None and array.shape[self.records_axis] == len(rows)
            return pooling.divide_by_scale(array, scale[..., rows] if own else scale, clip=how == "quantile")

        def by_record(table: np.ndarray) -> np.ndarray:
            result: np.ndarray = pooling.divide_by_scale(table, scale, clip=how == "quantile")
            return result

        features = None if self.features is None else self.features.with_values(by_record)
        return self._changed(self._each(scaled), f"normalize({how!r})", features=features)

    def resize(self, height: int, width: int) -> Attribution:
        """Returns maps ``[..., h, w]`` or ``[..., h, w, 1]`` at another size, by bilinear interpolation. Raises ResultError for others."""
        for path, array in self.arrays():
            if array.ndim - self.records_axis < 3:
                there = f"{pooling.describe_shapes(array)}{f' at {path}' if path else ''}"
                problem, advice = "Only maps [records, ..., height, width] can be resized", "a.part(...) of an array with height and width"
                raise ResultError(problem, found=there, advice=advice)
        return self._changed(
            self._each(lambda a: pooling.resize_single_maps(a, height, width, self.records_axis)), f"resize({height}, {width})"
        )

    # Conversion and display

    def to_numpy(self) -> Any:
        """Returns ``values`` as NumPy arrays, in the same structure; half precision of other frameworks becomes float32."""
        return self._each(lambda array: array.copy() if isinstance(array, np.ndarray) else as_numpy(array))

    def to_pandas(self, *, features: Sequence[str] | None = None, wide: bool = False) -> Any:
        """Returns a DataFrame with one row per value: its record, its position, the explained quantity and the gap of the record.

        ``features`` are names for the last axis. ``wide=True``, for values ``[records, features]``, has a row per record and a column per
        feature. Raises ResultError if pandas is not installed or names do not fit.
        """
        from .dataframe import build_frame

        return build_frame(self.padded(), features, wide)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes one safetensors file, with JSON in its header for everything but arrays; an existing file is replaced atomically.

        Raises ResultError if a value cannot be saved, and OSError if the file cannot be written.
        """
        from .storage import save

        save(self, path)

    @staticmethod
    def load(path: str | PathLike[str], framework: Literal["numpy", "torch"] = "numpy") -> Attribution:
        """Returns the result in a file that :meth:`save` wrote; bfloat16 becomes float32 with NumPy and is kept with "torch".

        Raises ResultError if the file is not a result or is damaged, and OSError if it cannot be read.
        """
        from .storage import load

        return load(path, framework)

    @check_arguments
    def plot(
        self,
        ax: Axes | None = None,
        record: int = 0,
        kind: Kind | None = None,
        features: Sequence[object] | None = None,
        tokens: Sequence[object] | None = None,
        image: ArrayLike | None = None,
        top: int = 15,
    ) -> Figure:
        """Returns a matplotlib figure of one record; pyplot is not used, and nothing is displayed.

        ``kind`` is needed if the shape allows several: "bars" ``[features]``, "tokens" ``[tokens]``, "image" ``[height, width]`` or
        ``[channels, height, width]``, "image_last" ``[height, width, channels]``, "series" ``[channels, time]``, "series_last"
        ``[time, channels]``. ``features`` or ``tokens`` are names of the positions. ``image`` is drawn under a map, by default the record
        if it has the shape of an image. ``top`` is the maximum number of bars, or of channels of a series.

        Raises ResultError if matplotlib is not installed, the kind does not fit, or there are several arrays or quantities.
        """
        from ..plots import plot

        if tokens is not None:
            kind, features = kind or "tokens", tokens
        return plot(self.padded(), ax, record=record, kind=kind, names=features, image=image, top=top)

    @check_arguments
    def show(self, file: IO[str] | None = None) -> None:
        """Writes a summary to ``file``, by default standard output; in colour on a terminal if ``rich`` is installed."""
        summary.show(self.padded(), file)

    def __repr__(self) -> str:
        return summary.format_line(self)

    def _repr_html_(self) -> str:
        return summary.format_html(self.padded())

    # Derived results

    def _each(self, change: Callable[[Any], Any]) -> Any:
        return map_leaves(self.values, lambda _, leaf: None if leaf is None else change(leaf))

    def _changed(self, values: Any, call: str = "", *, method: str = "", adds_up: bool = False, **more: Any) -> Attribution:
        kept: dict[str, Any] = {} if adds_up else {"gap": None, "checks": keep_problems(self.checks, SUMS)}
        kept |= {"error": None, "features": None} | more
        return replace(self, values=values, method=method or f"{self.method or 'values'}.{call}", **kept)

    def _scaled(self, factor: float) -> dict[str, Any]:
        """Returns the standard errors and the feature values multiplied by a number."""
        error = map_leaves(self.error, lambda _, leaf: None if leaf is None else leaf * abs(factor))
        return {"error": error, "features": None if self.features is None else self.features.scale(factor)}

    def _combined(self, other: Attribution, sign: str, work: Callable[[Any, Any], Any]) -> Attribution:
        if not isinstance(other, Attribution):
            return NotImplemented
        check_same_records(self, other, sign)
        theirs = dict(other.arrays())
        values = map_leaves(self.values, lambda path, leaf: None if leaf is None else work(leaf, theirs[path]))
        same: dict[str, Any] = {name: pooling.common_value(getattr(self, name), getattr(other, name)) for name in ("record", *FACTS)}
        return replace(
            self,
            values=values,
            cut=self.cut if self.cut == other.cut else f"({self.cut} {sign} {other.cut})",
            quantity=self.quantity if self.quantity == other.quantity else f"({self.quantity} {sign} {other.quantity})",
            method=f"({self.method} {sign} {other.method})",
            gap=None,
            checks=keep_problems((*self.checks, *other.checks), SUMS | {"zero"}),
            cost=self.cost + other.cost if self.cost and other.cost else self.cost or other.cost,
            error=None,
            features=None if self.features is None else self.features.combine(other.features, work),
            settings=self.settings if self.settings == other.settings else {"left": self.settings, "right": other.settings},
            **same,
        )


FACTS = ("explained", "prediction", "class_names", "target")
