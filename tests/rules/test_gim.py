"""GIM against autograd on a model rewritten by hand: detached scales, a surrogate softmax, halved gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError

Tensor = torch.Tensor
WIDE, HEADS, SHARED = 8, 4, 2


def less(x: Tensor, share: float) -> Tensor:
    """The same value, with so much of its gradient."""
    return x * share + (x * (1 - share)).detach()


class Block(nn.Module):
    """A transformer's layer: norm, attention with shared keys, norm, gated unit."""

    def __init__(self, kind: str, by_hand: float | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.kind, self.by_hand = kind, by_hand
        narrow = WIDE * SHARED // HEADS
        self.first, self.second = nn.RMSNorm(WIDE, eps=1e-5), nn.LayerNorm(WIDE)
        self.q, self.k, self.v = (nn.Linear(WIDE, n) for n in (WIDE, narrow, narrow))
        self.out, self.gate, self.up, self.down = (nn.Linear(WIDE, WIDE) for _ in range(4))
        self.head = nn.Linear(WIDE, 3)
        self.double()

    def norm(self, x: Tensor, norm: nn.RMSNorm | nn.LayerNorm) -> Tensor:
        if self.by_hand is None:
            return norm(x)
        c = x - x.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else x
        y = c / (c.square().mean(-1, keepdim=True) + norm.eps).sqrt().detach() * norm.weight
        return y + norm.bias if isinstance(norm, nn.LayerNorm) else y

    def softmax(self, z: Tensor) -> Tensor:
        if self.by_hand is None:
            return z.softmax(-1) if self.kind != "written out" else z.exp() / z.exp().sum(-1, keepdim=True)
        soft = (z / self.by_hand).softmax(-1) * self.by_hand  # its derivative is that of the softmax at the temperature, unscaled
        return (z.softmax(-1) - soft).detach() + soft

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(-1, (-1, WIDE // HEADS)).transpose(1, 2) for p in (self.q, self.k, self.v))
        if self.by_hand is not None:
            q, k, v = less(q, 0.25), less(k, 0.25), less(v, 0.5)
        steps = x.shape[1]
        if self.kind == "kernel":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            k, v = (t.repeat_interleave(HEADS // SHARED, 1) for t in (k, v))
            hidden = torch.ones(steps, steps, dtype=torch.bool).triu(1)
            y = self.softmax((q @ k.mT / (WIDE // HEADS) ** 0.5).masked_fill(hidden, -torch.inf)) @ v
        return self.out(y.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x, self.first))
        h = self.norm(x, self.second)
        gate, up = F.silu(self.gate(h)), self.up(h)
        if self.by_hand is not None:
            gate, up = less(gate, 0.5), less(up, 0.5)
        return self.head((x + self.down(gate * up))[:, -1])


@pytest.mark.parametrize("temperature", [2.0, 1.0, 3.5])
@pytest.mark.parametrize("kind", ["eager", "written out", "kernel"])
def test_the_same_as_autograd_on_the_rewritten_model(kind: str, temperature: float) -> None:
    x = torch.randn(3, 5, WIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(Block("eager", temperature)(z)[:, 2].sum(), z)
    found = asc.influence(Block(kind), x, of=2, by=asc.rules.GIM(temperature))
    assert torch.allclose(found.values, truth, rtol=0, atol=1e-12)
    assert next(c for c in found.checks if c.name == "rule").status == "ok"
    other = torch.full_like(x, 0.3)
    assert torch.allclose(asc.GIM(other, temperature)(Block(kind), x, of=2).values, truth * (x - other), rtol=0, atol=1e-12)


def test_activations_pass_on_their_derivative() -> None:
    x = torch.tensor([[0.5, -1.0, 2.0, 0.0]])
    for act in (torch.relu, torch.tanh, F.gelu, torch.sigmoid, lambda t: t * torch.sigmoid(t)):
        z = x.clone().requires_grad_()
        (truth,) = torch.autograd.grad(act(z).sum(), z)
        assert torch.allclose(
            asc.influence(lambda t, act=act: act(t).sum(1, keepdim=True), x, of=0, by=asc.rules.GIM()).values, truth, atol=1e-6
        )


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan"), "2", True])
def test_a_temperature_is_a_number_above_zero(temperature: object) -> None:
    with pytest.raises(RuleError, match="temperature"):
        asc.rules.GIM(temperature)  # type: ignore[arg-type]
