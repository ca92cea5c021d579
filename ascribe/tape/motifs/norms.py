"""Layer norm and RMS norm however they are written: recognised by the numbers that they compute.

A product with one over a root, or a quotient by a root, is looked at: if both factors depend on one value only, and the result is, at
arbitrary numbers, ``k c / sqrt(mean(c^2) + eps)`` with ``c`` the value or its difference from its mean, it is that norm with the weight
``k``. So it does not matter whether the variance is a mean of squares or a difference, or where the weight is multiplied in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ...arrays import Array, Namespace
from ..kernels import measure, recall, sample
from ..step import Uncovered
from ..tape import Entry, Framework, Var
from .calls import call_named

Users = dict[Var, list[Entry]]

CARRIES = frozenset({"expand", "reshape", "identity", "cast", "multiply", "divide", "power"})
"""Forms that leave one over a root such, where all else in them is constant."""

FOREIGN = frozenset(
    {"matmul", "addmatmul", "bilinear", "convolution", "softmax", "log_softmax", "logsumexp", "layer_norm", "rms_norm", "window_max"}
)
"""Forms that are no part of a norm: where one of them is between, no number has to be computed."""

STEPS = 40  # operations between a value and its variance
TOLERANCE = 1e-4


def recognise_norm(entry: Entry, users: Users) -> bool:
    """Replaces the last product of a norm, and a weight and a bias that come next."""
    a, b = entry.args[:2]
    if not (isinstance(a, Var) and isinstance(b, Var)):
        return False
    for c, r in ((a, b), (b, a)) if entry.op.form == "multiply" else ((a, b),):
        under = rooted(r)
        if under is None:
            continue
        for x in origins(c):
            try:
                replaced = x.shape == entry.out().shape and replace_by_norm(entry, x, under, c)
            except Uncovered:  # an operation that is no part of a norm
                return False
            if replaced:
                extend(entry, users)
                return True
    return False


def recognise_shifted_norm(entry: Entry, users: Users) -> bool:
    """Replaces the last sum of a norm in which the mean is multiplied out: ``x r + (b - mean(x) r)``."""
    a, b = entry.args[:2]
    if not (isinstance(a, Var) and isinstance(b, Var)):
        return False
    for product in (p.entry for p in (a, b) if p.entry is not None and p.entry.op.form == "multiply" and len(p.entry.ins) == 2):
        for x, r in (product.ins, product.ins[::-1]):
            under = rooted(r)
            try:
                replaced = under is not None and x.shape == entry.out().shape and replace_by_shifted_norm(entry, x, under, r)
            except Uncovered:  # an operation that is no part of a norm
                return False
            if replaced:
                extend(entry, users)
                return True
    return False


def rooted(r: Var) -> Var | None:
    """What the root is taken of, where a value is a constant times a root, or one over it."""
    while r.entry is not None:
        form = r.entry.op.form
        if form in ("rsqrt", "sqrt") or (form == "power" and abs(float(exponent_of(r.entry))) == 0.5):
            return r.entry.ins[0]
        if form not in CARRIES or len(r.entry.ins) != 1 or r.entry.name == "mark":
            return None
        r = r.entry.ins[0]
    return None


def exponent_of(entry: Entry) -> float:
    """The exponent of a power; 0 where it is no number."""
    y = entry.args[1]
    return float(y) if isinstance(y, (int, float)) else 0.0


def origins(c: Var) -> list[Var]:
    """The value itself, and those that it may be the difference from a mean of."""
    found = [c]
    while len(found) < 4 and c.entry is not None and c.entry.name != "mark" and c.entry.op.form in ("add", "cast", "identity", "multiply"):
        c = c.entry.ins[0]
        found.append(c)
    return found


def between(v: Var, x: Var) -> list[Entry] | None:
    """The operations that lead from ``x`` to ``v``; None where anything else leads there."""
    entries: dict[Entry, None] = {}
    waiting = [v]
    while waiting:
        here = waiting.pop()
        if here is x or here.entry in entries:
            continue
        if here.entry is None or here.entry.name == "mark" or here.entry.op.form in FOREIGN or len(entries) == STEPS:
            return None
        entries[here.entry] = None
        waiting += here.entry.ins
    return list(entries)


def axes_of(entry: Entry, x: Var, under: Var) -> tuple[int, ...] | None:
    """The axes that a norm of ``x`` runs over; None where an operation is the last of no norm."""
    inner = between(under, x)
    if not inner or between(entry.out(), x) is None:
        return None
    axes = {tuple(sorted(d % len(x.shape) for d in e.args[1])) for e in inner if e.op.form in ("sum", "mean") and e.ins[0].shape == x.shape}
    return axes.pop() if len(axes) == 1 else None


def replace_by_shifted_norm(entry: Entry, x: Var, under: Var, root: Var) -> bool:
    """Replaces an operation if it is the last of a layer norm of ``x`` that adds the bias less the mean."""
    over = axes_of(entry, x, under)
    if over is None:
        return False
    found = Shifted(entry.out(), x, under, over, x, True, root).found()
    if found is None:
        return False
    eps, weight, bias = found
    entry.become(call_named(entry, "layer_norm"), "layer_norm", (x, over, weight, bias, eps), [x])
    return True


def replace_by_norm(entry: Entry, x: Var, under: Var, c: Var) -> bool:
    """Replaces an operation if it is the last of a norm of ``x``."""
    over = axes_of(entry, x, under)
    if over is None:
        return False
    centre = next((v for v in origins(c) if v is not x and v.entry is not None and v.entry.op.form == "add"), None)
    for centred, middle in ((True, centre), (False, x)):
        found = None if middle is None else Spelled(entry.out(), x, under, over, middle, centred).found()
        if found is None:
            continue
        eps, weight = found
        name, bias = ("layer_norm", [None]) if centred else ("rms_norm", [])
        entry.become(call_named(entry, name), name, (x, over, weight, *bias, eps), [x])
        return True
    return False


Part = tuple[slice, ...] | None
"""The index of a constant without the axes along which it is the same; None where it changes nothing."""


@dataclass
class Spelled:
    """What may be a norm of ``x``: ``out`` is ``centre`` over the root of ``under``, times a weight; ``centred`` if less its mean."""

    out: Var
    x: Var
    under: Var
    axes: tuple[int, ...]
    centre: Var
    centred: bool

    @property
    def framework(self) -> Framework:
        """The framework of its operations."""
        assert self.out.entry is not None
        return self.out.entry.framework

    def found(self) -> tuple[Any, ...] | None:
        """``eps``, and the constants; None where it is no norm."""
        properties = recall(self.framework, self.results, self.properties)
        if properties is None:
            return None
        eps, parts = properties
        constants = [None if part is None else make(None)[part] for (make, _), part in zip(self.constants(), parts, strict=True)]
        return (eps, *constants)

    def constants(self) -> list[tuple[Callable[[int | None], Array], float]]:
        """The constants in the shape of the result, with the number that changes nothing."""
        return [(self.factor, 1.0)]

    def properties(self) -> tuple[float, list[Part]] | None:
        """``eps`` and the parts of the constants, whatever the numbers of the model's constants are; None where it is no norm."""
        rng, like, rank = np.random.default_rng(0), self.x.value, len(self.out.shape)
        points = [rng.normal(shift, scale, self.x.shape) for shift, scale in ((0.3, 1.0), (-0.5, 2.0))]
        low, high, other, error, *rest = measure(self.framework, self.measured, like, np.zeros(self.x.shape), *points)
        if not (0 <= low == high == other and error <= TOLERANCE):
            return None
        parts: list[Part] = []
        for first in range(0, len(rest), rank + 1):
            neutral, *spread = rest[first : first + rank + 1]
            parts.append(None if neutral == 0 else tuple(slice(0, 1) if same == 0 else slice(None) for same in spread))
        return low, parts

    def measured(self, zero: Array, *points: Array) -> Array:
        """What is under the root at zero (smallest, largest, with other constants), the distance from the norm, and of each constant the
        distance from the number that changes nothing and the spread along each axis."""
        xp, rank = self.framework.xp, len(self.out.shape)
        start, other = (at(self.under, {self.x: zero}, draw) for draw in (0, 1))
        found = [-largest(xp, -start), largest(xp, start), largest(xp, other)]
        factor = self.factor(0)
        found.append(xp.amax(xp.stack([self._distance(z, factor, found[0]) for z in points], 0), (0,)))
        for make, neutral in self.constants():
            constant = make(0)
            found.append(largest(xp, xp.abs(constant - neutral)))
            for axis in range(rank):
                found.append(largest(xp, xp.abs(constant - constant[(*[slice(None)] * axis, slice(0, 1))])))
        return xp.stack([xp.cast(a, zero) for a in found], 0)

    def _distance(self, z: Array, weight: Array, eps: Array) -> Array:
        """The largest difference from the norm, as a share of the largest number."""
        xp = self.framework.xp
        c = z - xp.mean(z, self.axes, True) if self.centred else z
        square = xp.mean(c * c, self.axes, True) + eps
        under = at(self.under, {self.x: z}, 0)
        if prod(under.shape) != prod(square.shape):
            return largest(xp, xp.ones_like(c))
        pairs = ((xp.reshape(under, square.shape), square), (at(self.out, {self.x: z}, 0), self.expected(weight * c / xp.sqrt(square))))
        return xp.amax(xp.stack([distance(xp, a, b) for a, b in pairs], 0), (0,))

    def expected(self, normalised: Array) -> Array:
        """The result, for the difference from the mean over the root times the weight."""
        return normalised

    def factor(self, draw: int | None) -> Array:
        """The weight, in the shape of the result: the result where the difference from the mean and the root are one."""
        xp = self.framework.xp
        ones = {v: xp.ones_like(v.value) for v in (self.x, self.under, self.centre)}
        return at(self.out, ones, draw)

    def results(self) -> list[Array]:
        """All that the properties are read from."""
        z = self.x.value
        return [at(self.under, {self.x: z}, None), at(self.out, {self.x: z}, None), *(make(None) for make, _ in self.constants())]


@dataclass
class Shifted(Spelled):
    """What may be a norm in which the mean is multiplied out; ``root`` is the weight over the root."""

    root: Var

    def constants(self) -> list[tuple[Callable[[int | None], Array], float]]:
        return [(self.factor, 1.0), (self.shift, 0.0)]

    def expected(self, normalised: Array) -> Array:
        return normalised + self.shift(0)

    def factor(self, draw: int | None) -> Array:
        xp = self.framework.xp
        return xp.broadcast_to(at(self.root, {self.under: xp.ones_like(self.under.value)}, draw), self.out.shape)

    def shift(self, draw: int | None) -> Array:
        """The bias, in the shape of the result: the result where the value is zero."""
        xp = self.framework.xp
        return at(self.out, {self.x: xp.zeros_like(self.x.value), self.under: xp.ones_like(self.under.value)}, draw)


def at(v: Var, known: dict[Var, Array], draw: int | None) -> Array:
    """A value at other values of what it is computed from; ``draw`` is a number for arbitrary constants in place of unknown ones."""
    memo = dict(known)

    def value(var: Var) -> Array:
        if var not in memo:
            entry = var.entry
            assert entry is not None
            made = entry.framework.again(entry, value) if draw is None else sample(entry.framework, entry, value, draw)
            memo[var] = made[var.slot]
        return memo[var]

    return value(v)


def largest(xp: Namespace, a: Array) -> Array:
    """The largest element."""
    return xp.amax(a, tuple(range(len(a.shape))))


def distance(xp: Namespace, a: Array, b: Array) -> Array:
    """The largest difference as a share of the largest element."""
    return largest(xp, xp.abs(a - b)) / xp.clip(largest(xp, xp.abs(b)), xp.tiny(b), None)


def extend(entry: Entry, users: Users) -> None:
    """Takes a constant factor and a constant summand that come next into the norm."""
    out = entry.out()
    while len(users.get(out, ())) == 1 and not out.kept:
        (after,) = users[out]
        if len(after.ins) != 1 or len(after.args) != 2 or after.op.form not in ("multiply", "add") or after.out().shape != out.shape:
            return
        constant = next(a for a in after.args if not isinstance(a, Var))
        (x, axes, weight, *bias, eps), form = entry.args, entry.op.form
        if after.op.form == "multiply":
            weight = constant if weight is None else weight * constant
            bias = [b if b is None else b * constant for b in bias]
        elif form != "layer_norm" or after.call.extra[0] != 1 or not hasattr(constant, "shape"):
            return
        else:
            bias = [constant if b is None else b + constant for b in bias]
        if not hasattr(weight, "shape") and weight is not None:
            weight = entry.framework.xp.constant(weight, out.value)
        after.become(entry.call, entry.name, (x, axes, weight, *bias, eps), [x])
        entry, out = after, after.out()
