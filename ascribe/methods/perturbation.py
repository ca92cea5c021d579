"""Perturbation methods other than Shapley values: ablation, occlusion, permutation importance, LIME, RISE, Sobol indices, HSIC.

They need forward passes only, so they explain any model that can be called. Where ``at`` is a layer, its values are removed: layer and
neuron ablation are these methods too.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..coalitions import HsicIndices, LeaveOneOut, LinearSurrogate, SmoothMasks, TotalSobolIndices
from ..coalitions.base import Coalitions
from ..features import Pixels, Windows
from ..features.coordinates import FeaturesLike
from ..removal import Permute
from ..removal.base import RemovalLike
from .base import PerturbationMethod
from .facts import Passes


@dataclass(frozen=True, repr=False, eq=False)
class FeatureAblation(PerturbationMethod):
    """The decrease of the quantity when one feature is removed and all others stay.

    *Use it when* features are few and you want a direct answer to "what if this were missing". Features that can replace each other get
    values near 0; use Shapley values for those.

    >>> asc.FeatureAblation(by=0.0)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    by: RemovalLike = None
    features: FeaturesLike = None

    cost = Passes("features + 1")
    claims = ("symmetry", "dummy", "linearity", "implementation invariance", "sign")
    source = 'Li et al. 2016, "Understanding Neural Networks through Representation Erasure", arXiv:1612.08220'

    def coalitions(self) -> Coalitions:
        return LeaveOneOut()


@dataclass(frozen=True, repr=False, eq=False)
class Occlusion(PerturbationMethod):
    """The decrease of the quantity when a window of the input is covered; an element gets the mean over its windows.

    *Use it when* you explain an image classifier without gradients and want maps that are easy to understand.

    >>> asc.Occlusion(size=8)(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    size: int | tuple[int, ...] = 8
    stride: int | tuple[int, ...] | None = None
    by: RemovalLike = None

    cost = Passes("windows + 1")
    needs = ("images", "replacement")
    claims = ("dummy", "linearity", "implementation invariance", "sign")
    source = 'Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901'

    def coalitions(self) -> Coalitions:
        return LeaveOneOut()

    def grouping(self) -> FeaturesLike:
        return Windows(self.size, self.stride)


@dataclass(frozen=True, repr=False, eq=False)
class FeaturePermutation(PerturbationMethod):
    """The decrease of the quantity when a feature's values are permuted among the records of the call (permutation importance).

    *Use it when* you have many records of a table. Values are those of each record, with standard errors over the permutations; their mean
    over the records is the importance that scikit-learn computes for the same quantity.

    >>> asc.FeaturePermutation(samples=3)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    samples: int = 5
    features: FeaturesLike = None

    cost = Passes("samples * features + 1")
    needs = ()
    claims = ("dummy", "linearity", "implementation invariance")
    source = 'Breiman 2001, "Random Forests", Machine Learning 45(1)'

    def coalitions(self) -> Coalitions:
        return LeaveOneOut()

    def replacement(self) -> RemovalLike:
        return Permute(self.samples)


@dataclass(frozen=True, repr=False, eq=False)
class Lime(PerturbationMethod):
    """The coefficients of a linear model that is fitted to the quantity on coalitions of features, weighted by their distance.

    *Use it when* you want a sparse linear summary (``lasso``) or compare with published results of LIME. A check reports the quality of the
    fit.

    >>> asc.Lime(budget=64)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int | None = None
    by: RemovalLike = None
    features: FeaturesLike = None
    lasso: float | None = None
    width: float | None = None

    cost = Passes("budget", at_most=True)
    claims = ("implementation invariance", "sign")
    source = "Ribeiro et al. 2016, \"'Why Should I Trust You?': Explaining the Predictions of Any Classifier\", arXiv:1602.04938"

    def coalitions(self) -> Coalitions:
        return LinearSurrogate(self.budget, width=self.width, lasso=self.lasso)


@dataclass(frozen=True, repr=False, eq=False)
class Rise(PerturbationMethod):
    """The mean of the quantity under smooth random masks, weighted at each element by how much of it the mask keeps.

    *Use it when* you want a map of every pixel of a black box, and can spend thousands of passes. A record of two axes is a series where
    one axis is shorter than ``cells`` or far shorter than the other; ``features`` overrides this.

    >>> asc.Rise(budget=100, cells=4)(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    budget: int = 4000
    cells: int | tuple[int, ...] = 7
    by: RemovalLike = None
    features: FeaturesLike = None

    cost = Passes("budget + 1", at_most=True)
    needs = ("images", "replacement")
    claims = ("linearity", "implementation invariance")
    source = 'Petsiuk et al. 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", arXiv:1806.07421'

    def coalitions(self) -> Coalitions:
        return SmoothMasks(self.budget, self.cells)

    def grouping(self) -> FeaturesLike:
        lines = next(iter(self.cells), 1) if isinstance(self.cells, tuple) else self.cells
        return Pixels(lines) if self.features is None else self.features


@dataclass(frozen=True, repr=False, eq=False)
class SobolIndices(PerturbationMethod):
    """The share of each feature, alone and together with others, in the variance of the quantity while features fade in and out.

    *Use it when* you rank features by importance including their interactions. Values are at least 0 and have no direction.

    >>> asc.SobolIndices(budget=96)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int | None = None
    by: RemovalLike = None
    features: FeaturesLike = None
    tolerance: float | None = None

    cost = Passes("budget", at_most=True)
    claims = ("dummy", "implementation invariance")
    source = (
        'Fel et al. 2021, "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", arXiv:2111.04138'
    )

    def coalitions(self) -> Coalitions:
        return TotalSobolIndices(self.budget, self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class Hsic(PerturbationMethod):
    """The statistical dependence of the quantity on a feature's presence (Hilbert-Schmidt independence criterion).

    *Use it when* budgets are small and you only need a ranking: dependence of any form counts. Values are at least 0 up to sampling error,
    and have no direction.

    >>> asc.Hsic(budget=64)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int = 1024
    by: RemovalLike = None
    features: FeaturesLike = None

    cost = Passes("budget + 1", at_most=True)
    claims = ("implementation invariance",)
    source = (
        'Novello et al. 2022, "Making Sense of Dependence: Efficient Black-box Explanations Using Dependence Measure", arXiv:2206.06219'
    )

    def coalitions(self) -> Coalitions:
        return HsicIndices(self.budget)
