"""A network in one framework with its programs written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Program = Callable[[], Any]


@dataclass(frozen=True)
class Subject:
    """A model with its records, the same model with other weights, and for each row of the table a maker of the program written by hand.

    A program of the maker has not been compiled; it returns NumPy arrays: the influence summed over the points times the record, the
    decrease of the score for each window ``[windows, records]``, or the gradient.
    """

    model: Any
    other: Any
    x: Any
    native: dict[str, Callable[[int], Program]]
