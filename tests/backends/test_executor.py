"""The executor against one point at a time: every way of running points together must give what single runs give.

The models below are made to break sharing and tiling: they look at their own row count, keep what was there before the cut,
mix records, or draw at random. The truth is a plain loop with a plain hook on the user's own batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes

Tensor = torch.Tensor
TIME, WIDE, STEPS = 4, 6, 5
ROWS = torch.randn(7, TIME, 3, generator=torch.Generator().manual_seed(3))
"""A background; from an unlucky one every token of a row is masked, and the model's own output is NaN."""


class Zoo(nn.Module):
    """Two layers around a cut, and a last part that is the trap: ``body(self, x, h)``, records on the first axis of both."""

    def __init__(self, body: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body = body
        self.first = nn.Linear(3, WIDE)
        self.cut = nn.Linear(WIDE, WIDE)
        self.flat = nn.Linear(TIME * WIDE, WIDE)
        self.attend = nn.MultiheadAttention(WIDE, 2, batch_first=True)
        self.lstm = nn.LSTM(WIDE, WIDE, batch_first=True)
        self.gru = nn.GRU(WIDE, WIDE)
        self.norm = nn.BatchNorm1d(WIDE)
        self.bare = nn.BatchNorm1d(WIDE, track_running_stats=False)
        self.mix = nn.Linear(WIDE, WIDE)
        self.last = nn.Linear(WIDE, 3)
        self.register_buffer("table", torch.linspace(-1, 1, 7 * WIDE).reshape(7, WIDE))

    def forward(self, x: Tensor) -> Tensor:
        before = torch.tanh(self.first(x))
        h = self.body(self, before, self.cut(before))
        return self.last(torch.tanh(h if h.ndim == 2 else h.mean(1)))


ZOO: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {}


def trap(body: Callable[[Any, Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor, Tensor], Tensor]:
    ZOO[body.__name__] = body
    return body


def attention_mask(x: Tensor) -> Tensor:
    return x[:, :, 0] > 0.6


@trap
def plain(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h


@trap
def skip(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.relu(h) + x


@trap
def skip_in_place(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    h += x
    return torch.relu(h)


@trap
def skip_into_old(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    old = x.clone()
    old += h
    return torch.relu(old)


@trap
def product(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.sigmoid(x) * h


@trap
def joined_channels(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.cat([x[..., :3], h[..., :3]], -1)


@trap
def joined_tokens(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.relu(torch.cat([x, h], 1))


@trap
def selected(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.where(x > 0, h, -h)


@trap
def filled(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h.masked_fill(x < 0, 0.5)


@trap
def filled_in_place(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    h[x < 0] = 0.25
    return h


@trap
def matrix_product(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.bmm(torch.bmm(h, x.transpose(1, 2)), x)


@trap
def cross_attention(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.attend(h, x, x, need_weights=False)[0]


@trap
def self_attention(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.attend(h, h, h)[0]


@trap
def masked_attention(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.attend(h, h, h, key_padding_mask=attention_mask(x), need_weights=False)[0]


@trap
def additive_mask(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    bias = attention_mask(x).float()[:, None, None, :] * -1e4
    q = h.reshape(len(h), TIME, 2, 3).transpose(1, 2)
    return F.scaled_dot_product_attention(q, q, q, attn_mask=bias).transpose(1, 2).reshape(len(h), TIME, WIDE)


@trap
def recurrent(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.lstm(h)[0][:, -1]


@trap
def recurrent_from_old_state(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    state = x[:, 0][None].contiguous()
    return m.lstm(h, (state, torch.zeros_like(state)))[1][0][-1]


@trap
def time_first(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.gru(h.transpose(0, 1))[0][-1]


@trap
def reshaped_by_old_count(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.flat(h.reshape(len(x), -1)[:, : TIME * WIDE])


@trap
def flattened(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.flat(h.flatten(1))


@trap
def tokens_as_rows(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.mix(h.reshape(-1, WIDE)).reshape(len(h), TIME, WIDE)


@trap
def last_token_by_old_count(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    at = (~attention_mask(x)).sum(1) - 1
    return h[torch.arange(len(x)), at]


@trap
def gathered(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    at = x.argmax(1)[:, None, :]
    return h.gather(1, at)[:, 0]


@trap
def scattered(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    at = x.argmax(1)[:, None, :]
    return h.scatter(1, at, torch.full_like(x[:, :1], 0.7))


@trap
def written_by_old_count(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    h = h * 2
    h[torch.arange(len(x)), 1] = 0.0
    return torch.tanh(h)


@trap
def loop_over_batch(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return torch.stack([torch.tanh(h[i]) * (1 + i) for i in range(len(x))])


@trap
def loop_into_new(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    out = h.new_zeros(len(h), WIDE)
    for i in range(len(x)):
        out[i] = h[i].sum(0)
    return out


@trap
def centred_over_batch(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h - h.mean(0)


@trap
def scaled_by_largest(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h / max(h.abs().max().item(), 0.1)


@trap
def records_attend(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    k = h.mean(1)
    return (k @ k.T).softmax(-1) @ k


@trap
def position_in_batch(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h * torch.linspace(0.5, 1.5, len(h)).reshape(-1, 1, 1)


@trap
def halves(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    middle = len(h) // 2
    return torch.cat([h[:middle] * 2, h[middle:] - 1])


@trap
def boolean_total(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h + 0.1 * h[attention_mask(x)].sum()


@trap
def batch_statistics(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.bare(h.mean(1)) if len(h) > 1 else h.mean(1)


@trap
def running_statistics(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return m.norm(h.transpose(1, 2)).mean(2)


@trap
def branch_on_values(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if h.mean() > 0.05 else h - 1


@trap
def neighbours(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h + 0.5 * h.roll(1, 0)


@trap
def sorted_over_batch(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h.sort(0).values


@trap
def activated_in_place(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return F.relu(h, inplace=True) * x


@trap
def table_lookup(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    return h + m.table[: h.shape[1]]


@trap
def buffer_of_a_fixed_size(m: Zoo, x: Tensor, h: Tensor) -> Tensor:
    buffer = torch.zeros(len(x), TIME, WIDE)
    buffer[:, 1:] = h[:, :-1]
    return buffer


def zoo(name: str) -> Zoo:
    torch.manual_seed(len(name))
    return Zoo(ZOO[name]).eval()


def one_at_a_time(model: Zoo, x: Tensor, layer: str, quantity: Callable[[Tensor], Tensor]) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Integrated gradients from zero at a layer ("" is the input), a point and a run at a time, on the whole batch."""
    kept: list[Tensor] = []
    place = model.get_submodule(layer) if layer else None
    with torch.no_grad():
        handle = place.register_forward_hook(lambda m, a, y: kept.append(y.clone())) if place is not None else None
        at_record = quantity(model(x)).numpy()
        if handle is not None:
            handle.remove()
    end = kept[0] if kept else x

    def run(value: Tensor) -> Tensor:
        if place is None:
            return quantity(model(value))
        handle = place.register_forward_hook(lambda m, a, y: value.clone())
        try:
            return quantity(model(x))
        finally:
            handle.remove()

    total = torch.zeros_like(end)
    for position, weight in zip(*quadrature_nodes("gauss-legendre", STEPS), strict=True):
        z = (end * position).requires_grad_()
        total += torch.autograd.grad(run(z).sum(), z)[0] * weight
    with torch.no_grad():
        at_start = run(torch.zeros_like(end)).numpy()
    return total * end, at_record, at_start


def same(got: Any, truth: Any, tolerance: float = 2e-5) -> None:
    got, truth = torch.as_tensor(got), torch.as_tensor(truth)
    assert got.shape == truth.shape
    assert torch.allclose(got.double(), truth.double(), rtol=0, atol=tolerance * float(truth.abs().max()) + 1e-7)


def same_gap(found: asc.Attribution, truth: Any) -> None:
    """Of what rounding leaves of the values and of the quantity: a gap that is nothing else has no digits of its own."""
    assert found.gap is not None
    size = float(found.values.flatten(1).abs().sum(1).max()) + float(np.abs(found.explained).max())
    np.testing.assert_allclose(found.gap.absolute, np.asarray(truth), rtol=0, atol=1e-5 * size + 1e-6)


@pytest.mark.filterwarnings("ignore:completeness")
@pytest.mark.parametrize(("records", "chunk"), [(1, None), (3, None), (3, 2), (3, 7)])
@pytest.mark.parametrize("layer", ["cut", ""])
@pytest.mark.parametrize("name", ZOO)
def test_a_line_is_one_point_after_the_other(name: str, layer: str, records: int, chunk: int | None) -> None:
    model, x = zoo(name), torch.randn(records, TIME, 3, generator=torch.Generator().manual_seed(7))
    truth, at_record, at_start = one_at_a_time(model, x, layer, lambda y: y[:, 1])
    at = asc.Cut(layer) if layer else asc.INPUT
    for _ in range(2):  # the second call goes by what the first has learnt
        found = asc.attribute(model, x, of=1, at=at, over=asc.Line(0.0, steps=STEPS, at=at), chunk=chunk)
        same(found.values, truth)
        same(found.explained, at_record)
        same_gap(found, truth.flatten(1).sum(1).double() - torch.as_tensor(at_record - at_start).double())


@pytest.mark.filterwarnings("ignore:completeness")
@pytest.mark.parametrize(("chunk", "first"), [(None, False), (None, True), (2, False), (2, True)])
def test_a_quantity_in_which_records_meet(chunk: int | None, first: bool) -> None:
    """The user's own function may look at all records; what was learnt with another quantity says nothing about it."""
    model, x = zoo("plain"), torch.randn(3, TIME, 3, generator=torch.Generator().manual_seed(7))

    def centred(y: Tensor) -> Tensor:
        return (y - y.mean(0))[:, 1] * y[:, 0]

    truth, at_record, _ = one_at_a_time(model, x, "", centred)
    if first:
        asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=STEPS), chunk=chunk)
    found = asc.attribute(model, x, of=centred, over=asc.Line(0.0, steps=STEPS), chunk=chunk)
    same(found.explained, at_record)
    same(found.values, truth)


@pytest.mark.parametrize("over", [asc.Gaussian(0.2, 12), asc.Uniform(0.2, 12), asc.Background(ROWS) * asc.Line(steps=5),
                                  asc.Gaussian(0.1, 4) * asc.Line(0.0, steps=3), asc.Line(0.0, steps=9, stepwise=True)])  # fmt: skip
@pytest.mark.parametrize("name", ["plain", "masked_attention", "last_token_by_old_count", "centred_over_batch"])
@pytest.mark.filterwarnings("ignore:completeness")
def test_chunks_change_nothing(name: str, over: object) -> None:
    x = torch.randn(3, TIME, 3, generator=torch.Generator().manual_seed(7))
    whole = asc.attribute(zoo(name), x, of=1, over=over, seed=5, chunk=1000)
    for chunk in (1, 2, 3, 4, 10, None):
        found = asc.attribute(zoo(name), x, of=1, over=over, seed=5, chunk=chunk)
        same(found.values, whole.values)
        same(found.explained, whole.explained)
        assert found.gap is not None or whole.gap is None
        if found.gap is not None:
            assert whole.gap is not None
            same_gap(found, whole.gap.absolute)


@pytest.mark.parametrize("name", ["plain", "skip", "masked_attention", "recurrent"])
def test_records_do_not_depend_on_their_neighbours(name: str) -> None:
    model, x = zoo(name), torch.randn(5, TIME, 3, generator=torch.Generator().manual_seed(7))
    for over in (None, asc.Line(0.0, steps=64), asc.Gaussian(0.2, 4)):
        together = asc.attribute(model, x, of=[0, 1, 2, 1, 0], over=over, seed=2)
        for i in range(5):
            alone = asc.attribute(model, x[i : i + 1], of=[[0, 1, 2, 1, 0][i]], over=over, seed=2)
            same(together.values[i : i + 1], alone.values)
