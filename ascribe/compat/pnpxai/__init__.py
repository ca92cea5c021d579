"""``pnpxai`` of PnPXAI 0.1.4, computed by ascribe: see docs/migrating-from-pnpxai.md."""

from __future__ import annotations

from .core.detector import detect_model_architecture
from .core.experiment import (
    AutoExplanation,
    AutoExplanationForImageClassification,
    AutoExplanationForTabularClassification,
    AutoExplanationForTextClassification,
    AutoExplanationForTSClassification,
    AutoExplanationForVisualQuestionAnswering,
    Experiment,
)
from .core.recommender import XaiRecommender

CLASSES = (
    *("grad_cam", "guided_grad_cam", "gradient", "grad_x_input", "smooth_grad", "var_grad", "integrated_gradients", "lrp", "rap"),
    *("kernel_shap", "lime", "deep_lift_shap", "attention_rollout", "lear", "gfgp", "full_grad", "guided_backprop"),
)
"""Modules of PnPXAI with one family of explainers each."""
METRICS = ("base", "mu_fidelity", "pixel_flipping", "sensitivity", "complexity")
SEARCH = ("objectives", "optimize", "types", "utils", "suggestor")
PLACES: dict[str, tuple[str, ...]] = {
    "core": ("core",),
    "core.detector": ("core.detector", "core.detector.detector"),
    "core.types": ("core.detector.types",),
    "core.recommender": ("core.recommender", "core.recommender.recommender"),
    "core.modality": ("core.modality", "core.modality.modality"),
    "core.experiment": ("core.experiment", "core.experiment.experiment", "core.experiment.auto_explanation"),
    "core.manager": ("core.experiment.manager",),
    "evaluator": ("evaluator",),
    "evaluator.metrics": ("evaluator.metrics", *(f"evaluator.metrics.{name}" for name in METRICS)),
    "evaluator.optimizer": ("evaluator.optimizer", *(f"evaluator.optimizer.{name}" for name in SEARCH)),
    "explainers": ("explainers", *(f"explainers.{name}" for name in CLASSES)),
    "explainers.base": ("explainers.base",),
    "explainers.utils": ("explainers.utils", "explainers.utils.utils", "explainers.utils.base"),
    "explainers.utils.baselines": ("explainers.utils.baselines",),
    "explainers.utils.feature_masks": ("explainers.utils.feature_masks",),
    "explainers.utils.function_selectors": ("explainers.utils.function_selectors",),
    "explainers.utils.postprocess": ("explainers.utils.postprocess",),
    "tuples": ("utils",),
}  # fmt: skip
"""For each module of ours the modules of PnPXAI whose public names it has, counted from ``pnpxai``."""

STANDS_FOR = {"pnpxai": "", **{f"pnpxai.{place}": own for own, places in PLACES.items() for place in places}}

__version__ = "0.1.4"
__all__ = [
    "AutoExplanation",
    "AutoExplanationForImageClassification",
    "AutoExplanationForTSClassification",
    "AutoExplanationForTabularClassification",
    "AutoExplanationForTextClassification",
    "AutoExplanationForVisualQuestionAnswering",
    "Experiment",
    "XaiRecommender",
    "detect_model_architecture",
]
