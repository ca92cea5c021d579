"""Layers merged with their neighbours: batch normalisation in evaluation, constants added or multiplied.

Where a layer's result goes nowhere but into such an affine step, both are one layer with other weights; so are a step and the
layer after it, where nothing is between. The model is not touched: merged weights exist for one backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod

from ..arrays import Array
from .formulas.layers import Diagonal, Layer, Product, Reversed, layer_of, normalised
from .formulas.linear import LINEAR
from .kernels import holds
from .step import Step
from .tape import Entry, Var


@dataclass
class Affine:
    """``scale x + shift``; both broadcast against ``x``."""

    x: Var
    scale: Array | None
    shift: Array | None


def affine_of(entry: Entry) -> Affine | None:
    """An operation as a factor and a summand that do not depend on the record; None where it is no such thing."""
    batch = normalised(entry)
    if batch is not None:
        return Affine(entry.ins[0], *batch)
    if entry.op.form not in ("add", "multiply", "divide") or len(entry.ins) != 1 or len(entry.args) != 2:
        return None
    a, b = entry.args
    x, other = (a, b) if isinstance(a, Var) else (b, a)
    if x.shape != entry.out().shape or x.kind != "f":
        return None
    xp = entry.framework.xp
    c = xp.constant(other, x.value)
    c = xp.reshape(c, [1] * (len(x.shape) - len(c.shape)) + list(c.shape))
    finite = holds(entry.framework, lambda: xp.isfinite(c), True)
    return affine_step(entry, x, c, x is a) if finite else None  # a mask is no bias


def affine_step(entry: Entry, x: Var, c: Array, first: bool) -> Affine | None:
    """The step for ``x op c``, or for ``c op x``."""
    form = entry.op.form
    if form == "add":
        factor = (entry.framework.arguments(entry) or (1, 1, 1))[2]
        return Affine(x, None, c * factor) if first else Affine(x, None, c) if factor == 1 else None
    if form == "multiply":
        return Affine(x, c, None)
    if form == "divide" and first and not entry.kwargs:
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
        """Merges the steps after each layer, then those before one that are still free; ``merges`` says for which layers."""
        found = {id(e): layer for e in self.entries if merges(e) and (layer := layer_of(e)) is not None}
        own = [(e, found[id(e)]) for e in self.entries if id(e) in found]
        for entry, layer in own:
            if not isinstance(layer, Diagonal):
                self.merge_after(layer)
                self.layers[id(entry)] = layer
        for merged in self.layers.values():
            self.merge_before(merged)
        for entry, layer in own:
            if isinstance(layer, Diagonal) and id(entry) not in self.passing:
                self.layers[id(entry)] = layer

    def merge_after(self, layer: Layer) -> None:
        """Merges the affine steps after a layer into it."""
        if layer.rest is not None:
            return
        v, way, turns = layer.out, list[Entry](), list[Entry]()
        while (entry := self.only(v)) is not None:
            out = entry.out()
            if entry.op.rearranges and out.size == v.size:
                turns.append(entry)
            elif not entry.op.same:
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

    def merge_before(self, layer: Layer) -> None:
        """Merges the affine steps before a layer into it."""
        v = layer.source
        way: list[Var] = []
        turned = False  # a view is between: rows for each record and step
        while v.entry is not None and id(v.entry) not in self.passing and self.only(v) is not None and v.root is v:
            way.append(v)
            if isinstance(layer, Product) and v.entry.op.view and same_last(v.entry.ins[0], v):
                turned = True
            elif not v.entry.op.same:
                step = affine_of(v.entry)
                if step is None or not merged_before(layer, as_rows(step, layer) if turned else step):
                    break
                layer.source, layer.home = (viewed(step.x, layer), step.x) if turned else (step.x, None)
                layer.between += way
                self.passing.update(id(w.entry) for w in way)
                way = []
            v = v.entry.ins[0]


def merged_after(layer: Layer, step: Affine, out: Var, turns: list[Entry]) -> bool:
    """Merges a step after a layer into its weights, if possible; ``turns`` are between."""
    scale = step.scale if not turns or step.scale is None else factor_before(step.scale, turns)
    factor = None if scale is None else layer.per_output(scale)
    if step.scale is not None and factor is None:
        return False
    if factor is not None and scale is not None:
        layer.weight = layer.weight * factor
        layer.bias = None if layer.bias is None else layer.bias * scale
    if step.shift is not None:
        shift = turned_back(layer.xp.broadcast_to(step.shift, out.shape), turns) if turns else step.shift
        layer.bias = shift if layer.bias is None else layer.bias + shift
    if turns:
        turned = turned_back(out.value, turns)
        layer.out = Var(turned, layer.entry, 0, out.kind)
        layer.out.held = turned
    else:
        layer.out = out
    return True


def turned_back(t: Array, turns: list[Entry]) -> Array:
    """A result as it is before the turns."""
    for entry in reversed(turns):
        t = LINEAR[entry.op.form](Step(entry, [t], lambda v: v.value))[0][1]  # type: ignore[index]
    return t


def factor_before(scale: Array, turns: list[Entry]) -> Array | None:
    """Factors as they are before the turns: axes in another order (channels last), a view that leaves the last, or axes of length 1."""
    for entry in reversed(turns):
        xp, v, out = entry.framework.xp, entry.ins[0], entry.out()
        wide = xp.reshape(scale, [1] * (len(out.shape) - len(scale.shape)) + list(scale.shape))
        if entry.op.form == "permute":
            scale = turned_back(wide, [entry])
        elif entry.op.view and long_axes(v) == long_axes(out):  # ``jax.vmap`` adds an axis of length 1 to a convolution, and takes it away
            lengths = iter([n for n, whole in zip(wide.shape, out.shape, strict=True) if whole != 1])
            scale = xp.reshape(wide, [1 if whole == 1 else next(lengths) for whole in v.shape])
        elif entry.op.view and same_last(v, out) and prod(wide.shape) in (1, wide.shape[-1]):
            scale = xp.reshape(wide, [1] * (len(v.shape) - 1) + [-1])
        else:
            return None
    return scale


def long_axes(v: Var) -> list[int]:
    """The lengths of a value's axes that are not 1."""
    return [int(n) for n in v.shape if n != 1]


def same_last(a: Var, b: Var) -> bool:
    """True if a view leaves the last axis as it is."""
    return len(a.shape) > 0 and len(b.shape) > 0 and a.shape[-1] == b.shape[-1]


def merged_before(layer: Layer, step: Affine) -> bool:
    """Merges a step before a layer into its weights, if possible."""
    factor = None if step.scale is None else layer.per_input(step.scale)
    if step.scale is not None and factor is None:
        return False
    if step.shift is not None:
        shape = layer.source.shape
        rows = layer.xp.broadcast_to(step.shift, (1, *shape[1:]) if one_row(layer, step.shift) else shape)
        shift = layer.product(rows, layer.weight)
        layer.bias = shift if layer.bias is None else layer.bias + shift
    if factor is not None:
        layer.weight = layer.weight * factor
    return True


def as_rows(step: Affine, layer: Layer) -> Affine:
    """A step on values of more axes, as it is on their rows."""

    xp, rows = layer.xp, layer.source

    def on_rows(c: Array) -> Array:
        if prod(c.shape) in (1, c.shape[-1]):
            return xp.reshape(c, [1] * (len(rows.shape) - 1) + [-1])
        return xp.reshape(xp.broadcast_to(c, step.x.shape), rows.shape)

    return Affine(step.x, *(None if c is None else on_rows(c) for c in (step.scale, step.shift)))


def viewed(x: Var, layer: Layer) -> Var:
    """A value as rows of a layer."""
    rows = layer.xp.reshape(x.value, layer.source.shape)
    view = layer.source.entry
    while view is not None and not view.op.view:
        view = view.ins[0].entry
    assert view is not None
    entry = Entry(view.call, view.name, (x, *view.args[1:]), view.kwargs, [x], view.framework)
    out = Var(rows, entry, 0, x.kind)
    out.held, entry.outs = rows, [out]
    return out


def one_row(layer: Layer, shift: Array) -> bool:
    """True if a summand is the same for all of a layer's rows."""
    return not isinstance(layer, (Reversed, Diagonal)) and len(shift.shape) > 1 and shift.shape[0] == 1


def leading(entries: Iterable[Entry], out: Var | None) -> list[Entry]:
    """The operations that lead to a value, in order."""
    needed: set[Var] = {out} if out is not None else set()
    found: list[Entry] = []
    for entry in reversed(list(entries)):
        if any(v in needed for v in entry.outs if v is not None):
            needed.update(entry.ins)
            found.append(entry)
    return found[::-1]
