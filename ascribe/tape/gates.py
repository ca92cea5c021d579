"""Which values can carry relevance to a requested cut (signals), and which act as weights in a product (gates).

A value is a *signal* where all relevance that comes to it can be passed on: functions that are zero at zero, linear maps, norms with
their scale fixed. It is a *gate* where not: sigmoid, exp, softplus, one over a root with something added, and a softmax that the rule
takes as fixed have a value of their own at zero, which nothing before them accounts for. In a product with a signal, a gate is a factor
like a weight. What is infinite at zero, a denominator, and a comparison pass nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..arrays import Array
from ..rules import OperationRule
from .kernels import calculate, holds
from .regions import evaluated, inside, is_wide
from .tape import Entry, Tape, Var

SIGNAL, GATE, NOTHING = 2, 1, 0


def rank_values(tape: Tape, targets: Iterable[Var], rule: OperationRule, of: Callable[[Entry], OperationRule]) -> None:
    """Sets the rank of every value, from the targets on; ``of`` returns the rule of an operation."""
    for var in targets:
        var.rank = SIGNAL
    if rule.treats.get("product") not in ("half", "signal"):
        for entry in tape.entries:
            if any(v.rank for v in entry.ins):
                for out in entry.outs:
                    if out is not None:
                        out.rank = SIGNAL
        return
    for entry in tape.entries:
        if any(v.rank for v in entry.ins):
            rank = passed(entry, of(entry).treats.get("softmax") == "fixed")
            for out in entry.outs:
                if out is not None:
                    out.rank = rank if out.continuous else NOTHING


def passed(entry: Entry, fixed: bool) -> int:
    """The rank of an operation's result. With ``fixed`` a softmax is a gate."""
    first = entry.outs[0]
    if first is not None and first.root is not first:
        return first.root.rank  # the rank of the whole expression is found where it is used
    form, ins, places = entry.op.form, entry.ins, entry.op.passes
    if form == "solve":  # linear in the second argument; the inverse of the first is one at zero
        a, b = (v if isinstance(v, Var) else None for v in entry.args[:2])
        return max(resolved(b) if b is not None else NOTHING, min(resolved(a), GATE) if a is not None else NOTHING)
    if form == "attention":
        places = (2,) if fixed else (0, 1, 2)
    if places is not None:
        ins = [v for i, v in enumerate(entry.args) if i in places and isinstance(v, Var)]
    rank = max((resolved(v) for v in ins), default=NOTHING)
    return min(rank, GATE) if fixed and form == "softmax" else rank


def resolved(var: Var) -> int:
    """The rank of a value that something other than its own expression uses."""
    if var.rank and var.root is not var and not var.settled:
        var.rank = min(var.rank, own(var))
        var.settled = True
    return var.rank


def own(top: Var) -> int:
    """The rank of an element-wise expression by its value at zero."""
    entries = list(inside(top))
    if len(entries) == 1 and entries[0].op.from_zero:
        return SIGNAL
    if top.kind != "f":
        return NOTHING
    framework = entries[0].framework
    xp = framework.xp
    zero = calculate(framework, lambda: at_zero(top, entries))
    if not holds(framework, lambda: xp.isfinite(zero), True):
        return NOTHING
    return SIGNAL if holds(framework, lambda: xp.abs(zero) <= xp.eps(zero), False) else GATE


def at_zero(top: Var, entries: list[Entry]) -> Array:
    """The value of an expression where its root is zero: one number where all its constants are numbers."""
    xp, x = entries[0].framework.xp, top.root.value
    wide = any(is_wide(a) for e in entries for a in (*e.args, *e.kwargs.values()))
    return evaluated(top, xp.zeros_like(x) if wide else xp.zeros([1] * len(x.shape), x))


def behind_moves(a: Var) -> Var:
    """The value that another has the elements of."""
    while a.root is a and a.entry is not None and a.entry.op.moves and a.entry.op.conserves and len(a.entry.ins) == 1:
        a = a.entry.ins[0]
    return a


def activated(a: Var) -> bool:
    """True if a value is the result of an activation."""
    a = behind_moves(a)
    return a.root is not a


def shifted(a: Var) -> bool:
    """True if a value is another with a constant added, such as ``1 + scale``: it is not zero where the other is."""
    a = behind_moves(a)
    if a.entry is None or a.entry.op.form not in ("add", "reverse_subtract") or a.root is not a:
        return False
    framework = a.entry.framework
    added = [c for c in a.entry.args[:2] if not isinstance(c, Var)]
    return any(not holds(framework, lambda c=c: c == 0, False) if hasattr(c, "shape") else bool(c) for c in added)
