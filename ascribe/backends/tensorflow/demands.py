"""Demands at cuts of a running model: values that are written, differentiated and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...cuts import Cut, accessor_path
from ...errors import CutError
from ...tree import Path, follow, normalize_path, replace_leaves, walk

Seen = list[tuple[int, Path, Array]]
"""The arrays at a cut: the number of the use of the layer, where each is in the value, and the tensor."""


def floating(tree: Any, accessor: Path = ()) -> list[tuple[Path, Array]]:
    """The floating tensors of a value, under an accessor.

    Raises KeyError, IndexError or AttributeError where the accessor leads nowhere.
    """
    accessor = normalize_path(tree, accessor)
    leaves = walk(follow(tree, accessor))
    return [((*accessor, *path), leaf) for path, leaf in leaves if isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating]


@dataclass
class Demand:
    """A demand at one cut in one run; ``seen`` collects the arrays there."""

    cut: Cut
    seen: Seen = field(default_factory=list)
    calls: int = 0

    def visit(self, call: int, tree: Any) -> Any:
        """Looks at the value of one use of a layer, and returns the value that the model goes on with."""
        self.calls = call + 1
        if self.cut.call not in (None, call):
            return tree
        try:
            found = floating(tree, accessor_path(self.cut))
        except (KeyError, IndexError, AttributeError, TypeError) as wrong:
            problem, there = f"`{self.cut!r}` has no part {self.cut.accessor!r}", f"a value of type {type(tree).__name__}"
            raise CutError(problem, found=there, advice="the cut without accessor=, or with the path of one of its tensors") from wrong
        return replace_leaves(tree, {path: self.handle(call, path, leaf) for path, leaf in found})

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        """One array: remembers it, and returns the array that the model goes on with."""
        self.seen.append((call, path, leaf))
        return leaf


@dataclass
class Read(Demand):
    """Keeps the value; ``tree`` is the whole of it."""

    tree: Any = None

    def visit(self, call: int, tree: Any) -> Any:
        if self.cut.call in (None, call):
            self.tree = tree
        return super().visit(call, tree)


@dataclass
class Watch(Demand):
    """Makes the value a place that gradients are taken at, for what goes on from here and nothing else."""

    tape: Any = None

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        here = tf.identity(leaf)
        self.tape.watch(here)
        self.seen.append((call, path, here))
        return tf.identity(here)


@dataclass
class Write(Demand):
    """Replaces the value by others, one after the other; ``kept`` is the share of the model's own value that stays."""

    values: Sequence[np.ndarray] = ()
    kept: Sequence[np.ndarray | None] = ()
    tape: Any = None

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        if len(self.seen) == len(self.values):
            problem = f"`{self.cut!r}` ran more often than when its value was recorded"
            there = f"more than {len(self.values)} uses of the layer"
            raise CutError(problem, found=there, advice="a cut at one use: Cut(..., call=0)")
        value = tf.cast(tf.convert_to_tensor(self.values[len(self.seen)]), leaf.dtype)
        keep = self.kept[len(self.seen)] if self.kept else None
        if keep is not None:
            own, share = tf.stop_gradient(leaf), tf.convert_to_tensor(keep)
            if share.dtype.is_bool:
                value = tf.where(share, own, value)
            else:
                share = tf.cast(share, leaf.dtype)
                value = own * share + value * (1 - share)
        if self.tape is not None:
            self.tape.watch(value)
        self.seen.append((call, path, value))
        return tf.identity(value)


@dataclass
class Look(Demand):
    """Reports every use of a layer."""

    report: Callable[[Cut, int, Any], None] = lambda cut, call, tree: None

    def visit(self, call: int, tree: Any) -> Any:
        self.calls = call + 1
        self.report(self.cut, call, tree)
        return tree


def nothing_seen(demand: Demand) -> CutError:
    """The error for a layer that did not run, or showed nothing of what was wanted."""
    cut = demand.cut
    if not demand.calls:
        problem, there = f"The layer {cut.layer!r} did not run in this call", f"{cut!r}"
        advice = "one of the cuts of asc.cuts_of(model, *args)"
        return CutError(problem, found=there, advice=advice, code="E-CUT-NOT-RUN")
    if cut.call is not None and not 0 <= cut.call < demand.calls:
        problem = f"The layer {cut.layer!r} has no use {cut.call} in this call"
        there = f"{cut!r}, and uses 0 to {demand.calls - 1} of the layer"
        return CutError(problem, found=there, advice=f"Cut({cut.layer!r}, call={demand.calls - 1})", code="E-CUT-CALLS")
    problem, there = f"`{cut!r}` holds no floating-point tensor", "integers, or no tensor"
    return CutError(problem, found=there, advice="one of the cuts of asc.cuts_of(model, *args)", code="E-CUT-INTEGER")
