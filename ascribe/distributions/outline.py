"""The properties of a distribution that determine how it is evaluated."""

from __future__ import annotations

from typing import Any, NamedTuple

from .members import Background, Gaussian, Line, Multiplies, Product, Uniform


class Outline(NamedTuple):
    """The properties of a distribution that determine how it is evaluated."""

    points: int
    """The number of points per record: of the first round with ``tolerance``, 1 for a background given as a Call."""
    baseline: Any
    """The baseline of the line or the rows of the background; None if the distribution has no start."""
    background: Background | None
    line: Line | None
    noisy: bool
    """True if noise is added to the record."""

    @property
    def random(self) -> bool:
        """True if the points are a random sample."""
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
            rows: Any = next(iter(factor.rows.values()), ()) if isinstance(factor.rows, dict) else factor.rows
            rows = rows[0] if isinstance(rows, tuple) and rows else rows
            points *= factor.samples or (len(rows) if hasattr(rows, "__len__") else int(getattr(rows, "samples", 1)))
        elif isinstance(factor, Multiplies):
            points *= getattr(factor, "samples", 1)
            noisy |= isinstance(factor, (Gaussian, Uniform))
        else:  # a distribution from outside the package
            draws = factor.draw(0)
            points *= len(draws)
            noisy |= draws.noise is not None
        if hasattr(factor, "baseline"):
            baseline = 0.0 if factor.baseline is None else factor.baseline
    return Outline(points, baseline if background is None else background.rows, background, line, noisy)
