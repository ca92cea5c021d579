"""Over which points the influence is averaged.

A distribution is a value; ``draw`` turns it into :class:`Draws`: structure in NumPy (positions, weights, rows, seeds), from
which the engine makes points of the user's own arrays, chunk by chunk. Draws are shared by all records, so that a record's
result depends neither on its neighbours nor on its place among them, and on the seed and the point's number alone, so that
it does not depend on the chunking either.

Each distribution carries the cut where its points live; INPUT unless it says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..cuts import INPUT, Cut
from ..errors import DistributionError
from ..values import Value, is_number
from .quadrature import QUADRATURES, Quadrature, quadrature_nodes


@dataclass(frozen=True)
class Noise:
    """Random displacement of the record: ``"normal"`` or ``"uniform"``, in units of ``scale``.

    It is drawn anew after every ``each`` points: those of a line that goes to one displaced record have it in common.
    """

    kind: str
    scale: float | tuple[float, ...]
    relative: bool
    seed: int
    each: int = 1

    def draw(self, point: int, leaf: int, shape: tuple[int, ...]) -> np.ndarray:
        """The displacement of one record's array at one point, before a relative scale; the same whatever the chunking."""
        rng = np.random.default_rng((self.seed, 0, point // self.each, leaf))  # 0: no other draw of this seed begins so
        scale = np.float32(self.scale[leaf] if isinstance(self.scale, tuple) else self.scale)
        if self.kind == "normal":
            return rng.standard_normal(shape, dtype=np.float32) * scale
        return (rng.random(shape, dtype=np.float32) * 2 - 1) * scale


@dataclass(frozen=True)
class Draws:
    """Which points to visit: arrays of one length, the number of points.

    A point is ``start + position * (end - start)``: the end is the record, displaced by ``noise``; the start is the
    baseline, or the background's row ``row``. Without ``position`` the point is the end itself. ``given`` points are the user's own.
    """

    weight: np.ndarray
    position: np.ndarray | None = None
    row: np.ndarray | None = None
    noise: Noise | None = None
    stepwise: bool = False
    given: bool = False

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def moves(self) -> bool:
        """Whether start or end differ from point to point, so that distances must be taken at each."""
        return self.row is not None or self.noise is not None or self.given


class Distribution(Protocol):
    """What ``over=`` takes."""

    @property
    def at(self) -> Cut: ...

    def draw(self, seed: int, rows: int = 0) -> Draws:
        """The points, for a seed; ``rows`` is the size of the background, where there is one."""


DistributionLike = Distribution | None
"""What ``over=`` accepts for gradients and rules: a distribution of points, or None for the records themselves."""


class Multiplies(Value):
    """``a * b``: for every draw of ``a`` the points of ``b``."""

    def __mul__(self, other: Any) -> Product:
        return Product((*list_factors(self), *list_factors(other)))


@dataclass(frozen=True, repr=False)
class Point(Multiplies):
    """The record itself: one pass."""

    at: Cut = INPUT

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.ones(1))


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Multiplies):
    """The record itself, compared with a baseline: what rules that compare (:class:`~ascribe.rules.Rescale`) need.

    One pass, and one for the baseline. ``baseline`` is what it is for a :class:`Line`.
    """

    baseline: Any = 0.0
    at: Cut = INPUT

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.ones(1))


@dataclass(frozen=True, eq=False, repr=False)
class Line(Multiplies):
    """The straight line from a baseline to the record (Sundararajan et al. 2017).

    ``steps`` passes under a quadrature rule: Gauss-Legendre unless you say otherwise; ``"random"`` draws the positions, one
    in each of ``steps`` equal pieces. With ``tolerance`` instead, 4, 8, 16, ... Gauss-Legendre points are taken for each record
    until the completeness gap is at most ``tolerance`` times the change of the quantity along the line, or the sum of the values' sizes
    where that is larger (at most ``steps`` points; 512 when ``steps`` is left out; fewer where more would not help). ``stepwise``
    measures distance piece by piece along the path's image at the attribution cut instead of from end to end (conductance: Dhamdhere et
    al. 2018); its points include both ends.

    ``baseline`` is a number, an array (one row or one per record), a tuple or dict of those for several inputs, a name
    ("zeros", "mean", "blur", "uniform"), a function of the model's arguments, or a :class:`~ascribe.distributions.baselines.Call`.
    """

    baseline: Any = 0.0
    steps: int | None = None
    quadrature: Quadrature = "gauss-legendre"
    tolerance: float | None = None
    at: Cut = INPUT
    stepwise: bool = False

    def __post_init__(self) -> None:
        if self.quadrature not in QUADRATURES:
            raise DistributionError(f"quadrature {self.quadrature!r} is not known", there=", ".join(QUADRATURES))
        check_count("steps", self.steps)
        if self.tolerance is not None and not (is_number(self.tolerance) and 0 < self.tolerance < 1):
            raise DistributionError(f"tolerance={self.tolerance!r}", try_="a share of the change or of the values, such as 1e-3")
        if self.tolerance is not None and (self.stepwise or self.quadrature != "gauss-legendre"):
            raise DistributionError("tolerance= chooses the points itself", try_="leave quadrature and stepwise out, or give steps")

    @property
    def size(self) -> int:
        """How many points a draw has."""
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
    """The record with normal noise added (Smilkov et al. 2017): ``samples`` draws of standard deviation ``scale``.

    ``scale`` is in the value's own units, or with ``relative`` a share of each record's range (largest less smallest value);
    a tuple has one for each array at the cut.
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
    """The record with noise added that is uniform between ``-radius`` and ``radius``; see :class:`Gaussian`."""

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
    """Starts taken from a set of samples: every row once, or ``samples`` rows drawn at random.

    ``rows`` is an array ``[rows, ...]``, a tuple or dict of those for several inputs (row i of each belongs together), a
    :class:`~ascribe.distributions.baselines.Call` whose records are the rows, or :func:`~ascribe.distributions.Shuffled`:
    for each record rows made out of it.
    """

    rows: Any
    samples: int | None = None
    at: Cut = INPUT

    def __post_init__(self) -> None:
        if self.rows is None:
            raise DistributionError("a background of None", try_="an array of rows, such as x_train[:100]", code="E-BASELINE-SHAPE")
        check_count("samples", self.samples)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        if self.samples is None:
            return Draws(np.full(rows, 1.0 / rows), row=np.arange(rows))
        rng = np.random.default_rng((seed, 1))
        rounds = math.ceil(self.samples / rows)  # each row as often as any other, before chance decides the rest
        row = np.concatenate([rng.permutation(rows) for _ in range(rounds)])[: self.samples]
        return Draws(np.full(self.samples, 1.0 / self.samples), row=row)


@dataclass(frozen=True, eq=False, repr=False)
class Points(Value):
    """Points of your own: the mean over them, each as heavy as any other.

    ``values`` is an array ``[points, records, ...]`` (1 for all records alike), or a tuple or dict of those where the cut ``at`` has
    several. There is no start, so that the distance of a point is its value. One pass for each point.
    """

    values: Any
    at: Cut = INPUT

    @property
    def samples(self) -> int:
        """How many points there are. Raises DistributionError where there are none."""
        first = self.values
        while isinstance(first, (Mapping, tuple)) and len(first):
            first = next(iter(first.values())) if isinstance(first, Mapping) else first[0]
        if not getattr(first, "shape", ()) or not len(first):
            raise DistributionError(f"points of type {type(first).__name__}", try_="an array [points, records, ...] with a point at least")
        return len(first)

    def draw(self, seed: int, rows: int = 0) -> Draws:
        return Draws(np.full(self.samples, 1.0 / self.samples), given=True)


@dataclass(frozen=True, eq=False, repr=False)
class Product(Multiplies):
    """Several distributions at once, from left to right: where it starts and ends, then where on the line between.

    ``Background(rows, 32) * Line(steps=1, quadrature="random")`` are expected gradients (Erion et al. 2021);
    ``Gaussian(0.1, 8) * Line(0.0, 32)`` smooths integrated gradients.
    """

    factors: tuple[Any, ...]

    def __post_init__(self) -> None:
        kinds = [type(f).__name__ for f in self.factors if not isinstance(f, Point)]
        noises = [k for k in kinds if k in ("Gaussian", "Uniform")]
        if len(noises) > 1 or kinds.count("Background") > 1 or kinds.count("Line") > 1:
            raise DistributionError(f"a product of {' * '.join(kinds)}", try_="at most one noise, one Background and one Line")
        if "Points" in kinds:
            raise DistributionError(f"a product of {' * '.join(kinds)}", try_="Points(...) alone: work the rest into them")
        if "Reference" in kinds and ({"Line", "Background"} & {*kinds} or kinds.count("Reference") > 1):
            raise DistributionError(f"a product of {' * '.join(kinds)}", try_="one start: a Reference, a Line or a Background")
        if "Line" in kinds and kinds[-1] != "Line":
            raise DistributionError(f"a product of {' * '.join(kinds)}", try_="the Line last: Background(...) * Line(...)")
        if "Background" in kinds and any(isinstance(f, Line) and not starts_at_zero(f) for f in self.factors):
            raise DistributionError("a Background and a Line with a baseline of its own", try_="Line(steps=...): it starts at the rows")
        if any(getattr(f, "tolerance", None) or getattr(f, "stepwise", False) for f in self.factors):
            raise DistributionError("tolerance and stepwise belong to a Line alone", try_="steps= inside a product")
        cuts = {f.at for f in self.factors} - {INPUT}
        if len(cuts) > 1:
            raise DistributionError(f"a product at several cuts: {sorted(map(repr, cuts))}", try_="the same at= in every factor")

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
    """The factors of a product, or the distribution itself as the only one."""
    if isinstance(distribution, Product):
        return distribution.factors
    if not hasattr(distribution, "draw") or isinstance(distribution, type):
        raise DistributionError(f"{distribution!r} is not a distribution", try_="Point(), Line(...), Gaussian(...), Background(...)")
    return (distribution,)


def starts_at_zero(line: Line) -> bool:
    """Whether a line has the baseline that it has when none is given."""
    return line.baseline is None or (isinstance(line.baseline, (int, float)) and line.baseline == 0)


def draw_stratified(count: int, seed: int) -> np.ndarray:
    """Random positions between 0 and 1, one in each of ``count`` equal pieces, in random order."""
    rng = np.random.default_rng((seed, 2))
    return (rng.permutation(count) + rng.random(count)) / count


def check_noise(scale: float | tuple[float, ...], samples: int) -> None:
    """Raise DistributionError for noise of negative or endless size, or no whole number of samples."""
    check_count("samples", samples)
    if not all(is_number(s) and 0 <= s < math.inf for s in (scale if isinstance(scale, tuple) else (scale,))):
        raise DistributionError(f"noise of scale {scale!r}", try_="a number from 0 up")


def check_count(name: str, count: Any) -> None:
    """Raise DistributionError for what is no whole number from 1 up; None stands for the default."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1):
        raise DistributionError(f"{name}={count!r}", try_="a whole number from 1 up")


def _joined(a: Draws, b: Draws) -> Draws:
    """Every draw of ``a`` with every draw of ``b``, those of ``b`` running fastest."""
    n, m = len(a), len(b)

    def both(left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray | None:
        if right is not None:
            return np.tile(right, n)
        return None if left is None else np.repeat(left, m)

    noise = b.noise if a.noise is None else replace(a.noise, each=a.noise.each * m)
    return Draws(np.repeat(a.weight, m) * np.tile(b.weight, n), both(a.position, b.position), both(a.row, b.row), noise)


class Outline(NamedTuple):
    """The facts about a distribution that decide how it is run."""

    points: int
    """How many points each record is run at; for a tolerance those of its first round, for a Call as background one."""
    baseline: Any
    """Where paths start: the baseline of the line, the rows of the background; None for a distribution without a start."""
    background: Background | None
    line: Line | None
    noisy: bool
    """True if the ends of paths are displaced."""

    @property
    def random(self) -> bool:
        """True if the points are a sample."""
        return self.background is not None or (self.line is not None and self.line.quadrature == "random")


def outline_distribution(distribution: Any) -> Outline:
    """Returns the outline of a distribution."""
    points, baseline, background, line, noisy = 1, None, None, None, False
    for factor in distribution.factors if isinstance(distribution, Product) else (distribution,):
        if isinstance(factor, Line):
            line = factor
            points *= 4 if factor.tolerance is not None else factor.size + factor.stepwise
        elif isinstance(factor, Background):
            background = factor
            rows = next(iter(factor.rows.values()), ()) if isinstance(factor.rows, dict) else factor.rows
            rows = rows[0] if isinstance(rows, tuple) and rows else rows
            points *= factor.samples or (len(rows) if hasattr(rows, "__len__") else int(getattr(rows, "samples", 1)))
        else:
            points *= getattr(factor, "samples", 1)
            noisy |= isinstance(factor, (Gaussian, Uniform))
        if isinstance(factor, (Line, Reference)):
            baseline = 0.0 if factor.baseline is None else factor.baseline
    return Outline(points, baseline if background is None else background.rows, background, line, noisy)


def as_distribution(over: Any) -> Distribution:
    """``over=`` as a distribution: None is the record itself.

    Raises DistributionError for anything that cannot be drawn from.
    """
    if over is None:
        return Point()
    factors = list_factors(over)
    distribution: Distribution = factors[0] if len(factors) == 1 else over
    return distribution
