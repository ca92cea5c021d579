"""The functions of ``get_backend()``: the same results as NumPy's, on arrays of the framework."""

from __future__ import annotations

import numpy as np
import pytest

from ascribe.compat.trulens.nn.backend import Backend, get_backend, memory_suggestions, rebatch, tile
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.utils.test import tolerance
from ascribe.compat.trulens.utils.typing import TensorArgs
from tests.support.trulens_keras import BACKEND, ENGINE, LEGACY, functional, keras

NAMES = [
    "set_seed", "is_deterministic", "dim_order", "channel_axis", "floatX", "backend", "gradient", "as_array", "as_tensor", "is_tensor",
    "int_shape", "shape", "expand_dims", "reshape", "mean", "sum", "abs", "max", "ones_like", "zeros_like", "random_normal_like", "clone",
    "stack", "tile", "concat", "sign", "sigmoid", "softmax", "maximum", "minimum", "min", "Tensor", "floatX_size", "memory_suggestions",
]  # fmt: skip
A = np.array([[1.0, -2.0, 3.0], [0.0, 5.0, -6.0]], np.float32)


@pytest.fixture(params=[BACKEND, "TF_KERAS"] if LEGACY else [BACKEND, "TENSORFLOW"] if ENGINE == "tensorflow" else [BACKEND])
def b(request, monkeypatch):
    monkeypatch.setenv("TRULENS_BACKEND", request.param.lower())
    return get_backend()


def same(b, found, expected):
    assert b.is_tensor(found)
    np.testing.assert_allclose(b.as_array(found), expected, rtol=1e-5, atol=1e-6)


def test_what_there_is(b):
    assert [name for name in NAMES if not hasattr(b, name)] == []
    assert (b.dim_order, b.channel_axis, str(b.floatX), b.floatX_size) == ("channels_last", 3, "float32", 4)
    assert b.backend is Backend[b.backend.name]
    assert tolerance(b) == 1e-8
    assert b.memory_suggestions is memory_suggestions


def test_arrays_and_tensors(b):
    t = b.as_tensor(A.astype(np.float64))
    same(b, t, A)
    assert b.as_tensor(t) is t
    assert isinstance(t, b.Tensor)
    assert not b.is_tensor(A)
    assert b.as_array(t).dtype == np.float32
    assert b.as_array(t, "float64").dtype == np.float64
    assert b.as_array(b.as_tensor(np.arange(3))).dtype.kind == "i"
    assert b.int_shape(t) == tuple(b.shape(t)) == (2, 3)
    assert b.int_shape(A) == (2, 3)


@pytest.mark.parametrize("name", ["mean", "sum", "max", "min"])
def test_reductions(b, name):
    function, own = getattr(b, name), getattr(np, name)
    t = b.as_tensor(A)
    same(b, function(t), own(A))
    same(b, function(t, axis=1), own(A, axis=1))
    same(b, function(t, axis=0, keepdims=True), own(A, axis=0, keepdims=True))
    np.testing.assert_allclose(function(A, axis=1), own(A, axis=1))


def test_elementwise(b):
    t = b.as_tensor(A)
    e = np.exp(A - A.max(1, keepdims=True))
    for found, expected in (
        (b.abs(t), np.abs(A)),
        (b.sign(t), np.sign(A)),
        (b.maximum(t, -t), np.abs(A)),
        (b.minimum(t, -t), -np.abs(A)),
        (b.sigmoid(t), 1 / (1 + np.exp(-A))),
        (b.softmax(t), e / e.sum(1, keepdims=True)),
        (b.softmax(t, axis=0), np.exp(A) / np.exp(A).sum(0)),
        (b.clone(t), A),
        (b.ones_like(t), np.ones_like(A)),
        (b.zeros_like(t), np.zeros_like(A)),
    ):
        same(b, found, expected)


def test_shapes(b):
    t = b.as_tensor(A)
    for found, expected in (
        (b.expand_dims(t), A[..., None]),
        (b.expand_dims(t, 0), A[None]),
        (b.reshape(t, (3, 2)), A.reshape(3, 2)),
        (b.stack([t, t]), np.stack([A, A])),
        (b.tile(t, (2, 1)), np.tile(A, (2, 1))),
        (b.concat([t, t]), np.concatenate([A, A])),
        (b.concat((t, 2 * t), axis=-1), np.concatenate([A, 2 * A], -1)),
    ):
        same(b, found, expected)
    np.testing.assert_array_equal(b.reshape(A, (6,)), A.reshape(6))


def test_random_numbers(b):
    like = b.as_tensor(np.zeros((200, 50), np.float32))
    b.set_seed(0)
    drawn = b.as_array(b.random_normal_like(like, mean=3.0, var=4.0))
    b.set_seed(0)
    np.testing.assert_array_equal(drawn, b.as_array(b.random_normal_like(like, mean=3.0, var=4.0)))
    assert abs(drawn.mean() - 3) < 0.1
    assert abs(drawn.std() - 2) < 0.1


def test_gradients(b):
    if ENGINE == "jax":
        with pytest.raises(Exception, match="gradients"):
            b.gradient(1.0, [1.0])
    elif ENGINE == "torch":
        import torch

        t = torch.tensor(A, requires_grad=True)
        same(b, b.gradient(b.sum(t * t), t)[0].detach(), 2 * A)
    else:
        import tensorflow as tf

        found = tf.function(lambda t: b.gradient(b.sum(t * t), [t])[0])(tf.constant(A))
        same(b, found, 2 * A)


def test_batches_and_tiles(b):
    t = b.as_tensor(A)
    batches = list(rebatch(TensorArgs([t]), TensorArgs([np.ones((2, 1)), np.ones((5, 1))]), batch_size=1))
    assert [b.int_shape(some.args[0]) for some, _ in batches] == [(1, 3)] * 2
    assert [len(more.args[1]) for _, more in batches] == [5, 5]
    tiled = tile(TensorArgs([t, np.ones((7, 1))]), TensorArgs([np.zeros((6, 3))]))
    same(b, tiled.args[0], np.tile(A, (3, 1)))
    assert tiled.args[1].shape == (7, 1)


@pytest.mark.skipif(LEGACY, reason="the setting of Keras 3")
def test_the_layout_that_keras_is_set_to():
    get_model_wrapper(functional())
    keras.config.set_image_data_format("channels_first")
    try:
        assert (get_backend().channel_axis, get_backend().dim_order) == (1, "channels_first")
    finally:
        keras.config.set_image_data_format("channels_last")
    assert get_backend().channel_axis == 3
