"""Methods that integrate gradients along a path: integrated gradients, expected gradients, conductance, internal influence.

Where ``at`` is a layer, integrated and expected gradients follow the path at the layer, from the layer's value at the baseline, so that
their values add up there too. Conductance and internal influence follow it at the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..cuts import INPUT, Cut
from ..distributions.baselines import FromInput
from ..distributions.draws import Distribution
from ..distributions.members import Background, BaselineLike, Line, RowsLike
from ..distributions.quadrature import Quadrature
from .base import GradientMethod
from .facts import Passes


@dataclass(frozen=True, repr=False, eq=False)
class IntegratedGradients(GradientMethod):
    """The mean gradient on the line from a baseline to the record, times the difference from the baseline.

    *Use it when* you need signed values that add up to the change of the quantity, and a baseline has a meaning (zeros, a blurred image,
    padding tokens). ``a.gap`` is the completeness error; with ``tolerance`` as many steps are taken as it needs.

    The value of element i is (x_i - b_i) times the integral over t in [0, 1] of the derivative of f at b + t (x - b).

    >>> a = asc.IntegratedGradients(steps=64)(model, x, of=1)
    >>> bool(a.gap.relative.max() < 1e-3)
    True
    """

    baseline: BaselineLike = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"
    tolerance: float | None = None

    multiply = True

    cost = Passes("steps + 2", "steps")
    needs = ("gradient", "baseline")
    claims = ("completeness", "symmetry", "dummy", "linearity", "implementation invariance")
    source = 'Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365'

    def over(self, at: Cut) -> Distribution:
        baseline = self.baseline if at == INPUT else FromInput(self.baseline)
        return Line(baseline, self.steps, self.quadrature, self.tolerance, at=at)


@dataclass(frozen=True, repr=False, eq=False)
class ExpectedGradients(GradientMethod):
    """The mean of integrated gradients over many baselines, one random point on the line from each (also called GradientSHAP).

    *Use it when* no single baseline is neutral and you have records of the training data. The values add up, on average over draws, to the
    difference of the quantity from its mean over the background.

    >>> asc.ExpectedGradients(background=x, samples=16)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    background: RowsLike
    samples: int = 32

    multiply = True

    cost = Passes("samples + 2", "samples")
    needs = ("gradient", "background")
    claims = ("completeness on average", "dummy", "linearity", "implementation invariance")
    source = (
        'Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution priors and expected gradients", '
        "arXiv:1906.10670"
    )

    def over(self, at: Cut) -> Distribution:
        rows = self.background if at == INPUT else FromInput(self.background)
        return Background(rows, self.samples, at=at) * Line(steps=1, quadrature="random", at=at)


@dataclass(frozen=True, repr=False, eq=False)
class Conductance(GradientMethod):
    """The part of integrated gradients that flows through each element of a layer.

    *Use it when* you ask which hidden units carry the prediction: give ``at`` a layer. The values add up to the change of the quantity at
    any layer that every path from the input to the output passes. Trapezoid rule, error O(1 / steps^2).

    >>> asc.Conductance(steps=20)(model, x, of=1, at="1").values.shape
    torch.Size([3, 8])
    """

    baseline: BaselineLike = 0.0
    steps: int = 50

    multiply = True

    cost = Passes("steps + 2", "steps + 1")
    needs = ("gradient", "baseline")
    claims = ("completeness", "dummy")
    source = 'Dhamdhere et al. 2018, "How Important Is a Neuron?", arXiv:1805.12233'

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, self.steps, stepwise=True)


@dataclass(frozen=True, repr=False, eq=False)
class InternalInfluence(GradientMethod):
    """The mean gradient at a layer while the input goes from the baseline to the record.

    *Use it when* you compare hidden units by their influence on the prediction, whatever their activation is: give ``at`` a layer.

    >>> asc.InternalInfluence(steps=20)(model, x, of=1, at="1").values.shape
    torch.Size([3, 8])
    """

    baseline: BaselineLike = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"

    cost = Passes("steps + 1", "steps")
    needs = ("gradient", "baseline")
    claims = ("linearity",)
    source = 'Leino et al. 2018, "Influence-Directed Explanations for Deep Convolutional Networks", arXiv:1802.03788'

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, self.steps, self.quadrature)
