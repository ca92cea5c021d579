"""Removal of features: the values of ``by=`` where ``over=`` is coalitions."""

from __future__ import annotations

from .background import Nearest, Permute, Resample
from .base import FixedReplacement, Removal, RemovalContext, Replacement
from .inpaint import Inpaint
from .parse import as_removal
from .per_input import PerInput
from .tokens import Drop, MaskToken
from .values import Blur, Mean, Noise, Patch, Replace

__all__ = [
    "Blur",
    "Drop",
    "FixedReplacement",
    "Inpaint",
    "MaskToken",
    "Mean",
    "Nearest",
    "Noise",
    "Patch",
    "PerInput",
    "Permute",
    "Removal",
    "RemovalContext",
    "Replace",
    "Replacement",
    "Resample",
    "as_removal",
]
