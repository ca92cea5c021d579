"""``captum.attr`` and ``captum.metrics`` of captum 0.9.0, computed by ascribe: see docs/migrating-from-captum.md.

The modules with captum's names are here; ``translate`` turns captum's arguments into ascribe's, ``recipes`` computes the methods.
"""

from __future__ import annotations

from typing import Any

from . import attr, metrics
from .translate.errors import missing_name_error

__version__ = "0.9.0"

INPUTS = (
    *("deep_lift", "feature_ablation", "feature_permutation", "gradient_shap", "guided_backprop_deconvnet"),
    *("guided_grad_cam", "input_x_gradient", "integrated_gradients", "kernel_shap", "occlusion", "saliency"),
    *("shapley_value", "layer", "neuron"),
)
LAYERS = (
    *("grad_cam", "internal_influence", "layer_activation", "layer_conductance", "layer_deep_lift", "layer_feature_ablation"),
    *("layer_feature_permutation", "layer_gradient_shap", "layer_gradient_x_activation", "layer_integrated_gradients", "layer_lrp"),
)
NEURONS = (
    *("neuron_conductance", "neuron_deep_lift", "neuron_feature_ablation", "neuron_gradient", "neuron_gradient_shap"),
    *("neuron_guided_backprop_deconvnet", "neuron_integrated_gradients"),
)
CORE = (*INPUTS, *(f"layer.{name}" for name in LAYERS), *(f"neuron.{name}" for name in NEURONS))

PLACES: dict[str, tuple[str, ...]] = {
    "attr": ("attr", "attr._core", *(f"attr._core.{name}" for name in CORE), "attr._utils", "attr._models"),
    "noise_tunnel": ("attr._core.noise_tunnel",),
    "loaders": ("attr._core.dataloader_attr",),
    "lime": ("attr._core.lime",),
    "linear": (*("_utils.models", "_utils.models.model"), *(f"_utils.models.linear_model{end}" for end in ("", ".model"))),
    "lrp": ("attr._core.lrp", "attr._utils.lrp_rules"),
    "base": ("attr._utils.attribution", "_utils.gradient"),
    "embeddings": ("attr._models.base", "attr._utils.baselines", "attr._utils.custom_modules", "attr._utils.input_layer_wrapper"),
    "summaries": ("attr._utils.stat", "attr._utils.summarizer", "attr._utils.class_summarizer"),
    "visualization": ("attr.visualization", "attr._utils.visualization"),
    "metrics": ("metrics", "metrics._core", "metrics._core.infidelity", "metrics._core.sensitivity"),
    "kinds": ("_utils", "_utils.typing", "log"),
}
"""For each module of ours the modules of captum whose public names it has, counted from ``captum``."""

STANDS_FOR = {"captum": "", **{f"captum.{place}": own for own, places in PLACES.items() for place in places}}

__all__ = ["attr", "metrics"]


def __getattr__(name: str) -> Any:
    raise missing_name_error("captum", ("concept", "influence", "insights", "module", "robust"), name)
