"""Models that take a derivative themselves: forces of a potential, torch.func inside forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import CutError
from tests.support.odd_models import rows, seeded

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
HOWS = ("autograd", "autograd with gradients on", "grad", "vmap of grad", "vmap of jacrev")
X = rows(3, 4)


class Force(nn.Module):
    """The gradient of an energy in the coordinates, found in several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.b = how, nn.Linear(4, 6), nn.Linear(6, 1)

    def energy(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x))).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        match self.how:
            case "grad":
                return torch.func.grad(lambda z: self.energy(z).sum())(x)
            case "vmap of grad":
                return torch.func.vmap(torch.func.grad(lambda z: self.energy(z[None])[0]))(x)
            case "vmap of jacrev":
                return torch.func.vmap(torch.func.jacrev(lambda z: self.energy(z[None])[0]))(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() or self.how != "autograd"):
            x = x if x.requires_grad else x.detach().requires_grad_()
            return torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]


def force(model: Any, x: Tensor) -> Tensor:
    """The same without a derivative of autograd's."""
    return (model.b.weight[0] * (1 - torch.tanh(model.a(x)) ** 2)) @ model.a.weight


def weights(model: Any) -> Tensor:
    """What each hidden unit's slope counts for in the first number of the force."""
    return (model.b.weight[0] * model.a.weight[:, 1]).detach()


@pytest.mark.parametrize("how", HOWS)
def test_everything_at_the_input_is_as_of_the_closed_form(how: str) -> None:
    model: Any = seeded(Force(how))
    z = X.clone().requires_grad_()
    truth = torch.autograd.grad(force(model, z)[:, 1].sum(), z)[0]
    assert torch.allclose(asc.influence(model, X, of=1).values, truth, atol=1e-5)
    plain = lambda x: force(model, x)  # noqa: E731
    for over in (asc.Line(0.0, steps=8), asc.Gaussian(0.1, 4), asc.Background(X * 0.5), asc.coalitions.LeaveOneOut()):
        found, wanted = (asc.attribute(m, X, of=1, over=over).values for m in (model, plain))
        assert torch.allclose(found, wanted, atol=1e-5), over
    assert len(asc.cuts_of(model, X)) == 6


@pytest.mark.parametrize("how", HOWS[:2])
def test_a_layer_under_the_inner_derivative(how: str) -> None:
    """The energy's layer holds ``v``; the force is ``sum_j w_j (1 - tanh(v_j)^2)``, which is integrated term by term."""
    model: Any = seeded(Force(how))
    v = model.a(X).detach()
    slope = -2 * torch.tanh(v) * (1 - torch.tanh(v) ** 2) * weights(model)
    assert torch.allclose(asc.influence(model, X, of=1, at="a").values, slope, atol=1e-5)
    line = asc.attribute(model, X, of=1, at="a", over=asc.Line(0.0, steps=32, at=asc.Cut("a")))
    assert torch.allclose(line.values, -weights(model) * torch.tanh(v) ** 2, atol=1e-4)
    assert torch.allclose(asc.activation(model, X, at="a").values, v, atol=1e-6)
    removed = asc.attribute(model, X, of=1, at="a", over=asc.coalitions.LeaveOneOut())
    assert torch.allclose(removed.values, -weights(model) * torch.tanh(v) ** 2, atol=1e-5)


@pytest.mark.parametrize("how", HOWS[2:])
def test_a_layer_inside_a_transform_is_a_clear_error(how: str) -> None:
    model = seeded(Force(how))
    asks: list[Any] = [
        lambda: asc.influence(model, X, of=1, at="a"),
        lambda: asc.activation(model, X, at="a"),
        lambda: asc.attribute(model, X, of=1, at="a", over=asc.Line(0.0, steps=4)),
        lambda: asc.attribute(model, X, of=1, over=asc.Line(0.0, steps=4, at=asc.Cut("a")), at="a"),
    ]
    for ask in asks:
        with pytest.raises(CutError, match=r"inside a transform of torch\.func"):
            ask()


def test_a_place_under_our_own_vmap_is_inside_no_transform_of_the_models() -> None:
    """A model whose records meet is run under vmap: its layers are read, written and pulled back to as ever."""
    model: Any = seeded(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Tanh(), nn.Linear(6, 3)))
    found = asc.attribute(model, X, of=1, over=asc.Line(0.0, steps=8, at=asc.Cut("0")), at="0").values
    alone = asc.attribute(model, X, of=1, over=asc.Line(0.0, steps=8, at=asc.Cut("0")), at="0", chunk=1).values
    assert torch.allclose(found, alone, atol=1e-5)
