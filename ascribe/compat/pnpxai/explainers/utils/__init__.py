"""Baselines, feature masks, poolings and normalisations of ``pnpxai.explainers.utils``."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...tuples import format_into_tuple as _format_to_tuple
from .base import UtilFunction
from .baselines import BaselineFunction
from .feature_masks import FeatureMaskFunction, Felzenszwalb
from .function_selectors import FunctionSelector
from .postprocess import NormalizationFunction, PoolingFunction, PostProcessor

__all__ = [
    "BaselineFunction",
    "FeatureMaskFunction",
    "FunctionSelector",
    "NormalizationFunction",
    "PoolingFunction",
    "PostProcessor",
    "UtilFunction",
    "_format_to_tuple",
    "captum_wrap_model_input",
    "find_cam_target_layer",
    "get_default_feature_mask_fn",
]


def captum_wrap_model_input(model: nn.Module) -> Any:
    """Returns captum's wrapper, whose ``input_maps`` are layers for the arguments of the model by name."""
    from ....captum.embeddings import ModelInputWrapper

    return model if isinstance(model, ModelInputWrapper) else ModelInputWrapper(model)


def find_cam_target_layer(model: nn.Module) -> nn.Module | None:
    """Returns the last convolution of a model in the order of registration; None without one. ``GradCam`` finds its layer by a run."""
    convolutions = [module for module in model.modules() if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d))]
    return convolutions[-1] if convolutions else None


def get_default_feature_mask_fn(modality: Any) -> Any:
    """Returns the default feature mask function of "image", "text" or both."""
    if modality == "image":
        return Felzenszwalb()
    return (lambda inputs: None) if modality == "text" else (Felzenszwalb(), lambda inputs: None)
