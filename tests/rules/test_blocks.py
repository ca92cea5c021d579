"""Large values are worked on block by block; no matter where the cuts fall, the numbers are those of one go."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
from ascribe.backends.torch.rules import attention, formulas, kernels
from tests.support.rescale_zoo import Fn, batch, net

DOUBLE = torch.float64
Tensor = torch.Tensor


def attended(shared: bool, causal: bool) -> nn.Module:
    """Six heads; with ``shared`` the keys and values of two serve three each."""

    def forward(x: Tensor) -> Tensor:
        h = x.flatten(1).reshape(len(x), 6, 8, 4)
        kv = h[:, :2] * 0.7 if shared else h.roll(1, 1) * 0.7
        return F.scaled_dot_product_attention(h, kv, kv.sin(), is_causal=causal, enable_gqa=shared).flatten(1)

    return Fn(forward)


MODELS = {
    "heads": lambda: attended(False, False),
    "heads, causal": lambda: attended(False, True),
    "heads that share": lambda: attended(True, False),
    "attention": lambda: net("attention"),
    "encoder layer": lambda: net("encoder layer"),
    "softmax": lambda: Fn(lambda x: x.flatten(2).softmax(-1).flatten(1).tanh()),
    "softmax across": lambda: Fn(lambda x: x.flatten(2).softmax(1).flatten(1)),
    "gelu": lambda: net("gelu"),
}


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("rule", [asc.rules.Rescale(), asc.rules.AttnLRP(), asc.rules.CPLRP()], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("name", MODELS)
def test_blocks_change_nothing(name, rule, block, monkeypatch):
    model, x = MODELS[name](), batch(3)
    ask = {"of": asc.quantities.Custom(lambda y: (y.flatten(1) ** 2).sum(1)), "by": rule}
    ask |= {"over": asc.Reference(batch(1, seed=7))} if rule.compares else {}
    expected = asc.attribute(model, x, **ask).values
    for module in (attention, formulas, kernels):
        monkeypatch.setattr(module, "BLOCK", block)
    found = asc.attribute(model, x, **ask).values
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
