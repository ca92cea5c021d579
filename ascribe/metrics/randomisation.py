"""Randomisation: an explanation of a model must change when the model's weights, or the explained class, are others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..errors import InputError
from ..quantities import Labels
from .base import Evaluation, Measured, Metric, check_choice, check_settings, flatten_records
from .complexity import entropy_of
from .scores import Curve, Direction
from .similarity import SIMILARITIES, Similarity
from .weights import RandomisedModels

Order = Literal["top down", "bottom up", "independent"]
ORDERS = ("top down", "bottom up", "independent")


@dataclass(frozen=True, repr=False)
class ParameterRandomization(Metric):
    """The similarity of an explanation with that of the model whose layers have random weights, averaged over the layers (MPRT).

    *Use it when* you ask whether a method explains what the model has learnt: a method whose maps stay alike would explain an untrained
    model as well. The weights of a layer are permuted, each layer by draws of its own; the user's model is not touched.

    ``order`` is "top down" (from the output, layer after layer), "bottom up", or "independent" (one layer at a time). ``similarity`` is
    "spearman", "pearson", "cosine" or "ssim" (images). ``curves`` has the similarity after each layer. NaN where values are constant.
    """

    order: Order = "top down"
    similarity: Similarity = "spearman"

    family = "randomisation"
    direction: ClassVar[Direction] = "lower"
    formula = "mean over layers l of similarity(a(f), a(f with random weights from the output to l))"
    cost = "the explanation, layers + 1 times"
    needs = ("method", "weights")
    weakness = "Noise makes maps unlike and so looks good; from the top down, much of the input's structure is kept."
    source = 'Adebayo et al. 2018b, "Sanity Checks for Saliency Maps", arXiv:1810.03292'

    def __post_init__(self) -> None:
        check_choice(self, "order", ORDERS)
        check_choice(self, "similarity", SIMILARITIES)

    def score(self, evaluation: Evaluation) -> Measured:
        before = self.explanation(evaluation, None)
        models = RandomisedModels(evaluation.model, evaluation.call, evaluation.random)
        each = [
            SIMILARITIES[self.similarity](before, self.explanation(evaluation, model), shape_of(evaluation))
            for model in models.by_layer(self.order)
        ]
        known = ~np.isnan(found := np.stack(each))
        evaluation.note_undefined(~known.any(0), "an explanation is constant")
        mean = np.where(known.any(0), np.where(known, found, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
        return Measured(mean, {"similarity": Curve(np.arange(1, len(found) + 1) / len(found), found)})

    def explanation(self, evaluation: Evaluation, model: object) -> np.ndarray:
        """Returns the explanation of the model itself (None) or of another, ``[records, elements]``."""
        if model is None:
            return evaluation.flat_values()
        return flatten_records([leaf for _, leaf in evaluation.explain_again(evaluation.call, model=model).arrays()])


@dataclass(frozen=True, repr=False)
class SmoothParameterRandomization(ParameterRandomization):
    """:class:`ParameterRandomization` of explanations that are averaged over noisy inputs, from the input layer upwards (sMPRT).

    *Use it when* you compare methods of which some are noisier than others. ``samples`` draws of normal noise of the standard deviation
    ``noise``, a share of each record's range.
    """

    order: Order = "bottom up"
    samples: int = 8
    noise: float = 0.1

    cost = "the explanation, samples x (layers + 1) times"
    weakness = "Costs samples times as much."
    source = (
        'Hedström et al. 2024, "Sanity Checks Revisited: An Exploration to Repair the Model Parameter Randomisation Test", arXiv:2401.06465'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, samples=1, noise=0)

    def explanation(self, evaluation: Evaluation, model: object) -> np.ndarray:
        from ..arrays import as_numpy, namespace

        random = np.random.default_rng((evaluation.seed, 31))  # the same noise for every model
        total: np.ndarray | None = None
        with evaluation.open_records() as records:
            calls = []
            for _ in range(self.samples):
                arrays = []
                for x in records.x:
                    flat = as_numpy(x).astype(np.float64).reshape(len(x), -1)
                    width = np.ptp(flat, 1).reshape(-1, *[1] * (x.ndim - 1))
                    arrays.append(x + namespace(x).asarray(random.standard_normal(tuple(x.shape)) * self.noise * width, x))
                calls.append(records.call(arrays))
        for call in calls:
            a = evaluation.explain_again(call, model=evaluation.model if model is None else model)
            flat = flatten_records([leaf for _, leaf in a.arrays()])
            total = flat if total is None else total + flat
        assert total is not None
        return total / self.samples


@dataclass(frozen=True, repr=False)
class EfficientParameterRandomization(Metric):
    """The relative rise of the entropy of an explanation from the model to the model with random weights everywhere (eMPRT).

    *Use it when* you want one number without a similarity measure: explanations of a random model should be more spread out. NaN where an
    explanation is all 0 or on a single element.
    """

    family = "randomisation"
    direction: ClassVar[Direction] = "higher"
    formula = "(H(a(f random)) - H(a(f))) / H(a(f)), H the entropy of |a| / sum |a|"
    cost = "the explanation, twice"
    needs = ("method", "weights")
    weakness = "A method whose maps are dense already cannot rise."
    source = (
        'Hedström et al. 2024, "Sanity Checks Revisited: An Exploration to Repair the Model Parameter Randomisation Test", arXiv:2401.06465'
    )

    def score(self, evaluation: Evaluation) -> np.ndarray:
        before = entropy_of(np.abs(evaluation.flat_values()))
        model = RandomisedModels(evaluation.model, evaluation.call, evaluation.random).everywhere()
        a = evaluation.explain_again(evaluation.call, model=model)
        after = entropy_of(np.abs(flatten_records([leaf for _, leaf in a.arrays()])))
        undefined = ~(before > 0) | np.isnan(after)
        evaluation.note_undefined(undefined, "an explanation is all 0, or on a single element")
        return np.where(undefined, np.nan, (after - before) / np.where(before > 0, before, 1.0))


@dataclass(frozen=True, repr=False)
class RandomLogit(Metric):
    """The similarity of the explanation of a class with that of another class, drawn at random for each record.

    *Use it when* you ask whether a method explains the class or only the image: modified backpropagation often does the latter.
    ``similarity`` as in :class:`ParameterRandomization`. Raises InputError for a quantity that is no class.
    """

    similarity: Similarity = "spearman"

    family = "randomisation"
    direction: ClassVar[Direction] = "lower"
    formula = "similarity(a(class), a(another class))"
    cost = "the explanation, twice, and 1 forward pass"
    needs = ("method",)
    weakness = "Classes that look alike have explanations that are alike for good reason."
    source = 'Sixt et al. 2020, "When Explanations Lie: Why Many Modified BP Attributions Fail", arXiv:1912.09818'

    def __post_init__(self) -> None:
        check_choice(self, "similarity", SIMILARITIES)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        target, output = evaluation.attribution.target, evaluation.attribution.prediction
        if target is None or output is None or output.shape[1] < 2:
            problem = "`RandomLogit` explains another class, so it needs a class among several"
            raise InputError(problem, found=f"of={evaluation.of!r}", advice="of=labels, or no of=")
        others = (np.asarray(target) + evaluation.random.integers(1, output.shape[1], len(output))) % output.shape[1]
        a = evaluation.explain_again(evaluation.call, of=Labels(tuple(map(int, others))))
        after = flatten_records([leaf for _, leaf in a.arrays()])
        found = SIMILARITIES[self.similarity](evaluation.flat_values(), after, shape_of(evaluation))
        evaluation.note_undefined(np.isnan(found), "an explanation is constant")
        return found


def shape_of(evaluation: Evaluation) -> tuple[int, ...]:
    """Returns the shape of the values of one record; () for several arrays."""
    values = evaluation.values
    return tuple(int(n) for n in values[0].shape[1:]) if len(values) == 1 else ()
