"""The interception of Keras calls: gone after use, also after errors, and not seen by other threads."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.backends.keras import intercept
from ascribe.backends.keras.intercept import Interception
from tests.support.keras_networks import native

X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def model() -> Any:
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(3, activation="softmax", name="head")(layers.Dense(4, activation="relu", name="first")(x)))


def state(net: Any) -> tuple[Any, ...]:
    """Everything that an interception changes while it is open."""
    return (
        keras.layers.Layer.__call__, keras.Operation.__call__, *(layer.activation for layer in net.layers[1:]),
        keras.config.backend(), [v.trainable for v in net.variables],
    )  # fmt: skip


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(a is b or a == b for a, b in zip(one, other, strict=True))


def test_nothing_is_changed_after_a_call() -> None:
    net = model()
    before = state(net)
    asc.cuts_of(net, native(X))
    asc.IntegratedGradients(steps=4)(net, native(X), at="first", of=asc.Unit(1, on=asc.LOGITS))
    assert same(state(net), before)
    assert not intercept.PLACED
    assert intercept.OPEN.get() is None


class Broken(keras.layers.Layer):
    """A layer that fails after its first uses."""

    uses = 0

    def call(self, x: Any) -> Any:
        type(self).uses += 1
        if self.uses > 4:
            raise RuntimeError("broken")
        return x


@pytest.mark.parametrize("uses", [4] if keras.config.backend() == "jax" else [3, 4])
def test_nothing_is_changed_after_an_error(uses: int) -> None:
    Broken.uses = 0
    x = keras.Input((6,))
    net = keras.Model(x, layers.Dense(3, activation="softmax", name="head")(Broken()(x)))
    before = keras.layers.Layer.__call__, keras.Operation.__call__, net.get_layer("head").activation
    Broken.uses = uses
    with pytest.raises(asc.AscribeError, match="Broken"):
        for _ in range(3):
            asc.IntegratedGradients(steps=4)(net, native(X), at=asc.Cut("head", "in"), of=asc.Unit(1, on=asc.LOGITS))
    assert before == (keras.layers.Layer.__call__, keras.Operation.__call__, net.get_layer("head").activation)
    assert not intercept.PLACED


def test_another_thread_is_not_followed() -> None:
    net, seen = model(), []

    def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
        seen.append(path)
        return value

    with Interception(net, visit, lambda path: True):
        thread = threading.Thread(target=net, args=(native(X),))
        thread.start()
        thread.join()
        assert seen == []
        net(native(X))
    assert seen == ["first", "first.activation", "first.activation", "first", "head", "head.activation", "head.activation", "head"]
    net(native(X))
    assert len(seen) == 8


def test_threads_explain_one_model_at_a_time_without_meeting() -> None:
    net = model()
    truth = as_numpy(asc.IntegratedGradients(steps=4)(net, native(X), at="first", of=asc.Unit(1, on=asc.LOGITS)).values)
    found: list[Any] = []

    def explain() -> None:
        found.extend(asc.IntegratedGradients(steps=4)(net, native(X), at="first", of=asc.Unit(1, on=asc.LOGITS)).values for _ in range(3))

    threads = [threading.Thread(target=explain) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 9
    for values in found:
        np.testing.assert_allclose(as_numpy(values), truth, rtol=1e-5, atol=1e-7)
    assert not intercept.PLACED
    assert "followed" not in keras.layers.Layer.__call__.__qualname__


def test_interceptions_inside_each_other_both_see_every_value() -> None:
    net, inner, outer = model(), [], []

    def seen_by(seen: list[str]) -> Any:
        def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
            seen.append(f"{path} {anchor}")
            return value

        return visit

    with Interception(net, seen_by(outer)), Interception(net, seen_by(inner), lambda path: True):
        net(native(X))
    assert outer == ["first in", "first out", "head in", "head out"]
    assert [name for name in inner if "activation" not in name] == outer


def test_a_value_can_be_replaced() -> None:
    net = model()

    def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
        return ops.zeros_like(value) if (path, anchor) == ("first", "out") else value

    with Interception(net, visit):
        found = as_numpy(ops.stop_gradient(net(native(X))))
    np.testing.assert_allclose(found, np.full((3, 3), 1 / 3), rtol=1e-5, atol=1e-6)
