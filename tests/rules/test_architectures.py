"""Architectures of odd spelling: DeepLIFT adds up in all of them, or names why not; rules leave no model behind."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc

Tensor = torch.Tensor


class Net(nn.Module):
    """A forward function and its parts."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor], parts: dict[str, Any]) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, nn.Linear(*part) if isinstance(part, tuple) else part)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def mamba(s: Any, x: Tensor) -> Tensor:
    h = s.i(x)
    a = torch.exp(-F.softplus(s.dt(h)))
    y = torch.zeros_like(h[:, 0])
    out = []
    for t in range(h.shape[1]):
        y = a[:, t] * y + (1 - a[:, t]) * h[:, t]
        out.append(y * F.silu(s.z(h[:, t])))
    return s.o(torch.stack(out, 1).mean(1))


def assoc(s: Any, x: Tensor) -> Tensor:
    h = s.i(x)
    la = -F.softplus(s.dt(h))
    c = la.cumsum(1)
    y = torch.exp(c) * torch.cumsum(torch.exp(-c) * h, 1)
    return s.o(y.mean(1))


def crf(s: Any, x: Tensor) -> Tensor:
    e = s.i(x)
    a = e[:, 0]
    for t in range(1, e.shape[1]):
        a = torch.logsumexp(a[:, :, None] + s.tr[None], 1) + e[:, t]
    return torch.stack([torch.logsumexp(a, 1), a[:, 0]], 1)


def alibi(s: Any, x: Tensor) -> Tensor:
    q, k, v = s.q(x), s.k(x), s.v(x)
    n = x.shape[1]
    b = -(torch.arange(n)[:, None] - torch.arange(n)).abs().to(x) * 0.5
    return s.o(((q @ k.mT / 2 + b).softmax(-1) @ v).mean(1))


def cosatt(s: Any, x: Tensor) -> Tensor:
    q, k, v = F.normalize(s.q(x), dim=-1), F.normalize(s.k(x), dim=-1), s.v(x)
    return s.o(((q @ k.mT * s.t.exp()).softmax(-1) @ v).mean(1))


def linatt(s: Any, x: Tensor) -> Tensor:
    q, k, v = F.elu(s.q(x)) + 1, F.elu(s.k(x)) + 1, s.v(x)
    kv = k.mT @ v
    z = 1 / (q @ k.sum(1)[..., None])
    return s.o((q @ kv * z).mean(1))


def fnet(s: Any, x: Tensor) -> Tensor:
    return s.o(s.n(x + torch.fft.fft2(x).real).relu().mean(1))


def stn(s: Any, x: Tensor) -> Tensor:
    im = s.i(x.flatten(1)).view(-1, 1, 4, 4)
    th = torch.eye(2, 3).to(x) + 0.1 * s.t(x.flatten(1)).view(-1, 2, 3)
    return s.p(F.grid_sample(im, F.affine_grid(th, im.shape, align_corners=False), align_corners=False).flatten(1))


def kan(s: Any, x: Tensor) -> Tensor:
    h = x.flatten(1)[:, :6]
    B = torch.exp(-((h[..., None] - torch.linspace(-2, 2, 5).to(x)) ** 2))
    return torch.einsum("nik,iko->no", B, s.c) + s.b(F.silu(h))


def moe(s: Any, x: Tensor) -> Tensor:
    h = x.flatten(1)
    p = s.g(h).softmax(-1)
    w, i = p.topk(2)
    w = w / w.sum(-1, keepdim=True)
    e = torch.stack([m(h) for m in s.e], 1)
    return (e.gather(1, i[..., None].expand(-1, -1, 2)) * w[..., None]).sum(1)


def moe_soft(s: Any, x: Tensor) -> Tensor:
    h = x.flatten(1)
    p = s.g(h).softmax(-1)
    t = p.topk(2).values[:, -1:]
    w = torch.where(p >= t, p, 0.0)
    w = w / w.sum(-1, keepdim=True)
    return (torch.stack([m(h) for m in s.e], 1) * w[..., None]).sum(1)


def knn(s: Any, x: Tensor) -> Tensor:
    h = s.i(x)
    d = torch.cdist(h, h)
    i = d.topk(3, largest=False).indices
    return s.o(h[torch.arange(len(h))[:, None, None], i].max(2).values.mean(1))


def rbf(s: Any, x: Tensor) -> Tensor:
    return s.o(torch.exp(-(torch.cdist(s.i(x).mean(1), s.pr) ** 2)))


def proto(s: Any, x: Tensor) -> Tensor:
    return -torch.cdist(s.i(x).mean(1), s.pr)


def prod(s: Any, x: Tensor) -> Tensor:
    return s.o(torch.prod(s.i(x).sigmoid() + 0.5, 1))


def hyper(s: Any, x: Tensor) -> Tensor:
    w = s.w(x.mean(1)).view(-1, 4, 2)
    return torch.einsum("nd,ndo->no", s.i(x).mean(1), w)


def neural_ode(s: Any, x: Tensor) -> Tensor:
    h = s.i(x).mean(1)
    for _ in range(3):
        k1 = s.f1(h).tanh()
        k2 = s.f1(h + 0.05 * k1).tanh()
        h = h + 0.1 * k2
    return s.o(h)


def vq(s: Any, x: Tensor) -> Tensor:
    h = s.i(x).mean(1)
    return s.o(h + 0.1 * torch.sigmoid(h) * h.std(1, keepdim=True))


def linalg(s: Any, x: Tensor) -> Tensor:
    h = s.i(x)
    A = h.mT @ h + torch.eye(4).to(x)
    return s.o(torch.linalg.solve(A, h.mean(1)[..., None])[..., 0])


def swiglu(s: Any, x: Tensor) -> Tensor:
    a, b = s.i2(x).chunk(2, -1)
    return s.o((F.silu(a) * b).mean(1))


def reglu(s: Any, x: Tensor) -> Tensor:
    return s.o(F.glu(s.i2(x), -1).mean(1))


def experts() -> dict[str, Any]:
    return {"g": (15, 4), "e": nn.ModuleList(nn.Linear(15, 2) for _ in range(4))}


def free(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape))


ENDS = {"i": (3, 4), "o": (4, 2)}
HEADS = {"q": (3, 4), "k": (3, 4), "v": (3, 4), "o": (4, 2)}
EXACT: dict[str, tuple[Callable[[Any, Tensor], Tensor], Callable[[], dict[str, Any]]]] = {
    "selective scan": (mamba, lambda: {**ENDS, "dt": (4, 4), "z": (4, 4)}),
    "scan by cumulative sums": (assoc, lambda: {**ENDS, "dt": (4, 4)}),
    "forward algorithm of a CRF": (crf, lambda: {"i": (3, 4), "tr": free(4, 4)}),
    "attention with ALiBi": (alibi, lambda: HEADS),
    "cosine attention": (cosatt, lambda: {**HEADS, "t": free(1)}),
    "linear attention": (linatt, lambda: HEADS),
    "Fourier mixing": (fnet, lambda: {"n": nn.LayerNorm(3), "o": (3, 2)}),
    "radial bases on edges (KAN)": (kan, lambda: {"c": free(6, 5, 2), "b": (6, 2)}),
    "experts above a threshold": (moe_soft, experts),
    "weights made from the input": (hyper, lambda: {"i": (3, 4), "w": (3, 8)}),
    "steps of an ODE": (neural_ode, lambda: {**ENDS, "f1": (4, 4)}),
    "a gate by deviation": (vq, lambda: ENDS),
    "SwiGLU": (swiglu, lambda: {"i2": (3, 8), "o": (4, 2)}),
    "GLU": (reglu, lambda: {"i2": (3, 8), "o": (4, 2)}),
}
NAMED: dict[str, tuple[Callable[[Any, Tensor], Tensor], Callable[[], dict[str, Any]], str]] = {
    "spatial transformer": (stn, lambda: {"i": (15, 16), "t": (15, 6), "p": (16, 2)}, "grid_sampler_2d"),
    "two of four experts": (moe, experts, "topk"),
    "nearest neighbours": (knn, lambda: ENDS, "topk"),
    "distances to bases": (rbf, lambda: {"i": (3, 4), "pr": free(3, 4), "o": (3, 2)}, "_cdist_forward"),
    "prototypes": (proto, lambda: {"i": (3, 4), "pr": free(3, 4)}, "_cdist_forward"),
    "a product along an axis": (prod, lambda: ENDS, "prod"),
    "a linear system": (linalg, lambda: ENDS, "_linalg_solve_ex"),
}


def made(run: Callable[[Any, Tensor], Tensor], parts: Callable[[], dict[str, Any]]) -> tuple[Net, Tensor, Tensor]:
    torch.manual_seed(0)
    return Net(run, parts()).eval(), torch.randn(3, 5, 3, dtype=torch.float64), torch.randn(1, 5, 3, dtype=torch.float64)


@pytest.mark.parametrize("by", [asc.rules.Rescale(), asc.rules.RevealCancel()], ids=repr)
@pytest.mark.parametrize("name", EXACT)
def test_adds_up_exactly(name: str, by: Any) -> None:
    model, x, x0 = made(*EXACT[name])
    found = asc.attribute(model, x, of=1, over=asc.Reference(x0), by=by)
    change = (model(x) - model(x0))[:, 1].detach()
    assert torch.allclose(found.values.sum((1, 2)), change, rtol=0, atol=1e-10)
    if isinstance(by, asc.rules.Rescale):
        assert next(c for c in found.checks if c.name == "rule").status == "ok"


@pytest.mark.filterwarnings("ignore:completeness")
@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_exact_is_named(name: str) -> None:
    run, parts, operation = NAMED[name]
    model, x, x0 = made(run, parts)
    check = next(c for c in asc.attribute(model, x, of=1, over=asc.Reference(x0), by=asc.rules.Rescale()).checks if c.name == "rule")
    assert check.status == "warn"
    assert operation in check.detail


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
@pytest.mark.parametrize(
    "by",
    [asc.rules.Epsilon(), asc.rules.CPLRP(), asc.rules.AttnLRP(), asc.rules.GIM(), asc.rules.Rescale(), asc.rules.RevealCancel()],
    ids=repr,
)
@pytest.mark.parametrize("name", [*EXACT, *NAMED])
def test_numbers_are_finite_and_the_model_is_let_go_of(name: str, by: Any) -> None:
    """At once, not when Python looks for circles."""
    model, x, x0 = made(*{**EXACT, **{n: row[:2] for n, row in NAMED.items()}}[name])
    model = copy.deepcopy(model)
    gone, over = weakref.ref(model), asc.Reference(x0) if by.compares else None
    gc.collect()
    gc.disable()
    try:
        found = asc.attribute(model, x, of=1, by=by, over=over).values
        del model
        assert gone() is None
    finally:
        gc.enable()
    assert found.isfinite().all()
