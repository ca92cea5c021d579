"""Norms and softmax written out give the numbers of the operation that PyTorch has for them, under every rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc

Tensor = torch.Tensor
WIDE, EPS = 6, 1e-3
GENERATOR = torch.Generator().manual_seed(3)
W = torch.rand(WIDE, dtype=torch.float64, generator=GENERATOR) + 0.5
B = torch.randn(WIDE, dtype=torch.float64, generator=GENERATOR)
KEPT = torch.tensor([True, True, False, True, True, False])


def centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def spread(x: Tensor) -> Tensor:
    return x.var(-1, keepdim=True, unbiased=False) + EPS


def power(x: Tensor) -> Tensor:
    return x.pow(2).mean(-1, keepdim=True) + EPS


def long(x: Tensor) -> Tensor:
    return x.norm(dim=-1, keepdim=True)


def shared(e: Tensor) -> Tensor:
    return e / e.sum(-1, keepdim=True)


def by_moments(x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, -1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + EPS) * W + B


def folded(x: Tensor) -> Tensor:
    r, mean = spread(x).rsqrt(), x.mean(-1, keepdim=True)
    return x * (r * W) + (B - mean * (r * W))


def shifted_sum(x: Tensor) -> Tensor:
    top = x.amax(-1, keepdim=True)
    return top + (x - top).exp().sum(-1, keepdim=True).log()


def grouped(x: Tensor, groups: int) -> Tensor:
    parts = x.view(len(x), groups, -1)
    c = parts - parts.mean(-1, keepdim=True)
    return (c / torch.sqrt((c * c).mean(-1, keepdim=True) + EPS)).view(x.shape)


def series(x: Tensor) -> Tensor:
    """``[records, 2 channels, 3 places]``."""
    return x.view(len(x), 2, 3)


Spellings = dict[str, Callable[[Tensor], Tensor]]
FAMILIES: dict[str, tuple[Callable[[Tensor], Tensor], Spellings]] = {
    "layer norm": (
        lambda x: F.layer_norm(x, (WIDE,), W, B, EPS),
        {
            "rsqrt": lambda x: centred(x) * spread(x).rsqrt() * W + B,
            "scale first": lambda x: centred(x) * (spread(x).rsqrt() * W) + B,
            "scale first, on the left": lambda x: (W * spread(x).rsqrt()) * centred(x) + B,
            "scale on the value": lambda x: (centred(x) * W) * spread(x).rsqrt() + B,
            "sqrt": lambda x: centred(x) / spread(x).sqrt() * W + B,
            "one over sqrt": lambda x: centred(x) * (1 / spread(x).sqrt()) * W + B,
            "reciprocal": lambda x: centred(x) * spread(x).sqrt().reciprocal() * W + B,
            "power -0.5": lambda x: centred(x) * spread(x) ** -0.5 * W + B,
            "power 0.5": lambda x: centred(x) / spread(x) ** 0.5 * W + B,
            "exp and log": lambda x: centred(x) * torch.exp(-0.5 * torch.log(spread(x))) * W + B,
            "scale over root": lambda x: centred(x) * (W / spread(x).sqrt()) + B,
            "root over scale": lambda x: centred(x) / (spread(x).sqrt() / W) + B,
            "var_mean": by_moments,
            "mean of squares": lambda x: centred(x) / power(centred(x)).sqrt() * W + B,
            "a value times itself": lambda x: centred(x) / ((centred(x) * centred(x)).sum(-1, keepdim=True) / WIDE + EPS).sqrt() * W + B,
            "bias folded": folded,
            "addcmul": lambda x: torch.addcmul(B, centred(x) * spread(x).rsqrt(), W),
        },
    ),
    "layer norm without a scale": (
        lambda x: F.layer_norm(x, (WIDE,), None, None, EPS),
        {"rsqrt": lambda x: centred(x) * spread(x).rsqrt(), "sqrt": lambda x: centred(x) / spread(x).sqrt()},
    ),
    "rms norm": (
        lambda x: F.rms_norm(x, (WIDE,), W, EPS),
        {
            "rsqrt": lambda x: W * (x * power(x).rsqrt()),
            "scale first": lambda x: x * (power(x).rsqrt() * W),
            "signs turned twice": lambda x: (-x) * (-power(x).rsqrt() * W),
            "sqrt": lambda x: x / ((x * x).mean(-1, keepdim=True) + EPS).sqrt() * W,
            "length": lambda x: x / (long(x) ** 2 / WIDE + EPS).sqrt() * W,
            "square and power": lambda x: x * torch.pow(x.square().mean(-1, keepdim=True) + EPS, -0.5) * W,
            "einsum": lambda x: x * torch.rsqrt(torch.einsum("nd,nd->n", x, x)[:, None] / WIDE + EPS) * W,
            "casts": lambda x: W * (x.to(torch.float64) * power(x.to(torch.float64)).rsqrt()).to(x.dtype),
        },
    ),
    "group norm": (
        lambda x: F.group_norm(x, 2, W, B, EPS),
        {
            "by hand": lambda x: grouped(x, 2) * W + B,
            "as layer norm of the groups": lambda x: F.layer_norm(x.view(len(x), 2, 3), (3,), None, None, EPS).view(x.shape) * W + B,
        },
    ),
    "instance norm": (
        lambda x: F.instance_norm(series(x), eps=EPS).flatten(1) * W + B,
        {
            "by hand": lambda x: grouped(x, 2) * W + B,
            "rsqrt": lambda x: (centred(series(x)) * spread(series(x)).rsqrt()).flatten(1) * W + B,
        },
    ),
    "length one": (
        lambda x: F.normalize(x, dim=-1) * W,
        {
            "norm": lambda x: x / long(x) * W,
            "linalg": lambda x: x / torch.linalg.vector_norm(x, dim=-1, keepdim=True) * W,
            "rsqrt": lambda x: x * x.pow(2).sum(-1, keepdim=True).rsqrt() * W,
            "sqrt": lambda x: x / x.pow(2).sum(-1, keepdim=True).sqrt() * W,
            "scale over length": lambda x: x * (W / long(x)),
            "one over length": lambda x: x * long(x).reciprocal() * W,
        },
    ),
    "deviation one": (
        lambda x: centred(x) / (x.std(-1, keepdim=True) + EPS) * W + B,
        {
            "one over": lambda x: centred(x) * (1 / (x.std(-1, keepdim=True) + EPS)) * W + B,
            "scale first": lambda x: centred(x) * (W / (x.std(-1, keepdim=True) + EPS)) + B,
            "std_mean": lambda x: (x - torch.std_mean(x, -1, keepdim=True)[1]) / (torch.std_mean(x, -1, keepdim=True)[0] + EPS) * W + B,
        },
    ),
    "softmax": (
        lambda x: F.softmax(x, -1) * W,
        {
            "exp over sum": lambda x: shared(x.exp()) * W,
            "largest taken off": lambda x: shared((x - x.max(-1, keepdim=True).values).exp()) * W,
            "largest, detached": lambda x: shared((x - x.amax(-1, keepdim=True).detach()).exp()) * W,
            "reciprocal": lambda x: x.exp() * x.exp().sum(-1, keepdim=True).reciprocal() * W,
            "one over the sum": lambda x: (lambda e: e * (1 / e.sum(-1, keepdim=True)))(x.exp()) * W,
            "unsqueezed": lambda x: (lambda e: e / e.sum(-1).unsqueeze(-1))(x.exp()) * W,
            "expanded": lambda x: (lambda e: e / e.sum(-1, keepdim=True).expand_as(e))(x.exp()) * W,
            "in place": lambda x: (lambda e: e.div_(e.sum(-1, keepdim=True)))((x * 1).exp_()) * W,
            "logsumexp": lambda x: (x - x.logsumexp(-1, keepdim=True)).exp() * W,
            "log of the sum": lambda x: (x - x.exp().sum(-1, keepdim=True).log()).exp() * W,
            "log_softmax": lambda x: F.log_softmax(x, -1).exp() * W,
            "2d": lambda x: nn.Softmax2d()(x[:, :, None, None])[:, :, 0, 0] * W,
            "softmin": lambda x: F.softmin(-x, -1) * W,
        },
    ),
    "softmax as a factor": (
        lambda x: F.softmax(x, -1) * x.roll(1, -1),
        {"exp over sum": lambda x: shared(x.exp()) * x.roll(1, -1), "log_softmax": lambda x: F.log_softmax(x, -1).exp() * x.roll(1, -1)},
    ),
    "softmax with a temperature": (
        lambda x: F.softmax(x / 0.7, -1) * W,
        {"exp over sum": lambda x: shared((x / 0.7).exp()) * W,
            "largest taken off": lambda x: shared(((x - x.amax(-1, keepdim=True)) / 0.7).exp()) * W},
    ),
    "masked softmax": (
        lambda x: F.softmax(x.masked_fill(~KEPT, -torch.inf), -1) * W,
        {
            "exp over sum": lambda x: shared(x.masked_fill(~KEPT, -torch.inf).exp()) * W,
            "a factor of zero": lambda x: shared(x.exp() * KEPT) * W,
            "a number added": lambda x: shared((x + torch.where(KEPT, 0.0, -torch.inf)).exp()) * W,
            "where": lambda x: shared(torch.where(KEPT, x, -torch.inf).exp()) * W,
        },
    ),
    "log_softmax": (
        lambda x: F.log_softmax(x, -1) * W,
        {
            "log of softmax": lambda x: F.softmax(x, -1).log() * W,
            "log of a softmax by hand": lambda x: shared(x.exp()).log() * W,
            "logsumexp": lambda x: (x - x.logsumexp(-1, keepdim=True)) * W,
        },
    ),
    "logsumexp": (
        lambda x: x.logsumexp(-1, keepdim=True) * W,
        {
            "log of the sum": lambda x: x.exp().sum(-1, keepdim=True).log() * W,
            "largest taken off": lambda x: shifted_sum(x) * W,
            "without the axis": lambda x: x.exp().sum(-1).log().unsqueeze(-1) * W,
        },
    ),
}  # fmt: skip
RULES: dict[str, Any] = {
    "rescale": asc.rules.Rescale(),
    "attn-lrp": asc.rules.AttnLRP(),
    "cp-lrp": asc.rules.CPLRP(),
    "libra": asc.rules.Libra(),
    "epsilon": asc.rules.Epsilon(1e-12),
    "lstm-lrp": asc.rules.LstmLRP(1e-12),
}
CASES = [(family, name) for family, (_, spellings) in FAMILIES.items() for name in spellings]


def explained(how: Callable[[Tensor], Tensor], rule: Any, verb: Any = asc.influence) -> asc.Attribution:
    torch.manual_seed(5)
    first, last = (nn.Linear(a, b, dtype=torch.float64) for a, b in ((5, WIDE), (WIDE, 2)))
    x, x0 = torch.randn(3, 5, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)
    over = asc.Reference(x0) if rule.compares else None
    return verb(lambda z: last(how(first(z))), x, of=1, over=over, by=rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_spelling_gives_the_same_numbers(family: str, name: str, rule: str) -> None:
    fused, spellings = FAMILIES[family]
    if (family, rule) == ("log_softmax", "epsilon") or (family, rule) == ("log_softmax", "lstm-lrp"):
        pytest.skip("a difference of two values shares relevance as a sum does")
    truth, found = (explained(how, RULES[rule]) for how in (fused, spellings[name]))
    assert torch.allclose(found.values, truth.values, rtol=0, atol=1e-8 * float(truth.values.abs().max()))
    assert next(c for c in found.checks if c.name == "rule").status == "ok"


@pytest.mark.parametrize("rule", [asc.rules.Rescale(), asc.rules.RevealCancel()], ids=["rescale", "reveal-cancel"])
@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_spelling_adds_up(family: str, name: str, rule: Any) -> None:
    found = explained(FAMILIES[family][1][name], rule, asc.attribute)
    assert found.gap is not None
    assert abs(found.gap.absolute).max() < 1e-9


def test_a_zero_in_the_scale_is_no_quotient() -> None:
    scale = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    first, second = (
        explained(how, asc.rules.Rescale()).values
        for how in (lambda x: x * power(x).rsqrt() * scale, lambda x: x * (power(x).rsqrt() * scale))
    )
    assert torch.allclose(first, second, rtol=0, atol=1e-12)


def test_a_sum_over_another_axis_is_no_softmax() -> None:
    """``exp(x) / exp(x).sum(1)`` of square matrices, broadcast along the wrong axis."""

    def wrong(x: Tensor) -> Tensor:
        e = x.view(len(x), 2, 3)[..., :2].exp()
        return (e / e.sum(-1).unsqueeze(-2)).flatten(1)

    torch.manual_seed(0)
    x, x0 = torch.randn(3, 6, dtype=torch.float64), torch.randn(1, 6, dtype=torch.float64)
    found = asc.attribute(wrong, x, of=1, over=asc.Reference(x0), by=asc.rules.Rescale())
    assert torch.allclose(found.values.sum(1), (wrong(x) - wrong(x0))[:, 1], rtol=0, atol=1e-12)
