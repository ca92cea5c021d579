"""What every call returns: the values, how they came about, and how far they can be trusted."""

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
from ..utils.hints import RESULT
from . import row_records as row_results
from . import summary as render
from .arithmetic import check_same_records
from .parts import SUMS, Check, Cost, Gap, keep_problems, restrict_check

if TYPE_CHECKING:
    from ..display.layouts import Kind

__all__ = ("Attribution", "Check", "Cost", "Gap")


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """What an output is owed to, for every record, with the method, the completeness gap and the checks.

    ``values`` has the structure of the cut: one array, or a tuple or dict of them, in the user's own framework, type and
    device, records on axis 0. Where one call explained several quantities, those are axis 0 and the records axis 1.
    ``record`` is what was there at the cut, ``explained`` the quantity at the record, ``prediction`` the model's output if
    that is a table ``[records, classes]``, ``target`` the class of each record where the quantity is a class. ``gap`` is
    None where the method promises no completeness. ``method`` and ``quantity`` are code, arrays by shape. ``error`` has the
    standard errors of the values, where they were sampled, and ``features`` one value per feature, where features were removed.
    ``rows`` is the record of each row of the values, where the call gave its rows to records by an array; None elsewhere.

    Results of the same records can be added, subtracted, multiplied and divided by numbers; ``sum(results) / len(results)`` is
    their mean. Such a result keeps what is still true of it and drops the gap.
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

    __array_ufunc__: ClassVar[None] = None  # np.float64(2) * a comes here instead of going through a's elements

    # What there is

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            said = f"'Attribution' object has no attribute {name!r}"
            raise AttributeError(f"{said}. Try: {RESULT[name]}" if name in RESULT else said, name=name, obj=self)

    def arrays(self) -> list[tuple[Path, Any]]:
        """The arrays in ``values`` with their paths: ``[((), values)]`` where there is one."""
        return [(path, leaf) for path, leaf in walk(self.values) if leaf is not None]

    @property
    def quantities(self) -> int | None:
        """How many quantities the call explained; None for a single one, whose arrays begin with the records."""
        known = self.explained if self.explained is not None else self.gap.absolute if self.gap else None
        return known.shape[0] if known is not None and np.ndim(known) == 2 else None

    @property
    def records_axis(self) -> int:
        """The axis of the records: 0, or 1 behind several quantities."""
        return 0 if self.quantities is None else 1

    def __len__(self) -> int:
        if self.rows is not None:
            return int(self.rows.max(initial=-1)) + 1 if self.explained is None else int(self.explained.shape[-1])
        arrays = self.arrays()
        shape = arrays[0][1].shape[self.records_axis :] if arrays else ()
        return int(shape[0]) if shape else 0

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "fail" for check in self.checks)

    def raise_for_checks(self) -> Attribution:
        """This result, or a ResultError that names the checks that failed."""
        failed = [check for check in self.checks if check.status == "fail"]
        if failed:
            said = "; ".join(f"{check.name}: {check.detail}" if check.detail else check.name for check in failed)
            raise ResultError(f"{len(failed)} of {len(self.checks)} checks failed", there=said, code="E-CHECKS")
        return self

    # Parts of it

    def records(self, index: pooling.Records) -> Attribution:
        """These records only: a number, a slice, a list, or a mask. The axis stays."""
        place = pooling.record_positions(index, len(self))
        first, count = self.records_axis, len(self)

        def rows(array: Any, axis: int = first) -> Any:
            own = is_array(array) and tuple(array.shape[axis : axis + 1]) == (count,)  # what is the same for all records stays
            return array[(slice(None),) * axis + (place,)] if own else array

        def part(value: Any, axis: int = first) -> Any:
            if self.rows is None:
                return map_leaves(value, lambda _, leaf: rows(leaf, axis))
            return row_results.take_rows(self.rows, kept, value, axis, lambda leaf: rows(leaf, axis))

        kept, numbers = (place, None) if self.rows is None else row_results.select_rows(self.rows, place)
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
        """Records that have several rows each with their rows on an axis of their own, ``[records, longest, ...]``, zero behind the last.

        A result without ``rows`` is itself.
        """
        if self.rows is None:
            return self
        values, error = (row_results.pad_rows(self.rows, value, self.records_axis) for value in (self.values, self.error))
        return replace(self, values=values, error=error, record=row_results.pad_rows(self.rows, self.record, 0), rows=None)

    def quantity_at(self, k: int) -> Attribution:
        """One of several quantities, by its position in the call."""
        several = self.quantities
        if several is None or not -several <= k < several:
            there = "a single quantity" if several is None else f"{several} quantities"
            raise ResultError(f"there is no quantity {k}", there=there, try_="a position counted from 0")
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
        """One of several arrays, by its position or its name: ``a.part(0)``, ``a.part("image")``.

        The gap belongs to all arrays together, so a part has none.
        """
        try:
            values = follow(self.values, path)
        except (LookupError, AttributeError, TypeError):
            there = ", ".join(f"part({', '.join(map(repr, p))})" for p, _ in self.arrays())
            raise ResultError(f"there is no part({', '.join(map(repr, path))})", there=there) from None
        inside = [k for k, (p, _) in enumerate(self.arrays()) if p[: len(path)] == path]
        features = self.features.part(inside[0]) if self.features is not None and len(inside) == 1 else None
        more = {"record": _part(self.record, path), "error": _part(self.error, path), "features": features}
        return self._changed(values, f"part({', '.join(map(repr, path))})", **more)

    # Arithmetic

    def __add__(self, other: Attribution) -> Attribution:
        return self._joined(other, "+", operator.add)

    def __radd__(self, other: int) -> Attribution:
        return self if other == 0 else NotImplemented  # where the built-in sum() begins

    def __sub__(self, other: Attribution) -> Attribution:
        return self._joined(other, "-", operator.sub)

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
            raise ResultError("a result cannot be divided by zero", there=self.method)
        divisor = float(number)
        scaled = self._scaled(1 / divisor)
        return self._changed(self._each(lambda array: array / divisor), method=f"({self.method} / {divisor:g})", **scaled)

    def __neg__(self) -> Attribution:
        return self._changed(self._each(operator.neg), method=f"(-{self.method})", **self._scaled(-1.0))

    def abs(self) -> Attribution:
        """The sizes, without the signs."""
        features = None if self.features is None else self.features.with_values(np.abs)
        return self._changed(self._each(operator.abs), "abs()", features=features)

    __abs__ = abs

    # Pooling

    def pool(self, axis: pooling.Axis, how: pooling.How = "sum") -> Attribution:
        """Without one axis: its sum, mean, largest value or Euclidean length.

        ``axis`` counts from the records, which are 0; ``"channels"`` is 1 and ``"embedding"`` the last, of arrays with
        at least three axes. A sum keeps the gap, because the values still add up to the same.
        """
        pooling.look_up(pooling.POOLS, how, "pooling")
        first = self.records_axis
        values = self._each(lambda array: pooling.pool_axis(array, pooling.resolve_axis(axis, array.ndim, first), how))
        return self._changed(values, f"pool({axis!r}, {how!r})", adds_up=how == "sum")

    def sum(self, axis: pooling.Axis) -> Attribution:
        """``pool(axis, "sum")``."""
        return self.pool(axis, "sum")

    def mean(self, axis: pooling.Axis) -> Attribution:
        """``pool(axis, "mean")``."""
        return self.pool(axis, "mean")

    def normalize(self, how: pooling.Scale = "max") -> Attribution:
        """Each record divided by the ``max``, ``sum``, ``l2`` or 99 % ``quantile`` of its sizes, all arrays together.

        Signs stay, a zero map stays zero; after ``quantile`` what is beyond is clipped to -1 and 1.
        """
        scale, rows = pooling.record_scale([array for _, array in self.padded().arrays()], how, self.records_axis), self.rows

        def scaled(array: Any) -> Any:
            own = rows is not None and array.shape[self.records_axis] == len(rows)
            return pooling.divide_by_scale(array, scale[..., rows] if own else scale, clip=how == "quantile")

        def by_record(table: np.ndarray) -> np.ndarray:
            found: np.ndarray = pooling.divide_by_scale(table, scale, clip=how == "quantile")
            return found

        features = None if self.features is None else self.features.with_values(by_record)
        return self._changed(self._each(scaled), f"normalize({how!r})", features=features)

    def resize(self, height: int, width: int) -> Attribution:
        """Maps ``[..., h, w]`` at another height and width, bilinearly between pixel centres."""
        for path, array in self.arrays():
            if array.ndim - self.records_axis < 3:
                raise ResultError(
                    "only maps can be resized",
                    there=f"{pooling.describe_shapes(array)}{f' at {path}' if path else ''}",
                    try_="arrays [records, ..., height, width]",
                )
        return self._changed(self._each(lambda array: pooling.resize_maps(array, height, width)), f"resize({height}, {width})")

    # Elsewhere

    def to_numpy(self) -> Any:
        """``values`` as NumPy, in the same structure; half precision of other frameworks becomes float32."""
        return self._each(lambda array: array.copy() if isinstance(array, np.ndarray) else as_numpy(array))

    def to_pandas(self, *, features: Sequence[str] | None = None, wide: bool = False) -> Any:
        """A tidy DataFrame: one row per value, with its record, its place, and the record's explained quantity and gap.

        ``features`` names the places of the last axis. ``wide``, for tables, gives a row per record and a column per feature.
        """
        from .dataframe import build_frame

        return build_frame(self.padded(), features, wide)

    def save(self, path: str | PathLike[str]) -> None:
        """Write one safetensors file (arrays, and JSON for the rest); it appears whole or not at all."""
        from .storage import save

        save(self, path)

    @staticmethod
    def load(path: str | PathLike[str], framework: Literal["numpy", "torch"] = "numpy") -> Attribution:
        """Read what ``save`` wrote. NumPy has no bfloat16, which becomes float32; ``framework="torch"`` gives it back."""
        from .storage import load

        return load(path, framework)

    def plot(
        self,
        ax: Any = None,
        record: int = 0,
        kind: Kind | None = None,
        features: Sequence[object] | None = None,
        tokens: Sequence[object] | None = None,
        image: Any = None,
        top: int = 15,
    ) -> Any:
        """The matplotlib figure of one record; nothing is shown or kept by pyplot.

        ``kind`` says what the axes are where the shape leaves it open: "bars", "tokens", "image", "image_last",
        "series", "series_last". ``features`` and ``tokens`` name the places; ``image`` is drawn under a map, by default the
        record itself if it looks like one. ``top`` bounds the bars, and the channels of a series.
        """
        from ..plots import plot

        if tokens is not None:
            kind, features = kind or "tokens", tokens
        return plot(self.padded(), ax, record=record, kind=kind, names=features, image=image, top=top)

    def show(self, file: IO[str] | None = None) -> None:
        """Write a summary for the terminal: by default to standard output, in colour where ``rich`` is there."""
        render.show(self.padded(), file)

    def __repr__(self) -> str:
        return render.format_line(self)

    def _repr_html_(self) -> str:
        return render.format_html(self.padded())

    # How a result becomes another one

    def _each(self, change: Callable[[Any], Any]) -> Any:
        return map_leaves(self.values, lambda _, leaf: None if leaf is None else change(leaf))

    def _changed(self, values: Any, call: str = "", *, method: str = "", adds_up: bool = False, **more: Any) -> Attribution:
        kept: dict[str, Any] = {} if adds_up else {"gap": None, "checks": keep_problems(self.checks, SUMS)}
        kept |= {"error": None, "features": None} | more
        return replace(self, values=values, method=method or f"{self.method or 'values'}.{call}", **kept)

    def _scaled(self, factor: float) -> dict[str, Any]:
        """Errors and features' values times a number."""
        error = map_leaves(self.error, lambda _, leaf: None if leaf is None else leaf * abs(factor))
        return {"error": error, "features": None if self.features is None else self.features.scale(factor)}

    def _joined(self, other: Attribution, sign: str, work: Callable[[Any, Any], Any]) -> Attribution:
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


def _part(value: Any, path: Path) -> Any:
    """The part of a value at a path, or None."""
    try:
        return follow(value, path)
    except (LookupError, AttributeError, TypeError):
        return None


FACTS = ("explained", "prediction", "class_names", "target")
