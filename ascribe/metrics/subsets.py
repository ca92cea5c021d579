"""Faithfulness of the largest values: is their removal felt, and are they enough? For tokens of texts, and for features of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import as_numpy
from ..cuts import EMBEDDINGS, INPUT
from ..errors import InputError
from ..features import EachElement
from ..features.coordinates import FeaturesLike
from ..removal.base import RemovalLike
from .base import Evaluation, Measured, Metric, check_settings
from .curves import LERF, MORF, Replacements, over_replacements
from .rankings import first_kept, first_removed, rank_features
from .removed import Present, RemovedFeatures
from .scores import Curve, Direction

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of tokens that the authors of ERASER remove or keep."""


def check_shares(metric: Metric, shares: tuple[float, ...]) -> None:
    """Raises InputError for shares that are not above 0 and at most 1."""
    if not isinstance(shares, tuple) or not shares or not all(isinstance(p, (int, float)) and 0 < p <= 1 for p in shares):
        problem = f"`shares=` of `{type(metric).__name__}` must be a tuple of numbers above 0, and at most 1"
        raise InputError(problem, found=f"shares={shares!r}", advice="shares=(0.1, 0.5)")


def counts_of(shares: tuple[float, ...], features: int) -> np.ndarray:
    """Returns the numbers of features of some shares, at least one each."""
    return np.maximum(np.round(np.array(shares) * features), 1).astype(int)


@dataclass(frozen=True, repr=False, eq=False)
class Comprehensiveness(Metric):
    """The fall of the quantity when the features of the largest values are removed, averaged over their share.

    *Use it when* you ask whether an explanation of a text names all tokens that the output needs. Use a probability: ``of=asc.Prob(1)``.

    ``shares`` are the shares of features removed, ``by`` the replacement (for token ids with an attention mask: they are hidden),
    ``features`` the grouping. ``curves`` has the quantity at each share.
    """

    by: Replacements = None
    features: FeaturesLike = None
    shares: tuple[float, ...] = SHARES

    direction: ClassVar[Direction] = "higher"
    formula = "mean over p of f(x) - f(x without the share p of the largest values)"
    cost = "shares + 2 forward passes"
    weakness = "Texts without tokens are texts that the model never saw; compare methods by the same replacement only."
    source = 'DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", arXiv:1911.03429'
    keeps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shares(self, self.shares)

    def score(self, evaluation: Evaluation) -> Measured:
        def measure(removed: RemovedFeatures) -> Measured:
            ranks = rank_features(removed.per_feature(evaluation.values), evaluation.random)
            counts = counts_of(self.shares, removed.count)
            present = first_kept(ranks, counts) if self.keeps else first_removed(ranks, counts)
            values = removed.quantity(len(counts), present)
            gone = (removed.count - counts if self.keeps else counts) / removed.count
            order = LERF if self.keeps else MORF
            return Measured((removed.explained - values).mean(0), {order: Curve(gone, values)})

        return over_replacements(evaluation, self.by, self.features, measure)


@dataclass(frozen=True, repr=False, eq=False)
class Sufficiency(Comprehensiveness):
    """The fall of the quantity when only the features of the largest values are kept, averaged over their share.

    *Use it when* you ask whether the tokens that an explanation names are enough for the output. Fields as in :class:`Comprehensiveness`.
    """

    direction: ClassVar[Direction] = "lower"
    formula = "mean over p of f(x) - f(only the share p of the largest values)"
    weakness = "As Comprehensiveness; few tokens are rarely enough for any explanation."
    keeps: ClassVar[bool] = True


@dataclass(frozen=True, repr=False, eq=False)
class SoftComprehensiveness(Metric):
    """The fall of the quantity when elements are set to zero at random, the likelier the larger the value of their token.

    *Use it when* you judge all values of a text, and not only the order of the largest. The values of a record are scaled to [0, 1] first;
    an element of a token's embedding stays with the probability 1 - a. Values in [0, 1] that are all small remove little: ``retention``
    sets the mean share of elements that stay, so that explanations are compared at equal strength.

    For token ids this happens at their embeddings, for other inputs at the inputs. Padding (``attention_mask`` 0) stays as it is, and its
    values do not count. ``samples`` is the number of draws.
    """

    samples: int = 16
    retention: float | None = None

    direction: ClassVar[Direction] = "higher"
    formula = "mean over draws of f(x) - f(x with elements kept with probability 1 - a_i)"
    cost = "samples + 2 forward passes"
    weakness = "Zeros in an embedding mean little to a model; without retention, the scale of the values decides how much is removed."
    source = 'Zhao and Aletras 2023, "Incorporating Attribution Importance for Improving Faithfulness Metrics", arXiv:2305.10496'
    keeps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self, samples=1)
        if self.retention is not None and not 0 < self.retention < 1:
            problem = f"`retention=` of `{type(self).__name__}` must be a number between 0 and 1"
            raise InputError(problem, found=f"retention={self.retention!r}", advice="retention=0.5")

    def score(self, evaluation: Evaluation) -> np.ndarray:
        ids = evaluation.takes_ids
        with evaluation.open_features(0.0, EachElement(), at=EMBEDDINGS if ids else INPUT) as removed:
            values, width = token_values(evaluation, removed, ids)
            real = real_tokens(evaluation, values.shape) if ids else np.ones(values.shape, bool)
            low = values.min(1, keepdims=True, where=real, initial=np.inf)
            high = values.max(1, keepdims=True, where=real, initial=-np.inf)
            share = np.where(high > low, (values - low) / np.where(high > low, high - low, 1.0), 0.5)
            stays = share if self.keeps else 1 - share
            if self.retention is not None:
                stays = with_mean(stays, self.retention, real)
            stays = np.where(real, stays, 1.0)
            draws = evaluation.random.random((self.samples, len(removed), values.shape[1], width))
            kept = (draws < stays[None, :, :, None]).reshape(self.samples, len(removed), -1)
            present: Present = lambda index, points: kept[points][:, index]  # noqa: E731
            return np.asarray((removed.explained - removed.quantity(self.samples, present)).mean(0))


@dataclass(frozen=True, repr=False, eq=False)
class SoftSufficiency(SoftComprehensiveness):
    """The fall of the quantity when elements are set to zero at random, the likelier the smaller the value of their token.

    *Use it when* you ask whether the values of a text name what is enough, weighed by their size. Fields as in
    :class:`SoftComprehensiveness`; an element stays with the probability a.
    """

    direction: ClassVar[Direction] = "lower"
    formula = "mean over draws of f(x) - f(x with elements kept with probability a_i)"
    keeps: ClassVar[bool] = True


def token_values(evaluation: Evaluation, removed: RemovedFeatures, ids: bool) -> tuple[np.ndarray, int]:
    """Returns the value of each token, or of each element of other inputs, and the number of elements that belong to it."""
    if not ids:
        return removed.per_feature(evaluation.values), 1
    flat = removed.count // np.asarray(evaluation.values[0]).shape[1]
    values = [np.asarray(v, np.float64).reshape(*v.shape[:2], -1).sum(-1) for v in map(np.asarray, evaluation.values)]
    return np.concatenate(values, 1), flat


def real_tokens(evaluation: Evaluation, shape: tuple[int, ...]) -> np.ndarray:
    """Returns which tokens are not padding, ``[records, tokens]``, by the argument ``attention_mask``."""
    masks = [as_numpy(leaf) for path, leaf in evaluation.inputs() if path[-1] == "attention_mask"]
    mask = next((one > 0 for one in masks if one.shape == shape), np.ones(shape, bool))
    return np.asarray(mask | ~mask.any(1, keepdims=True))


def with_mean(stays: np.ndarray, mean: float, real: np.ndarray) -> np.ndarray:
    """Returns probabilities ``[records, elements]`` raised to a power for each record, so that the ``real`` ones have this mean."""
    low, high = np.full((len(stays), 1), -20.0), np.full((len(stays), 1), 20.0)
    inside = np.clip(stays, 1e-6, 1 - 1e-6)
    for _ in range(60):
        middle = (low + high) / 2
        too_many = (inside ** np.exp(middle)).mean(1, keepdims=True, where=real) > mean
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    return np.asarray(inside ** np.exp((low + high) / 2))


@dataclass(frozen=True, repr=False, eq=False)
class FFidelity(Metric):
    """The effect of removing a few random features among those of the largest values, less that among the others (F-Fidelity).

    *Use it when* inputs with many features removed are unlike anything that the model saw. At most the share ``bound`` of all features is
    removed at a time. The authors fine-tune the model on records from which as many features were removed at random: give that model.

    ``share`` is the part of the features that counts as the explanation, ``part`` of these (or of the others) are removed in each of
    ``samples`` draws.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    share: float = 0.2
    part: float = 0.5
    bound: float = 0.1
    samples: int = 32

    direction: ClassVar[Direction] = "higher"
    needs = ("training",)
    formula = "E[f(x) - f(x without a random part of the explanation)] - E[f(x) - f(x without the same part of the others)]"
    cost = "2 x samples + 2 forward passes, and a fine-tuned model"
    weakness = "Without the fine-tuned model it is a removal metric with small subsets."
    source = 'Zheng et al. 2025, "F-Fidelity: A Robust Framework for Faithfulness Evaluation of Explainable AI", arXiv:2410.02970'

    def __post_init__(self) -> None:
        check_settings(self, samples=1)
        for name in ("share", "part", "bound"):
            if not 0 < getattr(self, name) <= 1:
                problem = f"`{name}=` of `FFidelity` must be a number above 0, and at most 1"
                raise InputError(problem, found=f"{name}={getattr(self, name)!r}", advice=f"{name}={getattr(type(self), name)!r}")

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.by, self.features) as removed:
            ranks = rank_features(removed.per_feature(evaluation.values), evaluation.random)
            inside = min(removed.count - 1, max(1, round(self.share * removed.count)))
            most = max(1, int(self.bound * removed.count))
            first = min(most, max(1, round(self.part * inside)))
            last = min(most, max(1, round(self.part * (removed.count - inside))))
            draws = evaluation.random.random((2 * self.samples, *ranks.shape))
            explained = ranks < inside
            draws[: self.samples] += ~explained  # draws of the explanation rank its features before all others
            draws[self.samples :] += explained
            order = draws.argsort(-1).argsort(-1)
            gone = np.concatenate([order[: self.samples] < first, order[self.samples :] < last])
            present: Present = lambda index, points: ~gone[points][:, index]  # noqa: E731
            values = removed.quantity(2 * self.samples, present)
        return np.asarray(values[self.samples :].mean(0) - values[: self.samples].mean(0))
