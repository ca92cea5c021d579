"""Layer-wise relevance propagation under captum's names: rules as values that stay on the modules they were put on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...backends.torch.adapters import modules_behind
from ...engine.run import list_cuts
from ...errors import RuleError
from ...rules import OperationRule
from ...rules.books import RuleBook, Where
from ...rules.layer import Answer, LinearLayer, share
from ...rules.layers import LayerRule, Pass
from .asked import Asked, totals
from .base import GradientAttribution, LayerAttribution

SMALL = 1e-9  # captum's stabiliser
HOOKS = (
    *("forward_hook", "forward_hook_weights", "forward_pre_hook_activations", "backward_hook_activation"),
    *("_create_backward_hook_input", "_create_backward_hook_output"),
)
"""What rules of captum's also have, and nothing here calls."""


class PropagationRule:
    """What a module's ``rule`` can be; any native rule can too.

    A class of your own sets the weights that contributions are counted with in ``_manipulate_weights(module, inputs, outputs)``. The
    module is a copy, and there are no inputs and outputs to look at yet.
    """

    STABILITY_FACTOR: float = SMALL

    def native(self) -> OperationRule:
        """The rule as the verb takes it. Raises RuleError for classes that do not say."""
        raise RuleError(f"a {type(self).__name__} without _manipulate_weights()", try_="a rule of ascribe, such as asc.rules.Gamma(0.25)")

    def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
        """What the rule makes of a module's weights, for classes of your own that go on from there."""
        rule = self.native()
        if isinstance(rule, Strengthened) and getattr(module, "weight", None) is not None:
            module.weight.data = rule.change(module.weight.data)
            if not rule.bias and getattr(module, "bias", None) is not None:
                module.bias.data = torch.zeros_like(module.bias.data)


@dataclass(eq=False)
class EpsilonRule(PropagationRule):
    """Shares of contributions, held away from zero."""

    epsilon: float = SMALL

    def __post_init__(self) -> None:
        self.STABILITY_FACTOR = self.epsilon

    def native(self) -> OperationRule:
        return Strengthened(1.0, 0.0, self.STABILITY_FACTOR)


@dataclass(eq=False)
class GammaRule(PropagationRule):
    """Positive weights count ``1 + gamma`` times; biases as they are, or not at all."""

    gamma: float = 0.25
    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return Strengthened(1.0, self.gamma, self.STABILITY_FACTOR, not self.set_bias_to_zero)


@dataclass(eq=False)
class Alpha1_Beta0_Rule(PropagationRule):
    """Positive weights only; biases as they are, or not at all."""

    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return Strengthened(0.0, 1.0, self.STABILITY_FACTOR, not self.set_bias_to_zero)


@dataclass(eq=False)
class IdentityRule(EpsilonRule):
    """What comes back goes on as it is; for layers that keep the shape."""

    def native(self) -> OperationRule:
        return Pass()


class ChangedWeights(LayerRule):
    """Contributions by weights that the rule makes of the layer's; the bias is as it was."""

    epsilon: float
    merges: ClassVar[bool] = False

    def change(self, weight: Tensor) -> Tensor:
        """The weights that contributions are counted with."""
        raise NotImplementedError

    def propagate(self, layer: LinearLayer, relevance: Tensor) -> Answer:
        weight, bias = self.change(layer.weight), self.bias_of(layer)
        z = layer.forward(layer.x, weight, bias)
        return layer.backward(share(relevance, z, self.epsilon), weight, bias), None


@dataclass(frozen=True, repr=False)
class Strengthened(ChangedWeights):
    """Weights ``kept w + more w+``, biases as they are: what captum's rules make of a layer.

    The papers' rules treat biases like weights, inputs of both signs apart, and batch normalisation as part of the layer beside it:
    :class:`ascribe.rules.Gamma`, :class:`ascribe.rules.ZPlus`.
    """

    kept: float
    more: float
    epsilon: float = SMALL
    bias: bool = True
    strict: bool = False

    def change(self, weight: Tensor) -> Tensor:
        """The weights that contributions are counted with."""
        return self.kept * weight + self.more * weight.clamp(min=0)


@dataclass(frozen=True, repr=False, eq=False)
class Manipulated(ChangedWeights):
    """Weights as a rule of the user's leaves them: ``after`` where a module's are ``before``, both laid out alike."""

    before: Tensor
    after: Tensor
    epsilon: float
    bias: bool
    strict: bool = False

    def change(self, weight: Tensor) -> Tensor:
        """The weights that contributions are counted with. Raises RuleError where an operation has others than the module's own."""
        if weight.data_ptr() != self.before.data_ptr() or weight.numel() != self.before.numel():
            there = f"an operation with weights of shape {tuple(weight.shape)}, which are not module.weight"
            raise RuleError("_manipulate_weights()", there=there, try_="the rule on a dense layer or a convolution, or a rule of ascribe")
        return self.after.as_strided(weight.shape, weight.stride())


def book(model: Any) -> RuleBook:
    """The rules that a model's modules carry, inner modules before those around them; the epsilon rule elsewhere."""
    named = {name: module for host in modules_behind(model) for name, module in host.named_modules()}
    carried = [name for name, module in named.items() if getattr(module, "rule", None) is not None and name]
    pairs = [(Where(layer=name), native(named[name])) for name in sorted(carried, key=lambda name: -name.count("."))]
    return RuleBook(tuple(pairs), EpsilonRule().native())


def native(module: Any) -> OperationRule:
    """A module's rule as the verb takes it. Raises RuleError for what is none, and for hooks of the user's own."""
    rule = module.rule
    if isinstance(rule, PropagationRule):
        hooks = [name for name in HOOKS if hasattr(rule, name)]
        if hooks:
            try_ = "_manipulate_weights(), or a rule of ascribe such as asc.rules.Flat(), asc.rules.ZBox(low, high) or asc.rules.WSquare()"
            raise RuleError(f"{type(rule).__name__}.{hooks[0]}()", there="rules without hooks", try_=try_)
        own = type(rule)._manipulate_weights is not PropagationRule._manipulate_weights
        rule = manipulated(rule, module) if own else rule.native()
    if isinstance(rule, OperationRule):
        return rule
    raise RuleError(f"module.rule = {rule!r}", try_="EpsilonRule(), GammaRule(), or a rule of ascribe")


def manipulated(rule: PropagationRule, module: Any) -> OperationRule:
    """A rule that changes weights, at a module. Raises RuleError where that fails, and for biases changed otherwise than to nothing."""
    try:
        copied = copy.deepcopy(module)
        rule._manipulate_weights(copied, (), None)
    except Exception as error:
        there = f"a copy of the module, no inputs and outputs: {type(error).__name__}"
        raise RuleError(f"{type(rule).__name__}._manipulate_weights()", there=there, try_="a rule of ascribe") from error
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if weight is None:
        return Strengthened(1.0, 0.0, rule.STABILITY_FACTOR)
    kept = bias is None or torch.equal(copied.bias, bias)
    if not kept and copied.bias.any():
        raise RuleError(f"{type(rule).__name__} changes a bias", try_="biases as they are, or zeros")
    after = torch.empty_like(weight).copy_(copied.weight)
    return Manipulated(weight.detach(), after.detach(), rule.STABILITY_FACTOR, kept)


def relevance(asked: Asked) -> Any:
    """Relevance at the inputs, or at layers, under the rules that the modules carry."""
    rules = book(asked.model)
    each_used_once(asked)
    found = asked.explained(by=rules, multiply=True)
    values = asked.result(found.values)
    if not asked["return_convergence_delta"]:
        return values
    first = values[0] if isinstance(values, list) else values
    output = torch.as_tensor(found.explained, dtype=totals(first).dtype, device=totals(first).device)
    return values, [output - totals(v) for v in values] if isinstance(values, list) else output - totals(values)


class RepeatedError(RuleError, RuntimeError):
    """A module with weights is used several times in a run, which captum's LRP refuses (a RuntimeError)."""

    code = "E-CAPTUM-REPEATED"


def each_used_once(asked: Asked) -> None:
    """Raises RepeatedError where a module with weights is used several times, as captum does. A run for each shape of the inputs."""
    modules = {name: module for host in modules_behind(asked.model) for name, module in host.named_modules() if name}
    places, _ = list_cuts(asked.model, asked.call, fresh=False)
    for place in places:
        module = modules.get(place.cut.layer)
        if place.calls > 1 and module is not None and (module._parameters or getattr(module, "rule", None) is not None):
            asked_, there = f"{place.cut!r} is used {place.calls} times", "captum's LRP, which takes one use"
            try_ = "asc.LRP()(model, x, of=...), or a rule in asc.attribute(..., by=): they add up all uses"
            raise RepeatedError(asked_, there=there, try_=try_)


class LRP(
    GradientAttribution,
    init="model",
    call="inputs target additional_forward_args return_convergence_delta verbose",
    by=relevance,
    multiplies=True,
):
    """Relevance, sent back layer by layer under each module's own ``rule``."""

    model: nn.Module

    def compute_convergence_delta(self, attributions: Any, output: Tensor) -> Any:  # type: ignore[override]
        """The output less what relevance adds up to, for each record; a list for several layers."""
        if isinstance(attributions, list):
            return [output - totals(a) for a in attributions]
        return output - totals(attributions)


class LayerLRP(
    LRP,
    LayerAttribution,
    init="model layer",
    call="inputs target additional_forward_args return_convergence_delta attribute_to_layer_input verbose",
    by=relevance,
):
    """Relevance at a layer, or at several."""
