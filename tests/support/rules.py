"""Rules that tests compare on the networks of :mod:`.networks`, references for those that need one, and the peers in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(x), self.wh.shape[1])
        for now in x.unbind(1):
            given = torch.nn.functional.linear(now, self.wi, self.bi).chunk(3, -1)
            own = torch.nn.functional.linear(state, self.wh, self.bh).chunk(3, -1)
            reset, update = (torch.sigmoid(given[i] + own[i]) for i in range(2))
            new = torch.tanh(given[2] + reset * own[2])
            state = new + update * (state - new)
        scores: torch.Tensor = self.head(state)
        return scores


def peer(name: str) -> tuple[Any, Any]:
    """The network in PyTorch."""
    net, args = torch_network(name)
    return (SpelledGru(net) if name == "gru" else net), args
