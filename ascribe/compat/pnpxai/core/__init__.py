"""PnPXAI's core: detection, recommendation, experiments."""

from __future__ import annotations

from .detector import detect_model_architecture
from .experiment import (
    AutoExplanation,
    AutoExplanationForImageClassification,
    AutoExplanationForTabularClassification,
    AutoExplanationForTextClassification,
    AutoExplanationForTSClassification,
    AutoExplanationForVisualQuestionAnswering,
    Experiment,
)
from .recommender import XaiRecommender

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
