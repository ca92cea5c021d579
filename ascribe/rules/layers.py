"""LRP's rules for layers: operations that are linear in one value, with weights that do not depend on the record.

``z_j = sum_i x_i w_ij + b_j`` throughout, ``R_j`` what comes back to ``z_j``, ``+`` and ``-`` the positive and the negative part, and
``s(z) = z + epsilon sign(z)`` with ``sign(0) = 1``. Batch normalisation in evaluation, and constants added or multiplied, are merged
into the layer beside which they stand. Everything that is not a layer is treated as the table in :mod:`.table` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import as_numpy
from ..errors import RuleError
from ..values import is_number, written
from .treatments import Unreferenced, with_rest


class LayerRule(Unreferenced):
    """What the layer rules share. ``bias`` says whether biases take a share of the relevance, or all goes to the inputs."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises RuleError for what is no number, or one below zero or without an end."""
        for name in ("epsilon", "gamma"):
            value = getattr(self, name, 0.0)
            if not (is_number(value) and 0 <= value < math.inf):
                raise RuleError(f"{name}={written(value)}", try_="a number that is not negative")


@dataclass(frozen=True, repr=False)
class Epsilon(LayerRule):
    """LRP-epsilon: ``R_i = sum_j x_i w_ij / s(z_j) R_j`` (Bach et al. 2015, formula 58). Conserves, but for the biases' share.

    One transpose of the layer.
    """

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="epsilon")


@dataclass(frozen=True, repr=False)
class Gamma(LayerRule):
    """LRP-gamma: as :class:`Epsilon` with ``w + gamma w+`` for weights and biases (Montavon et al. 2019).

    For inputs that are not negative; one more run of the layer. ``generalised`` holds for all: positive contributions are strengthened
    where ``z_j`` is positive, negative ones where it is negative (Andeol et al. 2021); two more, four where inputs have both signs.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6
    generalised: bool = False
    bias: bool = True
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="gamma")


@dataclass(frozen=True, repr=False)
class AlphaBeta(LayerRule):
    """LRP-alpha-beta: ``alpha`` times the shares of positive contributions, less ``beta`` times those of negative ones.

    Bach et al. 2015, formula 60. One more run of the layer for either sign of the contributions, two where inputs have both signs.
    Raises RuleError unless ``alpha - beta`` is 1: nothing would be conserved. A neuron with contributions of one sign only passes on
    alpha times its relevance, or -beta times.
    """

    alpha: float = 2.0
    beta: float = 1.0
    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="alphabeta")

    def __post_init__(self) -> None:
        self.check()
        numbers = is_number(self.alpha) and is_number(self.beta) and math.isfinite(self.alpha)
        if not (numbers and abs(self.alpha - self.beta - 1) <= 1e-9 and self.beta >= 0):
            raise RuleError(
                f"alpha={written(self.alpha)}, beta={written(self.beta)}",
                try_="alpha - beta = 1 and beta >= 0, such as 2 and 1, or 1 and 0",
            )


@dataclass(frozen=True, repr=False)
class ZPlus(LayerRule):
    """The z+ rule: shares of the positive contributions only (Montavon et al. 2017). :class:`AlphaBeta` with 1 and 0."""

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    alpha: ClassVar[float] = 1.0
    beta: ClassVar[float] = 0.0
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="alphabeta")


@dataclass(frozen=True, repr=False, eq=False)
class ZBox(LayerRule):
    """The z^B rule for inputs between bounds: ``x_i w_ij - low_i w_ij+ - high_i w_ij-`` (Montavon et al. 2017).

    For the first layer, and the only rule here that knows what the inputs can be. ``low`` and ``high`` are numbers, one for each
    channel (a tuple, or an array ``[channels]``), or arrays of the inputs' shape without records. Scalings between the bounded values
    and the layer are merged into it. Biases take no share. Three more runs of the layer.
    Raises RuleError for bounds that are no numbers, or a lower one above the upper one.
    """

    low: Any
    high: Any
    epsilon: float = 1e-6
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="zbox")

    def __post_init__(self) -> None:
        self.check()
        low, high = (bound(value) for value in (self.low, self.high))
        if (not low.ndim or not high.ndim or low.shape == high.shape) and (low > high).any():
            raise RuleError(f"low={written(self.low)}, high={written(self.high)}", try_="a lower bound that is not above the upper one")


def bound(value: Any) -> np.ndarray:
    """A bound as numbers. Raises RuleError for what is none, or has no end."""
    try:
        found = np.asarray(as_numpy(value), np.float64)
    except (TypeError, ValueError):
        found = np.asarray(np.nan)
    if not np.isfinite(found).all():
        raise RuleError(f"a bound of {written(value)}", try_="a number, or one for each channel")
    return found


@dataclass(frozen=True, repr=False)
class WSquare(LayerRule):
    """The w^2 rule: shares ``w_ij^2``, whatever the inputs are (Montavon et al. 2017). For the first layer; one more run of it."""

    epsilon: float = 1e-6
    bias: bool = False
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="wsquare")


@dataclass(frozen=True, repr=False)
class Flat(LayerRule):
    """The same share to every input of a neuron (Lapuschkin et al. 2019). For the first layer; one more run of it."""

    epsilon: float = 1e-6
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="flat")


@dataclass(frozen=True, repr=False)
class Norm(LayerRule):
    """Shares in proportion to what is summed: :class:`Epsilon`, for average pools, means and sums as well as for layers."""

    epsilon: float = 1e-6
    strict: bool = False

    bias: ClassVar[bool] = True
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="epsilon", average="epsilon")


@dataclass(frozen=True, repr=False)
class Pass(LayerRule):
    """What comes back goes on as it is: for layers and norms whose output has the shape of their input. Conserves everything.

    Raises RuleError for layers of another shape.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="pass", norm="pass", average="pass")


@dataclass(frozen=True, repr=False)
class Absolute(LayerRule):
    """Shares by the size of contributions: ``R_i = sum_j |x_i w_ij| / sum_i |x_i w_ij| R_j`` (Nam et al. 2020, the last layer).

    One more run of the layer. Biases take no share.
    """

    epsilon: float = 0.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="absolute")


@dataclass(frozen=True, repr=False)
class RelativeAttributing(LayerRule):
    """Relative attributing propagation through a layer (Nam et al. 2020): who gave less than the mean is counted against.

    With ``P_j`` the sum of a neuron's positive contributions and ``N_j`` that of the sizes of its negative ones, an input is credited
    ``sum_j (z_ij+ / P_j + |z_ij-| / (P_j + N_j)) R_j``; then every input that was credited anything gives up the same amount, so that
    a record's relevance adds up to what came. Biases take no share. Two more runs of the layer, four where inputs have both signs.
    Raises RuleError for layers whose first axis does not run over the records.
    """

    epsilon: float = 0.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="relative")


@dataclass(frozen=True, repr=False)
class Reading(LayerRule):
    """What becomes of the operations that read a quantity off the model's output, under any rule for layers: the table alone."""

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest()
