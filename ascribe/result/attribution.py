"""The result of every call: the values, how they were computed, and the checks that show how far they can be trusted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..features.table import FeatureTable
from ..tree import Path, map_leaves, walk
from ..utils import pooling
from ..utils.entry import check_arguments
from ..utils.hints import RESULT
from . import averages, exports, notebook, row_records, selection, summary, terminal
from .arithmetic import combine_results
from .axes import AxisNames, as_texts, name_axes, without_axis
from .parts import SUMS, Check, Cost, Gap, keep_problems

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
    ``rows`` is the record of each row of the values if the call used ``Call(..., records=array)``, else None. ``base_value`` is the
    quantity at the baseline per record, None for methods without completeness. ``axes`` has the names of positions (see ``with_names``).
    ``a[3]``, ``a[:10]`` and iteration give results of single records.

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
    base_value: np.ndarray | None = None
    axes: tuple[AxisNames, ...] = ()

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
        return selection.select_records(self, index)

    def __getitem__(self, index: pooling.Records) -> Attribution:
        if isinstance(index, str) or (isinstance(index, tuple) and index):
            raise ResultError(
                "A result is indexed by its records", found=f"a[{index!r}]", advice='a[0], a[:10], or a.part("name") for an array'
            )
        return self.records(index)

    def __iter__(self) -> Iterator[Attribution]:
        return (self.records(i) for i in range(len(self)))

    def padded(self) -> Attribution:
        """Returns a result with ``rows`` as ``[records, longest, ...]``, padded with 0; a result without ``rows`` is unchanged."""
        if self.rows is None:
            return self
        values, error = (row_records.pad_rows(self.rows, value, self.records_axis) for value in (self.values, self.error))
        return replace(self, values=values, error=error, record=row_records.pad_rows(self.rows, self.record, 0), rows=None)

    def quantity_at(self, k: int) -> Attribution:
        """Returns the result of one of several quantities, by its position in ``of=``. Raises ResultError if it does not exist."""
        return selection.select_quantity(self, k)

    def part(self, *path: int | str) -> Attribution:
        """Returns the result of one of several arrays, by its position or name: ``a.part(0)``, ``a.part("image")``.

        The gap concerns the sum of all arrays, so that a part has none. Raises ResultError if the part does not exist.
        """
        values, more = selection.select_part(self, path)
        return self._changed(values, f"part({', '.join(map(repr, path))})", **more)

    def with_names(
        self,
        *path: int | str,
        features: Sequence[object] | None = None,
        tokens: Any = None,
        ids: ArrayLike | None = None,
        channels: Sequence[object] | None = None,
        times: Sequence[object] | None = None,
        unit: str = "",
        classes: Sequence[str] | None = None,
    ) -> Attribution:
        """Returns the result with names of its positions, which figures, tables, reports and files use.

        >>> a = asc.IntegratedGradients()(model, x).with_names(features=["width", "height", "length", "weight"])

        ``features`` name the last axis, ``channels`` and ``times`` the axis of their length, with ``unit`` of the times. ``tokens`` is what
        the tokenizer returned for these records, a tokenizer (with ``ids``, the token ids), a list of tokens, or a list for each record.
        ``classes`` are the names of the classes. ``path`` selects one of several arrays. Tables of pandas bring their names themselves.

        Raises ResultError for names that do not fit.
        """
        given = {"features": features, "tokens": tokens, "channels": channels, "times": times, "unit": unit, "ids": ids}
        ids = self.record if ids is None and is_array(self.record) else ids
        found = name_axes(self.padded().values, self.records_axis, path, **given | {"ids": ids})
        replaced = {(one.path, one.axis) for one in found}
        kept = tuple(one for one in self.axes if (one.path, one.axis) not in replaced)
        return replace(self, axes=(*kept, *found), class_names=self.class_names if classes is None else as_texts(classes))

    # Arithmetic

    def __add__(self, other: Attribution) -> Attribution:
        return combine_results(self, other, "+", operator.add) if isinstance(other, Attribution) else NotImplemented

    def __radd__(self, other: int) -> Attribution:
        return self if other == 0 else NotImplemented  # the built-in sum() starts with 0

    def __sub__(self, other: Attribution) -> Attribution:
        return combine_results(self, other, "-", operator.sub) if isinstance(other, Attribution) else NotImplemented

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
        at = {len(array.shape) - first: pooling.resolve_axis(axis, array.ndim, first) - first for _, array in self.arrays()}
        kept = without_axis(self.axes, next(iter(at.values()))) if len(at) == 1 else ()
        return self._changed(values, f"pool({axis!r}, {how!r})", adds_up=how == "sum", axes=kept)

    def sum(self, axis: pooling.Axis) -> Attribution:
        """Returns ``pool(axis, "sum")``."""
        return self.pool(axis, "sum")

    def mean(self, axis: pooling.Axis | None = None) -> Attribution:
        """Returns the mean over the records, with its standard error, or ``pool(axis, "mean")``.

        *Use it when* you ask what matters for a model, not for one record: ``a.abs().mean()`` is the global importance of each feature.

        Raises ResultError for tokens, which differ from record to record.
        """
        return averages.average_records(self) if axis is None else self.pool(axis, "mean")

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
            self._each(lambda a: pooling.resize_single_maps(a, height, width, self.records_axis)),
            f"resize({height}, {width})",
            axes=tuple(one for one in self.axes if one.kind in ("token", "feature") and one.axis == 1),
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

    def to_shap(self) -> Any:
        """Returns a ``shap.Explanation``, for the plots of shap: values, base values, data and names.

        Several quantities become its last axis. Raises ResultError without shap, and for several arrays.
        """
        return exports.to_shap(self.padded())

    def to_xarray(self) -> Any:
        """Returns an ``xarray.Dataset`` with named axes: values, explained quantity, base value and gap.

        Raises ResultError without xarray, and for several arrays.
        """
        return exports.to_xarray(self.padded())

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
        merge: bool = True,
    ) -> Figure:
        """Returns a matplotlib figure of one record; pyplot is not used, and nothing is displayed.

        ``kind`` is needed if the shape allows several: "bars" ``[features]``, "tokens" ``[tokens]``, "image" ``[height, width]`` or
        ``[channels, height, width]``, "image_last" ``[height, width, channels]``, "series" ``[channels, time]``, "series_last"
        ``[time, channels]``. ``features`` or ``tokens`` are names of the positions. ``image`` is drawn under a map, by default the record
        if it has the shape of an image. ``top`` is the maximum number of bars, or of channels of a series. ``merge`` draws
        tokens as words, with the sums of their values.

        Raises ResultError if matplotlib is not installed, the kind does not fit, or there are several arrays or quantities.
        """
        from ..plots import plot

        if tokens is not None:
            kind, features = kind or "tokens", tokens
        return plot(self.padded(), ax, record=record, kind=kind, names=features, image=image, top=top, merge=merge)

    @check_arguments
    def show(self, file: IO[str] | None = None) -> None:
        """Writes a summary to ``file``, by default standard output; in colour on a terminal if ``rich`` is installed."""
        terminal.show(self.padded(), file)

    def __repr__(self) -> str:
        return summary.format_line(self)

    def _repr_html_(self) -> str:
        return notebook.format_html(self.padded())

    # Derived results

    def _each(self, change: Callable[[Any], Any]) -> Any:
        return map_leaves(self.values, lambda _, leaf: None if leaf is None else change(leaf))

    def _changed(self, values: Any, call: str = "", *, method: str = "", adds_up: bool = False, **more: Any) -> Attribution:
        kept: dict[str, Any] = {} if adds_up else {"gap": None, "base_value": None, "checks": keep_problems(self.checks, SUMS)}
        kept |= {"error": None, "features": None} | more
        return replace(self, values=values, method=method or f"{self.method or 'values'}.{call}", **kept)

    def _scaled(self, factor: float) -> dict[str, Any]:
        """Returns the standard errors and the feature values multiplied by a number."""
        error = map_leaves(self.error, lambda _, leaf: None if leaf is None else leaf * abs(factor))
        return {"error": error, "features": None if self.features is None else self.features.scale(factor)}
