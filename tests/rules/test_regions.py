"""Element-wise expressions: where they begin, and that a detached value on the way cuts nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ascribe as asc
from tests.support.small_models import rows, seeded

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu by hand": lambda h: 0.5 * h * (1 + torch.tanh(0.7978845608 * (h + 0.044715 * h**3))),
    "hard-swish by hand": lambda h: h * (h + 3).clamp(0, 6) / 6,
    "quick gelu": lambda h: h * torch.sigmoid(1.702 * h),
    "silu by hand": lambda h: h * torch.sigmoid(h),
    "sum of two": lambda h: F.silu(2 * h) + F.relu(h + h),
}
RULES = (asc.rules.AttnLRP(), asc.rules.CPLRP(), asc.rules.Epsilon(), asc.rules.ZPlus(), asc.rules.Gamma(0.25), asc.rules.Rescale())


class Biased(nn.Module):
    """A layer whose bias is added by the product, or by itself after it."""

    def __init__(self, activation: Callable[[Tensor], Tensor], apart: bool) -> None:
        super().__init__()
        self.activation, self.apart = activation, apart
        self.weight, self.bias = nn.Parameter(torch.randn(5, 6).double()), nn.Parameter(torch.randn(6).double())
        self.last = nn.Linear(6, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        h = x @ self.weight + self.bias if self.apart else torch.addmm(self.bias, x, self.weight)
        return self.last(self.activation(h))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_bias_added_by_itself_is_a_bias(name: str, rule: asc.AnyRule) -> None:
    one, two = (seeded(lambda: Biased(ACTIVATIONS[name], apart)) for apart in (False, True))  # noqa: B023
    over = asc.Reference(0.2) if rule.compares else asc.Point()
    found = [asc.attribute(m, rows(3, 5).double(), of=1, by=rule, over=over).values for m in (one, two)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


HEADS = (nn.Sigmoid, nn.Tanh, nn.Softplus, nn.GELU, nn.Identity)


@pytest.mark.parametrize("head", HEADS)
def test_guided_backpropagation_goes_through_the_last_activation(head: type[nn.Module]) -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2), head()).double())
    x = rows(3, 5).double()
    found = asc.influence(model, x, of=1, by=asc.rules.Guided()).values
    h = model[0](x)
    after = h.detach().relu().requires_grad_()
    (g,) = torch.autograd.grad(model[3](model[2](after))[:, 1].sum(), after)
    truth = (g.clamp(min=0) * (h > 0)) @ model[0].weight
    torch.testing.assert_close(found, truth.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("head", HEADS)
def test_where_record_and_reference_meet_multipliers_are_the_gradient(head: type[nn.Module]) -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2), head()).double())
    x = rows(3, 5).double()
    found = asc.influence(model, x, of=1, by=asc.rules.Rescale(), over=asc.Reference(x)).values
    at = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(model(at)[:, 1].sum(), at)
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", [torch.tanh, F.gelu, F.silu, F.elu, torch.sin])
def test_at_zero_an_activation_passes_on_its_derivative(activation: Callable[[Tensor], Tensor]) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3, bias=False).double()
            with torch.no_grad():
                self.layer.weight[0] = torch.tensor([1.0, -1.0, 0.0, 0.0])

        def forward(self, x: Tensor) -> Tensor:
            return activation(self.layer(x))[:, :1]

    model, x = Plain(), torch.ones(2, 4).double()
    assert not model.layer(x)[:, 0].any()
    found = asc.attribute(model, x, of=0, by=asc.rules.AttnLRP()).values
    at = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(model(at).sum(), at)
    torch.testing.assert_close(found, g * x, rtol=1e-9, atol=1e-12)
