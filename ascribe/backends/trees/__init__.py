"""Ensembles of decision trees: their scores, and exact contributions to them."""

from __future__ import annotations

from .ensemble import Contributions, Ensemble
from .recognise import is_ensemble, read_ensemble

__all__ = ["Contributions", "Ensemble", "is_ensemble", "read_ensemble"]
