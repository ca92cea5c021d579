"""Graphs of TensorFlow: concrete functions, SavedModels, and models that their user compiles with ``tf.function``."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.cuts import LOGITS, Cut
from ascribe.errors import AscribeError
from tests.support.tensorflow_networks import Dense, tensorflow_network

RANDOM = np.random.default_rng(0)
X = tf.constant(RANDOM.normal(size=(4, 6)), tf.float32)


def square(n: int) -> np.ndarray:
    return RANDOM.normal(size=(n, n)) / np.sqrt(n)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    net, x = tensorflow_network("mlp")
    net.serve = tf.function(lambda x: {"scores": tf.nn.softmax(net(x))}, input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])
    path = tmp_path_factory.mktemp("saved")
    tf.saved_model.save(net, str(path), signatures={"serving_default": net.serve})
    return net, x, path


def test_saved_models_by_operation(saved: Any) -> None:
    net, x, path = saved
    loaded = tf.saved_model.load(str(path))
    layers = {p.kind: p.cut for p in asc.cuts_of(loaded, *x)}
    truth = asc.attribute(net, *x, of=1, at=Cut("head", "in"), over=asc.Line(0.0, steps=8)).values
    found = asc.attribute(loaded, *x, of=asc.Unit(1, on=LOGITS), at=layers["Relu"], over=asc.Line(0.0, steps=8)).values
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
    loaded.first.w.assign(loaded.first.w * 2)
    changed = asc.attribute(loaded, *x, of=asc.Unit(1, on=LOGITS), at=layers["Relu"], over=asc.Line(0.0, steps=8)).values
    assert not np.allclose(changed, truth, rtol=1e-2)


def test_signatures_and_concrete_functions(saved: Any) -> None:
    net, x, path = saved
    loaded = tf.saved_model.load(str(path))
    truth = asc.attribute(lambda x: tf.nn.softmax(net(x)), *x, of=1, over=asc.Line(0.0, steps=8)).values
    for model in (loaded.signatures["serving_default"], net.serve.get_concrete_function(), net.serve, loaded.serve):
        np.testing.assert_allclose(asc.attribute(model, *x, of=1, over=asc.Line(0.0, steps=8)).values, truth, rtol=1e-5, atol=1e-6)


def test_one_input_of_an_operation_is_cut_alone() -> None:
    w = tf.Variable(square(6), dtype=tf.float32)

    @tf.function
    def f(x: Any) -> Any:
        h = tf.tanh(x @ w, name="h")
        return tf.multiply(h, tf.identity(h, name="gate"), name="product")

    found = asc.influence(f, X, at=Cut("product", "in", 0), of=1).values
    h = np.tanh(X.numpy() @ w.numpy())
    truth = np.zeros((4, 6))
    truth[:, 1] = h[:, 1]
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(asc.influence(f, X, at="h", of=1).values, 2 * truth, rtol=1e-5, atol=1e-6)


def test_graphs_are_traced_once(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ascribe.backends.tensorflow.graph import Program

    net, x, _ = saved
    traced = []
    trace = Program._trace
    monkeypatch.setattr(Program, "_trace", lambda self, *args: traced.append(1) or trace(self, *args))
    model = net.serve.get_concrete_function()
    for of in (1, 2, [0, 1, 2, 1]):
        asc.attribute(model, *x, of=of, at="Relu", over=asc.Line(0.0, steps=8))
        traced.append(0)
    assert sum(traced) > 0
    assert traced[traced.index(0) :] == [0, 0, 0]


class Compiled(tf.Module):
    """A module that counts its traces."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.traces = Dense(square(6)), 0

    @tf.function(reduce_retracing=True)
    def __call__(self, x: Any, training: bool = False) -> Any:
        self.traces += 1
        return tf.tanh(self.dense(x))


def test_compiled_models_are_traced_for_the_first_call_alone() -> None:
    net = Compiled()
    plain = asc.attribute(lambda x: tf.tanh(net.dense(x)), X, of=1, over=asc.Line(0.0, steps=8)).values
    first = asc.attribute(net, X, of=1, over=asc.Line(0.0, steps=8)).values
    np.testing.assert_allclose(first, plain, rtol=1e-5, atol=1e-6)
    traces = net.traces
    for of in (1, 2, 5):
        found = asc.attribute(net, X, of=of, over=asc.Line(0.0, steps=8)).values
        truth = asc.attribute(lambda x: tf.tanh(net.dense(x)), X, of=of, over=asc.Line(0.0, steps=8)).values
        np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
    assert net.traces == traces
    net.dense.w.assign(net.dense.w * 2)
    changed = asc.attribute(net, X, of=1, over=asc.Line(0.0, steps=8)).values
    truth = asc.attribute(lambda x: tf.tanh(net.dense(x)), X, of=1, over=asc.Line(0.0, steps=8)).values
    np.testing.assert_allclose(changed, truth, rtol=1e-5, atol=1e-6)
    assert net.traces == traces


def test_compiled_models_are_let_go_of() -> None:
    net = Compiled()
    asc.attribute(net, X, of=1, over=asc.Line(0.0, steps=8))
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


def test_quantities_of_compiled_models() -> None:
    net, plain = Compiled(), Dense(square(6))
    plain.w.assign(net.dense.w)
    for of in (
        None,
        [0, 1, 2, 1],
        asc.Contrast(0, 2),
        asc.Prob(1),
        asc.LogProb(2),
        asc.Total(),
        asc.Threshold(0.1),
        lambda y: y[:, 0] ** 2,
    ):
        more = {} if of is None else {"of": of}
        found = asc.attribute(net, X, over=asc.Line(0.0, steps=8), **more).values
        truth = asc.attribute(lambda x: tf.tanh(plain(x)), X, over=asc.Line(0.0, steps=8), **more).values
        np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-6)
    several = asc.attribute(net, X, of=(asc.Unit(0), asc.Contrast(1, 2)), over=asc.Line(0.0, steps=8)).values
    truth = asc.attribute(lambda x: tf.tanh(plain(x)), X, of=(asc.Unit(0), asc.Contrast(1, 2)), over=asc.Line(0.0, steps=8)).values
    np.testing.assert_allclose(several, truth, rtol=1e-4, atol=1e-6)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def reversed_gradient(x: Any) -> Any:
    return tf.identity(x), lambda back: -back


class Activated(tf.Module):  # type: ignore[misc]
    """Two layers with an activation function in between."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.w, self.v = (tf.Variable(square(6), dtype=tf.float32) for _ in range(2))
        self.activation = activation

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32)])  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> Any:
        return self.activation(x @ self.w) @ self.v


def test_swish_has_a_derivative_at_every_operation(tmp_path: Path) -> None:
    """Its derivative in TensorFlow belongs to the graph that it was traced in, which a cut is not part of."""
    tf.saved_model.save(Activated(tf.nn.silu), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    places = asc.cuts_of(loaded, X)
    assert all(len(shape) == 2 and shape[0] == 1 for p in places for shape in p.shapes)  # weights and numbers are no part of a cut
    for place in places[1:-1]:
        found = asc.IntegratedGradients(steps=64)(loaded, X, of=1, at=place.cut)
        assert found.gap is not None
        assert np.abs(found.gap.relative).max() < 1e-4
    product = next(p.cut for p in places if p.kind == "MatMul" and p.cut.anchor == "out")
    x = tf.constant(as_numpy(X) @ as_numpy(loaded.w))
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = ((x * tf.sigmoid(x)) @ loaded.v)[:, 1]
    np.testing.assert_allclose(asc.influence(loaded, X, of=1, at=product).values, tape.gradient(score, x), rtol=1e-5, atol=1e-6)


def test_derivatives_of_users_are_never_left_out_silently(tmp_path: Path) -> None:
    model = Activated(reversed_gradient)
    tf.saved_model.save(model, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    truth = -as_numpy(model.v)[:, 1] @ as_numpy(model.w).T
    np.testing.assert_allclose(asc.influence(loaded, X, of=1).values, np.tile(truth, (4, 1)), rtol=1e-5, atol=1e-6)
    product = next(p.cut for p in asc.cuts_of(loaded, X) if p.kind == "MatMul" and p.cut.anchor == "out")
    try:
        found = asc.influence(loaded, X, of=1, at=product).values
    except AscribeError:
        return
    np.testing.assert_allclose(found, np.tile(-as_numpy(model.v)[:, 1], (4, 1)), rtol=1e-5, atol=1e-6)
