"""Shapley and Owen values of features, exact or estimated, for any model that can be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..coalitions import Exact, Owen, Permutations, ShapleyRegression
from ..coalitions.base import Coalitions
from ..features.coordinates import FeaturesLike
from ..removal.base import RemovalLike
from .base import PerturbationMethod
from .facts import Passes


@dataclass(frozen=True, repr=False, eq=False)
class ShapleyExact(PerturbationMethod):
    """Shapley values from all 2^n coalitions of n features, without sampling; at most 16 features.

    *Use it when* features are few, and as the reference for the estimators.

    >>> a = asc.ShapleyExact(by=0.0)(model, x, of=1)
    >>> bool(a.gap.relative.max() < 1e-5)
    True
    """

    by: RemovalLike = None
    features: FeaturesLike = None

    cost = Passes("2**features")
    claims = ("completeness", "symmetry", "dummy", "linearity", "implementation invariance")
    source = 'Shapley 1953, "A Value for n-Person Games", Contributions to the Theory of Games II'

    def coalitions(self) -> Coalitions:
        return Exact()


@dataclass(frozen=True, repr=False, eq=False)
class ShapleySampling(PerturbationMethod):
    """Shapley values as the mean marginal contribution over random orders of the features, each order with its reverse.

    *Use it when* you want unbiased estimates with standard errors. All coalitions are evaluated where they fit the budget of 2048 forward
    passes, or 16 for each feature.

    >>> asc.ShapleySampling(budget=64)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int | None = None
    by: RemovalLike = None
    features: FeaturesLike = None
    tolerance: float | None = None

    cost = Passes("budget", at_most=True)
    claims = ("completeness", "dummy", "linearity", "implementation invariance")
    source = (
        'Castro et al. 2009, "Polynomial calculation of the Shapley value based on sampling", Computers & Operations Research 36(5); '
        'Mitchell et al. 2022, "Sampling Permutations for Shapley Value Estimation", arXiv:2104.12199'
    )

    def coalitions(self) -> Coalitions:
        return Permutations(self.budget, tolerance=self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class KernelShap(PerturbationMethod):
    """Shapley values by a weighted regression on coalitions drawn in complementary pairs.

    *Use it when* you want Shapley values of a model without gradients: at equal budgets the most accurate estimator here. The default
    budget is 2048 forward passes, and 4 for each feature; all coalitions are evaluated where they fit. The result has standard errors.

    >>> asc.KernelShap(budget=256)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int | None = None
    by: RemovalLike = None
    features: FeaturesLike = None
    tolerance: float | None = None

    cost = Passes("budget", at_most=True)
    claims = ("completeness", "implementation invariance")
    source = (
        'Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions", arXiv:1705.07874; Covert and Lee 2021, '
        '"Improving KernelSHAP: Practical Shapley Value Estimation Using Linear Regression", arXiv:2012.01536'
    )

    def coalitions(self) -> Coalitions:
        return ShapleyRegression(self.budget, tolerance=self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class Partition(PerturbationMethod):
    """Owen values: Shapley values on a tree of feature groups, which is opened where the quantity changes most.

    *Use it when* features are many and have a natural hierarchy, such as the regions of an image or the phrases of a text. The tree is that
    of ``features`` (features.Hierarchy, a grid), or halves of halves.

    >>> asc.Partition(budget=64)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    budget: int = 2048
    by: RemovalLike = None
    features: FeaturesLike = None
    opened: Literal["largest", "random"] = "largest"

    cost = Passes("budget", at_most=True)
    claims = ("completeness", "dummy", "linearity", "implementation invariance")
    source = (
        'Owen 1977, "Values of Games with a Priori Unions", Mathematical Economics and Game Theory; PartitionExplainer of the shap library'
    )

    def coalitions(self) -> Coalitions:
        return Owen(self.budget, self.opened)
