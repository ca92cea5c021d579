"""Small networks of many kinds, randomly weighted and scaled up so that gaps are visible, for the tests of Rescale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Tensor = torch.Tensor


class Fn(nn.Module):
    """Layers by name, and the forward pass as a function of them and the input."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.fn = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x, **dict(self.layers.items()))


def convs(act: Callable[[Tensor], Tensor]) -> nn.Module:
    """Two convolutions with a residual step, overlapping max-pools, an average pool."""
    more = {"m": act} if isinstance(act, nn.Module) else {}

    def forward(x: Tensor, a: nn.Module, n: nn.Module, b: nn.Module, head: nn.Module, **_: nn.Module) -> Tensor:
        h = act(n(a(x)))
        h = F.max_pool2d(h, 3, 2, 1)
        h = h + act(b(h))
        return head(F.avg_pool2d(h, 2).flatten(1))

    return Fn(
        forward,
        a=nn.Conv2d(3, 6, 3, padding=1),
        n=nn.BatchNorm2d(6),
        b=nn.Conv2d(6, 6, 3, padding=1),
        head=nn.Linear(24, 4),
        **more,
    )


def by_hand(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def mlp(middle: Callable[[Tensor], Tensor], wide: int = 12, out: int = 12) -> nn.Module:
    """Something between two linear layers."""
    more = {"m": middle} if isinstance(middle, nn.Module) else {}
    return Fn(lambda x, a, b, **_: b(middle(a(x.flatten(1)))), a=nn.Linear(192, wide), b=nn.Linear(out, 4), **more)


def recurrent(kind: type[nn.RNNBase], **kwargs: Any) -> nn.Module:
    return Fn(
        lambda x, r, b: b(r(x.flatten(2).transpose(1, 2)[:, :7])[0][:, -1]),
        r=kind(3, 5, num_layers=2, bidirectional=True, batch_first=True, **kwargs),
        b=nn.Linear(10, 4),
    )


def packed(x: Tensor, r: nn.Module, b: nn.Module) -> Tensor:
    steps = x.flatten(2).transpose(1, 2)[:, :7]
    lengths = torch.tensor([7, 5, 3][: len(x)] + [2] * max(0, len(x) - 3))
    out = r(nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True))[0]
    return b(nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0].mean(1))


def attending(causal: bool) -> nn.Module:
    def forward(x: Tensor, a: nn.Module, m: nn.Module, b: nn.Module) -> Tensor:
        h = a(x.flatten(2).transpose(1, 2)[:, :9])
        mask = torch.ones(9, 9).triu(1).bool() if causal else None
        return b(m(h, h, h, attn_mask=mask)[0].mean(1))

    return Fn(forward, a=nn.Linear(3, 8), m=nn.MultiheadAttention(8, 2, batch_first=True), b=nn.Linear(8, 4))


def encoder(first: bool) -> nn.Module:
    return Fn(
        lambda x, a, m, b: b(m(a(x.flatten(2).transpose(1, 2)[:, :9])).mean(1)),
        a=nn.Linear(3, 8),
        m=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=first, activation="gelu"),
        b=nn.Linear(8, 4),
    )


def quotient(h: Tensor) -> Tensor:
    a, b = h.chunk(2, 1)
    return a / (1.5 + b.abs())


def softmax_by_hand(h: Tensor) -> Tensor:
    e = (h - h.amax(1, keepdim=True)).exp()
    return e / e.sum(1, keepdim=True)


def choosing(h: Tensor) -> Tensor:
    a, b = h.chunk(2, 1)
    return torch.where(a > b, a * 2, b) + torch.maximum(a, b) * torch.minimum(a, b - 0.3)


NETS: dict[str, Callable[[], nn.Module]] = {
    "relu module": lambda: convs(nn.ReLU()),
    "relu function": lambda: convs(F.relu),
    "relu in place": lambda: convs(lambda h: h.relu_()),
    "relu module in place": lambda: convs(nn.ReLU(inplace=True)),
    "leaky relu": lambda: convs(lambda h: F.leaky_relu(h, 0.1)),
    "relu by hand": lambda: convs(lambda h: torch.where(h > 0, h, torch.zeros_like(h))),
    "clamp": lambda: convs(lambda h: h.clamp(min=0)),
    "gelu": lambda: convs(F.gelu),
    "gelu by hand": lambda: convs(by_hand),
    "silu by hand": lambda: convs(lambda h: h * torch.sigmoid(h)),
    "elu": lambda: convs(F.elu),
    "tanh": lambda: convs(torch.tanh),
    "softplus": lambda: convs(F.softplus),
    "prelu": lambda: convs(nn.PReLU()),
    "hardswish": lambda: convs(F.hardswish),
    "logsigmoid": lambda: convs(F.logsigmoid),
    "layer norm": lambda: mlp(nn.LayerNorm(12)),
    "rms norm": lambda: mlp(nn.RMSNorm(12)),
    "rms norm by hand": lambda: mlp(lambda h: h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)),
    "layer norm by hand": lambda: mlp(lambda h: (h - h.mean(-1, keepdim=True)) / (h.var(-1, keepdim=True) + 1e-5).sqrt()),
    "std": lambda: mlp(lambda h: (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True)),
    "normalize": lambda: mlp(lambda h: F.normalize(h, dim=1)),
    "group norm": lambda: Fn(lambda x, a, n, b: b(n(a(x)).flatten(1)), a=nn.Conv2d(3, 4, 3), n=nn.GroupNorm(2, 4), b=nn.Linear(144, 4)),
    "instance norm": lambda: Fn(
        lambda x, a, n, b: b(n(a(x)).relu().flatten(1)), a=nn.Conv2d(3, 4, 3), n=nn.InstanceNorm2d(4), b=nn.Linear(144, 4)
    ),
    "softmax head": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(1)),
    "softmax by hand": lambda: mlp(softmax_by_hand),
    "log softmax": lambda: mlp(lambda h: h.log_softmax(1)),
    "logsumexp": lambda: mlp(lambda h: h + h.logsumexp(1, keepdim=True)),
    "glu": lambda: mlp(lambda h: F.glu(h, 1), out=6),
    "product": lambda: mlp(lambda h: h[:, :6] * h[:, 6:].tanh(), out=6),
    "matmul": lambda: mlp(lambda h: (h.view(-1, 3, 4) @ h.view(-1, 4, 3)).flatten(1), out=9),
    "quotient": lambda: mlp(quotient, out=6),
    "choosing": lambda: mlp(choosing, out=6),
    "centred": lambda: nn.Sequential(convs(nn.ReLU()), Fn(lambda y: y - y.mean(1, keepdim=True))),
    "sums over axes counted from the end": lambda: Fn(
        lambda x, a, b: b(a(x).sum((-1, -3)).tanh()), a=nn.Conv2d(3, 4, 3), b=nn.Linear(6, 4)
    ),
    "a column for all": lambda: mlp(lambda h: h[:, :1].tanh() * torch.linspace(0.5, 2.0, 12, dtype=h.dtype) + h),
    "amax": lambda: convs(lambda h: h - h.amax((2, 3), keepdim=True)),
    "max pool 1d": lambda: Fn(lambda x, a, b: b(F.max_pool1d(a(x.flatten(2)), 3, 2).flatten(1)), a=nn.Conv1d(3, 4, 3), b=nn.Linear(120, 4)),
    "adaptive max pool": lambda: Fn(lambda x, a, b: b(F.adaptive_max_pool2d(a(x), 3).flatten(1)), a=nn.Conv2d(3, 4, 3), b=nn.Linear(36, 4)),
    "writes into a part": lambda: mlp(written),
    "lstm": lambda: recurrent(nn.LSTM),
    "gru": lambda: recurrent(nn.GRU),
    "rnn": lambda: recurrent(nn.RNN),
    "packed lstm": lambda: Fn(packed, r=nn.LSTM(3, 5, batch_first=True, bidirectional=True), b=nn.Linear(10, 4)),
    "attention": lambda: attending(False),
    "causal attention": lambda: attending(True),
    "encoder layer": lambda: encoder(False),
    "encoder layer, norm first": lambda: encoder(True),
}


def written(h: Tensor) -> Tensor:
    """Views worked on in place, in several ways."""
    h = h.clone()
    h[:, 0].sigmoid_()
    h.t()[1].mul_(2.0)
    h[:, 2:5] += h[:, 5:8]
    flat = h.view(-1)
    flat.tanh_()
    return h


def net(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A network in evaluation mode, its parameters the same every time, its statistics not those of a fresh one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NETS[name]().eval()
        for p in model.parameters():
            p.data.mul_(1.5)
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_()  # type: ignore[union-attr, operator]
                m.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr, operator]
    return model.to(dtype)


def batch(records: int = 3, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """Records that every network of the zoo takes."""
    return torch.randn(records, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)
