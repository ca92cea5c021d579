"""Tells what a deep network's output is owed to, and how far that answer can be trusted."""

from __future__ import annotations

from .baselines import Call, MaskTokens, mask_tokens
from .cams import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from .coalitions import Banzhaf, Exact, LeaveOneOut, Leverage, Permutations, Players, Random, ShapleyKernel
from .cuts import EMBEDDINGS, INPUT, LOGITS, OUTPUT, Cut
from .deep import LRP, Deconvolution, DeepLift, DeepLiftShap, GuidedBackprop
from .distributions import Background, Gaussian, Line, Point, Points, Reference, Uniform
from .engine import activation, attribute, cuts_of, influence
from .errors import AscribeError, AscribeWarning
from .estimates import Estimate, estimate
from .fullgrad import FullGrad, FullGradients
from .methods import (
    Activation,
    Conductance,
    ExpectedGradients,
    InputXGradient,
    IntegratedGradients,
    InternalInfluence,
    Saliency,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from .quantities import (
    Box,
    Channel,
    Contrast,
    Custom,
    Labels,
    LogProb,
    Mask,
    Max,
    Prob,
    Threshold,
    Total,
    Unit,
)
from .result import Attribution
from .rules import Gradient
from .rules.relevance import AlphaBeta, Deconv, Epsilon, Gamma, Guided
from .rules.rescale import Rescale
from .rules.transformers import AttnLrp, CpLrp
from .version import VERSION as __version__

__all__ = [
    "EMBEDDINGS",
    "INPUT",
    "LOGITS",
    "LRP",
    "OUTPUT",
    "Activation",
    "AlphaBeta",
    "AscribeError",
    "AscribeWarning",
    "AttnLrp",
    "Attribution",
    "Background",
    "Banzhaf",
    "Box",
    "Call",
    "Channel",
    "Conductance",
    "Contrast",
    "CpLrp",
    "Custom",
    "Cut",
    "Deconv",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "EigenCam",
    "Epsilon",
    "Estimate",
    "Exact",
    "ExpectedGradients",
    "FullGrad",
    "FullGradients",
    "Gamma",
    "Gaussian",
    "GradCam",
    "GradCamPlusPlus",
    "Gradient",
    "Guided",
    "GuidedBackprop",
    "HiResCam",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "Labels",
    "LayerCam",
    "LeaveOneOut",
    "Leverage",
    "Line",
    "LogProb",
    "Mask",
    "MaskTokens",
    "Max",
    "Permutations",
    "Players",
    "Point",
    "Points",
    "Prob",
    "Random",
    "Reference",
    "Rescale",
    "Saliency",
    "ShapleyKernel",
    "SmoothGrad",
    "SquareGrad",
    "Threshold",
    "Total",
    "Uniform",
    "Unit",
    "VarGrad",
    "XGradCam",
    "activation",
    "attribute",
    "cuts_of",
    "estimate",
    "influence",
    "mask_tokens",
]
