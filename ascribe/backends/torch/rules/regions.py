"""Element-wise regions: whatever is computed number by number from one value is one unary function of it.

``x * sigmoid(x)``, GELU written out, ``where(x > 0, x, a * (exp(x) - 1))``: no table of activations, every spelling of
one gives the same numbers. Linear steps in front (a bias, a scale) stay outside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice

import numpy as np
import torch

from .cache_blocks import at_once
from .tape import Entry, Tape, Tensor, Var, again, aten

POINTWISE = frozenset({"_prelu_kernel", "log_sigmoid_forward", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "threshold"})
"""Element-wise operations that are not tagged so."""

SUMS = frozenset(
    {"add", "sub", "rsub", "neg", "clone", "_to_copy", "detach", "alias", "lift_fresh", "positive", "masked_fill", "zeros_like"}
)
"""Element-wise operations that are linear in all their inputs together."""

SMOOTH = frozenset(
    {"sigmoid", "tanh", "gelu", "silu", "softplus", "mish", "erf", "exp", "sin", "cos", "log_sigmoid_forward"}
    | {"add", "sub", "mul", "neg", "rsub"}
)


FROM_ZERO = frozenset(
    {"relu", "silu", "gelu", "tanh", "erf", "mish", "leaky_relu", "hardswish", "elu", "selu", "celu", "_prelu_kernel", "sin", "mul"}
)
"""Element-wise operations that are zero at zero."""

RECTIFYING = frozenset({"guided", "deconvolution", "smooth"})
"""Treatments of rectifiers alone."""

BLOCK = 1 << 17
"""Numbers that a core works on at once."""


def pointwise(entry: Entry) -> bool:
    """Whether an operation works number by number and gives one result."""
    tagged = entry.call is not None and torch.Tag.pointwise in entry.call.tags
    alone = len(entry.outs) == 1 or entry.name == "log_sigmoid_forward"
    return alone and (tagged or entry.name in POINTWISE or entry.name in SUMS) and not any(v.dtype.is_complex for v in entry.ins)


def linear(entry: Entry) -> bool:
    """Whether an element-wise operation is linear in what is on the tape."""
    if entry.name in SUMS or (entry.name == "where" and not isinstance(entry.args[0], Var)):
        return True
    one = len(entry.ins) == 1
    return one and (entry.name == "mul" or (entry.name == "div" and isinstance(entry.args[0], Var) and len(entry.args) == 2))


def find(tape: Tape, apart: bool = False) -> None:
    """Give every value its root; with ``apart`` a rectifier is a region by itself, and what comes after it begins anew."""
    ends: set[Var] = set()
    for entry in tape.entries:
        if pointwise(entry):
            out = entry.out()
            place(out, entry.ins, linear(entry), ends)
            if apart and out.root is not out and rectifies(out):
                ends.add(out)


def place(out: Var, ins: list[Var], straight: bool, ends: Collection[Var] = ()) -> None:
    """The root of a new value: the nearest that all its inputs are element-wise functions of.

    What a linear step leads from is looked at where the inputs' own roots differ: ``a`` and ``2 a`` have ``a`` in common. Linear steps
    themselves stay outside, and those in ``ends`` are the root of what is made of them.
    """
    root = nearest([v if v in ends else v.root for v in ins])
    if root is None or root.shape != out.shape:
        return
    if straight and all(v.root is v or v in ends for v in ins):
        out.linear = root
    else:
        out.root = root


def nearest(roots: list[Var]) -> Var | None:
    """The first value that all lead to over linear steps, going back from the first of them."""
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


def derivative(top: Var, at: Tensor) -> Tensor:
    """The region's derivative at values of its root."""
    with torch.enable_grad():
        start = at.detach().requires_grad_()
        out = evaluated(top, start)
        if not out.requires_grad:
            return torch.zeros_like(at)
        return torch.autograd.grad(out.sum(), start)[0]


def secant(top: Var, refer: Callable[[Var], Tensor], g: Tensor) -> Tensor:
    """A cotangent times the region's average slope between the reference and the record.

    Large regions are gone through in blocks: half a dozen passes over a block cost less than one over what fits no cache.
    """
    entries = list(inside(top))
    ends = top.root.value, refer(top.root), top.value, refer(top)
    if len(entries) == 1 and entries[0].name == "relu":
        return in_blocks(times_rectified, g, *ends)

    def times_slope(out: Tensor, g: Tensor, *ends: Tensor) -> None:
        torch.mul(slope_between(top, entries, *ends), g, out=out)

    return in_blocks(times_slope, g, *ends, whole=not top.dtype.is_floating_point or with_tensors(entries))


def with_tensors(entries: list[Entry]) -> bool:
    """Whether constants go with places."""
    return any(isinstance(a, torch.Tensor) and a.numel() > 1 for e in entries for a in (*e.args, *e.kwargs.values()))


def in_blocks(fill: Callable[..., None], g: Tensor, *ends: Tensor, whole: bool = False) -> Tensor:
    """What ``fill`` makes of a cotangent and both ends."""
    size = at_once(g, BLOCK)
    lines = as_lines(g, *ends) if not whole and g.numel() > size else None
    back = torch.empty_like(g, dtype=torch.result_type(g, ends[0]))
    if lines is None or not back.is_contiguous():
        fill(back, g, *ends)
        return back
    wide = max(1, size // len(g))
    for part in zip(*(t.split(wide, 1) for t in (back.view(len(g), -1), *lines)), strict=True):
        fill(*part)
    return back


def times_rectified(out: Tensor, g: Tensor, x: Tensor, x0: Tensor, y: Tensor, y0: Tensor) -> None:
    """The cotangent times the slope of ``max(x, 0)``. It rounds well: a difference is that of the ends, 0, or one of them.

    One check finds out whether the ends meet anywhere, where the derivative takes the slope's place.
    """
    torch.sub(y, y0, out=out).div_(x - x0).mul_(g)
    if out.sum().isnan():
        torch.where(out.isnan(), g * (x > 0), out, out=out)


def as_lines(*parts: Tensor) -> list[Tensor] | None:
    """Each as a matrix with its first axis left as it is; None where that takes a copy, or they do not match."""
    inner = parts[0].shape[1:]
    if any(t.shape[1:] != inner or not t.is_contiguous() or not t.dim() for t in parts):
        return None
    return [t.view(len(t), -1) for t in parts]


def slope_between(top: Var, entries: list[Entry], x: Tensor, x0: Tensor, y: Tensor, y0: Tensor) -> Tensor:
    """The average slope between ``x0`` and ``x``, where the region is ``y0`` and ``y``.

    Where the two meet a difference quotient is rounding noise, and the derivative half way takes its place: for smooth regions
    within the cube root of the type's precision, where both are equally good, for those with kinks within rounding.
    """
    if not y.is_floating_point():
        return step_secant(x - x0, y, y0)
    d = x - x0
    m = (y - y0).div_(d)
    eps = torch.finfo(d.dtype).eps
    smooth = all(e.name in SMOOTH for e in entries)
    near = places(d.abs() < eps ** (1 / 3) if smooth else d.abs() <= x.abs().mul_(64 * eps))
    if not len(near):
        return settled(m, y, y0)
    if with_tensors(entries):
        slopes = derivative(top, x - d / 2).reshape(-1)[near]
    else:
        slopes = derivative(top, x.expand(d.shape).reshape(-1)[near] - d.reshape(-1)[near] / 2)
    m = m.contiguous()
    m.view(-1)[near] = slopes
    return settled(m, y, y0)


def settled(m: Tensor, y: Tensor, y0: Tensor) -> Tensor:
    """Slopes, and none where a region is at the same infinity at both ends: masked scores."""
    return torch.where(m.isnan() & (y == y0), 0.0, m) if m.sum().isnan() else m


def places(mask: Tensor) -> Tensor:
    """Flat positions where a mask holds. NumPy finds them in a tenth of the time on a processor."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.reshape(-1).nonzero()[:, 0]


def slope(top: Var, refer: Callable[[Var], Tensor], treatment: str, g: Tensor, beta: float = 0.0) -> tuple[Tensor, bool]:
    """What a region makes of a cotangent under a treatment, and whether it is a rectifier.

    ``"secant"`` is between reference and record, ``"zero"`` between zero and the record: ``f(x) / x``, where ``f(0)`` is 0;
    ``"smooth"`` takes a rectifier for a softplus of this ``beta``.
    """
    if treatment == "secant":
        return secant(top, refer, g), False
    x = top.root.value
    if treatment == "derivative":
        return (positive(g, x) if [e.name for e in islice(inside(top), 2)] == ["relu"] else derivative(top, x) * g), False
    if treatment == "zero":
        entries = list(islice(inside(top), 2))
        if len(entries) == 1 and entries[0].name == "relu":
            return positive(g, x), False
        direct = from_zero(top, entries)
        if direct is not None:
            return direct.mul_(g), False
        zero = {top.root: torch.zeros_like(x[:1]) if x.dim() else torch.zeros_like(x)}
        zero[top] = evaluated(top, torch.zeros_like(x))
        return secant(top, lambda v: zero[v], g), False
    if rectifies(top):
        if treatment == "smooth":
            return (x * beta).sigmoid_().mul_(g), True
        if treatment == "guided":  # in this order one buffer does, and no number is another
            return positive(g, x).clamp_(min=0), True
        return g.clamp(min=0), True
    return derivative(top, x) * g, False


def positive(g: Tensor, x: Tensor) -> Tensor:
    """A cotangent where a rectifier is active, in one pass."""
    found: Tensor = aten.threshold_backward(g.to(x.dtype), x, 0)
    return found


def from_zero(top: Var, entries: list[Entry]) -> Tensor | None:
    """``f(x) / x`` of a single operation that is zero at zero and rounds well near it, its derivative at zero; None for others."""
    x = top.root.value
    if len(entries) > 1 or entries[0].name not in FROM_ZERO or entries[0].name == "mul":
        return None
    if entries[0].name == "silu":
        return x.sigmoid()
    m = top.value / x
    return torch.where(x == 0, derivative(top, torch.zeros_like(x)), m) if m.sum().isnan() else m


def rectifies(top: Var) -> bool:
    """Whether a region is ``max(x, 0)``: on the values that there are, and zero on negative ones."""
    x, y, entries = top.root.value, top.value, list(islice(inside(top), 2))
    if len(entries) == 1 and entries[0].name == "relu":
        return True
    if not y.is_floating_point() or not torch.equal(y, x.clamp(min=0)):
        return False
    return not evaluated(top, -1 - x.abs()).any()


def evaluated(top: Var, at: Tensor) -> Tensor:
    """The region's value at values of its root."""
    memo: dict[Var, Tensor] = {top.root: at}

    def value(var: Var) -> Tensor:
        if var not in memo:
            assert var.entry is not None
            memo[var] = again(var.entry, value)[var.slot]
        return memo[var]

    return value(top)


def step_secant(d: Tensor, y: Tensor, y0: Tensor) -> Tensor:
    """The slope of something that is true or false; none where nothing moves."""
    change = y.to(d.dtype) - y0.to(d.dtype)
    return torch.where(d == 0, 0.0, change / torch.where(d == 0, 1.0, d))
