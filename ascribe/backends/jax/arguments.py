"""The arguments of one model call: which are explained, which belong to a record, which are passed through unchanged."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...calls.call import Call, argument_name
from ...calls.not_arrays import error_without_arrays
from ...cuts import Cut, accessor_path
from ...errors import CutError, InputError
from ...tree import Path, map_leaves, walk
from ..arguments import Argument, count_records, may_be_explained, may_be_ids, may_be_removed
from .libraries import libraries
from .models import as_key, can_be_traced, changeable
from .namespace import is_floating, is_number
from .opened import Opened, open_model, open_tree

NARROWER = "the arguments are float64, JAX works in float32"


class Inputs:
    """Positional and keyword arguments as one tree, with NumPy arrays made into JAX's; records are counted as for other models."""

    def __init__(self, call: Call) -> None:
        self.numpy, self.only = False, call.explained
        self.notes: list[str] = []
        self.objects: dict[Path, Opened] = {}
        self.tree = map_leaves((call.args, call.kwargs), self._array)
        self.leaves: dict[Path, Any] = dict(self._arrays())
        given = {p: leaf for p, leaf in self.leaves.items() if is_number(leaf) and leaf.ndim and "*" not in p}
        shaped = {p: Argument(tuple(leaf.shape), is_floating(leaf)) for p, leaf in given.items()}
        if not shaped:
            raise error_without_arrays(call, tensors=False)
        counted = count_records(call, shaped)
        if counted.rows is not None:
            what = "JAX models take no `records=` with the record of each row"
            advice = "padded records and a mask, so that every record has the same shape"
            raise InputError(what, found=f"{len(counted.rows)} rows", advice=advice, code="E-RECORDS")
        self.whole, self.axes, self.records = counted.whole, counted.axes, counted.count
        self.own = [p for p in shaped if p in self.axes or self.whole]
        self.axes = {**self.axes, **{p: 0 for p in self.leaves if self._is_key_of_records(p)}}
        floating = [p for p in self.own if is_floating(self.leaves[p])]
        self.explained = [p for p in floating if (may_be_explained(p) if self.only is None else p[1] in self.only)]

    def _array(self, path: Path, leaf: Any) -> Any:
        if isinstance(leaf, np.ma.MaskedArray):
            there = f"a masked array of shape {leaf.shape}"
            raise InputError("Masked arrays are not supported", found=there, advice="x.filled(0)", code="E-INPUT-LAYOUT")
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
            self.numpy = True
            array = jnp.asarray(leaf if leaf.dtype.itemsize <= 8 else leaf.astype(np.float64))
            if leaf.dtype == np.float64 and array.dtype != np.float64 and NARROWER not in self.notes:
                self.notes.append(NARROWER)
            return array
        if (opened := open_object(leaf)) is not None:
            self.objects[path] = opened
        return leaf

    def _arrays(self) -> Iterator[tuple[Path, Any]]:
        """All arrays with their paths, those inside of objects that JAX knows included."""
        for path, leaf in walk(self.tree):
            if path in self.objects:
                yield from ((inner_path(path, i), array) for i, array in enumerate(jax.tree.leaves(self.objects[path].weights)))
            elif isinstance(leaf, jax.Array):
                yield path, leaf

    def _is_key_of_records(self, path: Path) -> bool:
        """True for keys of random generators, one for each record."""
        leaf = self.leaves[path]
        return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf.shape[:1] == (self.records,) and not self.whole

    @property
    def discrete(self) -> list[Path]:
        """Arguments of integers that belong to records, except those that describe the layout of other arguments."""
        return [p for p in self.own if may_be_removed(p) and self._has_integers(p)]

    def _has_integers(self, path: Path) -> bool:
        return bool(jnp.issubdtype(self.leaves[path].dtype, jnp.integer))

    def paths_at(self, cut: Cut, whole: bool = True) -> list[Path]:
        """The explained arguments under an accessor of INPUT; with ``whole`` token ids too, where there is nothing else.

        Raises CutError where there are none.
        """
        start = accessor_path(cut)
        paths = [p for p in self.explained if p[: len(start)] == start]
        if whole and (not paths or self.only is not None):
            named = [p for p in self.own if (p[1] in self.only if self.only is not None else may_be_ids(p) and self._has_integers(p))]
            paths = [p for p in (self.own if start else named) if p[: len(start)] == start]
        if not paths:
            raise CutError(
                f"`{cut!r}` holds no floating-point array with one row per record",
                found=f"the arguments: {', '.join(map(argument_name, self.leaves))}",
                advice="at=asc.EMBEDDINGS for token ids",
                code="E-CUT-INTEGER",
            )
        return paths

    def axis(self, path: Path) -> int | None:
        """The axis of an argument that runs over the records; None where the whole call is one record."""
        if self.whole:
            return 0 if self.leaves[path].shape[0] == 1 else None
        return self.axes[path]

    def shape(self, path: Path, records: int) -> tuple[int, ...]:
        """The shape of an argument for some records."""
        shape = list(self.leaves[path].shape)
        if path in self.axes and not self.whole:
            shape[self.axes[path]] = records
        return tuple(shape)

    def rows(self, index: np.ndarray) -> list[Any]:
        """All arrays among the arguments, for some records."""
        if self.whole or (len(index) == self.records and bool((index == np.arange(self.records)).all())):
            return list(self.leaves.values())
        return [leaf if p not in self.axes else jnp.take(leaf, index, self.axes[p]) for p, leaf in self.leaves.items()]

    def filled(self, leaves: Mapping[Path, Any]) -> tuple[Any, Any]:
        """The arguments with other arrays."""

        def change(path: Path, leaf: Any) -> Any:
            if path not in self.objects:
                return leaves.get(path, leaf)
            arrays, tree = jax.tree.flatten(self.objects[path].weights)
            return self.objects[path].build(jax.tree.unflatten(tree, [leaves[inner_path(path, i)] for i in range(len(arrays))]))

        args, kwargs = map_leaves(self.tree, change)
        return args, kwargs

    @property
    def lasting(self) -> bool:
        """True if calls with an equal signature give the same program: no argument is an object whose content may have changed."""
        others = [leaf for path, leaf in walk(self.tree) if path not in self.objects and not can_be_traced(leaf)]
        return all(opened.lasting for opened in self.objects.values()) and not any(map(changeable, others))

    @property
    def signature(self) -> Hashable:
        """Equal for calls that need the same programs: shapes but for the number of records, types, and everything that is no array."""
        items: list[Hashable] = [self.whole, tuple(self.axes.items())]
        for path, leaf in walk(self.tree):
            if path in self.objects:
                arrays = jax.tree.leaves(self.objects[path].weights)
                items.append((path, self.objects[path].key, tuple((a.shape, str(a.dtype)) for a in arrays)))
            elif can_be_traced(leaf):
                items.append((path, self.shape(path, -1), str(leaf.dtype), bool(getattr(leaf, "weak_type", False))))
            else:
                items.append((path, as_key(leaf)))
        return tuple(items)


def open_object(leaf: Any) -> Opened | None:
    """An argument that holds arrays and is passed through: random generators of NNX, states of Equinox; None for any other."""
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, str, bytes, type(None))):
        return None
    opened = open_model(leaf, libraries())
    if opened is None and not jax.tree_util.all_leaves([leaf]):
        opened = open_tree(leaf)
    return opened if opened is not None and jax.tree.leaves(opened.weights) else None


def inner_path(path: Path, number: int) -> Path:
    """The path of an array inside of an object."""
    return (*path, "*", number)
