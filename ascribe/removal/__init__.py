"""Replacements for removed features: ``by=`` of the verb, where ``over=`` is coalitions."""

from __future__ import annotations

from .background import Nearest, Permute, Resample
from .base import Removal, Removing, StandIn, standing
from .inpaint import Inpaint
from .per_input import PerInput
from .tokens import Drop, MaskToken
from .values import Blur, Mean, Noise, Patch, Replace

__all__ = [
    "Blur",
    "Drop",
    "Inpaint",
    "MaskToken",
    "Mean",
    "Nearest",
    "Noise",
    "Patch",
    "PerInput",
    "Permute",
    "Removal",
    "Removing",
    "Replace",
    "Resample",
    "StandIn",
    "standing",
]
