"""Is it true? Numbers that judge attributions by the model itself, one for each record."""

from __future__ import annotations

from .infidelity import Infidelity
from .sensitivity import Sensitivity

__all__ = ["Infidelity", "Sensitivity"]
