"""Finds the value on the tape that a tensor is, by its memory, not by object or ``grad_fn``.

A view operation hands out another object than its handler returned, ``detach`` and ``.data`` lose the graph, an in-place
operation changes what a graph node stands for; memory tells the truth in all of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from ....tape import Entry, Var

Tensor = torch.Tensor

Key = tuple[Any, ...]


class Store:
    """One storage: the values in it by their layout, the storage as one flat value, and the handles recorded from it.

    ``origins`` are the operations whose choices its integers come from.

    It keeps no memory alive, but its address: that of something freed is given to the next tensor, and a constant would pass for
    a value.
    """

    __slots__ = ("address", "flat", "origins", "saved", "values")

    def __init__(self, t: Tensor) -> None:
        self.address = StorageWeakRef(t.untyped_storage())
        self.values: dict[Key, Var] = {}
        self.flat: Var | None = None
        self.saved: list[ReferenceType[Tensor]] = []
        self.origins: tuple[Entry, ...] = ()

    def handles(self) -> list[Tensor]:
        """The recorded handles that something still holds."""
        return [t for r in self.saved if (t := r()) is not None]


class Stores:
    """All storages that the run has touched."""

    def __init__(self) -> None:
        self.known: dict[int, Store] = {}

    def of(self, t: Tensor) -> Store:
        """The store of a tensor's memory, a new one if need be."""
        address = t.untyped_storage()._cdata
        found = self.known.get(address)
        if found is None:
            found = self.known[address] = Store(t)
        return found

    def find(self, t: Tensor) -> Store | None:
        return self.known.get(t.untyped_storage()._cdata)

    def save(self, t: Tensor) -> Tensor:
        """A second handle on the tensor's memory, moved to a copy if the memory is written to."""
        handle = t.detach()
        self.of(t).saved.append(ref(handle))
        return handle

    def put(self, t: Tensor, var: Var) -> None:
        """Registers the value that this memory holds."""
        self.of(t).values[layout(t)] = var

    def chosen(self, outs: Iterable[Any], origins: Iterable[Entry]) -> None:
        """Registers the operations whose choices some positions come from."""
        for t in outs:
            if isinstance(t, torch.Tensor):
                self.of(t).origins = tuple(origins)

    def part(self, t: Tensor) -> Store:
        """Moves recorded handles of this memory to a copy, before it is written to.

        Nothing is paid for this where a model does no in-place work.
        """
        store = self.of(t)
        if handles := store.handles():
            copy = t.untyped_storage().clone()
            for handle in handles:
                handle.set_(copy, handle.storage_offset(), handle.size(), handle.stride())
            self.of(handles[0]).saved, store.saved = store.saved, []
        return store


def plain(key: Key) -> bool:
    """True if the elements are stored as they are, neither conjugated nor negated."""
    return not any(key[3][1:])


def layout(t: Tensor) -> Key:
    """The position of a tensor in its storage, and how it is read."""
    return t.storage_offset(), tuple(t.shape), t.stride(), (t.dtype, t.is_conj(), t.is_neg())


def apart(a: Key, b: Key) -> bool:
    """True if two tensors in one storage are known to share no element, as gates split off one product."""
    (start, shape, strides, kind), (other, *rest) = a, b
    if (shape, strides, kind) != tuple(rest) or not all(shape):
        return False
    steps = sorted((s, n) for s, n in zip(strides, shape, strict=True) if n > 1)
    if not steps or steps[0][0] < 1:
        return bool(start != other) and not steps
    width = (steps[0][1] - 1) * steps[0][0] + 1
    over = gcd(*(s for s, _ in steps[1:])) if steps[1:] else 0
    shift = abs(start - other)
    if not over:
        return shift >= width
    return width <= shift % over <= over - width


def length(t: Tensor) -> int:
    """The number of elements of this type in the storage."""
    return t.untyped_storage().nbytes() // t.element_size()


def fills(t: Tensor) -> bool:
    """True if a tensor is its whole storage, every element once."""
    if not t.numel():
        return False
    reach = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
    return t.numel() == length(t) == reach


def with_layout(key: Key, t: Tensor) -> Tensor:
    """The tensor in the same memory with this layout."""
    offset, shape, strides, (kind, *_) = key
    return torch.empty(0, dtype=kind, device=t.device).set_(t.untyped_storage(), offset, shape, strides)


def laid_out(t: Tensor) -> Tensor:
    """The whole storage as one flat tensor."""
    return torch.as_strided(t.detach(), (length(t),), (1,), 0)
