"""The arguments of one model call: which are explained, which belong to a record, which are passed through unchanged."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from ....calls.call import Call, RecordAxes, argument_name
from ....calls.not_arrays import error_without_arrays
from ....cuts import Cut, accessor_path
from ....errors import CutError, InputError, ModelError
from ....tree import Path, map_leaves, normalize_path, walk
from ...arguments import Argument, count_records, may_be_explained, may_be_ids, may_be_removed
from ..namespace import from_numpy
from ..run.axes import FIRST, WHOLE, Axis, axis_by_length

Tensor = torch.Tensor
TOGETHER = "`records=` of a kind that makes all records run together (an array, or 1)"


class Inputs:
    """Positional and keyword arguments as one tree, with NumPy arrays made into tensors.

    Unless the call says otherwise, the first axis of the first floating tensor (or else of the first tensor) counts the records; every
    tensor whose first axis has that length belongs to them, row by row. All others are the same for all records. Arguments that the
    call names as those to be explained come before all others.
    """

    def __init__(self, call: Call, dtype: torch.dtype | None) -> None:
        self.numpy, self.only = False, call.explained
        self.kind: torch.dtype | None = None
        self.tree = map_leaves((call.args, call.kwargs), lambda path, leaf: self._tensor(leaf, dtype))
        self.leaves: dict[Path, Tensor] = {path: leaf for path, leaf in walk(self.tree) if isinstance(leaf, Tensor)}
        for leaf in self.leaves.values():
            if leaf.is_nested or leaf.is_quantized:
                raise other_layout(self.leaves)
        self.counted = self._counted(call)
        self.records = self.counted.count
        self.own = frozenset(self.counted.axes)
        if self.counted.whole:
            self.own = frozenset(path for path, leaf in self.leaves.items() if leaf.ndim and cuttable(leaf))
        self.explained = self._explained()
        self.known: dict[Path, Axis] = {}

    def _counted(self, call: Call) -> RecordAxes:
        """Where the records are. Raises InputError where there are none."""
        shaped = {
            path: Argument(tuple(leaf.shape), leaf.is_floating_point())
            for path, leaf in self.leaves.items()
            if leaf.ndim and cuttable(leaf)
        }
        if shaped:
            return count_records(call, shaped)
        if odd := [f"{argument_name(path)} {leaf.layout}" for path, leaf in self.leaves.items() if not cuttable(leaf)]:
            what = "Tensors of this layout cannot be split into records"
            raise InputError(what, found=", ".join(odd), advice="x.to_dense()", code="E-INPUT-LAYOUT")
        raise error_without_arrays(call, tensors=True)

    def axis(self, path: Path) -> Axis:
        """Where one of the arguments keeps its records."""
        found = self.known.get(path)
        if found is None:
            found = self.known[path] = self._axis(path)
        return found

    def _axis(self, path: Path) -> Axis:
        shape = tuple(self.leaves[path].shape)
        if self.counted.whole:
            return FIRST if shape and shape[0] == 1 else WHOLE
        if self.counted.rows is not None:
            return axis_by_length(shape, self.counted.rows)
        at = self.counted.axes.get(path, 0)
        return Axis(at) if at else FIRST

    def _tensor(self, leaf: Any, dtype: torch.dtype | None) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
            self.numpy = True
            return as_tensor(leaf, dtype)
        return leaf

    def _explained(self) -> list[Path]:
        """The floating tensors that belong to records, in the order of the call: those that the call names, or else all but masks."""
        floating = [p for p, leaf in self.leaves.items() if p in self.own and leaf.is_floating_point()]
        return [p for p in floating if (may_be_explained(p) if self.only is None else p[1] in self.only)]

    @property
    def complex(self) -> list[Path]:
        """The complex tensors that belong to records."""
        return [p for p in self.own_paths if self.leaves[p].is_complex() and (self.only is None or p[1] in self.only)]

    @property
    def own_paths(self) -> list[Path]:
        """Everything that belongs to records, in the order of the call."""
        return [p for p in self.leaves if p in self.own]

    @property
    def tokens(self) -> list[Path]:
        """The token ids that belong to records: integers, except masks, types and positions; or the arguments that the call names."""
        if self.only is not None:
            return [p for p in self.own_paths if p[1] in self.only]
        return [p for p in self.own_paths if may_be_ids(p) and has_integers(self.leaves[p]) and not self._gives_rows(self.leaves[p])]

    def _gives_rows(self, leaf: Tensor) -> bool:
        """True if an argument is the array that gives rows to records, or the starts of their rows."""
        rows = self.counted.rows
        if rows is None or leaf.ndim != 1:
            return False
        known = rows.record if len(leaf) == len(rows) else np.cumsum(rows.counts) - rows.counts
        return len(known) == len(leaf) and np.array_equal(known, leaf.detach().cpu().numpy())

    @property
    def discrete(self) -> list[Path]:
        """Arguments of integers that belong to records, except those that describe the layout of other arguments."""
        return [p for p in self.own_paths if may_be_removed(p) and has_integers(self.leaves[p]) and not self._gives_rows(self.leaves[p])]

    @property
    def ids(self) -> list[Tensor]:
        """The integer tensors, token ids among them; of those that the call names, where it names some."""
        found = {p: leaf for p, leaf in self.leaves.items() if cuttable(leaf) and has_integers(leaf) and not self._gives_rows(leaf)}
        return [leaf for p, leaf in found.items() if self.only is None or p[1] in self.only]

    def paths_at(self, cut: Cut, whole: bool = False) -> list[Path]:
        """The explained arguments under an accessor of INPUT; with ``whole`` token ids too, where there is nothing else.

        Raises CutError where there are none.
        """
        if cut.accessor is None and self.explained and (self.only is None or not whole):
            return self.explained
        start = accessor_path(cut)
        with suppress(LookupError, AttributeError, TypeError):  # of a path that leads nowhere, the error below says more
            start = normalize_path(self.tree, start)
        paths = [p for p in self.explained if p[: len(start)] == start]
        if whole and (not paths or self.only is not None):
            paths = [p for p in (self.own_paths if start else self.tokens) if p[: len(start)] == start]
        if not paths:
            raise CutError(
                f"`{cut!r}` holds no floating-point tensor with one row per record",
                found=f"the arguments: {', '.join(map(argument_name, self.leaves))}",
                advice="at=asc.EMBEDDINGS for token ids",
                code="E-CUT-INTEGER",
            )
        return paths

    def nonfinite(self) -> list[str]:
        """Where an explained input holds NaN: names with the index of the first."""
        found = []
        for path in self.explained:
            leaf = self.leaves[path].detach()
            if leaf.is_meta or (leaf.element_size() > 1 and math.isfinite(leaf.sum())):
                continue  # a sum, which is there for all but the smallest types, takes a tenth of a search
            if (bad := torch.isnan(leaf)).any():
                found.append(f"{argument_name(path)}{[int(i) for i in bad.nonzero()[0]]}")
        return found

    def cast(self, dtype: torch.dtype) -> None:
        """Turn the explained inputs into the model's own floating type."""
        self.kind = dtype
        self.tree = map_leaves(self.tree, lambda p, t: t.to(dtype) if isinstance(t, Tensor) and t.is_floating_point() else t)
        self.leaves = {path: leaf for path, leaf in walk(self.tree) if isinstance(leaf, Tensor)}

    def own_rows(self, path: Path, index: np.ndarray) -> Tensor:
        """The rows of some records in one of the arguments, in its own layout; a view where the rows are adjacent.

        Raises ModelError for some of the records of arguments that cannot be cut.
        """
        leaf = self.leaves[path].detach()
        if len(index) == self.records:
            return leaf
        if self.counted.together:
            raise ModelError("The records of this call cannot be run separately", found=TOGETHER, advice="asc.Call(...) without records=")
        axis, lo, hi = self.counted.axes[path], int(index[0]), int(index[-1]) + 1
        if hi - lo == len(index):
            return leaf.narrow(axis, lo, hi - lo)
        return leaf.index_select(axis, torch.as_tensor(index, device=leaf.device))

    def one_row(self, path: Path) -> tuple[int, ...]:
        """The shape of one of the arguments for a single record."""
        shape = list(self.leaves[path].shape)
        if not self.counted.together:
            shape[self.counted.axes[path]] = 1
        return tuple(shape)

    def repeated(self, path: Path, part: Tensor, repeat: int) -> Tensor:
        """One argument's rows, all of them ``repeat`` times. Raises ModelError for arguments that cannot be cut."""
        if repeat == 1:
            return part.clone()
        if self.counted.together:
            raise ModelError("The records of this call cannot be run at several points at once", found=TOGETHER, advice="chunk=1")
        times = [1] * part.ndim
        times[self.counted.axes[path]] = repeat
        return part.repeat(times)

    def rows(self, index: np.ndarray, repeat: int, news: Mapping[Path, Tensor]) -> tuple[Any, Any]:
        """Arguments for the records numbered ``index``, all of them ``repeat`` times, but for those in ``news``.

        Every tensor is a copy or a view that the model may not write through to the user's: a model that works in place on
        its own input would change it from run to run.
        """

        def change(path: Path, leaf: Any) -> Any:
            if path in news:
                return news[path]
            if not isinstance(leaf, Tensor):
                return fresh(leaf)
            if path not in self.own:
                return leaf.detach().clone()
            return self.repeated(path, self.own_rows(path, index), repeat)

        args, kwargs = map_leaves(self.tree, change)
        return args, kwargs

    def signature(self) -> tuple[tuple[Any, ...], list[Any]]:
        """The signature of a call: shapes, types and flags, equal for calls that run alike; and the other arguments."""
        items: list[Any] = [self.only, self.records, self.counted.whole, self.counted.rows, *self.counted.axes.items()]
        others = []
        for path, leaf in walk(self.tree):
            if isinstance(leaf, Tensor):
                items.append((path, leaf.shape, leaf.dtype, leaf.device))
            elif isinstance(leaf, (bool, int, float, str, type(None))):
                items.append((path, type(leaf), leaf))
            else:
                others.append(leaf)
        return tuple(items), others


def other_layout(leaves: Mapping[Path, Tensor]) -> InputError:
    """The error for nested and for quantised tensors."""
    if nested := [argument_name(path) for path, leaf in leaves.items() if leaf.is_nested]:
        return InputError(
            "Nested tensors are not supported", found=", ".join(nested), advice="padded rows and a mask", code="E-INPUT-LAYOUT"
        )
    short = [argument_name(path) for path, leaf in leaves.items() if leaf.is_quantized]
    return InputError("Quantised tensors are not supported", found=", ".join(short), advice="x.dequantize()", code="E-INPUT-LAYOUT")


def cuttable(leaf: Tensor) -> bool:
    """True if a tensor can be cut into records: sparse tensors are passed through unchanged."""
    return leaf.layout == torch.strided


def has_integers(leaf: Tensor) -> bool:
    """True if a tensor holds integers."""
    return not leaf.is_floating_point() and not leaf.is_complex() and leaf.dtype != torch.bool


def fresh(leaf: Any) -> Any:
    """A copy of a cache of keys and values, which a model adds to in every run; anything else as it is.

    Raises InputError for a cache that cannot be copied.
    """
    if not callable(getattr(leaf, "get_seq_length", None)):
        return leaf
    try:
        return copy.deepcopy(leaf)
    except RuntimeError as wrong:
        what = "A key-value cache that carries gradients cannot be copied"
        advice = "with torch.no_grad(): ..., around the code that fills the cache"
        raise InputError(what, found=f"a {type(leaf).__name__}", advice=advice, code="E-INPUT-CACHE") from wrong


def as_tensor(array: np.ndarray, dtype: torch.dtype | None) -> Tensor:
    """NumPy's numbers as a tensor; floating ones of this type, or else of their own. Raises InputError for a masked array."""
    if isinstance(array, np.ma.MaskedArray):
        there = f"a masked array of shape {array.shape}"
        raise InputError("Masked arrays are not supported", found=there, advice="x.filled(0)", code="E-INPUT-LAYOUT")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    tensor = from_numpy(np.require(array, np.float64 if wide else array.dtype.newbyteorder("="), ["C", "W"]))
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
