"""Cuts of TensorFlow models: their order, shared modules, values written; and everything that is left as it was."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import ascribe as asc
from ascribe.backends import open_session
from ascribe.backends.protocol import Job
from ascribe.cuts import INPUT, OUTPUT, Cut
from ascribe.errors import AscribeError, CutError, ModelError, QuantityError
from tests.support.tensorflow_networks import Dense

RANDOM = np.random.default_rng(0)
X = tf.constant(RANDOM.normal(size=(4, 6)), tf.float32)


def square(n: int) -> np.ndarray:
    return RANDOM.normal(size=(n, n)) / np.sqrt(n)


class Block(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = Dense(square(6))

    def __call__(self, x: Any, *, scale: float = 1.0) -> Any:
        return {"main": tf.tanh(self.dense(x)) * scale, "extra": x}


class Shared(tf.Module):
    """Lists of modules, a module used twice, keywords, values with several parts."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [Block(), Block()]
        self.again = self.blocks[0]
        self.parts = {"head": Dense(square(6)[:, :3])}

    def __call__(self, x: Any) -> Any:
        for block in (*self.blocks, self.again):
            x = block(x, scale=0.5)["main"]
        return self.parts["head"](x)


class Child(Block):
    def __call__(self, x: Any, *, scale: float = 1.0) -> Any:
        return super().__call__(x, scale=scale * 2)


def test_cuts_in_the_order_of_execution() -> None:
    places = asc.cuts_of(Shared(), X)
    assert [(place.cut, place.calls) for place in places] == [
        (INPUT, 1),
        *[(Cut(layer, side), 2) for layer, side in (("blocks.0", "in"), ("blocks.0.dense", "in"), ("blocks.0.dense", "out"))],
        (Cut("blocks.0"), 2),
        *[(Cut(layer, side), 1) for layer, side in (("blocks.1", "in"), ("blocks.1.dense", "in"), ("blocks.1.dense", "out"))],
        (Cut("blocks.1"), 1),
        (Cut("parts.head", "in"), 1),
        (Cut("parts.head"), 1),
        (OUTPUT, 1),
    ]
    assert {p.cut: p.shapes for p in places}[Cut("blocks.1")] == ((1, 6), (1, 6))


def test_shared_modules_by_call_and_part() -> None:
    net = Shared()
    first, second = (asc.activation(net, X, at=Cut("blocks.0", accessor="main", call=k)).values for k in (0, 1))
    np.testing.assert_allclose(first, net.blocks[0](X, scale=0.5)["main"], rtol=1e-6)
    middle = net.blocks[1](first, scale=0.5)["main"]
    np.testing.assert_allclose(second, net.blocks[0](middle, scale=0.5)["main"], rtol=1e-6)
    with pytest.raises(CutError, match="no use 2"):
        asc.activation(net, X, at=Cut("blocks.0", accessor="main", call=2))
    with pytest.raises(CutError, match="no part"):
        asc.activation(net, X, at=Cut("blocks.0", accessor="other"))


def test_gradients_of_one_use_go_through_that_use_alone() -> None:
    net = Shared()
    result = asc.influence(net, X, at=Cut("blocks.0", "in", accessor=0, call=1), of=1)
    values = net.blocks[1](net.blocks[0](X, scale=0.5)["main"], scale=0.5)["main"]
    with tf.GradientTape() as tape:
        tape.watch(values)
        score = net.parts["head"](net.again(values, scale=0.5)["main"])[:, 1]
    np.testing.assert_allclose(result.values, tape.gradient(score, values), rtol=1e-5, atol=1e-7)


def test_what_is_written_goes_on() -> None:
    net = Shared()
    with open_session(net, asc.Call(X)) as session:
        cut = session.resolve(Cut("blocks.1", accessor="main"), True)
        spots = session.evaluate(Job(np.arange(4), read=(cut,))).reads[cut].spots
        values = RANDOM.normal(size=(3, 4, 6)).astype(np.float32)
        found = session.evaluate(Job(np.arange(4), 3, cut, tuple(spots), (values,), read=(OUTPUT,))).reads[OUTPUT].arrays[0]
    for k in range(3):
        truth = net.parts["head"](net.again(tf.constant(values[k]), scale=0.5)["main"])
        np.testing.assert_allclose(found[k], truth, rtol=1e-5, atol=1e-6)


def test_a_call_of_the_parent_class_is_no_use_of_its_own() -> None:
    net = Shared()
    net.blocks[1] = Child()
    assert {p.cut: p.calls for p in asc.cuts_of(net, X)}[Cut("blocks.1")] == 1


def test_modules_inside_functions_are_reached() -> None:
    class Inner(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(square(6))

        @tf.function
        def step(self, x: Any) -> Any:
            return self.dense(x)

        @tf.function
        def __call__(self, x: Any) -> Any:
            return tf.nn.relu(self.step(x))

    net = Inner()
    np.testing.assert_allclose(asc.activation(net, X, at="dense").values, net.dense(X), rtol=1e-6)
    assert [p.cut.layer for p in asc.cuts_of(net, X)] == ["", "dense", "dense", ""]


def test_unknown_layers_and_layers_that_do_not_run() -> None:
    net = Shared()
    net.unused = Dense(square(6))
    with pytest.raises(CutError, match=r"no layer 'blocks.2'.*Try: at='blocks"):
        asc.activation(net, X, at="blocks.2")
    with pytest.raises(CutError, match="did not run"):
        asc.activation(net, X, at="unused")
    with pytest.raises(CutError, match="A function has no layer"):
        asc.activation(lambda x: tf.tanh(x), X, at="unused")


# What is left as it was


def calls(net: tf.Module) -> list[Any]:
    kinds = {type(module) for module in (net, *net.submodules)} | {type(tf.function(lambda: None))}
    return [kind.__dict__.get("__call__") for kind in sorted(kinds, key=str)]


def test_everything_is_left_as_it_was() -> None:
    net = Shared()
    before, weights = calls(net), [v.numpy() for v in net.variables]
    flags = [v.trainable for v in net.variables]

    def wrong(y: Any) -> Any:
        raise KeyError("no")

    asc.attribute(net, X, of=1, at="blocks.1.dense", over=asc.Line(0.0, steps=4))
    for of, error in ((wrong, QuantityError), (7, QuantityError)):
        with pytest.raises(error):
            asc.influence(net, X, of=of, at="blocks.1.dense")
    with pytest.raises(ModelError, match="The model raised"):
        asc.influence(net, X[:, :5], of=1, at="blocks.1.dense")
    assert calls(net) == before
    assert tf.executing_eagerly()
    assert not tf.config.functions_run_eagerly()
    assert [v.trainable for v in net.variables] == flags
    for a, b in zip(net.variables, weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


def test_counters_and_moving_means_are_put_back() -> None:
    class Counting(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = tf.Variable(0, trainable=False)
            self.dense = Dense(square(6))

        def __call__(self, x: Any) -> Any:
            self.count.assign_add(1)
            return self.dense(x)

    net = Counting()
    asc.Saliency()(net, X, of=1)
    assert net.count.numpy() == 0


def test_other_threads_see_nothing() -> None:
    net, seen, errors = Shared(), [], []
    truth = net(X).numpy()
    stop = threading.Event()

    def other() -> None:
        while not stop.is_set():
            try:
                seen.append(np.array_equal(net(X).numpy(), truth))
            except Exception as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    first = asc.attribute(net, X, of=1, at="blocks.1.dense", over=asc.Line(0.0, steps=16)).values
    for _ in range(3):
        np.testing.assert_allclose(
            asc.attribute(net, X, of=1, at="blocks.1.dense", over=asc.Line(0.0, steps=16)).values, first, rtol=1e-5, atol=1e-7
        )
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert seen
    assert all(seen)


def test_two_threads_explain_the_same_model() -> None:
    net, found, errors = Shared(), {}, []
    layers = ["blocks.0.dense", "blocks.1.dense", "parts.head"]
    truth = {layer: asc.activation(net, X, at=Cut(layer, call=0)).values.numpy() for layer in layers}

    def work(layer: str) -> None:
        try:
            for _ in range(5):
                found[layer] = asc.activation(net, X, at=Cut(layer, call=0)).values.numpy()
        except Exception as error:
            errors.append(error)

    before = calls(net)
    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert calls(net) == before
    for layer in layers:
        np.testing.assert_array_equal(found[layer], truth[layer])


# Words and rows of different lengths


def test_words_and_ragged_rows_are_passed_through() -> None:
    table = {b"a": 1.0, b"b": -2.0, b"c": 0.5}
    keys, values = tf.constant(list(table)), tf.constant(list(table.values()))

    def model(x: Any, words: Any, ragged: Any) -> Any:
        shifts = tf.reduce_sum(tf.where(words[:, None] == keys[None], values[None], 0.0), 1)
        return x * shifts[:, None] + tf.reduce_sum(ragged, 1)[:, None]

    words = tf.constant(["a", "b", "c", "b"])
    ragged = tf.ragged.constant([[1.0], [], [2.0, 3.0], [4.0]])
    result = asc.influence(model, X, words, ragged, of=1, over=asc.Line(0.0, steps=3))
    truth = np.zeros((4, 6))
    truth[:, 1] = [table[word] for word in words.numpy()]
    np.testing.assert_allclose(result.values, truth, rtol=1e-6)
    numpy_words = np.array(["a", "b", "c", "b"], dtype=object)
    np.testing.assert_allclose(asc.influence(model, X, numpy_words, ragged, of=1).values, truth, rtol=1e-6)


def test_records_on_another_axis_and_a_call_that_is_one_record() -> None:
    net = Dense(square(6))
    steps = tf.constant(RANDOM.normal(size=(5, 3, 6)), tf.float32)
    result = asc.influence(lambda x: tf.reduce_sum(net(x), 0), asc.Call(steps, records={0: 1}), of=1)
    np.testing.assert_allclose(result.values, np.broadcast_to(net.w.numpy()[:, 1], (5, 3, 6)), rtol=1e-5, atol=1e-6)
    alone = asc.influence(lambda x: tf.reduce_sum(net(x)), asc.Call(steps, records=1), of=lambda y: y)
    np.testing.assert_allclose(alone.values[0], np.broadcast_to(net.w.numpy().sum(1), (5, 3, 6)), rtol=1e-4, atol=1e-5)


def test_errors_are_ours() -> None:
    with pytest.raises(AscribeError):
        asc.Saliency()(tf.Module(), X)
