"""The formulas against the papers' sums written out, against exact properties, in NumPy and in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ascribe.methods.cam import formulas as cam_maps

RECORDS, CHANNELS, HEIGHT, WIDTH = 3, 4, 2, 5
FORMULAS = ["grad_cam", "grad_cam_plus_plus", "x_grad_cam", "hires_cam", "layer_cam", "eigen_cam"]


def draw(seed: int, *, positive: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """An activation (with dead positions, like after a ReLU) and a gradient (with zeros)."""
    rng = np.random.default_rng(seed)
    activation, gradient = rng.normal(size=(2, RECORDS, CHANNELS, HEIGHT, WIDTH))
    gradient[rng.random(gradient.shape) < 0.2] = 0
    return np.maximum(activation, 0) if positive else activation, gradient


def places() -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(HEIGHT) for j in range(WIDTH))


def slow_grad_cam(a: Any, g: Any, k: int) -> float:
    return sum(g[k, i, j] for i, j in places()) / (HEIGHT * WIDTH)


def slow_grad_cam_plus_plus(a: Any, g: Any, k: int) -> float:
    weight = 0.0
    for i, j in places():
        below = 2 * g[k, i, j] ** 2 + sum(a[k, p, q] for p, q in places()) * g[k, i, j] ** 3
        alpha = g[k, i, j] ** 2 / below if below != 0 else 0.0
        weight += alpha * max(g[k, i, j], 0.0)
    return weight


def slow_x_grad_cam(a: Any, g: Any, k: int) -> float:
    total = sum(a[k, i, j] for i, j in places())
    return sum(a[k, i, j] / total * g[k, i, j] for i, j in places())


WEIGHTED: dict[str, Callable[[Any, Any, int], float]] = {
    "grad_cam": slow_grad_cam,
    "grad_cam_plus_plus": slow_grad_cam_plus_plus,
    "x_grad_cam": slow_x_grad_cam,
}
WEIGHED_BY_POSITION: dict[str, Callable[[float], float]] = {"hires_cam": lambda g: g, "layer_cam": lambda g: max(g, 0.0)}


@pytest.fixture(params=["numpy", "torch"])
def native(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Any]:
    return np.asarray if request.param == "numpy" else torch.as_tensor


def mapped(name: str, activation: Any, gradient: Any) -> Any:
    return cam_maps.compute_map(getattr(cam_maps, name), activation, gradient)


@pytest.mark.parametrize("name", WEIGHTED)
def test_channel_weights_are_the_papers(name: str, native: Callable[[np.ndarray], Any]) -> None:
    a, g = draw(0)
    got = np.asarray(mapped(name, native(a), native(g)))
    for n in range(RECORDS):
        weights = [WEIGHTED[name](a[n], g[n], k) for k in range(CHANNELS)]
        for i, j in places():
            want = sum(weights[k] * a[n, k, i, j] for k in range(CHANNELS))
            assert math.isclose(got[n, 0, i, j], want, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("name", WEIGHED_BY_POSITION)
def test_position_weights_are_the_papers(name: str, native: Callable[[np.ndarray], Any]) -> None:
    a, g = draw(1)
    got = np.asarray(mapped(name, native(a), native(g)))
    for n in range(RECORDS):
        for i, j in places():
            want = sum(WEIGHED_BY_POSITION[name](g[n, k, i, j]) * a[n, k, i, j] for k in range(CHANNELS))
            assert math.isclose(got[n, 0, i, j], want, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("positive", [True, False])
def test_eigen_cam_is_the_projection_on_the_strongest_eigenvector(positive: bool, native: Callable[[np.ndarray], Any]) -> None:
    a, _ = draw(2, positive=positive)
    got = np.asarray(mapped("eigen_cam", native(a), native(np.zeros_like(a))))[:, 0]
    for n in range(RECORDS):
        matrix = a[n].reshape(CHANNELS, -1).T
        values, vectors = np.linalg.eigh(matrix.T @ matrix)  # another route to the right singular vectors
        want = (matrix @ vectors[:, values.argmax()]).reshape(HEIGHT, WIDTH)
        np.testing.assert_allclose(abs(got[n]), abs(want), rtol=1e-8, atol=1e-10)
        assert abs(got[n] * want).sum() == pytest.approx(abs((got[n] * want).sum()))  # one sign for the whole map
        assert (got[n] * a[n].mean(0)).sum() > 0
    if positive:
        assert got.min() >= -1e-12


def test_eigen_cam_tells_broken_records_from_good_ones() -> None:
    a, g = draw(3)
    whole = mapped("eigen_cam", a, g)
    a[1, 0, 0, 0] = np.nan
    broken = mapped("eigen_cam", a, g)
    assert np.isnan(broken[1]).all()
    np.testing.assert_allclose(broken[[0, 2]], whole[[0, 2]], rtol=1e-12)


class Pooled:
    """Global average pooling and a linear layer on the activations: the network that CAM (Zhou et al. 2016) was made for."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights, self.bias = rng.normal(size=CHANNELS), rng.normal()
        self.activation = np.maximum(rng.normal(size=(RECORDS, CHANNELS, HEIGHT, WIDTH)), 0)
        per_position = self.weights[None, :, None, None] / (HEIGHT * WIDTH)
        self.gradient = np.broadcast_to(per_position, self.activation.shape).copy()

    def logit(self, activation: np.ndarray) -> Any:
        return activation.mean((2, 3)) @ self.weights + self.bias


def test_grad_cam_is_cam_on_a_pooled_linear_network() -> None:
    net = Pooled(4)
    cam = np.einsum("k,nkij->nij", net.weights, net.activation)
    np.testing.assert_allclose(mapped("grad_cam", net.activation, net.gradient)[:, 0] * HEIGHT * WIDTH, cam, rtol=1e-12)


@pytest.mark.parametrize("name", ["grad_cam", "x_grad_cam", "hires_cam"])
def test_maps_sum_to_the_logit_less_its_bias_on_a_pooled_linear_network(name: str) -> None:
    net = Pooled(5)
    total = mapped(name, net.activation, net.gradient).sum((1, 2, 3))
    np.testing.assert_allclose(total, net.logit(net.activation) - net.bias, rtol=1e-12)


def test_x_grad_cam_satisfies_sensitivity() -> None:
    """Each channel's map sums to what the score loses without that channel (Fu et al. 2020, equation 3)."""
    net = Pooled(6)
    for k in range(CHANNELS):
        without = net.activation.copy()
        without[:, k] = 0
        alone = slice(k, k + 1)
        total = mapped("x_grad_cam", net.activation[:, alone], net.gradient[:, alone]).sum((1, 2, 3))
        np.testing.assert_allclose(total, net.logit(net.activation) - net.logit(without), rtol=1e-9, atol=1e-12)


def test_x_grad_cam_conserves_activation_times_gradient() -> None:
    a, g = draw(7)
    np.testing.assert_allclose(mapped("x_grad_cam", a, g).sum((1, 2, 3)), (a * g).sum((1, 2, 3)), rtol=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
def test_dead_activations_give_zeros(name: str, native: Callable[[np.ndarray], Any]) -> None:
    nothing = np.zeros((2, 3, 2, 2))
    np.testing.assert_array_equal(np.asarray(mapped(name, native(nothing), native(nothing + 1))), np.zeros((2, 1, 2, 2)))


@pytest.mark.parametrize("name", FORMULAS)
def test_records_do_not_see_each_other(name: str) -> None:
    a, g = draw(8)
    alone = [mapped(name, a[n : n + 1], g[n : n + 1]) for n in range(RECORDS)]
    np.testing.assert_allclose(mapped(name, a, g), np.concatenate(alone), rtol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_permuted_positions_permute_the_map(name: str) -> None:
    a, g = draw(9)
    order = np.random.default_rng(0).permutation(WIDTH)
    np.testing.assert_allclose(mapped(name, a[..., order], g[..., order]), mapped(name, a, g)[..., order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_several_quantities_stay_apart(name: str, native: Callable[[np.ndarray], Any]) -> None:
    a, g = draw(10)
    both = np.asarray(mapped(name, native(a), native(np.stack([g, -2 * g]))))
    assert both.shape == (2, RECORDS, 1, HEIGHT, WIDTH)
    np.testing.assert_allclose(both[0], mapped(name, a, g), rtol=1e-12)
    np.testing.assert_allclose(both[1], mapped(name, a, -2 * g), rtol=1e-12)


@pytest.mark.parametrize("space", [(6,), (2, 3, 2)])
def test_series_and_volumes_have_maps_too(space: tuple[int, ...]) -> None:
    rng = np.random.default_rng(11)
    a, g = rng.normal(size=(2, 2, 3, *space))
    want = np.einsum("nk,nk...->n...", g.reshape(2, 3, -1).mean(2), a)
    np.testing.assert_allclose(mapped("grad_cam", a, g)[:, 0], want, rtol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_half_precision_is_summed_in_single_precision(name: str) -> None:
    a, g = (torch.as_tensor(x * 300).half() for x in draw(12))
    got = mapped(name, a, g)
    want = mapped(name, a.double(), g.double())
    assert got.dtype == torch.float16
    representable = abs(want) < 6e4
    assert representable.any()
    torch.testing.assert_close(got[representable].double(), want[representable], rtol=2e-3, atol=0.3)


def test_grad_cam_plus_plus_survives_gradients_whose_cube_underflows() -> None:
    a, g = draw(13)
    tiny = mapped("grad_cam_plus_plus", a.astype(np.float32), (g * 1e-20).astype(np.float32))
    np.testing.assert_allclose(tiny[:, 0], np.einsum("nkij,nk->nij", a, np.maximum(g, 0).sum((2, 3)) / 2 * 1e-20), rtol=1e-4)


def test_rescaled_is_between_zero_and_one_in_each_record(native: Callable[[np.ndarray], Any]) -> None:
    _, g = draw(14)
    g[1] = 3.0
    got = np.asarray(cam_maps.rescale_sizes(native(g)))
    for n in (0, 2):
        size = abs(g[n])
        np.testing.assert_allclose(got[n], (size - size.min()) / (size.max() - size.min()), rtol=1e-12)
    np.testing.assert_array_equal(got[1], np.zeros_like(g[1]))
