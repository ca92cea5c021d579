"""The result of every call: :class:`Attribution`, with checks, cost, feature table, files and data frames."""

from __future__ import annotations

from .attribution import Attribution
from .parts import Check, Cost, Gap

__all__ = ["Attribution", "Check", "Cost", "Gap"]
