"""The seven parametrisations that TruLens documents: baseline, points, attribution and quantity, each at a cut of its own.

Every case is one call here, and is held against passes written by hand with PyTorch's own hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

import ascribe as asc
from tests.support.small_models import DOUBLE, Branches, chain, rows, seeded

pytestmark = pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning")

INNER = "bert.encoder.layer.0.output.dense"
IDS = torch.tensor([[2, 7, 8, 9, 3, 0, 0], [2, 11, 12, 13, 14, 15, 3]])
ATTENDED = (IDS != 0).long()
STEPS = 8
GRID, SHARE = (lambda p, w: ((p + 1) / 2, w / 2))(*np.polynomial.legendre.leggauss(STEPS))


class Probabilities(nn.Module):
    """A classifier whose scores go through a softmax before anyone sees them."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.inner, self.softmax = bert, nn.Softmax(-1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.softmax(self.inner(input_ids=input_ids, attention_mask=attention_mask).logits)


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def bert(request) -> nn.Module:
    config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3)
    config._attn_implementation = request.param
    return seeded(lambda: BertForSequenceClassification(config))


@pytest.fixture
def call() -> dict[str, torch.Tensor]:
    return {"input_ids": IDS, "attention_mask": ATTENDED}


def close(found: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=1e-7, atol=1e-10)


def written(module: nn.Module, anchor: str, run: Callable[[], Any], value: torch.Tensor | None = None) -> tuple[torch.Tensor, Any]:
    """Run a model with a leaf in the place of what a layer is given or gives; the leaf and the output."""
    seen: list[torch.Tensor] = []

    def leaf(old: torch.Tensor) -> torch.Tensor:
        seen.append((old if value is None else value).detach().clone().requires_grad_())
        return seen[-1]

    if anchor == "in":
        handle = module.register_forward_pre_hook(lambda m, args: (leaf(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(lambda m, args, output: leaf(output))
    with handle:
        output = run()
    return seen[0], output


def slope(score: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(score.sum(), leaf)[0]


def words(bert: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return bert.get_input_embeddings()(ids).detach()


def path(start: torch.Tensor, end: torch.Tensor) -> list[torch.Tensor]:
    return [start + t * (end - start) for t in GRID]


def weighed(parts: list[torch.Tensor]) -> torch.Tensor:
    return sum(w * part for w, part in zip(SHARE, parts, strict=True))


# 1 and 2: at the input, explained at the output or at the scores before it


class TestTable:
    net = nn.Sequential(*chain(4, 6, 3), nn.Softmax(-1))
    x, base = rows(5, 4), rows(4, seed=7)

    def slopes(self, points, score) -> list[torch.Tensor]:
        leaves = [p.clone().requires_grad_() for p in points]
        return [slope(score(leaf), leaf) for leaf in leaves]

    def test_1_input_to_output(self):
        (one,) = self.slopes([self.x], lambda z: self.net(z)[:, 1])
        close(asc.influence(self.net, self.x, of=1).values, one)
        close(asc.attribute(self.net, self.x, of=1).values, one * self.x)
        best = self.net(self.x).argmax(1)
        mean = weighed(self.slopes(path(self.base, self.x), lambda z: self.net(z)[range(5), best]))
        close(asc.attribute(self.net, self.x, over=asc.Line(self.base, STEPS)).values, mean * (self.x - self.base))
        away = weighed(self.slopes(path(self.base, self.x), lambda z: self.net(z)[:, 2] - self.net(z)[:, 0]))
        close(asc.influence(self.net, self.x, of=asc.Contrast(2, 0), over=asc.Line(self.base, STEPS)).values, away)

    @pytest.mark.parametrize("on", [asc.LOGITS, asc.Cut("3", "in"), asc.Cut("2")], ids=repr)
    def test_2_the_quantity_before_the_softmax(self, on):
        mean = weighed(self.slopes(path(self.base, self.x), lambda z: self.net[:3](z)[:, 1]))
        found = asc.attribute(self.net, self.x, of=asc.Unit(1, on=on), over=asc.Line(self.base, STEPS))
        close(found.values, mean * (self.x - self.base))
        np.testing.assert_allclose(found.explained, self.net[:3](self.x)[:, 1].detach())


# 3 to 7: a language model


def test_3_attribution_inside(bert, call):
    """Token ids cannot be differentiated: the value is, at the place that was asked for."""
    best = bert(**call).logits.argmax(1)
    leaf, output = written(bert.bert.embeddings.LayerNorm, "in", lambda: bert(**call))
    expected = slope(output.logits[range(2), best], leaf)
    place = asc.Cut("bert.embeddings.LayerNorm", "in")
    close(asc.influence(bert, **call, at=place).values, expected)
    close(asc.influence(bert, IDS, ATTENDED, at=place).values, expected)
    found = asc.attribute(bert, **call, at=place)
    close(found.values, expected * leaf)
    assert found.target.tolist() == best.tolist()


def test_4_points_inside(bert, call):
    end = words(bert, IDS)
    slopes = []
    for point in path(torch.zeros_like(end), end):
        leaf = point.clone().requires_grad_()
        slopes.append(slope(bert(inputs_embeds=leaf, attention_mask=ATTENDED).logits[:, 1], leaf))
    over = asc.Line(0.0, STEPS, at=asc.EMBEDDINGS)
    found = asc.attribute(bert, **call, of=1, at=asc.EMBEDDINGS, over=over)
    close(found.values, weighed(slopes) * end)
    close(asc.IntegratedGradients(0.0, STEPS)(bert, **call, of=1).values, weighed(slopes) * end)
    change = bert(inputs_embeds=end, attention_mask=ATTENDED).logits - bert(inputs_embeds=0 * end, attention_mask=ATTENDED).logits
    np.testing.assert_allclose(found.values.sum((1, 2)).numpy() - found.gap.absolute, change[:, 1].detach(), rtol=1e-9)


def test_4b_a_layers_input_is_written_and_nothing_else():
    """TruLens writes in place, so the other branches that share the tensor change too; here only this layer's input does."""
    net, x = seeded(Branches), rows(5, 4)
    end = torch.tanh(net.stem(x)).detach()
    slopes = []
    for point in path(torch.zeros_like(end), end):
        leaf = point.clone().requires_grad_()
        slopes.append(slope(net.head(2 * end + torch.tanh(net.inner(leaf)))[:, 1], leaf))
    for place in (asc.Cut("inner", "in"), asc.Cut("drop", "in"), asc.Cut("drop")):
        close(asc.attribute(net, x, of=1, at=place, over=asc.Line(0.0, STEPS, at=place)).values, weighed(slopes) * end)


def inner_slopes(bert: nn.Module, start: torch.Tensor, score: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """The mean gradient at INNER while the embeddings go from start to the words of IDS."""
    found = []
    for point in path(start, words(bert, IDS)):
        leaf, output = written(bert.get_submodule(INNER), "out", lambda p=point: bert(inputs_embeds=p, attention_mask=ATTENDED))
        found.append(slope(score(output.logits), leaf))
    return weighed(found)


def inner_value(bert: nn.Module, embedded: torch.Tensor) -> torch.Tensor:
    leaf, _ = written(bert.get_submodule(INNER), "out", lambda: bert(inputs_embeds=embedded, attention_mask=ATTENDED))
    return leaf.detach()


def test_5_points_at_the_embeddings_attribution_further_in(bert, call):
    mean = inner_slopes(bert, torch.zeros(2, 7, 16, dtype=DOUBLE), lambda y: y[:, 1])
    over = asc.Line(0.0, STEPS, at=asc.EMBEDDINGS)
    close(asc.influence(bert, **call, of=1, at=INNER, over=over).values, mean)
    moved = inner_value(bert, words(bert, IDS)) - inner_value(bert, 0 * words(bert, IDS))
    close(asc.attribute(bert, **call, of=1, at=INNER, over=over).values, mean * moved)


MASKED = asc.distributions.MaskedTokens(4, keep=(0, 2, 3))
OTHER = torch.where(torch.isin(IDS, torch.tensor([0, 2, 3])), IDS, 4)


def test_6_a_baseline_of_tokens(bert, call):
    start, end = words(bert, OTHER), words(bert, IDS)
    slopes = []
    for point in path(start, end):
        leaf = point.clone().requires_grad_()
        slopes.append(slope(bert(inputs_embeds=leaf, attention_mask=ATTENDED).logits[:, 1], leaf))
    found = asc.attribute(bert, **call, of=1, at=asc.EMBEDDINGS, over=asc.Line(MASKED, STEPS, at=asc.EMBEDDINGS))
    close(found.values, weighed(slopes) * (end - start))
    close(asc.IntegratedGradients(MASKED, STEPS)(bert, **call, of=1).values, found.values)
    assert (found.values[IDS == OTHER] == 0).all()
    assert (found.values[IDS != OTHER] != 0).all()


@pytest.mark.parametrize("on", [asc.LOGITS, asc.Cut("softmax", "in"), asc.Cut("inner.classifier")], ids=repr)
def test_7_everything_at_a_cut_of_its_own(bert, call, on):
    """Baseline at the tokens, points at the embeddings, attribution inside, quantity before the softmax."""
    start = words(bert, OTHER)
    mean = inner_slopes(bert, start, lambda y: y[:, 2])
    moved = inner_value(bert, words(bert, IDS)) - inner_value(bert, start)
    over, at = asc.Line(MASKED, STEPS, at=asc.EMBEDDINGS), asc.Cut(f"inner.{INNER}")
    whole = Probabilities(bert)
    close(asc.influence(whole, **call, of=asc.Unit(2, on=on), at=at, over=over).values, mean)
    found = asc.attribute(whole, **call, of=asc.Unit(2, on=on), at=at, over=over)
    close(found.values, mean * moved)
    np.testing.assert_allclose(found.explained, bert(**call).logits[:, 2].detach())


def test_embeddings_of_a_wrapped_model_are_found(bert, call):
    place = asc.influence(Probabilities(bert), **call, of=1, at=asc.EMBEDDINGS)
    direct = asc.influence(bert, **call, of=asc.Prob(1), at=asc.EMBEDDINGS)
    close(place.values, direct.values)
