"""What a quantity of several tensors is given: the parts as the layer returned them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from tests.support.odd_models import rows, seeded, table

Tensor = torch.Tensor


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two results agree up to what sums in another order differ by in single precision."""
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(b.abs().max()))))


class Recurrent(nn.Module):
    """A recurrent network of two layers; its states have the layers on their first axis, and the records on their second."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 5, 2, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.lstm(x)[0][:, -1]))


STATES: dict[str, Callable[[Any], Tensor]] = {
    "a state": lambda held: held[1][0][1][:, 1],
    "a state, as a sum": lambda held: held[1][1][0, :, 2:].sum(1),
    "a state and the steps": lambda held: held[0][:, -1, 2] + held[1][0][0][:, 1] * held[1][1][1][:, 3],
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("records", [1, 2, 3, 5])  # as many as layers, among others
def test_a_quantity_of_several_tensors_sees_them_as_the_layer_gave_them(records: int, name: str) -> None:
    net, x, of = seeded(Recurrent()), rows(records, 6, 4), STATES[name]
    quantity = asc.quantities.Custom(of, on=asc.Cut("lstm"))
    leaf = x.clone().requires_grad_()
    value = of(net.lstm(leaf))
    (expected,) = torch.autograd.grad(value.sum(), leaf)
    found = asc.influence(net, x, of=quantity)
    assert close(found.values, expected)
    assert found.explained == pytest.approx(value.detach().numpy())
    start = of(net.lstm(torch.zeros(1, 6, 4, dtype=x.dtype))).detach()
    line = asc.attribute(net, x, of=quantity, over=asc.Line(0.0, steps=64))
    assert close(line.values.flatten(1).sum(1), (value - start).detach())
    for rule in (asc.rules.Rescale(), asc.rules.Gamma(0.0)):
        assert asc.attribute(net, x, of=quantity, by=rule).explained == pytest.approx(value.detach().numpy())


def test_a_part_that_is_the_same_for_all_records_is_as_it_was_given() -> None:
    class Sides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.scale = table(), nn.Parameter(torch.arange(14.0).reshape(7, 2))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.net(x), self.scale

    model = seeded(Sides())
    for records in (1, 3):
        x = rows(records, 4)
        found = asc.influence(model, x, of=lambda out: out[0][:, 2] * out[1][3, 1])
        assert close(found.values, model.scale[3, 1].detach() * asc.influence(model.net, x, of=2).values)
