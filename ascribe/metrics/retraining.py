"""Retraining: how well a model can still be trained where the features of the largest values are gone, or alone are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..calls.call import Call
from ..errors import InputError
from .base import Evaluation, Measured, Metric
from .rankings import rank_features
from .scores import Curve, Direction
from .subsets import check_shares, counts_of

Fit = Callable[[Array, Array], Any]
"""A function of training records and their labels that returns a trained model."""


@dataclass(frozen=True, repr=False, eq=False)
class Roar(Metric):
    """Whether a model that is trained anew without the features of the largest values is right, averaged over their share (ROAR).

    *Use it when* you can afford to train ``len(shares)`` models and want removal that leaves no inputs the model never saw. The number of a
    record is the share of these models that predict its label: the fewer, the more the removed features mattered.

    ``fit`` trains a model: ``fit(x, y)``; ``x`` and ``y`` are training records and labels, ``labels`` those of the explained records. Each
    record is explained by the method, for its label unless ``of`` is given, and its largest values are replaced with the mean of the
    training records. Models of one array only.
    """

    fit: Fit
    x: Array
    y: Array
    labels: Array
    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    direction: ClassVar[Direction] = "lower"
    needs = ("method", "labels", "training")
    formula = "mean over p of [class(x without the share p of the largest values) = label], by models trained on such records"
    cost = "an explanation of all training records, and a training for each share"
    weakness = "Judges what can be learnt without the features, not what the model uses; the removed places reveal the class."
    source = 'Hooker et al. 2019, "A Benchmark for Interpretability Methods in Deep Neural Networks", arXiv:1806.10758'
    keeps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shares(self, self.shares)

    def score(self, evaluation: Evaluation) -> Measured:
        arrays = [leaf for _, leaf in evaluation.inputs()]
        labels = as_numpy(self.labels)
        if len(arrays) != 1 or len(labels) != len(arrays[0]) or len(self.x) != len(self.y):
            there = f"{len(arrays)} arrays, {len(labels)} labels, {len(self.x)} training records with {len(self.y)} labels"
            raise InputError("Retraining needs one input array, and a label for each record", found=there, advice="Roar(fit, x, y, labels)")
        trained = evaluation.explain_again(Call(self.x), of=as_numpy(self.y))
        judged = evaluation.values[0]
        if evaluation.of is None and callable(evaluation.explained):  # as the training records: for the label, not for what is predicted
            judged = evaluation.explain_again(evaluation.call, of=labels).arrays()[0][1]
        sides = [(self.x, trained.arrays()[0][1]), (arrays[0], judged)]
        mean = as_numpy(self.x).astype(np.float64).mean(0)
        right = []
        for count in counts_of(self.shares, mean.size):
            train, test = (self.replaced(x, v, int(count), mean, evaluation.random) for x, v in sides)
            predicted = as_numpy(self.fit(train, self.y)(test))
            right.append((predicted.argmax(1) if predicted.ndim > 1 else np.round(predicted)) == labels)
        curve = Curve(np.array(self.shares), np.array(right, float))
        return Measured(curve.values.mean(0), {"right after retraining": curve})

    def replaced(self, x: Array, values: Array, count: int, mean: np.ndarray, random: np.random.Generator) -> Array:
        """Returns records whose largest values, or all others, are replaced with the mean."""
        rows, flat = as_numpy(x).astype(np.float64).reshape(len(x), -1), as_numpy(values).astype(np.float64)
        ranks = rank_features(np.broadcast_to(flat, as_numpy(x).shape).reshape(len(x), -1), random)
        gone = ranks >= count if self.keeps else ranks < count
        return namespace(x).asarray(np.where(gone, mean.reshape(-1), rows).reshape(as_numpy(x).shape), x)


@dataclass(frozen=True, repr=False, eq=False)
class Kar(Roar):
    """Whether a model that is trained anew on the features of the largest values alone is right, averaged over their share (KAR).

    *Use it when* you ask whether the features that an explanation names are enough to learn the task. Fields as in :class:`Roar`.
    """

    direction: ClassVar[Direction] = "higher"
    formula = "mean over p of [class(only the share p of the largest values) = label], by models trained on such records"
    keeps: ClassVar[bool] = True
