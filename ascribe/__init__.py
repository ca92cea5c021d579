"""Explains which parts of the input, or of any layer, a network's output depends on, and how far the explanation can be trusted.

    a = asc.IntegratedGradients()(model, x, of=3)   # a named method, called with the model and its inputs
    a.show()                                        # values, checks, the completeness gap

The package holds what most calls need: the verbs (:func:`attribute` and others), the named methods, quantities (``of=``), cuts
(``at=``), distributions of points (``over=``), the usual replacements for removed features (``by=``) and feature groups (``features=``),
:class:`Attribution` and the errors. Everything else is public in its module: :mod:`ascribe.rules`, :mod:`ascribe.coalitions`,
:mod:`ascribe.features`, :mod:`ascribe.removal`, :mod:`ascribe.quantities`, :mod:`ascribe.distributions`, :mod:`ascribe.methods`,
:mod:`ascribe.metrics`, :mod:`ascribe.choose`, :mod:`ascribe.plots`, :mod:`ascribe.reports`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .backends.blackbox.runners import BlackBox
from .calls.call import Call
from .cuts import EMBEDDINGS, INPUT, LOGITS, OUTPUT, Cut
from .distributions import Background, Gaussian, Line, Point, Points, Reference, Uniform
from .engine.estimate import estimate
from .engine.rule_table import explain_rules
from .engine.verbs import activation, attribute, cuts_of, influence
from .errors import AscribeError, AscribeWarning
from .features import Columns, Grid, Segments, Superpixels, Tokens, Windows
from .methods import (
    CPLRP,
    GIM,
    LRP,
    RAP,
    AblationCam,
    AttnLRP,
    Conductance,
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    EigenCam,
    ExpectedGradients,
    FeatureAblation,
    FeaturePermutation,
    FullGrad,
    FullGradDecomposition,
    GradCam,
    GradCamPlusPlus,
    GuidedBackprop,
    GuidedGradCam,
    HiResCam,
    Hsic,
    InputXGradient,
    IntegratedGradients,
    InternalInfluence,
    KernelShap,
    LayerActivation,
    LayerCam,
    LibraGrad,
    Lime,
    LstmLRP,
    Occlusion,
    Partition,
    RelP,
    Rise,
    Saliency,
    ScoreCam,
    ShapleyExact,
    ShapleySampling,
    SmoothGrad,
    SobolIndices,
    SquareGrad,
    TreeShap,
    VarGrad,
    XGradCam,
)
from .quantities import Box, Channel, Contrast, Labels, LogProb, PredictedClass, Prob, Region, Threshold, Total, Unit
from .removal import Blur, Drop, Inpaint, MaskToken, Mean, Replace, Resample
from .result import Attribution
from .utils.hints import root_hint
from .version import VERSION as __version__

if TYPE_CHECKING:
    from .choose import cite, compare, describe, recommend, tune
    from .reports import report

LATER = {"cite": "choose", "compare": "choose", "describe": "choose", "recommend": "choose", "report": "reports", "tune": "choose"}
"""Functions of modules that are loaded when they are first used, so that ``import ascribe`` stays light."""
MODULES = (
    "choose", "coalitions", "compat", "cuts", "distributions", "errors", "features", "methods", "metrics", "plots", "quantities", "removal",
    "reports", "result", "rules",
)  # fmt: skip
"""The public modules; ``asc.rules`` and the others are loaded when they are first used."""

__all__ = [
    "CPLRP",
    "EMBEDDINGS",
    "GIM",
    "INPUT",
    "LOGITS",
    "LRP",
    "OUTPUT",
    "RAP",
    "AblationCam",
    "AscribeError",
    "AscribeWarning",
    "AttnLRP",
    "Attribution",
    "Background",
    "BlackBox",
    "Blur",
    "Box",
    "Call",
    "Channel",
    "Columns",
    "Conductance",
    "Contrast",
    "Cut",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "Drop",
    "EigenCam",
    "ExpectedGradients",
    "FeatureAblation",
    "FeaturePermutation",
    "FullGrad",
    "FullGradDecomposition",
    "Gaussian",
    "GradCam",
    "GradCamPlusPlus",
    "Grid",
    "GuidedBackprop",
    "GuidedGradCam",
    "HiResCam",
    "Hsic",
    "Inpaint",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "Labels",
    "LayerActivation",
    "LayerCam",
    "LibraGrad",
    "Lime",
    "Line",
    "LogProb",
    "LstmLRP",
    "MaskToken",
    "Mean",
    "Occlusion",
    "Partition",
    "Point",
    "Points",
    "PredictedClass",
    "Prob",
    "Reference",
    "Region",
    "RelP",
    "Replace",
    "Resample",
    "Rise",
    "Saliency",
    "ScoreCam",
    "Segments",
    "ShapleyExact",
    "ShapleySampling",
    "SmoothGrad",
    "SobolIndices",
    "SquareGrad",
    "Superpixels",
    "Threshold",
    "Tokens",
    "Total",
    "TreeShap",
    "Uniform",
    "Unit",
    "VarGrad",
    "Windows",
    "XGradCam",
    "activation",
    "attribute",
    "cite",
    "compare",
    "cuts_of",
    "describe",
    "estimate",
    "explain_rules",
    "influence",
    "recommend",
    "report",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    home = next((m for m in MODULES if name[:1].isupper() and name in getattr(import_module(f"{__name__}.{m}"), "__all__", ())), None)
    advice = f". Try: asc.{home}.{name}" if home else root_hint(name, __all__)
    raise AttributeError(f"module 'ascribe' has no attribute {name!r}{advice}")


def __dir__() -> list[str]:
    """The public names and modules; internal modules that happen to be loaded are left out."""
    return [*sorted((*__all__, *MODULES)), "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"]
