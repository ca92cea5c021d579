"""The named methods. Each is a value that is called with a model and its inputs: ``IntegratedGradients(steps=64)(model, x, of=1)``.

:class:`~ascribe.methods.base.Method` describes the call, which all methods share. :class:`GradientMethod` and :class:`PerturbationMethod`
are the bases for methods of your own.
"""

from __future__ import annotations

from .base import GradientMethod, Method, PerturbationMethod
from .cam.methods import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from .cam.removal import AblationCam, ScoreCam
from .deeplift import DeepLift, DeepLiftShap
from .facts import Passes
from .fullgrad import FullGrad, FullGradDecomposition
from .gradients import InputXGradient, LayerActivation, Saliency, SmoothGrad, SquareGrad, VarGrad
from .guided import Deconvolution, GuidedBackprop, GuidedGradCam
from .integrated import Conductance, ExpectedGradients, IntegratedGradients, InternalInfluence
from .lrp import CPLRP, GIM, LRP, RAP, AttnLRP, LibraGrad, LstmLRP, RelP
from .perturbation import FeatureAblation, FeaturePermutation, Hsic, Lime, Occlusion, Rise, SobolIndices
from .processed import At, Processed
from .shapley import KernelShap, Partition, ShapleyExact, ShapleySampling
from .trees import TreeShap

METHODS: dict[str, type[Method]] = {
    cls.__name__: cls
    for cls in (
        AblationCam, AttnLRP, CPLRP, Conductance, Deconvolution, DeepLift, DeepLiftShap, EigenCam, ExpectedGradients, FeatureAblation,
        FeaturePermutation, FullGrad, FullGradDecomposition, GIM, GradCam, GradCamPlusPlus, GuidedBackprop, GuidedGradCam, HiResCam, Hsic,
        InputXGradient, IntegratedGradients, InternalInfluence, KernelShap, LRP, LayerActivation, LayerCam, LibraGrad, Lime, LstmLRP,
        Occlusion, Partition, RAP, RelP, Rise, Saliency, ScoreCam, ShapleyExact, ShapleySampling, SmoothGrad, SobolIndices, SquareGrad,
        TreeShap, VarGrad, XGradCam,
    )
}  # fmt: skip
"""Every named method by its name, in alphabetical order."""

__all__ = [
    "CPLRP",
    "GIM",
    "LRP",
    "METHODS",
    "RAP",
    "AblationCam",
    "At",
    "AttnLRP",
    "Conductance",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "EigenCam",
    "ExpectedGradients",
    "FeatureAblation",
    "FeaturePermutation",
    "FullGrad",
    "FullGradDecomposition",
    "GradCam",
    "GradCamPlusPlus",
    "GradientMethod",
    "GuidedBackprop",
    "GuidedGradCam",
    "HiResCam",
    "Hsic",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "LayerActivation",
    "LayerCam",
    "LibraGrad",
    "Lime",
    "LstmLRP",
    "Method",
    "Occlusion",
    "Partition",
    "Passes",
    "PerturbationMethod",
    "Processed",
    "RelP",
    "Rise",
    "Saliency",
    "ScoreCam",
    "ShapleyExact",
    "ShapleySampling",
    "SmoothGrad",
    "SobolIndices",
    "SquareGrad",
    "TreeShap",
    "VarGrad",
    "XGradCam",
]
