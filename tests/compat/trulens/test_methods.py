"""trulens' three methods, its quantities and its distributions on Keras models, against closed forms in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from ascribe.arrays import as_numpy
from ascribe.compat.trulens.nn.attribution import InputAttribution, IntegratedGradients, InternalInfluence
from ascribe.compat.trulens.nn.backend import get_backend
from ascribe.compat.trulens.nn.distributions import DoI, GaussianDoi, LinearDoi, PointDoi
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.nn.quantities import (
    ClassQoI,
    ClassSeqQoI,
    ComparativeQoI,
    InternalChannelQoI,
    LambdaQoI,
    MaxClassQoI,
    QoI,
    ThresholdQoI,
)
from ascribe.compat.trulens.nn.slices import Cut, InputCut, LogitCut, OutputCut, Slice
from ascribe.compat.trulens.utils.typing import OM, Inputs, Outputs, Tensor
from tests.support.trulens_keras import W1, W2, Dense, L, X, functional, keras, nested, two_inputs

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
NET = Dense(X)
W = get_model_wrapper(functional("logits", "linear"))
A, B = X, np.array([[0.5], [1.0], [-1.0], [2.0]], np.float32)


def close(found, expected):
    np.testing.assert_allclose(as_numpy(found), expected, rtol=5e-5, atol=5e-6)


# Methods


def test_gradients_times_inputs():
    close(InputAttribution(W, qoi=1, multiply_activation=False).attributions(X), NET.gradient(1))
    close(InputAttribution(W, qoi=1).attributions(X), X * NET.gradient(1))
    best = np.where(NET.scores.argmax(1)[:, None] == 0, NET.gradient(0), NET.gradient(1))
    close(InputAttribution(W).attributions(X), X * best)
    close(InternalInfluence(W, None, "max", "point").attributions(X), X * best)
    close(InputAttribution(W, "logits", 1).attributions(X), X * NET.gradient(1))


def test_native_arrays_come_back_as_such():
    b = get_backend()
    found = InputAttribution(W, qoi=1).attributions(b.as_tensor(X))
    assert b.is_tensor(found)
    close(found, X * NET.gradient(1))
    assert isinstance(InputAttribution(W, qoi=1).attributions(X), np.ndarray)


def path(c: int, points: int, baseline: np.ndarray) -> np.ndarray:
    """The mean gradient at evenly spaced points from the record to the baseline."""
    shares = [k / max(points - 1, 1) for k in range(points)]
    return np.mean([Dense((1 - s) * X + s * baseline).gradient(c) for s in shares], 0)


@pytest.mark.parametrize("points", [1, 2, 11])
def test_integrated_gradients(points):
    zeros, ones = np.zeros_like(X), np.ones_like(X)
    close(IntegratedGradients(W, resolution=points, qoi=1).attributions(X), X * path(1, points, zeros))
    for baseline in (ones[:1], 1.0, np.ones(3, np.float32), ones, lambda z: 0 * z + 1):
        close(IntegratedGradients(W, baseline, points, qoi=0).attributions(X), (X - 1) * path(0, points, ones))
    close(IntegratedGradients(W, ones, points, qoi=0, multiply_activation=False).attributions(X), path(0, points, ones))
    close(IntegratedGradients(W, ones, points, qoi=0, rebatch_size=3).attributions(X), (X - 1) * path(0, points, ones))


def test_completeness():
    found = IntegratedGradients(W, resolution=400, qoi=1).attributions(X)
    np.testing.assert_allclose(found.sum(1), (NET.scores - Dense(0 * X).scores)[:, 1], atol=0.05)


def test_influence_inside():
    masked = NET.before > 0
    close(InternalInfluence(W, Cut("hidden"), 1, "point", multiply_activation=False).attributions(X), np.broadcast_to(W2[:, 1], (4, 4)))
    close(InternalInfluence(W, Cut("hidden"), 1, "point").attributions(X), NET.hidden * W2[:, 1])
    for to in (Cut("hidden"), Cut(1)):
        found = InternalInfluence(W, (InputCut(), to), InternalChannelQoI(2), "point", multiply_activation=False).attributions(X)
        close(found, masked[:, 2:3] * W1[:, 2])
    found = InternalInfluence(W, Slice(Cut("hidden"), LogitCut()), ClassQoI(0), LinearDoi(1.0, 3, cut=Cut("hidden"))).attributions(X)
    close(found, (NET.hidden - 1) * W2[:, 0])
    both = InternalInfluence(W, Cut([0, "hidden"]), 1, "point").attributions(X)
    close(both[0], X * NET.gradient(1))
    close(both[1], NET.hidden * W2[:, 1])


def test_inside_nested_models():
    wrapper = get_model_wrapper(nested())
    for name in ("inner/hidden", "inner", 1):
        close(InternalInfluence(wrapper, Cut(name), 1, "point").attributions(X), NET.hidden * W2[:, 1])
    close(InternalInfluence(wrapper, Cut("inner/hidden", "in"), 1, "point").attributions(X), X * NET.gradient(1))
    moved = IntegratedGradients(wrapper, resolution=3, doi_cut=Cut("inner/hidden"), qoi=1).attributions(X)
    close(moved, NET.hidden * W2[:, 1])


@pytest.mark.parametrize("given", ["positional", "list", "keywords", "dictionary"])
def test_several_inputs(given):
    model = two_inputs(given == "dictionary")
    method = IntegratedGradients(get_model_wrapper(model), resolution=300, qoi=1)
    args = {"positional": (A, B), "list": ([A, B],), "keywords": (), "dictionary": ({"b": B, "a": A},)}[given]
    found = method.attributions(*args, **({"b": B, "a": A} if given == "keywords" else {}))
    if given == "dictionary":
        assert set(found) == {"a", "b"}
        found = [found["a"], found["b"]]
    assert [v.shape for v in found] == [(4, 3), (4, 1)]
    close(found[1], B * np.asarray(model.get_weights()[2])[3, 1])

    def run(a, b):
        return np.asarray(model.predict({"a": a, "b": b} if given == "dictionary" else [a, b], verbose=0))[:, 1]

    np.testing.assert_allclose(found[0].sum(1) + found[1].sum(1), run(A, B) - run(0 * A, 0 * B), atol=0.01)


def test_distributions_on_a_dictionary():
    for doi in (PointDoi(), LinearDoi(), GaussianDoi(0.1, 3)):
        found = InternalInfluence(get_model_wrapper(two_inputs(True)), InputCut(), 1, doi).attributions({"a": A, "b": B})
        assert {name: value.shape for name, value in found.items()} == {"a": (4, 3), "b": (4, 1)}


def test_a_layer_of_several_inputs():
    found = InternalInfluence(get_model_wrapper(two_inputs()), Cut("joined", "in"), ClassQoI(1), PointDoi()).attributions(A, B)
    assert [v.shape for v in found] == [(4, 3), (4, 1)]


def test_gradients_and_points_are_returned():
    result = InternalInfluence(W, Cut("hidden"), lambda y: [y[:, 0], y[:, 1]], LinearDoi(0.5, 3), False, True, True).results(X)
    assert isinstance(result.attributions, Outputs)
    assert isinstance(result.attributions[0], Inputs)
    assert result.gradients[1][0].shape == (3, 4, 4)
    close(result.gradients[1][0].mean(0), result.attributions[1][0])
    close(result.interventions[0][-1], np.full_like(X, 0.5))


# Quantities


def quantities():
    s, g = NET.scores, NET.gradient
    soft = NET.probabilities
    return {
        "a class": (ClassQoI(1), g(1)),
        "two classes": (ClassQoI([0, 1]), g(0) + g(1)),
        "a comparison": (ComparativeQoI(1, 0), g(1) - g(0)),
        "a function": (LambdaQoI(lambda y: y[:, 0] * y[:, 1]), s[:, 1:] * g(0) + s[:, :1] * g(1)),
        "a class for each": (ClassSeqQoI([0, 1, 1, 0]), np.where(np.array([[0], [1], [1], [0]]) == 0, g(0), g(1))),
        "a threshold": (ThresholdQoI(1.0), sum(np.sign(s[:, k : k + 1] - 1) * g(k) for k in (0, 1))),
        "softmax": (MaxClassQoI(activation="softmax"), soft[:, :1] * soft[:, 1:] * (g(0) - g(1)) * np.sign(s[:, :1] - s[:, 1:])),
        "a function of all": (lambda y: y, g(0) + g(1)),
    }


@pytest.mark.parametrize("name", quantities())
def test_quantities(name):
    qoi, expected = quantities()[name]
    close(InputAttribution(W, qoi=qoi, multiply_activation=False).attributions(X), expected)


def test_quantities_on_tensors():
    b = get_backend()
    y = b.as_tensor(np.array([[1.0, 2.0, 3.0], [0.0, -1.0, -2.0]]))
    softmax = np.exp([3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    for qoi, expected in (
        (MaxClassQoI(), [3, 0]),
        (MaxClassQoI(axis=0), [1, 2, 3]),
        (MaxClassQoI(activation="softmax"), np.repeat(softmax, 2)),
        (MaxClassQoI(activation=b.softmax), np.repeat(softmax, 2)),
        (InternalChannelQoI(2), [3, -2]),
        (ThresholdQoI(1.5, low_minus_high=True), [-4, -3]),
        (ThresholdQoI(0.5, activation="sigmoid"), [1 / (1 + np.exp(-1.0)) + 1 / (1 + np.exp(-2.0)) + 1 / (1 + np.exp(-3.0)), -0.388144]),
    ):
        found = qoi(y)
        assert b.is_tensor(found)
        close(found, expected)


def test_channels_of_images():
    b = get_backend()
    z = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    t = b.as_tensor(z)
    close(InternalChannelQoI(1)(t), z[..., 1].sum((1, 2)))  # channels last, as the framework has them
    close(InternalChannelQoI(1, channel_axis=1)(t), z[:, 1].sum((1, 2)))
    close(InternalChannelQoI([0, 3], channel_axis=3)(t), z[..., 0].sum((1, 2)) + z[..., 3].sum((1, 2)))
    close(InternalChannelQoI(1, agg_fn=lambda c: c[:, 0, 0])(t), z[:, 0, 0, 1])
    with pytest.raises(ValueError):
        InternalChannelQoI(0, channel_axis=0)(t)


def test_a_quantity_of_every_step():
    class EveryStep(QoI):
        def __call__(self, x) -> OM[Outputs, Tensor]:
            return [x[:, step, k] for step in range(x.shape[1]) for k in range(x.shape[2])]

    x = keras.Input((4, 3))
    model = keras.Model(x, L.Dense(2, name="dense")(L.GRU(5, name="rnn", return_sequences=True)(x)))
    cuts = (Cut("rnn", "in"), Cut("dense"))
    found = InternalInfluence(get_model_wrapper(model), cuts, EveryStep(), LinearDoi(resolution=3)).attributions(
        np.ones((2, 4, 3), "float32")
    )
    assert np.stack(found).shape == (8, 2, 4, 3)
    for k, value in enumerate(found):
        assert np.all(value[:, k // 2 + 1 :] == 0)  # a step knows nothing of later ones
        assert np.any(value[:, k // 2] != 0)


# Distributions


def test_distributions_on_tensors():
    b = get_backend()
    z = b.as_tensor(X)
    assert len(PointDoi()(z)) == 1
    points = LinearDoi(np.ones_like(X), 5)(z)
    close(points[0], X)
    close(points[-1], np.ones_like(X))
    close(points[1], 0.75 * X + 0.25)
    close(LinearDoi(lambda v: v + 2)(z)[-1], X + 2)
    close(LinearDoi(1.0).get_activation_multiplier(z), X - 1)
    assert [b.int_shape(p) for p in GaussianDoi(1.0, 3)(z)] == [(4, 3)] * 3


def test_distributions_of_ones_own():
    kinds = []

    class Own(DoI):
        def __call__(self, z, *, model_inputs):
            kinds.append(type(z))
            assert model_inputs.args[0] is X
            return [z, 2 * z]

        def get_activation_multiplier(self, activation):
            assert get_backend().is_tensor(activation) or isinstance(activation, np.ndarray)
            return 3 * activation

    found = InternalInfluence(W, InputCut(), 1, Own()).attributions(X)
    assert kinds == [np.ndarray]
    close(found, 3 * X * (NET.gradient(1) + Dense(2 * X).gradient(1)) / 2)
    inside = InternalInfluence(W, Cut("hidden"), 1, Own(Cut("hidden")), multiply_activation=False).attributions(X)
    close(inside, np.broadcast_to(W2[:, 1], (4, 4)))


def test_records_are_independent():
    method = InternalInfluence(W, InputCut(), MaxClassQoI(), LinearDoi())
    close(np.concatenate([method.attributions(x[None]) for x in X]), method.attributions(X))


def test_an_output_of_several_arrays():
    x = keras.Input((3,))
    hidden = L.Dense(4)(x)
    wrapper = get_model_wrapper(keras.Model(x, [L.Dense(2, name="first")(hidden), L.Dense(3, name="second")(hidden)]))
    close(
        InputAttribution(wrapper, Cut("second"), 2).attributions(X),
        InputAttribution(wrapper, OutputCut(accessor=lambda o: o[1]), 2).attributions(X),
    )
