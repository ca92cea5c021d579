"""Named methods with corrected gradients: AttnLRP, CP-LRP, LibraGrad, RelP, GIM, LSTM-LRP. One backward pass for each point.

They differ in the rule's table alone, and any distribution goes with each: ``LibraGrad(Line(steps=32))`` is integrated
gradients on corrected gradients, ``AttnLRP(Gaussian(0.1, 8))`` averages over noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cuts import Cut
from ..distributions.draws import Distribution
from ..distributions.members import Line, Point
from ..rules import Rule
from ..rules import transformers as rules
from .gradients import Method

HERE = Point()


@dataclass(frozen=True, repr=False)
class Corrected(Method):
    """A rule's multipliers times values, averaged over ``points``."""

    points: Distribution = HERE

    multiply = True

    def over(self, at: Cut) -> Distribution:
        return self.points


@dataclass(frozen=True, repr=False)
class AttnLRP(Corrected):
    """Relevance for transformers, half through attention's probabilities (Achtibat et al. 2024).

    One pass forward, one back. What flows into the constant part of a softmax is lost by design, so it does not add up.
    """

    by = rules.AttnLRP()


@dataclass(frozen=True, repr=False)
class CPLRP(Corrected):
    """Relevance for transformers, all through attention's values (Ali et al. 2022).

    One pass forward, one back. Adds up to the quantity but for what biases and positions contribute.
    """

    by = rules.CPLRP()


@dataclass(frozen=True, repr=False)
class LibraGrad(Corrected):
    """Balanced gradients times values (Mehri et al. 2025). Adds up as :class:`CPLRP` does.

    One pass forward, one back for each of the ``points``.
    """

    by = rules.Libra()


@dataclass(frozen=True, repr=False, eq=False)
class RelP(Method):
    """What putting the record in place of a ``baseline`` changes, by relevance in place of the gradient (Jafari et al. 2025).

    Attribution patching with LRP's coefficients: norms and attention fixed, half to each factor. The coefficients are those at the
    record; the difference is taken where ``at`` is. Two passes forward, one back. No sum.
    """

    baseline: Any = 0.0

    by = rules.Libra()
    multiply = True

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, 1, "riemann-right")


@dataclass(frozen=True, repr=False, eq=False)
class GIM(Method):
    """Gradient interaction modifications (Edin et al. 2025): coefficients at the record, times the difference from a ``baseline``.

    Made for language models: norms fixed, softmax's derivative at a ``temperature`` that keeps attention from hiding what it would make
    up for, half to each factor of a product. The paper's baseline is ``asc.distributions.MaskedTokens(space)``.
    Two passes forward, one back. No sum.
    """

    baseline: Any = 0.0
    temperature: float = 2.0

    multiply = True

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, 1, "riemann-right")

    def rule(self) -> Rule:
        return rules.GIM(self.temperature)


@dataclass(frozen=True, repr=False)
class LstmLRP(Method):
    """Relevance for recurrent nets, of a gate and a signal all to the signal (Arras et al. 2017).

    One pass forward, one back. Adds up to the quantity but for biases and ``epsilon``.
    """

    epsilon: float = 0.001

    multiply = True

    def rule(self) -> Rule:
        return rules.LstmLRP(self.epsilon)
