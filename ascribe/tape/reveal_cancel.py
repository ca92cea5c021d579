"""RevealCancel: contributions that push a value up and those that push it down pass through the tape apart, and do not cancel.

A value's difference from its reference is the sum of these two parts. Sums (layers with fixed weights, additions, means) part their
terms by sign: the Linear rule. Any other operation gives either part its mean effect over the two orders in which they can come: for
functions of one number that is the paper's RevealCancel; for others (softmax, products, norms) each of the four steps goes back by
the rule's own average derivative, so that nothing is lost. Where an order leads out of an operation's domain its difference goes back
whole, and is parted by sign.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..arrays import Array, Namespace
from .formulas.elementwise import slope_between
from .formulas.linear import LINEAR
from .formulas.signed_sums import risen, terms
from .kernels import holds
from .regions import evaluated, inside
from .reverse import Reverse
from .step import Back, Step
from .tape import Entry, Var, substituted

Pair = tuple[Array, Array]
"""For what pushes up, and for what pushes down."""

End = tuple[Callable[[Var], Array], Sequence[Any]]
"""One set of values: those of an operation's inputs, and its outputs."""

PARTLY = frozenset({"partly_linear", "masked_fill", "lerp"})
"""Forms that are linear in their first argument alone."""


@dataclass
class PartedReverse:
    """A reverse pass with two multipliers for each value. ``shares`` are the contributions of the targets of the last pass."""

    reverse: Reverse
    up: dict[Var, Array] = field(default_factory=dict)
    slopes: dict[Var, Pair] = field(default_factory=dict)
    whole: set[Entry] = field(default_factory=set)
    shares: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.refer, self.framework = self.reverse.refer, self.reverse.framework
        self.xp = self.framework.xp

    def __call__(self, out: Var, g: Array, targets: Sequence[Var]) -> list[Array | None]:
        """One multiplier for each target, which times its difference is its share."""
        found = [self._one(v, pair) for v, pair in zip(targets, self._pairs(out, g, targets), strict=True)]
        self.shares = [share for _, share in found]
        return [multiplier for multiplier, _ in found]

    def _one(self, var: Var, pair: Pair | None) -> Pair:
        """Multiplier and share of a value."""
        d = self.difference(var)
        if pair is None:
            return self.xp.zeros_like(d), self.xp.zeros_like(d)
        if var.entry is None:
            multiplier = by_sign(self.xp, d, pair)
            return multiplier, multiplier * d
        share = pair[0] * self.part(var) + pair[1] * (d - self.part(var))
        still = d == 0
        return self.xp.where(still, (pair[0] + pair[1]) / 2, share / self.xp.where(still, 1.0, d)), share

    def _pairs(self, out: Var, g: Array, targets: Sequence[Var]) -> list[Pair | None]:
        cotangents: dict[Var, Pair] = {out: (g, g)}
        kept: dict[Var, Pair] = {}
        goals = set(targets)
        for entry in reversed(self.reverse.tape.entries):
            back = [cotangents.pop(v, None) if v is not None else None for v in entry.outs]
            kept.update({v: c for v, c in zip(entry.outs, back, strict=True) if v is not None and c is not None and v in goals})
            if any(c is not None for c in back) and any(v.wanted for v in entry.ins):
                for v, pair in self._back(entry, back):
                    if v.wanted:
                        if v.kind != "c" and self.xp.kind(pair[0]) == "c":  # a real number in a complex product
                            pair = self.xp.real(pair[0]), self.xp.real(pair[1])
                        before = cotangents.get(v)
                        cotangents[v] = pair if before is None else (before[0] + pair[0], before[1] + pair[1])
        return [kept.get(v, cotangents.get(v)) for v in targets]

    # ---- the forward pass: the part that pushes each value up

    def difference(self, var: Var) -> Array:
        """From the reference to the record, in full; nothing where both are as small as can be (masked scores)."""
        x, x0 = var.value, self.refer(var)
        if not var.continuous:
            x, x0 = self.xp.as_floats(x), self.xp.as_floats(x0)
        return settled(self.xp, x - x0)

    def part(self, var: Var) -> Array:
        """The part of a value's difference that pushes up; the rest pushes down. Computed when first asked for."""
        waiting = [var]
        while waiting:
            last = waiting[-1]
            missing = [] if last in self.up else [v for v in needed(last) if v not in self.up]
            if not missing:
                waiting.pop()
                if last not in self.up:
                    self._find(last)
            waiting += missing
        return self.up[var]

    def _find(self, var: Var) -> None:
        if var.entry is None:
            self.up[var] = self.xp.clip(self.difference(var), 0, None)
        elif one_number(var):
            self.slopes[var] = self._region(var)
            self.up[var] = self.slopes[var][0] * self.up[var.root]
        else:
            for out, up in zip(var.entry.outs, self._forth(var.entry), strict=True):
                if out is not None:
                    self.up[out] = self.xp.clip(self.difference(out), 0, None) if up is None and out.kind != "c" else up

    def _forth(self, entry: Entry) -> Sequence[Any]:
        """The upward parts of an operation's outputs; None where they are parted by sign."""
        if (found := terms(entry, self.reverse.answer, self.refer)) is not None:
            return [risen(self.xp, found, self.difference)]
        nothing = [None] * len(entry.outs)
        if not all(v.continuous for v in entry.ins):
            self.whole.add(entry)
            return nothing
        first = self.framework.again(entry, self.only_up)
        if moves(entry):
            return [
                None if v is None or not v.continuous else settled(self.xp, a - self.refer(v))
                for v, a in zip(entry.outs, first, strict=True)
            ]
        second = self.framework.again(entry, self.only_down)
        for v, a, b in zip(entry.outs, first, second, strict=True):
            if v is not None and v.continuous and self._leaves(a + b, v.value + self.refer(v)):
                self.whole.add(entry)
                return nothing
        return [
            None if v is None or not v.continuous else settled(self.xp, ((a - self.refer(v)) + (v.value - b)) / 2)
            for v, a, b in zip(entry.outs, first, second, strict=True)
        ]

    def only_up(self, var: Var) -> Array:
        """The reference with what pushes up."""
        return self.refer(var) + self.up[var]

    def only_down(self, var: Var) -> Array:
        """The reference with what pushes down."""
        return var.value - self.up[var]

    def _region(self, top: Var) -> Pair:
        """The slopes of a function of one number, each the mean over the two orders."""
        x, y = top.root.value, top.value
        x0, y0 = self.xp.broadcast_to(self.refer(top.root), x.shape), self.xp.broadcast_to(self.refer(top), y.shape)
        rise, fall = ((z, evaluated(top, z)) for z in (self.only_up(top.root), self.only_down(top.root)))
        start, end, entries = (x0, y0), (x, y), list(inside(top))

        def step(low: Pair, high: Pair) -> Array:
            return slope_between(self.framework, top, entries, high[0], low[0], high[1], low[1])

        up, down = (step(start, rise) + step(fall, end)) / 2, (step(start, fall) + step(rise, end)) / 2
        if self._leaves(up + down, y + y0):  # a root or a logarithm of what is not positive
            lost, straight = outside(self.xp, up + down, y + y0), step(start, end)
            self._count_unparted(entries[0].name)
            return self.xp.where(lost, straight, up), self.xp.where(lost, straight, down)
        return up, down

    def _leaves(self, value: Array, known: Array) -> bool:
        """True if an order leads out of an operation's domain."""
        return not holds(self.framework, lambda: ~outside(self.xp, value, known), True)

    def _count_unparted(self, name: str) -> None:
        counts = self.reverse.unparted
        counts[name] = counts.get(name, 0) + 1

    # ---- the backward pass

    def _back(self, entry: Entry, back: Sequence[Pair | None]) -> list[tuple[Var, Pair]]:
        """What goes on to an operation's inputs."""
        first = entry.outs[0]
        if first is not None and one_number(first) and back[0] is not None:
            self.part(first)
            up, down = self.slopes[first]
            return [(first.root, (back[0][0] * up, back[0][1] * down))]
        for v in entry.outs:
            if v is not None:
                self.part(v)
        if (found := terms(entry, self.reverse.answer, self.refer)) is not None and back[0] is not None:
            up, down = back[0]
            return [(t.var, self._parted(t.var, pulled(t, up, down), pulled(t, down, up))) for t in found if t.var.wanted]
        if entry in self.whole:
            self._count_unparted(entry.name)
            mixed = [
                None if g is None or v is None else by_sign(self.xp, self.difference(v), g) for v, g in zip(entry.outs, back, strict=True)
            ]
            return [(v, (g, g)) for v, g in self.reverse.answer(Step(entry, mixed, self.refer))]
        ways = [[None if g is None else g[k] for g in back] for k in (0, 1)]
        rising, falling = (
            [summed(self.reverse.answer(Step(entry, way, self.refer))) for way in ways] if moves(entry) else self._orders(entry, ways)
        )
        return [(v, (rising[v], falling[v])) for v in rising]

    def _parted(self, var: Var, rising: Array, falling: Array) -> Pair:
        both = by_sign(self.xp, self.difference(var), (rising, falling))
        return both, both

    def _orders(self, entry: Entry, ways: Sequence[Sequence[Array | None]]) -> list[dict[Var, Array]]:
        """What goes back for either part: the mean of the steps that it makes when it comes first and when it comes second."""
        start: End = self.refer, [None if v is None else self.refer(v) for v in entry.outs]
        end: End = (lambda v: v.value), [None if v is None else v.value for v in entry.outs]
        rise: End = self.only_up, self.framework.again(entry, self.only_up)
        fall: End = self.only_down, self.framework.again(entry, self.only_down)
        found = []
        for back, steps in zip(ways, (((start, rise), (fall, end)), ((start, fall), (rise, end))), strict=True):
            halves = [None if g is None else g / 2 for g in back]
            found.append(summed([pair for low, high in steps for pair in self._between(entry, halves, low, high)]))
        return found

    def _between(self, entry: Entry, back: Sequence[Array | None], low: End, high: End) -> Back:
        """The operation's average derivative between two sets of values other than the record's and the reference's."""
        shadows = {v: with_value(v, high[0](v)) for v in entry.ins}
        begins = {shadows[v]: low[0](v) for v in entry.ins}
        outs = [None if v is None else with_value(v, value) for v, value in zip(entry.outs, high[1], strict=True)]
        begins.update({v: value for v, value in zip(outs, low[1], strict=True) if v is not None})
        args = tuple(substituted(a, shadows.__getitem__) for a in entry.args)
        kwargs = {k: substituted(a, shadows.__getitem__) for k, a in entry.kwargs.items()}
        other = Entry(entry.call, entry.name, args, kwargs, [shadows[v] for v in entry.ins], self.framework, outs)
        origin = {shadow: v for v, shadow in shadows.items()}
        return [(origin[shadow], g) for shadow, g in self.reverse.answer(Step(other, back, begins.__getitem__))]


def needed(var: Var) -> Iterable[Var]:
    """The values whose parts those of a value come from."""
    if var.entry is None:
        return ()
    return (var.root,) if one_number(var) else var.entry.ins


def one_number(var: Var) -> bool:
    """Whether a value is a function of one other, number by number."""
    return var.root is not var and var.kind == "f"


def moves(entry: Entry) -> bool:
    """Whether an operation is linear, and no sum: parts go through it as they are."""
    return entry.op.form in LINEAR and (entry.op.form not in PARTLY or all(v is entry.args[0] for v in entry.ins))


def pulled(term: Any, up: Array, down: Array) -> Array:
    """What goes back to a term for what it pushes up and down, where it grows."""
    found = [way[1](g) for way, g in ((term.plus, up), (term.minus, down)) if way is not None]
    return found[0] if len(found) == 1 else found[0] + found[1]


def by_sign(xp: Namespace, d: Array, pair: Pair) -> Array:
    """The first where a difference is positive, the second where it is negative, their mean where there is none."""
    return xp.where(d > 0, pair[0], xp.where(d < 0, pair[1], (pair[0] + pair[1]) / 2))


def outside(xp: Namespace, value: Array, known: Array) -> Array:
    """Where something is not finite that should be."""
    return ~xp.isfinite(value) & xp.isfinite(known)


def settled(xp: Namespace, t: Array) -> Array:
    """Nothing in place of what is no number: the difference of two infinities."""
    return xp.where(xp.isnan(t), 0.0, t) if xp.kind(t) == "f" and xp.has_nan(t) else t


def with_value(var: Var, value: Array) -> Var:
    """A value on the tape with other numbers."""
    found = copy.copy(var)
    found.held, found.shape, found.dtype = value, value.shape, value.dtype
    return found


def summed(back: Back) -> dict[Var, Array]:
    """What goes to each value, all its uses together."""
    found: dict[Var, Array] = {}
    for v, g in back:
        found[v] = found[v] + g if v in found else g
    return found
