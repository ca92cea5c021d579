"""Layer norm and RMS norm however they are written: recognised by the numbers that they compute.

A product with one over a root, or a quotient by a root, is looked at: if both factors depend on one value only, and the result is, at
arbitrary numbers, ``k c / sqrt(mean(c^2) + eps)`` with ``c`` the value or its difference from its mean, it is that norm with the weight
``k``. So it does not matter whether the variance is a mean of squares or a difference, or where the weight is multiplied in.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ...arrays import Array, Namespace
from ..tape import Entry, Var
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
            if x.shape == entry.out().shape and replace_by_norm(entry, x, under):
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


def replace_by_norm(entry: Entry, x: Var, under: Var) -> bool:
    """Replaces an operation if it is the last of a norm of ``x``."""
    inner = between(under, x)
    if not inner or between(entry.out(), x) is None:
        return False
    axes = {tuple(sorted(d % len(x.shape) for d in e.args[1])) for e in inner if e.op.form in ("sum", "mean") and e.ins[0].shape == x.shape}
    if len(axes) != 1:
        return False
    (over,) = axes
    found = numbers(entry.out(), x, under, over)
    if found is None:
        return False
    centred, weight, eps = found
    if centred:
        entry.become(call_named(entry, "layer_norm"), "layer_norm", (x, over, weight, None, eps), [x])
    else:
        entry.become(call_named(entry, "rms_norm"), "rms_norm", (x, over, weight, eps), [x])
    return True


def numbers(out: Var, x: Var, under: Var, axes: Sequence[int]) -> tuple[bool, Array | None, float] | None:
    """Whether the norm centres, its weight and ``eps``, found at arbitrary numbers; None for anything else."""
    assert out.entry is not None
    xp, like = out.entry.framework.xp, x.value
    start = at(under, x, xp.zeros_like(like))
    every = tuple(range(len(start.shape)))
    eps = float(xp.amax(start, every))
    if not (eps >= 0 and float(-xp.amax(-start, every)) == eps):
        return None
    rng = np.random.default_rng(0)
    points = [xp.asarray(rng.normal(shift, scale, x.shape), like) for shift, scale in ((0.3, 1.0), (-0.5, 2.0))]
    results, variances = [at(out, x, z) for z in points], [at(under, x, z) for z in points]
    for centred in (True, False):
        parts = [z - xp.mean(z, tuple(axes), True) if centred else z for z in points]
        squares = [xp.mean(c * c, tuple(axes), True) + eps for c in parts]
        if not all(
            near(xp, xp.reshape(v, s.shape), s) if under.size == prod(s.shape) else False for v, s in zip(variances, squares, strict=True)
        ):
            continue
        plain = [c / xp.sqrt(s) for c, s in zip(parts, squares, strict=True)]
        k = sum(y * n for y, n in zip(results, plain, strict=True)) / sum(n * n for n in plain)
        if all(near(xp, y, k * n) for y, n in zip(results, plain, strict=True)):
            return centred, narrow(xp, k), eps
    return None


def at(v: Var, x: Var, z: Array) -> Array:
    """A value at another value of what it is computed from."""
    memo: dict[Var, Array] = {x: z}

    def value(var: Var) -> Array:
        if var not in memo:
            assert var.entry is not None
            memo[var] = var.entry.framework.again(var.entry, value)[var.slot]
        return memo[var]

    return value(v)


def near(xp: Namespace, a: Array, b: Array) -> bool:
    """True if two arrays are equal but for rounding."""
    size = xp.amax(xp.abs(b), tuple(range(len(b.shape))))
    return xp.all(xp.abs(a - b) <= TOLERANCE * size)


def narrow(xp: Namespace, k: Array) -> Array | None:
    """A weight without the axes along which it is the same; None for ones."""
    for axis in range(len(k.shape)):
        mean = xp.mean(k, (axis,), True)
        k = mean if near(xp, xp.broadcast_to(mean, k.shape), k) else k
    return None if near(xp, k, xp.ones_like(k)) else k


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
