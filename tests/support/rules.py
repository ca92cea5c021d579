"""Rules that tests compare on the networks of :mod:`.networks`, references for those that need one, and the peers in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear

from ascribe import rules

from .networks import NAMES, inputs
from .torch_networks import torch_network

UNREFERENCED: dict[str, Any] = {
    "AttnLRP": rules.AttnLRP(),
    "CPLRP": rules.CPLRP(),
    "Libra": rules.Libra(),
    "GIM": rules.GIM(),
    "LstmLRP": rules.LstmLRP(),
    "Epsilon": rules.Epsilon(),
    "ZPlus": rules.ZPlus(),
    "AlphaBeta": rules.AlphaBeta(),
    "epsilon plus": rules.EPSILON_PLUS,
    "epsilon alpha2 beta1 flat": rules.EPSILON_ALPHA2_BETA1_FLAT,
}
OF_RELUS = {"Guided": rules.Guided(), "Deconv": rules.Deconv(), "BetaSmooth": rules.BetaSmooth(10.0)}
WITH_RELUS = ("mlp", "cnn", "two_inputs", "embedding")
AT = {"embedding": {"at": "table"}}
RNG = np.random.default_rng(5)
ROWS = {name: [RNG.normal(size=(2, *a.shape[1:])) for a in inputs(name)] for name in NAMES if name != "embedding"}
"""References without ties."""


class SpelledGru(torch.nn.Module):
    """The GRU step by step. PyTorch's own keeps all gates in one array, so that a constant in it counts as a value on the tape."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.head, given = net.head, net.gru
        self.wi, self.wh, self.bi, self.bh = given.weight_ih_l0, given.weight_hh_l0, given.bias_ih_l0, given.bias_hh_l0

    def gates(self, now: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
        """What the input and the state give to the reset gate, the update gate and the new state: one product for all three."""
        return linear(now, self.wi, self.bi).chunk(3, -1), linear(state, self.wh, self.bh).chunk(3, -1)

    def mixed(self, update: torch.Tensor, new: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The next state."""
        return new + update * (state - new)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(x), self.wh.shape[1], dtype=x.dtype)
        for now in x.unbind(1):
            given, own = self.gates(now, state)
            reset, update = (torch.sigmoid(given[i] + own[i]) for i in range(2))
            new = torch.tanh(given[2] + reset * own[2])
            state = self.mixed(update, new, state)
        scores: torch.Tensor = self.head(state)
        return scores


class KerasGru(SpelledGru):
    """As Keras computes it: the next state is a sum of two products, in which rules share relevance otherwise."""

    def mixed(self, update: torch.Tensor, new: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return update * state + (1 - update) * new


class KerasGruAtOnce(KerasGru):
    """As Keras computes it on PyTorch and JAX: one product for the inputs of all steps, which a rule sees as a single layer."""

    def gates(self, now: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
        return now.chunk(3, -1), linear(state, self.wh, self.bh).chunk(3, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(linear(x, self.wi, self.bi))


class LinenGru(KerasGru):
    """As Flax computes it: as Keras does, with a product for each gate, and one bias for both of its products."""

    def gates(self, now: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
        wi, wh, bi, bh = (t.chunk(3) for t in (self.wi, self.wh, self.bi, self.bh))
        given = [linear(now, wi[0], bi[0] + bh[0]), linear(now, wi[1], bi[1] + bh[1]), linear(now, wi[2], bi[2])]
        return given, [linear(state, wh[0]), linear(state, wh[1]), linear(state, wh[2], bh[2])]


class EquinoxGru(SpelledGru):
    """As Equinox computes it: one bias for both products of a gate, that of the new state's second product added afterwards."""

    def gates(self, now: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
        (_, _, new), width = self.bh.chunk(3), self.wh.shape[1]
        shared = torch.cat([self.bh[: 2 * width], torch.zeros_like(new)])
        own = linear(state, self.wh).chunk(3, -1)
        return linear(now, self.wi, self.bi + shared).chunk(3, -1), (own[0], own[1], own[2] + new)


GRUS: dict[str, type[SpelledGru]] = {"keras": KerasGru, "keras at once": KerasGruAtOnce, "linen": LinenGru, "equinox": EquinoxGru}
"""By the family of networks; the others have PyTorch's formula."""


def peer(name: str, family: str = "function", double: bool = False) -> tuple[Any, Any]:
    """The network in PyTorch, by the formula that a family of networks has."""
    net, args = torch_network(name, double)
    return (GRUS.get(family, SpelledGru)(net) if name == "gru" else net), args
