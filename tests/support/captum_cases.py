"""The calls that both are given: one line for each class of captum at a place, over the forms that its arguments take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tests.support.small_models import rows, seeded


class Plain(nn.Module):
    """A network that captum treats rightly under every rule: layers and rectifiers as modules, each used once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.second, self.act, self.head = nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.second(self.relu(self.first(x)))))


class Two(nn.Module):
    """Two inputs, a floating tensor for each record, a number for each record and a plain one that ride along."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.kinds = nn.Linear(4, 5), nn.Linear(3, 5), nn.Embedding(3, 5)
        self.relu, self.head = nn.ReLU(), nn.Linear(5, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor, shift: torch.Tensor, kind: torch.Tensor, scale: float) -> torch.Tensor:
        return self.head(self.relu(self.left(a) + self.right(b) * scale + self.kinds(kind) + shift))


class Maps(nn.Module):
    """Pictures ``[records, 2, 6, 6]`` to scores ``[records, 3, 2, 2]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3), nn.Conv2d(4, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.relu(self.conv(x))))


@dataclass(frozen=True)
class Home:
    """A model with a call of it: inputs, what rides along, baselines of three kinds, targets, a layer and neurons there."""

    name: str
    model: nn.Module
    inputs: Any
    more: Any
    start: Any
    background: Any
    target: Any
    layer: str
    neurons: tuple[Any, ...]

    @property
    def module(self) -> nn.Module:
        return self.model.get_submodule(self.layer)


def total(h: Any) -> torch.Tensor:
    """A neuron of one's own: all of the layer, each number with a weight of its own."""
    flat = (h[0] if isinstance(h, tuple) else h).flatten(1)
    return flat @ torch.linspace(-1.0, 2.0, flat.shape[1], dtype=flat.dtype)


A, B = rows(5, 4), rows(5, 3, seed=1)
MORE = (rows(5, 5, seed=3), torch.tensor([0, 2, 1, 1, 0]), 1.5)
PICTURES = rows(3, 2, 6, 6)


def homes() -> list[Home]:
    plain, two, maps = seeded(Plain), seeded(Two), seeded(Maps)
    back = rows(4, 4, seed=9)
    pairs = (rows(4, 4, seed=5), rows(4, 3, seed=6))
    begins = (rows(5, 4, seed=6), rows(1, 3, seed=7))
    return [
        Home("one record", plain, A[:1], None, 0.3, back, 1, "relu", (2, (3,))),
        Home("a class", plain, A, None, rows(1, 4, seed=8), back, -1, "second", (2, (slice(1, 4),), total)),
        Home("a class each", plain, A, None, None, back, torch.tensor([2, 0, 1, 0, 2]), "act", (0,)),
        Home("two inputs", two, (A, B), MORE, begins, pairs, [2, 0, 1, 0, 2], "relu", (4, total)),
        Home("a tuple of one", plain, (A,), None, (rows(5, 4, seed=8),), (back,), torch.tensor(2), "first", ((slice(0, 6, 2),),)),
        Home("a position", maps, PICTURES, None, rows(1, 2, 6, 6, seed=8), rows(3, 2, 6, 6, seed=4), (1, 0, 1), "pool", ((1, 0, 1), total)),
        Home("a position each", maps, PICTURES, None, None, rows(3, 2, 6, 6, seed=4), [(0, 1, 1), (2, 0, 0), (1, 1, 0)], "relu",
             ((1, slice(0, 3), 2),)),
    ]  # fmt: skip


HOMES = {home.name: home for home in homes()}
STEPS = {"n_steps": 7}
METHODS = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle")


@dataclass(frozen=True)
class Case:
    """A class, and the options that it is tried with; ``takes`` are the conventions that it has."""

    name: str
    takes: str = ""
    init: dict[str, Any] = field(default_factory=dict)
    options: tuple[dict[str, Any], ...] = ({},)

    @property
    def place(self) -> str:
        alone = "Layer" if self.name in ("InternalInfluence", "GuidedGradCam") else ""
        return next((p for p in ("Layer", "Neuron") if self.name.startswith(p)), alone)


def mean_of(multipliers: Any, inputs: Any, baselines: Any) -> Any:
    """A function of multipliers, inputs and baselines."""
    return tuple(m * (x - b) * 2 for m, x, b in zip(multipliers, inputs, baselines, strict=True))


def doubled(multipliers: Any) -> Any:
    """A function of multipliers alone."""
    return tuple(2 * m for m in multipliers)


def squared(multipliers: Any, inputs: Any) -> Any:
    """A function of multipliers and inputs."""
    return tuple(m * x * x for m, x in zip(multipliers, inputs, strict=True))


PATHS = tuple({**STEPS, "method": method} for method in METHODS)
BATCHED = ({**STEPS, "internal_batch_size": 8},)
DELTA: tuple[dict[str, Any], ...] = ({}, {"return_convergence_delta": True})
CUSTOM: tuple[dict[str, Any], ...] = tuple({"custom_attribution_func": f} for f in (doubled, squared, mean_of))
LOCAL = {"multiply_by_inputs": False}

CASES = [
    Case("Saliency", "target", options=({}, {"abs": False})),
    Case("InputXGradient", "target"),
    Case("IntegratedGradients", "target baselines", options=(*PATHS, *BATCHED, {**STEPS, "return_convergence_delta": True})),
    Case("IntegratedGradients", "target baselines", LOCAL, options=(STEPS, {**STEPS, "return_convergence_delta": True})),
    Case("GuidedBackprop", "target"),
    Case("Deconvolution", "target"),
    Case("DeepLift", "target baselines", options=(*DELTA, *CUSTOM)),
    Case("DeepLift", "target baselines", LOCAL),
    Case("DeepLiftShap", "target background", options=(*DELTA, *CUSTOM)),
    Case("DeepLiftShap", "target background", LOCAL, options=DELTA),
    Case("LayerActivation", "in"),
    Case("LayerGradientXActivation", "target in"),
    Case("LayerGradientXActivation", "target in", LOCAL),
    Case("LayerGradCam", "target in", options=({}, {"relu_attributions": True}, {"attr_dim_summation": False})),
    Case("GuidedGradCam", "target in", options=({}, {"interpolate_mode": "bilinear"})),
    Case("LayerIntegratedGradients", "target baselines in", options=(*PATHS, *BATCHED, {**STEPS, "return_convergence_delta": True})),
    Case("LayerIntegratedGradients", "target baselines in", LOCAL, options=(STEPS,)),
    Case("InternalInfluence", "target baselines in", options=(*PATHS, *BATCHED)),
    Case("LayerDeepLift", "target baselines in", options=(*DELTA, *CUSTOM)),
    Case("LayerDeepLift", "target baselines in", LOCAL),
    Case("LayerDeepLiftShap", "target background in", options=(*DELTA, *CUSTOM)),
    Case("NeuronGradient", "in"),
    Case("NeuronIntegratedGradients", "baselines in", options=PATHS),
    Case("NeuronIntegratedGradients", "baselines in", LOCAL, options=(STEPS,)),
    Case("NeuronGuidedBackprop", "in"),
    Case("NeuronDeconvolution", "in"),
    Case("NeuronDeepLift", "baselines in", options=({}, *CUSTOM)),
    Case("NeuronDeepLift", "baselines in", LOCAL),
    Case("NeuronDeepLiftShap", "background in", options=({}, *CUSTOM)),
]


def same(ours: Any, theirs: Any, rtol: float = 1e-6, atol: float = 1e-8, **more: Any) -> None:
    """The same containers, shapes, types and numbers."""
    if isinstance(theirs, (tuple, list)):
        assert type(ours) is type(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, rtol, atol, **more)
        return
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(theirs).detach(), rtol=rtol, atol=atol, **more)


def fresh(value: Any) -> Any:
    """Tensors of one's own: captum leaves marks on those that it is given."""
    return tuple(map(fresh, value)) if isinstance(value, tuple) else value.clone() if isinstance(value, torch.Tensor) else value


def arguments(case: Case, home: Home, kind: type[Any], options: dict[str, Any], neuron: Any = None) -> tuple[Any, dict[str, Any]]:
    """An object of a class for the home's model, and the arguments of its ``attribute``."""
    method = kind(home.model, home.module, **case.init) if case.place else kind(home.model, **case.init)
    call: dict[str, Any] = {"inputs": fresh(home.inputs), "additional_forward_args": home.more, **options}
    if "target" in case.takes.split():
        call["target"] = home.target
    if "baselines" in case.takes.split():
        call["baselines"] = home.start
    if "background" in case.takes.split():
        call["baselines"] = home.background
    if case.place == "Neuron":
        call["neuron_selector"] = neuron
    return method, call
