"""Norms, softmax and its logarithms are recognised however they are written in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

tf = pytest.importorskip("tensorflow")

import ascribe as asc  # noqa: E402
from ascribe import rules  # noqa: E402
from ascribe.backends.tensorflow.rules.interpret import entered  # noqa: E402
from ascribe.backends.tensorflow.rules.observe import observed  # noqa: E402
from ascribe.backends.tensorflow.rules.record import Recorder  # noqa: E402
from ascribe.backends.tensorflow.rules.writers import WRITERS  # noqa: E402
from ascribe.tape.merging import leading  # noqa: E402
from ascribe.tape.motifs import recognise_motifs  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 8)).astype(np.float32)
IMAGE = RNG.normal(size=(2, 7, 6, 4)).astype(np.float32)
SCALE, SHIFT = RNG.uniform(0.5, 1.5, 8).astype(np.float32), RNG.normal(size=8).astype(np.float32)
W = RNG.normal(size=(8, 4)).astype(np.float32)


def recorded(f: Callable[..., Any], x: Any) -> Any:
    """The operations of a function, and its result on the tape, after what is written out was recognised."""
    recorder = Recorder(WRITERS, entered)
    start = recorder.source(tf.constant(x))
    with observed(recorder):
        y = f(start)
    recorder.check()
    out = recorder.value(y)
    recorder.tape.close()
    recognise_motifs(recorder.tape)
    entries = leading(recorder.tape.entries, out)
    again = {v: v.value for v in recorder.tape.sources}
    for entry in entries:
        values = entry.framework.again(entry, lambda v: again[v])
        again.update({v: a for v, a in zip(entry.outs, values, strict=True) if v is not None})
    np.testing.assert_allclose(again[out], f(tf.constant(x)), rtol=1e-4, atol=1e-5)
    return entries


def forms_of(f: Callable[..., Any], x: Any = X) -> list[str]:
    """The forms of the operations that lead to the result."""
    return [entry.op.form for entry in recorded(f, x)]


def fused(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, SHIFT, SCALE, 1e-5)


def divided_by_root(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-5) * SCALE + SHIFT


def scaled_before(x: Any) -> Any:
    mean = tf.reduce_mean(x, -1, keepdims=True)
    return (x - mean) * SCALE * (tf.reduce_mean(x**2, -1, keepdims=True) - mean**2 + 1e-5) ** -0.5


def over_root(x: Any) -> Any:
    return x / tf.sqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-6) * SCALE


@pytest.mark.parametrize("spelling", [fused, divided_by_root, scaled_before])
def test_layer_norms(spelling: Any) -> None:
    assert forms_of(spelling) == ["layer_norm"]


def test_rms_norms() -> None:
    assert forms_of(over_root)[0] == "rms_norm"


SOFTMAXES: dict[str, tuple[str, Callable[..., Any]]] = {
    "softmax": ("softmax", tf.nn.softmax),
    "plain": ("softmax", lambda x: tf.exp(x) / tf.reduce_sum(tf.exp(x), -1, keepdims=True)),
    "times one over": ("softmax", lambda x: tf.exp(x - 3.0) * (1 / tf.reduce_sum(tf.exp(x - 3.0), -1, keepdims=True))),
    "of log_softmax": ("softmax", lambda x: tf.exp(tf.nn.log_softmax(x))),
    "log_softmax": ("log_softmax", tf.nn.log_softmax),
    "log of softmax": ("log_softmax", lambda x: tf.math.log(tf.nn.softmax(x))),
    "less logsumexp": ("log_softmax", lambda x: x - tf.reduce_logsumexp(x, -1, keepdims=True)),
    "logsumexp": ("logsumexp", lambda x: tf.reduce_logsumexp(x, 1)),
    "log of a sum": ("logsumexp", lambda x: tf.math.log(tf.reduce_sum(tf.exp(x), -1))),
}


@pytest.mark.parametrize("spelling", SOFTMAXES)
def test_softmaxes(spelling: str) -> None:
    form, f = SOFTMAXES[spelling]
    assert forms_of(f) == [form]


EINSUMS = {
    "bsd,dk->bsk": (X, W), "bsd,kd->bks": (X, W.T), "bsd,dhk->bhsk": (X, RNG.normal(size=(8, 2, 4))),
    "bshd,hdo->bso": (RNG.normal(size=(3, 5, 2, 4)), RNG.normal(size=(2, 4, 6))), "bsd,bds->bs": (X, RNG.normal(size=(3, 8, 5))),
    "d,dk->k": (X[0, 0], W), "bsd->bds": (X, None), "bsd->bs": (X, None),
}  # fmt: skip


@pytest.mark.parametrize("equation", EINSUMS)
def test_einstein_sums(equation: str) -> None:
    x, w = EINSUMS[equation]
    args = [] if w is None else [tf.constant(w.astype(np.float32))]
    forms = forms_of(lambda x: tf.einsum(equation, x, *args), x.astype(np.float32))
    assert set(forms) <= {"permute", "reshape", "matmul", "linear", "sum"}
    if len(args) == 1 and equation != "bsd,bds->bs":  # the other way round
        left, _, right = equation.partition("->")
        forms_of(lambda x: tf.einsum(f"{','.join(left.split(',')[::-1])}->{right}", *args, x), x.astype(np.float32))


def test_products_of_two_values() -> None:
    assert "matmul" in forms_of(lambda x: tf.einsum("bqd,bkd->bqk", x, tf.sin(x)))
    assert "matmul" in forms_of(lambda x: tf.matmul(x, tf.sin(x), transpose_b=True))


KERNEL = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
CONVOLUTIONS: dict[str, Callable[..., Any]] = {
    "same": lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME") + tf.constant(SHIFT[:6]),
    "strided": lambda x: tf.nn.bias_add(tf.nn.conv2d(x, KERNEL, 2, "VALID"), SHIFT[:6]),
    "dilated": lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME", dilations=2),
    "groups": lambda x: tf.nn.conv2d(x, KERNEL[:, :, :2], 1, "SAME"),
    "depthwise": lambda x: tf.nn.depthwise_conv2d(x, KERNEL[:, :, :, :2], [1, 1, 1, 1], "SAME"),
    "transposed": lambda x: tf.nn.conv2d_transpose(x, KERNEL.transpose(0, 1, 3, 2), [2, 14, 12, 6], 2, "SAME"),
    "rows": lambda x: tf.nn.conv1d(x[:, 0], KERNEL[0], 1, "SAME"),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions_with_their_neighbours(kind: str) -> None:
    """What comes before and after is merged into the weights: conservation holds, and the gradient is that of the function."""

    def model(x: Any) -> Any:
        factor, shift = tf.constant([0.5, 2.0, -1.0, 1.5]), tf.constant([0.1, -0.2, 0.3, 0.4])
        y = CONVOLUTIONS[kind](x * factor + shift)
        n = y.shape[-1]
        y = y * tf.constant(np.linspace(0.5, 2, n).astype(np.float32)) + tf.constant(np.linspace(-1, 1, n).astype(np.float32))
        return tf.reduce_sum(tf.nn.relu(y), list(range(1, len(y.shape) - 1)))

    x = tf.constant(IMAGE)
    for rule in (rules.Epsilon(0.0), rules.ZPlus()):
        with_bias = asc.attribute(model, x, of=1, by=rule)
        assert np.isfinite(with_bias.values).all()
    found = asc.attribute(model, x, of=1, by=rules.Rescale(), over=asc.Reference(0.2))
    assert float(np.max(found.gap.relative)) < 1e-5


POOLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "overlapping": (lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"), lambda z: torch.nn.functional.max_pool2d(z, 3, 2, padding=(1, 1))),
    "valid": (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), lambda z: torch.nn.functional.max_pool2d(z, 2, 2)),
    "mean": (lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID"), lambda z: torch.nn.functional.avg_pool2d(z, 2, 2)),
    "largest": (lambda x: tf.reduce_max(x, [1], keepdims=True), lambda z: z.amax(2, keepdim=True)),
}


@pytest.mark.parametrize("rule", [rules.Rescale(), rules.Epsilon()], ids=str)
@pytest.mark.parametrize("kind", POOLS)
def test_pooling(kind: str, rule: Any) -> None:
    mine, theirs = POOLS[kind]
    x = IMAGE[:, :, :5] if kind == "overlapping" else IMAGE
    other = np.roll(x, 1, 1)[:1] * 0.7
    over = [{"over": asc.Reference(f(other))} for f in (tf.constant, lambda a: torch.tensor(a.transpose(0, 3, 1, 2)))]
    over = over if rule.compares else [{}, {}]
    found = asc.attribute(lambda x: tf.reduce_sum(mine(x) ** 2, [1, 2]), tf.constant(x), of=1, by=rule, **over[0])
    truth = asc.attribute(lambda z: (theirs(z) ** 2).sum((2, 3)), torch.tensor(x.transpose(0, 3, 1, 2)), of=1, by=rule, **over[1])
    np.testing.assert_allclose(found.values, truth.values.permute(0, 2, 3, 1), rtol=0, atol=1e-5 * float(truth.values.abs().max()))
