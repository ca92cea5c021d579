"""Methods on the seven networks as modules of TensorFlow: the numbers are those of PyTorch on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.metrics import Infidelity
from tests.support.networks import NAMES, weights
from tests.support.tensorflow_networks import tensorflow_network
from tests.support.torch_networks import torch_network

CLOSE = 1e-5
HIDDEN = {
    "mlp": "second", "cnn": "conv2", "residual": "norm", "attention": "out", "gru": "cell", "two_inputs": "left", "embedding": "hidden",
}  # fmt: skip
GRADIENTS: Mapping[str, Callable[[], Any]] = {
    "Saliency": asc.Saliency,
    "InputXGradient": asc.InputXGradient,
    "IntegratedGradients": lambda: asc.IntegratedGradients(0.0, steps=8),
    "SmoothGrad": lambda: asc.SmoothGrad(3),
    "SquareGrad": lambda: asc.SquareGrad(3),
    "VarGrad": lambda: asc.VarGrad(3),
}
REMOVALS: Mapping[str, Callable[[], Any]] = {
    "FeatureAblation": lambda: asc.FeatureAblation(by=asc.Replace(0.0)),
    "ShapleySampling": lambda: asc.ShapleySampling(64, by=0.0),
    "KernelShap": lambda: asc.KernelShap(64, by=0.0),
    "Lime": lambda: asc.Lime(64, by=0.0),
    "FeaturePermutation": asc.FeaturePermutation,
}


def arrays(result: Any) -> list[np.ndarray]:
    """The values of a result as NumPy."""
    values = result.values if isinstance(result.values, tuple) else (result.values,)
    return [as_numpy(value) for value in values]


def compare(found: Any, truth: Any) -> None:
    """Checks that two results have the same numbers."""
    for a, b in zip(arrays(found), arrays(truth), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=CLOSE, atol=CLOSE * np.abs(b).max())


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> tuple[str, Any, Any]:
    return request.param, tensorflow_network(request.param), torch_network(request.param)


@pytest.mark.parametrize("method", GRADIENTS)
def test_gradients_are_those_of_pytorch(pair: Any, method: str) -> None:
    _, (net, x), (peer, y) = pair
    explain = GRADIENTS[method]()
    found = explain(net, *x, of=1, seed=3)
    compare(found, explain(peer, *y, of=1, seed=3))
    assert isinstance(found.values[0] if isinstance(found.values, tuple) else found.values, tf.Tensor)


@pytest.mark.parametrize("method", ["IntegratedGradients", "Conductance", "InternalInfluence", "InputXGradient", "LayerActivation"])
def test_layers_are_those_of_pytorch(pair: Any, method: str) -> None:
    name, (net, x), (peer, y) = pair
    if name == "gru":
        pytest.skip("PyTorch's GRU has no cells")
    explain = getattr(asc, method)()
    layer = HIDDEN[name]
    found, truth = (explain(m, *a, at=layer, **({} if method == "LayerActivation" else {"of": 1})) for m, a in ((net, x), (peer, y)))
    if name == "cnn":  # the layer's own layout
        found_values, truth_values = arrays(found)[0], np.moveaxis(arrays(truth)[0], 1, -1)
        np.testing.assert_allclose(found_values, truth_values, rtol=CLOSE, atol=CLOSE * np.abs(truth_values).max())
    else:
        compare(found, truth)


@pytest.mark.parametrize("method", REMOVALS)
def test_removal_is_that_of_pytorch(pair: Any, method: str) -> None:
    name, (net, x), (peer, y) = pair
    if name in ("cnn", "attention"):
        pytest.skip("windows, below, are enough for many features")
    by: Any = {"by": asc.MaskToken(0)} if name == "embedding" else {}
    explain = getattr(asc, method)(**by) if by and method != "FeaturePermutation" else REMOVALS[method]()
    compare(explain(net, *x, of=1, seed=3), explain(peer, *y, of=1, seed=3))


def test_backgrounds_are_rows_of_tensorflow() -> None:
    (net, x), (peer, y) = tensorflow_network("residual"), torch_network("residual")
    found = asc.ExpectedGradients(x[0] * 2, 4)(net, *x, of=1, seed=3)
    compare(found, asc.ExpectedGradients(y[0] * 2, 4)(peer, *y, of=1, seed=3))
    found = asc.ShapleyExact(by=asc.Resample(x[0]))(net, *x, of=1, seed=3)
    compare(found, asc.ShapleyExact(by=asc.Resample(y[0]))(peer, *y, of=1, seed=3))


def test_images_by_windows_and_masks() -> None:
    (net, x), (peer, y) = tensorflow_network("cnn"), torch_network("cnn")
    for explain in (asc.Occlusion(4, 4, by=0.0), asc.Rise(budget=32, by=0.0)):
        compare(explain(net, *x, of=1, seed=3), explain(peer, *y, of=1, seed=3))


@pytest.mark.parametrize(
    "method", ["GradCam", "GradCamPlusPlus", "HiResCam", "LayerCam", "XGradCam", "EigenCam", "ScoreCam", "AblationCam"]
)
def test_class_activation_maps(method: str) -> None:
    (net, x), (peer, y) = tensorflow_network("cnn"), torch_network("cnn")
    found = getattr(asc, method)()(net, *x, of=1, at="conv2")
    compare(found, getattr(asc, method)()(peer, *y, of=1, at="conv2"))
    assert isinstance(found.values, tf.Tensor)


def test_images_with_channels_last() -> None:
    class Last(type(tensorflow_network("cnn")[0])):  # type: ignore[misc]
        channels_first = False

    (net, x), last = tensorflow_network("cnn"), Last({k: w.astype(np.float32) for k, w in weights("cnn").items()})
    moved = tf.transpose(x[0], [0, 2, 3, 1])
    for explain, more in ((asc.GradCam(), {"at": "conv2"}), (asc.Occlusion(4, 4, by=0.0), {})):
        found, truth = arrays(explain(last, moved, of=1, **more))[0], arrays(explain(net, *x, of=1, **more))[0]
        np.testing.assert_allclose(found, np.moveaxis(truth, 1, -1), rtol=CLOSE, atol=CLOSE)


def test_metrics_and_results() -> None:
    (net, x), (peer, y) = tensorflow_network("mlp"), torch_network("mlp")
    found, truth = (asc.IntegratedGradients(0.0, steps=8)(m, *a, of=1) for m, a in ((net, x), (peer, y)))
    a, b = (Infidelity(normalize=True)(r, m, *args, of=1, seed=3) for m, r, args in ((net, found, x), (peer, truth, y)))
    np.testing.assert_allclose(a.values, b.values, rtol=1e-3, atol=1e-7)
    assert found.to_pandas().shape == truth.to_pandas().shape
    assert np.abs(arrays(found - found)[0]).max() == 0


def test_quantities_are_those_of_pytorch() -> None:
    (net, x), (peer, y) = tensorflow_network("mlp"), torch_network("mlp")
    for of in (
        None, [0, 1, 2, 1], asc.Contrast(0, 2), asc.Prob(1), asc.LogProb(2), asc.Total(), asc.Threshold(0.1), asc.Unit(2, on="second"),
        lambda y: y[:, 0] ** 2,
    ):  # fmt: skip
        more = {} if of is None else {"of": of}
        compare(asc.attribute(net, *x, over=asc.Line(0.0, steps=8), **more), asc.attribute(peer, *y, over=asc.Line(0.0, steps=8), **more))


def test_double_precision_stays() -> None:
    (net, x), (peer, y) = tensorflow_network("residual", True), torch_network("residual", True)
    found, truth = (asc.IntegratedGradients(0.0, steps=8)(m, *a, of=1) for m, a in ((net, x), (peer, y)))
    assert arrays(found)[0].dtype == np.float64
    np.testing.assert_allclose(arrays(found)[0], arrays(truth)[0], rtol=1e-9, atol=1e-12)


def test_completeness() -> None:
    for name in ("mlp", "residual", "attention"):
        net, x = tensorflow_network(name)
        result = asc.IntegratedGradients(0.0, steps=256)(net, *x, of=1)
        assert np.abs(result.gap.relative).max() < 1e-3


def test_numpy_in_numpy_out() -> None:
    net, x = tensorflow_network("mlp")
    found = asc.Saliency()(net, x[0].numpy().astype(np.float64), of=1)
    assert isinstance(found.values, np.ndarray)
    np.testing.assert_array_equal(found.values, as_numpy(asc.Saliency()(net, *x, of=1).values))
