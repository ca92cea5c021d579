"""Metrics that judge explanations by the model itself, one number for each record: ``metric(explained, model, *args, of=...)``.

``explained`` is a method or an attribution. The result is :class:`Scores`. :class:`Metric` is the base for metrics of your own.
"""

from __future__ import annotations

from .base import Evaluation, Metric
from .infidelity import Infidelity
from .records import Records, open_records
from .scores import Scores
from .sensitivity import Sensitivity

__all__ = ["Evaluation", "Infidelity", "Metric", "Records", "Scores", "Sensitivity", "open_records"]
