"""Explainers by layer-wise relevance propagation."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from .... import methods
from ....errors import CompatError
from ....rules import AlphaBeta, Epsilon, Gamma, OperationRule, RuleBook, Where, ZBox, ZPlus
from ..core.types import LSTM, RNN, Attention, Convolution, Linear
from .base import Explainer, Extractor

SETTINGS = ("epsilon", "gamma", "low", "high", "stabilizer")


class LRPBase(Explainer):
    """Relevance by a rule of your own: an ascribe rule or rule book in place of a composite of zennit."""

    SUPPORTED_MODULES: ClassVar[tuple[Any, ...]] = (Linear, Convolution, LSTM, RNN, Attention)

    def __init__(
        self,
        model: nn.Module,
        zennit_composite: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.zennit_composite, self.layer, self.n_classes = zennit_composite, layer, n_classes
        for name, value in settings.items():
            setattr(self, name, value)

    def rule(self) -> Any:
        """Returns the rule. Raises CompatError for a composite of zennit."""
        if not isinstance(self.zennit_composite, OperationRule):
            raise CompatError(
                "`LRPBase` takes a rule of ascribe in place of a composite",
                found=f"a {type(self.zennit_composite).__name__}",
                advice='asc.rules.RuleBook((("convolution", asc.rules.ZPlus()), ("dense", asc.rules.Epsilon())))',
            )
        return self.zennit_composite

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.LRP(self.rule())


EPSILON = (float, {"low": 1e-6, "high": 1.0, "log": True})


class LRPUniformEpsilon(LRPBase):
    """The epsilon rule in every layer."""

    def __init__(
        self,
        model: nn.Module,
        epsilon: float = 0.25,
        stabilizer: float = 1e-6,
        zennit_canonizers: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, None, forward_arg_extractor, additional_forward_arg_extractor, layer, n_classes)
        self.epsilon, self.stabilizer = epsilon, stabilizer

    def rule(self) -> Any:
        return Epsilon(self.epsilon)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"epsilon": EPSILON}


class LRPEpsilonPlus(LRPUniformEpsilon):
    """The z+ rule in convolutions, the epsilon rule in dense layers."""

    SUPPORTED_MODULES = (Convolution,)

    def __init__(
        self,
        model: nn.Module,
        epsilon: float = 1e-6,
        stabilizer: float = 1e-6,
        zennit_canonizers: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        more = (forward_arg_extractor, additional_forward_arg_extractor, layer, n_classes)
        super().__init__(model, epsilon, stabilizer, zennit_canonizers, *more)

    def rule(self) -> Any:
        return RuleBook((("convolution", ZPlus()), ("dense", Epsilon(self.epsilon))))


class LRPEpsilonAlpha2Beta1(LRPEpsilonPlus):
    """The alpha-beta rule with 2 and 1 in convolutions, the epsilon rule in dense layers."""

    def rule(self) -> Any:
        return RuleBook((("convolution", AlphaBeta(2, 1)), ("dense", Epsilon(self.epsilon))))


class LRPEpsilonGammaBox(LRPEpsilonPlus):
    """The z^B rule in the first convolution, gamma in the others, the epsilon rule in dense layers."""

    def __init__(
        self,
        model: nn.Module,
        low: float = -3.0,
        high: float = 3.0,
        epsilon: float = 1e-6,
        gamma: float = 0.25,
        stabilizer: float = 1e-6,
        zennit_canonizers: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        more = (forward_arg_extractor, additional_forward_arg_extractor, layer, n_classes)
        super().__init__(model, epsilon, stabilizer, zennit_canonizers, *more)
        self.low, self.high, self.gamma = low, high, gamma

    def rule(self) -> Any:
        first = (Where("convolution", position=0), ZBox(self.low, self.high))
        return RuleBook((first, ("convolution", Gamma(self.gamma, generalised=True)), ("dense", Epsilon(self.epsilon))))

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"epsilon": EPSILON, "gamma": EPSILON}


class RAP(Explainer):
    """Relative attributing propagation of the class that is asked for."""

    SUPPORTED_MODULES = (Linear, Convolution)

    def __init__(self, model: nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.RAP()
