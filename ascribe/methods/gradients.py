"""Methods from gradients at the record or around it: saliency, input x gradient, SmoothGrad and its relatives; and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..calls.call import Call
from ..cuts import Cut, CutLike
from ..distributions.draws import Distribution
from ..distributions.members import Gaussian, Points
from ..engine.request import request_values
from ..engine.run import explain
from ..errors import MethodError
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution
from .base import CallOptions, GradientMethod, Method
from .facts import Claim, Passes


@dataclass(frozen=True, repr=False)
class Saliency(GradientMethod):
    """The absolute gradient: how strongly the quantity reacts to a small change of each element.

    *Use it when* you want a fast first look at where a model is sensitive. It ranks elements; it does not divide the output among them.

    >>> asc.Saliency()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    signed: bool = False

    cost = Passes("1", "1")
    needs = ("gradient",)
    claims = ("implementation invariance",)
    source = (
        'Simonyan et al. 2013, "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps", '
        "arXiv:1312.6034"
    )

    def finish(self, a: Attribution) -> Attribution:
        return a if self.signed else replace(a.abs(), method=a.method, checks=a.checks)


@dataclass(frozen=True, repr=False)
class InputXGradient(GradientMethod):
    """The gradient times the value: the contribution of each element if the quantity were linear.

    *Use it when* you need signed contributions at the price of a gradient. The values add up to the quantity for networks without biases
    whose only nonlinearities are ReLU, leaky ReLU or max pooling.

    >>> asc.InputXGradient()(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    multiply = True

    cost = Passes("1", "1")
    needs = ("gradient",)
    claims = ("linearity", "implementation invariance")
    source = (
        'Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", '
        "arXiv:1605.01713"
    )


@dataclass(frozen=True, repr=False)
class SmoothGrad(GradientMethod):
    """The mean gradient over noisy copies of the record.

    *Use it when* a saliency map is too noisy to read. Noise of about 15 % of the record's range is the authors' choice.

    >>> asc.SmoothGrad(samples=16)(model, x, of=1).values.shape
    torch.Size([3, 4])
    """

    samples: int = 32
    scale: float = 0.15
    relative: bool = True

    cost = Passes("samples + 1", "samples")
    needs = ("gradient",)
    claims: ClassVar[tuple[Claim, ...]] = ("linearity", "implementation invariance")
    source = 'Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", arXiv:1706.03825'

    def over(self, at: Cut) -> Distribution:
        return Gaussian(self.scale, self.samples, self.relative)


@dataclass(frozen=True, repr=False)
class SquareGrad(SmoothGrad):
    """The mean squared gradient over noisy copies of the record.

    *Use it when* you rank elements by importance without sign: in the authors' benchmark it ranks better than :class:`SmoothGrad`.

    >>> asc.SquareGrad(samples=16)(model, x, of=1).values.min() >= 0
    tensor(True)
    """

    reduce = "square"

    claims = ("implementation invariance",)
    source = 'Hooker et al. 2019, "A Benchmark for Interpretability Methods in Deep Neural Networks", arXiv:1806.10758'


@dataclass(frozen=True, repr=False)
class VarGrad(SmoothGrad):
    """The variance of the gradient over noisy copies of the record.

    *Use it when* you look for elements whose effect is not linear near the record, such as edges of a decision region.

    >>> asc.VarGrad(samples=16)(model, x, of=1).values.min() >= 0
    tensor(True)
    """

    reduce = "variance"

    claims = ("implementation invariance",)
    source = (
        'Adebayo et al. 2018, "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values", arXiv:1810.03307'
    )


@dataclass(frozen=True, repr=False)
class LayerActivation(Method):
    """The value at a layer for each record, computed by a forward pass that goes no further than the layer.

    *Use it when* you need the activations themselves. ``at`` is required; there is no quantity, so ``of`` is refused.

    >>> asc.LayerActivation()(model, x, at="1").values.shape
    torch.Size([3, 8])
    """

    points: Points | None = None

    cost = Passes("1")
    needs = ("layers",)
    source = "no paper: the output of a layer"

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        if at is None:
            raise MethodError(
                "LayerActivation() needs a layer",
                advice='at="layer3"; asc.cuts_of(model, *args) lists the cuts of the model',
                code="E-METHOD",
            )
        if of is not None:
            raise MethodError(f"LayerActivation() explains no quantity, so of={of!r} has no meaning", advice="the call without of=")
        request = replace(request_values(at, self.points), **options)
        return replace(explain(model, call, request), method=f"{self!r}(model, *inputs, at={at!r})")
