"""What is explained: one number per record, read at a cut.

A quantity is a value (frozen, comparable, with a repr that can be pasted back). It is *bound* once to what the model gives
for the records: there ``PredictedClass`` chooses its class, names become positions, and every position is checked. The bound quantity
is then a pure function of arrays, evaluated at every point. ``take`` restricts it to some records, so that each keeps its
own label wherever its rows are.
"""

from __future__ import annotations

from .base import Bound, Part, Quantity, check_scores, scores
from .classes import Contrast, Labels, LogProb, PredictedClass, Prob, Unit
from .parse import Custom, as_quantities
from .regions import Box, Channel, Region, Threshold, Total

__all__ = [
    "Bound",
    "Box",
    "Channel",
    "Contrast",
    "Custom",
    "Labels",
    "LogProb",
    "Part",
    "PredictedClass",
    "Prob",
    "Quantity",
    "Region",
    "Threshold",
    "Total",
    "Unit",
    "as_quantities",
    "check_scores",
    "scores",
]
