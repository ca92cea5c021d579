"""Quantities (other libraries: targets): the number per record that is explained, read at a cut.

A quantity is an immutable value. It is bound once to the model's output for the records: ``PredictedClass`` selects its class, class
names become indices, and every index is checked. The bound quantity is a pure function of arrays, evaluated at every point of a path.
Its ``take`` restricts it to some records, so that each record keeps its own label.
"""

from __future__ import annotations

from .base import Bound, Part, Quantity, check_scores, select_scores
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
    "select_scores",
]
