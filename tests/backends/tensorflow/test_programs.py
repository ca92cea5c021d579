"""Models that their user compiles: points, gradients and sums are one program, equal to the eager model; other labels trace nothing."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import ascribe as asc
from ascribe.backends.tensorflow.compiled import PROGRAMS, counts
from ascribe.backends.tensorflow.summed import SumProgram

X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}
"""Sums of float32 numbers of about 1, in another order."""


class Eager(tf.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self.w, self.v = (tf.Variable(random.normal(size=shape).astype(np.float32)) for shape in ((6, 5), (5, 3)))

    def forward(self, x: Any, scale: Any = 1.0) -> Any:
        return tf.tanh(tf.cast(x, tf.float32) @ self.w) @ self.v * scale

    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        return self.forward(x, scale)


class Compiled(Eager):
    @tf.function(reduce_retracing=True)
    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        return self.forward(x, scale)


class NeedsRows(Compiled):
    """A model that cannot be traced for an unknown number of rows."""

    @tf.function(autograph=False)
    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        if x.shape[0] is None:
            raise ValueError("unknown number of rows")
        return self.forward(x, scale)


def summed(model: Any) -> list[SumProgram]:
    """The programs of a model that add up gradients."""
    return [program for program in PROGRAMS.get(model, {}).values() if isinstance(program, SumProgram)]


METHODS = {
    "line": asc.IntegratedGradients(steps=7),
    "distances": asc.ExpectedGradients(X[:3] + 1, samples=6),
    "noise": asc.SmoothGrad(samples=6),
    "squares": asc.SquareGrad(samples=6),
}


@pytest.mark.parametrize("chunk", [None, 10])
@pytest.mark.parametrize("name", METHODS)
def test_the_program_gives_what_the_eager_model_gives(name: str, chunk: int | None) -> None:
    method, compiled = METHODS[name], Compiled()
    found, truth = (method(model, X, of=[0, 1, 2, 1, 0], chunk=chunk, seed=0) for model in (compiled, Eager()))
    np.testing.assert_allclose(found.values, truth.values, **ROUNDING)
    programs = summed(compiled)
    assert programs
    assert all(program.works for program in programs)


def test_several_arguments() -> None:
    scale = np.linspace(1, 2, 5, dtype=np.float32)[:, None]
    call = asc.Call(X, scale=tf.constant(scale))
    found, truth = (asc.IntegratedGradients(steps=7)(model, call, of=1) for model in (Compiled(), Eager()))
    for a, b in zip(leaves(found.values), leaves(truth.values), strict=True):
        np.testing.assert_allclose(a, b, **ROUNDING)


def leaves(values: Any) -> list[Any]:
    return list(values.values()) if isinstance(values, dict) else [values]


def test_weights_are_seen_and_labels_trace_nothing() -> None:
    model, method = Compiled(), asc.IntegratedGradients(steps=8)
    before = counts.programs
    first = method(model, X, of=1, chunk=10).values
    assert 1 <= counts.programs - before <= 2
    before = counts.programs
    other = method(model, X, of=2, chunk=10).values
    model.v.assign(2 * model.v)
    np.testing.assert_allclose(method(model, X, of=1, chunk=10).values, 2 * first, **ROUNDING)
    assert counts.programs == before
    assert not np.allclose(other, first)


def test_a_model_that_cannot_be_traced_so_gives_the_same() -> None:
    model = NeedsRows()
    found, truth = (METHODS["line"](one, X, of=1, chunk=10).values for one in (model, Eager()))  # chunks of 2 points and of 1
    np.testing.assert_allclose(found, truth, **ROUNDING)
    assert [program.works for program in summed(model)] == [False]


def test_threads_share_a_program() -> None:
    model, truth, found = Compiled(), [METHODS["line"](Eager(), X, of=label).values for label in range(3)], {}

    def work(label: int) -> None:
        found[label] = METHODS["line"](model, X, of=label).values

    threads = [threading.Thread(target=work, args=(label,)) for label in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for label in range(3):
        np.testing.assert_allclose(found[label], truth[label], **ROUNDING)
