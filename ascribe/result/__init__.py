"""What every call returns: :class:`Attribution`, with its checks, cost, table of features, files and data frames."""

from __future__ import annotations

from .attribution import Attribution
from .parts import Check, Cost, Gap

__all__ = ["Attribution", "Check", "Cost", "Gap"]
