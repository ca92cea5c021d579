"""The arguments of one model call: which are explained, which belong to a record, which ride along."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...baselines import BESIDE_IDS, Call
from ...errors import InputError
from ...given import without_arrays
from ...tree import Path, mapped, walk

Tensor = torch.Tensor


class Inputs:
    """Positional and keyword arguments as one tree, with NumPy arrays made into tensors.

    The first axis of the first floating tensor (or else of the first tensor) counts the records; every tensor whose first
    axis has that length belongs to them, row by row. All others are the same for all records. Arguments that the call names
    as those to be explained come before all others.
    """

    def __init__(self, call: Call, dtype: torch.dtype | None) -> None:
        self.numpy, self.only = False, call.explained
        self.tree = mapped((call.args, call.kwargs), lambda path, leaf: self._tensor(leaf, dtype))
        self.leaves: dict[Path, Tensor] = {path: leaf for path, leaf in walk(self.tree) if isinstance(leaf, Tensor)}
        if odd := [f"{named(path)} {leaf.layout}" for path, leaf in self.leaves.items() if leaf.layout != torch.strided or leaf.is_nested]:
            raise InputError("tensors that cannot be cut into records", there=", ".join(odd), try_="x.to_dense()", code="E-INPUT-LAYOUT")
        shaped = {path: leaf for path, leaf in self.leaves.items() if leaf.ndim}
        named_first = [leaf for path, leaf in shaped.items() if self.only is not None and path[1] in self.only]
        floating = [leaf for leaf in named_first or shaped.values() if leaf.is_floating_point()]
        leading = next(iter(sorted(floating, key=lambda t: t.ndim < 2) or named_first or shaped.values()), None)
        if leading is None:
            raise without_arrays(call, tensors=True)
        self.records = int(leading.shape[0])
        if not self.records:
            raise InputError("there are no records", there=f"an input of shape {tuple(leading.shape)}", try_="at least one row")
        self.own = frozenset(path for path, leaf in shaped.items() if leaf.shape[0] == self.records)
        self.explained = self._explained()

    def _tensor(self, leaf: Any, dtype: torch.dtype | None) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
            self.numpy = True
            return as_tensor(leaf, dtype)
        return leaf

    def _explained(self) -> list[Path]:
        """The floating tensors that belong to records, in the order of the call: those that the call names, or else all but masks."""
        floating = [p for p, leaf in self.leaves.items() if p in self.own and leaf.is_floating_point()]
        return [p for p in floating if ("mask" not in str(p[1]) if self.only is None else p[1] in self.only)]

    @property
    def own_paths(self) -> list[Path]:
        """Everything that belongs to records, in the order of the call."""
        return [p for p in self.leaves if p in self.own]

    @property
    def tokens(self) -> list[Path]:
        """The token ids that belong to records: whole numbers, but for masks, types and positions; or whatever the call names."""
        if self.only is not None:
            return [p for p in self.own_paths if p[1] in self.only]
        named_so = (p for p in self.own_paths if not any(part in str(p[1]) for part in BESIDE_IDS))
        return [p for p in named_so if not self.leaves[p].is_floating_point() and self.leaves[p].dtype != torch.bool]

    @property
    def ids(self) -> list[Tensor]:
        """The integer tensors, token ids among them; of those that the call names, where it names some."""
        found = {p: leaf for p, leaf in self.leaves.items() if not leaf.is_floating_point() and leaf.dtype != torch.bool}
        return [leaf for p, leaf in found.items() if self.only is None or p[1] in self.only]

    def nonfinite(self) -> list[str]:
        """Where an explained input holds NaN: names with the index of the first."""
        found = []
        for path in self.explained:
            leaf = self.leaves[path].detach()
            if leaf.is_meta or (leaf.element_size() > 1 and math.isfinite(leaf.sum())):
                continue  # a sum, which is there for all but the smallest types, takes a tenth of a search
            if (bad := torch.isnan(leaf)).any():
                found.append(f"{named(path)}{[int(i) for i in bad.nonzero()[0]]}")
        return found

    def cast(self, dtype: torch.dtype) -> None:
        """Turn the explained inputs into the model's own floating type."""
        self.tree = mapped(self.tree, lambda p, t: t.to(dtype) if isinstance(t, Tensor) and t.is_floating_point() else t)
        self.leaves = {path: leaf for path, leaf in walk(self.tree) if isinstance(leaf, Tensor)}

    def own_rows(self, path: Path, index: np.ndarray) -> Tensor:
        """The rows of some records in one of the arguments; a view where they lie together."""
        leaf = self.leaves[path].detach()
        lo, hi = int(index[0]), int(index[-1]) + 1
        if hi - lo == len(index):
            return leaf if len(index) == len(leaf) else leaf[lo:hi]
        return leaf[torch.as_tensor(index, device=leaf.device)]

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
            part = self.own_rows(path, index)
            return part.repeat(repeat, *[1] * (part.ndim - 1)) if repeat > 1 else part.clone()

        args, kwargs = mapped(self.tree, change)
        return args, kwargs

    def signature(self) -> tuple[tuple[Any, ...], list[Any]]:
        """What must be equal for two calls to run the same way: shapes, types, and flags; and the arguments that are neither."""
        items: list[Any] = [self.only]
        others = []
        for path, leaf in walk(self.tree):
            if isinstance(leaf, Tensor):
                items.append((path, leaf.shape, leaf.dtype, leaf.device))
            elif isinstance(leaf, (bool, int, float, str, type(None))):
                items.append((path, type(leaf), leaf))
            else:
                others.append(leaf)
        return tuple(items), others


def fresh(leaf: Any) -> Any:
    """A copy of a cache of keys and values, which a model adds to in every run; anything else as it is.

    Raises InputError for a cache that cannot be copied.
    """
    if not callable(getattr(leaf, "get_seq_length", None)):
        return leaf
    try:
        return copy.deepcopy(leaf)
    except RuntimeError as wrong:
        what = f"a {type(leaf).__name__} that carries gradients"
        raise InputError(what, try_="fill it under torch.no_grad()", code="E-INPUT-CACHE") from wrong


def named(path: Path) -> str:
    """What the user calls an argument: its keyword, or its position."""
    side, *rest = path
    head, tail = rest[0], rest[1:]
    return (f"input {head}" if side == 0 else str(head)) + "".join(f"[{key!r}]" for key in tail)


def as_tensor(array: np.ndarray, dtype: torch.dtype | None) -> Tensor:
    """NumPy's numbers as a tensor; floating ones of this type, or else of their own. Raises InputError for a masked array."""
    if isinstance(array, np.ma.MaskedArray):
        raise InputError("a masked array", there="tensors without a mask", try_="x.filled(0)", code="E-INPUT-LAYOUT")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    tensor = torch.from_numpy(np.require(array, np.float64 if wide else array.dtype.newbyteorder("="), ["C", "W"]))
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
