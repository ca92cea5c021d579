"""Every faster version of a neutral function gives its numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ascribe.backends.torch.rules.formulas import TORCH
from ascribe.backends.torch.rules.framework import var_of
from ascribe.tape import Entry, Var
from ascribe.tape.formulas import elementwise, norms, pooling, softmax
from ascribe.tape.kernels import Kernel

NEUTRAL = {k.name: k for module in (elementwise, norms, pooling, softmax) for k in vars(module).values() if isinstance(k, Kernel)}
aten = torch.ops.aten


def some(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def region(call: Any, name: str, x: Tensor) -> Var:
    """An element-wise function of one value."""
    start = var_of(x, None)
    start.held = x
    entry = Entry(call, name, (start,), {}, [start], TORCH)
    top = var_of(call(x), entry)
    top.held, top.root, entry.outs = call(x), start, [top]
    return top


def cases() -> dict[str, list[tuple[Any, ...]]]:
    x, x0, g = some(4, 5), some(4, 5).flip(0) + 1, some(4, 5).flip(1)
    meet = torch.where(x > 0.5, x, x0)
    lp, lq = x.log_softmax(-1), x0.log_softmax(-1)
    tops = [region(aten.gelu.default, "gelu", x), region(aten.relu.default, "relu", x), region(aten.tanh.default, "tanh", x)]

    def at(top: Var, start: Tensor) -> Any:
        assert top.entry is not None
        return {top: top.entry.call(start), top.root: start}.__getitem__

    return {
        "leibniz": [(x, x0, g, (-1,), 1e-5, centred) for centred in (True, False)],
        "divided": [(x, g, (-1,), 1e-5, centred) for centred in (True, False)],
        "logarithmic_mean": [(lp, lq), (lp, lp), (lp, lq.masked_fill(x > 0, -torch.inf)), (lp, lq, (lp.exp() + lq.exp()) / 2)],
        "centred": [(lp.exp(), g, -1), (lp.exp(), g, 0)],
        "change_share": [(x, x0), (x * 0, x * 0)],
        "active": [(g, x)],
        "secant": [(top, at(top, start), g) for top in tops for start in (x0, meet)],
        "slope_between": [(t, [t.entry], x, s, t.value, at(t, s)(t)) for t in tops for s in (x0, meet)],
    }


def test_every_kernel_is_compared() -> None:
    assert set(TORCH.kernels) == set(cases())
    assert set(TORCH.kernels) <= set(NEUTRAL)


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_kernel_gives_the_numbers_of_the_neutral_function(name: str) -> None:
    copies = [[a.clone() if isinstance(a, Tensor) else a for a in arguments] for arguments in cases()[name]]
    for arguments, own in zip(cases()[name], copies, strict=True):
        expected = NEUTRAL[name].neutral(TORCH, *arguments)
        torch.testing.assert_close(TORCH.kernels[name](TORCH, *own), expected, rtol=1e-10, atol=1e-12)
