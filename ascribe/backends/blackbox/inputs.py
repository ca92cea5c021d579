"""The arguments of a black box: which belong to records, and pandas tables as arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...baselines import BESIDE_IDS, Call
from ...errors import CutError, InputError
from ...tree import Path, mapped, walk

Columns = dict[Any, np.dtype[Any]]


class Inputs:
    """Positional and keyword arguments as one tree; the first array with an axis counts the records."""

    def __init__(self, call: Call) -> None:
        self.frames: dict[Path, Any] = {}
        self.tree = mapped((call.args, call.kwargs), self._array)
        self.leaves: dict[Path, np.ndarray] = {p: leaf for p, leaf in walk(self.tree) if isinstance(leaf, np.ndarray) and leaf.ndim}
        if not self.leaves:
            raise InputError("the model is called without an array", try_="attribute(model, x, ...) with NumPy arrays or pandas tables")
        self.records = len(next(iter(self.leaves.values())))
        if not self.records:
            raise InputError("there are no records", try_="at least one row")
        self.own = [p for p, leaf in self.leaves.items() if len(leaf) == self.records]

    def _array(self, path: Path, leaf: Any) -> Any:
        if hasattr(leaf, "columns") and hasattr(leaf, "to_numpy"):
            self.frames[path] = leaf
            numeric = all(getattr(dtype, "kind", "O") in "fiub" for dtype in leaf.dtypes)
            return leaf.to_numpy(np.float64 if numeric else object)
        return leaf

    def explained(self, start: Path) -> list[Path]:
        """What is explained under an accessor: floating arrays and tables, or else whole numbers. Raises CutError where there is none."""
        under = [p for p in self.own if p[: len(start)] == start]
        found = [p for p in under if (p in self.frames or self.leaves[p].dtype.kind == "f") and (start or "mask" not in str(p[1]))]
        if not found:
            found = [p for p in under if start or not any(part in str(p[1]) for part in BESIDE_IDS)]
        if not found:
            raise CutError("no array with a row per record there", there=", ".join(map(named, self.leaves)), code="E-CUT-INTEGER")
        return found

    def rows(self, index: np.ndarray, repeat: int, news: Mapping[Path, np.ndarray]) -> tuple[Any, Any]:
        """Arguments for some records, all of them ``repeat`` times, but for those in ``news``; the model may work in place on them."""

        def change(path: Path, leaf: Any) -> Any:
            if path not in self.own:
                return self.frames.get(path, leaf.copy() if isinstance(leaf, np.ndarray) else leaf)
            rows = news[path] if path in news else np.concatenate([leaf[index]] * repeat)
            return self._framed(path, rows) if path in self.frames else rows

        args, kwargs = mapped(self.tree, change)
        return args, kwargs

    def _framed(self, path: Path, rows: np.ndarray) -> Any:
        """Rows as a table with the columns and types of the one that was given; whole numbers stay whole where they are."""
        frame = self.frames[path]
        made = type(frame)(rows, columns=frame.columns)
        kinds = {}
        for name, dtype in frame.dtypes.items():
            whole = getattr(dtype, "kind", "O") not in "iub" or (rows.dtype != object and not (made[name] % 1).any())
            if whole or rows.dtype == object:
                kinds[name] = dtype
        return made.astype(kinds)


def named(path: Path) -> str:
    """What the user calls an argument: its keyword, or its position."""
    side, head, *tail = path
    return (f"input {head}" if side == 0 else str(head)) + "".join(f"[{key!r}]" for key in tail)
