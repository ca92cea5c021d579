"""Relative attributing propagation, smoothed rectifiers, guided class activation maps."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import MethodError, RuleError
from tests.support.rescale_zoo import Fn, batch, net

DOUBLE = torch.float64
Tensor = torch.Tensor


def made(make: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().to(DOUBLE).eval()  # type: ignore[operator]


def dense(bias: bool = True) -> nn.Sequential:
    return made(lambda: nn.Sequential(nn.Linear(6, 9, bias), nn.ReLU(), nn.Linear(9, 7, bias), nn.ReLU(), nn.Linear(7, 3, bias)))


def by_the_paper(model: nn.Sequential, x: Tensor, target: int) -> Tensor:
    """One record, layer by layer: sizes of contributions at the last, credit and the same shift for all at the others."""
    values = [x]
    with torch.no_grad():
        for layer in model:
            values.append(layer(values[-1]))
    relevance = torch.zeros_like(values[-1])
    relevance[target] = values[-1][target]
    for k in (4, 2, 0):
        z = values[k][:, None] * model[k].weight.detach().t()
        if k == 4:
            relevance = (z.abs() / z.abs().sum(0) * relevance).nan_to_num(0.0).sum(1)  # where nothing is active
            continue
        up, down = z.clamp(min=0), -z.clamp(max=0)
        credit = torch.zeros(len(values[k]), dtype=DOUBLE)
        for j in range(z.shape[1]):
            if up[:, j].sum() > 0:
                credit = credit + up[:, j] / up[:, j].sum() * relevance[j]
            if (up + down)[:, j].sum() > 0:
                credit = credit + down[:, j] / (up + down)[:, j].sum() * relevance[j]
        active = credit != 0
        relevance = torch.where(active, credit - (credit.sum() - relevance.sum()) / active.sum().clamp(min=1), 0.0)
    return relevance


@pytest.mark.parametrize("bias", [True, False])
def test_relative_propagation_is_the_papers(bias):
    model, x = dense(bias), batch().flatten(1)[:, :6]
    found = asc.RAP()(model, x, of=1).values
    for i in range(len(x)):
        torch.testing.assert_close(found[i], by_the_paper(model, x[i], 1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["relu module", "max pool 1d", "gelu"])
def test_relative_propagation_adds_up_with_biases(name):
    model, x = net(name), batch()
    found = asc.RAP()(model, x, of=1)
    torch.testing.assert_close(found.values.flatten(1).sum(1), torch.as_tensor(found.explained), rtol=1e-5, atol=1e-7)
    assert (found.values < 0).any()
    assert (found.values > 0).any()


def test_relative_propagation_record_by_record():
    model, x = net("relu module"), batch(16)
    whole = asc.RAP()(model, x, of=1).values
    torch.testing.assert_close(asc.RAP()(model, x[3:4], of=1).values[0], whole[3], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(asc.RAP()(model, x, of=[asc.Unit(0), asc.Unit(1)]).values[1], whole, rtol=1e-9, atol=1e-12)


def test_relative_propagation_over_steps_and_where_rows_are_not_records():
    steps = made(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(15, 3)))
    x = torch.randn(4, 3, 4, dtype=DOUBLE)
    whole = asc.RAP()(steps, x, of=1)
    torch.testing.assert_close(asc.RAP()(steps, x[1:2], of=1).values[0], whole.values[1], rtol=1e-9, atol=1e-12)
    columns = made(lambda: Fn(lambda x, a, b: b((a.weight @ x.permute(1, 2, 0)).mean(0).T), a=nn.Linear(4, 6), b=nn.Linear(6, 3)))
    with pytest.raises(RuleError, match="records"):
        asc.RAP()(columns, x, of=1)


TURNED = {
    "transpose": lambda x, a, b: b(a(x.transpose(0, 1)).relu().mean(0)),
    "rows of steps": lambda x, a, b: b(a(x.transpose(0, 1).reshape(-1, 4)).reshape(x.shape[1], len(x), 6).relu().mean(0)),
    "product of matrices": lambda x, a, b: b((x.transpose(0, 1) @ a.weight.t().expand(x.shape[1], -1, -1) + a.bias).relu().mean(0)),
    "rows in front": lambda x, a, b: b(a(x.reshape(1, -1, 4)).reshape(len(x), -1, 6).relu().mean(1)),
}


@pytest.mark.parametrize("records", [1, 3, 4])
@pytest.mark.parametrize("spelling", TURNED)
def test_relative_propagation_where_other_axes_come_before_the_records(spelling, records):
    """Three steps: with three records their axis cannot be found by its length."""
    layers = made(lambda: nn.ModuleDict({"a": nn.Linear(4, 6), "b": nn.Linear(6, 3)}))
    plain, turned = (Fn(f, **layers) for f in (lambda x, a, b: b(a(x).relu().mean(1)), TURNED[spelling]))
    x = torch.randn(records, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    expected = asc.RAP()(plain, x, of=1).values
    torch.testing.assert_close(asc.RAP()(turned, x, of=1).values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["relu module", "relu function", "relu in place", "relu by hand"])
def test_a_smoothed_rectifier_is_a_softplus_on_the_way_back(name):
    class Smooth(torch.autograd.Function):
        """A ReLU whose derivative is that of a softplus."""

        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g * torch.sigmoid(3.0 * ctx.saved_tensors[0])

    twin, x = net("relu module"), batch()
    start = x.clone().requires_grad_()

    def forward(x: Tensor) -> Tensor:
        h = Smooth.apply(twin.layers["n"](twin.layers["a"](x)))
        h = nn.functional.max_pool2d(h, 3, 2, 1)
        h = h + Smooth.apply(twin.layers["b"](h))
        return twin.layers["head"](nn.functional.avg_pool2d(h, 2).flatten(1))

    (gradient,) = torch.autograd.grad(forward(start)[:, 1].sum(), start)
    found = asc.influence(net(name), x, of=1, by=asc.rules.BetaSmooth(3.0)).values
    torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)


def test_smoothing_goes_to_the_gradient_and_needs_rectifiers():
    model, x = net("relu module"), batch()
    sharp = asc.influence(model, x, of=1, by=asc.rules.BetaSmooth(1e9)).values
    torch.testing.assert_close(sharp, asc.influence(model, x, of=1).values, rtol=1e-6, atol=1e-9)
    with pytest.raises(RuleError, match="needs a model with a ReLU"):
        asc.influence(net("tanh"), x, of=1, by=asc.rules.BetaSmooth())
    with pytest.raises(RuleError, match="beta"):
        asc.rules.BetaSmooth(0.0)


def pictures() -> nn.Sequential:
    return made(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        )
    )  # fmt: skip


def test_guided_maps_are_captums():
    model, x = pictures(), batch()
    expected = captum.attr.GuidedGradCam(model, model[4]).attribute(x.clone(), target=1, interpolate_mode="bilinear").detach()
    found = asc.GuidedGradCam("4")(model, x, of=1)
    torch.testing.assert_close(found.values, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(asc.GuidedGradCam()(model, x, of=1).values, expected, rtol=1e-9, atol=1e-12)


def test_guided_maps_of_several_quantities_and_of_what_is_no_picture():
    model, x = pictures(), batch()
    both = asc.GuidedGradCam()(model, x, of=[asc.Unit(0), asc.Unit(1)])
    torch.testing.assert_close(both.values[1], asc.GuidedGradCam()(model, x, of=1).values)
    with pytest.raises(MethodError):
        asc.GuidedGradCam()(dense(), batch().flatten(1)[:, :6], of=1)
    with pytest.raises(RuleError, match="needs a model with a ReLU"):
        asc.GuidedGradCam()(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(DOUBLE), x, of=1)


class Cells(nn.Module):
    """The operations of ``nn.LSTM`` in the order in which PyTorch runs them: the inputs of all steps at once, then step by step."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = self.lstm
        every = nn.functional.linear(x.transpose(0, 1), own.weight_ih_l0, own.bias_ih_l0)
        h = c = x.new_zeros(len(x), own.hidden_size)
        for step in every:
            i, f, g, o = (nn.functional.linear(h, own.weight_hh_l0, own.bias_hh_l0) + step).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h


class Last(nn.Module):
    """The last step of a recurrent layer."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


def test_relative_propagation_of_an_lstm_is_that_of_its_operations():
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True).double()
    x = torch.randn(4, 5, 3, dtype=DOUBLE)
    found = asc.RAP()(Last(lstm), x).values
    torch.testing.assert_close(found, asc.RAP()(Cells(lstm), x).values, rtol=1e-9, atol=1e-12)
    alone = torch.cat([asc.RAP()(Last(lstm), x[i : i + 1]).values for i in range(4)])
    torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-12)
