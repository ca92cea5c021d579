"""Norms, softmax and its logarithms are recognised however they are written, and what cannot be followed is named or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402
from jax.ad_checkpoint import checkpoint_name  # noqa: E402

import ascribe as asc  # noqa: E402
from ascribe import rules  # noqa: E402
from ascribe.backends.jax.rules.record import Recorder  # noqa: E402
from ascribe.tape.merging import leading  # noqa: E402
from ascribe.tape.motifs import recognise_motifs  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 8)).astype(np.float32)
SCALE, SHIFT = RNG.uniform(0.5, 1.5, 8).astype(np.float32), RNG.normal(size=8).astype(np.float32)
W = RNG.normal(size=(8, 4)).astype(np.float32)


def forms_of(f: Callable[..., Any], x: Any = X) -> list[str]:
    """The forms of the operations that lead to the result, after what is written out was recognised."""
    closed = jax.make_jaxpr(f)(x)
    recorder = Recorder()
    (out,) = recorder.run(closed.jaxpr, closed.consts, [recorder.source(jnp.asarray(x))])
    recorder.tape.close()
    recognise_motifs(recorder.tape)
    entries = leading(recorder.tape.entries, out)
    again = {v: v.value for v in recorder.tape.sources}
    for entry in entries:
        values = entry.framework.again(entry, lambda v: again[v])
        again.update({v: a for v, a in zip(entry.outs, values, strict=True) if v is not None})
    np.testing.assert_allclose(again[out], f(x), rtol=1e-4, atol=1e-5)
    return [entry.op.form for entry in entries]


def flax_norm(kind: str, fast: bool) -> Callable[..., Any]:
    linen = pytest.importorskip("flax.linen")
    module = getattr(linen, kind)(use_fast_variance=fast)
    params = {"scale": SCALE} | ({"bias": SHIFT} if kind == "LayerNorm" else {})
    return lambda x: module.apply({"params": params}, x)


def equinox_norm(kind: str) -> Callable[..., Any]:
    equinox = pytest.importorskip("equinox")
    layer = getattr(equinox.nn, kind)(8)
    return lambda x: jax.vmap(jax.vmap(layer))(x)


def divided_by_root(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(jnp.var(x, -1, keepdims=True) + 1e-5) * SCALE + SHIFT


def scaled_before(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * SCALE * ((x**2).mean(-1, keepdims=True) - x.mean(-1, keepdims=True) ** 2 + 1e-5) ** -0.5


def over_root(x: Any) -> Any:
    return x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * SCALE


LAYER_NORMS = {
    "flax": lambda: flax_norm("LayerNorm", False),
    "flax, fast variance": lambda: flax_norm("LayerNorm", True),
    "equinox": lambda: equinox_norm("LayerNorm"),
    "standardize": lambda: jax.nn.standardize,
    "over a root": lambda: divided_by_root,
    "scaled before": lambda: scaled_before,
}
RMS_NORMS = {
    "flax": lambda: flax_norm("RMSNorm", True),
    "equinox": lambda: equinox_norm("RMSNorm"),
    "over a root": lambda: over_root,
}


@pytest.mark.parametrize("spelling", LAYER_NORMS)
def test_layer_norms(spelling: str) -> None:
    assert forms_of(LAYER_NORMS[spelling]()) == ["layer_norm"]


@pytest.mark.parametrize("spelling", RMS_NORMS)
def test_rms_norms(spelling: str) -> None:
    assert forms_of(RMS_NORMS[spelling]())[0] == "rms_norm"


SOFTMAXES: dict[str, tuple[str, Callable[..., Any]]] = {
    "softmax": ("softmax", lambda x: jax.nn.softmax(x, 1)),
    "plain": ("softmax", lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True)),
    "times one over": ("softmax", lambda x: jnp.exp(x - 3.0) * (1 / jnp.exp(x - 3.0).sum(-1, keepdims=True))),
    "of log_softmax": ("softmax", lambda x: jnp.exp(jax.nn.log_softmax(x))),
    "log_softmax": ("log_softmax", jax.nn.log_softmax),
    "log of softmax": ("log_softmax", lambda x: jnp.log(jax.nn.softmax(x))),
    "less logsumexp": ("log_softmax", lambda x: x - jax.nn.logsumexp(x, -1, keepdims=True)),
    "logsumexp": ("logsumexp", lambda x: jax.nn.logsumexp(x, 1)),
    "logsumexp with axes": ("logsumexp", lambda x: jax.nn.logsumexp(x, 1, keepdims=True)),
    "log of a sum": ("logsumexp", lambda x: jnp.log(jnp.exp(x).sum(-1))),
}


@pytest.mark.parametrize("spelling", SOFTMAXES)
def test_softmaxes(spelling: str) -> None:
    form, f = SOFTMAXES[spelling]
    assert forms_of(f) == [form]


@pytest.mark.parametrize("shift", ["a mean along another axis", "an element"])
def test_what_is_no_norm_or_softmax_is_left(shift: str) -> None:
    axis = 1 if shift == "an element" else -1
    assert "softmax" not in forms_of(lambda x: jnp.exp(x) / jnp.exp(x).sum((axis, 0), keepdims=True))
    assert "layer_norm" not in forms_of(lambda x: (x - x[..., :1]) / jnp.sqrt(jnp.var(x, axis, keepdims=True) + 1e-5))


class TorchNorm(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.layer_norm(x, (8,), torch.tensor(SCALE), torch.tensor(SHIFT)) @ torch.tensor(W)
        return y.softmax(-1).mean(1)


@pytest.mark.parametrize("rule", [rules.AttnLRP(), rules.Rescale()], ids=str)
def test_the_numbers_are_those_of_fused_operations(rule: Any) -> None:
    over = {"over": asc.Reference(torch.tensor(X[:1] / 2 + 1))} if rule.compares else {}
    truth = asc.attribute(TorchNorm(), torch.tensor(X), of=1, by=rule, **over)
    over = {"over": asc.Reference(jnp.asarray(X[:1] / 2 + 1))} if rule.compares else {}
    found = asc.attribute(lambda x: jax.nn.softmax(divided_by_root(x) @ W).mean(1), jnp.asarray(X), of=1, by=rule, **over)
    scale = float(truth.values.abs().max())
    np.testing.assert_allclose(found.values, truth.values, rtol=0, atol=1e-5 * scale)


def looped(x: Any) -> Any:
    return jax.lax.while_loop(lambda y: y.sum() < 1e3, lambda y: y * 2 + 1, x)


def stepped(x: Any) -> Any:
    return jax.lax.scan(lambda y, _: (checkpoint_name(jnp.tanh(y), "step"), None), x, length=3)[0]


FLAT = X[:, 0]


def test_a_loop_without_a_fixed_length_is_refused() -> None:
    with pytest.raises(asc.errors.RuleError, match="`while`"):
        asc.attribute(looped, jnp.asarray(FLAT), of=1, by=rules.AttnLRP())


def test_a_cut_inside_a_loop_is_refused() -> None:
    with pytest.raises(asc.errors.RuleError, match="`scan`"):
        asc.attribute(stepped, jnp.asarray(FLAT), of=1, at="step", by=rules.AttnLRP())


def test_the_branch_of_the_record_is_taken() -> None:
    def model(x: Any, flag: bool) -> Any:
        return jax.lax.cond(flag, lambda y: y @ W, lambda y: jnp.tanh(y) @ W, x)

    for flag in (True, False):
        given = asc.Call(jnp.asarray(FLAT), jnp.asarray(flag)).only(0)
        found = asc.attribute(model, given, of=1, by=rules.AttnLRP())
        np.testing.assert_allclose(np.sum(found.values, 1), model(FLAT, flag)[:, 1], rtol=1e-4)


def test_an_operation_without_a_formula_is_named() -> None:
    def model(x: Any) -> Any:
        return jnp.cumprod(x, 1) @ W

    found = asc.attribute(model, jnp.asarray(FLAT), of=1, by=rules.Rescale(), over=asc.Reference(0.5))
    assert any("cumprod" in str(check) for check in found.checks)
    with pytest.raises(asc.errors.RuleError, match="no exact formula"):
        asc.attribute(model, jnp.asarray(FLAT), of=1, by=rules.Rescale(strict=True), over=asc.Reference(0.5))


def test_the_table_of_a_rule_names_what_was_recognised() -> None:
    table = str(asc.explain_rules(lambda x: jax.nn.softmax(divided_by_root(x) @ W).mean(1), jnp.asarray(X), of=1, by=rules.AttnLRP()))
    assert "layer_norm" in table
    assert "softmax" in table
