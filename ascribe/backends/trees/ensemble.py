"""What every ensemble of trees offers, and its scores with one column for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

Output = Literal["margin", "probability"]
"""The explained output: the sum of the trees before a link function, or the probabilities of the classes."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """The contribution of each feature to each score, and the scores that they start from.

    ``values`` are ``[records, features, scores]``, or ``[records, features, features, scores]`` for pairs; ``expected`` are ``[scores]``.
    ``eps`` is the relative precision of the numbers that they were added up from.
    """

    values: np.ndarray
    expected: np.ndarray
    eps: float


class Ensemble(Protocol):
    """A model of trees that can be read.

    ``binary`` says that a single score stands for two classes; ``classifies`` that scores belong to classes, and not to targets.
    ``links`` says that a link function turns the margin into probabilities, so that the two are different outputs.
    """

    @property
    def model(self) -> Any: ...
    @property
    def binary(self) -> bool: ...
    @property
    def classifies(self) -> bool: ...
    @property
    def links(self) -> bool: ...
    @property
    def class_names(self) -> tuple[str, ...] | None: ...

    def scores(self, data: Any, output: Output) -> np.ndarray:
        """Returns the model's own output, ``[records]`` or ``[records, scores]``; probabilities have one column for each class."""

    def explain(self, data: Any, pairs: bool) -> Contributions:
        """Returns path-dependent contributions to the margin."""

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        """Returns interventional contributions, the mean over the background rows."""


def as_columns(scores: np.ndarray, binary: bool) -> np.ndarray:
    """Returns scores as ``[records, scores]``; the log odds of the second of two classes also as those of the first, which are minus it."""
    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    return np.concatenate([-table, table], axis=1) if binary and table.shape[1] == 1 else table


def for_both_classes(found: Contributions, binary: bool, probability: bool) -> Contributions:
    """Returns contributions with a column for each of two classes, where they have the second only; probabilities of both add up to 1."""
    if not binary or len(found.expected) != 1:
        return found
    expected = found.expected[0]
    both = np.array([1 - expected if probability else -expected, expected])
    return Contributions(np.concatenate([-found.values, found.values], axis=-1), both, found.eps)


def take_rows(data: Any, start: int, stop: int) -> Any:
    """Returns some rows of an array or a table, by their positions."""
    return data.iloc[start:stop] if hasattr(data, "iloc") else data[start:stop]
