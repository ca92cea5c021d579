"""The same call to captum and to ``ascribe.compat.captum``: one row for each class, on the network of the other tables and on two BERTs.

Objects are made before the clock starts; the model is the same for both, and each has been run once before. Where captum refuses a
model for a reason that can be taken away, both get the model without it: LRP one whose flattening is a function,
LayerFeaturePermutation one that gives a single number.
"""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import models
from benchmarks.timing import Contender, Effort, Spread, Watch, paired, rounds, spread

LIBRARIES = {"captum": "captum.attr", "ascribe": "ascribe.compat.captum.attr"}
STEPS, SAMPLES = 16, 16
HOMES = ("CNN", "BERT", "BERT-small")


@dataclass(frozen=True)
class Home:
    """A model and captum's arguments for it."""

    name: str
    model: nn.Module
    inputs: Tensor
    more: Any
    target: Tensor | None
    layer: str
    neuron: Any
    mask: Tensor
    rows: Tensor
    window: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Same:
    """One row: how long each took, and how many times ascribe's time fits into captum's; ``error`` says why one of them refused."""

    name: str
    home: str
    seconds: Mapping[str, Spread] = field(default_factory=dict)
    ratio: Spread | None = None
    error: str = ""


class Embedded(nn.Module):
    """A BERT classifier whose inputs are embeddings."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.model(inputs_embeds=embeddings, attention_mask=mask).logits
        return found


class Flattened(nn.Module):
    """The convolutional network, its flattening a function: captum's LRP has no rule for the module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        layers = list(model.named_children())
        at = [name for name, _ in layers].index("flat")
        self.body, self.head = (nn.Sequential(OrderedDict(part)) for part in (layers[:at], layers[at + 1 :]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(x).flatten(1))
        return found


class Chosen(nn.Module):
    """A model of one number for each record: captum's LayerFeaturePermutation takes the target of a target, and refuses."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Tensor) -> Tensor:
        found: Tensor = self.model(*args)
        return found[:, 0]


def cnn(image: int, batch: int) -> Home:
    """The convolutional network, with a grid of 16 features."""
    subject = models.cnn("cpu", image, batch)
    side = torch.arange(image) * 4 // image
    mask = (side[:, None] * 4 + side).expand(1, 3, image, image).contiguous()
    window = (3, image // 4, image // 4)
    rows = subject.extras["background"][:4]
    return Home("CNN", subject.model, subject.args[0], None, subject.target, "relu4", (3, 2, 2), mask, rows, window, window)


def bert(tokens: int, batch: int, name: str = "BERT", width: int = 64) -> Home:
    """BERT from its embeddings on, four tokens to a feature."""
    subject = models.bert("cpu", tokens, batch, width)
    x, mask = subject.start(subject).detach(), subject.kwargs["attention_mask"]
    width = x.shape[-1]
    groups = (torch.arange(tokens) // 4).reshape(1, tokens, 1).expand(1, tokens, width).contiguous()
    model = Embedded(subject.model).eval()
    layer = "model.bert.encoder.layer.2.intermediate"
    return Home(name, model, x, (mask,), subject.target, layer, (3, 5), groups, torch.randn_like(x[:4]), (4, width), (4, width))


PLACES = ("Layer", "Neuron", "Internal", "Guided")
ALIKE: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("IntegratedGradients", "LayerIntegratedGradients", "NeuronIntegratedGradients"), {"n_steps": STEPS}),
    (("LayerConductance", "NeuronConductance", "InternalInfluence"), {"n_steps": STEPS}),
    (("GradientShap", "LayerGradientShap", "NeuronGradientShap"), {"n_samples": SAMPLES, "baselines": "rows"}),
    (("DeepLiftShap", "LayerDeepLiftShap", "NeuronDeepLiftShap"), {"baselines": "rows"}),
    (("FeatureAblation", "FeaturePermutation", "NeuronFeatureAblation"), {"feature_mask": "mask"}),
)
EXTRA: dict[str, dict[str, Any]] = {
    **{name: options for names, options in ALIKE for name in names},
    "ShapleyValueSampling": {"feature_mask": "mask", "n_samples": 4},
    "ShapleyValues": {"feature_mask": "few"},
    "KernelShap": {"feature_mask": "mask", "n_samples": 100},
    "Lime": {"feature_mask": "mask", "n_samples": 100},
    "Occlusion": {"sliding_window_shapes": "window", "strides": "stride"},
    "LayerFeatureAblation": {"layer_mask": "channels"},
    "LayerFeaturePermutation": {"layer_mask": "channels"},
    "NoiseTunnel": {"nt_samples": SAMPLES, "stdevs": 0.1},
}
CLASSES = (
    *("Saliency", "InputXGradient", "IntegratedGradients", "DeepLift", "DeepLiftShap", "GradientShap", "GuidedBackprop", "Deconvolution"),
    *("GuidedGradCam", "LRP", "FeatureAblation", "FeaturePermutation", "Occlusion", "ShapleyValueSampling", "ShapleyValues", "Lime"),
    *("KernelShap", "NoiseTunnel", "DataLoaderAttribution", "LayerActivation", "LayerGradientXActivation", "LayerGradCam"),
    *("LayerIntegratedGradients", "LayerConductance", "InternalInfluence", "LayerDeepLift", "LayerDeepLiftShap", "LayerGradientShap"),
    *("LayerFeatureAblation", "LayerFeaturePermutation", "LayerLRP", "NeuronGradient", "NeuronIntegratedGradients", "NeuronConductance"),
    *("NeuronDeepLift", "NeuronDeepLiftShap", "NeuronGradientShap", "NeuronGuidedBackprop", "NeuronDeconvolution"),
    "NeuronFeatureAblation",
)


NO_RECTIFIER = "no rectifier: captum gives the plain gradient, ascribe an error"
NO_RULES = "captum has no rule for embeddings and norms"
WHY = {
    **{("BERT", "ascribe", name): NO_RECTIFIER for name in ("GuidedBackprop", "Deconvolution", "GuidedGradCam")},
    **{("BERT", "captum", name): NO_RULES for name in ("LRP", "LayerLRP")},
}
"""The type of a refusal: TypeError, which ascribe's RuleError is in the facade too."""


def suited(name: str, home: Home) -> Home:
    """The home in the form that a class of captum accepts."""
    if name == "LayerFeaturePermutation":
        return replace(home, model=Chosen(home.model), layer=f"model.{home.layer}", target=None)
    if name not in ("LRP", "LayerLRP"):
        return home
    model = copy.deepcopy(home.model)  # captum's leaves rules of its own on it
    return replace(home, model=Flattened(model), layer="body.conv4") if home.name == "CNN" else replace(home, model=model)


def value(home: Home, word: Any) -> Any:
    """The argument of a home that a word in EXTRA means."""
    if word == "few":
        return home.mask // 4
    if word == "channels":
        held = held_at(home)
        axis = 1 if held.ndim == 4 else 2
        shape = [held.shape[axis] if i == axis else 1 for i in range(held.ndim)]
        return (torch.arange(held.shape[axis]) * 8 // held.shape[axis]).reshape(shape).expand(1, *held.shape[1:]).contiguous()
    return getattr(home, word) if isinstance(word, str) and hasattr(home, word) else word


def held_at(home: Home) -> Tensor:
    """The value of the layer of a home."""
    from captum.attr import LayerActivation

    found: Tensor = LayerActivation(home.model, home.model.get_submodule(home.layer)).attribute(home.inputs, home.more)
    return found


def contender(library: str, name: str, home: Home) -> Contender:
    """The call as users of the library write it."""
    where, home = import_module(LIBRARIES[library]), suited(name, home)
    layer = home.model.get_submodule(home.layer)
    more: dict[str, Any] = {} if home.more is None else {"additional_forward_args": home.more}
    if name == "NoiseTunnel":
        method: Any = where.NoiseTunnel(where.Saliency(home.model))
    elif name == "DataLoaderAttribution":
        method = where.DataLoaderAttribution(where.FeatureAblation(home.model))
        batches = DataLoader(TensorDataset(home.inputs, *(home.more or ())), batch_size=2)
        given = {"input_roles": (0, *(1 for _ in home.more or ())), "feature_mask": home.mask}
        return Contender(lambda: lambda: method.attribute(batches, **given))
    else:
        method = getattr(where, name)(home.model, *([layer] if name.startswith(PLACES) and name != "GuidedBackprop" else []))
    call = {key: value(home, word) for key, word in EXTRA.get(name, {}).items()} | more
    if not name.startswith("Neuron") and name != "LayerActivation":
        call["target"] = home.target
    if name == "NeuronConductance":
        call["target"] = home.target
    if name.startswith("Neuron"):
        call["neuron_selector"] = home.neuron
    return Contender(lambda: lambda: method.attribute(home.inputs, **call))


def same_calls(effort: Effort, watch: Watch, image: int = 64, tokens: int = 32, batch: int = 4, only: str = "") -> Iterator[Same]:
    """Yields every row, and writes a line to stderr as each is done."""
    for home in (cnn(image, batch), bert(tokens, batch), bert(tokens, batch, "BERT-small", 8 * image)):
        for name in CLASSES:
            if only.lower() in f"{home.name} {name}".lower():
                row = raced(name, home, effort, watch)
                said = row.error or f"captum/ascribe {row.ratio.median:.2f}" if row.ratio or row.error else ""
                sys.stderr.write(f"same call, {home.name} {name}: {said}\n")
                yield row


def raced(name: str, home: Home, effort: Effort, watch: Watch) -> Same:
    """Runs both once; a refusal is reported, and the row has no ratio."""
    contenders = {library: contender(library, name, home) for library in LIBRARIES}
    for library, one in contenders.items():
        try:
            call = one.make()
            call()
            call()
        except Exception as error:
            why = WHY.get((home.name.partition("-")[0], library, name)) if isinstance(error, TypeError) else None
            return Same(name, home.name, error=why or f"{library}: {str(error).partition('. ')[0]}")
    figures = rounds(contenders, effort, watch)
    return Same(name, home.name, {n: spread(v) for n, v in figures.items()}, paired(figures, "captum", "ascribe"))
