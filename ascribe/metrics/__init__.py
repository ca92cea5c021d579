"""Metrics that judge explanations, one number for each record: ``metric(explained, model, *args, of=...)``.

``explained`` is a method or an attribution. The result is :class:`Scores`. :class:`Metric` is the base for metrics of your own,
``METRICS`` has every metric by its name.
"""

from __future__ import annotations

from . import known
from .axioms import Completeness, InputInvariance, NonSensitivity
from .base import Evaluation, Measured, Metric
from .complexity import EffectiveComplexity, Entropy, Sparseness
from .consistency import Consistency, ExplanationSufficiency
from .controls import ConstantValues, RandomValues
from .correlation import FaithfulnessCorrelation, FaithfulnessEstimate, MonotonicityCorrelation, MuFidelity, SensitivityN
from .curves import Deletion, Insertion, Irof, RelevanceGain
from .infidelity import Infidelity, Squares
from .localisation import AttributionLocalisation, Focus, LocalisationAuc, PointingGame, RelevanceMass, RelevanceRank, TopKIntersection
from .monotonicity import Monotonicity
from .randomisation import EfficientParameterRandomization, ParameterRandomization, RandomLogit, SmoothParameterRandomization
from .records import Records, open_records
from .removed import Positions, RemovedFeatures, open_features
from .retraining import Kar, Roar
from .road import Road
from .scores import Curve, Scores
from .sensitivity import (
    Continuity,
    LipschitzEstimate,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    Sensitivity,
)
from .subsets import Comprehensiveness, FFidelity, SoftComprehensiveness, SoftSufficiency, Sufficiency

METRICS: dict[str, type[Metric]] = {
    cls.__name__: cls
    for cls in (
        AttributionLocalisation, Completeness, Comprehensiveness, Consistency, Continuity, Deletion, EffectiveComplexity,
        EfficientParameterRandomization, Entropy, ExplanationSufficiency, FFidelity, FaithfulnessCorrelation,
        FaithfulnessEstimate, Focus, Infidelity, InputInvariance, Insertion, Irof, Kar, LipschitzEstimate, LocalisationAuc,
        Monotonicity, MonotonicityCorrelation, MuFidelity, NonSensitivity, ParameterRandomization, PointingGame, RandomLogit,
        RelativeInputStability, RelativeOutputStability, RelativeRepresentationStability, RelevanceGain, RelevanceMass,
        RelevanceRank, Road, Roar, Sensitivity, SensitivityN, SmoothParameterRandomization, SoftComprehensiveness,
        SoftSufficiency, Sparseness, Sufficiency, TopKIntersection,
    )
}  # fmt: skip
"""Every metric by its name, in alphabetical order."""

__all__ = [
    "METRICS",
    "AttributionLocalisation",
    "Completeness",
    "Comprehensiveness",
    "Consistency",
    "ConstantValues",
    "Continuity",
    "Curve",
    "Deletion",
    "EffectiveComplexity",
    "EfficientParameterRandomization",
    "Entropy",
    "Evaluation",
    "ExplanationSufficiency",
    "FFidelity",
    "FaithfulnessCorrelation",
    "FaithfulnessEstimate",
    "Focus",
    "Infidelity",
    "InputInvariance",
    "Insertion",
    "Irof",
    "Kar",
    "LipschitzEstimate",
    "LocalisationAuc",
    "Measured",
    "Metric",
    "Monotonicity",
    "MonotonicityCorrelation",
    "MuFidelity",
    "NonSensitivity",
    "ParameterRandomization",
    "PointingGame",
    "Positions",
    "RandomLogit",
    "RandomValues",
    "Records",
    "RelativeInputStability",
    "RelativeOutputStability",
    "RelativeRepresentationStability",
    "RelevanceGain",
    "RelevanceMass",
    "RelevanceRank",
    "RemovedFeatures",
    "Road",
    "Roar",
    "Scores",
    "Sensitivity",
    "SensitivityN",
    "SmoothParameterRandomization",
    "SoftComprehensiveness",
    "SoftSufficiency",
    "Sparseness",
    "Squares",
    "Sufficiency",
    "TopKIntersection",
    "known",
    "open_features",
    "open_records",
]
