"""Corrected gradients against the papers' sums, written out for small blocks; what they conserve; where they run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

import ascribe as asc
from ascribe.backends.torch.rules.storages import apart, layout
from ascribe.distributions.quadrature import quadrature_nodes
from ascribe.errors import RuleError
from tests.support.rescale_zoo import Fn

DOUBLE = torch.float64
Tensor = torch.Tensor
RULES = (asc.rules.AttnLRP(), asc.rules.CPLRP(), asc.rules.Libra(), asc.rules.LstmLRP(1e-12))


def seeded(make: Callable[[], nn.Module], scale: float = 1.5) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
        for p in model.parameters():
            p.data.mul_(scale)
    return model.to(DOUBLE)


def words(records: int = 2, steps: int = 5, wide: int = 6) -> Tensor:
    return torch.randn(records, steps, wide, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)


def relevance(model: nn.Module, x: Tensor, rule: object, **more: object) -> Tensor:
    return asc.attribute(model, x, by=rule, **{"of": 1, **more}).values


# ---- the papers' sums, relevance by relevance


def through_linear(x: Tensor, w: Tensor, r: Tensor) -> Tensor:
    """``R_i = sum_j x_i w_ji / z_j R_j`` with epsilon 0 and no bias."""
    z = x @ w.t()
    return torch.einsum("...i,ji,...j->...i", x, w, r / z)


def through_matrices(a: Tensor, b: Tensor, r: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A product of two matrices: contributions ``a_ik b_kj`` of ``y_ij``, each shared between its factors."""
    parts = torch.einsum("...ik,...kj,...ij->...ikj", a, b, r / (a @ b))
    return share * parts.sum(-1), (1 - share) * parts.sum(-3)


def through_softmax(s: Tensor, p: Tensor, r: Tensor) -> Tensor:
    """``R_i = s_i (R_i - p_i sum R)``: the Taylor expansion at the record (Achtibat et al. 2024, proposition 3.1)."""
    return s * (r - p * r.sum(-1, keepdim=True))


class Attention(nn.Module):
    """One head, every step written out or in one kernel."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 4, bias=False) for _ in range(3))
        self.o = nn.Linear(4, 3, bias=False)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.fused:
            return self.o(F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0])
        return self.o(((q @ k.transpose(1, 2) / 2.0).softmax(-1)) @ v)


def attention_by_hand(model: Attention, x: Tensor, r: Tensor, through_scores: bool) -> Tensor:
    q, k, v = (x @ m.weight.t() for m in (model.q, model.k, model.v))
    s = q @ k.transpose(1, 2) / 2.0
    p = s.softmax(-1)
    r = through_linear(p @ v, model.o.weight, r)
    r_p, r_v = through_matrices(p, v, r, 0.5 if through_scores else 0.0)
    found = through_linear(x, model.v.weight, r_v)
    if through_scores:
        r_q, r_k = through_matrices(q, k.transpose(1, 2), through_softmax(s, p, r_p), 0.5)
        found = found + through_linear(x, model.q.weight, r_q) + through_linear(x, model.k.weight, r_k.transpose(1, 2))
    return found


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("rule", "scores"), [(asc.rules.AttnLRP(), True), (asc.rules.CPLRP(), False), (asc.rules.Libra(), False)])
def test_attention_is_the_papers_sum(fused, rule, scores):
    model, x = seeded(lambda: Attention(fused)), words()
    y = model(x).detach()
    start = torch.zeros_like(y)
    start[:, -1, 1] = y[:, -1, 1]
    expected = attention_by_hand(model, x, start, scores).detach()
    found = relevance(model, x, rule, of=asc.Unit(4, 1))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


KINDS = [(4, 4, False, False), (4, 2, False, False), (4, 1, True, False), (2, 2, False, True)]


@pytest.mark.parametrize(("heads", "groups", "causal", "mask"), KINDS)
@pytest.mark.parametrize("rule", RULES[:3], ids=repr)
def test_fused_attention_is_what_it_stands_for(rule, heads, groups, causal, mask):
    """Heads that share keys, causal and given masks, a row that sees one step only."""
    q, k, v = (nn.Linear(6, n * 4, bias=False) for n in (heads, groups, groups))
    seen = torch.ones(5, 5, dtype=torch.bool)
    seen[0, 1:] = False
    seen[3, :2] = False

    def split(z: Tensor) -> Tensor:
        return z.unflatten(-1, (-1, 4)).transpose(1, 2)

    def forward(x: Tensor, fused: bool, q: nn.Module, k: nn.Module, v: nn.Module) -> Tensor:
        a, b, c = split(q(x)), split(k(x)), split(v(x))
        if fused:
            m = seen if mask else None
            return F.scaled_dot_product_attention(a, b, c, attn_mask=m, is_causal=causal, enable_gqa=heads != groups).flatten(1)
        b, c = (z.repeat_interleave(heads // groups, 1) for z in (b, c))
        s = a @ b.transpose(-1, -2) / 2
        hidden = seen.logical_not() if mask else torch.ones(5, 5).triu(1).bool() if causal else torch.zeros(5, 5).bool()
        return (s.masked_fill(hidden, -math.inf).softmax(-1) @ c).flatten(1)

    one, two = (seeded(lambda f=f: Fn(lambda x, **m: forward(x, f, **m), q=q, k=k, v=v), 1.0) for f in (True, False))
    torch.testing.assert_close(one(words()), two(words()))
    a, b = (relevance(m, words(), rule, of=7) for m in (one, two))
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def norm_by_hand(x: Tensor, r: Tensor, w: Tensor, centred: bool, eps: float) -> Tensor:
    """With its scale fixed a norm is linear: its matrix, and the sum for linear layers."""
    n = x.shape[-1]
    c = x - x.mean(-1, keepdim=True) if centred else x
    scale = (c.square().mean(-1, keepdim=True) + eps).sqrt()
    matrix = (torch.eye(n, dtype=DOUBLE) - 1 / n if centred else torch.eye(n, dtype=DOUBLE)) * w[:, None]
    parts = torch.einsum("bi,ji->bij", x, matrix) / scale[..., None]
    return (parts * (r / parts.sum(1))[:, None]).sum(-1)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_norms_pass_through_their_linear_part(rule, centred):
    model = seeded(lambda: nn.LayerNorm(6, bias=False) if centred else nn.RMSNorm(6, eps=1e-6))
    model.weight.data.copy_(torch.linspace(0.5, 2, 6))
    x = words()[:, 0]
    y = model(x).detach()
    start = torch.zeros_like(y)
    start[:, 1] = y[:, 1]
    expected = norm_by_hand(x, start + 1e-300, model.weight.detach(), centred, model.eps)
    torch.testing.assert_close(relevance(model, x, rule), expected, rtol=1e-8, atol=1e-10)


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "rsqrt": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "times a power": lambda x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6) ** -0.5,
    "over a root": lambda x: x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6),
    "times one over a root": lambda x: (1 / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()) * x,
    "through single casts": lambda x: (x.to(DOUBLE) * torch.rsqrt((x.to(DOUBLE) * x).mean(-1, keepdim=True) + 1e-6)).to(x.dtype),
    "a length": lambda x: x / (x.norm(dim=-1, keepdim=True).square() / 6 + 1e-6).sqrt(),
    "in place": lambda x: x.clone().mul_(torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_norms_are_the_same_in_every_spelling(rule, name):
    """Nothing goes to a scale that cannot pass it on."""
    spelt = seeded(lambda: Fn(lambda x, b: b(SPELLINGS[name](x)), b=nn.Linear(6, 3)))
    one = seeded(lambda: Fn(lambda x, n, b: b(n(x)), n=nn.RMSNorm(6, eps=1e-6, elementwise_affine=False), b=nn.Linear(6, 3)))
    one.load_state_dict(spelt.state_dict())
    x = words()[:, 0]
    torch.testing.assert_close(relevance(spelt, x, rule), relevance(one, x, rule), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_group_norm_conserves(rule):
    model = seeded(lambda: Fn(lambda x, a, n, b: b(n(a(x)).flatten(1)), a=nn.Conv1d(5, 4, 1, bias=False), n=nn.GroupNorm(2, 4),
                              b=nn.Linear(24, 3, bias=False)))  # fmt: skip
    model.layers["n"].bias.data.zero_()
    found = asc.attribute(model, words(), of=1, by=rule)
    torch.testing.assert_close(found.values.sum((1, 2)), torch.as_tensor(found.explained), rtol=1e-8, atol=1e-10)
    assert next(c for c in found.checks if c.name == "rule").status == "ok"


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "silu by hand": lambda z: z * torch.sigmoid(z),
    "quick gelu": lambda z: z * torch.sigmoid(1.702 * z),
    "gelu": F.gelu,
    "gelu by tanh": lambda z: F.gelu(z, approximate="tanh"),
    "gelu written out": lambda z: 0.5 * z * (1 + torch.tanh(0.7978845608 * (z + 0.044715 * z**3))),
    "relu": F.relu,
    "squared relu": lambda z: F.relu(z).square(),
    "elu": F.elu,
    "mish": lambda z: z * torch.tanh(F.softplus(z)),
    "softsign": lambda z: z / (1 + z.abs()),
    "hardswish": F.hardswish,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_activations_pass_on_what_they_get(rule, name):
    """``R_x = R_y``: one number in, one number out."""
    act = ACTIVATIONS[name]
    model = seeded(lambda: Fn(lambda x, b: b(act(x)), b=nn.Linear(6, 3, bias=False)))
    x = words()[:, 0]
    x[0, 0] = 0.0
    expected = act(x) * model.layers["b"].weight[1].detach()
    torch.testing.assert_close(relevance(model, x, rule), expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("act", ["silu", "gelu", "relu"])
@pytest.mark.parametrize(
    ("rule", "gate", "up"), [(asc.rules.AttnLRP(), 0.5, 0.5), (asc.rules.Libra(), 0.5, 0.5), (asc.rules.CPLRP(), 0.0, 1.0)]
)
def test_gated_units_share_as_the_papers_say(rule, gate, up, act):
    make = lambda: Fn(lambda x, a, b: ACTIVATIONS[act](a(x)) * b(x), a=nn.Linear(6, 3, bias=False), b=nn.Linear(6, 3, bias=False))  # noqa: E731
    model, x = seeded(make), words()[:, 0]
    y = model(x).detach()
    start = torch.zeros_like(y)
    start[:, 1] = y[:, 1]
    a, b = (model.layers[n].weight.detach() for n in "ab")
    expected = gate * through_linear(x, a, start) + up * through_linear(x, b, start)
    torch.testing.assert_close(relevance(model, x, rule), expected, rtol=1e-8, atol=1e-10)


GATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sigmoid": lambda a, b: torch.sigmoid(a) * b,
    "sigmoid, turned round": lambda a, b: (1 - torch.sigmoid(a)) * b,
    "exp": lambda a, b: b * torch.exp(-F.softplus(a)),
    "exp over more than its sum": lambda a, b: (a.exp() / (1 + a.exp().sum(1, keepdim=True))) * b,
    "glu": lambda a, b: F.glu(torch.cat([b, a], 1), 1),
    "one over something": lambda a, b: b / (1.5 + a.abs()),
    "a comparison": lambda a, b: (a > 0.1).to(b.dtype) * b,
    "addcmul": lambda a, b: torch.addcmul(torch.zeros_like(a), a.sigmoid(), b),
    "where": lambda a, b: torch.where(a > b, b * 2, b),
    "interpolation": lambda a, b: torch.lerp(b, 2 * b, a.sigmoid()),
}


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_what_is_not_zero_at_zero_is_a_gate(rule, name):
    """All to the signal, whatever the rule: the gate is a factor like a weight."""
    make = lambda: Fn(lambda x, a, b: GATES[name](a(x), b(x)), a=nn.Linear(6, 3, bias=False), b=nn.Linear(6, 3, bias=False))  # noqa: E731
    model, x = seeded(make), words()[:, 0]
    y = model(x).detach()
    start = torch.zeros_like(y)
    start[:, 1] = y[:, 1]
    torch.testing.assert_close(
        relevance(model, x, rule), through_linear(x, model.layers["b"].weight.detach(), start), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("rule", [asc.rules.CPLRP(), asc.rules.Libra()], ids=repr)
def test_a_probability_that_is_explained_has_a_gradient(rule):
    """A softmax that is no factor of anything is a function, not a weight: a classifier that ends in one is explained."""
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)))
    x = words()[:, 0]
    torch.testing.assert_close(relevance(model, x, rule), relevance(model, x, asc.rules.Gradient()))
    assert asc.attribute(nn.Sequential(model[0]), x, of=asc.LogProb(1), by=rule).values.abs().max() > 1e-3


# ---- recurrent nets


def lstm_by_hand(model: nn.LSTM, x: Tensor, r: Tensor) -> Tensor:
    """Arras et al. 2017, step by step backwards for one record: epsilon 0, gates get nothing, sums in proportion."""
    w_in, w_back = model.weight_ih_l0.detach(), model.weight_hh_l0.detach()
    h = c = torch.zeros(model.hidden_size, dtype=DOUBLE)
    kept = []
    for step in x:
        i, f, g, o = (w_in @ step + w_back @ h).chunk(4)
        before, c = (h, c), f.sigmoid() * c + i.sigmoid() * g.tanh()
        kept.append((before, i, f, g, o, c))
        h = o.sigmoid() * c.tanh()
    found = torch.zeros_like(x)
    cell = torch.zeros_like(r)
    rows = slice(2 * model.hidden_size, 3 * model.hidden_size)
    for t in reversed(range(len(x))):
        (h0, c0), i, f, g, _, c = kept[t]
        cell = cell + r  # h = o tanh(c): all to tanh(c), which passes it on
        added, stayed = i.sigmoid() * g.tanh(), f.sigmoid() * c0
        signal, cell = cell * added / c, cell * stayed / c
        found[t] = (x[t] * w_in[rows] * (signal / g)[:, None]).sum(0)
        r = (h0 * w_back[rows] * (signal / g)[:, None]).sum(0)
    return found


class LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(6, 5, batch_first=True, bias=False)
        self.head = nn.Linear(5, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


class ByCells(LastState):
    """The same with the cell written out."""

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), 5)
        for t in range(x.shape[1]):
            i, f, g, o = (x[:, t] @ self.cells.weight_ih_l0.t() + h @ self.cells.weight_hh_l0.t()).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


@pytest.mark.parametrize("made", [LastState, ByCells])
@pytest.mark.parametrize("rule", [asc.rules.LstmLRP(1e-12), asc.rules.CPLRP()], ids=repr)
def test_an_lstm_is_the_papers_loop(made, rule):
    model, x = seeded(made), words()
    found = asc.attribute(model, x, of=1, by=rule)
    for i in range(2):
        state = model.cells(x[i : i + 1])[0][0, -1].detach()
        expected = lstm_by_hand(model.cells, x[i], state * model.head.weight[1].detach())
        torch.testing.assert_close(found.values[i], expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(found.values.sum((1, 2)), torch.as_tensor(found.explained), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("rule", [asc.rules.LstmLRP(1e-9), asc.rules.CPLRP(), asc.rules.AttnLRP()], ids=repr)
def test_recurrent_nets_conserve(kind, rule):
    """Two layers, both directions."""
    make = lambda: Fn(lambda x, r, b: b(r(x)[0][:, -1]), b=nn.Linear(10, 3, bias=False),  # noqa: E731
                      r=kind(6, 5, 2, bidirectional=True, batch_first=True, bias=False))  # fmt: skip
    found = asc.attribute(seeded(make), words(), of=1, by=rule)
    torch.testing.assert_close(found.values.sum((1, 2)), torch.as_tensor(found.explained), rtol=1e-6, atol=1e-8)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_windows_that_are_told_apart_share_nothing(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    strides = tuple(data.draw(st.integers(1, 9)) for _ in shape)
    a, b = (data.draw(st.integers(0, 20)) for _ in range(2))
    room = 64 + sum(n * s for n, s in zip(shape, strides, strict=True))
    places = [set(torch.arange(room).as_strided(shape, strides, start).flatten().tolist()) for start in (a, b)]
    if apart((a, shape, strides, DOUBLE), (b, shape, strides, DOUBLE)):
        assert not places[0] & places[1]


def test_gates_of_one_product_are_told_apart():
    windows = [torch.zeros(3, 20)[:, 5 * i : 5 * i + 5] for i in range(4)]
    keys = [layout(w) for w in windows]
    assert all(apart(a, b) == (a != b) for a in keys for b in keys)


# ---- where they run


class Block(nn.Module):
    """A transformer's block, its parts of several kinds."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(6), nn.RMSNorm(6, eps=1e-6)
        self.attention = Attention(True)
        self.attention.o = nn.Linear(4, 6)
        self.gate, self.up, self.down = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)
        self.checkpointed = checkpointed

    def inner(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.n1(x))
        h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointed:
            x = checkpoint(self.inner, x, use_reentrant=self.checkpointed == "reentrant")
        else:
            x = self.inner(x)
        return self.head(x).mean(1)


@pytest.mark.parametrize("rule", [*RULES, asc.rules.Rescale()], ids=repr)
@pytest.mark.parametrize("how", ["reentrant", "not reentrant"])
def test_checkpointed_layers_are_seen_through(rule, how):
    over = asc.Reference(0.3) if rule.compares else None
    plain, kept = (seeded(lambda h=h: Block(h)) for h in (False, how))
    torch.testing.assert_close(relevance(kept, words(), rule, over=over), relevance(plain, words(), rule, over=over))


@pytest.mark.parametrize("rule", [*RULES[:2], asc.rules.Rescale()], ids=repr)
@pytest.mark.parametrize("part", ["all of it", "a layer", "in place", "a function"])
def test_compiled_parts_get_the_rules_too(rule, part):
    """Never the plain gradient: what was compiled is run as it was written."""
    over = asc.Reference(0.3) if rule.compares else None
    model = seeded(Block)
    expected = relevance(model, words(), rule, over=over)
    if part == "all of it":
        model = torch.compile(model, backend="aot_eager")
    elif part == "a layer":
        model.attention = torch.compile(model.attention, backend="aot_eager")
    elif part == "in place":
        model.compile(backend="aot_eager")
    else:
        model.inner = torch.compile(model.inner, backend="aot_eager")
    x = words()
    torch.testing.assert_close(model(x), model(x))  # compiled by now
    torch.testing.assert_close(relevance(model, x, rule, over=over), expected)


@pytest.mark.parametrize("rule", [*RULES[:2], asc.rules.Rescale()], ids=repr)
def test_scripted_modules_are_seen_through(rule):
    """Also after the runs that a script is optimised in."""
    over = asc.Reference(0.3) if rule.compares else None
    plain = seeded(lambda: nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 3)))
    scripted = torch.jit.script(plain)
    x = words()[:, 0]
    for _ in range(4):
        scripted(x)
        found = relevance(scripted, x, rule, over=over)
        torch.testing.assert_close(found, relevance(plain, x, rule, over=over))
    assert (found - relevance(plain, x, asc.rules.Gradient())).abs().max() > 1e-3


class Doubled(torch.autograd.Function):
    """A function with a backward pass of its own, which rules do not ask."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        raise AssertionError("asked")


@pytest.mark.parametrize("rule", [*RULES, asc.rules.Rescale()], ids=repr)
def test_functions_of_ones_own_are_seen_through(rule):
    over = asc.Reference(0.3) if rule.compares else None
    own, plain = (seeded(lambda f=f: Fn(lambda x, a, b: b(f(a(x))), a=nn.Linear(6, 4), b=nn.Linear(4, 3))) for f in (Doubled.apply, F.silu))
    x = words()[:, 0]
    torch.testing.assert_close(relevance(own, x, rule, over=over), relevance(plain, x, rule, over=over))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", [*RULES[:3], asc.rules.Rescale()], ids=repr)
def test_short_floats_run_and_are_told_of(rule, kind):
    over = asc.Reference(0.3) if rule.compares else None
    model, x = seeded(Block), words()
    exact = relevance(model, x, rule, over=over)
    found = asc.attribute(model.to(kind), x.to(kind), of=1, by=rule, over=over)
    assert found.values.dtype is kind
    assert F.cosine_similarity(found.values.double().flatten(), exact.flatten(), 0) > 0.99
    assert any(str(kind).removeprefix("torch.") in c.detail for c in found.checks)


@pytest.mark.parametrize("rule", RULES[:3], ids=repr)
def test_points_of_a_line_are_averaged(rule):
    """Integrated gradients on corrected gradients: the rule at every point, by hand."""
    model, x = seeded(Block), words()
    found = asc.influence(model, x, of=1, over=asc.Line(0.0, 4), by=rule).values
    expected = sum(
        w * asc.influence(model, x * float(t), of=1, by=rule).values for t, w in zip(*quadrature_nodes("gauss-legendre", 4), strict=True)
    )
    torch.testing.assert_close(found, expected)
    for over in (asc.Gaussian(0.1, 3), asc.Background(words(3)), asc.Background(words(3), 2) * asc.Line(steps=2)):
        assert asc.attribute(model, x, of=1, over=over, by=rule).values.isfinite().all()


METHODS = {
    asc.AttnLRP(): asc.rules.AttnLRP(),
    asc.CPLRP(): asc.rules.CPLRP(),
    asc.LibraGrad(): asc.rules.Libra(),
    asc.LstmLRP(): asc.rules.LstmLRP(),
}


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_methods_are_the_rules_at_the_record(method):
    model, x = seeded(Block), words()
    torch.testing.assert_close(method(model, x, of=1).values, relevance(model, x, METHODS[method]))
    inner = method(model, x, of=1, at="n2").values
    torch.testing.assert_close(inner, relevance(model, x, METHODS[method], at="n2"))
    assert method(model, x, of=asc.Unit(0, 2, on=asc.Cut("gate"))).values.abs().max() > 0


def test_relevance_patching_is_the_coefficient_times_the_change():
    model, x, other = seeded(Block), words(), words() + 0.4
    found = asc.RelP(other)(model, x, of=1)
    torch.testing.assert_close(found.values, asc.influence(model, x, of=1, by=asc.rules.Libra()).values * (x - other))
    inner = asc.RelP(other)(model, x, of=1, at="n2").values
    change = asc.activation(model, x, at="n2").values - asc.activation(model, other, at="n2").values
    torch.testing.assert_close(inner, asc.influence(model, x, of=1, by=asc.rules.Libra(), at="n2").values * change)


def test_other_models_keep_their_gradients_meanwhile():
    """In this thread and another: no patch, no flag, no hook outlives or leaves the call."""
    mine, theirs, x = seeded(Block), seeded(Block), words()

    def gradient() -> Tensor:
        z = x.clone().requires_grad_()
        return torch.autograd.grad(theirs(z)[:, 1].sum(), z)[0]

    expected, seen, stop = gradient(), [], threading.Event()

    def others() -> None:
        while not stop.is_set():
            seen.append(gradient())

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _ in range(10):
            for rule in RULES:
                relevance(mine, x, rule)
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 3
    assert all(torch.equal(g, expected) for g in [*seen, gradient()])


@pytest.mark.parametrize("name", ["cumprod", "logcumsumexp"])
@pytest.mark.parametrize("rule", RULES[:3], ids=repr)
def test_what_has_no_rule_is_named(rule, name):
    """Cumulative operations among them; strictly, it is an error."""
    model, x = seeded(lambda: Fn(lambda x, a, b: b(getattr(torch, name)(a(x), 1)), a=nn.Linear(6, 4), b=nn.Linear(4, 3))), words()[:, 0]
    told = next(c for c in asc.attribute(model, x, of=1, by=rule).checks if c.name == "rule")
    assert told.status == "warn"
    assert name in told.detail
    with pytest.raises(RuleError, match=name):
        asc.attribute(model, x, of=1, by=replace(rule, strict=True))
