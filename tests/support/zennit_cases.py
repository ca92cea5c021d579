"""The same rules and networks by zennit and by ascribe; ``python -m tests.support.zennit_cases FILE`` writes the table of what differs.

zennit imports torchvision for the names of five of its classes, and does nothing with them here: empty stand-ins do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

import ascribe as asc

DOUBLE = torch.float64
Tensor = torch.Tensor
STUBS = {
    "torchvision": (),
    "torchvision.models": (),
    "torchvision.models.resnet": ("ResNet", "BasicBlock", "Bottleneck"),
    "torchvision.models.vgg": ("VGG",),
    "torchvision.ops": ("FrozenBatchNorm2d",),
}
LOW, HIGH, EPS = -3.0, 3.5, 1e-6
HOLD = 1e-15  # their stabiliser of additions and averages, which ours do without


@contextmanager
def zennit() -> Iterator[ModuleType]:
    """zennit with its parts, gone again afterwards: others look for torchvision too."""
    before = set(sys.modules)
    for name, classes in STUBS.items():
        module = ModuleType(name)
        for cls in classes:
            setattr(module, cls, type(cls, (nn.Module,), {}))
        sys.modules[name] = module
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)
    try:
        import zennit
        import zennit.canonizers
        import zennit.composites
        import zennit.layer
        import zennit.rules
        import zennit.types

        yield zennit
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("torchvision", "zennit"):
                del sys.modules[name]


def norm(wide: int) -> nn.Module:
    """Their merged batch norm keeps its epsilon: a small one."""
    return nn.BatchNorm2d(wide, eps=1e-14)


def vgg(normed: bool) -> nn.Module:
    """Convolutions in a row with pools between, then dense layers."""
    layers: list[nn.Module] = []
    for wide, deep in ((3, 6), (6, 6), (0, 0), (6, 8), (0, 0)):
        layers += [nn.MaxPool2d(2)] if not wide else [nn.Conv2d(wide, deep, 3, padding=1)]
        layers += [norm(deep)] if wide and normed else []
        layers += [nn.ReLU()] if wide else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 12), nn.ReLU(), nn.Linear(12, 4))


class Block(nn.Module):
    """A residual block; ``sum`` adds what came by both ways."""

    def __init__(self, wide: int, deep: int, stride: int, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(wide, deep, 3, stride, 1, bias=False), norm(deep), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = nn.Conv2d(deep, deep, 3, 1, 1, bias=False), norm(deep), nn.ReLU()
        self.short = nn.Sequential(nn.Conv2d(wide, deep, 1, stride, bias=False), norm(deep)) if stride > 1 else nn.Identity()
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.add(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))), self.short(x)))


def resnet(add: Callable[[], Callable[[Tensor, Tensor], Tensor]]) -> nn.Module:
    """A stem, two residual blocks, an average, a dense layer."""
    stem = [nn.Conv2d(3, 6, 3, padding=1, bias=False), norm(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, Block(6, 6, 1, add()), Block(6, 8, 2, add()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def plain() -> Callable[[Tensor, Tensor], Tensor]:
    return torch.add


def stacked(theirs: ModuleType) -> Callable[[], Callable[[Tensor, Tensor], Tensor]]:
    """Addition as the module that zennit looks for."""

    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sum = theirs.layer.Sum()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.sum(torch.stack([a, b], -1))

    return Added


def trained(model: nn.Module) -> nn.Module:
    """Weights and statistics that are the same every time, and unlike those of a new network."""
    g = torch.Generator().manual_seed(0)
    for m in model.modules():
        for name in ("weight", "bias"):
            t = getattr(m, name, None)
            if isinstance(t, nn.Parameter):
                fan = t[0].numel() if t.dim() > 1 else 4
                t.data = torch.randn(t.shape, generator=g) / fan**0.5 + (0.8 if isinstance(m, nn.BatchNorm2d) and name == "weight" else 0)
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean = torch.randn(m.running_mean.shape, generator=g) / 4
            m.running_var = torch.rand(m.running_var.shape, generator=g) + 0.5
    return model.to(DOUBLE).eval()


NETS = ("vgg", "vgg with norms", "resnet")


def nets(name: str, theirs: ModuleType) -> tuple[nn.Module, nn.Module]:
    """Ours as anyone would write it, theirs with additions as modules; the same numbers."""
    if name == "resnet":
        return trained(resnet(plain)), trained(resnet(stacked(theirs)))
    return trained(vgg("norms" in name)), trained(vgg("norms" in name))


def records() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(DOUBLE).clamp(LOW, HIGH)


def everywhere(rule: str, **more: Any) -> Callable[[ModuleType], Any]:
    """Their composite with one rule for all layers."""

    def made(z: ModuleType) -> Any:
        t, r = z.types, z.rules
        table = [(t.Activation, r.Pass()), (z.layer.Sum, r.Norm(HOLD)), (t.AvgPool, r.Norm(HOLD)), (t.Linear, getattr(r, rule)(**more))]
        return z.composites.LayerMapComposite(table, canonizers=[z.canonizers.SequentialMergeBatchNorm()])

    return made


def composite(name: str, **more: Any) -> Callable[[ModuleType], Any]:
    """One of their named composites."""

    def made(z: ModuleType) -> Any:
        canonizers = [z.canonizers.SequentialMergeBatchNorm()]
        return getattr(z.composites, name)(canonizers=canonizers, **more)

    return made


def special_first(rule: str) -> Callable[[ModuleType], Any]:
    """One of their rules in the first layer, epsilon in the others."""

    def made(z: ModuleType) -> Any:
        t, r = z.types, z.rules
        table = [(t.Activation, r.Pass()), (z.layer.Sum, r.Norm(HOLD)), (t.AvgPool, r.Norm(HOLD)), (t.Linear, r.Epsilon())]
        first, canonizers = [(t.Linear, getattr(r, rule)())], [z.canonizers.SequentialMergeBatchNorm()]
        return z.composites.SpecialFirstLayerMapComposite(table, first_map=first, canonizers=canonizers)

    return made


RULES: dict[str, tuple[Any, Callable[[ModuleType], Any]]] = {
    "Epsilon": (asc.rules.Epsilon(EPS), everywhere("Epsilon", epsilon=EPS)),
    "Epsilon, large": (asc.rules.Epsilon(0.1), everywhere("Epsilon", epsilon=0.1)),
    "Epsilon without biases": (asc.rules.Epsilon(EPS, bias=False), everywhere("Epsilon", epsilon=EPS, zero_params="bias")),
    "Gamma": (asc.rules.Gamma(0.25, generalised=True), everywhere("Gamma", gamma=0.25)),
    "AlphaBeta": (asc.rules.AlphaBeta(2, 1), everywhere("AlphaBeta", alpha=2.0, beta=1.0)),
    "AlphaBeta 1.5 0.5": (asc.rules.AlphaBeta(1.5, 0.5), everywhere("AlphaBeta", alpha=1.5, beta=0.5)),
    "ZPlus": (asc.rules.ZPlus(), everywhere("ZPlus")),
    "WSquare, first": (asc.rules.RuleBook(((asc.rules.Where(position=0), asc.rules.WSquare(bias=True)),)), special_first("WSquare")),
    "epsilon-plus": (asc.rules.EPSILON_PLUS, composite("EpsilonPlus")),
    "epsilon-plus-flat": (asc.rules.EPSILON_PLUS_FLAT, composite("EpsilonPlusFlat")),
    "epsilon-alpha2-beta1": (asc.rules.EPSILON_ALPHA2_BETA1, composite("EpsilonAlpha2Beta1")),
    "epsilon-alpha2-beta1-flat": (asc.rules.EPSILON_ALPHA2_BETA1_FLAT, composite("EpsilonAlpha2Beta1Flat")),
    "epsilon-gamma-box": (asc.rules.epsilon_gamma_box(LOW, HIGH), composite("EpsilonGammaBox", low=LOW, high=HIGH)),
    "excitation backpropagation": (asc.rules.EXCITATION_BACKPROP, everywhere("ZPlus", stabilizer=1e-15, zero_params="bias")),
    "the same, biases sharing": (
        asc.rules.RuleBook((("convolution", asc.rules.ZPlus()), ("dense", asc.rules.ZPlus()))),
        composite("ExcitationBackprop"),
    ),
    "guided backpropagation": (asc.rules.Guided(), composite("GuidedBackprop")),
    "deconvolution": (asc.rules.Deconv(), composite("DeconvNet")),
    "beta-smooth": (asc.rules.BetaSmooth(10.0), composite("BetaSmooth", beta_smooth=10.0)),
}
"""Ours, and how theirs is made."""


GRADIENTS = ("guided backpropagation", "deconvolution", "beta-smooth")


def both(rule: str, name: str, theirs: ModuleType) -> tuple[Tensor, Tensor]:
    """Relevance of class 1 (for the gradients: what comes back) by ascribe and by zennit."""
    by, made = RULES[rule]
    model, twin = nets(name, theirs)
    x = records()
    verb = asc.influence if rule in GRADIENTS else asc.attribute
    found = verb(model, x, of=1, by=by).values
    start = x.clone().requires_grad_()
    with made(theirs).context(twin) as modified:
        out = modified(start)
        target = torch.zeros_like(out)
        target[:, 1] = 1.0 if rule in GRADIENTS else out[:, 1].detach()
        (expected,) = torch.autograd.grad(out, start, target)
    return found, expected


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest number."""
    return float((found - expected).abs().max() / expected.abs().max())


HEAD = """# The same relevance by zennit and by ascribe

Written by `make parity`: zennit {version}, double precision, networks with random weights and statistics (`tests/support/zennit_cases.py`).
The figure is the largest difference as a share of the largest number. Where it is 1e-5, zennit's composites stabilise additions
and averages, which ours do not ([decisions/0025](../decisions/0025-parity-with-zennit.md)).
"""


def table() -> str:
    """Every rule and network, as Markdown."""
    rows = [HEAD.format(version=version("zennit")), "| rule | " + " | ".join(NETS) + " |", "|---" * (len(NETS) + 1) + "|"]
    with zennit() as theirs:
        for rule in RULES:
            cells = [f"{difference(*both(rule, name, theirs)):.1e}" for name in NETS]
            rows.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table(), encoding="utf-8")
