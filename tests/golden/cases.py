"""Named calls of everything public: what their numbers were before the package was rebuilt is what they must be after it.

A case is a name and a function. Names are plain texts that stay as they are when classes are renamed: rename the class in the function.
A case that ascribe refuses is stored as refused. Budgets are small: the numbers are to be the same, not good.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.compat.captum import attr
from ascribe.compat.captum import metrics as captum_metrics
from ascribe.compat.trulens.nn import attribution as tru
from ascribe.compat.trulens.nn import distributions as doi
from ascribe.compat.trulens.nn import quantities as qoi
from ascribe.compat.trulens.nn import slices
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.metrics import Infidelity, Sensitivity

from .nets import (
    IDS,
    MASK,
    OTHER_IDS,
    PICTURES,
    SERIES,
    Dense,
    Net,
    Picture,
    Series,
    Words,
    X,
    filled,
    mlp,
    numbers,
    table_function,
    tensor,
)

Case = Callable[[], Any]

NETS: dict[str, Net] = {
    "mlp": Net(mlp, (X,), inner="1", rows=tensor(4, 4, seed=11)),
    "cnn": Net(lambda: filled(Picture(), 2), (PICTURES,), inner="norm2", rows=tensor(4, 1, 8, 8, seed=12), picture=True),
    "tokens": Net(
        lambda: filled(Words(), 3), (IDS,), {"attention_mask": MASK}, "norm",
        asc.Call(OTHER_IDS, attention_mask=torch.ones_like(OTHER_IDS)),
    ),
    "lstm": Net(lambda: filled(Series(), 4), (SERIES,), inner="lstm", rows=tensor(4, 5, 3, seed=13)),
    "numpy": Net(
        lambda: Mlp((numbers(4, 5, seed=21) / 2, numbers(5, 3, seed=22)), (numbers(5, seed=23), numbers(3, seed=24)), "tanh"),
        (numbers(3, 4, seed=25),), inner="0", rows=numbers(4, 4, seed=26),
    ),
    "function": Net(lambda: table_function, (numbers(3, 4, seed=27),), rows=numbers(4, 4, seed=28), gradients=False),
}  # fmt: skip


@cache
def model(net: str) -> Any:
    """A network, made once."""
    return NETS[net].make()


@cache
def dense() -> torch.nn.Module:
    return filled(Dense(), 5)


@cache
def likely() -> torch.nn.Module:
    """A network that ends in a softmax."""
    return torch.nn.Sequential(mlp(), torch.nn.Softmax(1))


def rows(net: str) -> Any:
    return NETS[net].rows


def ask(verb: Callable[..., Any], net: str, **how: Any) -> Any:
    """A verb, or a method, at a network's own call."""
    return verb(model(net), *NETS[net].args, **NETS[net].kwargs, **how)


CASES: dict[str, Case] = {}


def add(name: str, case: Case) -> None:
    assert name not in CASES, name
    CASES[name] = case


# Named methods: by what a network is, so that backgrounds fit. The key is the name that the method had first.

GRADIENT: dict[str, Callable[[str], Any]] = {
    "Saliency": lambda n: asc.Saliency(),
    "Saliency signed": lambda n: asc.Saliency(signed=True),
    "InputXGradient": lambda n: asc.InputXGradient(),
    "IntegratedGradients": lambda n: asc.IntegratedGradients(steps=5),
    "IntegratedGradients tolerance": lambda n: asc.IntegratedGradients(tolerance=0.05),
    "IntegratedGradients from 0.3": lambda n: asc.IntegratedGradients(0.3, steps=4, quadrature="trapezoid"),
    "SmoothGrad": lambda n: asc.SmoothGrad(samples=4),
    "SmoothGrad absolute": lambda n: asc.SmoothGrad(samples=3, scale=0.2, relative=False),
    "SquareGrad": lambda n: asc.SquareGrad(samples=4),
    "VarGrad": lambda n: asc.VarGrad(samples=4),
    "ExpectedGradients": lambda n: asc.ExpectedGradients(rows(n), samples=6),
    "Conductance": lambda n: asc.Conductance(steps=5),
    "InternalInfluence": lambda n: asc.InternalInfluence(steps=4),
    "DeepLift": lambda n: asc.DeepLift(),
    "DeepLift RevealCancel": lambda n: asc.DeepLift(by=asc.rules.RevealCancel()),
    "DeepLift multipliers": lambda n: asc.DeepLift(0.2, multiply=False),
    "DeepLiftShap": lambda n: asc.DeepLiftShap(rows(n)),
    "DeepLiftShap drawn": lambda n: asc.DeepLiftShap(rows(n), samples=3),
    "LRP": lambda n: asc.LRP(),
    "LRP EPSILON_PLUS": lambda n: asc.LRP(asc.rules.EPSILON_PLUS),
    "RAP": lambda n: asc.RAP(),
    "GuidedBackprop": lambda n: asc.GuidedBackprop(),
    "Deconvolution": lambda n: asc.Deconvolution(),
    "AttnLRP": lambda n: asc.AttnLRP(),
    "AttnLRP smoothed": lambda n: asc.AttnLRP(asc.Gaussian(0.1, 3)),
    "CPLRP": lambda n: asc.CPLRP(),
    "LibraGrad": lambda n: asc.LibraGrad(),
    "LibraGrad along a line": lambda n: asc.LibraGrad(asc.Line(0.0, 3)),
    "RelP": lambda n: asc.RelP(),
    "GIM": lambda n: asc.GIM(),
    "LstmLRP": lambda n: asc.LstmLRP(),
}
for name, make in GRADIENT.items():
    for net, told in NETS.items():
        add(f"{name} | {net}", lambda make=make, net=net: ask(make(net), net))
        if told.inner is not None:
            add(f"{name} | {net} | inner", lambda make=make, net=net, at=told.inner: ask(make(net), net, at=at))

WHOLE: dict[str, Callable[[], Any]] = {
    "FullGradients": lambda: asc.FullGradDecomposition(),
    "FullGrad": lambda: asc.FullGrad(),
    "GradCam": lambda: asc.GradCam(),
    "GradCam without relu": lambda: asc.GradCam(relu=False),
    "GradCamPlusPlus": lambda: asc.GradCamPlusPlus(),
    "XGradCam": lambda: asc.XGradCam(),
    "HiResCam": lambda: asc.HiResCam(),
    "LayerCam": lambda: asc.LayerCam(),
    "EigenCam": lambda: asc.EigenCam(),
    "AblationCam": lambda: asc.AblationCam(),
    "ScoreCam": lambda: asc.ScoreCam(),
    "GuidedGradCam": lambda: asc.GuidedGradCam(),
}
for name, plain in WHOLE.items():
    for net in NETS:
        add(f"{name} | {net}", lambda plain=plain, net=net: ask(plain(), net))

AT_A_LAYER: dict[str, Callable[[str], Any]] = {
    "GradCam": lambda layer: asc.GradCam(layer),
    "GradCamPlusPlus": lambda layer: asc.GradCamPlusPlus(layer),
    "XGradCam": lambda layer: asc.XGradCam(layer, relu=False),
    "HiResCam": lambda layer: asc.HiResCam(layer, relu=False),
    "LayerCam": lambda layer: asc.LayerCam(layer),
    "EigenCam": lambda layer: asc.EigenCam(layer),
    "AblationCam": lambda layer: asc.AblationCam(layer),
    "ScoreCam": lambda layer: asc.ScoreCam(layer),
    "ScoreCam dark": lambda layer: asc.ScoreCam(layer, by=0.5),
    "GuidedGradCam": lambda layer: asc.GuidedGradCam(layer),
}
for name, make in AT_A_LAYER.items():
    for layer in ("conv1", "norm2"):
        add(f"{name} | cnn | {layer}", lambda make=make, layer=layer: ask(make(layer), "cnn", of=1))

REMOVAL: dict[str, Callable[[], Any]] = {
    "FeatureAblation": lambda: asc.FeatureAblation(),
    "FeatureAblation by 0": lambda: asc.FeatureAblation(0.0),
    "Occlusion": lambda: asc.Occlusion(2, 1),
    "Occlusion by 0": lambda: asc.Occlusion((2, 3), by=0.0),
    "FeaturePermutation": lambda: asc.FeaturePermutation(3),
    "ShapleyExact": lambda: asc.ShapleyExact(0.0),
    "ShapleySampling": lambda: asc.ShapleySampling(40, by=0.0),
    "KernelShap": lambda: asc.KernelShap(300, by=0.0),
    "Partition": lambda: asc.Partition(40, by=0.0),
    "Partition at random": lambda: asc.Partition(40, by=0.0, opened="random"),
    "Lime": lambda: asc.Lime(40, by=0.0),
    "Lime lasso": lambda: asc.Lime(40, by=0.0, lasso=0.01, width=0.5),
    "Rise": lambda: asc.Rise(40, 3, by=0.0),
    "SobolIndices": lambda: asc.SobolIndices(200, by=0.0),
    "Hsic": lambda: asc.Hsic(64, by=0.0),
}
for name, plain in REMOVAL.items():
    for net, told in NETS.items():
        add(f"{name} | {net}", lambda plain=plain, net=net: ask(plain(), net))
        if told.inner is not None:
            add(f"{name} | {net} | inner", lambda plain=plain, net=net, at=told.inner: ask(plain(), net, at=at))

# What the methods' call takes beside the model: quantities, seeds, chunks.

add("IntegratedGradients | mlp | labels", lambda: ask(asc.IntegratedGradients(steps=4), "mlp", of=[2, 0, 1]))
add(
    "IntegratedGradients | mlp | several",
    lambda: ask(asc.IntegratedGradients(steps=4), "mlp", of=[asc.Unit(0), asc.PredictedClass(), asc.Prob(1)]),
)
add("IntegratedGradients | mlp | chunk 2", lambda: ask(asc.IntegratedGradients(steps=5), "mlp", chunk=2))
add("SmoothGrad | cnn | seed 3 chunk 4", lambda: ask(asc.SmoothGrad(samples=5), "cnn", seed=3, chunk=4))
add("ExpectedGradients | mlp | seed 5", lambda: ask(asc.ExpectedGradients(rows("mlp"), 5), "mlp", seed=5))
add("KernelShap | mlp | seed 5 chunk 7", lambda: ask(asc.KernelShap(13, by=0.0), "mlp", seed=5, chunk=7))
add("KernelShap | cnn | grid", lambda: ask(asc.KernelShap(200, by=0.0, features=asc.Grid(4)), "cnn"))
add("KernelShap | cnn | grid tolerance", lambda: ask(asc.KernelShap(800, by=0.0, features=asc.Grid(4), tolerance=0.2), "cnn"))
add("ShapleyExact | cnn | grid", lambda: ask(asc.ShapleyExact(by=0.0, features=asc.Grid(3)), "cnn"))
add("ShapleyExact | tokens | mask token", lambda: ask(asc.ShapleyExact(by=asc.MaskToken(11)), "tokens", of=1))
add(
    "IntegratedGradients | tokens | mask tokens",
    lambda: ask(asc.IntegratedGradients(asc.distributions.MaskedTokens(11, keep=(0,)), 4), "tokens"),
)
add("GIM | tokens | mask tokens", lambda: ask(asc.GIM(asc.distributions.MaskedTokens(11)), "tokens", of=2))
add("Conductance | mlp | from rows", lambda: ask(asc.Conductance(rows("mlp")[:1], 6), "mlp", at="2"))
add("Activation | cnn | all", lambda: ask(asc.LayerActivation(), "cnn", at=["conv1", "norm2", "head"]))
for net, told in NETS.items():
    if told.inner is not None:
        add(f"Activation | {net}", lambda net=net, at=told.inner: ask(asc.LayerActivation(), net, at=at))
        add(f"activation | {net} | in", lambda net=net, at=told.inner: ask(asc.activation, net, at=asc.Cut(at, "in")))


def add_both(name: str, net: str, **how: Any) -> None:
    """A case of the verb, and the same of influence. Arguments that are functions without an argument are called."""
    for verb_name, verb in (("attribute", asc.attribute), ("influence", asc.influence)):
        add(f"{verb_name} | {net} | {name}", lambda verb=verb: ask(verb, net, **{k: v() for k, v in how.items()}))


# Distributions

QUADRATURES = ("gauss-legendre", "trapezoid", "riemann-left", "riemann-right", "riemann-middle", "even", "random")
OVER: dict[str, Callable[[str], Any]] = {
    "nothing": lambda n: None,
    "Point": lambda n: asc.Point(),
    **{f"Line {q}": lambda n, q=q: asc.Line(0.1, 4, q) for q in QUADRATURES},
    "Line zeros": lambda n: asc.Line("zeros", 3),
    "Line mean": lambda n: asc.Line("mean", 3),
    "Line blur": lambda n: asc.Line("blur", 3),
    "Line uniform": lambda n: asc.Line("uniform", 3),
    "Line stepwise": lambda n: asc.Line(0.0, 4, stepwise=True),
    "Line tolerance": lambda n: asc.Line(0.0, tolerance=0.02),
    "Gaussian": lambda n: asc.Gaussian(0.1, 3),
    "Gaussian relative": lambda n: asc.Gaussian(0.1, 3, relative=True),
    "Uniform": lambda n: asc.Uniform(0.1, 3),
    "Uniform relative": lambda n: asc.Uniform(0.1, 3, relative=True),
    "Background": lambda n: asc.Background(rows(n)),
    "Background drawn": lambda n: asc.Background(rows(n), 3),
    "Background Line": lambda n: asc.Background(rows(n), 3) * asc.Line(steps=2),
    "Background Line random": lambda n: asc.Background(rows(n), 3) * asc.Line(steps=2, quadrature="random"),
    "Gaussian Line": lambda n: asc.Gaussian(0.1, 2) * asc.Line(0.0, 3),
    "Uniform Background": lambda n: asc.Uniform(0.1, 2) * asc.Background(rows(n), 2),
    "Point Line": lambda n: asc.Point() * asc.Line(0.0, 2),
    "Reference": lambda n: asc.Reference(0.1),
    "Shuffled": lambda n: asc.Background(asc.distributions.Shuffled(2), 3),
    "Shuffled letters": lambda n: asc.Background(asc.distributions.Shuffled(1, axis=2, keep=(0,)), 2),
}  # fmt: skip
for name, make in OVER.items():
    for net in ("mlp", "cnn", "tokens", "lstm", "numpy"):
        add_both(f"over {name}", net, over=lambda make=make, net=net: make(net), seed=lambda: 2)
add_both("over Points", "mlp", over=lambda: asc.Points(tensor(2, 3, 4, seed=41)))
add_both("over Points at a layer", "mlp", over=lambda: asc.Points(tensor(2, 3, 6, seed=42), at=asc.Cut("1")), at=lambda: "2")
add_both("over Points at the same layer", "mlp", over=lambda: asc.Points(tensor(2, 1, 6, seed=43), at=asc.Cut("0")), at=lambda: "0")
add_both("over Line at a layer", "mlp", over=lambda: asc.Line(0.0, 3, at=asc.Cut("0")), at=lambda: "2")
add_both("over Line at a layer itself", "cnn", over=lambda: asc.Line(0.0, 3, at=asc.Cut("norm2")), at=lambda: "norm2")
add_both("over Gaussian at a layer", "mlp", over=lambda: asc.Gaussian(0.2, 3, at=asc.Cut("0")), at=lambda: "2")
add_both("over Gaussian at several", "mlp", over=lambda: asc.Gaussian(0.2, 3), at=lambda: ["0", asc.INPUT, "3"])
add_both("over mask tokens", "tokens", over=lambda: asc.Line(asc.distributions.MaskedTokens(11), 3))
add_both("over a function", "mlp", over=lambda: asc.Line(lambda x: x * 0.5, 3))
add_both("over a call", "mlp", over=lambda: asc.Line(asc.Call(X * 0.25 + 1), 3))
add_both("over rows of each record", "mlp", over=lambda: asc.Line(tensor(3, 4, seed=44), 3))
add(
    "activation | mlp | over Points", lambda: ask(asc.activation, "mlp", at="4", over=asc.Points(tensor(2, 3, 6, seed=42), at=asc.Cut("1")))
)

# Cuts

for net, at in (("mlp", "2"), ("cnn", "conv2"), ("tokens", "embed"), ("tokens", "value"), ("lstm", "head"), ("numpy", "1")):
    add_both(f"at {at} in", net, at=lambda at=at: asc.Cut(at, "in"))
    add_both(f"at {at} out", net, at=lambda at=at: asc.Cut(at))
for verb_name, verb in (("attribute", asc.attribute), ("influence", asc.influence)):
    add(f"{verb_name} | softmax | at LOGITS", lambda verb=verb: verb(likely(), X, at=asc.LOGITS, of=1))
    add(f"{verb_name} | softmax | of Unit on LOGITS", lambda verb=verb: verb(likely(), X, of=asc.Unit(1, on=asc.LOGITS)))
add_both("at OUTPUT", "mlp", at=lambda: asc.OUTPUT)
add_both("at EMBEDDINGS", "tokens", at=lambda: asc.EMBEDDINGS)
add_both("at several", "cnn", at=lambda: ["conv1", asc.INPUT, "head"])
add_both("at an accessor", "lstm", at=lambda: asc.Cut("lstm", accessor=0))

# Quantities

OF: dict[str, Callable[[], Any]] = {
    "1": lambda: 1,
    "-1": lambda: -1,
    "(2,)": lambda: (2,),
    "list": lambda: [2, 0, 1],
    "Max": lambda: asc.PredictedClass(),
    "Unit": lambda: asc.Unit(2),
    "Labels": lambda: asc.Labels((0, 2, 1)),
    "Contrast": lambda: asc.Contrast(0, 2),
    "LogProb": lambda: asc.LogProb(1),
    "LogProb likeliest": lambda: asc.LogProb(),
    "LogProb each": lambda: asc.LogProb((0, 1, 2)),
    "Prob": lambda: asc.Prob(1),
    "Prob likeliest": lambda: asc.Prob(),
    "Total": lambda: asc.Total(),
    "Threshold": lambda: asc.Threshold(0.2),
    "Threshold turned": lambda: asc.Threshold(0.2, low_minus_high=True),
    "Channel": lambda: asc.Channel(1),
    "function": lambda: lambda y: y[:, 0] * y[:, 1],
    "Custom several": lambda: asc.quantities.Custom(lambda y: [y[:, 0] ** 2, y[:, 1]]),
    "several": lambda: [asc.Unit(0), asc.Contrast(1, 2), asc.PredictedClass()],
}  # fmt: skip
for name, make_of in OF.items():
    for net in ("mlp", "cnn", "tokens", "numpy"):
        add_both(f"of {name}", net, of=make_of, over=lambda: asc.Line(0.0, 3))
    add(
        f"attribute | function | of {name}",
        lambda make_of=make_of: ask(asc.attribute, "function", of=make_of(), over=asc.coalitions.Exact(), by=0.0),
    )
INSIDE: dict[str, Callable[[], Any]] = {
    "Unit on a layer": lambda: asc.Unit(1, on=asc.Cut("head", "in")),
    "Unit of a map": lambda: asc.Unit(1, 2, 3, on=asc.Cut("norm1")),
    "Channel sum": lambda: asc.Channel(1, on=asc.Cut("conv2")),
    "Channel mean": lambda: asc.Channel(1, "mean", on=asc.Cut("conv2")),
    "Channel max": lambda: asc.Channel(1, "max", on=asc.Cut("conv2")),
    "Total on a layer": lambda: asc.Total(on=asc.Cut("norm1")),
    "Together": lambda: asc.quantities.Custom(
        lambda pair: pair[0].sum((1, 2, 3)) + pair[1][:, 0], on=asc.cuts.JointCut.of("norm1", "head")
    ),
}
for name, make_of in INSIDE.items():
    add_both(f"of {name}", "cnn", of=make_of)
DENSE: dict[str, Callable[[], Any]] = {
    "Box": lambda: asc.Box(1, (1, 2, 4, 7)),
    "Mask": lambda: asc.Region(0, np.arange(64.0).reshape(8, 8) / 64),
    "Mask each": lambda: asc.Region(2, np.arange(192.0).reshape(3, 8, 8) % 5),
    "Channel": lambda: asc.Channel(0, "mean"),
    "Unit": lambda: asc.Unit(1, 3, 4),
    "Threshold": lambda: asc.Threshold(0.1),
}
for name, make_of in DENSE.items():
    for verb_name, verb in (("attribute", asc.attribute), ("influence", asc.influence)):
        add(
            f"{verb_name} | dense | of {name}",
            lambda make_of=make_of, verb=verb: verb(dense(), PICTURES, of=make_of(), over=asc.Line(0, 2)),
        )

# Rules and rule books

BY: dict[str, Callable[[], Any]] = {
    "Gradient": lambda: asc.rules.Gradient(),
    "Rescale": lambda: asc.rules.Rescale(),
    "RevealCancel": lambda: asc.rules.RevealCancel(),
    "Epsilon": lambda: asc.rules.Epsilon(),
    "Epsilon large": lambda: asc.rules.Epsilon(0.1, bias=False),
    "Gamma": lambda: asc.rules.Gamma(),
    "Gamma generalised": lambda: asc.rules.Gamma(0.5, generalised=True),
    "AlphaBeta": lambda: asc.rules.AlphaBeta(),
    "AlphaBeta 3 2": lambda: asc.rules.AlphaBeta(3, 2, bias=False),
    "ZPlus": lambda: asc.rules.ZPlus(),
    "WSquare": lambda: asc.rules.WSquare(),
    "Flat": lambda: asc.rules.Flat(),
    "ZBox": lambda: asc.rules.ZBox(-4.0, 4.0),
    "Norm": lambda: asc.rules.Norm(),
    "Pass": lambda: asc.rules.Pass(),
    "Absolute": lambda: asc.rules.Absolute(),
    "Relative": lambda: asc.rules.RelativeAttributing(),
    "BetaSmooth": lambda: asc.rules.BetaSmooth(),
    "Guided": lambda: asc.rules.Guided(),
    "Deconv": lambda: asc.rules.Deconv(),
    "AttnLrp": lambda: asc.rules.AttnLRP(),
    "CpLrp": lambda: asc.rules.CPLRP(),
    "Libra": lambda: asc.rules.Libra(),
    "LstmLrp": lambda: asc.rules.LstmLRP(),
    "Gim": lambda: asc.rules.GIM(1.5),
    "EPSILON_PLUS": lambda: asc.rules.EPSILON_PLUS,
    "EPSILON_PLUS_FLAT": lambda: asc.rules.EPSILON_PLUS_FLAT,
    "EPSILON_ALPHA2_BETA1": lambda: asc.rules.EPSILON_ALPHA2_BETA1,
    "EPSILON_ALPHA2_BETA1_FLAT": lambda: asc.rules.EPSILON_ALPHA2_BETA1_FLAT,
    "EXCITATION_BACKPROP": lambda: asc.rules.EXCITATION_BACKPROP,
    "RELATIVE": lambda: asc.rules.RELATIVE_PROPAGATION,
    "epsilon_gamma_box": lambda: asc.rules.epsilon_gamma_box(-4.0, 4.0),
    "RuleBook": lambda: asc.rules.RuleBook(
        (
            (asc.rules.Where(position=0), asc.rules.WSquare()),
            (asc.rules.Where("dense", position=-1), asc.rules.Epsilon(1e-3)),
            ("dense", asc.rules.Gamma()),
        ),
        otherwise=asc.rules.Epsilon(0.01),
    ),
    "RuleBook of layers": lambda: asc.rules.RuleBook((("conv*", asc.rules.ZPlus()), ("norm*", asc.rules.Pass()))),
}


def told(table: Any) -> dict[str, Any]:
    """A table of rules as texts; of the rule only whether there is one, for its name may change."""
    lines = [" | ".join((*line[:4], "none" if line[4].startswith("none") else "a rule")) for line in table.lines()]
    return {"as it is": True, "lines": lines, "unused": [str(len(table.unused))], "notes": [str(len(table.notes))]}


for name, make_by in BY.items():
    for net in ("mlp", "cnn", "tokens", "lstm"):
        add_both(f"by {name}", net, by=make_by)
        add(f"attribute | {net} | by {name} inner", lambda n=net, b=make_by: ask(asc.attribute, n, by=b(), at=NETS[n].inner, of=1))
        add(f"explain_rules | {net} | {name}", lambda n=net, b=make_by: told(ask(asc.explain_rules, n, by=b())))
    add(f"attribute | numpy | by {name}", lambda b=make_by: ask(asc.attribute, "numpy", by=b()))
for net in ("mlp", "cnn", "tokens", "lstm"):
    add_both("by Rescale over Background", net, by=lambda: asc.rules.Rescale(), over=lambda net=net: asc.Background(rows(net)))
    add_both("by RevealCancel over a Line", net, by=lambda: asc.rules.RevealCancel(points=4), over=lambda: asc.Reference(0.2))
    add_both("by Epsilon over Gaussian", net, by=lambda: asc.rules.Epsilon(), over=lambda: asc.Gaussian(0.1, 3))

# Coalitions

GAMES: dict[str, Callable[[], Any]] = {
    "LeaveOneOut": lambda: asc.coalitions.LeaveOneOut(),
    "LeaveOneOut alone": lambda: asc.coalitions.LeaveOneOut(alone=True),
    "Exact": lambda: asc.coalitions.Exact(),
    "Exact banzhaf": lambda: asc.coalitions.Exact("banzhaf"),
    "Banzhaf": lambda: asc.coalitions.Banzhaf(40),
    "Banzhaf unpaired": lambda: asc.coalitions.Banzhaf(40, paired=False),
    "Leverage": lambda: asc.coalitions.Leverage(40),
    "Leverage rough": lambda: asc.coalitions.Leverage(40, smooth=False),
    "ShapleyKernel": lambda: asc.coalitions.ShapleyRegression(40),
    "ShapleyKernel unpaired": lambda: asc.coalitions.ShapleyRegression(40, paired=False),
    "ShapleyKernel smooth": lambda: asc.coalitions.ShapleyRegression(40, smooth=True),
    "Permutations": lambda: asc.coalitions.Permutations(40),
    "Permutations circles": lambda: asc.coalitions.Permutations(140, "circles"),
    "Permutations independent": lambda: asc.coalitions.Permutations(40, "independent"),
    "Permutations tolerance": lambda: asc.coalitions.Permutations(400, tolerance=0.2),
    "Owen": lambda: asc.coalitions.Owen(40),
    "Owen random": lambda: asc.coalitions.Owen(40, "random"),
    "Interactions": lambda: asc.coalitions.Interactions(300),
    "Interactions taylor": lambda: asc.coalitions.Interactions(300, "taylor"),
    "Interactions faith": lambda: asc.coalitions.Interactions(300, "faith"),
    "Random": lambda: asc.coalitions.RandomCoalitions(40),
    "Random 0.3": lambda: asc.coalitions.RandomCoalitions(40, 0.3),
    "SmoothMasks": lambda: asc.coalitions.SmoothMasks(40, 2),
    "Surrogate": lambda: asc.coalitions.LinearSurrogate(40),
    "Surrogate euclidean": lambda: asc.coalitions.LinearSurrogate(40, "euclidean", 2.0),
    "Surrogate hamming lasso": lambda: asc.coalitions.LinearSurrogate(40, "hamming", lasso=0.02, p=0.6),
    "TotalIndices": lambda: asc.coalitions.TotalSobolIndices(200),
    "Dependence": lambda: asc.coalitions.HsicIndices(64),
    "Dependence width": lambda: asc.coalitions.HsicIndices(64, 0.7),
}
SHAPES: dict[str, Callable[[], Any]] = {
    "mlp": lambda: None,
    "cnn": lambda: asc.Grid(3),
    "tokens": lambda: None,
    "lstm": lambda: asc.Segments(4),
    "numpy": lambda: None,
    "function": lambda: asc.Columns({"both": [0, 2]}),
}
for name, make_game in GAMES.items():
    for net, shape in SHAPES.items():
        by = (lambda: asc.MaskToken(11)) if net == "tokens" else (lambda: 0.0)
        add(
            f"attribute | {net} | over {name}",
            lambda net=net, g=make_game, s=shape, by=by: ask(asc.attribute, net, over=g(), by=by(), features=s(), seed=1, of=1),
        )
    add(
        f"attribute | cnn | over {name} of ten",
        lambda g=make_game: ask(asc.attribute, "cnn", over=g(), by=0.1, features=asc.Grid((2, 5)), of=[asc.Unit(0), asc.Prob(1)]),
    )
    add(f"attribute | mlp | over {name} at a layer", lambda g=make_game: ask(asc.attribute, "mlp", over=g(), by=0.0, at="1", chunk=9))

# Removals

BLACK: dict[str, Callable[[str], Any]] = {
    "default": lambda n: None,
    "number": lambda n: 0.5,
    "Replace": lambda n: asc.Replace(0.25),
    "Replace mean": lambda n: asc.Replace("mean"),
    "Replace blur": lambda n: asc.Replace("blur"),
    "Replace function": lambda n: asc.Replace(lambda *a, **k: a[0] * 0),
    "Resample": lambda n: asc.Resample(rows(n)),
    "Resample drawn": lambda n: asc.Resample(rows(n), 2),
    "Nearest": lambda n: asc.removal.Nearest(rows(n), 2),
    "Permute": lambda n: asc.removal.Permute(2),
    "Blur": lambda n: asc.Blur(1.0),
    "Mean": lambda n: asc.Mean(),
    "Noise": lambda n: asc.removal.Noise(0.5, 3),
    "Noise around": lambda n: asc.removal.Noise(0.5, 2, around=True),
    "Inpaint": lambda n: asc.Inpaint(),
    "Patch": lambda n: asc.removal.Patch(
        asc.Call(*(a.flip(0) if isinstance(a, torch.Tensor) else a[::-1] for a in NETS[n].args), **NETS[n].kwargs)
    ),
    "MaskToken": lambda n: asc.MaskToken(11, keep=(0,)),
    "Drop": lambda n: asc.Drop(),
    "Drop keep": lambda n: asc.Drop(keep=(3, 4, 8)),
}
for name, make in BLACK.items():
    for net, shape in SHAPES.items():
        if net == "numpy" and name.startswith("Drop"):
            continue  # a ValueError out of the NumPy backend when this was recorded, neither numbers nor a refusal
        for game, over in (
            ("alone", lambda: asc.coalitions.LeaveOneOut(alone=True)),
            ("kernel", lambda: asc.coalitions.ShapleyRegression(30)),
        ):
            add(
                f"attribute | {net} | by {name} {game}",
                lambda net=net, make=make, s=shape, o=over: ask(asc.attribute, net, over=o(), by=make(net), features=s(), seed=4),
            )
    add(
        f"attribute | mlp | by {name} at a layer",
        lambda make=make: ask(asc.attribute, "mlp", over=asc.coalitions.Exact(), by=make("mlp"), at="1"),
    )
add(
    "attribute | mlp | by each of two",
    lambda: ask(asc.attribute, "mlp", over=asc.coalitions.LeaveOneOut(), by=[0.0, asc.removal.Noise(1.0, 2)], at=["0", "2"]),
)
add(
    "attribute | mlp | by Resample of a layer",
    lambda: ask(asc.attribute, "mlp", over=asc.coalitions.Exact(), by=asc.Resample(tensor(4, 6)), at="1"),
)
add(
    "attribute | mlp | by Nearest of a layer",
    lambda: ask(asc.attribute, "mlp", over=asc.coalitions.Exact(), by=asc.removal.Nearest(tensor(4, 6), 2), at="1"),
)

# Features

FEATURES: dict[str, tuple[str, Callable[[], Any]]] = {
    "Automatic": ("cnn", lambda: asc.features.Automatic()),
    "Automatic table": ("mlp", lambda: asc.features.Automatic()),
    "Each": ("mlp", lambda: asc.features.EachElement()),
    "Channels": ("lstm", lambda: asc.features.Channels(2)),
    "channels": ("lstm", lambda: asc.features.Channels(1)),
    "Columns": ("function", lambda: asc.Columns()),
    "Columns named": ("function", lambda: asc.Columns({"a": ["w", "z"]}, ("w", "x", "y", "z"))),
    "Grid": ("cnn", lambda: asc.Grid((2, 3))),
    "grid": ("cnn", lambda: asc.Grid(2)),
    "Hierarchy": ("mlp", lambda: asc.features.Hierarchy(((0, 1), (2, 3)))),
    "Hierarchy of columns": ("function", lambda: asc.features.Hierarchy(((0, 1), 2), asc.Columns({"a": [0, 3]}))),
    "Masks": ("mlp", lambda: asc.features.Masks(np.array([0, 1, 0, -1]))),
    "Masks of a picture": ("cnn", lambda: asc.features.Masks(np.arange(64).reshape(1, 8, 8) // 13)),
    "ids": ("mlp", lambda: np.array([0, 0, 1, 2])),
    "Pixels": ("cnn", lambda: asc.features.Pixels()),
    "Segments": ("lstm", lambda: asc.Segments(3)),
    "segments along an axis": ("lstm", lambda: asc.Segments(2, axis=2)),
    "Superpixels": ("cnn", lambda: asc.Superpixels(6)),
    "superpixels felzenszwalb": ("cnn", lambda: asc.Superpixels(6, "felzenszwalb")),
    "Tokens": ("tokens", lambda: asc.Tokens()),
    "tokens of words": ("tokens", lambda: asc.Tokens([[0, 0, 1, 2, 2], [0, 1, 1, None, None], [0, 1, 2, 2, None]])),
    "Windows": ("cnn", lambda: asc.Windows((4, 3), 2)),
    "windows of a series": ("lstm", lambda: asc.Windows((2, 3), 1)),
}
for name, (net, shape) in FEATURES.items():
    for game, over in (
        ("leave", lambda: asc.coalitions.LeaveOneOut()),
        ("owen", lambda: asc.coalitions.Owen(30)),
        ("orders", lambda: asc.coalitions.Permutations(60)),
        ("masks", lambda: asc.coalitions.SmoothMasks(20, 2)),
    ):
        by = (lambda: asc.MaskToken(11)) if net == "tokens" else (lambda: 0.0)
        add(
            f"features | {net} | {name} {game}",
            lambda net=net, s=shape, o=over, by=by: ask(asc.attribute, net, over=o(), by=by(), features=s(), seed=3, of=0),
        )
add(
    "attribute | black box | over Exact",
    lambda: asc.attribute(asc.BlackBox(table_function), X.numpy(), over=asc.coalitions.Exact(), by=0.0),
)


def played(over: Any, players: Any) -> dict[str, Any]:
    """The estimate of a game of its own, with no model in it."""
    weights = numbers(players.count, seed=51)
    game = over.game(players, 3)
    while (there := game.ask(16)) is not None:
        game.tell(there, np.tanh(np.asarray(there, float) @ weights)[None, :, None])
    found = game.estimate()
    return {"values": found.values, "error": found.error}


for name, make_game in GAMES.items():
    add(f"game | five | {name}", lambda g=make_game: played(g(), asc.coalitions.Players(5)))
    add(f"game | tree | {name}", lambda g=make_game: played(g(), asc.coalitions.Players(6, ((0, 1), (2, (3, 4)), 5))))
    add(f"game | shape | {name}", lambda g=make_game: played(g(), asc.coalitions.Players(12, None, (3, 4))))

# Results: arithmetic, parts, pooling


def whole(**how: Any) -> Any:
    return ask(asc.attribute, "cnn", over=asc.Line(0.0, 3), **how)


DERIVED: dict[str, Callable[[], Any]] = {
    "records": lambda: whole().records([2, 0]),
    "quantity_at": lambda: whole(of=[asc.Unit(0), asc.Unit(1)]).quantity_at(1),
    "part": lambda: whole(at=["conv1", asc.INPUT]).part(1),
    "add": lambda: whole(of=0) + whole(of=1),
    "sub": lambda: whole(of=0) - whole(of=1),
    "mul": lambda: whole() * 2.5,
    "div": lambda: whole() / 4,
    "abs": lambda: whole().abs(),
}
for name, plain in DERIVED.items():
    add(f"result | {name}", plain)

# The model's places, costs, rules


def places(net: str) -> dict[str, Any]:
    """Every place of a network, as texts."""
    found = ask(asc.cuts_of, net)
    return {"as it is": True, "places": [f"{p.cut.layer} {p.cut.anchor} {p.kind} {[*map(list, p.shapes)]} {p.calls}" for p in found]}


def cost(net: str, **how: Any) -> dict[str, Any]:
    """The rows that a call would take; the rest of an estimate is the machine's."""
    found = ask(asc.estimate, net, **how)
    return {"forward": found.forward_rows, "backward": found.backward_rows}


for net, told_ in NETS.items():
    add(f"cuts_of | {net}", lambda net=net: places(net))
    add(f"estimate | {net} | Exact", lambda net=net: cost(net, over=asc.coalitions.Exact(), by=0))
    if told_.gradients:
        add(f"estimate | {net} | Line", lambda net=net: cost(net, over=asc.Line(0.0, 7)))
        add(f"estimate | {net} | Background", lambda net=net: cost(net, over=asc.Background(rows(net)) * asc.Line(steps=2)))

# Metrics

for net in ("mlp", "cnn", "lstm", "numpy"):
    for norm in (False, True):
        add(
            f"Infidelity | {net} | normalize {norm}",
            lambda net=net, norm=norm: ask(
                lambda m, *a, **k: Infidelity(0.05, 6, norm)(asc.InputXGradient()(m, *a, of=1), m, *a, of=1, seed=3, **k).values, net
            ),
        )
    for reduce in ("max", "mean"):
        add(
            f"Sensitivity | {net} | {reduce}",
            lambda net=net, r=reduce: ask(lambda m, *a, **k: Sensitivity(0.05, 4, r)(asc.Saliency(), m, *a, of=1, seed=3, **k).values, net),
        )

# captum's names


def cap(name: str, net: str = "mlp", layer: str = "", init: Any = (), seed: int | None = None, **how: Any) -> Any:
    """A class of captum's at a network; noise comes from the global generators, which are seeded here."""
    np.random.seed(0 if seed is None else seed)
    torch.manual_seed(0 if seed is None else seed)
    net_ = model(net)
    args = (net_, net_.get_submodule(layer)) if layer else (net_,)
    inputs = NETS[net].args[0].clone()
    return getattr(attr, name)(*args, **dict(init)).attribute(inputs, **how)


def smoothed(kind: str) -> Any:
    """Noise around integrated gradients."""
    np.random.seed(0)
    torch.manual_seed(0)
    method = attr.NoiseTunnel(attr.IntegratedGradients(model("mlp")))
    return method.attribute(X.clone(), nt_type=kind, nt_samples=3, stdevs=0.1, target=1, n_steps=4)


BACK, STEPS = tensor(4, 4, seed=11), {"target": 1, "n_steps": 5}
CAPTUM: dict[str, Case] = {
    "Saliency": lambda: cap("Saliency", target=1),
    "Saliency signed": lambda: cap("Saliency", "cnn", target=[1, 0, 2], abs=False),
    "InputXGradient": lambda: cap("InputXGradient", target=1),
    "IntegratedGradients": lambda: cap("IntegratedGradients", return_convergence_delta=True, **STEPS),
    "IntegratedGradients riemann": lambda: cap("IntegratedGradients", "cnn", method="riemann_trapezoid", baselines=0.1, **STEPS),
    "DeepLift": lambda: cap("DeepLift", target=1, baselines=0.1, return_convergence_delta=True),
    "DeepLiftShap": lambda: cap("DeepLiftShap", target=1, baselines=BACK),
    "GradientShap": lambda: cap("GradientShap", target=1, baselines=BACK, n_samples=4, stdevs=0.1),
    "GuidedBackprop": lambda: cap("GuidedBackprop", "cnn", target=1),
    "Deconvolution": lambda: cap("Deconvolution", "cnn", target=1),
    "GuidedGradCam": lambda: cap("GuidedGradCam", "cnn", "conv2", target=1),
    "LRP": lambda: cap("LRP", target=1),
    "FeatureAblation": lambda: cap("FeatureAblation", target=1, baselines=0.2),
    "FeaturePermutation": lambda: cap("FeaturePermutation", target=1),
    "Occlusion": lambda: cap("Occlusion", "cnn", target=1, sliding_window_shapes=(1, 3, 3), strides=(1, 2, 2)),
    "ShapleyValues": lambda: cap("ShapleyValues", target=1),
    "ShapleyValueSampling": lambda: cap("ShapleyValueSampling", target=1, n_samples=6),
    "KernelShap": lambda: cap("KernelShap", target=1, n_samples=30),
    "Lime": lambda: cap("Lime", target=1, n_samples=30),
    "InternalInfluence": lambda: cap("InternalInfluence", layer="1", **STEPS),
    "LayerActivation": lambda: cap("LayerActivation", "cnn", "conv2"),
    "LayerGradientXActivation": lambda: cap("LayerGradientXActivation", layer="1", target=1),
    "LayerGradCam": lambda: cap("LayerGradCam", "cnn", "conv2", target=1, relu_attributions=True),
    "LayerConductance": lambda: cap("LayerConductance", layer="1", **STEPS),
    "LayerIntegratedGradients": lambda: cap("LayerIntegratedGradients", layer="1", **STEPS),
    "LayerDeepLift": lambda: cap("LayerDeepLift", layer="1", target=1),
    "LayerDeepLiftShap": lambda: cap("LayerDeepLiftShap", layer="1", target=1, baselines=BACK),
    "LayerGradientShap": lambda: cap("LayerGradientShap", layer="1", target=1, baselines=BACK, n_samples=3),
    "LayerLRP": lambda: cap("LayerLRP", layer="2", target=1),
    "LayerFeatureAblation": lambda: cap("LayerFeatureAblation", layer="1", target=1),
    "LayerFeaturePermutation": lambda: cap("LayerFeaturePermutation", layer="1", target=1),
    "NeuronGradient": lambda: cap("NeuronGradient", layer="2", neuron_selector=1),
    "NeuronConductance": lambda: cap("NeuronConductance", layer="2", neuron_selector=1, **STEPS),
    "NeuronIntegratedGradients": lambda: cap("NeuronIntegratedGradients", layer="2", neuron_selector=1, n_steps=5),
    "NeuronDeepLift": lambda: cap("NeuronDeepLift", layer="2", neuron_selector=1),
    "NeuronDeepLiftShap": lambda: cap("NeuronDeepLiftShap", layer="2", neuron_selector=1, baselines=BACK),
    "NeuronGradientShap": lambda: cap("NeuronGradientShap", layer="2", neuron_selector=1, baselines=BACK, n_samples=3),
    "NeuronGuidedBackprop": lambda: cap("NeuronGuidedBackprop", layer="2", neuron_selector=1),
    "NeuronDeconvolution": lambda: cap("NeuronDeconvolution", layer="2", neuron_selector=1),
    "NeuronFeatureAblation": lambda: cap("NeuronFeatureAblation", layer="2", neuron_selector=1),
    "NoiseTunnel smoothgrad": lambda: smoothed("smoothgrad"),
    "NoiseTunnel smoothgrad_sq": lambda: smoothed("smoothgrad_sq"),
    "NoiseTunnel vargrad": lambda: smoothed("vargrad"),
    "sensitivity_max": lambda: (
        torch.manual_seed(0), np.random.seed(0),
        captum_metrics.sensitivity_max(attr.Saliency(model("mlp")).attribute, X.clone(), target=1, n_perturb_samples=3),
    )[-1],
}  # fmt: skip
for name, plain in CAPTUM.items():
    add(f"captum | {name}", plain)

# trulens' names


@cache
def wrapper() -> Any:
    return get_model_wrapper(model("mlp"), device="cpu")


def noisy() -> Any:
    """Points from NumPy's global generator."""
    np.random.seed(3)
    return tru.InternalInfluence(wrapper(), slices.InputCut(), 1, doi.GaussianDoi(0.04, 4)).attributions(X)


TRULENS: dict[str, Case] = {
    "InputAttribution": lambda: tru.InputAttribution(wrapper(), qoi=1).attributions(X),
    "InputAttribution gradient": lambda: tru.InputAttribution(wrapper(), multiply_activation=False).attributions(X),
    "IntegratedGradients": lambda: tru.IntegratedGradients(wrapper(), resolution=6, qoi=1).attributions(X),
    "IntegratedGradients baseline": lambda: tru.IntegratedGradients(wrapper(), X[:1].numpy() + 0.5, 5, qoi=(2, 0)).attributions(X),
    "linear": lambda: tru.InternalInfluence(wrapper(), slices.Cut("1"), 1, doi.LinearDoi(None, 4), False).attributions(X),
    "slice": lambda: tru.InternalInfluence(
        wrapper(), slices.Slice(slices.Cut("1"), slices.OutputCut()), qoi.MaxClassQoI(), "point"
    ).attributions(X),
    "noise": noisy,
    "threshold": lambda: tru.InputAttribution(wrapper(), None, qoi.ThresholdQoI(0.3)).attributions(X),
    "comparative": lambda: tru.InputAttribution(wrapper(), None, qoi.ComparativeQoI(1, 2)).attributions(X),
    "channels": lambda: tru.InputAttribution(wrapper(), None, qoi.InternalChannelQoI([0, 2])).attributions(X),
    "two quantities": lambda: tru.InputAttribution(wrapper(), None, qoi.LambdaQoI(lambda y: [y[:, 0], y[:, 1]])).attributions(X),
    "fprop": lambda: wrapper().fprop((X,), to_cut=slices.Cut("1")),
    "bprop": lambda: wrapper().qoi_bprop(qoi.ClassQoI(1), (X,), attribution_cut=slices.Cut("1")),
}
for name, plain in TRULENS.items():
    add(f"trulens | {name}", plain)

# Noise out of PyTorch's own generator, made normal by other instructions on other processors.
DRAWN = ("NoiseTunnel", "GradientShap")
LOOSE: dict[str, float] = {f"captum | {name}": 1e-6 for name in CAPTUM if any(word in name for word in DRAWN)}
# The gap of a path through a smooth quantity is a difference of its sum and its change, 10,000 times smaller than both: rounding of
# exponentials, which differs between processors, is 1e-6 of it.
LOOSE |= {name: 5e-6 for name in CASES if name.startswith("attribute | numpy | of Prob")}
"""Cases that may be off by more than 1e-8 of an array's largest value, with the reason beside each."""
