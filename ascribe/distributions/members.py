"""Distributions of points over which gradients are averaged: ``over=``.

A distribution is a value. ``draw`` returns :class:`Draws`: positions, weights, rows and seeds as NumPy arrays, from which the engine
computes points of the user's arrays, chunk by chunk. Draws are the same for all records and depend on the seed and the index of the
point only. A record's result therefore depends neither on the other records nor on the chunk size.

``at`` is the cut where the points are placed, by default the model's input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..arrays import ArrayLike
from ..calls.call import Call
from ..cuts import INPUT, Cut
from ..errors import DistributionError
from ..values import Value, is_number
from .baselines import FromInput
from .draws import Distribution, Draws, Noise
from .quadrature import QUADRATURES, Quadrature, quadrature_nodes, unknown_quadrature
from .shuffles import Shuffled

DistributionLike = Distribution | None
"""Accepted by ``over=`` of gradients and rules: a distribution of points, or None for the records themselves."""
BaselineName = Literal["zeros", "mean", "blur", "uniform"]
"""Named baselines: 0, the mean of each channel, the blurred record, uniform noise in the range of the record."""
BaselineLike = BaselineName | float | str | ArrayLike | Sequence[Any] | Mapping[Any, Any] | Callable[..., Any] | Call | FromInput | None
"""Accepted by ``baseline=``: see :class:`Line`."""
RowsLike = ArrayLike | Sequence[Any] | Mapping[Any, Any] | Call | Shuffled | FromInput
"""Accepted by :class:`Background`."""


class Multiplies(Value):
    """Adds ``a * b``: the points of ``b`` for every draw of ``a``."""

    def __mul__(self, other: Any) -> Product:
        return Product((*list_factors(self), *list_factors(other)))


@dataclass(frozen=True, repr=False)
class Point(Multiplies):
    """The record itself. It is the default of ``over=``.

    *Use it when* a plain gradient or a rule at the input is wanted: saliency, LRP. Cost: 1 pass.
    """

    at: Cut = INPUT

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.ones(1))


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Multiplies):
    """The record and a baseline, for rules that compare the two (:class:`~ascribe.rules.Rescale`, DeepLIFT).

    *Use it when* ``by=`` is a rule that needs a reference. Use :class:`Background` for the mean over several references.

    ``baseline`` is the same as for :class:`Line`. Cost: 1 pass for the record and 1 for the baseline.

    Raises DistributionError if the baseline does not fit the record.
    """

    baseline: BaselineLike = 0.0
    at: Cut = INPUT

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.ones(1))


@dataclass(frozen=True, eq=False, repr=False)
class Line(Multiplies):
    """The straight line from a baseline to the record, as in integrated gradients.

    *Use it when* the values should add up to the difference of the quantity between the record and a baseline.

    >>> a = asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=64))

    ``baseline`` is one of

    * a number, or an array with one row or one row per record;
    * "zeros", "mean" (of each channel of the record), "blur" or "uniform" (noise in the range of the record);
    * a function of the model's arguments, or a :class:`~ascribe.Call`, whose value at the cut is the baseline;
    * a tuple or a dict of those, one for each input.

    ``quadrature`` is the rule of the ``steps`` points (50 by default); "random" draws one point from each of ``steps`` equal intervals.
    ``tolerance`` chooses the number of points instead: 4, 8, 16, ... Gauss-Legendre points for each record, until the completeness gap
    is at most ``tolerance`` times the change of the quantity, or times the sum of absolute values if that is larger. It stops at ``steps``
    points (512 by default), or earlier if more points do not help. ``stepwise`` multiplies gradients by the change between consecutive
    points at the attribution cut instead of the difference between the ends; its points include both ends (conductance).

    Cost: ``steps`` passes. Raises DistributionError for invalid fields, or if the baseline does not fit the record.

    Source: Sundararajan et al. (2017), equation 1; conductance: Dhamdhere et al. (2018).
    """

    baseline: BaselineLike = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"
    tolerance: float | None = None
    at: Cut = INPUT
    stepwise: bool = False

    def __post_init__(self) -> None:
        if self.quadrature not in QUADRATURES:
            problem, there = unknown_quadrature(self.quadrature), f"quadrature={self.quadrature!r}"
            raise DistributionError(problem, found=there, advice='quadrature="trapezoid"')
        check_count("steps", self.steps)
        if self.tolerance is not None and not (is_number(self.tolerance) and 0 < self.tolerance < 1):
            problem = "`tolerance=` must be between 0 and 1: the completeness gap as a share of the change of the quantity"
            raise DistributionError(problem, found=f"tolerance={self.tolerance!r}", advice="tolerance=1e-3")
        if self.tolerance is not None and (self.stepwise or self.quadrature != "gauss-legendre"):
            problem = "`tolerance=` chooses the points itself and cannot be combined with `quadrature=` or `stepwise=`"
            raise DistributionError(problem, found=repr(self), advice="asc.Line(0.0, tolerance=1e-3), or steps= instead of tolerance=")

    @property
    def size(self) -> int:
        """The number of points of a draw."""
        return 50 if self.steps is None else self.steps

    def draw(self, seed: int, rows: int = 0) -> Draws:
        if self.stepwise:
            position, weight = quadrature_nodes("trapezoid", self.size + 1)
            return Draws(weight, position, stepwise=True)
        if self.quadrature == "random":
            return Draws(np.full(self.size, 1.0 / self.size), draw_stratified(self.size, seed))
        position, weight = quadrature_nodes(self.quadrature, self.size)
        return Draws(weight, position)


@dataclass(frozen=True, repr=False)
class Gaussian(Multiplies):
    """The record plus normal noise: ``samples`` draws with standard deviation ``scale``, as in SmoothGrad.

    *Use it when* gradients are noisy and a smoother map is wanted.

    ``scale`` is in the units of the value, or with ``relative=True`` a share of the range (maximum minus minimum) of each record. A tuple
    has one scale for each array at the cut. Cost: ``samples`` passes.

    Raises DistributionError for a negative scale or fewer than one sample. Source: Smilkov et al. (2017).
    """

    scale: float | tuple[float, ...] = 0.15
    samples: int = 32
    relative: bool = False
    at: Cut = INPUT

    def __post_init__(self) -> None:
        check_noise(self.scale, self.samples)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        noise = Noise("normal", self.scale, self.relative, seed)
        return Draws(np.full(self.samples, 1.0 / self.samples), noise=noise)


@dataclass(frozen=True, repr=False)
class Uniform(Multiplies):
    """The record plus uniform noise between ``-radius`` and ``radius``; the units are those of :class:`Gaussian`.

    *Use it when* the noise should be bounded. Cost: ``samples`` passes.

    Raises DistributionError for a negative radius or fewer than one sample.
    """

    radius: float = 0.15
    samples: int = 32
    relative: bool = False
    at: Cut = INPUT

    def __post_init__(self) -> None:
        check_noise(self.radius, self.samples)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        noise = Noise("uniform", self.radius, self.relative, seed)
        return Draws(np.full(self.samples, 1.0 / self.samples), noise=noise)


@dataclass(frozen=True, eq=False, repr=False)
class Background(Multiplies):
    """Baselines taken from data: every row once, or ``samples`` rows drawn at random.

    *Use it when* no single baseline is neutral, and training data describe what is normal: expected gradients, DeepLiftShap.

    >>> x_train = torch.randn(50, 4)
    >>> over = asc.Background(x_train, samples=20) * asc.Line(steps=1, quadrature="random")
    >>> a = asc.attribute(model, x, of=1, over=over)

    ``rows`` is one of

    * an array ``[rows, ...]``;
    * a tuple or a dict of those for several inputs, in which row i of all inputs is one sample;
    * a :class:`~ascribe.Call` whose records are the rows;
    * :class:`~ascribe.distributions.Shuffled`, which creates the rows from each record.

    Cost: one pass for each row or sample, times the points of a :class:`Line` if multiplied by one.

    Raises DistributionError if the rows do not have the shape of a record. Source: Erion et al. (2021).
    """

    rows: RowsLike
    samples: int | None = None
    at: Cut = INPUT

    def __post_init__(self) -> None:
        if self.rows is None:
            problem = "`asc.Background` needs rows of data"
            raise DistributionError(problem, found="rows=None", advice="asc.Background(x_train[:100])", code="E-BASELINE-SHAPE")
        check_count("samples", self.samples)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        if self.samples is None:
            return Draws(np.full(rows, 1.0 / rows), row=np.arange(rows))
        rng = np.random.default_rng((seed, 1))
        rounds = math.ceil(self.samples / rows)  # each row equally often; the remainder at random
        row = np.concatenate([rng.permutation(rows) for _ in range(rounds)])[: self.samples]
        return Draws(np.full(self.samples, 1.0 / self.samples), row=row)


@dataclass(frozen=True, eq=False, repr=False)
class Points(Value):
    """Points given by the user, with equal weights.

    *Use it when* no other distribution has the points that are needed.

    ``values`` is an array ``[points, records, ...]`` (``[points, 1, ...]`` for all records), or a tuple or a dict of those if the cut has
    several arrays. There is no baseline: methods that multiply by the difference multiply by the point itself. Cost: one pass for each
    point.

    Raises DistributionError if there is no point or shapes do not fit.
    """

    values: ArrayLike | tuple[ArrayLike, ...] | Mapping[Any, ArrayLike]
    at: Cut = INPUT

    @property
    def samples(self) -> int:
        """The number of points. Raises DistributionError if there are none."""
        first: Any = self.values
        while isinstance(first, (Mapping, tuple)) and len(first):
            first = next(iter(first.values())) if isinstance(first, Mapping) else first[0]
        if not getattr(first, "shape", ()) or not len(first):
            problem, there = (
                "Points must be an array [points, records, ...] with at least one point",
                f"a value of type {type(first).__name__}",
            )
            raise DistributionError(problem, found=there, advice="asc.distributions.Points(np.stack([x, x + 1]))")
        return len(first)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.full(self.samples, 1.0 / self.samples), given=True)


@dataclass(frozen=True, eq=False, repr=False)
class Product(Multiplies):
    """The product of distributions, written ``a * b``: the points of ``b`` for every draw of ``a``. The Line is the last factor.

    *Use it when* two ideas are combined: ``Background(rows, 32) * Line(steps=1, quadrature="random")`` is expected gradients (Erion et al.
    2021), ``Gaussian(0.1, 8) * Line(0.0, 32)`` is smoothed integrated gradients.

    Cost: the product of the numbers of points. Raises DistributionError for factors that cannot be combined.
    """

    factors: tuple[Any, ...]

    def __post_init__(self) -> None:
        kinds = [type(f).__name__ for f in self.factors if not isinstance(f, Point)]
        there = " * ".join(kinds)
        noises = [k for k in kinds if k in ("Gaussian", "Uniform")]
        if len(noises) > 1 or kinds.count("Background") > 1 or kinds.count("Line") > 1:
            raise DistributionError(
                "A product has at most one noise, one Background and one Line", found=there, advice="asc.Gaussian() * asc.Line()"
            )
        if "Points" in kinds:
            raise DistributionError("Points cannot be a factor of a product", found=there, advice="asc.distributions.Points(values) alone")
        if "Reference" in kinds and ({"Line", "Background"} & {*kinds} or kinds.count("Reference") > 1):
            problem = "A Reference cannot be combined with a Line, a Background or another Reference"
            raise DistributionError(problem, found=there, advice="asc.Gaussian() * asc.distributions.Reference(0.0)")
        if "Line" in kinds and kinds[-1] != "Line":
            raise DistributionError("The Line must be the last factor", found=there, advice="asc.Background(rows) * asc.Line()")
        if "Background" in kinds and any(isinstance(f, Line) and not starts_at_zero(f) for f in self.factors):
            problem = "A Line that is multiplied by a Background starts at its rows and has no baseline"
            raise DistributionError(problem, found=repr(self), advice="asc.Background(rows) * asc.Line(steps=32)")
        if any(getattr(f, "tolerance", None) or getattr(f, "stepwise", False) for f in self.factors):
            problem = "`tolerance=` and `stepwise=` cannot be used in a product"
            raise DistributionError(problem, found=repr(self), advice="asc.Gaussian() * asc.Line(0.0, steps=64)")
        cuts = {f.at for f in self.factors} - {INPUT}
        if len(cuts) > 1:
            there = ", ".join(sorted(map(repr, cuts)))
            raise DistributionError("The factors of a product must be at one cut", found=there, advice="the same at= in every factor")

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors))

    @property
    def at(self) -> Cut:
        return next((f.at for f in self.factors if f.at != INPUT), INPUT)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        total = Draws(np.ones(1))
        for factor in self.factors:
            total = _joined(total, factor.draw(seed, rows))
        line = self.factors[-1]
        if isinstance(line, Line) and line.quadrature == "random":
            return replace(total, position=draw_stratified(len(total), seed))
        return total


def list_factors(distribution: Any) -> tuple[Any, ...]:
    """Returns the factors of a product, or a tuple of the distribution itself. Raises DistributionError for other values."""
    if isinstance(distribution, Product):
        return distribution.factors
    if isinstance(distribution, type):
        name = distribution.__name__
        raise DistributionError("`over=` is a class, not a distribution", found=f"the class {name}", advice=f"over={name}(...)")
    if not hasattr(distribution, "draw"):
        problem = "`over=` must be a distribution"
        raise DistributionError(problem, found=f"{distribution!r}", advice="over=asc.Line(0.0), asc.Gaussian(0.15) or asc.Background(rows)")
    return (distribution,)


def starts_at_zero(line: Line) -> bool:
    """True if the baseline of a line is the default, 0."""
    return line.baseline is None or (isinstance(line.baseline, (int, float)) and line.baseline == 0)


def draw_stratified(count: int, seed: int) -> np.ndarray:
    """Returns random positions between 0 and 1, one from each of ``count`` equal intervals, in random order."""
    rng = np.random.default_rng((seed, 2))
    return (rng.permutation(count) + rng.random(count)) / count


def check_noise(scale: float | tuple[float, ...], samples: int) -> None:
    """Raises DistributionError for a scale that is negative or infinite, or for a number of samples that is not an integer >= 1."""
    check_count("samples", samples)
    if not all(is_number(s) and 0 <= s < math.inf for s in (scale if isinstance(scale, tuple) else (scale,))):
        raise DistributionError("The scale of noise must be a finite number >= 0", found=f"{scale!r}", advice="asc.Gaussian(0.15)")


def check_count(name: str, count: Any) -> None:
    """Raises DistributionError if ``count`` is not an integer >= 1; None means the default and is valid."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1):
        raise DistributionError(f"`{name}=` must be an integer >= 1", found=f"{name}={count!r}", advice=f"{name}=32")


def _joined(a: Draws, b: Draws) -> Draws:
    """Returns every draw of ``a`` combined with every draw of ``b``; the index of ``b`` changes fastest."""
    n, m = len(a), len(b)

    def both(left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray | None:
        if right is not None:
            return np.tile(right, n)
        return None if left is None else np.repeat(left, m)

    noise = b.noise if a.noise is None else replace(a.noise, each=a.noise.each * m)
    return Draws(np.repeat(a.weight, m) * np.tile(b.weight, n), both(a.position, b.position), both(a.row, b.row), noise)
