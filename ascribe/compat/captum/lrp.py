"""Layer-wise relevance propagation under captum's names: rules as values that stay on the modules they were put on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...backends.torch.hosts import modules_behind
from ...errors import RuleError
from ...rules import OperationRule
from ...rules.books import RuleBook, Where
from ...rules.layers import LayerRule, Pass
from ...rules.table import with_rest
from .asked import Asked, totals
from .base import GradientAttribution, LayerAttribution

SMALL = 1e-9  # captum's stabiliser


class PropagationRule:
    """What a module's ``rule`` can be; any native rule can too."""

    def native(self) -> OperationRule:
        """The rule as the verb takes it. Raises RuleError for classes that do not say."""
        raise RuleError(f"a {type(self).__name__} without native()", try_="a rule of ascribe, such as asc.Gamma(0.25)")


@dataclass(frozen=True)
class EpsilonRule(PropagationRule):
    """Shares of contributions, held away from zero."""

    epsilon: float = SMALL

    def native(self) -> OperationRule:
        return Strengthened(1.0, 0.0, self.epsilon)


@dataclass(frozen=True)
class GammaRule(PropagationRule):
    """Positive weights count ``1 + gamma`` times; biases as they are, or not at all."""

    gamma: float = 0.25
    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return Strengthened(1.0, self.gamma, bias=not self.set_bias_to_zero)


@dataclass(frozen=True)
class Alpha1_Beta0_Rule(PropagationRule):
    """Positive weights only; biases as they are, or not at all."""

    set_bias_to_zero: bool = False

    def native(self) -> OperationRule:
        return Strengthened(0.0, 1.0, bias=not self.set_bias_to_zero)


@dataclass(frozen=True)
class IdentityRule(PropagationRule):
    """What comes back goes on as it is; for layers that keep the shape."""

    epsilon: float = SMALL

    def native(self) -> OperationRule:
        return Pass()


@dataclass(frozen=True, repr=False)
class Strengthened(LayerRule):
    """Weights ``kept w + more w+``, biases as they are: what captum's rules make of a layer.

    The papers' rules treat biases like weights, inputs of both signs apart, and batch normalisation as part of the layer beside it:
    :class:`ascribe.Gamma`, :class:`ascribe.ZPlus`.
    """

    kept: float
    more: float
    epsilon: float = SMALL
    bias: bool = True
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="changed")
    merges: ClassVar[bool] = False

    def change(self, weight: Tensor) -> Tensor:
        """The weights that contributions are counted with."""
        return self.kept * weight + self.more * weight.clamp(min=0)


def book(model: Any) -> RuleBook:
    """The rules that a model's modules carry, inner modules before those around them; the epsilon rule elsewhere."""
    named = {name: module for host in modules_behind(model) for name, module in host.named_modules()}
    carried = [(name, module.rule) for name, module in named.items() if getattr(module, "rule", None) is not None and name]
    pairs = [(Where(layer=name), native(rule)) for name, rule in sorted(carried, key=lambda pair: -pair[0].count("."))]
    return RuleBook(tuple(pairs), EpsilonRule().native())


def native(rule: Any) -> OperationRule:
    """A module's rule as the verb takes it. Raises RuleError for what is none."""
    found = rule.native() if isinstance(rule, PropagationRule) else rule
    if isinstance(found, OperationRule):
        return found
    raise RuleError(f"module.rule = {rule!r}", try_="EpsilonRule(), GammaRule(), or a rule of ascribe")


def relevance(asked: Asked) -> Any:
    """Relevance at the inputs, or at layers, under the rules that the modules carry."""
    found = asked.explained(by=book(asked.model), multiply=True)
    values = asked.result(found.values)
    if not asked["return_convergence_delta"]:
        return values
    first = values[0] if isinstance(values, list) else values
    output = torch.as_tensor(found.explained, dtype=totals(first).dtype, device=totals(first).device)
    return values, [output - totals(v) for v in values] if isinstance(values, list) else output - totals(values)


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
