"""What removal does unasked, and what it says where that would mislead: scores, targets, series, windows, missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.coalitions import Players
from ascribe.errors import CoalitionError, FeatureError, ModelError, QuantityError
from tests.support.small_models import chain, rows

TABLE = rows(4, 5).numpy()
WEIGHTS = rows(5, 3, seed=1).numpy()


class Estimator:
    """In scikit-learn's manner: a classifier with probabilities, or a regressor of three targets."""

    def __init__(self, classifies: bool) -> None:
        if classifies:
            self.classes_ = np.arange(3)
            self.predict_proba = lambda x: np.exp(x @ WEIGHTS) / np.exp(x @ WEIGHTS).sum(1, keepdims=True)
        self.classifies = classifies

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x @ WEIGHTS).argmax(1).astype(float) if self.classifies else x @ WEIGHTS


NET = chain(5, 3)
IDS: dict[str, Any] = {
    "argmax of arrays": lambda x: (x @ WEIGHTS).argmax(1),
    "a decision": lambda x: x.sum(1) > 0,
    "predict of a classifier": Estimator(True).predict,
    "predict of a classifier by name": asc.BlackBox(Estimator(True), "predict"),
    "argmax of tensors": lambda x: NET(torch.as_tensor(x)).argmax(1),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("of", [None, 0, 2, [0, 1, 2, 0], asc.LogProb(1)], ids=str)
def test_class_ids_are_not_explained_as_if_they_were_scores(name, of):
    with pytest.raises(QuantityError, match="predict_proba") as caught:
        asc.KernelShap(200)(IDS[name], TABLE, of=of)
    assert caught.value.code == "E-QUANTITY-INTEGER"
    number = asc.ShapleyExact(by=0.0)(IDS[name], TABLE, of=lambda y: y * 1.0)
    assert np.abs(number.gap.absolute).max() < 1e-9


def test_names_of_classes_are_not_explained_at_all():
    with pytest.raises(ModelError, match="predict_proba"):
        asc.KernelShap(200)(lambda x: np.array(["no", "yes"])[(x.sum(1) > 0).astype(int)], TABLE)


@pytest.mark.parametrize("model", [Estimator(False), Estimator(False).predict, asc.BlackBox(Estimator(False), "predict")], ids=str)
def test_the_largest_target_of_a_regressor_is_no_predicted_class(model):
    found = asc.KernelShap(200)(model, TABLE)
    assert [c.status for c in found.checks if c.name == "target"] == ["warn"]
    assert not [c for c in asc.KernelShap(200)(model, TABLE, of=1).checks if c.name == "target"]
    assert not [c for c in asc.KernelShap(200)(Estimator(True), TABLE).checks if c.name == "target"]


@pytest.mark.parametrize(
    "over", [asc.coalitions.Owen(), asc.coalitions.Owen(opened="random"), asc.coalitions.Exact(), asc.coalitions.SmoothMasks()], ids=repr
)
@pytest.mark.parametrize("players", [Players(0), Players(0, shape=(0, 4)), Players(0, ())], ids=repr)
def test_a_game_of_no_feature_is_refused(over, players):
    asks = [lambda: over.game(players, 0), *([] if over == asc.coalitions.SmoothMasks() else [lambda: over.rows(players)])]
    for ask in asks:
        with pytest.raises(CoalitionError) as caught:
            ask()
        assert caught.value.code == "E-COALITION-FEW"


@pytest.mark.parametrize("channels", [1, 3])
def test_rise_on_a_series_by_default(channels):
    """Every step is a feature of all channels; a mean pool of a linear filter weighs all steps alike."""
    x = rows(2, channels, 50).abs() + 1
    found = asc.Rise(300)(lambda x: x[:, :, 10:20].sum((1, 2)), x)
    assert found.values.shape == x.shape
    assert found.features.values.shape == (2, 50)
    inside, outside = found.features.values[:, 12:18], found.features.values[:, 30:]
    assert inside.min() > outside.max()


def test_masks_that_do_not_fit_are_refused_with_some_that_do():
    x = torch.rand(2, 3, 50)
    with pytest.raises(CoalitionError, match=r"cells=\(7,\)"):
        asc.Rise(20, cells=(7, 7))(lambda x: x.sum((1, 2)), x)
    with pytest.raises(CoalitionError, match=r"Try: cells=\(3, 7\)"):
        asc.Rise(20, cells=())(lambda x: x.sum((1, 2)), x)


def test_an_input_without_a_column_takes_part_in_nothing():
    found = asc.attribute(lambda a, b: a @ np.arange(5.0) + b.sum(1), TABLE, TABLE[:, :0], over=asc.coalitions.Exact())
    np.testing.assert_allclose(found.values[0], TABLE * np.arange(5.0), atol=1e-12)
    assert found.values[1].shape == (4, 0)


def test_an_error_about_coalitions_names_chosen_features_and_has_what_was_found():
    calls = []

    def model(x: np.ndarray) -> np.ndarray:
        calls.append(len(x))
        if sum(calls) > 300:
            raise CoalitionError("stopped", found="here", advice="another game")
        return x.sum((1, 2))

    with pytest.raises(
        CoalitionError, match=r"here; .*chosen because there are many elements.*another game; `features=` chooses"
    ) as caught:
        asc.attribute(model, rows(1, 20, 40).numpy(), over=asc.coalitions.Permutations(2000), by=0.0, chunk=16)
    assert isinstance(caught.value.__cause__, CoalitionError)
    assert caught.value.partial.features.values.shape[0] == 1


WINDOWS = {
    "wide": ((2, 60), None, "A window of size 60 is larger than the record. Found: 50 coordinates on axis -1", "size=(2, 50)"),
    "high": (8, None, "A window of size 8 is larger than the record. Found: 3 coordinates on axis -2", "size=(3, 8)"),
    "gaps": ((1, 10), (1, 20), "A stride of 20 leaves gaps between windows. Found: windows of size 10 on axis -1", "stride=(1, 10)"),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_that_does_not_fit_is_named(name):
    size, stride, what, fitting = WINDOWS[name]
    with pytest.raises(FeatureError) as caught:
        asc.Occlusion(size, stride)(lambda x: x.sum((1, 2)), torch.rand(2, 3, 50))
    assert what in str(caught.value)
    assert fitting in str(caught.value)


@pytest.mark.parametrize("missing", [np.nan, None, np.float32("nan")], ids=repr)
def test_a_value_may_be_missing_instead_in_a_table_with_words(missing):
    table = np.array([["a", 2.0, 5], ["b", 3.0, 6]], dtype=object)

    def model(x: np.ndarray) -> np.ndarray:
        gone = np.array([[v is None or v != v for v in row] for row in x])
        return np.array([10 * (row[0] == "a") + sum(0.0 if g else v for v, g in zip(row[1:], lost[1:], strict=True))
                         for row, lost in zip(x, gone, strict=True)])  # fmt: skip

    found = asc.ShapleyExact(by=asc.Replace(missing))(model, table)
    np.testing.assert_allclose(found.values, [[10, 2, 5], [0, 3, 6]], atol=1e-12)


def test_a_value_may_be_missing_instead_in_a_table_of_pandas():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"age": [3, 40], "town": ["a", "b"], "pay": [1.5, 2.0], "kind": pd.Categorical(["u", "v"])})
    kinds: set[str] = set()

    def model(t: Any) -> np.ndarray:
        kinds.update(str(kind) for kind in t[["age", "pay", "kind"]].dtypes)
        known = t.notna().to_numpy(float)
        return t["age"].fillna(0).to_numpy(float) + 100 * known[:, 1] + t["pay"].fillna(0).to_numpy() + 7 * known[:, 3]

    for missing in (np.nan, None, pd.NA):
        found = asc.ShapleyExact(by=asc.Replace(missing))(model, table)
        np.testing.assert_allclose(found.features.values, [[3, 100, 1.5, 7], [40, 100, 2, 7]], atol=1e-12)
    assert kinds == {"int64", "float64", "category"}


def test_a_sequential_network_of_one_number_is_no_class_id():
    net = nn.Sequential(nn.Linear(5, 1)).double()
    assert asc.KernelShap(100)(net, torch.as_tensor(TABLE)).ok
