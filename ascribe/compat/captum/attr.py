"""captum.attr: attribution methods, base classes, statistics, helpers for embeddings, visualization."""

from __future__ import annotations

from typing import Any

from . import visualization
from .base import Attribution, GradientAttribution, InternalAttribution, LayerAttribution, NeuronAttribution, PerturbationAttribution
from .embeddings import (
    InterpretableEmbeddingBase,
    ProductBaselines,
    TokenReferenceBase,
    configure_interpretable_embedding_layer,
    remove_interpretable_embedding_layer,
)
from .lime import Lime, LimeBase
from .loaders import DataLoaderAttribution
from .lrp import LRP, LayerLRP
from .methods import (
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    FeatureAblation,
    FeaturePermutation,
    GradientShap,
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    InternalInfluence,
    KernelShap,
    LayerActivation,
    LayerConductance,
    LayerDeepLift,
    LayerDeepLiftShap,
    LayerFeatureAblation,
    LayerFeaturePermutation,
    LayerGradCam,
    LayerGradientShap,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NeuronConductance,
    NeuronDeconvolution,
    NeuronDeepLift,
    NeuronDeepLiftShap,
    NeuronFeatureAblation,
    NeuronGradient,
    NeuronGradientShap,
    NeuronGuidedBackprop,
    NeuronIntegratedGradients,
    Occlusion,
    Saliency,
    ShapleyValues,
    ShapleyValueSampling,
)
from .noise_tunnel import NoiseTunnel
from .summaries import (
    MSE,
    ClassSummarizer,
    CommonStats,
    Count,
    Max,
    Mean,
    Min,
    StatValue,
    StdDev,
    Sum,
    Summarizer,
    SummarizerSingleTensor,
    Var,
)
from .translate.errors import missing_name_error

__all__ = [
    "LRP",
    "MSE",
    "Attribution",
    "ClassSummarizer",
    "CommonStats",
    "Count",
    "DataLoaderAttribution",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "FeatureAblation",
    "FeaturePermutation",
    "GradientAttribution",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCam",
    "InputXGradient",
    "IntegratedGradients",
    "InternalAttribution",
    "InternalInfluence",
    "InterpretableEmbeddingBase",
    "KernelShap",
    "LayerActivation",
    "LayerAttribution",
    "LayerConductance",
    "LayerDeepLift",
    "LayerDeepLiftShap",
    "LayerFeatureAblation",
    "LayerFeaturePermutation",
    "LayerGradCam",
    "LayerGradientShap",
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerLRP",
    "Lime",
    "LimeBase",
    "Max",
    "Mean",
    "Min",
    "NeuronAttribution",
    "NeuronConductance",
    "NeuronDeconvolution",
    "NeuronDeepLift",
    "NeuronDeepLiftShap",
    "NeuronFeatureAblation",
    "NeuronGradient",
    "NeuronGradientShap",
    "NeuronGuidedBackprop",
    "NeuronIntegratedGradients",
    "NoiseTunnel",
    "Occlusion",
    "PerturbationAttribution",
    "ProductBaselines",
    "Saliency",
    "ShapleyValueSampling",
    "ShapleyValues",
    "StatValue",
    "StdDev",
    "Sum",
    "Summarizer",
    "SummarizerSingleTensor",
    "TokenReferenceBase",
    "Var",
    "configure_interpretable_embedding_layer",
    "remove_interpretable_embedding_layer",
    "visualization",
]

LANGUAGE = frozenset({
    "ImageMaskInput", "InterpretableInput", "TextTemplateInput", "TextTokenInput", "VLLMProvider",
    "LLMAttribution", "LLMAttributionResult", "LLMGradientAttribution", "RemoteLLMAttribution", "RemoteLLMProvider",
})  # fmt: skip
"""What captum has for language models, and this facade has not."""


def __getattr__(name: str) -> Any:
    raise missing_name_error("captum.attr", LANGUAGE, name)
