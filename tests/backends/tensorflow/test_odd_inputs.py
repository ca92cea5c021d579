"""Ragged, sparse and string inputs next to explained ones, ids in other types, words, batches of tf.data, and loops of loaded models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import keras
import tensorflow as tf

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import CutError, InputError, ModelError, QuantityError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4)).astype(np.float32)
WEIGHT = RANDOM.normal(size=(4, 3)).astype(np.float32)
ON_TENSORFLOW = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="Keras runs on another back end here")


class Gated(tf.Module):
    """``x w``, scaled by a number for each record that is read from another argument."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(WEIGHT)

    def __call__(self, x: Any, other: Any) -> Any:
        if isinstance(other, tf.RaggedTensor):
            scale = tf.reduce_sum(other, 1)
        elif isinstance(other, tf.SparseTensor):
            scale = tf.sparse.reduce_sum(other, 1)
        else:
            scale = tf.cast(tf.strings.length(other), tf.float32)
        return (x @ self.w) * scale[:, None]


OTHERS = {
    "ragged": (tf.ragged.constant([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]]), [3.0, 3.0, 15.0]),
    "sparse": (tf.sparse.from_dense(tf.constant([[0.0, 2.0], [1.0, 3.0], [0.0, 5.0]])), [2.0, 4.0, 5.0]),
    "strings": (tf.constant(["a", "bbb", "cc"]), [1.0, 3.0, 2.0]),
    "strings of NumPy": (np.array(["a", "bbb", "cc"]), [1.0, 3.0, 2.0]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arguments_are_passed_through_row_by_row(kind: str) -> None:
    other, scale = OTHERS[kind]
    truth = X * WEIGHT[:, 1] * np.array(scale)[:, None]
    for method in (asc.IntegratedGradients(0.0, steps=4), asc.FeatureAblation(by=asc.Replace(0.0)), asc.KernelShap(16, by=0.0)):
        for found in (method(Gated(), tf.constant(X), other, of=1), method(Gated(), tf.constant(X), other=other, of=1)):
            np.testing.assert_allclose(found.values, truth, rtol=1e-4, atol=1e-5)


def test_ragged_and_sparse_tensors_alone_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"x\.to_tensor\(\)"):
        asc.FeatureAblation()(lambda ids: tf.reduce_mean(ids, 1)[:, None], tf.ragged.constant([[1.0, 2.0], [3.0]]), of=0)
    with pytest.raises(InputError, match=r"tf\.sparse\.to_dense"):
        asc.Saliency()(lambda s: tf.sparse.to_dense(s), tf.sparse.from_dense(tf.constant(X)), of=0)


def test_words_without_a_table_are_refused_with_what_to_do() -> None:
    def lengths(words: Any) -> Any:
        return tf.cast(tf.strings.length(words), tf.float32)

    words = tf.constant([["a", "bbb"], ["cc", ""]])
    with pytest.raises(CutError, match="MaskToken") as wrong:
        asc.Saliency()(lengths, words, of=0)
    assert wrong.value.code == "E-CUT-INTEGER"
    found = asc.FeatureAblation(by=asc.MaskToken(""))(lengths, words, of=lambda y: tf.reduce_sum(y, 1))
    np.testing.assert_allclose(found.values, [[1, 3], [2, 0]])


@ON_TENSORFLOW
def test_the_table_behind_a_vectorisation_of_text_is_found() -> None:
    words = keras.layers.TextVectorization(output_sequence_length=4)
    words.adapt(["a b c d", "b c"])
    table = keras.layers.Embedding(10, 3, mask_zero=True, name="table")
    model = keras.Sequential([words, table, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, name="head")])
    for texts in (tf.constant([["a b c"], ["b"]]), np.array([["a b c"], ["b"]], object)):
        model(tf.convert_to_tensor(texts))
        found = asc.IntegratedGradients(0.0, steps=4)(model, texts, of=1)
        assert found.values.shape == (2, 4, 3)
        assert np.abs(found.gap.relative).max() < 1e-5
        assert np.abs(as_numpy(found.values)[1, 1:]).max() == 0  # masked
        named = asc.IntegratedGradients(0.0, steps=4)(model, texts, of=1, at="table")
        np.testing.assert_array_equal(as_numpy(named.values), as_numpy(found.values))


@ON_TENSORFLOW
def test_ids_as_floating_numbers() -> None:
    ids = keras.Input((4,))
    table = keras.layers.Embedding(10, 3, name="table")(ids)
    model = keras.Model(ids, keras.layers.Dense(2)(keras.layers.Flatten()(table)))
    given = RANDOM.integers(0, 10, (2, 4)).astype(np.float32)
    with pytest.raises(CutError, match=r"at=asc\.EMBEDDINGS"):
        asc.Saliency()(model, given, of=1)
    found = asc.IntegratedGradients(0.0, steps=4)(model, given, of=1, at=asc.EMBEDDINGS)
    assert found.values.shape == (2, 4, 3)


def test_short_floats_of_tensorflow_and_of_numpy() -> None:
    net = Gated()
    net.w = tf.Variable(tf.cast(WEIGHT, tf.bfloat16))

    def model(x: Any) -> Any:
        return tf.cast(x, tf.bfloat16) @ net.w

    truth = X * WEIGHT[:, 1]
    for x in (tf.cast(X, tf.bfloat16), X.astype(tf.bfloat16.as_numpy_dtype)):
        for method in (asc.InputXGradient(), asc.FeatureAblation(by=asc.Replace(0.0))):
            found = method(model, x, of=1).values
            assert type(found) is type(x)
            assert found.dtype == x.dtype
            np.testing.assert_allclose(np.asarray(found, np.float32), truth, atol=0.05)


def test_batches_and_structures() -> None:
    rows = tf.data.Dataset.from_tensor_slices((X, np.array([0, 1, 2]))).batch(2)
    for x, y in rows:
        found = asc.InputXGradient()(lambda x: x @ WEIGHT, x, of=y)
        np.testing.assert_allclose(found.values, x * WEIGHT.T[y.numpy()], rtol=1e-5)
    with pytest.raises(InputError, match="for each batch"):
        asc.Saliency()(lambda x: x @ WEIGHT, rows)

    def nested(tree: Any) -> Any:
        return tree["a"] @ WEIGHT + tree["b"][0] @ WEIGHT * 2

    found = asc.InputXGradient()(nested, {"a": tf.constant(X), "b": [tf.constant(X), tf.constant(["a", "b", "c"])]}, of=1).values
    np.testing.assert_allclose(found[0]["b"][0], 2 * X * WEIGHT[:, 1], rtol=1e-5)


def test_a_method_that_tensors_do_not_have_is_named_with_its_function() -> None:
    with pytest.raises(QuantityError, match=r"tf\.math\.reduce_mean"):
        asc.Saliency()(lambda x: x @ WEIGHT, tf.constant(X), of=lambda y: y.mean(1))


class Loop(tf.Module):
    """A recurrent module, whose steps are a loop of ``tf.function``."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(RANDOM.normal(size=(4, 4)), dtype=tf.float64)

    def step(self, x: Any, state: Any) -> Any:
        return tf.tanh(x + state @ self.w)

    @tf.function
    def __call__(self, x: Any) -> Any:
        state = tf.zeros([tf.shape(x)[0], 4], x.dtype)
        for k in tf.range(tf.shape(x)[1]):
            state = self.step(x[:, k], state)
        return state


def test_gradients_through_loops_are_those_of_finite_differences(tmp_path: Path) -> None:
    net, x = Loop(), RANDOM.normal(size=(2, 5, 4))
    concrete = net.__call__.get_concrete_function(tf.TensorSpec([None, 5, 4], tf.float64))
    tf.saved_model.save(net, str(tmp_path), signatures=concrete)
    direction = RANDOM.normal(size=x.shape)
    truth = (net(x + 1e-5 * direction) - net(x - 1e-5 * direction))[:, 1] / 2e-5
    loaded = tf.saved_model.load(str(tmp_path))
    for model in (net, concrete, loaded, loaded.signatures["serving_default"]):
        found = as_numpy(asc.influence(model, tf.constant(x), of=1).values)
        np.testing.assert_allclose((found * direction).sum((1, 2)), truth, rtol=1e-6)


def test_a_signature_whose_loaded_object_is_gone_says_what_to_do(tmp_path: Path) -> None:
    net = Loop()
    tf.saved_model.save(net, str(tmp_path), signatures=net.__call__.get_concrete_function(tf.TensorSpec([None, 5, 4], tf.float64)))
    with pytest.raises(ModelError, match="kept in a variable"):
        asc.influence(tf.saved_model.load(str(tmp_path)).signatures["serving_default"], tf.zeros([2, 5, 4], tf.float64), of=1)


def test_an_operation_inside_a_loop_is_refused_with_what_to_do() -> None:
    net = Loop()
    concrete = net.__call__.get_concrete_function(tf.TensorSpec([None, 5, 4], tf.float64))
    with pytest.raises(CutError, match="body of a loop"):
        asc.influence(concrete, tf.constant(RANDOM.normal(size=(2, 5, 4))), of=1, at="while/Tanh")


@ON_TENSORFLOW
def test_loaded_recurrent_models_have_the_gradients_of_the_live_one(tmp_path: Path) -> None:
    x = keras.Input((5, 4))
    model = keras.Model(x, keras.layers.Dense(3, name="head")(keras.layers.LSTM(3, name="lstm")(x)))
    tf.saved_model.save(model, str(tmp_path))
    loaded, given = tf.saved_model.load(str(tmp_path)), tf.constant(RANDOM.normal(size=(2, 5, 4)), tf.float32)
    for method in (asc.InputXGradient(), asc.IntegratedGradients(0.0, steps=4)):
        found, truth = (method(loaded, given, of=1).values, method(model, given, of=1).values)
        found = found[0] if isinstance(found, tuple) else found
        np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
    loop = next(p.cut for p in asc.cuts_of(loaded, given) if p.kind == "While" and p.cut.anchor == "out")
    assert asc.influence(loaded, given, of=1, at=loop).checks


@ON_TENSORFLOW
def test_keras_models_inside_a_module_have_their_paths_and_masks() -> None:
    x = keras.Input((5, 4))
    y = keras.layers.Dense(4, name="dense")(keras.layers.Masking(name="masking")(x))

    class Wrapped(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Model(x, keras.layers.GRU(3, name="gru")(y))

        def __call__(self, x: Any) -> Any:
            return self.net(x) * 2

    given = RANDOM.normal(size=(2, 5, 4)).astype(np.float32)
    given[0, 3:] = 0
    model = Wrapped()
    assert {"net.dense", "net.gru", "net"} <= {p.cut.layer for p in asc.cuts_of(model, tf.constant(given))}
    found = asc.IntegratedGradients(0.0, steps=4)(model, tf.constant(given), of=1, at="net.dense").values.numpy()
    truth = asc.IntegratedGradients(0.0, steps=4)(model.net, tf.constant(given), of=1, at="dense").values.numpy()
    np.testing.assert_allclose(found, 2 * truth, rtol=1e-5, atol=1e-7)
    assert np.abs(found[0, 3:]).max() == 0
