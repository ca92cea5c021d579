"""Metrics: numbers that compare an attribution with the behaviour of the model, one for each record.

A metric of your own is a value that opens the model with :func:`open_records` and evaluates the quantity at changed inputs: see
``CONTRIBUTING.md``.
"""

from __future__ import annotations

from .infidelity import Infidelity
from .perturbed import Records, open_records
from .sensitivity import Sensitivity

__all__ = ["Infidelity", "Records", "Sensitivity", "open_records"]
