"""The named methods: recipes over the one verb.

A method is a value: frozen, comparable, with a repr that can be pasted back and no model inside. Calling it is calling the
verb with its arguments filled in: ``IntegratedGradients(steps=64)(model, x, of=labels, at="layer3")``. ``of``, ``at``, ``seed``,
``chunk`` and ``progress`` are those of :func:`ascribe.attribute`; everything else goes to the model.

Where ``at`` is a layer, methods with a path (integrated gradients, expected gradients) follow it at the layer, from what the
layer holds at the baseline, so that their values add up there too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..cuts import INPUT, Cut, as_cut
from ..distributions.baselines import FromInput
from ..distributions.draws import Distribution
from ..distributions.members import Background, Gaussian, Line, Point
from ..distributions.quadrature import Quadrature
from ..engine.request import Combine, Reduce, as_call, make_request
from ..engine.run import explain
from ..engine.verbs import activation
from ..errors import MethodError
from ..result.attribution import Attribution
from ..rules import Rule
from ..utils.entry import entry
from ..utils.recipe import Recipe


class Method(Recipe):
    """What the named methods share: a distribution, a rule (None is the gradient), a reduction, and whether distance counts."""

    by: Rule | None = None
    multiply: bool = False
    reduce: Reduce = "mean"
    combine: Combine | None = None

    def over(self, at: Cut) -> Distribution:
        """The points, for an attribution at a cut: the record alone, where a method does not say."""
        return Point()

    def rule(self) -> Rule | None:
        """How influence comes back."""
        return self.by

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
        where = INPUT if isinstance(at, (list, tuple)) else as_cut(at)
        request = make_request(
            of,
            at,
            self.over(where),
            self.rule(),
            multiply=self.multiply,
            seed=seed,
            chunk=chunk,
            progress=progress,
            reduce=self.reduce,
            combine=self.combine,
            title=repr(self),
        )
        return self.finish(explain(model, as_call(args, kwargs), request))

    def finish(self, found: Attribution) -> Attribution:
        """What is left to do with the values."""
        return found


@dataclass(frozen=True, repr=False)
class Saliency(Method):
    """How strongly the quantity reacts to each number: the gradient's size, or with ``signed`` the gradient itself.

    One pass forward, one backward; no baseline; no sum. Simonyan et al. 2013.
    """

    signed: bool = False

    def finish(self, found: Attribution) -> Attribution:
        return found if self.signed else replace(found.abs(), method=found.method, checks=found.checks)


@dataclass(frozen=True, repr=False)
class InputXGradient(Method):
    """Gradient times value: what each number adds, if the quantity were linear.

    One pass forward, one backward. Adds up to the quantity for networks without biases whose only non-linearities are ReLU-like
    or max. Shrikumar et al. 2016.
    """

    multiply = True


@dataclass(frozen=True, repr=False, eq=False)
class IntegratedGradients(Method):
    """Gradients averaged on the line from a baseline, times the distance from it.

    ``steps`` passes forward and backward. Adds up to the quantity's change from the baseline; the gap says how nearly, and with
    ``tolerance`` as many steps are taken as it needs. Sundararajan et al. 2017.
    """

    baseline: Any = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"
    tolerance: float | None = None

    multiply = True

    def over(self, at: Cut) -> Distribution:
        baseline = self.baseline if at == INPUT else FromInput(self.baseline)
        return Line(baseline, self.steps, self.quadrature, self.tolerance, at=at)


@dataclass(frozen=True, repr=False)
class SmoothGrad(Method):
    """The gradient's mean over noisy copies of the record.

    ``samples`` passes forward and backward. ``scale`` is the noise's standard deviation, as a share of each record's range unless
    ``relative=False``. No baseline, no sum. Smilkov et al. 2017.
    """

    samples: int = 32
    scale: float = 0.15
    relative: bool = True

    def over(self, at: Cut) -> Distribution:
        return Gaussian(self.scale, self.samples, self.relative)


@dataclass(frozen=True, repr=False)
class SquareGrad(SmoothGrad):
    """The mean of the squared gradient over noisy copies of the record: see :class:`SmoothGrad`. Hooker et al. 2019."""

    reduce = "square"


@dataclass(frozen=True, repr=False)
class VarGrad(SmoothGrad):
    """The variance of the gradient over noisy copies of the record: see :class:`SmoothGrad`. Adebayo et al. 2018."""

    reduce = "variance"


@dataclass(frozen=True, repr=False, eq=False)
class ExpectedGradients(Method):
    """Gradients averaged over lines from many baselines, each times its own distance (also called GradientSHAP).

    ``background`` is an array of rows (or a tuple, a dict, a Call), from which ``samples`` are drawn, each with a random
    position on its line. ``samples`` passes forward and backward, and a forward for every background row. Adds up, on average,
    to the quantity's difference from its mean over the background. Erion et al. 2021.
    """

    background: Any
    samples: int = 32

    multiply = True

    def over(self, at: Cut) -> Distribution:
        rows = self.background if at == INPUT else FromInput(self.background)
        return Background(rows, self.samples, at=at) * Line(steps=1, quadrature="random", at=at)


@dataclass(frozen=True, repr=False, eq=False)
class Conductance(Method):
    """What flows through each part of a layer while the input goes from the baseline to the record.

    ``steps`` + 1 passes forward and backward. Give ``at=`` a layer. Adds up to the quantity's change, wherever the layer is one that
    everything passes. Trapezoid rule on the path's image, error O(1/steps^2). Dhamdhere et al. 2018.
    """

    baseline: Any = 0.0
    steps: int = 50

    multiply = True

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, self.steps, stepwise=True)


@dataclass(frozen=True, repr=False, eq=False)
class InternalInfluence(Method):
    """The gradient at a layer, averaged while the input goes from the baseline to the record.

    ``steps`` passes forward and backward. Give ``at=`` a layer. Leino et al. 2018.
    """

    baseline: Any = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"

    def over(self, at: Cut) -> Distribution:
        return Line(self.baseline, self.steps, self.quadrature)


@dataclass(frozen=True, repr=False)
class LayerActivation(Recipe):
    """What a layer holds for each record. One pass forward, no further than the layer."""

    @entry
    def __call__(self, model: Any, *args: Any, at: Any = None, over: Any = None, **kwargs: Any) -> Attribution:
        """Read the layer ``at``. Raises MethodError without one."""
        if at is None:
            raise MethodError("LayerActivation() needs a place", try_='at="layer3", or asc.cuts_of(model, *args) for the places there are')
        return replace(activation(model, *args, at=at, over=over, **kwargs), method=f"{self!r}(model, *inputs, at={at!r})")
