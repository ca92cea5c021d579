"""PnPXAI's explainers, each a few lines onto a native method."""

from __future__ import annotations

from .attention import AttentionRollout, GenericAttention, TransformerAttribution
from .base import Explainer
from .gradients import (
    DeepLiftShap,
    FullGrad,
    GradCam,
    Gradient,
    GradientXInput,
    GuidedBackprop,
    GuidedGradCam,
    IntegratedGradients,
    SmoothGrad,
    VarGrad,
)
from .missing import LEAR, Gfgp
from .relevance import RAP, LRPBase, LRPEpsilonAlpha2Beta1, LRPEpsilonGammaBox, LRPEpsilonPlus, LRPUniformEpsilon
from .removal import KernelShap, Lime

CAM_BASED_EXPLAINERS = [GradCam, GuidedGradCam]
GRADIENT_BASED_EXPLAINERS = [
    Gradient,
    GradientXInput,
    SmoothGrad,
    VarGrad,
    IntegratedGradients,
    LRPUniformEpsilon,
    LRPEpsilonPlus,
    LRPEpsilonGammaBox,
    LRPEpsilonAlpha2Beta1,
]
PERTURBATION_BASED_EXPLAINERS = [KernelShap, Lime]
ATTENTION_SPECIFIC_EXPLAINERS = [AttentionRollout, TransformerAttribution]
AVAILABLE_EXPLAINERS: tuple[type[Explainer], ...] = (
    *CAM_BASED_EXPLAINERS,
    *GRADIENT_BASED_EXPLAINERS,
    RAP,
    *PERTURBATION_BASED_EXPLAINERS,
    *ATTENTION_SPECIFIC_EXPLAINERS,
)
EXPLAINERS_FOR_TABULAR: tuple[type[Explainer], ...] = (Gradient, GradientXInput, SmoothGrad, VarGrad, IntegratedGradients, KernelShap, Lime)
EXPLAINERS_FOR_MEDICAL_IMAGE: tuple[type[Explainer], ...] = ()

__all__ = [
    "AVAILABLE_EXPLAINERS",
    "LEAR",
    "RAP",
    "AttentionRollout",
    "DeepLiftShap",
    "Explainer",
    "FullGrad",
    "GenericAttention",
    "Gfgp",
    "GradCam",
    "Gradient",
    "GradientXInput",
    "GuidedBackprop",
    "GuidedGradCam",
    "IntegratedGradients",
    "KernelShap",
    "LRPBase",
    "LRPEpsilonAlpha2Beta1",
    "LRPEpsilonGammaBox",
    "LRPEpsilonPlus",
    "LRPUniformEpsilon",
    "Lime",
    "SmoothGrad",
    "TransformerAttribution",
    "VarGrad",
]
