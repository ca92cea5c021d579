"""Layer-wise relevance propagation and corrected gradients: methods that differ in the rule of the backward pass.

The corrected gradients take any distribution of points: ``LibraGrad(Line(steps=32))`` is integrated gradients on corrected gradients,
``AttnLRP(Gaussian(0.1, 8))`` averages over noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cuts import Cut
from ..distributions.draws import Distribution
from ..distributions.members import BaselineLike, Line
from ..rules import Epsilon, Rule
from ..rules import transformers as rules
from ..rules.books import RELATIVE_PROPAGATION
from .base import RECORD, GradientMethod, check_rule
from .facts import Passes


@dataclass(frozen=True, repr=False)
class LRP(GradientMethod):
    """Layer-wise relevance propagation: the quantity is distributed backwards, layer by layer, under a rule.

    *Use it when* you explain convolutional networks or multilayer perceptrons: composites such as ``rules.EPSILON_PLUS`` give clean maps at
    the price of one backward pass. The values add up to the quantity, except for the share of biases, which a check reports. Raises
    RuleError for rules that do not propagate relevance.

    >>> asc.LRP(asc.rules.EPSILON_PLUS)(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    by: Rule = field(default_factory=Epsilon)

    multiply = True

    cost = Passes("1", "1")
    needs = ("gradient",)
    claims = ("conservation",)
    source = (
        'Bach et al. 2015, "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation", '
        "PLOS ONE 10(7):e0130140"
    )

    def __post_init__(self) -> None:
        check_rule(self, compares=False, advice="asc.rules.Epsilon(), asc.rules.EPSILON_PLUS, or another rule for relevance")


@dataclass(frozen=True, repr=False)
class RAP(GradientMethod):
    """Relative attributing propagation: contributions below their fair share count against the quantity.

    *Use it when* you want to separate evidence for and against a class in images, for networks of layers and ReLUs. The method is the
    rule book :data:`~ascribe.rules.RELATIVE_PROPAGATION`; the values add up to the quantity, biases included.

    >>> asc.RAP()(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    by = RELATIVE_PROPAGATION
    multiply = True

    cost = Passes("1", "1")
    needs = ("gradient",)
    claims = ("conservation",)
    source = (
        'Nam et al. 2020, "Relative Attributing Propagation: Interpreting the Comparative Contributions of Individual Units in Deep Neural '
        'Networks", arXiv:1904.00605'
    )


@dataclass(frozen=True, repr=False)
class Corrected(GradientMethod):
    """The multipliers of a rule times the values, averaged over a distribution of points."""

    points: Distribution = RECORD

    multiply = True
    cost = Passes("points", "points")
    needs = ("gradient",)

    def over(self, at: Cut) -> Distribution:
        return self.points


@dataclass(frozen=True, repr=False)
class AttnLRP(Corrected):
    """Relevance for transformers, half of it through the attention probabilities.

    *Use it when* you explain a transformer and attention itself matters for the prediction. Relevance that reaches the constant part of a
    softmax is lost by design, so the values do not add up. With several ``points``, there is one forward pass more.

    >>> asc.AttnLRP()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    by = rules.AttnLRP()

    source = 'Achtibat et al. 2024, "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", arXiv:2402.05602'


@dataclass(frozen=True, repr=False)
class CPLRP(Corrected):
    """Relevance for transformers, all of it through the values of attention (conservative propagation).

    *Use it when* you explain a transformer and need values that add up to the quantity, except for the share of biases and position
    embeddings. With several ``points``, there is one forward pass more.

    >>> asc.CPLRP()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    by = rules.CPLRP()

    claims = ("conservation",)
    source = 'Ali et al. 2022, "XAI for Transformers: Better Explanations through Conservative Propagation", arXiv:2202.07304'


@dataclass(frozen=True, repr=False)
class LibraGrad(Corrected):
    """Balanced gradients times values: gates and normalisations are constant in the backward pass.

    *Use it when* you explain a vision transformer, alone or under a path: ``LibraGrad(asc.Line(steps=32))``. The values add up as those of
    :class:`CPLRP` do. With several ``points``, there is one forward pass more.

    >>> asc.LibraGrad()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    by = rules.Libra()

    claims = ("conservation",)
    source = (
        'Mehri et al. 2025, "LibraGrad: Balancing Gradient Flow for Universally Better Vision Transformer Attributions", arXiv:2411.16760'
    )


@dataclass(frozen=True, repr=False, eq=False)
class RelP(GradientMethod):
    """Relevance patching: the change of the quantity when the baseline is replaced by the record, with LRP's coefficients as gradient.

    *Use it when* you look for the layers and units of a transformer that carry a behaviour, as with attribution patching: norms and
    attention are constant, and each factor of a product gets half. The coefficients are those at the record, the difference is taken at
    ``at``.

    >>> asc.RelP()(model, x, of=1, at="1").values.shape
    torch.Size([3, 8])
    """

    baseline: BaselineLike = 0.0

    by = rules.Libra()
    multiply = True

    cost = Passes("3", "1")
    needs = ("gradient", "baseline")
    source = (
        'Jafari et al. 2025, "RelP: Faithful and Efficient Circuit Discovery in Language Models via Relevance Patching", arXiv:2508.21258'
    )

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, 1, "riemann-right")


@dataclass(frozen=True, repr=False, eq=False)
class GIM(GradientMethod):
    """Gradient interaction modifications: corrected gradients at the record, times the difference from a baseline.

    *Use it when* you explain a language model: norms are constant, the softmax is differentiated at a ``temperature`` at which attention
    does not hide tokens that could replace each other, and each factor of a product gets half. The authors' baseline is
    ``asc.distributions.MaskedTokens(space)``.

    >>> asc.GIM()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    baseline: BaselineLike = 0.0
    temperature: float = 2.0

    multiply = True

    cost = Passes("3", "1")
    needs = ("gradient", "baseline")
    source = 'Edin et al. 2025, "GIM: Improved Interpretability for Large Language Models", arXiv:2505.17630'

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, 1, "riemann-right")

    def rule(self) -> Rule:
        return rules.GIM(self.temperature)


@dataclass(frozen=True, repr=False)
class LstmLRP(GradientMethod):
    """Relevance for recurrent networks: of a gate and a signal, the signal gets all.

    *Use it when* you explain an LSTM or a GRU over a sequence. The values add up to the quantity, except for biases and ``epsilon``.

    >>> asc.LstmLRP()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    epsilon: float = 0.001

    multiply = True

    cost = Passes("1", "1")
    needs = ("gradient",)
    claims = ("conservation",)
    source = 'Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis", arXiv:1706.07206'

    def rule(self) -> Rule:
        return rules.LstmLRP(self.epsilon)
