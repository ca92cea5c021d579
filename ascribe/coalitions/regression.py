"""Values as the coefficients of a weighted least-squares fit to the values of coalitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from .base import GameEstimate
from .games import CoalitionBlock, make_empty_and_full
from .sampling import CoalitionSample


@dataclass(frozen=True)
class LinearFit:
    """The linear model of a fit: ``columns`` maps coalitions to terms, ``readout`` ``[values, terms]`` maps coefficients to values.

    With ``adds_up``, the coefficients sum exactly to v(all) - v(none): the condition is eliminated, not weighted. With ``paired``, a
    coalition and its complement count as one: half the difference of their values, in which terms of even order cancel. ``end_weight`` is
    the weight of the empty and the full coalition, if they are fitted like other coalitions.
    """

    columns: Callable[[np.ndarray], np.ndarray]
    readout: np.ndarray
    paired: bool = True
    adds_up: bool = True
    shape: tuple[int, ...] = ()
    end_weight: float = 0.0


class RegressionEstimator:
    """Sums of a fit: the right-hand side over all units and for each group. The matrix depends on the coalitions only."""

    def __init__(self, units: CoalitionSample, fit: LinearFit) -> None:
        self.units, self.fit = units, fit
        self.terms = fit.columns(units.coalitions)
        self.outer = fit.columns(make_empty_and_full(units.coalitions.shape[1])[:: 1 + fit.paired])
        self.received = np.zeros(len(units.group), dtype=bool)
        self.groups: list[int] = []
        self.ends = np.empty((0, 0))

    def blocks(self) -> Iterator[CoalitionBlock]:
        return self.units.blocks(self.fit.paired)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.ends = values
            shape = (self.units.groups + 1, self.terms.shape[1], values.shape[1])
            self.right, self.spread = np.zeros(shape), np.zeros(shape)
            self.right[-1] = self.fit.end_weight * self.outer.T @ self._targets(values)
            return
        index = block.key
        group = self.units.group[index[0]]
        target = self._targets(values)
        rows = self.terms[index].T * self.units.weight[index]
        self.right[group] += rows @ target
        self.spread[group] += (rows * np.sqrt(1 - self.units.chance[index])) @ target
        self.received[index] = True
        if group >= 0:
            self.groups.append(int(group))

    def _targets(self, values: np.ndarray) -> np.ndarray:
        """Returns the targets of the terms, without the part that the condition on their sum fixes."""
        return (values[::2] - values[1::2]) / 2 if self.fit.paired else values - self.ends[0]

    @property
    def total(self) -> np.ndarray:
        """Returns the sum of the coefficients."""
        return (self.ends[1] - self.ends[0]) / (2 if self.fit.paired else 1)

    def result(self) -> GameEstimate:
        if not self.received.any() or (self.units.groups and not self.groups):
            raise CoalitionError("No estimate is known before a coalition between empty and full is known", code="E-COALITION-EARLY")
        share = len(self.groups) / self.units.groups if self.units.groups else 1.0
        terms, used = self.terms, self.terms.shape[1]
        matrix = (terms.T * np.where(self.received, self.units.weight / np.where(self.units.group >= 0, share, 1), 0)) @ terms
        matrix += self.fit.end_weight * self.outer.T @ self.outer
        right = self.right[-1] + self.right[:-1].sum(axis=0) / share
        base = self.total / used if self.fit.adds_up else np.zeros_like(self.total)  # equal for all terms; the rest sums to 0
        inverse, rank = invert_symmetric(matrix, self.fit.adds_up)
        solution = base + inverse @ (right - matrix.sum(axis=1)[:, None] * base)
        notes = () if rank == used else (f"{used - rank} of {used} terms were not determined by these coalitions",)
        errors = self._errors(solution, matrix, share)
        return GameEstimate(
            self._shaped(self.fit.readout @ solution), None if errors is None else self._shaped(errors), self.fit.adds_up, notes
        )

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(*(self.fit.shape or values.shape[:1]), -1)

    def _errors(self, solution: np.ndarray, matrix: np.ndarray, share: float) -> np.ndarray | None:
        """Returns standard errors from the influence of each group on the solution, without the group in the matrix."""
        if not self.units.groups:
            return None
        if len(self.groups) < 2:
            return np.full((len(self.fit.readout), solution.shape[1]), np.nan)
        influences = np.stack([self._influence(group, solution, matrix, share) for group in self.groups])
        whole, part = ((influences - influences.mean(axis=0)) ** 2).sum(axis=0) * (len(influences) / (len(influences) - 1))
        # if a share c of a size is drawn, 1 - c of it is unknown; if only a share of the draws is known, 1 - c * share
        return np.sqrt(share * part + (1 - share) * whole)

    def _influence(self, group: int, solution: np.ndarray, matrix: np.ndarray, share: float) -> np.ndarray:
        """Returns the influence of a group on the solution: with its full weight, and with only the random part of each size."""
        index = self.units.group == group
        rows, weight, readout = self.terms[index], self.units.weight[index] / share, self.fit.readout
        inverse, rank = invert_symmetric(matrix - (rows.T * weight) @ rows, self.fit.adds_up)
        if rank < len(solution):  # the others fit any value of this group, so that their agreement has no information
            return np.full((2, len(readout), solution.shape[1]), np.nan)
        fitted, left = rows @ solution, np.sqrt(1 - self.units.chance[index])
        whole = self.right[group] / share - (rows.T * weight) @ fitted
        part = self.spread[group] / share - (rows.T * (weight * left)) @ fitted
        return np.stack([readout @ (inverse @ score) for score in (whole, part)])


def invert_symmetric(matrix: np.ndarray, adds_up: bool) -> tuple[np.ndarray, int]:
    """Returns the inverse of a symmetric matrix and its rank; with ``adds_up``, the inverse among coefficients that sum to 0.

    The direction of equal coefficients is then not determined, so the matrix is filled along it to be invertible.
    """
    if not adds_up:
        return pseudo_inverse(matrix)
    centre = np.eye(len(matrix)) - 1 / len(matrix)
    inner = centre @ matrix @ centre
    inverse, rank = pseudo_inverse(inner + np.trace(inner) / len(matrix) ** 2)
    return centre @ inverse @ centre, rank


def pseudo_inverse(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the pseudo-inverse of a symmetric matrix, and its rank; undetermined directions get 0."""
    try:
        root = np.diagonal(np.linalg.cholesky(matrix))
        if root.min() > 1e-4 * root.max():  # otherwise some directions may be rounding errors
            return np.linalg.inv(matrix), len(matrix)
    except np.linalg.LinAlgError:
        pass
    size, axes = np.linalg.eigh(matrix)
    seen = size > size.max(initial=0) * 1e-10
    return (axes[:, seen] / size[seen]) @ axes[:, seen].T, int(seen.sum())
