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
    """What is fitted: ``columns`` turns coalitions into the terms of a model, ``readout`` ``[values, terms]`` coefficients into values.

    With ``adds_up`` the coefficients sum to the change from nobody to all, exactly: the condition is eliminated, not weighted.
    With ``paired`` a coalition and its complement count as one: half the difference of their values, to which terms of even order
    contribute nothing. ``ends`` is the weight of nobody, and of all, where they are fitted like any other coalition.
    """

    columns: Callable[[np.ndarray], np.ndarray]
    readout: np.ndarray
    paired: bool = True
    adds_up: bool = True
    shape: tuple[int, ...] = ()
    ends: float = 0.0


class RegressionEstimator:
    """Sums of a fit: the right-hand side over all units and over each group; the matrix is structure and needs no values."""

    def __init__(self, units: CoalitionSample, fit: LinearFit) -> None:
        self.units, self.fit = units, fit
        self.terms = fit.columns(units.coalitions)
        self.outer = fit.columns(make_empty_and_full(units.coalitions.shape[1])[:: 1 + fit.paired])
        self.told = np.zeros(len(units.group), dtype=bool)
        self.groups: list[int] = []
        self.ends = np.empty((0, 0))

    def blocks(self) -> Iterator[CoalitionBlock]:
        return self.units.blocks(self.fit.paired)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.ends = values
            shape = (self.units.groups + 1, self.terms.shape[1], values.shape[1])
            self.right, self.spread = np.zeros(shape), np.zeros(shape)
            self.right[-1] = self.fit.ends * self.outer.T @ self._targets(values)
            return
        index = block.key
        group = self.units.group[index[0]]
        target = self._targets(values)
        rows = self.terms[index].T * self.units.weight[index]
        self.right[group] += rows @ target
        self.spread[group] += (rows * np.sqrt(1 - self.units.chance[index])) @ target
        self.told[index] = True
        if group >= 0:
            self.groups.append(int(group))

    def _targets(self, values: np.ndarray) -> np.ndarray:
        """What the terms are to explain, less what the condition on their sum has them explain anyway."""
        return (values[::2] - values[1::2]) / 2 if self.fit.paired else values - self.ends[0]

    @property
    def total(self) -> np.ndarray:
        """What the coefficients sum to."""
        return (self.ends[1] - self.ends[0]) / (2 if self.fit.paired else 1)

    def result(self) -> GameEstimate:
        if not self.told.any() or (self.units.groups and not self.groups):
            raise CoalitionError("an estimate before any coalition but the empty and the full one is known", code="E-COALITION-EARLY")
        share = len(self.groups) / self.units.groups if self.units.groups else 1.0
        terms, used = self.terms, self.terms.shape[1]
        matrix = (terms.T * np.where(self.told, self.units.weight / np.where(self.units.group >= 0, share, 1), 0)) @ terms
        matrix += self.fit.ends * self.outer.T @ self.outer
        right = self.right[-1] + self.right[:-1].sum(axis=0) / share
        base = self.total / used if self.fit.adds_up else np.zeros_like(self.total)  # alike for all terms; the rest sums to 0
        inverse, rank = invert_symmetric(matrix, self.fit.adds_up)
        found = base + inverse @ (right - matrix.sum(axis=1)[:, None] * base)
        notes = () if rank == used else (f"{used - rank} of {used} terms were not determined by these coalitions",)
        errors = self._errors(found, matrix, share)
        return GameEstimate(
            self._shaped(self.fit.readout @ found), None if errors is None else self._shaped(errors), self.fit.adds_up, notes
        )

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(*(self.fit.shape or values.shape[:1]), -1)

    def _errors(self, found: np.ndarray, matrix: np.ndarray, share: float) -> np.ndarray | None:
        """Standard errors: how much the groups pull the solution apart, each without its own weight in the matrix."""
        if not self.units.groups:
            return None
        if len(self.groups) < 2:
            return np.full((len(self.fit.readout), found.shape[1]), np.nan)
        pulls = np.stack([self._pull(group, found, matrix, share) for group in self.groups])
        whole, part = ((pulls - pulls.mean(axis=0)) ** 2).sum(axis=0) * (len(pulls) / (len(pulls) - 1))
        # of a size drawn to a share c the part that is still unknown is 1 - c; of one drawn to that share and known in part, 1 - c * share
        return np.sqrt(share * part + (1 - share) * whole)

    def _pull(self, group: int, found: np.ndarray, matrix: np.ndarray, share: float) -> np.ndarray:
        """How far the solution is from that without a group: as it is, and with only what is left to chance in each size."""
        index = self.units.group == group
        rows, weight, readout = self.terms[index], self.units.weight[index] / share, self.fit.readout
        inverse, rank = invert_symmetric(matrix - (rows.T * weight) @ rows, self.fit.adds_up)
        if rank < len(found):  # the others fit whatever this group says: that they agree says nothing
            return np.full((2, len(readout), found.shape[1]), np.nan)
        fitted, left = rows @ found, np.sqrt(1 - self.units.chance[index])
        whole = self.right[group] / share - (rows.T * weight) @ fitted
        part = self.spread[group] / share - (rows.T * (weight * left)) @ fitted
        return np.stack([readout @ (inverse @ score) for score in (whole, part)])


def invert_symmetric(matrix: np.ndarray, adds_up: bool) -> tuple[np.ndarray, int]:
    """The inverse of a symmetric matrix, and its rank; with ``adds_up`` the inverse among coefficients that sum to 0.

    Along equal shares, where nothing is asked of it then, the matrix is filled so that it inverts.
    """
    if not adds_up:
        return pseudo_inverse(matrix)
    centre = np.eye(len(matrix)) - 1 / len(matrix)
    inner = centre @ matrix @ centre
    inverse, rank = pseudo_inverse(inner + np.trace(inner) / len(matrix) ** 2)
    return centre @ inverse @ centre, rank


def pseudo_inverse(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The inverse of a symmetric matrix, and its rank; directions that nothing was seen of are left out."""
    try:
        root = np.diagonal(np.linalg.cholesky(matrix))
        if root.min() > 1e-4 * root.max():  # else some directions may be rounding alone
            return np.linalg.inv(matrix), len(matrix)
    except np.linalg.LinAlgError:
        pass
    size, axes = np.linalg.eigh(matrix)
    seen = size > size.max(initial=0) * 1e-10
    return (axes[:, seen] / size[seen]) @ axes[:, seen].T, int(seen.sum())
