"""The seven parametrisations that TruLens documents, in trulens' own words and in ascribe's, each against hooks and autograd.

1 input to output, 2 another cut for the quantity, 3 another for the attribution, 4 another for the points, 5 points and attribution
at two cuts, 6 the baseline at a third, 7 all of it with the quantity at a fourth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

import ascribe as asc
from ascribe.compat import standing_in
from tests.support.hooked import Spot, even, held, mean, slope
from tests.support.small_models import rows, seeded

with standing_in("trulens"):  # as an old script has it
    from trulens.nn.attribution import InputAttribution, IntegratedGradients, InternalInfluence
    from trulens.nn.distributions import GaussianDoi, LinearDoi, PointDoi
    from trulens.nn.models import get_model_wrapper
    from trulens.nn.quantities import ClassQoI
    from trulens.nn.slices import Cut, InputCut, LogitCut, OutputCut, Slice
    from trulens.utils.nlp import token_baseline

pytestmark = pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning")
N = 6


def close(found: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected.detach(), rtol=1e-6, atol=1e-9)


class Probit(nn.Module):
    """A classifier of tables that gives probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.l1, self.act, self.logits, self.softmax = nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(1)

    def forward(self, x):
        return self.softmax(self.logits(self.act(self.l1(x))))


class Series(nn.Module):
    """A recurrent classifier of series that gives probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.logits, self.softmax = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3), nn.Softmax(1)

    def forward(self, x):
        return self.softmax(self.logits(self.rnn(x)[0][:, -1]))


FLOATS = {"a table": (seeded(Probit), rows(5, 4), Spot("l1", "in")), "a series": (seeded(Series), rows(3, 5, 4), Spot("rnn", "in"))}


@pytest.fixture(params=FLOATS)
def numbers(request):
    return FLOATS[request.param]


class TestNumbers:
    """Cases 1 and 2: explained at the input."""

    def mean(self, net, x, first, score, points, on=None):
        return mean([slope(net, {"x": x}, score, first, on, [(first, p)]) for p in points])

    def test_1_input_to_output(self, numbers):
        net, x, first = numbers
        wrapper, best = get_model_wrapper(net), net(x).argmax(1)
        chosen = lambda y: y[range(len(x)), best]  # noqa: E731
        expected = slope(net, {"x": x}, chosen, first)
        close(InternalInfluence(wrapper, None, "max", "point", multiply_activation=False).attributions(x), expected)
        close(InputAttribution(wrapper).attributions(x), expected * x)
        close(InputAttribution(wrapper).attributions(x.numpy()), expected * x)
        close(asc.attribute(net, x).values, expected * x)
        base = rows(*x.shape[1:], seed=5)
        for start in (torch.zeros_like(x), base.expand_as(x)):
            expected = self.mean(net, x, first, chosen, even(start, x, N)) * (x - start)
            given = None if not start.any() else base.numpy()
            for size in (None, 1, 4):
                close(IntegratedGradients(wrapper, given, N, rebatch_size=size).attributions(x), expected)
            close(asc.attribute(net, x, over=asc.Line(start, N, "even")).values, expected)
        expected = self.mean(net, x, first, lambda y: y[:, 2] - y[:, 0], even(0 * x, x, N)) * x
        close(IntegratedGradients(wrapper, None, N, qoi=(2, 0)).attributions(x), expected)
        close(asc.attribute(net, x, of=asc.Contrast(2, 0), over=asc.Line(0.0, N, "even")).values, expected)

    @pytest.mark.parametrize("cut", [LogitCut(), Cut("logits"), Cut("softmax", "in"), "logits", -2], ids=repr)
    def test_2_the_quantity_at_the_scores(self, numbers, cut):
        net, x, first = numbers
        expected = self.mean(net, x, first, lambda y: y[:, 1], even(0 * x, x, N), Spot("logits")) * x
        close(IntegratedGradients(get_model_wrapper(net), None, N, qoi=1, qoi_cut=cut).attributions(x), expected)

    @pytest.mark.parametrize("on", [asc.LOGITS, asc.Cut("logits"), asc.Cut("softmax", "in")], ids=repr)
    def test_2_natively(self, numbers, on):
        net, x, first = numbers
        expected = self.mean(net, x, first, lambda y: y[:, 1], even(0 * x, x, N), Spot("logits")) * x
        close(asc.attribute(net, x, of=asc.Unit(1, on=on), over=asc.Line(0.0, N, "even")).values, expected)

    def test_2_by_a_layer_named_to_the_wrapper(self):
        net, x, first = FLOATS["a table"]
        expected = slope(net, {"x": x}, lambda y: y[:, 1], first, Spot("act"))
        wrapper = get_model_wrapper(net, logit_layer="act")
        close(InputAttribution(wrapper, LogitCut(), 1, multiply_activation=False).attributions(x), expected)


class TestInsideATable:
    """Cases 3 to 5 where everything is numbers."""

    net, x, first = FLOATS["a table"]

    @pytest.mark.parametrize(("cut", "at"), [(Cut("act", "in"), Spot("act", "in")), (Cut(1), Spot("act")), ("l1", Spot("l1"))], ids=str)
    def test_3_attribution(self, cut, at):
        best = self.net(self.x).argmax(1)
        expected = slope(self.net, {"x": self.x}, lambda y: y[range(5), best], at)
        value = held(self.net, {"x": self.x}, at)
        wrapper = get_model_wrapper(self.net)
        close(InternalInfluence(wrapper, (cut, None), "max", "point").attributions(self.x), expected * value)
        close(asc.attribute(self.net, self.x, at=asc.Cut(at.path, at.side)).values, expected * value)

    def test_4_points(self):
        at = Spot("act", "in")
        value, start = held(self.net, {"x": self.x}, at), rows(6, seed=4)
        slopes = [slope(self.net, {"x": self.x}, lambda y: y[:, 1], at, None, [(at, p)]) for p in even(start.expand_as(value), value, N)]
        expected = mean(slopes) * (value - start)
        wrapper = get_model_wrapper(self.net)
        close(IntegratedGradients(wrapper, start.numpy(), N, Cut("act", "in"), 1).attributions(self.x), expected)
        place = asc.Cut("act", "in")
        close(asc.attribute(self.net, self.x, of=1, at=place, over=asc.Line(start, N, "even", at=place)).values, expected)
        inner = InternalInfluence(wrapper, Cut("act", "in"), 1, "linear").attributions(self.x)
        close(inner, asc.attribute(self.net, self.x, of=1, at=place, over=asc.Line(0.0, 10, "even", at=place)).values)

    @pytest.mark.parametrize("multiply", [True, False])
    @pytest.mark.parametrize("at", [Spot("act"), Spot("act", "in")], ids=str)
    def test_5_a_baseline_of_another_width(self, at, multiply):
        start = rows(4, seed=6).expand_as(self.x)
        slopes = [slope(self.net, {"x": p}, lambda y: y[:, 1], at) for p in even(start, self.x, N)]
        moved = held(self.net, {"x": self.x}, at) - held(self.net, {"x": start}, at)
        expected = mean(slopes) * moved if multiply else mean(slopes)
        wrapper = get_model_wrapper(self.net)
        cuts, doi = Slice(Cut(at.path, at.side), OutputCut()), LinearDoi(start[:1].numpy(), N, cut=InputCut())
        close(InternalInfluence(wrapper, cuts, ClassQoI(1), doi, multiply).attributions(self.x), expected)
        ask = asc.attribute if multiply else asc.influence
        close(ask(self.net, self.x, of=1, at=asc.Cut(at.path, at.side), over=asc.Line(start[:1], N, "even")).values, expected)


# Cases 3 to 7 on token ids

IDS = torch.tensor([[2, 7, 8, 9, 3, 0, 0], [2, 11, 12, 13, 14, 15, 3]])
CALL = {"input_ids": IDS, "attention_mask": (IDS != 0).long()}
KEPT, MASK = (0, 2, 3), 4
OTHER = torch.where(torch.isin(IDS, torch.tensor(KEPT)), IDS, MASK)


class ProbitBert(nn.Module):
    """A language model's classifier whose scores go through a softmax before anyone sees them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3)
        config._attn_implementation = kind
        self.inner, self.softmax = BertForSequenceClassification(config), nn.Softmax(-1)

    def forward(self, input_ids, attention_mask):
        return self.softmax(self.inner(input_ids=input_ids, attention_mask=attention_mask).logits)


class ProbitGru(nn.Module):
    """A recurrent classifier of token ids, padding left out of its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.mix = nn.Embedding(50, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 5)
        self.logits, self.softmax = nn.Linear(5, 3), nn.Softmax(-1)

    def forward(self, input_ids, attention_mask):
        h = torch.tanh(self.mix(self.rnn(self.embed(input_ids))[0])) * attention_mask[..., None]
        return self.softmax(self.logits(h.sum(1) / attention_mask.sum(1, keepdim=True)))


class Text:
    """A model of tokens with the places that the cases speak of: as hooks have them, as trulens, and as ascribe."""

    def __init__(self, net, words, inner, accessor, logits):
        self.net, self.words, self.inner, self.logits = net, Spot(words), inner, Spot(logits)
        self.emb = Cut(words.replace(".", "_"))
        self.at = Cut(inner.path.replace(".", "_"), inner.side, accessor)
        self.place = asc.Cut(inner.path, inner.side, inner.part)
        self.embedding = net.get_submodule(words)

    def start(self, ids) -> torch.Tensor:
        return self.embedding(ids).detach()

    def wrapper(self):
        return get_model_wrapper(self.net, logit_layer=self.logits.path)

    def slopes(self, score, at, points, on=None):
        return mean([slope(self.net, CALL, score, at, on, [(self.words, p)]) for p in points])

    def moved(self, at, start):
        return held(self.net, CALL, at) - held(self.net, CALL, at, [(self.words, start)])


BERT = ("inner.bert.embeddings.word_embeddings", Spot("inner.bert.encoder.layer.0.output.dense"), None, "inner.classifier")
TEXTS = {
    "bert, eager": lambda: Text(seeded(lambda: ProbitBert("eager")), *BERT),
    "bert, sdpa": lambda: Text(seeded(lambda: ProbitBert("sdpa")), *BERT),
    "bert, at an input": lambda: Text(seeded(lambda: ProbitBert("sdpa")), BERT[0], Spot(BERT[1].path, "in"), None, BERT[3]),
    "gru": lambda: Text(seeded(ProbitGru), "embed", Spot("rnn", "out", 0), lambda o: o[0], "logits"),
    "gru, at an input": lambda: Text(seeded(ProbitGru), "embed", Spot("mix", "in"), None, "logits"),
}


@pytest.fixture(params=TEXTS, scope="module")
def text(request) -> Text:
    return TEXTS[request.param]()


def second(y: torch.Tensor) -> torch.Tensor:
    return y[:, 1]


def test_3_attribution_where_the_input_is_token_ids(text):
    best = text.net(**CALL).argmax(1)
    expected = slope(text.net, CALL, lambda y: y[range(2), best], text.inner)
    value = held(text.net, CALL, text.inner)
    for doi in ("point", PointDoi(), PointDoi(cut=text.emb)):
        close(InternalInfluence(text.wrapper(), (text.at, OutputCut()), "max", doi).attributions(**CALL), expected * value)
    close(InternalInfluence(text.wrapper(), text.at, "max", "point").attributions(*CALL.values()), expected * value)
    close(asc.attribute(text.net, **CALL, at=text.place).values, expected * value)


def test_4_points_at_the_embeddings(text):
    end = text.start(IDS)
    expected = text.slopes(second, text.words, even(0 * end, end, N)) * end
    close(IntegratedGradients(text.wrapper(), resolution=N, doi_cut=text.emb, qoi=ClassQoI(1)).attributions(**CALL), expected)
    over = asc.Line(0.0, N, "even", at=asc.EMBEDDINGS)
    close(asc.attribute(text.net, **CALL, of=1, at=asc.EMBEDDINGS, over=over).values, expected)


def test_4_noise_at_the_embeddings(text):
    np.random.seed(3)
    noise = [np.random.normal(0.0, np.sqrt(0.04), tuple(text.start(IDS).shape)) for _ in range(4)]
    points = [text.start(IDS) + torch.as_tensor(e) for e in noise]
    expected = text.slopes(second, text.words, points)
    np.random.seed(3)
    doi = GaussianDoi(0.04, 4, cut=text.emb)
    close(InternalInfluence(text.wrapper(), text.emb, 1, doi).attributions(**CALL), expected * text.start(IDS))
    over = asc.Points(torch.stack(points), at=asc.EMBEDDINGS)
    close(asc.influence(text.net, **CALL, of=1, at=asc.EMBEDDINGS, over=over).values, expected)


@pytest.mark.parametrize("multiply", [True, False])
def test_5_points_at_the_embeddings_attribution_further_in(text, multiply):
    end = text.start(IDS)
    start = rows(end.shape[-1], seed=3).expand_as(end)
    mean_slope = text.slopes(second, text.inner, even(start, end, N))
    expected = mean_slope * text.moved(text.inner, start) if multiply else mean_slope
    doi = LinearDoi(start[:1].numpy(), N, cut=text.emb)
    close(InternalInfluence(text.wrapper(), (text.at, None), ClassQoI(1), doi, multiply).attributions(**CALL), expected)
    ask = asc.attribute if multiply else asc.influence
    close(ask(text.net, **CALL, of=1, at=text.place, over=asc.Line(start[0], N, "even", at=asc.EMBEDDINGS)).values, expected)


def baselines(text):
    return token_baseline(set(KEPT), MASK, lambda inputs: inputs.kwargs["input_ids"], text.embedding)


def test_6_a_baseline_of_tokens(text):
    end, start = text.start(IDS), text.start(OTHER)
    expected = text.slopes(second, text.words, even(start, end, N)) * (end - start)
    _, embedded = baselines(text)
    found = IntegratedGradients(text.wrapper(), embedded, N, text.emb, 1).attributions(**CALL)
    close(found, expected)
    assert (found[IDS == OTHER] == 0).all()
    over = asc.Line(asc.distributions.MaskedTokens(MASK, KEPT), N, "even", at=asc.EMBEDDINGS)
    close(asc.attribute(text.net, **CALL, of=1, at=asc.EMBEDDINGS, over=over).values, expected)


@pytest.mark.parametrize("multiply", [True, False])
@pytest.mark.parametrize("cut", ["LogitCut()", "by name", "into the softmax"])
def test_7_everything_at_a_cut_of_its_own(text, cut, multiply):
    end, start = text.start(IDS), text.start(OTHER)
    points = even(start, end, N)
    mean_slope = text.slopes(lambda y: y[:, 2], text.inner, points, text.logits)
    expected = mean_slope * text.moved(text.inner, start) if multiply else mean_slope
    to = {"LogitCut()": LogitCut(), "by name": Cut(text.logits.path), "into the softmax": Cut("softmax", "in")}[cut]
    doi = LinearDoi(baselines(text)[1], N, cut=text.emb)
    method = InternalInfluence(text.wrapper(), Slice(text.at, to), ClassQoI(2), doi, multiply, return_grads=True, return_doi=True)
    result = method.results(**CALL)
    close(result.attributions[0][0], expected)
    close(method.attributions(**CALL), expected)
    close(result.gradients[0][0].mean(0), mean_slope)
    for found, point in zip(result.interventions[0], points, strict=True):
        close(found, point)
    on = {"LogitCut()": asc.LOGITS, "by name": asc.Cut(text.logits.path), "into the softmax": asc.Cut("softmax", "in")}[cut]
    over, ask = (
        asc.Line(asc.distributions.MaskedTokens(MASK, KEPT), N, "even", at=asc.EMBEDDINGS),
        asc.attribute if multiply else asc.influence,
    )
    close(ask(text.net, **CALL, of=asc.Unit(2, on=on), at=text.place, over=over).values, expected)
