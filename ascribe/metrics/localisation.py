"""Localisation: do the values lie where they should? For records whose relevant region is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import ArrayLike, as_numpy
from ..errors import InputError
from .base import Evaluation, Metric, check_settings
from .removed import resized_map
from .scores import Direction
from .similarity import mean_ranks


@dataclass(frozen=True, repr=False, eq=False)
class Localisation(Metric):
    """The base of metrics that compare values with a region.

    ``mask`` is true where the relevant region is: ``[records or 1, ...]`` in the shape of the inputs, or without their channels,
    ``[records or 1, height, width]`` for images, whose values are then summed over the channels. Class activation maps of another size are
    resized. NaN for records whose region is empty or everything.
    """

    mask: ArrayLike

    family = "localisation"
    direction: ClassVar[Direction] = "higher"
    needs = ("mask",)
    cost = "none"
    weakness = "Judges the model too: a model that looks elsewhere makes a true explanation look wrong."

    def score(self, evaluation: Evaluation) -> np.ndarray:
        mask = as_numpy(self.mask).astype(bool)
        values, inside = align_mask(evaluation, mask)
        some, every = np.asarray(inside.any(1)), np.asarray(inside.all(1))
        evaluation.note_undefined(~some, "the region is empty")
        evaluation.note_undefined(every, "the region is everything")
        return np.where(some & ~every, self.compare(values, inside, evaluation), np.nan)

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        """Returns one number for each record, from values and region ``[records, elements]``."""
        raise NotImplementedError


def align_mask(evaluation: Evaluation, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns values and region as ``[records, elements]``. Raises InputError where they do not fit."""
    arrays = [as_numpy(v).astype(np.float64) for v in evaluation.values]
    if len(arrays) == 1:
        (values,) = arrays
        records = len(values)
        image = mask.ndim == 3 and values.ndim == 4
        if image:
            values = resized_map(values, (records, values.shape[1], *mask.shape[1:]))
            axis = 1 if values.shape[2:] == mask.shape[1:] else 3
            values = values.sum(axis)
        if mask.ndim == values.ndim + 1 and values.ndim == 2 and mask.shape[1:-1] == values.shape[1:]:
            mask = np.asarray(mask.any(-1))
        if mask.shape[1:] == values.shape[1:] and len(mask) in (1, records):
            flat = values.reshape(records, -1)
            return flat, np.broadcast_to(mask.reshape(len(mask), -1), flat.shape)
    shapes = ", ".join(str(a.shape) for a in arrays)
    there = f"a mask of shape {mask.shape} for values of shape {shapes}"
    raise InputError(
        "The mask does not have the shape of the values", found=there, advice="mask of shape [records, height, width] for images"
    )


@dataclass(frozen=True, repr=False, eq=False)
class PointingGame(Localisation):
    """Whether the largest value lies in the region, or within ``tolerance`` positions of it in an image.

    *Use it when* you ask only for the one most relevant place. The mean over records is the accuracy of the paper. Equal largest values
    are drawn from at random. ``mask`` as in :class:`Localisation`.
    """

    tolerance: int = 0

    formula = "[argmax a in region]"
    source = 'Zhang et al. 2018, "Top-Down Neural Attention by Excitation Backprop", arXiv:1608.00507'

    def __post_init__(self) -> None:
        check_settings(self, tolerance=0)

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        wide = inside
        sides = as_numpy(self.mask).shape[1:]
        if self.tolerance and len(sides) == 2:
            wide = grown(inside.reshape(-1, *sides), self.tolerance).reshape(inside.shape)
        best = np.lexsort((evaluation.random.random(values.shape), values), axis=-1)[:, -1]
        return wide[np.arange(len(values)), best].astype(np.float64)


def grown(region: np.ndarray, by: int) -> np.ndarray:
    """Returns regions ``[records, height, width]`` with all positions within a distance."""
    found = np.zeros_like(region)
    height, width = region.shape[1:]
    for down in range(-by, by + 1):
        for across in range(-by, by + 1):
            if down * down + across * across <= by * by:
                part = region[:, max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
                found[:, max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] |= part
    return found


@dataclass(frozen=True, repr=False, eq=False)
class RelevanceMass(Localisation):
    """The share of the positive values that lies in the region.

    *Use it when* the relevant region is known from the way in which data were made. Quantus divides by all values, of both signs, and can
    give more than 1. NaN for records without positive values. ``mask`` as in :class:`Localisation`.
    """

    formula = "sum over region of max(a, 0) / sum of max(a, 0)"
    source = (
        'Arras et al. 2022, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations", '
        "arXiv:2003.07258"
    )

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        positive = np.maximum(values, 0)
        total = positive.sum(1)
        evaluation.note_undefined(total == 0, "no value is positive")
        return np.where(total > 0, (positive * inside).sum(1) / np.where(total > 0, total, 1.0), np.nan)


@dataclass(frozen=True, repr=False, eq=False)
class RelevanceRank(Localisation):
    """The share of the k largest values that lies in the region of k elements.

    *Use it when* only the order of values counts. Equal values are ranked at random. ``mask`` as in :class:`Localisation`.
    """

    formula = "|top k of a, in region| / k, k the size of the region"
    source = (
        'Arras et al. 2022, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations", '
        "arXiv:2003.07258"
    )

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        order = np.lexsort((evaluation.random.random(values.shape), -values), axis=-1)
        sizes = inside.sum(1)
        hits = np.take_along_axis(inside, order, 1) & (np.arange(values.shape[1]) < sizes[:, None])
        return np.asarray(hits.sum(1) / np.maximum(sizes, 1))


@dataclass(frozen=True, repr=False, eq=False)
class TopKIntersection(Localisation):
    """The share of the ``k`` largest values that lies in the region.

    *Use it when* somebody looks at a fixed number of places. Equal values are ranked at random. ``mask`` as in :class:`Localisation`.
    """

    k: int = 100

    formula = "|top k of a, in region| / k"
    weakness = "Cannot reach 1 where the region has fewer than k elements."
    source = 'Theiner et al. 2021, "Interpretable Semantic Photo Geolocation", arXiv:2104.14995'

    def __post_init__(self) -> None:
        check_settings(self, k=1)

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        order = np.lexsort((evaluation.random.random(values.shape), -values), axis=-1)
        k = min(self.k, values.shape[1])
        return np.asarray(np.take_along_axis(inside, order, 1)[:, :k].mean(1))


@dataclass(frozen=True, repr=False, eq=False)
class AttributionLocalisation(Localisation):
    """The share of the positive values that lies in the region, weighted by the size of the region if ``weighted``.

    *Use it when* you compare with results by this name; unweighted it is ``RelevanceMass``. A weighted score of 1 means as much as the
    region's share of the image. ``mask`` as in :class:`Localisation`.
    """

    weighted: bool = False

    formula = "sum over region of max(a, 0) / sum of max(a, 0), times n / |region| if weighted"
    source = 'Kohlbrenner et al. 2020, "Towards Best Practice in Explaining Neural Network Decisions with LRP", arXiv:1910.09840'

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        found = RelevanceMass(self.mask).compare(values, inside, evaluation)
        return found * inside.shape[1] / np.maximum(inside.sum(1), 1) if self.weighted else found


@dataclass(frozen=True, repr=False, eq=False)
class LocalisationAuc(Localisation):
    """The probability that a value in the region is larger than one outside (the area under the ROC curve); ties count half.

    *Use it when* regions have several sizes: 0.5 is chance for all of them. ``mask`` as in :class:`Localisation`.
    """

    formula = "P(a in region > a outside) + P(a in region = a outside) / 2"
    source = 'Fawcett 2006, "An introduction to ROC analysis", Pattern Recognition Letters 27(8)'

    def compare(self, values: np.ndarray, inside: np.ndarray, evaluation: Evaluation) -> np.ndarray:
        ranks, ones = mean_ranks(values), inside.sum(1)
        pairs = ones * (inside.shape[1] - ones)
        return np.asarray(((ranks * inside).sum(1) - ones * (ones + 1) / 2) / np.maximum(pairs, 1))


@dataclass(frozen=True, repr=False, eq=False)
class Focus(RelevanceMass):
    """The share of the positive values on the pictures of the explained class, in mosaics of pictures of several classes.

    *Use it when* records are mosaics: ``mask`` is true where pictures of the explained class are. Half of the mosaic is the class in the
    paper, so that 0.5 is chance. ``ascribe.metrics.known.Mosaic`` makes mosaics of images. ``mask`` as in :class:`Localisation`.
    """

    formula = "sum over pictures of the class of max(a, 0) / sum of max(a, 0)"
    source = 'Arias-Duart et al. 2022, "Focus! Rating XAI Methods and Finding Biases", arXiv:2109.15035'
