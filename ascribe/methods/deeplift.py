"""DeepLIFT and DeepLIFT-SHAP: multipliers between a reference and the record."""

from __future__ import annotations

from dataclasses import dataclass

from ..cuts import Cut
from ..distributions.draws import Distribution
from ..distributions.members import Background, BaselineLike, Reference, RowsLike
from ..engine.request import Combine
from ..rules import Rule
from ..rules.rescale import Rescale
from .base import GradientMethod, check_rule
from .facts import Passes

RESCALE = Rescale()
RULES = "asc.rules.Rescale() or asc.rules.RevealCancel()"


@dataclass(frozen=True, repr=False, eq=False)
class DeepLift(GradientMethod):
    """The multipliers between a baseline and the record, times the difference.

    *Use it when* you want values that add up to the change of the quantity at the price of one backward pass: for most networks they are
    close to integrated gradients. They add up for every architecture and every record by itself, at the input and at layers that every
    path passes. At a layer, the difference is that of the layer's values. Raises RuleError for other rules.

    >>> a = asc.DeepLift()(model, x, of=1)
    >>> bool(a.gap.relative.max() < 1e-5)
    True
    """

    baseline: BaselineLike = 0.0
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    cost = Passes("2", "1")
    needs = ("gradient", "baseline")
    claims = ("completeness", "dummy", "linearity")
    source = 'Shrikumar et al. 2017, "Learning Important Features Through Propagating Activation Differences", arXiv:1704.02685'

    def __post_init__(self) -> None:
        check_rule(self, compares=True, advice=RULES)

    def over(self, at: Cut) -> Distribution:
        return Reference(self.baseline)


@dataclass(frozen=True, repr=False, eq=False)
class DeepLiftShap(GradientMethod):
    """DeepLIFT averaged over the rows of a background: fast approximate Shapley values.

    *Use it when* you have background records and Shapley values by sampling are too slow. The values add up to the difference of the
    quantity from its mean over the rows. ``combine`` is called for each row, and its results are averaged. Raises RuleError
    for other rules.

    >>> asc.DeepLiftShap(background=x)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    background: RowsLike
    samples: int | None = None
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    cost = Passes("rows + 1", "rows")
    needs = ("gradient", "background")
    claims = ("completeness", "dummy", "linearity")
    source = 'Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions", arXiv:1705.07874'

    def __post_init__(self) -> None:
        check_rule(self, compares=True, advice=RULES)

    def over(self, at: Cut) -> Distribution:
        return Background(self.background, self.samples)
