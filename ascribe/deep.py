"""Named methods under rules on operations: DeepLIFT, DeepLIFT-SHAP, LRP, guided backpropagation, deconvolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .cuts import Cut
from .distributions import Background, Distribution, Point, Reference
from .methods import Method
from .passes import Combine
from .rules import Rule
from .rules.relevance import Deconv, Epsilon, Guided
from .rules.rescale import Rescale

RESCALE = Rescale()


@dataclass(frozen=True, repr=False, eq=False)
class DeepLift(Method):
    """Multipliers between a baseline and the record, times the difference (Shrikumar et al. 2017, Rescale rule).

    One run of the records, one of the baseline, one reverse pass. ``baseline`` is at the inputs (for token ids: at the
    embeddings), whatever ``at`` is; at a layer, the difference is that of what the layer holds. Adds up to the change of
    the quantity, for every architecture and every record by itself, at the input and at layers that everything passes.
    Without ``multiply`` the values are the multipliers; ``combine`` is a function that makes something else of ``(multipliers,
    values, references)``, or of the first one or two. ``by`` is :class:`~ascribe.Rescale` or :class:`~ascribe.RevealCancel`.
    """

    baseline: Any = 0.0
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    def over(self, at: Cut) -> Distribution:
        return Reference(self.baseline)

    def rule(self) -> Rule:
        return self.by


@dataclass(frozen=True, repr=False, eq=False)
class DeepLiftShap(Method):
    """:class:`DeepLift` averaged over the rows of a background (Lundberg and Lee 2017): approximate Shapley values.

    ``background`` is an array of rows (or a tuple, a dict, a Call); with ``samples`` that many are drawn. One run of the
    records and one of each row, a reverse pass for each row. Adds up to the quantity's difference from its mean over the rows.
    The rest is as there; ``combine`` is called for each row, and what it returns is averaged.
    """

    background: Any
    samples: int | None = None
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    def over(self, at: Cut) -> Distribution:
        return Background(self.background, self.samples)

    def rule(self) -> Rule:
        return self.by


@dataclass(frozen=True, repr=False)
class LRP(Method):
    """Layer-wise relevance propagation under a rule: relevance, which is the multiplier times the value (Bach et al. 2015).

    One pass forward, one back. ``by`` is one of :class:`~ascribe.Epsilon`, :class:`~ascribe.Gamma`, :class:`~ascribe.AlphaBeta`,
    :class:`~ascribe.AttnLrp`, :class:`~ascribe.CpLrp`. Without biases it adds up to the quantity.
    """

    by: Rule = field(default_factory=Epsilon)

    multiply = True

    def over(self, at: Cut) -> Distribution:
        return Point()

    def rule(self) -> Rule:
        return self.by


@dataclass(frozen=True, repr=False)
class GuidedBackprop(Method):
    """The gradient, through rectifiers only where it and the value are positive (Springenberg et al. 2015). No sum.

    One pass forward, one back. Raises RuleError for networks without a rectifier.
    """

    def over(self, at: Cut) -> Distribution:
        return Point()

    def rule(self) -> Rule:
        return Guided()


@dataclass(frozen=True, repr=False)
class Deconvolution(Method):
    """What is positive on the way back through rectifiers, whatever they did forward (Zeiler and Fergus 2014). No sum.

    One pass forward, one back. Raises RuleError for networks without a rectifier.
    """

    def over(self, at: Cut) -> Distribution:
        return Point()

    def rule(self) -> Rule:
        return Deconv()
