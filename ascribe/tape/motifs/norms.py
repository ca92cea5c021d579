"""Layer norm and RMS norm however they are written: recognised by the numbers that they compute.

A product with one over a root, or a quotient by a root, is looked at: if both factors depend on one value only, and the result is, at
arbitrary numbers, ``k c / sqrt(mean(c^2) + eps)`` with ``c`` the value or its difference from its mean, it is that norm with the weight
``k``. So it does not matter whether the variance is a mean of squares or a difference, or where the weight is multiplied in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from ...arrays import Array, Namespace
from ..kernels import calculate, holds, sample
from ..step import Uncovered
from ..tape import Entry, Framework, Var
from .calls import call_named

Users = dict[Var, list[Entry]]

CARRIES = frozenset({"expand", "reshape", "identity", "cast", "multiply", "divide", "power"})
"""Forms that leave one over a root such, where all else in them is constant."""

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
        if here.entry is None or here.entry.name == "mark" or len(entries) == STEPS:
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
    norm = Shifted(entry.out(), x, under, over, x, root)
    eps = calculate(entry.framework, norm.eps)
    if eps is None or not norm.agrees(True, eps):
        return False
    entry.become(call_named(entry, "layer_norm"), "layer_norm", (x, over, norm.weight(), norm.bias(), eps), [x])
    return True


def replace_by_norm(entry: Entry, x: Var, under: Var, c: Var) -> bool:
    """Replaces an operation if it is the last of a norm of ``x``."""
    over = axes_of(entry, x, under)
    if over is None:
        return False
    centre = next((v for v in origins(c) if v.entry is not None and v.entry.op.form == "add"), None)
    for centred, middle in ((True, centre), (False, x)):
        norm = Spelled(entry.out(), x, under, over, middle) if middle is not None else None
        eps = None if norm is None else calculate(entry.framework, norm.eps)
        if norm is None or eps is None or not norm.agrees(centred, eps):
            continue
        name, bias = ("layer_norm", [None]) if centred else ("rms_norm", [])
        entry.become(call_named(entry, name), name, (x, over, norm.weight(), *bias, eps), [x])
        return True
    return False


@dataclass
class Spelled:
    """What may be a norm of ``x``: ``out`` is ``centre`` over the root of ``under``, times a weight."""

    out: Var
    x: Var
    under: Var
    axes: tuple[int, ...]
    centre: Var

    @property
    def framework(self) -> Framework:
        """The framework of its operations."""
        assert self.out.entry is not None
        return self.out.entry.framework

    def eps(self) -> float | None:
        """What is added under the root, whatever the model's constants are; None where that is not one number."""
        xp = self.framework.xp
        starts = [at(self.under, {self.x: xp.zeros_like(self.x.value)}, draw) for draw in (0, 1)]
        every = tuple(range(len(starts[0].shape)))
        ends = {float(sign * xp.amax(sign * start, every)) for start in starts for sign in (1, -1)}
        return ends.pop() if len(ends) == 1 and min(ends) >= 0 else None

    def agrees(self, centred: bool, eps: float) -> bool:
        """True if it is such a norm at arbitrary numbers."""
        xp = self.framework.xp

        def difference() -> Array:
            weight = self.factor(0)
            return xp.stack([self._difference(z, weight, centred, eps) for z in self._points()], 0)

        return holds(self.framework, lambda: difference() <= TOLERANCE, True)

    def _points(self) -> list[Array]:
        xp, rng = self.framework.xp, np.random.default_rng(0)
        return [xp.asarray(rng.normal(shift, scale, self.x.shape), self.x.value) for shift, scale in ((0.3, 1.0), (-0.5, 2.0))]

    def _difference(self, z: Array, weight: Array, centred: bool, eps: float) -> Array:
        """The largest difference from the norm, as a share of the largest number."""
        xp = self.framework.xp
        c = z - xp.mean(z, self.axes, True) if centred else z
        square = xp.mean(c * c, self.axes, True) + eps
        under = at(self.under, {self.x: z}, 0)
        if prod(under.shape) != prod(square.shape):
            return xp.amax(xp.ones_like(c), tuple(range(len(c.shape))))
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

    def weight(self) -> Array | None:
        """The weight without the axes along which it is the same; None for ones."""
        return self._narrow(self.factor, 1)

    def _narrow(self, make: Callable[[int | None], Array], neutral: float) -> Array | None:
        """Numbers without the axes along which they are the same; None where all are neutral."""
        framework = self.framework
        xp = framework.xp
        sampled = calculate(framework, lambda: make(0))
        index: list[slice] = [slice(None)] * len(self.out.shape)
        for axis, size in enumerate(self.out.shape):
            one = (*[slice(None)] * axis, slice(0, 1))
            if size > 1 and holds(framework, lambda one=one: xp.abs(sampled - sampled[one]) == 0, True):
                index[axis] = slice(0, 1)
        if holds(framework, lambda: sampled == neutral, False):
            return None
        return calculate(framework, lambda: make(None)[tuple(index)])


@dataclass
class Shifted(Spelled):
    """What may be a norm in which the mean is multiplied out; ``root`` is the weight over the root."""

    root: Var

    def expected(self, normalised: Array) -> Array:
        return normalised + self.shift(0)

    def factor(self, draw: int | None) -> Array:
        xp = self.framework.xp
        return xp.broadcast_to(at(self.root, {self.under: xp.ones_like(self.under.value)}, draw), self.out.shape)

    def shift(self, draw: int | None) -> Array:
        """The bias, in the shape of the result: the result where the value is zero."""
        xp = self.framework.xp
        return at(self.out, {self.x: xp.zeros_like(self.x.value), self.under: xp.ones_like(self.under.value)}, draw)

    def bias(self) -> Array | None:
        """The bias without the axes along which it is the same; None for zeros."""
        return self._narrow(self.shift, 0)


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


def distance(xp: Namespace, a: Array, b: Array) -> Array:
    """The largest difference as a share of the largest element."""
    every = tuple(range(len(b.shape)))
    return xp.amax(xp.abs(a - b), every) / xp.clip(xp.amax(xp.abs(b), every), xp.tiny(b), None)


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
