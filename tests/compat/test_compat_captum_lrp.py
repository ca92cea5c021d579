"""Relevance under captum's names: the same numbers on the networks that captum knows, its rules, its layers; rules that stay."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import captum.attr._utils.lrp_rules as theirs_rules
import pytest
import torch
from torch import nn

import ascribe as asc
import ascribe.compat.captum.attr as oa
from ascribe.compat.captum import lrp as our_rules
from tests.support.captum_cases import same
from tests.support.small_models import DOUBLE, rows, seeded

pytestmark = pytest.mark.filterwarnings("ignore")

PICTURES = rows(2, 2, 8, 8)
RULES = [
    ("EpsilonRule", {}),
    ("EpsilonRule", {"epsilon": 0.3}),
    ("GammaRule", {}),
    ("GammaRule", {"gamma": 1.0, "set_bias_to_zero": True}),
    ("Alpha1_Beta0_Rule", {}),
    ("Alpha1_Beta0_Rule", {"set_bias_to_zero": True}),
]


class Net(nn.Module):
    """Some layers, and a dense one after them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(self.body(PICTURES.float()).flatten(1).shape[1], 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).flatten(1))


def normed() -> nn.Module:
    """Batch normalisation that has seen something."""
    layer = nn.BatchNorm2d(4)
    layer.running_mean, layer.running_var = torch.linspace(-1, 1, 4), torch.linspace(0.5, 2, 4)
    nn.init.normal_(layer.bias)
    return layer


BODIES = {
    "convolutions": lambda: (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 2)),
    "average pools": lambda: (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 3, 2), nn.AdaptiveAvgPool2d(1)),
    "max pools": lambda: (nn.Conv2d(2, 4, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Dropout(), nn.Conv2d(4, 3, 2)),
    "batch norms": lambda: (nn.Conv2d(2, 4, 3), normed(), nn.ReLU(), nn.Conv2d(4, 3, 2)),
}


def put(net: nn.Module, source: Any, name: str, options: dict[str, Any]) -> None:
    """A rule on every layer; captum takes them away again."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.rule = getattr(source, name)(**options)


@pytest.mark.parametrize(("rule", "options"), RULES)
@pytest.mark.parametrize("body", BODIES)
def test_relevance(body: str, rule: str, options: dict[str, Any]) -> None:
    net = seeded(lambda: Net(*BODIES[body]()))
    asked: dict[str, Any] = {"target": torch.tensor([2, 0]), "return_convergence_delta": True}
    places = [[], [net.body[0]], [net.head], [[net.body[0], net.head]]]
    for layers in places:
        for side in (False, True) if layers else (False,):
            kind = "LayerLRP" if layers else "LRP"
            more = {**asked, **({"attribute_to_layer_input": side} if layers else {})}
            put(net, theirs_rules, rule, options)
            theirs = getattr(ca, kind)(net, *layers).attribute(PICTURES.clone(), **more)
            put(net, our_rules, rule, options)
            same(getattr(oa, kind)(net, *layers).attribute(PICTURES.clone(), **more), theirs)


def test_without_rules_it_is_epsilon() -> None:
    net = seeded(lambda: Net(*BODIES["convolutions"]()))
    same(oa.LRP(net).attribute(PICTURES, target=1), ca.LRP(net).attribute(PICTURES.clone(), target=1))
    plain = asc.LRP(asc.rules.Epsilon(1e-9))(net, PICTURES, of=1).values
    torch.testing.assert_close(oa.LRP(net).attribute(PICTURES, target=1), plain, rtol=1e-9, atol=1e-12)


def test_rules_stay_where_they_were_put() -> None:
    """S9: captum takes them away after the first call, and the second one is another method."""
    net = seeded(lambda: Net(*BODIES["convolutions"]()))
    put(net, theirs_rules, "GammaRule", {})
    first, second = (ca.LRP(net).attribute(PICTURES.clone(), target=1).detach() for _ in range(2))
    assert not torch.allclose(first, second)
    net = seeded(lambda: Net(*BODIES["convolutions"]()))
    put(net, our_rules, "GammaRule", {})
    kept = net.body[0].rule
    first, second = (oa.LRP(net).attribute(PICTURES, target=1) for _ in range(2))
    assert torch.equal(first, second)
    assert net.body[0].rule is kept
    assert not any(hasattr(m, "activations") for m in net.modules())


class Residual(nn.Module):
    """A sum that no module makes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        return self.head(h + torch.relu(self.inner(h)))


def test_functional_sums_conserve_relevance() -> None:
    """S8: no biases, so relevance has to add up to the output."""
    net, x = seeded(Residual), rows(3, 4)
    with torch.no_grad():
        net.inner.weight.abs_()
    values, delta = oa.LRP(net).attribute(x, target=1, return_convergence_delta=True)
    torch.testing.assert_close(values.sum(1), net(x)[:, 1].detach(), rtol=1e-6, atol=1e-7)
    assert float(delta.abs().max()) < 1e-6
    _, theirs = ca.LRP(net).attribute(x.clone(), target=1, return_convergence_delta=True)
    assert float(theirs.abs().max()) > 1e-3


def test_layers_that_captum_does_not_know() -> None:
    layers = (nn.Conv2d(2, 4, 3), nn.Identity(), nn.GELU(), nn.Dropout2d(), nn.Conv2d(4, 3, 2), nn.LeakyReLU(), nn.Flatten())
    net = seeded(lambda: Net(*layers))
    assert oa.LRP(net).attribute(PICTURES, target=1).shape == PICTURES.shape
    with pytest.raises(TypeError):
        ca.LRP(net).attribute(PICTURES.clone(), target=1)


def test_native_rules_on_modules() -> None:
    net = seeded(lambda: Net(*BODIES["convolutions"]()))
    net.body[0].rule = asc.rules.ZPlus()
    book = asc.rules.RuleBook((("body.0", asc.rules.ZPlus()),), asc.rules.Epsilon(1e-9))
    torch.testing.assert_close(oa.LRP(net).attribute(PICTURES, target=1), asc.LRP(book)(net, PICTURES, of=1).values)
    net.body[0].rule = "gamma"
    with pytest.raises(TypeError, match=r"module\.rule"):
        oa.LRP(net).attribute(PICTURES, target=1)


def weighed(source: Any) -> dict[str, Any]:
    """Rules of the user's own, on top of a library's: by elements, by a pattern that no transpose survives, from a rule onwards."""

    class Both(source.Alpha1_Beta0_Rule):
        def __init__(self, alpha: float, set_bias_to_zero: bool = False) -> None:
            super().__init__(set_bias_to_zero=set_bias_to_zero)
            self.alpha = alpha

        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            weight = module.weight.data
            module.weight.data = self.alpha * weight.clamp(min=0) - (self.alpha - 1) * weight.clamp(max=0)
            if self.set_bias_to_zero and module.bias is not None:
                module.bias.data = torch.zeros_like(module.bias.data)

    class Patterned(source.EpsilonRule):
        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            pattern = torch.linspace(0.5, 2, module.weight.numel(), dtype=module.weight.dtype)
            module.weight.data = module.weight.data * pattern.reshape(module.weight.shape)

    class Further(source.GammaRule):
        STABILITY_FACTOR = 0.1

        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            super()._manipulate_weights(module, inputs, outputs)
            module.weight.data = module.weight.data * 1.5

    class Bare(source.PropagationRule):
        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            module.weight.data = torch.ones_like(module.weight.data)

    return {"both": lambda: Both(2.0), "no bias": lambda: Both(2.0, True), "pattern": lambda: Patterned(0.2),
            "further": lambda: Further(0.5, set_bias_to_zero=True), "bare": Bare}  # fmt: skip


class Flat(nn.Module):
    """Convolutions, then a dense layer with as many outputs as inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, 3, 5), nn.ReLU()
        self.square, self.head = nn.Linear(48, 48, bias=False), nn.Linear(48, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.square(self.act(self.conv(x)).flatten(1)))


@pytest.mark.parametrize("name", weighed(our_rules))
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rules_of_ones_own(name: str, layout: torch.memory_format) -> None:
    net = seeded(Flat).to(memory_format=layout)
    before = {key: value.clone() for key, value in net.state_dict().items()}

    def relevance(where: Any, rules: Any, *layers: str) -> Any:
        for layer in (net.conv, net.square, net.head):
            layer.rule = weighed(rules)[name]()
        kind = getattr(where, "LayerLRP" if layers else "LRP")
        return kind(net, *map(net.get_submodule, layers)).attribute(PICTURES.clone(), target=torch.tensor([2, 0]))

    for layers in ([], ["square"]):
        same(relevance(oa, our_rules, *layers), relevance(ca, theirs_rules, *layers))
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_rules_of_ones_own_that_cannot_be_followed() -> None:
    net = seeded(Flat)

    class Hooked(our_rules.EpsilonRule):
        def _create_backward_hook_output(self, outputs: torch.Tensor) -> Any:
            return lambda grad: grad

    class Biased(our_rules.PropagationRule):
        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            module.bias.data = module.bias.data + 1

    class Looking(our_rules.PropagationRule):
        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            module.weight.data = module.weight.data * inputs[0].mean()

    class Elsewhere(our_rules.EpsilonRule):
        def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
            module.weight.data = module.weight.data * 2

    for rule, said in (
        (Hooked(), "_create_backward_hook_output"),
        (Biased(), "set it to zero, but not change it.*Biased"),
        (Looking(), "without inputs and outputs"),
        (our_rules.PropagationRule(), "must define `_manipulate_weights.*PropagationRule"),
    ):
        net.conv.rule = rule
        with pytest.raises(TypeError, match=said):
            oa.LRP(net).attribute(PICTURES, target=1)
    normal = seeded(lambda: Net(*BODIES["batch norms"]()))
    normal.body[1].rule = Elsewhere()
    with pytest.raises(TypeError, match=r"not module\.weight"):
        oa.LRP(normal).attribute(PICTURES, target=1)


def test_convergence_deltas_by_themselves() -> None:
    net = seeded(lambda: Net(*BODIES["convolutions"]()))
    values = oa.LRP(net).attribute(PICTURES, target=1)
    output = net(PICTURES)[:, 1].detach()
    same(oa.LRP(net).compute_convergence_delta(values, output), ca.LRP(net).compute_convergence_delta(values, output))
    same(oa.LRP(net).compute_convergence_delta((values, values), output), ca.LRP(net).compute_convergence_delta((values, values), output))
    assert output.dtype == DOUBLE
