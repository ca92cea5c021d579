"""Element-wise regions: whatever is computed element by element from one value is one unary function of it.

``x * sigmoid(x)``, GELU written out, ``where(x > 0, x, a * (exp(x) - 1))``: there is no table of activations, and every spelling of one
gives the same numbers. Linear steps in front (a bias, a scale) stay outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from ..arrays import Array
from .kernels import holds
from .tape import Entry, Tape, Var


def pointwise(entry: Entry) -> bool:
    """True if an operation works element by element and returns one array."""
    alone = len(entry.outs) == 1 or entry.op.form == "log_sigmoid_forward"
    return alone and (entry.op.pointwise or entry.op.additive) and all(v.kind != "c" for v in entry.ins)


def linear(entry: Entry) -> bool:
    """True if an element-wise operation is linear in what is on the tape."""
    if entry.op.additive or (entry.op.form == "where" and not isinstance(entry.args[0], Var)):
        return True
    one = len(entry.ins) == 1
    return one and (entry.op.form == "multiply" or (entry.op.form == "divide" and isinstance(entry.args[0], Var) and len(entry.args) == 2))


def find_regions(tape: Tape, apart: bool = False) -> None:
    """Sets the root of every value. With ``apart`` a ReLU is a region by itself, and a new region begins after it."""
    ends: set[Var] = set()
    for entry in tape.entries:
        if pointwise(entry):
            out = entry.out()
            place(out, entry.ins, linear(entry), ends)
            if apart and out.root is not out and rectifies(out):
                ends.add(out)


def place(out: Var, ins: list[Var], straight: bool, ends: Collection[Var] = ()) -> None:
    """Sets the root of a new value: the nearest value that all its inputs are element-wise functions of.

    Where the roots of the inputs differ, the values that linear steps lead from are compared: ``a`` and ``2 a`` have ``a`` in common.
    Linear steps themselves stay outside; values in ``ends`` are the root of what is made of them.
    """
    root = nearest([v if v in ends else v.root for v in ins])
    if root is None or root.shape != out.shape:
        return
    if straight and all(v.root is v or v in ends for v in ins):
        out.linear = root
    else:
        out.root = root


def nearest(roots: list[Var]) -> Var | None:
    """The first value, going back from the first root, that all roots are linear functions of."""
    others = [set(behind(root)) for root in dict.fromkeys(roots) if root is not roots[0]]
    return next((v for v in behind(roots[0]) if all(v in other for other in others)), None)


def behind(var: Var) -> Iterator[Var]:
    """A value, and those that it is a linear function of."""
    yield var
    while var.linear is not var:
        var = var.linear
        yield var


def inside(top: Var) -> Iterator[Entry]:
    """The operations between a value and its root."""
    seen: set[Var] = set()
    waiting = [top]
    while waiting:
        var = waiting.pop()
        if var is top.root or var in seen:
            continue
        seen.add(var)
        assert var.entry is not None
        yield var.entry
        waiting += var.entry.ins


def evaluated(top: Var, at: Array) -> Array:
    """The region's value at other values of its root."""
    memo: dict[Var, Array] = {top.root: at}

    def value(var: Var) -> Array:
        if var not in memo:
            assert var.entry is not None
            memo[var] = var.entry.framework.again(var.entry, value)[var.slot]
        return memo[var]

    return value(top)


def derivative(top: Var, at: Array) -> Array:
    """The region's derivative at values of its root."""
    assert top.entry is not None
    framework = top.entry.framework
    xp = framework.xp
    (slope,) = framework.pull(lambda z: [evaluated(top, z)], [at], [xp.ones_like(at)])
    return xp.zeros_like(at) if slope is None else slope


def rectifies(top: Var) -> bool:
    """True if a region is ``max(x, 0)``: at the values of the record, and zero at negative ones."""
    entries = list(islice(inside(top), 2))
    if is_relu(entries):
        return True
    framework = entries[0].framework
    xp = framework.xp
    x, y = top.root.value, top.value
    if top.kind != "f" or not holds(framework, lambda: y == xp.clip(x, 0, None), False):
        return False
    return holds(framework, lambda: evaluated(top, -1 - xp.abs(x)) == 0, True)


def is_relu(entries: list[Entry]) -> bool:
    """True if the operations of a region are one ReLU."""
    return len(entries) == 1 and entries[0].op.form == "relu"


def with_arrays(entries: list[Entry]) -> bool:
    """True if constants of a region differ from element to element."""
    return any(is_wide(a) for e in entries for a in (*e.args, *e.kwargs.values()))


def is_wide(a: object) -> bool:
    """True for an array of several elements that is a constant."""
    return not isinstance(a, Var) and hasattr(a, "shape") and any(n > 1 for n in a.shape)
