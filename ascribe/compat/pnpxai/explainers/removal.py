"""Explainers that remove features: Kernel SHAP and LIME."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .... import methods
from ..core.types import LSTM, RNN, Attention, Convolution, Linear
from .base import Explainer, Extractor
from .utils.baselines import BaselineFunction, TokenBaselineFunction
from .utils.feature_masks import FeatureMaskFunction


class KernelShap(Explainer):
    """Shapley values of the features of a mask, by regression.

    ``n_samples`` is the number of coalitions of each record; more are evaluated where the features need them for a fit.
    """

    SUPPORTED_MODULES = (Linear, Convolution, LSTM, RNN, Attention)
    LEAST = 3
    """Coalitions for each feature, and two more."""

    def __init__(
        self,
        model: nn.Module,
        n_samples: int = 25,
        baseline_fn: Any = "zeros",
        feature_mask_fn: Any = "felzenszwalb",
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        mask_token_id: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.n_samples, self.feature_mask_fn, self.mask_token_id = n_samples, feature_mask_fn, mask_token_id
        self.baseline_fn = baseline_fn if mask_token_id is None else TokenBaselineFunction(mask_token_id)

    def removal(self, explained: tuple[Tensor, ...]) -> dict[str, Any]:
        """Returns the replacement, the features and the budget of the native method."""
        masks = self.feature_masks(explained)
        shaped = None if masks is None else tuple(self.wide(m, x) for m, x in zip(as_tuple(masks), explained, strict=True))
        known = [] if shaped is None else [m for m in shaped if m is not None]
        features = int(max((int(m.max()) for m in known), default=0)) + 1 if known else sum(x[0].numel() for x in explained)
        by = self.baselines(explained)
        single = len(explained) == 1
        return {
            "budget": max(int(self.n_samples), self.LEAST * features + 2),
            "by": by if single else tuple(as_tuple(by)),
            "features": None if shaped is None else shaped[0] if single else shaped,
        }

    def wide(self, mask: Tensor | None, x: Tensor) -> Any:
        """Returns a mask of images without channels as one that fits their last axes."""
        if mask is None:
            return None
        return (mask[:, None] if mask.ndim == x.ndim - 1 else mask).cpu().numpy()

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.KernelShap(**self.removal(explained))

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "n_samples": (int, {"low": 10, "high": 50, "step": 10}),
            "baseline_fn": (BaselineFunction, {}),
            "feature_mask_fn": (FeatureMaskFunction, {}),
        }


class Lime(KernelShap):
    """The coefficients of a linear model on the features of a mask."""

    LEAST = 1

    def __init__(
        self,
        model: nn.Module,
        n_samples: int = 25,
        baseline_fn: Any = "zeros",
        feature_mask_fn: Any = "felzenszwalb",
        perturb_fn: Callable[..., Any] | None = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
    ) -> None:
        super().__init__(model, n_samples, baseline_fn, feature_mask_fn, forward_arg_extractor, additional_forward_arg_extractor)
        self.perturb_fn = perturb_fn

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.Lime(**self.removal(explained))

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {**super().get_tunables(), "n_samples": (int, {"low": 10, "high": 100, "step": 10})}


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Returns a tensor as a tuple of one."""
    return (value,) if isinstance(value, torch.Tensor) or value is None else tuple(value)
