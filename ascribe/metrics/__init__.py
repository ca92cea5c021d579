"""Metrics that judge explanations by the model itself, one number for each record: ``metric(explained, model, *args, of=...)``.

``explained`` is a method or an attribution. The result is :class:`Scores`. :class:`Metric` is the base for metrics of your own.
"""

from __future__ import annotations

from .base import Evaluation, Measured, Metric
from .controls import ConstantValues, RandomValues
from .curves import Deletion, Insertion, RelevanceGain
from .infidelity import Infidelity
from .records import Records, open_records
from .removed import Positions, RemovedFeatures, open_features
from .scores import Curve, Scores
from .sensitivity import Sensitivity

METRICS: dict[str, type[Metric]] = {
    cls.__name__: cls
    for cls in (
        Deletion, Infidelity, Insertion, RelevanceGain, Sensitivity,
    )
}  # fmt: skip
"""Every metric by its name."""

__all__ = [
    "METRICS",
    "ConstantValues",
    "Curve",
    "Deletion",
    "Evaluation",
    "Infidelity",
    "Insertion",
    "Measured",
    "Metric",
    "Positions",
    "RandomValues",
    "Records",
    "RelevanceGain",
    "RemovedFeatures",
    "Scores",
    "Sensitivity",
    "open_features",
    "open_records",
]
