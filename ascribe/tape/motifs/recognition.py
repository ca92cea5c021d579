"""What a framework writes out, recognised by its arithmetic and replaced by the one operation that it is.

``exp(u) / sum(exp(u))`` is a softmax, ``log(sum(exp(u)))`` is ``logsumexp``, ``u - logsumexp(u)`` is ``log_softmax``, ``sum(x) / n`` is a
mean, ``x @ w + b`` is one layer. Whatever is subtracted from ``u`` before, the same for all elements of an axis, changes nothing: it is
left out. Norms are recognised in :mod:`.norms`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isclose, prod
from typing import Any

from ..tape import Entry, Tape, Var
from .calls import Call, call_named, channel_axis
from .norms import recognise_norm, recognise_shifted_norm

REPEATED = frozenset({"add", "multiply", "divide", "negative", "exp"})
"""Forms of operations that a model may write twice."""


def recognise_motifs(tape: Tape) -> None:
    """Replaces operations of the model that are written out; how a quantity is read off its output is left as it is."""
    users: dict[Var, list[Entry]] = {}
    for entry in tape.entries:
        for v in dict.fromkeys(entry.ins):
            users.setdefault(v, []).append(entry)
    for entry in tape.entries[: tape.end]:
        out = entry.outs[0]
        if out is None or len(entry.outs) != 1 or out.kind != "f":
            continue
        for recognise in READ.get(entry.op.form, ()):
            if recognise(entry, users):
                break


Users = dict[Var, list[Entry]]


def only(v: Var, users: Users) -> bool:
    """True if one operation uses a value."""
    return len(users.get(v, ())) == 1 and not v.kept


def alike(v: Var) -> Var:
    """A value without copies of it in between."""
    while v.entry is not None and v.entry.op.same and v.entry.name != "mark":
        v = v.entry.ins[0]
    return v


def same_value(a: Any, b: Any, steps: int = 4) -> bool:
    """True if two values are the same, or computed twice in the same way."""
    if not (isinstance(a, Var) and isinstance(b, Var)):
        return a is b or (isinstance(a, float) and a == b)
    a, b = alike(a), alike(b)
    if a is b:
        return True
    here, there = a.entry, b.entry
    if here is None or there is None or here.op.form != there.op.form or here.op.form not in REPEATED or not steps:
        return False
    pairs = zip(here.args, there.args, strict=True)
    return here.call.extra == there.call.extra and all(same_value(one, other, steps - 1) for one, other in pairs)


def narrowed(v: Var) -> Var:
    """A value before it was broadcast, and before axes of size one came."""
    while v.entry is not None and v.entry.name != "mark":
        form = v.entry.op.form
        inner = v.entry.ins[0] if v.entry.ins else v
        ones = form == "reshape" and [n for n in inner.shape if n != 1] == [n for n in v.shape if n != 1]
        if not (v.entry.op.same or form == "expand" or ones):
            break
        v = inner
    return v


def constant_along(m: Any, axis: int, rank: int) -> bool:
    """True if a value, broadcast to this rank, is the same for all elements along an axis."""
    if not hasattr(m, "shape") or m.shape == ():
        return True
    while isinstance(m, Var) and m.entry is not None and (m.entry.op.same or m.entry.op.form == "expand"):
        m = m.entry.ins[0]
    return len(m.shape) == rank and m.shape[axis] == 1


def unshifted(u: Var, axis: int) -> Var:
    """The value that something constant along an axis was added to or subtracted from."""
    while True:
        u = alike(u)
        entry = u.entry
        if entry is None or entry.op.form != "add":
            return u
        a, b = entry.args[:2]
        if isinstance(a, Var) and a.shape == u.shape and constant_along(b, axis, len(u.shape)):
            u = a
        elif isinstance(b, Var) and b.shape == u.shape and entry.call.extra[0] == 1 and constant_along(a, axis, len(u.shape)):
            u = b
        else:
            return u


def axis_of_sum(b: Var) -> tuple[Var, int] | None:
    """The value whose elements are summed along one axis, and the axis; a size taken of the sum does not matter, as it is positive."""
    b = narrowed(b)
    while b.entry is not None and b.entry.op.form == "abs":
        b = narrowed(b.entry.ins[0])
    if b.entry is None or b.entry.op.form != "sum" or len(b.entry.args[1]) != 1:
        return None
    v = b.entry.args[0]
    return v, b.entry.args[1][0] % len(v.shape)


def exponent(a: Var) -> Var | None:
    """``u`` of ``exp(u)``."""
    a = alike(a)
    return a.entry.ins[0] if a.entry is not None and a.entry.op.form == "exp" else None


def in_place(total: Var, like: Var, axis: int) -> bool:
    """True if what is left of an axis after a sum broadcasts against the values that it is of."""
    wanted = tuple(1 if d == axis else n for d, n in enumerate(like.shape))
    while total.entry is not None and (total.entry.op.same or total.entry.op.form == "expand"):
        total = total.entry.ins[0]
    return tuple(total.shape) == wanted


def become_softmax(entry: Entry, a: Var, b: Var) -> bool:
    """``a / b``."""
    u, over = exponent(a), axis_of_sum(b)
    if u is None or over is None or u.shape != entry.out().shape or not in_place(b, a, over[1]):
        return False
    other = exponent(over[0])
    if alike(over[0]) is not alike(a) and (other is None or not same_value(other, u)):
        return False
    w = unshifted(u, over[1])
    entry.become(call_named(entry, "softmax"), "softmax", (w, over[1]), [w])
    return True


def divided(entry: Entry, users: Users) -> bool:
    """``exp(u) / sum(exp(u))``."""
    a, b = entry.args[:2]
    return isinstance(a, Var) and isinstance(b, Var) and become_softmax(entry, a, b)


def multiplied(entry: Entry, users: Users) -> bool:
    """``exp(u) * (1 / sum(exp(u)))``, in either order."""
    for a, r in (entry.args[:2], entry.args[1::-1]):
        if isinstance(a, Var) and isinstance(r, Var) and (b := under_one(r)) is not None and become_softmax(entry, a, b):
            return True
    return False


def under_one(r: Var) -> Var | None:
    """``b`` where a value is ``1 / b``, before it was broadcast."""
    while r.entry is not None and (r.entry.op.same or r.entry.op.form == "expand"):
        r = r.entry.ins[0]
    entry = r.entry
    if entry is None or len(entry.ins) != 1:
        return None
    over = entry.op.form == "divide" and entry.args[0] == 1 if entry.args and isinstance(entry.args[0], float) else False
    power = entry.op.form == "power" and entry.args[1] in (-1, -1.0)
    return entry.ins[0] if over or power else None


def raised(entry: Entry, users: Users) -> bool:
    """``exp(log_softmax(u))``."""
    source = alike(entry.ins[0]).entry
    if source is None or source.op.form != "log_softmax":
        return False
    entry.become(call_named(entry, "softmax"), "softmax", source.args[:2], source.ins[:1])
    return True


def logged(entry: Entry, users: Users) -> bool:
    """``log(sum(exp(u)))`` and ``log(softmax(u))``."""
    inner = alike(entry.ins[0])
    if inner.entry is not None and inner.entry.op.form == "softmax":
        entry.become(call_named(entry, "log_softmax"), "log_softmax", inner.entry.args[:2], inner.entry.ins[:1])
        return True
    over = axis_of_sum(inner)
    u = exponent(over[0]) if over is not None else None
    if over is None or u is None:
        return False
    keep = len(entry.out().shape) == len(u.shape)
    wanted = [1 if d == over[1] else n for d, n in enumerate(u.shape) if keep or d != over[1]]
    if list(entry.out().shape) != wanted:
        return False
    entry.become(call_named(entry, "logsumexp"), "logsumexp", (u, over[1], keep), [u])
    return True


def added(entry: Entry, users: Users) -> bool:
    """``u - logsumexp(u)``, and ``logsumexp(u - m) + m``."""
    a, b = entry.args[:2]
    if not (isinstance(a, Var) and isinstance(b, Var)):
        return False
    if entry.call.extra[0] == -1:
        total = narrowed(b).entry
        if total is None or total.op.form != "logsumexp":
            return False
        u, axis = total.args[:2]
        if not same_value(u, a) or not in_place(b, a, axis):
            return False
        w = unshifted(u, axis)
        entry.become(call_named(entry, "log_softmax"), "log_softmax", (w, axis), [w])
        return True
    return any(unshift_total(entry, total, m) for total, m in ((a, b), (b, a)))


def unshift_total(entry: Entry, total: Var, m: Var) -> bool:
    """``logsumexp(u - m) + m`` is ``logsumexp(u)``."""
    source = alike(total).entry
    if source is None or source.op.form != "logsumexp" or total.shape != entry.out().shape:
        return False
    u, axis, keep = source.args
    shift = alike(u).entry
    if shift is None or shift.op.form != "add" or shift.call.extra[0] != -1:
        return False
    w, taken = shift.args[:2]
    if not (isinstance(w, Var) and isinstance(taken, Var)) or narrowed(taken) is not narrowed(m) or w.shape != u.shape:
        return False
    entry.become(call_named(entry, "logsumexp"), "logsumexp", (w, axis, keep), [w])
    return True


def averaged(entry: Entry, users: Users) -> bool:
    """``sum(x) / n`` and ``sum(x) * (1 / n)``; windows likewise."""
    pair = [a for a in entry.args[:2] if isinstance(a, float)]
    if len(pair) != 1 or len(entry.ins) != 1 or (entry.op.form == "divide" and not isinstance(entry.args[0], Var)):
        return False
    number = 1 / pair[0] if entry.op.form == "multiply" and pair[0] else pair[0]
    v = entry.ins[0]
    source = v.entry
    while source is not None and source.op.form == "reshape" and only(v, users):
        v = source.ins[0]
        source = v.entry
    if source is None or not only(v, users):
        return False
    if source.op.form == "average" and v is entry.ins[0]:
        run = source.call.run
        entry.become(Call(source.op, lambda *args: run(*args) / number), source.name, source.args, source.ins)
        return True
    if source.op.form != "sum":
        return False
    x, axes, keep = source.args
    count = prod(x.shape[d] for d in axes)
    kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    keep = keep or (tuple(entry.out().shape) == kept and v is not entry.ins[0])
    if not isclose(count, number, rel_tol=1e-6) or (tuple(entry.out().shape) != kept if keep else v is not entry.ins[0]):
        return False
    entry.become(call_named(entry, "mean"), "mean", (x, axes, keep), [x])
    return True


def biased(entry: Entry, users: Users) -> bool:
    """``x @ w + b`` and a convolution with a bias for each channel."""
    if len(entry.ins) != 1 or entry.call.extra[0] != 1:
        return False
    (v,), (b,) = entry.ins, [a for a in entry.args[:2] if not isinstance(a, Var)]
    source = v.entry
    if source is None or not only(v, users) or not hasattr(b, "shape") or v.shape != entry.out().shape:
        return False
    if source.op.form == "matmul" and not isinstance(source.args[1], Var) and per_axis(b, -1, v):
        product, matrices = source.call.run, source.args[:2]
        call = Call(call_named(entry, "dense").operation, lambda c, x, w: product(x, w) + c, (1, 1))
        entry.become(call, source.name, (entry.framework.xp.reshape(b, (-1,)), *matrices), source.ins)
        return True
    plain = source.op.form == "convolution" and source.args[2] is None and not isinstance(source.args[1], Var)
    if plain and per_axis(b, channel_axis(source), v):
        entry.become(source.call, source.name, (*source.args[:2], b), source.ins)
        return True
    return False


def per_axis(b: Any, axis: int, like: Var) -> bool:
    """True if a constant has one number for each position along an axis."""
    rank = len(like.shape)
    return len(b.shape) == rank and all(
        n == (size if d == axis % rank else 1) for d, (n, size) in enumerate(zip(b.shape, like.shape, strict=True))
    )


READ: dict[str, tuple[Callable[[Entry, Users], bool], ...]] = {
    "divide": (averaged, divided, recognise_norm),
    "multiply": (averaged, multiplied, recognise_norm),
    "exp": (raised,),
    "log": (logged,),
    "add": (added, biased, recognise_shifted_norm),
}
"""By form; the first that fits."""
