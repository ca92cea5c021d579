"""Every named method carries the facts for choosing it, ``help()`` shows all of them, and they are true on small networks."""

from __future__ import annotations

import dataclasses
import inspect
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError
from ascribe.methods import METHODS, Method, Passes, catalogue
from ascribe.methods.facts import Claim, Need, evaluate_formula, field_names

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")

DOUBLE = torch.float64


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()  # type: ignore[operator]
    return nn.Sequential(*layers).to(DOUBLE).eval()


def table(seed: int = 1, records: int = 6) -> torch.Tensor:
    return torch.randn(records, 6, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


MLP = network(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
CNN = network(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
X, ROWS = table(), table(2, 4)
IMAGES = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
EXAMPLES: dict[str, Callable[[], Method]] = {
    "IntegratedGradients": lambda: asc.IntegratedGradients(steps=5),
    "InternalInfluence": lambda: asc.InternalInfluence(steps=5),
    "Conductance": lambda: asc.Conductance(steps=5),
    "SmoothGrad": lambda: asc.SmoothGrad(6),
    "SquareGrad": lambda: asc.SquareGrad(6),
    "VarGrad": lambda: asc.VarGrad(6),
    "ExpectedGradients": lambda: asc.ExpectedGradients(ROWS, 6),
    "DeepLiftShap": lambda: asc.DeepLiftShap(ROWS),
    "FeaturePermutation": lambda: asc.FeaturePermutation(3),
    "Occlusion": lambda: asc.Occlusion(2),
    "Lime": lambda: asc.Lime(40),
    "Rise": lambda: asc.Rise(50),
    "SobolIndices": lambda: asc.SobolIndices(100),
    "Hsic": lambda: asc.Hsic(60),
    "KernelShap": lambda: asc.KernelShap(40),
    "ShapleySampling": lambda: asc.ShapleySampling(40),
    "Partition": lambda: asc.Partition(40),
}
SIZES = {"features": 6, "rows": len(ROWS), "channels": 5, "windows": 9, "points": 1}


def example(name: str) -> Method:
    return EXAMPLES.get(name, METHODS[name])()


def fit_forest(model: Any = None) -> Any:
    """A forest that has learnt the scores of a network; by default those of MLP."""
    from sklearn.ensemble import RandomForestRegressor

    train = table(5, 80)
    train[:, 2] = 0  # no tree can split by it, as the network of the test of an ignored feature does not
    with torch.no_grad():
        return RandomForestRegressor(5, max_depth=4, random_state=0).fit(train.numpy(), (model or MLP)(train).numpy())


def explain(name: str, model: Any = None, **options: Any) -> asc.Attribution:
    """The method at the network that it needs, at most as many rows at once as there are records."""
    needs, x = METHODS[name].needs, IMAGES if "images" in METHODS[name].needs else X
    call: dict[str, Any] = {"at": "0"} if name == "LayerActivation" else {"of": 1}
    if "trees" in needs:
        model, x = fit_forest(model), X.numpy()
    return example(name)(model or (CNN if "images" in needs else MLP), x, chunk=len(x), **call, **options)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_the_facts_and_help_shows_them(name: str) -> None:
    cls = METHODS[name]
    assert isinstance(cls.cost, Passes)
    assert set(cls.needs) <= set(get_args(Need))
    assert set(cls.claims) <= set(get_args(Claim))
    assert cls.source
    shown = " ".join(pydoc.render_doc(cls, renderer=pydoc.plaintext).replace("|", " ").split())
    for part in ("*Use it when*", ">>> ", "Parameters of the call:", "Returns:", "Raises:", f"Cost: {cls.cost}", f"Source: {cls.source}"):
        assert part in shown, part
    for parameter in ("model:", "of:", "at:", "seed:", "chunk:", "progress:", *(f"{f.name}:" for f in dataclasses.fields(cls))):
        assert f" {parameter} " in shown, parameter
    assert ("Needs:" in shown, "Claims:" in shown) == (bool(cls.needs), bool(cls.claims))
    assert f"asc.{name}(" in (cls.__doc__ or "")
    assert field_names(cls) == [f.name for f in dataclasses.fields(cls)]


@pytest.mark.parametrize("name", METHODS)
def test_all_methods_have_one_call(name: str) -> None:
    cls = METHODS[name]
    assert cls.__call__ is Method.__call__
    assert list(inspect.signature(cls.__call__).parameters) == ["self", "model", "args", "of", "at", "seed", "chunk", "progress", "kwargs"]


@pytest.mark.parametrize("name", METHODS)
def test_the_cost_is_what_a_later_call_takes(name: str) -> None:
    explain(name)
    found, cost = explain(name).cost, METHODS[name].cost
    assert found is not None
    assert cost is not None
    forward, backward = cost.count(example(name), **SIZES)
    if cost.at_most:
        assert found.forward <= forward
    else:
        assert found.forward == forward
    assert found.backward == backward


@pytest.mark.parametrize("name", METHODS)
def test_methods_without_needs_of_the_model_explain_any_function(name: str) -> None:
    """A gradient, layers, ReLUs and trees are what a function of arrays does not have."""

    def function(x: np.ndarray) -> np.ndarray:
        return (MLP if x.ndim == 2 else CNN)(torch.from_numpy(x)).detach().numpy()

    inside = {"gradient", "layers", "spatial layers", "biases", "ReLU", "trees"} & set(METHODS[name].needs)
    x = (IMAGES if "images" in METHODS[name].needs else X).numpy()
    if inside:
        with pytest.raises(AscribeError):
            example(name)(function, x, **({"at": "0"} if name == "LayerActivation" else {"of": 1}))
    else:
        assert example(name)(function, x, of=1).values.shape == x.shape


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if "completeness" in cls.claims])
def test_what_claims_completeness_adds_up(name: str) -> None:
    found = explain(name)
    assert found.gap is not None
    assert np.max(found.gap.relative) < 0.2, "five steps of integrated gradients are not many"
    assert not [check for check in found.checks if check.name == "completeness" and check.status == "fail"]


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if "dummy" in cls.claims])
def test_what_claims_dummy_gives_an_ignored_feature_nothing(name: str) -> None:
    model = network(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)) if "images" not in METHODS[name].needs else None
    if model is None:
        return
    with torch.no_grad():
        model[0].weight[:, 2] = 0  # type: ignore[index, operator]
    at = {"at": asc.INPUT}
    np.testing.assert_allclose(np.asarray(explain(name, model, **at).values)[:, 2], 0, atol=1e-9)


@pytest.mark.parametrize(
    "name", [name for name, cls in METHODS.items() if "linearity" in cls.claims and not {"images", "trees"} & set(cls.needs)]
)
def test_what_claims_linearity_is_linear_in_the_quantity(name: str) -> None:
    method = example(name)
    first, second = (method(MLP, X, of=k, seed=2) for k in (0, 1))
    both = method(MLP, X, of=lambda y: 2 * y[:, 0] - y[:, 1], seed=2)
    for (_, a), (_, b), (_, c) in zip(first.arrays(), second.arrays(), both.arrays(), strict=True):
        torch.testing.assert_close(c, 2 * a - b, rtol=1e-7, atol=1e-9)


def test_formulas_of_passes() -> None:
    assert evaluate_formula("2**features + 3 * rows - 1", {"features": 3, "rows": 2}) == 13
    assert str(Passes("1", "1")) == "1 forward pass, 1 backward pass"
    assert str(Passes("samples * features + 1")) == "samples x features + 1 forward passes"
    assert str(Passes("budget", at_most=True)) == "at most budget forward passes"
    with pytest.raises(KeyError):
        Passes("steps").count(asc.IntegratedGradients())


def test_a_method_of_ones_own_has_the_call_and_the_help() -> None:
    @dataclasses.dataclass(frozen=True, repr=False)
    class Both(Method):
        """The sum of two methods. *Use it when* you test."""

        samples: int = 4

        cost = Passes("samples + 2", "samples + 1")
        source = "this test"

        def explain_call(self, model: Any, call: Any, of: Any, at: Any, options: Any) -> asc.Attribution:
            return asc.Saliency()(model, call, of=of, at=at, **options) + asc.SmoothGrad(self.samples)(model, call, of=of, at=at, **options)

    assert Both()(MLP, X, of=1).values.shape == X.shape
    assert "samples: the number of random draws." in (Both.__doc__ or "")
    assert "Cost: samples + 2 forward passes" in (Both.__doc__ or "")


def test_the_tables_of_methods_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    assert catalogue.method_tables() in page, "write the tables again: python -m ascribe.methods.catalogue docs/methods.md"


def test_every_method_is_in_one_family() -> None:
    heads = [line for line in catalogue.method_tables().partition("## Needs and claims")[0].splitlines() if line.startswith("| `")]
    assert sorted(line.partition("(")[0].removeprefix("| `") for line in heads) == sorted(METHODS)
