"""Rules on functions, concrete functions and SavedModels: their graphs are evaluated operation by operation."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import ascribe as asc  # noqa: E402
from ascribe import rules  # noqa: E402
from ascribe.backends.tensorflow.rules import observe  # noqa: E402
from tests.backends.tensorflow.test_methods import arrays  # noqa: E402
from tests.support.tensorflow_networks import tensorflow_network  # noqa: E402

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 4, 6)).astype(np.float32)
W = tf.constant(RNG.normal(size=(6, 6)).astype(np.float32) / 2)
RESCALE: dict[str, Any] = {"by": rules.Rescale(), "over": asc.Reference(0.3)}


def same(one: Any, other: Any) -> None:
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def saved(model: Any, tensors: Any, folder: Path) -> Any:
    """A module as a loaded SavedModel."""
    specs = [tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in tensors]
    function = tf.function(lambda *args: model(*args))
    tf.saved_model.save(model, str(folder), signatures=function.get_concrete_function(*specs))
    return tf.saved_model.load(str(folder))


@pytest.mark.parametrize("more", [RESCALE, {"by": rules.AttnLRP()}, {"by": rules.EPSILON_PLUS}], ids=["Rescale", "AttnLRP", "book"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "attention", "two_inputs"])
def test_forms_of_one_network(name: str, more: Any, tmp_path: Path) -> None:
    model, tensors = tensorflow_network(name)
    truth = asc.attribute(model, *tensors, of=1, **more)
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
    traced = tf.function(lambda *args: model(*args))
    forms = [traced, traced.get_concrete_function(*specs)]
    if "over" in more:
        loaded = saved(model, tensors, tmp_path)
        loaded = saved(model, tensors, tmp_path)
        found = asc.attribute(loaded, *tensors, of=asc.Unit(1, on=asc.OUTPUT.at("output_0")), **more)
        values = found.values
        parts = [values[key] for key in sorted(values)] if isinstance(values, dict) else [values]
        for a, b in zip(parts, arrays(truth), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    for form in forms:
        same(asc.attribute(form, *tensors, of=1, **more), truth)


def test_cuts_at_operations_of_a_graph() -> None:
    model, tensors = tensorflow_network("residual")
    traced = tf.function(lambda x: model(x))
    at = asc.Cut("add_3")
    assert at in [place.cut for place in asc.cuts_of(traced, *tensors)]
    for more in (RESCALE, {"by": rules.AttnLRP()}, {"by": rules.ZPlus()}):
        found = asc.attribute(traced, *tensors, of=1, at=at, **more)
        same(found, asc.attribute(model, *tensors, of=1, at=asc.Cut("norm", "in"), **more))


def recurrent(x: Any) -> Any:
    """A loop over steps, written with a list of tensors."""
    states = tf.TensorArray(tf.float32, x.shape[1])
    steps = tf.TensorArray(tf.float32, x.shape[1]).unstack(tf.transpose(x, [1, 0, 2]))

    def step(t: Any, state: Any, states: Any) -> Any:
        state = tf.tanh(steps.read(t) + state @ W)
        return t + 1, state, states.write(t, state)

    _, last, states = tf.while_loop(lambda t, *_: t < x.shape[1], step, [0, tf.zeros_like(x[:, 0]), states])
    return last + tf.reduce_mean(states.stack(), 0)


def unrolled(x: Any) -> Any:
    state, states = tf.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        state = tf.tanh(x[:, t] + state @ W)
        states.append(state)
    return state + tf.reduce_mean(tf.stack(states), 0)


@pytest.mark.parametrize("more", [RESCALE, {"by": rules.AttnLRP()}, {"by": rules.Epsilon()}], ids=["Rescale", "AttnLRP", "Epsilon"])
@pytest.mark.parametrize("form", ["eager", "function", "concrete", "within"])
def test_loops_are_followed_step_by_step(form: str, more: Any) -> None:
    x = tf.constant(X)
    traced = tf.function(recurrent)
    concrete = traced.get_concrete_function(x)
    model = {"eager": recurrent, "function": traced, "concrete": concrete, "within": lambda x: concrete(x) * 1.0}[form]
    found = asc.attribute(model, x, of=1, **more)
    same(found, asc.attribute(unrolled, x, of=1, **more))
    assert not any("choice" in str(check) for check in found.checks)


def branched(x: Any, flag: Any) -> Any:
    return tf.cond(flag, lambda: x @ W, lambda: tf.tanh(x) @ W)


@pytest.mark.parametrize("traced", [False, True])
def test_the_branch_of_the_record_is_taken(traced: bool) -> None:
    x = tf.constant(X[:, 0])
    model = tf.function(branched) if traced else branched
    for flag in (True, False):
        found = asc.attribute(model, asc.Call(x, tf.constant(flag)).only(0), of=1, by=rules.AttnLRP())
        np.testing.assert_allclose(np.sum(found.values, 1), branched(x, tf.constant(flag))[:, 1], rtol=1e-4)


@pytest.mark.parametrize("traced", [False, True])
def test_a_branch_that_depends_on_the_record_is_named(traced: bool) -> None:
    def model(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > -1e6, lambda: x @ W, lambda: tf.tanh(x) @ W)

    found = asc.attribute(tf.function(model) if traced else model, tf.constant(X[:, 0]), of=1, **RESCALE)
    assert any("choice" in str(check) for check in found.checks)


def test_functions_that_python_calls_are_entered() -> None:
    inner = tf.function(lambda x: tf.nn.relu(x @ W)).get_concrete_function(tf.TensorSpec([None, 6]))

    def model(x: Any) -> Any:
        return inner(x) + tf.function(tf.tanh)(x)

    def plain(x: Any) -> Any:
        return tf.nn.relu(x @ W) + tf.tanh(x)

    x = tf.constant(X[:, 0])
    for more in (RESCALE, {"by": rules.Guided()}):
        verb: Any = asc.influence if more["by"] == rules.Guided() else asc.attribute
        same(verb(model, x, of=1, **more), verb(plain, x, of=1, **more))


def test_hidden_operations_are_refused() -> None:
    def hidden(x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(np.tanh, [x], tf.float32), x.shape) + x

    x = tf.constant(X[:, 0])
    with pytest.raises(asc.errors.RuleError, match="`PyFunc"):
        asc.attribute(tf.function(hidden).get_concrete_function(x), x, of=1, **RESCALE)
    with pytest.raises(asc.errors.RuleError, match="no derivative"):
        asc.attribute(lambda x: x * tf.raw_ops.LinSpace(start=tf.reduce_sum(x), stop=1.0, num=6), x, of=1, **RESCALE)


def test_operations_without_a_formula_are_named() -> None:
    x = tf.constant(X[:, 0])
    found = asc.attribute(lambda x: tf.math.cumprod(x, 1) @ W, x, of=1, **RESCALE)
    assert any("Cumprod" in str(check) for check in found.checks)
    with pytest.raises(asc.errors.RuleError, match="no exact formula"):
        asc.attribute(lambda x: tf.math.cumprod(x, 1) @ W, x, of=1, by=rules.Rescale(strict=True), over=asc.Reference(0.5))


def test_what_is_written_into_the_state_of_a_model_is_named() -> None:
    total = tf.Variable(tf.zeros(6))

    def model(x: Any) -> Any:
        total.assign(tf.reduce_mean(x, 0))
        return x @ W + total

    found = asc.attribute(model, tf.constant(X[:, 0]), of=1, by=rules.AttnLRP())
    assert any("AssignVariableOp" in str(check) for check in found.checks)


def test_other_threads_are_not_observed() -> None:
    from tensorflow.python.eager import execute

    own, x = execute.execute, tf.constant(X[:, 0])
    going, seen = threading.Event(), []

    def other() -> None:
        going.wait(20)
        seen.append(float(tf.reduce_sum(tf.tanh(x) @ W)))

    thread = threading.Thread(target=other, daemon=True)
    thread.start()

    def model(x: Any) -> Any:
        going.set()
        thread.join(20)
        return tf.tanh(x) @ W

    truth = asc.attribute(lambda x: tf.tanh(x) @ W, x, of=1, **RESCALE)
    same(asc.attribute(model, x, of=1, **RESCALE), truth)
    assert seen
    with pytest.raises(asc.errors.ModelError):
        asc.attribute(lambda x: x @ x, x, of=1, **RESCALE)
    assert execute.execute is own
    assert not observe.OPEN
