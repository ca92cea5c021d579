"""Consistency between records: do records with the same explanation have the same prediction?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Evaluation, Metric, check_settings
from .scores import Direction


@dataclass(frozen=True, repr=False)
class Consistency(Metric):
    """For each record, the share of the other records with the same largest features that have the same predicted class.

    *Use it when* you explain many records and ask whether equal explanations mean equal decisions. Two explanations are the same if the
    ``top`` largest absolute values are at the same elements. NaN for a record whose explanation no other record has.
    """

    top: int = 3

    family = "robustness"
    direction: ClassVar[Direction] = "higher"
    formula = "P(class(x') = class(x) | e(x') = e(x)), e the set of the largest elements"
    cost = "1 forward pass"
    weakness = "Needs many records; explanations of images are hardly ever the same."
    source = 'Dasgupta et al. 2022, "Framework for Evaluating Faithfulness of Local Explanations", arXiv:2202.00734'

    def __post_init__(self) -> None:
        check_settings(self, top=1)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        flat, classes = np.abs(evaluation.flat_values()), evaluation.predicted_classes()
        size = min(self.top, flat.shape[1])
        largest = np.sort(np.argpartition(-flat, size - 1, axis=1)[:, :size], axis=1)
        same = (largest[:, None] == largest[None]).all(-1)
        return share_of_class(evaluation, same, classes, "no other record has the same largest features")


@dataclass(frozen=True, repr=False)
class ExplanationSufficiency(Metric):
    """For each record, the share of the other records with a similar explanation that have the same predicted class.

    *Use it when* you ask whether an explanation is enough to know the decision. Similar are explanations whose correlation is at least
    ``similarity``. NaN for a record without a similar one.
    """

    similarity: float = 0.6

    direction: ClassVar[Direction] = "higher"
    formula = "P(class(x') = class(x) | corr(a(x'), a(x)) >= similarity)"
    cost = "1 forward pass"
    weakness = "Needs many records; explanations that are alike for all records have the frequency of the class."
    source = 'Dasgupta et al. 2022, "Framework for Evaluating Faithfulness of Local Explanations", arXiv:2202.00734'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        flat, classes = evaluation.flat_values(), evaluation.predicted_classes()
        centred = flat - flat.mean(1, keepdims=True)
        size = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = centred / np.where(size > 0, size, 1.0)
        return share_of_class(evaluation, unit @ unit.T >= self.similarity, classes, "no other record has a similar explanation")


def share_of_class(evaluation: Evaluation, alike: np.ndarray, classes: np.ndarray, why: str) -> np.ndarray:
    """Returns the share of other records that are ``alike`` and have the same class; NaN, with a check, where none is."""
    others = alike & ~np.eye(len(alike), dtype=bool)
    counts = others.sum(1)
    evaluation.note_undefined(counts == 0, why)
    same = (others & (classes[:, None] == classes[None])).sum(1)
    return np.where(counts > 0, same / np.maximum(counts, 1), np.nan)
