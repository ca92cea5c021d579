"""The named methods that remove features: recipes over the verb, at the input or at a layer, for any model that can be called.

``by`` is the replacement for a removed feature and ``features`` which coordinates are one; None leaves both to the verb. Where ``at`` is
a layer, its values are removed: layer and neuron ablation are these methods too. Costs are rows for each record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..coalitions import (
    Exact,
    HsicIndices,
    LeaveOneOut,
    LinearSurrogate,
    Owen,
    Permutations,
    ShapleyRegression,
    SmoothMasks,
    TotalSobolIndices,
)
from ..coalitions.base import Coalitions
from ..cuts import INPUT
from ..engine.request import as_call, make_request
from ..engine.run import explain
from ..features import Pixels, Windows
from ..removal import Permute
from ..result.attribution import Attribution
from ..utils.entry import entry
from ..utils.recipe import Recipe


class RemovalMethod(Recipe):
    """What the methods that remove features share."""

    by: Any
    features: Any

    def over(self) -> Coalitions:
        """The coalitions that are looked at."""
        raise NotImplementedError

    def instead(self) -> Any:
        """The replacement for a removed feature."""
        return self.by

    def grouped(self) -> Any:
        """Which coordinates are one feature."""
        return self.features

    @entry
    def __call__(
        self,
        model: Any,
        *args: Any,
        of: Any = None,
        at: Any = INPUT,
        seed: int = 0,
        chunk: int | None = None,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Attribution:
        """Explain a call of the model."""
        over, by, features = self.over(), self.instead(), self.grouped()
        request = make_request(of, at, over, by, features, seed=seed, chunk=chunk, progress=progress, title=repr(self))
        return explain(model, as_call(args, kwargs), request)


@dataclass(frozen=True, repr=False, eq=False)
class FeatureAblation(RemovalMethod):
    """What the quantity loses when one feature is removed and all others stay.

    One row for each feature: a forward pass each, no gradients. Adds up only where features do not act together.
    """

    by: Any = None
    features: Any = None

    def over(self) -> Coalitions:
        return LeaveOneOut()


@dataclass(frozen=True, repr=False, eq=False)
class Occlusion(RemovalMethod):
    """What the quantity loses when a window is covered; a place gets the mean of the windows over it.

    ``size`` is the window along the last axes, ``stride`` the step between two (the size itself if left out). A forward pass for each
    window. Zeiler and Fergus 2014.
    """

    size: int | tuple[int, ...] = 8
    stride: int | tuple[int, ...] | None = None
    by: Any = None

    def over(self) -> Coalitions:
        return LeaveOneOut()

    def grouped(self) -> Any:
        return Windows(self.size, self.stride)


@dataclass(frozen=True, repr=False, eq=False)
class FeaturePermutation(RemovalMethod):
    """What the quantity loses when a feature's values are dealt anew among the records of the call (permutation importance).

    ``samples`` forward passes for each feature, whose differences give the standard errors. Values are each record's own; their mean
    over the records is the importance that scikit-learn computes, for the same quantity. Breiman 2001.
    """

    samples: int = 5
    features: Any = None

    def over(self) -> Coalitions:
        return LeaveOneOut()

    def instead(self) -> Any:
        return Permute(self.samples)


@dataclass(frozen=True, repr=False, eq=False)
class ShapleyExact(RemovalMethod):
    """Shapley values from all 2^n coalitions of up to 16 features, without any sampling.

    2^n forward passes. Adds up to the quantity's change from nothing to everything. Shapley 1953.
    """

    by: Any = None
    features: Any = None

    def over(self) -> Coalitions:
        return Exact()


@dataclass(frozen=True, repr=False, eq=False)
class ShapleySampling(RemovalMethod):
    """Shapley values as the mean of what features bring in random orders of arrival, each order with its reverse.

    ``budget`` forward passes (2048, or 16 for each feature), or fewer when ``tolerance`` is reached; all coalitions where they fit.
    Adds up; with standard errors. Castro et al. 2009; Mitchell et al. 2022.
    """

    budget: int | None = None
    by: Any = None
    features: Any = None
    tolerance: float | None = None

    def over(self) -> Coalitions:
        return Permutations(self.budget, tolerance=self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class KernelShap(RemovalMethod):
    """Shapley values by regression on coalitions drawn in pairs, small and large ones all of them.

    ``budget`` forward passes (2048, and 4 for each feature), or fewer when ``tolerance`` is reached; all coalitions where they fit.
    Adds up; with standard errors. Lundberg and Lee 2017; Covert and Lee 2021.
    """

    budget: int | None = None
    by: Any = None
    features: Any = None
    tolerance: float | None = None

    def over(self) -> Coalitions:
        return ShapleyRegression(self.budget, tolerance=self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class Lime(RemovalMethod):
    """The coefficients of a linear model that is fitted to the quantity around the record, near coalitions counting most.

    ``budget`` forward passes (2048, or 8 for each feature). Says what its fit says; does not add up. Ribeiro et al. 2016.
    """

    budget: int | None = None
    by: Any = None
    features: Any = None
    lasso: float | None = None
    width: float | None = None

    def over(self) -> Coalitions:
        return LinearSurrogate(self.budget, width=self.width, lasso=self.lasso)


@dataclass(frozen=True, repr=False, eq=False)
class Rise(RemovalMethod):
    """The mean of the quantity under smooth random masks, at each place weighted by how much of it they let through.

    ``budget`` forward passes with masks drawn on ``cells`` x ``cells``. A map of every pixel, or of every step of a series; not a sum.
    A record of two axes, one of them shorter than ``cells`` or far shorter than the other, is a series; ``features=`` says otherwise.
    Petsiuk et al. 2018.
    """

    budget: int = 4000
    cells: int | tuple[int, ...] = 7
    by: Any = None
    features: Any = None

    def over(self) -> Coalitions:
        return SmoothMasks(self.budget, self.cells)

    def grouped(self) -> Any:
        lines = next(iter(self.cells), 1) if isinstance(self.cells, tuple) else self.cells
        return Pixels(lines) if self.features is None else self.features


@dataclass(frozen=True, repr=False, eq=False)
class SobolIndices(RemovalMethod):
    """Each feature's share in the quantity's variance, alone and with others, while features fade in and out.

    ``budget`` forward passes (4096, or 32 draws of all features). Shares are at least 0, without direction. Fel et al. 2021.
    """

    budget: int | None = None
    by: Any = None
    features: Any = None
    tolerance: float | None = None

    def over(self) -> Coalitions:
        return TotalSobolIndices(self.budget, self.tolerance)


@dataclass(frozen=True, repr=False, eq=False)
class Hsic(RemovalMethod):
    """How far the quantity depends on a feature's being there, in any way at all (Hilbert-Schmidt independence criterion).

    ``budget`` forward passes. At least 0 up to chance, without direction. Novello et al. 2022.
    """

    budget: int = 1024
    by: Any = None
    features: Any = None

    def over(self) -> Coalitions:
        return HsicIndices(self.budget)


@dataclass(frozen=True, repr=False, eq=False)
class Partition(RemovalMethod):
    """Owen values: Shapley values on a tree of groups, the tree opened where the quantity changes most.

    ``budget`` forward passes at most. The tree is that of ``features`` (:class:`Hierarchy`, a grid), or halves of halves. Adds up.
    Owen 1977; Lundberg's PartitionExplainer.
    """

    budget: int = 2048
    by: Any = None
    features: Any = None
    opened: Literal["largest", "random"] = "largest"

    def over(self) -> Coalitions:
        return Owen(self.budget, self.opened)
