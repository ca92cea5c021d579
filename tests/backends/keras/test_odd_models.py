"""Methods on Keras models as users write them: gradients are those of finite differences, estimates add up, nothing is changed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import RuleError
from ascribe.tree import map_leaves, walk
from tests.support.odd_keras_models import ODD

FEW = ("layer with state", "dictionary", "dropout in training", "masked LSTM", "no batch", "loaded file")
NAMES = [name for name in ODD if keras.config.backend() == "tensorflow" or name in FEW]
"""Each is compiled for JAX: there, and on PyTorch, only the oddest."""


def leaves(tree: Any) -> list[np.ndarray]:
    return [as_numpy(leaf) for _, leaf in walk(tree) if leaf is not None and as_numpy(leaf).dtype.kind == "f"]


def quantity(name: str) -> Any:
    return {"dictionary": asc.Unit(1, on=asc.OUTPUT.at("logits")), "dataclass": lambda y: y.scores[:, 1]}.get(name, 1)


def called(name: str) -> tuple[Any, tuple[Any, ...], dict[str, Any], Any]:
    model, args, kwargs = ODD[name]()
    return model, (asc.Call(*args, records=1),) if name == "no batch" else args, kwargs, args


def score(name: str, model: Any, args: Any, kwargs: Any) -> np.ndarray:
    """The explained numbers, by the model itself."""
    y = model(*args, **kwargs)
    y = y["logits"] if name == "dictionary" else y.scores if name == "dataclass" else y
    return as_numpy(ops.stop_gradient(y))[..., 1].astype(np.float64)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "dropout in training"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, given, kwargs, args = called(name)
    found = leaves(asc.influence(model, *given, of=quantity(name), **kwargs).values)
    rng, step = np.random.default_rng(0), 1e-2
    directions = iter([rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves(args)])
    moves = {path: next(directions) for path, leaf in walk(args) if as_numpy(leaf).dtype.kind == "f"}
    if name == "masked LSTM":  # a masked step stays one
        moves = {path: np.where(leaves(args)[0] == 0, 0, move) for path, move in moves.items()}

    def at(t: float) -> np.ndarray:
        return score(name, model, map_leaves(args, lambda path, leaf: leaf + t * moves[path] if path in moves else leaf), kwargs)

    truth = (at(step) - at(-step)) / (2 * step)
    records = truth.size
    mine = sum((g * move).reshape(records, -1).sum(1) for g, move in zip(found, moves.values(), strict=True))
    np.testing.assert_allclose(mine, truth.reshape(-1), rtol=2e-2, atol=2e-3 * np.abs(truth).max())


@pytest.mark.parametrize("name", NAMES)
def test_methods_run_and_add_up(name: str) -> None:
    model, given, kwargs, _ = called(name)
    before = [np.array(v) for v in getattr(model, "get_weights", list)()]
    of = quantity(name)
    saliency = asc.Saliency()(model, *given, of=of, **kwargs)
    assert all(np.isfinite(leaf).all() for leaf in leaves(saliency.values))
    line = asc.IntegratedGradients(0.0, steps=64)(model, *given, of=of, **kwargs)
    if name not in ("dropout in training", "series"):
        assert np.abs(line.gap.absolute).max() < 2e-2
    ablation = asc.FeatureAblation(by=asc.Replace(0.0), features=asc.Grid(2) if name in ("separable", "volume") else None)
    if name != "volume":
        assert leaves(ablation(model, *given, of=of, **kwargs).values)
    shapley = asc.KernelShap(400, by=0.0)(model, *given, of=of, **kwargs)
    if name != "dropout in training":
        assert np.abs(shapley.gap.absolute).max() < 1e-3
    if name in ("separable", "series"):
        assert asc.GradCam()(model, *given, of=of, **kwargs).values.shape[0] == 2
    for one, other in zip(before, getattr(model, "get_weights", list)(), strict=True):
        np.testing.assert_array_equal(one, other)
    if not isinstance(model, keras.Model):
        return
    try:
        rule = asc.DeepLift(0.0)(model, *given, of=of, **kwargs)
    except RuleError:  # the operation is named: see the tests of rules
        return
    assert rule.gap is None or np.abs(rule.gap.absolute).max() < 1e-3 or any(c.status == "warn" for c in rule.checks)
