"""Layer-wise relevance propagation under captum's names: rules are attributes of modules."""

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
from .base import GradientAttribution, LayerAttribution
from .translate.call import CaptumCall, sum_per_record

STABILISER = 1e-9  # captum's stabiliser
HOOKS = (
    *("forward_hook", "forward_hook_weights", "forward_pre_hook_activations", "backward_hook_activation"),
    *("_create_backward_hook_input", "_create_backward_hook_output"),
)
"""What rules of captum's also have, and nothing here calls."""


class PropagationRule:
    """Base class of the rules that a module's ``rule`` may be, in addition to ascribe's own rules.

    A class of your own sets the weights of the contributions in ``_manipulate_weights(module, inputs, outputs)``. The module is a copy;
    inputs and outputs are not available at that time.
    """

    STABILITY_FACTOR: float = STABILISER

    def native(self) -> OperationRule:
        """Returns the rule as one of ascribe. Raises RuleError for classes without ``_manipulate_weights``."""
        there, advice = f"a {type(self).__name__}", "a rule of ascribe, such as asc.rules.Gamma(0.25)"
        raise RuleError("A rule of your own must define `_manipulate_weights()`", found=there, advice=advice)

    def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
        """Applies the rule to the weights of a module, for subclasses that build on it."""
        rule = self.native()
        if isinstance(rule, StrengthenedWeights) and getattr(module, "weight", None) is not None:
            module.weight.data = rule.change(module.weight.data)
            if not rule.bias and getattr(module, "bias", None) is not None:
                module.bias.data = torch.zeros_like(module.bias.data)


@dataclass(eq=False)
class EpsilonRule(PropagationRule):
    """LRP-epsilon: relevance in proportion to contributions, with a stabiliser."""

    epsilon: float = STABILISER

    def __post_init__(self) -> None:
        self.STABILITY_FACTOR = self.epsilon

    def native(self) -> OperationRule:
        return StrengthenedWeights(1.0, 0.0, self.STABILITY_FACTOR)


@dataclass(eq=False)
class GammaRule(PropagationRule):
    """LRP-gamma: positive weights are multiplied by ``1 + gamma``; biases are unchanged, or set to zero."""

    gamma: float = 0.25
    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return StrengthenedWeights(1.0, self.gamma, self.STABILITY_FACTOR, not self.set_bias_to_zero)


@dataclass(eq=False)
class Alpha1_Beta0_Rule(PropagationRule):
    """LRP-alpha1-beta0: positive weights only; biases are unchanged, or set to zero."""

    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return StrengthenedWeights(0.0, 1.0, self.STABILITY_FACTOR, not self.set_bias_to_zero)


@dataclass(eq=False)
class IdentityRule(EpsilonRule):
    """Passes relevance on unchanged, through layers that keep the shape."""

    def native(self) -> OperationRule:
        return Pass()


class ChangedWeights(LayerRule):
    """Contributions with changed weights and an unchanged bias."""

    epsilon: float
    merges: ClassVar[bool] = False

    def change(self, weight: Tensor) -> Tensor:
        """Returns the weights of the contributions."""
        raise NotImplementedError

    def propagate(self, layer: LinearLayer, relevance: Tensor) -> Answer:
        weight, bias = self.change(layer.weight), self.bias_of(layer)
        z = layer.forward(layer.x, weight, bias)
        return layer.backward(share(relevance, z, self.epsilon), weight, bias), None


@dataclass(frozen=True, repr=False)
class StrengthenedWeights(ChangedWeights):
    """Contributions with the weights ``kept w + more w+`` and unchanged biases, as captum's rules compute them.

    The rules of the papers treat biases like weights, inputs of both signs separately, and merge batch normalisation into the adjacent
    layer: :class:`ascribe.rules.Gamma`, :class:`ascribe.rules.ZPlus`.
    """

    kept: float
    more: float
    epsilon: float = STABILISER
    bias: bool = True
    strict: bool = False

    def change(self, weight: Tensor) -> Tensor:
        """Returns the weights of the contributions."""
        return self.kept * weight + self.more * weight.clamp(min=0)


@dataclass(frozen=True, repr=False, eq=False)
class ManipulatedWeights(ChangedWeights):
    """Contributions with the weights of a user's rule: ``after`` replaces the module's weights ``before``, in the same layout."""

    before: Tensor
    after: Tensor
    epsilon: float
    bias: bool
    strict: bool = False

    def change(self, weight: Tensor) -> Tensor:
        """Returns the weights of the contributions. Raises RuleError for an operation with other weights than the module's own."""
        if weight.data_ptr() != self.before.data_ptr() or weight.numel() != self.before.numel():
            there = f"an operation with weights of shape {tuple(weight.shape)}, which are not module.weight"
            advice = "the rule on a dense layer or a convolution, or a rule of ascribe"
            raise RuleError("`_manipulate_weights()` applies to `module.weight` only", found=there, advice=advice)
        return self.after.as_strided(weight.shape, weight.stride())


def make_rule_book(model: Any) -> RuleBook:
    """Returns the rules of a model's modules as a rule book, inner modules first; the epsilon rule for all others."""
    named = {name: module for host in modules_behind(model) for name, module in host.named_modules()}
    carried = [name for name, module in named.items() if getattr(module, "rule", None) is not None and name]
    pairs = [(Where(layer=name), as_native_rule(named[name])) for name in sorted(carried, key=lambda name: -name.count("."))]
    return RuleBook(tuple(pairs), EpsilonRule().native())


def as_native_rule(module: Any) -> OperationRule:
    """Returns a module's rule as one of ascribe. Raises RuleError for anything but a rule, and for rules with hooks."""
    rule = module.rule
    if isinstance(rule, PropagationRule):
        hooks = [name for name in HOOKS if hasattr(rule, name)]
        if hooks:
            advice = (
                "_manipulate_weights(), or a rule of ascribe such as asc.rules.Flat(), asc.rules.ZBox(low, high) or asc.rules.WSquare()"
            )
            raise RuleError("Rules with hooks are not supported", found=f"{type(rule).__name__}.{hooks[0]}()", advice=advice)
        own = type(rule)._manipulate_weights is not PropagationRule._manipulate_weights
        rule = manipulate_weights(rule, module) if own else rule.native()
    if isinstance(rule, OperationRule):
        return rule
    advice = "EpsilonRule(), GammaRule(), or a rule of ascribe"
    raise RuleError("`module.rule` is not a propagation rule", found=f"module.rule = {rule!r}", advice=advice)


def manipulate_weights(rule: PropagationRule, module: Any) -> OperationRule:
    """A rule that changes weights, at a module. Raises RuleError where that fails, and for biases changed otherwise than to nothing."""
    try:
        copied = copy.deepcopy(module)
        rule._manipulate_weights(copied, (), None)
    except Exception as error:
        what = f"`{type(rule).__name__}._manipulate_weights()` failed for a copy of the module without inputs and outputs"
        raise RuleError(what, found=type(error).__name__, advice="a rule of ascribe, such as asc.rules.Gamma(0.25)") from error
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if weight is None:
        return StrengthenedWeights(1.0, 0.0, rule.STABILITY_FACTOR)
    kept = bias is None or torch.equal(copied.bias, bias)
    if not kept and copied.bias.any():
        there, advice = type(rule).__name__, "leave the bias unchanged, or set it to zero"
        raise RuleError("A rule may keep a bias or set it to zero, but not change it to other values", found=there, advice=advice)
    after = torch.empty_like(weight).copy_(copied.weight)
    return ManipulatedWeights(weight.detach(), after.detach(), rule.STABILITY_FACTOR, kept)


def compute_relevance(call: CaptumCall) -> Any:
    """Returns the relevance at the inputs, or at layers, under the rules of the modules."""
    rules = make_rule_book(call.model)
    refuse_repeated_modules(call)
    found = call.attribute(by=rules, multiply=True)
    values = call.format_values(found.values)
    if not call["return_convergence_delta"]:
        return values
    first = values[0] if isinstance(values, list) else values
    output = torch.as_tensor(found.explained, dtype=sum_per_record(first).dtype, device=sum_per_record(first).device)
    return values, [output - sum_per_record(v) for v in values] if isinstance(values, list) else output - sum_per_record(values)


class RepeatedError(RuleError, RuntimeError):
    """A module with weights is used several times in a run, which captum's LRP does not support (a RuntimeError)."""

    code = "E-CAPTUM-REPEATED"


def refuse_repeated_modules(call: CaptumCall) -> None:
    """Raises RepeatedError if a module with weights is used several times, as captum does. One forward pass for each shape of inputs."""
    modules = {name: module for host in modules_behind(call.model) for name, module in host.named_modules() if name}
    places, _ = list_cuts(call.model, call.model_call, fresh=False)
    for place in places:
        module = modules.get(place.cut.layer)
        if place.calls > 1 and module is not None and (module._parameters or getattr(module, "rule", None) is not None):
            what, there = "LRP of captum needs modules that are used once", f"{place.cut!r} is used {place.calls} times"
            advice = "asc.LRP()(model, x, of=...), or a rule in asc.attribute(..., by=): they add up all uses"
            raise RepeatedError(what, found=there, advice=advice)


class LRP(
    GradientAttribution,
    init="model",
    call="inputs target additional_forward_args return_convergence_delta verbose",
    by=compute_relevance,
    multiplies=True,
):
    """Relevance propagated backwards through the layers, by the ``rule`` of each module."""

    model: nn.Module

    def compute_convergence_delta(self, attributions: Any, output: Tensor) -> Any:  # type: ignore[override]
        """Returns the output minus the sum of the relevance of each record; a list for several layers."""
        if isinstance(attributions, list):
            return [output - sum_per_record(a) for a in attributions]
        return output - sum_per_record(attributions)


class LayerLRP(
    LRP,
    LayerAttribution,
    init="model layer",
    call="inputs target additional_forward_args return_convergence_delta attribute_to_layer_input verbose",
    by=compute_relevance,
):
    """LRP at a layer, or at several."""
