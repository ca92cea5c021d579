"""An old script, unchanged: what trulens 0.13.4 says of three small models, written to the file that is named.

It runs under the old library (`python tests/support/recorded/trulens_script.py out.npz`) and under the facade
(`python -m ascribe.compat trulens tests/support/recorded/trulens_script.py out.npz`). Weights are NumPy's,
the same for every version of PyTorch.
"""

import sys

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification
from trulens.nn.attribution import InputAttribution, IntegratedGradients, InternalInfluence
from trulens.nn.distributions import DoI, GaussianDoi, LinearDoi, PointDoi
from trulens.nn.models import get_model_wrapper
from trulens.nn.quantities import ClassQoI, ClassSeqQoI, InternalChannelQoI, LambdaQoI, MaxClassQoI, QoI, ThresholdQoI
from trulens.nn.slices import Cut, InputCut, LogitCut, OutputCut, Slice
from trulens.utils.nlp import token_baseline, token_baseline_swap
from trulens.utils.typing import ModelInputs


def filled(net, scale=1.0):
    """A module with NumPy's numbers for weights."""
    rng = np.random.RandomState(0)
    with torch.no_grad():
        for _, p in sorted(net.named_parameters()):
            p.copy_(torch.as_tensor(scale * rng.normal(size=tuple(p.shape)).astype(np.float32) / max(1, p.shape[-1]) ** 0.5))
    return net.eval()


def numbers(*shape):
    return np.random.RandomState(1).normal(size=shape).astype(np.float32)


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.act, self.logits, self.softmax = nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(1)

    def forward(self, x):
        return self.softmax(self.logits(self.act(self.l1(x))))


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Linear(4 * 6 * 6, 3)

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).flatten(1))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.act, self.logits = nn.Embedding(20, 4), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)
        self.softmax = nn.Softmax(1)

    def forward(self, ids, mask):
        h = self.act(self.mix(self.embed(ids))) * mask[..., None]
        return self.softmax(self.logits(h.sum(1) / mask.sum(1, keepdim=True)))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, p, q):
        return torch.tanh(self.a(p)) * self.b(q)


class Halves(DoI):
    def __call__(self, z):
        return [z, 0.5 * z, z + 1]


class Squares(QoI):
    def __call__(self, y):
        return y[:, 1] ** 2


found = {}


def keep(name, value):
    """Remember numbers under a name: of lists, each entry's. A function is called first, and what it raises is remembered."""
    if callable(value):
        try:
            value = value()
        except Exception as wrong:
            value = f"{type(wrong).__name__}: {wrong}"
    if isinstance(value, (list, tuple)):
        for k, part in enumerate(value):
            keep(f"{name}[{k}]", part)
    else:
        found[name] = value.detach().cpu().numpy() if torch.is_tensor(value) else np.asarray(value)


def table():
    net, x = filled(Table()), numbers(5, 4)
    w, logits, base = get_model_wrapper(net, device="cpu"), LogitCut(), numbers(1, 4) + 0.5
    keep("table gradient", InputAttribution(w, multiply_activation=False).attributions(x))
    keep("table gradient x input", InputAttribution(w, qoi=1).attributions(torch.as_tensor(x)))
    for name, to in (("LogitCut", logits), ("name", Cut("logits")), ("softmax in", Cut("softmax", "in")), ("number", Cut(2))):
        keep(f"table scores by {name}", InputAttribution(w, to, 2).attributions(x))
    keep("table ig", IntegratedGradients(w, resolution=20, qoi=1, qoi_cut=logits).attributions(x))
    keep("table ig baseline", IntegratedGradients(w, base, 20, qoi=(2, 0), qoi_cut=logits, rebatch_size=7).attributions(x))
    keep("table ig one point", IntegratedGradients(w, base, 1, qoi=1).attributions(x))
    keep("table linear", InternalInfluence(w, Cut("act", "in"), 1, "linear").attributions(x))
    keep("table slice", InternalInfluence(w, Slice(Cut("act"), logits), MaxClassQoI(), "point").attributions(x))
    keep("table inner influence", InternalInfluence(w, Cut("act"), 1, LinearDoi(base, 5), False).attributions(x))
    np.random.seed(3)
    keep("table noise", InternalInfluence(w, InputCut(), 1, GaussianDoi(0.04, 8)).attributions(x))
    np.random.seed(3)
    keep("table noise inside", InternalInfluence(w, Cut("l1"), 1, GaussianDoi(0.04, 8, cut=Cut("l1"))).attributions(x))
    keep("table own points", InternalInfluence(w, InputCut(), 1, Halves()).attributions(x))
    for name, qoi in (
        ("threshold", ThresholdQoI(0.3)),
        ("threshold turned", ThresholdQoI(0.3, True)),
        ("own quantity", Squares()),
        ("softmaxed", MaxClassQoI(activation="softmax")),
        ("channels", InternalChannelQoI([0, 2])),
        ("two quantities", LambdaQoI(lambda y: [y[:, 0], y[:, 1] * y[:, 2]])),
    ):
        keep(f"table {name}", InputAttribution(w, logits, qoi, multiply_activation=False).attributions(x))
    keep("table fprop", w.fprop((x,), doi_cut=Cut("l1"), to_cut=logits, intervention=numbers(5, 6)))
    keep("table fprop layer", w.fprop((x,), to_cut=Cut("act")))
    keep("table bprop", w.qoi_bprop(ClassQoI(1), (x,), doi_cut=Cut("l1"), attribution_cut=Cut("act"), intervention=numbers(5, 6)))
    result = InternalInfluence(w, Cut("act"), 1, LinearDoi(base, 5), False, True, True)._attributions(ModelInputs([x], {}))
    keep("table gradients", result.gradients[0][0])
    keep("table points", np.stack(result.interventions[0]))
    net = filled(Table(), 4.0)
    keep("wrong: ig of the highest class", IntegratedGradients(get_model_wrapper(net, device="cpu"), resolution=9).attributions(x))
    keep("wrong: distance inside", lambda: InternalInfluence(w, Cut("act"), 1, LinearDoi(resolution=5)).attributions(x))
    keep(
        "wrong: a class for each record",
        InputAttribution(w, logits, ClassSeqQoI([0, 1, 2, 0, 1]), multiply_activation=False).attributions(x),
    )
    keep("wrong: the model's own output", w(x))


def pictures():
    net, x = filled(Pictures()), numbers(2, 3, 6, 6)
    w = get_model_wrapper(net, device="cpu")
    keep("pictures ig", IntegratedGradients(w, resolution=10, qoi=2).attributions(x))
    for name, qoi in (("channel", 1), ("channel mean", InternalChannelQoI(2, agg_fn=lambda c: c.mean(axis=(1, 2))))):
        keep(f"pictures {name}", InputAttribution(w, Cut("conv"), qoi).attributions(x))
    keep("pictures layer", InternalInfluence(w, Cut("conv"), 1, "point").attributions(x))


def tokens():
    net = filled(Tokens())
    ids = torch.tensor([[2, 7, 8, 9, 0], [2, 11, 12, 13, 14]])
    call = {"ids": ids, "mask": (ids != 0).float()}
    w, emb = get_model_wrapper(net, device="cpu"), Cut("embed")
    find = lambda inputs: inputs.kwargs["ids"]  # noqa: E731
    to_ids, to_embeddings = token_baseline({0, 2}, 4, find, net.embed)
    keep("tokens baseline", to_ids(None, ModelInputs([], call)))
    keep("tokens swapped", token_baseline_swap([(7, 8)], find, None)(None, ModelInputs([], call)))
    keep("tokens point", InternalInfluence(w, (Cut("act", "in"), OutputCut()), "max", PointDoi(cut=emb)).attributions(**call))
    keep("tokens ig", IntegratedGradients(w, None, 6, emb, 1).attributions(**call))
    keep("tokens ig positional", IntegratedGradients(w, None, 6, emb, 1).attributions(*call.values()))
    keep("tokens ig of tokens", IntegratedGradients(w, to_embeddings, 6, emb, 1).attributions(**call))
    doi = LinearDoi(to_embeddings, 6, cut=emb)
    keep("tokens everything", InternalInfluence(w, Slice(Cut("mix"), LogitCut()), ClassQoI(2), doi, False).attributions(**call))
    p, q = numbers(5, 4), numbers(6, 4)[1:]
    swapped = InputAttribution(get_model_wrapper(filled(Two()), device="cpu"), qoi=1, multiply_activation=False)
    keep("inputs by position", swapped.attributions(p, q))
    keep("wrong: inputs by keyword", swapped.attributions(q=q, p=p))


class ProbitBert(nn.Module):
    def __init__(self, kind):
        super().__init__()
        config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3)
        config._attn_implementation = kind
        self.inner, self.softmax = BertForSequenceClassification(config), nn.Softmax(-1)

    def forward(self, input_ids, attention_mask):
        return self.softmax(self.inner(input_ids=input_ids, attention_mask=attention_mask).logits)


def bert(kind):
    net = filled(ProbitBert(kind))
    ids = torch.tensor([[2, 7, 8, 9, 3, 0, 0], [2, 11, 12, 13, 14, 15, 3]])
    call = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    w = get_model_wrapper(net, logit_layer="inner_classifier", device="cpu")
    emb, inner = Cut("inner_bert_embeddings_word_embeddings"), Cut("inner_bert_encoder_layer_0_output_dense")
    _, embedded = token_baseline({0, 2, 3}, 4, lambda inputs: inputs.kwargs["input_ids"], net.inner.get_input_embeddings())
    keep(
        f"bert {kind} inside",
        InternalInfluence(w, (Cut("inner_bert_embeddings_LayerNorm", "in"), None), "max", "point").attributions(**call),
    )
    keep(f"bert {kind} ig", IntegratedGradients(w, None, 8, emb, 1, LogitCut()).attributions(**call))
    keep(f"bert {kind} ig of tokens", IntegratedGradients(w, embedded, 8, emb, 1, LogitCut(), rebatch_size=3).attributions(**call))
    np.random.seed(5)
    keep(f"bert {kind} noise", InternalInfluence(w, (emb, LogitCut()), 1, GaussianDoi(0.01, 5, cut=emb)).attributions(**call))
    for to in (LogitCut(), Cut("inner_classifier"), Cut("softmax", "in")):
        method = InternalInfluence(w, Slice(inner, to), ClassQoI(2), LinearDoi(embedded, 8, cut=emb), False)
        keep(f"bert {kind} everything, {to.name or 'LogitCut'} {to.anchor}", method.attributions(**call))
    zeros = InternalInfluence(w, Slice(inner, LogitCut()), ClassQoI(2), LinearDoi(None, 8, cut=emb), False)
    keep(f"bert {kind} inner influence", zeros.attributions(**call))


def visualizers():
    from trulens.visualizations import HeatmapVisualizer, MaskVisualizer, Tiler, Visualizer

    grey, colour = numbers(3, 1, 8, 6), numbers(5, 3, 8, 6)
    keep("picture tiled", Tiler().tile(colour))
    for how in ("unsigned_max", "magnitude_max", "magnitude_sum", "signed_max", "signed_sum", "01", "unsigned_max_positive_centered"):
        keep(f"picture {how}", Visualizer(normalization_type=how, cmap="jet")(grey.copy(), imshow=False))
    keep("wrong: picture channels", Visualizer(normalization_type="magnitude_sum", cmap="jet")(colour.copy(), imshow=False))
    keep("wrong: picture blur", Visualizer(normalization_type="unnormalized", cmap="jet", blur=1.0)(colour.copy(), imshow=False))
    keep("picture heatmap", HeatmapVisualizer(blur=0.0, normalization_type="01")(grey.copy(), grey.copy(), imshow=False))
    keep("picture mask", MaskVisualizer(blur=0.0)(np.abs(grey), grey.copy(), imshow=False))


if __name__ == "__main__":
    table()
    pictures()
    tokens()
    bert("eager")
    bert("sdpa")
    try:
        visualizers()
    except ImportError as missing:  # the old one wants tkinter, and parts of SciPy and matplotlib that are gone
        sys.stderr.write(f"no visualizers: {missing}\n")
    np.savez_compressed(sys.argv[1], **found)
