"""Softmax and its logarithms written out: recognised on the tape and replaced by the one operation that they are.

``exp(u) / exp(u).sum(dim)``, ``exp(u) * (1 / exp(u).sum(dim))``, ``exp(u - logsumexp(u))`` and ``exp(log_softmax(u))`` are a softmax,
``log(exp(u).sum(dim))`` is ``logsumexp``, ``log(softmax(u))`` is ``log_softmax``. A largest number taken off before is part of ``u``, and
comes to nothing: none of them changes with a shift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ....tape import Entry, Tape, Var
from .formulas import TORCH

Tensor = torch.Tensor
aten = torch.ops.aten


def recognise_motifs(tape: Tape) -> None:
    """Replaces written-out operations. Aligned runs stay aligned."""
    entries: list[Entry] = []
    for entry in tape.entries:
        found = READ.get(entry.name)
        if found is not None and len(entry.outs) == 1 and entry.out().kind == "f":
            entries += found(entry) or ()
        entries.append(entry)
    tape.entries = entries


def divided(entry: Entry) -> list[Entry]:
    """``a / b``."""
    a, b = entry.args[:2]
    plain = len(entry.args) == 2 and not entry.kwargs and isinstance(a, Var) and isinstance(b, Var)
    return as_softmax(entry, a, b) if plain else []


def multiplied(entry: Entry) -> list[Entry]:
    """``a * (1 / b)``, in either order."""
    for a, r in (entry.args[:2], entry.args[1::-1]):
        if isinstance(a, Var) and isinstance(r, Var) and (b := under_one(r)) is not None:
            return as_softmax(entry, a, b)
    return []


def as_softmax(entry: Entry, a: Var, b: Var) -> list[Entry]:
    """The operations before one that is now a softmax: the logarithm of a constant factor, added."""
    over, (u, factor) = summed(b), exponent(a)
    if u is None or over is None or u.shape != entry.out().shape or u.dtype is not entry.out().dtype:
        return []
    twice = factor is None and (other := exponent(over[0], False)[0]) is not None and alike(other) is alike(u)
    if not (twice or alike(over[0]) is alike(a)) or not alongside(b, a, over[1]):
        return []
    before = [] if factor is None else weighed(u, torch.as_tensor(factor).detach())
    v = before[-1].out() if before else u
    entry.become(aten._softmax.default, "_softmax", (v, over[1], False), [v])
    return before


def weighed(u: Var, factor: Tensor) -> list[Entry]:
    """``u + log(factor)``: what has no weight is masked."""
    nothing, found = factor == 0, list[Entry]()
    plain = bool((nothing | (factor == 1)).all())
    steps: list[tuple[Any, str, tuple[Any, ...]]] = (
        [] if plain else [(aten.add.Tensor, "add", (torch.where(nothing, 1, factor).to(u.dtype).log(),))]
    )
    steps += [(aten.masked_fill.Scalar, "masked_fill", (nothing, -torch.inf))] if nothing.any() else []
    for call, name, rest in steps:
        entry = Entry(call, name, (u, *rest), {}, [u], TORCH)
        u = Var(u, entry, 0, u.kind)
        entry.outs = [u]
        found.append(entry)
    return found


def raised(entry: Entry) -> None:
    """``exp(log_softmax(u))`` and ``exp(u - logsumexp(u))``."""
    inner = entry.ins[0]
    source = alike(inner).entry
    if source is None or source.out().shape != entry.out().shape:
        return
    if source.name == "_log_softmax" and source.out().dtype is entry.out().dtype:
        entry.become(aten._softmax.default, "_softmax", (*source.args[:2], False), source.ins[:1])
    elif source.name == "sub" and not source.kwargs and all(isinstance(a, Var) for a in source.args[:2]):
        u, total = source.args[:2]
        over = narrowed(total).entry
        if over is None or over.name != "logsumexp" or alike(over.ins[0]) is not alike(u) or u.shape != entry.out().shape:
            return
        dim = only(over.args[1])
        if dim is not None and alongside(total, u, dim):
            entry.become(aten._softmax.default, "_softmax", (u, dim, False), [u])


def logged(entry: Entry) -> None:
    """``log(exp(u).sum(dim))`` and ``log(softmax(u))``."""
    inner = alike(entry.ins[0])
    source = inner.entry
    if source is None or inner.dtype is not entry.out().dtype:
        return
    if source.name == "_softmax" and source.args[0].dtype is inner.dtype:
        entry.become(aten._log_softmax.default, "_log_softmax", (*source.args[:2], False), source.ins[:1])
    elif source.name == "sum" and (over := summed(inner)) is not None and (u := exponent(over[0], False)[0]) is not None:
        entry.become(aten.logsumexp.default, "logsumexp", (u, [over[1]], source.arg(2, "keepdim", False)), [u])


READ: dict[str, Callable[[Entry], list[Entry] | None]] = {"div": divided, "mul": multiplied, "exp": raised, "log": logged}


def alike(v: Var) -> Var:
    """A value without copies of it in between."""
    while v.entry is not None and v.entry.op.same:
        v = v.entry.ins[0]
    return v


def narrowed(v: Var) -> Var:
    """A value before it was broadcast."""
    while v.entry is not None and (v.entry.op.same or v.entry.name in ("expand", "unsqueeze")):
        v = v.entry.ins[0]
    return v


def exponent(a: Var, scaled: bool = True) -> tuple[Var | None, Any]:
    """``u`` and ``c`` where ``a`` is ``c exp(u)``, with a constant ``c`` that is nowhere negative and broadcasts against ``u``."""
    entry = alike(a).entry
    if entry is None or entry.name not in ("exp", "mul") or len(entry.ins) != 1:
        return None, None
    if entry.name == "exp":
        return entry.ins[0], None
    (factor,) = [c for c in entry.args[:2] if not isinstance(c, Var)]
    u, inner = exponent(entry.ins[0], False)
    fits = scaled and u is not None and inner is None and u.shape == a.shape and bool((torch.as_tensor(factor) >= 0).all())
    return (u, factor) if fits else (None, None)


def summed(b: Var) -> tuple[Var, int] | None:
    """The value that is summed along one axis, and the axis."""
    entry = narrowed(b).entry
    if entry is None or entry.name != "sum" or entry.arg(3, "dtype") not in (None, b.dtype):
        return None
    dim = only(entry.arg(1, "dim"))
    return None if dim is None else (entry.ins[0], dim)


def only(dims: int | Sequence[int] | None) -> int | None:
    dims = [dims] if isinstance(dims, int) else dims
    return dims[0] if dims is not None and len(dims) == 1 else None


def alongside(total: Var, a: Var, dim: int) -> bool:
    """True if a sum along an axis broadcasts against the values that it is of."""
    rank = len(a.shape)
    axis, wanted = dim % rank, [1 if d == dim % rank else n for d, n in enumerate(a.shape)]
    before, steps = narrowed(total), []
    v = total
    while v is not before and v.entry is not None:
        steps.append(v.entry)
        v = v.entry.ins[0]
    shape = list(before.shape)
    for entry in reversed(steps):
        if entry.name == "unsqueeze":
            if entry.args[1] % (len(shape) + 1) != axis:
                return False
            shape.insert(axis, 1)
    return shape == wanted


def under_one(r: Var) -> Var | None:
    """``b`` where a value is ``1 / b``."""
    r = narrowed(r)
    entry = r.entry
    if entry is None:
        return None
    numbers = [a for a in entry.args[:2] if not isinstance(a, Var)]
    if entry.name == "mul" and len(entry.ins) == 1 and one(numbers):
        return under_one(entry.ins[0])
    power = entry.name == "pow" and isinstance(entry.args[0], Var) and numbers == [-1]
    over = entry.name == "div" and not isinstance(entry.args[0], Var) and one(numbers)
    return entry.ins[0] if entry.name == "reciprocal" or power or over else None


def one(numbers: list[Any]) -> bool:
    """True if the constant is 1."""
    if len(numbers) != 1:
        return False
    (c,) = numbers
    return bool((c == 1).all()) if isinstance(c, Tensor) else c == 1
