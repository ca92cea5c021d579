"""What relevance can reach: which values lead back to a place that is asked for, and which of them yield in a product.

A value is a *signal* where all that comes to it can be passed on: functions that are zero at zero, linear maps, norms with
their scale fixed. It is a *gate* where not: sigmoid, exp, softplus, one over a root with something added, and a softmax that
the rule takes for fixed have a value of their own at zero, which nothing in front of them accounts for. Beside a signal, a
gate is a factor like a weight. What is infinite at zero, a denominator, and a comparison pass nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from ....rules import OperationRule
from .choices import CHOICE
from .norms import NORM
from .regions import FROM_ZERO, evaluated, inside
from .softmax import KERNELS
from .tape import Entry, Tape, Tensor, Var

SIGNAL, GATE, NOTHING = 2, 1, 0

PASSING = {
    "div": (0,),
    "addcdiv": (0, 1),
    "where": (1, 2),
    **dict.fromkeys(NORM, (0,)),
    **dict.fromkeys((name for name in CHOICE if len(name) == 2), ()),
}
"""The arguments that relevance passes through, where not all."""

INVERSES = frozenset({"linalg_solve_triangular"})
"""What is linear in its second argument; the inverse of the first is one at zero."""

VIEWS = frozenset(
    {"view", "_unsafe_view", "reshape", "transpose", "permute", "slice", "select", "split", "unsqueeze", "squeeze", "expand", "clone",
     "split_with_sizes", "chunk", "unbind", "detach", "alias", "t", "_to_copy"}
)  # fmt: skip


def reached(tape: Tape, targets: Iterable[Var], rule: OperationRule, of: Callable[[Entry], OperationRule]) -> None:
    """Give every value its rank, from the targets on; ``of`` says which page of a book treats an operation."""
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
            found = passed(entry, of(entry).treats.get("softmax") == "fixed")
            for out in entry.outs:
                if out is not None:
                    out.rank = found if out.continuous else NOTHING


def passed(entry: Entry, fixed: bool) -> int:
    """The rank of what an operation returns. ``fixed`` says that a softmax is a gate."""
    first = entry.outs[0]
    if first is not None and first.root is not first:
        return first.root.rank  # what the whole expression is shows where it is used
    ins: Iterable[Var] = entry.ins
    places: tuple[int, ...] | None = PASSING.get(entry.name)
    if entry.name in INVERSES:
        a, b = (v if isinstance(v, Var) else None for v in entry.args[:2])
        return max(resolved(b) if b is not None else NOTHING, min(resolved(a), GATE) if a is not None else NOTHING)
    if entry.name in KERNELS:
        places = (2,) if fixed else (0, 1, 2)
    if places is not None:
        ins = [v for i, v in enumerate(entry.args) if i in places and isinstance(v, Var)]
    found = max((resolved(v) for v in ins), default=NOTHING)
    return min(found, GATE) if fixed and entry.name in ("_softmax", "_safe_softmax") else found


def resolved(var: Var) -> int:
    """The rank of a value that something other than its own expression uses."""
    if var.rank and var.root is not var and not var.settled:
        var.rank = min(var.rank, own(var))
        var.settled = True
    return var.rank


def own(top: Var) -> int:
    """What an element-wise expression is by its value at zero."""
    entries = list(inside(top))
    if len(entries) == 1 and entries[0].name in FROM_ZERO:
        return SIGNAL
    if not top.dtype.is_floating_point:
        return NOTHING
    zero = at_zero(top, entries)
    if not zero.isfinite().all():
        return NOTHING
    return GATE if (zero.abs() > torch.finfo(zero.dtype).eps).any() else SIGNAL


def at_zero(top: Var, entries: list[Entry]) -> Tensor:
    """The value of an expression where its root is zero: one number where nothing but numbers is in it."""
    x = top.root.value
    wide = any(isinstance(a, Tensor) and a.numel() > 1 for e in entries for a in (*e.args, *e.kwargs.values()))
    return evaluated(top, torch.zeros_like(x) if wide else x.new_zeros([1] * x.dim()))


def behind_views(a: Var) -> Var:
    """The value that another is a view of."""
    while a.root is a and a.entry is not None and a.entry.name in VIEWS:
        a = a.entry.ins[0]
    return a


def activated(a: Var) -> bool:
    """Whether a value is what an activation returned."""
    a = behind_views(a)
    return a.root is not a


def shifted(a: Var) -> bool:
    """Whether a value is another with a constant added, such as ``1 + scale``: it has a value of its own where the other is zero."""
    a = behind_views(a)
    if a.entry is None or a.entry.name not in ("add", "sub", "rsub") or a.root is not a:
        return False
    added = [c for c in a.entry.args[:2] if not isinstance(c, Var)]
    return any(bool(c.any()) if isinstance(c, Tensor) else bool(c) for c in added)
