"""FullGrad: the parts against closed forms, their sum against the quantity, the map against the paper's steps written out."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.backends.protocol import Bias
from ascribe.backends.torch.model.biases import bends, bias_of, read_biases
from ascribe.backends.torch.model.modules import host_of
from ascribe.errors import AscribeWarning, MethodError
from ascribe.methods.fullgrad import FullGrad, FullGradDecomposition

Module = nn.Module


def drawn(model: Module, seed: int = 0) -> Module:
    """In double precision and evaluation mode, parameters and stored statistics drawn."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=torch.double)

    for module in model.double().eval().modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor.is_floating_point():
                tensor.data.copy_(draw(tensor).abs() + 0.1 if name == "running_var" else draw(tensor) * 0.5)
    return model


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def network() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 3, bias=False), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)),
    )


def check(a: Any, name: str) -> Any:
    return next(c for c in a.checks if c.name == name)


# Parts


def test_one_layer_is_its_closed_form() -> None:
    model, x = drawn(nn.Sequential(nn.Linear(4, 3))), pictures(5, 4)
    a = FullGradDecomposition()(model, x, of=2)
    layer = model[0]
    torch.testing.assert_close(a.values["INPUT"], x * layer.weight[2].detach())
    torch.testing.assert_close(a.values["0"], torch.eye(3, dtype=torch.double)[2] * layer.bias.detach().expand(5, 3))


def test_two_layers_are_their_closed_form() -> None:
    model, x = drawn(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))), pictures(5, 4)
    a = FullGradDecomposition()(model, x, of=1)
    first, last = model[0], model[2]
    gates = (first(x) > 0).double() * last.weight[1].detach()
    torch.testing.assert_close(a.values["INPUT"], x * (gates @ first.weight.detach()))
    torch.testing.assert_close(a.values["0"], gates * first.bias.detach())


@given(
    st.integers(0, 10**6),
    st.lists(st.sampled_from(["conv", "norm", "relu", "leaky", "max", "mean", "drop"]), min_size=1, max_size=7),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_on_piecewise_linear_networks_the_parts_are_the_quantity(seed: int, layers: list[str], bias: bool) -> None:
    made: dict[str, Any] = {
        "conv": lambda: nn.Conv2d(3, 3, 3, padding=1, bias=bias),
        "norm": lambda: nn.BatchNorm2d(3, affine=bias),
        "relu": nn.ReLU,
        "leaky": nn.LeakyReLU,
        "max": lambda: nn.MaxPool2d(2, 1),
        "mean": lambda: nn.AvgPool2d(2, 1),
        "drop": nn.Dropout2d,
    }
    body = nn.Sequential(*(made[name]() for name in layers))
    x = pictures(3, 3, 9, 10, seed=seed)
    model = drawn(nn.Sequential(body, nn.Flatten(), nn.Linear(body(x.float()).flatten(1).shape[1], 4)), seed)
    a = FullGradDecomposition()(model, x, of=[0, 3, 1])
    np.testing.assert_allclose(a.gap.absolute, 0, atol=1e-9 * float(sum(part.abs().sum() for part in a.values.values())))
    assert check(a, "completeness").status == "ok"


def test_the_sum_is_that_of_all_parts() -> None:
    a = FullGradDecomposition()(drawn(network()), pictures(4, 3, 9, 13), of=[0, 1, 2, 3])
    assert list(a.values) == ["INPUT", "0", "1", "8"]
    total = sum(part.flatten(1).sum(1) for part in a.values.values())
    np.testing.assert_allclose(total.numpy(), a.explained, rtol=1e-10)
    np.testing.assert_allclose(a.gap.absolute, total.numpy() - a.explained, atol=1e-12)


def test_batch_normalisation_is_worth_the_convolution_it_can_be_folded_into() -> None:
    """Folding moves the norm's implicit bias into the convolution: what both contribute together stays."""
    model = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 6, 5)))
    x = pictures(2, 3, 6, 8)
    folded = nn.Sequential(nn.utils.fusion.fuse_conv_bn_eval(model[0], model[1]), *model[2:])
    apart, together = FullGradDecomposition()(model, x, of=3), FullGradDecomposition()(folded, x, of=3)
    torch.testing.assert_close(apart.values["INPUT"], together.values["INPUT"])
    torch.testing.assert_close(apart.values["0"] + apart.values["1"], together.values["0"])


def test_a_layer_used_twice_has_a_part_for_each_use() -> None:
    class Shared(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.layer(torch.relu(self.layer(x)))))

    a = FullGradDecomposition()(drawn(Shared()), pictures(3, 4), of=1)
    assert list(a.values) == ["INPUT", "layer, use 0", "layer, use 1", "head"]
    np.testing.assert_allclose(a.gap.relative, 0, atol=1e-9)


def test_several_inputs_and_quantities() -> None:
    class Two(Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

        def forward(self, x: torch.Tensor, *, y: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.left(x)).mean((2, 3)) + torch.relu(self.right(y))

    model, x, y = drawn(Two()), pictures(3, 3, 6, 8), pictures(3, 5)
    both = FullGradDecomposition()(model, x, y=y, of=[asc.Unit(0), asc.Unit(2)])
    assert both.gap.relative.shape == (2, 3)
    np.testing.assert_allclose(both.gap.relative, 0, atol=1e-9)
    alone = FullGradDecomposition()(model, x, y=y, of=2)
    torch.testing.assert_close(both.values["left"][1], alone.values["left"])
    assert FullGrad()(model, x, y=y, of=[asc.Unit(0), asc.Unit(2)]).values.shape == (2, 3, 1, 6, 8)


def test_layers_that_bend_are_named_when_the_sum_fails() -> None:
    model = drawn(nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3)))
    with pytest.warns(AscribeWarning, match="completeness"):
        a = FullGradDecomposition()(model, pictures(3, 4), of=1)
    assert check(a, "completeness").status == "fail"
    assert "1 (GELU), 2 (LayerNorm)" in check(a, "completeness").detail
    assert check(a, "completeness").records == (0, 1, 2)


def test_what_is_added_outside_layers_is_noticed() -> None:
    class Shifted(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + 7.0

    with pytest.warns(AscribeWarning, match="outside layers"):
        a = FullGradDecomposition()(drawn(Shifted()), pictures(3, 4), of=1)
    np.testing.assert_allclose(a.gap.absolute, -7.0)


def test_in_training_mode_the_parts_are_those_of_evaluation() -> None:
    model, x = drawn(network()), pictures(2, 3, 9, 13)
    want = FullGradDecomposition()(model, x, of=1)
    with pytest.warns(AscribeWarning, match="training mode"):
        got = FullGradDecomposition()(model.train(), x, of=1)
    torch.testing.assert_close(got.values["1"], want.values["1"])


# The map


def slow_map(a: Any, size: tuple[int, int]) -> torch.Tensor:
    """The paper's equation 4 and the authors' psi, step by step."""
    total = 0
    for part in a.values.values():
        if part.ndim == 4:
            maps = part.abs()
            low, high = (getattr(maps.flatten(1), f)(1).values[:, None, None, None] for f in ("min", "max"))
            scaled = (maps - low) / (high - low)
            total = total + functional.interpolate(scaled, size, mode="bilinear", align_corners=False).sum(1, keepdim=True)
    return total


def test_the_map_is_the_papers() -> None:
    model, x = drawn(network()), pictures(4, 3, 9, 13)
    a = FullGrad()(model, x, of=2)
    torch.testing.assert_close(a.values, slow_map(FullGradDecomposition()(model, x, of=2), (9, 13)))
    torch.testing.assert_close(a.record, x)
    np.testing.assert_allclose(a.gap.relative, 0, atol=1e-9)
    assert check(a, "parts").detail == "8: no spatial positions, not in the map"


def test_channels_last_parts_are_laid_out() -> None:
    class Last(Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mix, self.head = nn.Conv2d(3, 4, 2, stride=2), nn.Linear(4, 6), nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.mix(self.conv(x).permute(0, 2, 3, 1))).mean((1, 2)))

    model, x = drawn(Last()), pictures(2, 3, 8, 12)
    parts = FullGradDecomposition()(model, x, of=2)
    parts.values["mix"] = parts.values["mix"].permute(0, 3, 1, 2)
    torch.testing.assert_close(FullGrad()(model, x, of=2).values, slow_map(parts, (8, 12)))


def test_what_has_no_picture_is_refused() -> None:
    table = drawn(nn.Sequential(nn.Linear(4, 3)))
    with pytest.raises(MethodError, match="FullGradDecomposition"):
        FullGrad()(table, pictures(2, 4))
    with pytest.raises(MethodError, match="LayerCam"):
        FullGradDecomposition()(table, pictures(2, 4), at="0")


def test_frameworks_without_a_way_to_read_biases_are_refused() -> None:
    network = Mlp([np.ones((4, 3))], [np.zeros(3)])
    with pytest.raises(MethodError, match="needs the biases of layers"):
        FullGradDecomposition()(network, np.ones((2, 4)), of=1)


# Biases


def test_biases_know_their_axis() -> None:
    conv, linear, norm = (drawn(m) for m in (nn.ConvTranspose2d(2, 3, 2), nn.Linear(4, 3), nn.BatchNorm1d(3)))
    zero = torch.zeros(1, 2, 4, 4, dtype=torch.double)
    for module, x, axis in [
        (conv, zero, 1),
        (linear, torch.zeros(1, 5, 4, dtype=torch.double), -1),
        (norm, zero[:, :, 0, :3].mT[:, :3], 1),
    ]:
        bias = bias_of(module)
        assert isinstance(bias, Bias)
        assert bias.axis == axis
        shape = [1] * x.ndim
        shape[axis] = -1
        out = module(torch.zeros_like(x)).detach()
        torch.testing.assert_close(out, bias.values.reshape(shape).expand_as(out))


def test_layers_without_bias_add_nothing() -> None:
    plain = [
        nn.Linear(4, 3, bias=False),
        nn.Conv2d(2, 3, 2, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Sequential(nn.ReLU()),
    ]
    assert all(bias_of(m) is None and not bends(m) for m in plain)
    bent = [nn.GELU(), nn.LayerNorm(3), nn.Softmax(1), nn.BatchNorm2d(3, track_running_stats=False), nn.LSTM(3, 3), nn.ReLU6()]
    assert all(bias_of(m) is None and bends(m) for m in bent)


def test_biases_are_read_by_layer_name() -> None:
    model = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()))
    biases, bent = read_biases(host_of(model), ["0", "1"])
    torch.testing.assert_close(biases["0"].values, model[0].bias.detach())
    assert bent == ["1 (GELU)"]
    assert list(biases) == ["0"]


@pytest.mark.parametrize("method", [FullGrad, FullGradDecomposition])
def test_methods_are_values(method: Any) -> None:
    assert eval(repr(method()), {method.__name__: method}) == method() == pickle.loads(pickle.dumps(method()))
    assert FullGrad() != FullGradDecomposition()
    a = method()(drawn(network()), pictures(1, 3, 9, 13), of=asc.Unit(2))
    assert a.method == f"{method.__name__}()(model, *inputs, of=Unit(2))"
