"""Layers merged with what stands beside them: batch normalisation in evaluation, constants added or multiplied.

Where a layer's result goes nowhere but into such an affine step, both are one layer with other weights; so are a step and the
layer after it, where nothing lies between. Nothing of the model is touched: the merged numbers live for one reverse pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from .kinds import TURNS, VIEWS
from .layers import Convolution, Diagonal, Layer, Product, layer_of, normalised
from .linear import LINEAR
from .step import Step
from .tape import SAME, Entry, Tensor, Var, aten


@dataclass
class Affine:
    """``scale x + shift``; both broadcast against ``x``."""

    x: Var
    scale: Tensor | None
    shift: Tensor | None


def affine_of(entry: Entry) -> Affine | None:
    """An operation as a factor and a summand that do not depend on the record; None where it is no such thing."""
    batch = normalised(entry)
    if batch is not None:
        return Affine(entry.args[0], *batch)
    if entry.name not in ("add", "sub", "rsub", "mul", "div") or len(entry.ins) != 1 or len(entry.args) != 2:
        return None
    a, b = entry.args
    x, other = (a, b) if isinstance(a, Var) else (b, a)
    if x.shape != entry.out().shape or not x.dtype.is_floating_point:
        return None
    c = constant(other, x)
    return written(entry, x, c, x is a) if c.isfinite().all() else None  # a mask is no bias


def constant(c: Any, x: Var) -> Tensor:
    c = torch.as_tensor(c, dtype=x.dtype, device=x.value.device)
    return c.reshape([1] * (len(x.shape) - c.dim()) + list(c.shape))


def written(entry: Entry, x: Var, c: Tensor, first: bool) -> Affine | None:
    """The step for ``x op c``, or for ``c op x``."""
    c = c * entry.kwargs.get("alpha", 1) if entry.name != "rsub" else c
    if entry.name == "add" and (first or not entry.kwargs):
        return Affine(x, None, c)
    if entry.name == "sub" and first:
        return Affine(x, None, -c)
    if entry.name == "mul":
        return Affine(x, c, None)
    if entry.name == "div" and first and not entry.kwargs:
        return Affine(x, 1 / c, None)
    return None


@dataclass
class Merger:
    """Finds what can be merged among the operations that lead to the quantity."""

    entries: list[Entry]
    layers: dict[int, Layer] = field(default_factory=dict)
    passing: set[int] = field(default_factory=set)
    users: dict[Var, list[Entry]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries:
            for v in dict.fromkeys(entry.ins):
                self.users.setdefault(v, []).append(entry)

    def run(self, merges: Callable[[Entry], bool]) -> None:
        """Merge what follows each layer, then what comes before one and is still free; ``merges`` says which layers' rules ask."""
        found = {id(e): layer for e in self.entries if merges(e) and (layer := layer_of(e)) is not None}
        own = [(e, found[id(e)]) for e in self.entries if id(e) in found]
        for entry, layer in own:
            if not isinstance(layer, Diagonal):
                self.followed(layer)
                self.layers[id(entry)] = layer
        for merged in self.layers.values():
            self.preceded(merged)
        for entry, layer in own:
            if isinstance(layer, Diagonal) and id(entry) not in self.passing:
                self.layers[id(entry)] = layer

    def followed(self, layer: Layer) -> None:
        """Put the affine steps after a layer into it."""
        if layer.rest is not None:
            return
        v, way, turns = layer.out, list[Entry](), list[Entry]()
        while (entry := self.only(v)) is not None:
            out = entry.out()
            if entry.name in TURNS and out.shape.numel() == v.shape.numel():
                turns.append(entry)
            elif entry.name not in SAME:
                step = affine_of(entry)
                if step is None or out.root is not out or not merged_after(layer, step, out, turns):
                    break
                self.passing.update(map(id, (*way, entry)))
                way = []
            way.append(entry)
            v = out

    def only(self, v: Var) -> Entry | None:
        """The one operation that uses a value."""
        users = self.users.get(v, [])
        return users[0] if len(users) == 1 else None

    def preceded(self, layer: Layer) -> None:
        """Put the affine steps before a layer into it."""
        v = layer.x
        way: list[Var] = []
        turned = False  # a view lies between: rows for each record and step
        while v.entry is not None and id(v.entry) not in self.passing and self.only(v) is not None and v.root is v:
            way.append(v)
            if isinstance(layer, Product) and v.entry.name in VIEWS and same_last(v.entry.ins[0], v):
                turned = True
            elif v.entry.name not in SAME:
                step = affine_of(v.entry)
                if step is None or not merged_before(layer, as_rows(step, layer.x) if turned else step):
                    break
                layer.x, layer.home = (viewed(step.x, layer.x), step.x) if turned else (step.x, None)
                layer.between += way
                self.passing.update(id(w.entry) for w in way)
                way = []
            v = v.entry.ins[0]


def merged_after(layer: Layer, step: Affine, out: Var, turns: list[Entry]) -> bool:
    """Put a step after a layer into its numbers, if it can be; ``turns`` lie between."""
    scale = step.scale if not turns or step.scale is None else last_axis(step, layer, turns)
    factor = None if scale is None else layer.per_output(scale)
    if step.scale is not None and factor is None:
        return False
    if factor is not None and scale is not None:
        layer.weight = layer.weight * factor
        layer.bias = None if layer.bias is None else layer.bias * scale
    if step.shift is not None:
        shift = turned_back(step.shift.expand(out.shape), turns) if turns else step.shift
        layer.bias = shift if layer.bias is None else layer.bias + shift
    if turns:
        turned = turned_back(out.value, turns)
        layer.out = Var(turned, layer.entry)
        layer.out.held = turned
    else:
        layer.out = out
    return True


def turned_back(t: Tensor, turns: list[Entry]) -> Tensor:
    """Numbers as they lay before the turns."""
    for entry in reversed(turns):
        t = LINEAR[entry.name](Step(entry, [t], lambda v: v.value))[0][1]  # type: ignore[index]
    return t


def last_axis(step: Affine, layer: Layer, turns: list[Entry]) -> Tensor | None:
    """Factors along the last axis, where the turns leave that as it is."""
    scale, rank = step.scale, len(layer.out.shape)
    assert scale is not None
    kept = all(e.name in VIEWS and same_last(e.ins[0], e.out()) for e in turns)
    return scale.reshape([1] * (rank - 1) + [-1]) if kept and scale.numel() in (1, scale.shape[-1]) else None


def same_last(a: Var, b: Var) -> bool:
    """Whether a view leaves the last axis as it is."""
    return len(a.shape) > 0 and len(b.shape) > 0 and a.shape[-1] == b.shape[-1]


def merged_before(layer: Layer, step: Affine) -> bool:
    """Put a step before a layer into its numbers, if it can be."""
    factor = None if step.scale is None else layer.per_input(step.scale)
    if step.scale is not None and factor is None:
        return False
    if step.shift is not None:
        shape = layer.x.shape
        rows = step.shift.expand(1, *shape[1:]) if one_row(layer, step.shift) else step.shift.expand(shape)
        shift = layer.product(rows, layer.weight)
        layer.bias = shift if layer.bias is None else layer.bias + shift
    if factor is not None:
        layer.weight = layer.weight * factor
    return True


def as_rows(step: Affine, rows: Var) -> Affine:
    """A step on values of more axes, as it is on their rows."""

    def laid(c: Tensor) -> Tensor:
        if c.numel() in (1, c.shape[-1]):
            return c.reshape([1] * (len(rows.shape) - 1) + [-1])
        return c.expand(step.x.shape).reshape(rows.shape)

    return Affine(step.x, *(None if c is None else laid(c) for c in (step.scale, step.shift)))


def viewed(x: Var, rows: Var) -> Var:
    """A value as another view lays it."""
    numbers = x.value.reshape(rows.shape)
    entry = Entry(aten.view.default, "view", (x, list(rows.shape)), {}, [x])
    found = Var(numbers, entry)
    found.held, entry.outs = numbers, [found]
    return found


def one_row(layer: Layer, shift: Tensor) -> bool:
    """Whether a summand is the same for all of a layer's rows."""
    return isinstance(layer, (Product, Convolution)) and shift.dim() > 1 and shift.shape[0] == 1


def leading(entries: Iterable[Entry], out: Var | None) -> list[Entry]:
    """The operations that lead to a value, in order."""
    needed: set[Var] = {out} if out is not None else set()
    found: list[Entry] = []
    for entry in reversed(list(entries)):
        if any(v in needed for v in entry.outs if v is not None):
            needed.update(entry.ins)
            found.append(entry)
    return found[::-1]
