"""One game about floats, ids and hidden layers together, against the formula over all coalitions written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ascribe as asc
from ascribe.errors import CutError, FeatureError
from ascribe.removal import PerInput
from tests.support.small_models import rows, seeded


def shapley(value_of: Callable[[frozenset[int]], np.ndarray], players: int) -> np.ndarray:
    """Every player's gain, averaged over the coalitions of the others by size: ``[records, players]``."""
    known = {part: value_of(frozenset(part)) for size in range(players + 1) for part in combinations(range(players), size)}
    found = []
    for i in range(players):
        others = [j for j in range(players) if j != i]
        total: Any = 0.0
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for part in combinations(others, size):
                total = total + weight * (known[tuple(sorted((*part, i)))] - known[part])
        found.append(total)
    return np.stack(found, -1)


class Tabular(nn.Module):
    """A net of tables with numbers and categories: each column of ids has an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(7, 3) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(3 + 6, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        return self.head(torch.cat([numbers, *(e(ids[:, k]) for k, e in enumerate(self.embed))], 1))


NET = seeded(Tabular)
NUMBERS, IDS = rows(4, 3), torch.tensor([[0, 1], [2, 3], [4, 5], [6, 0]])
BACK, BACK_IDS = rows(5, 3, seed=4), torch.tensor([[1, 1], [0, 6], [5, 2], [3, 3], [2, 4]])


def replaced(instead: Tensor, ids: Tensor, of: int = 1) -> Callable[[frozenset[int]], np.ndarray]:
    """The value of features of numbers (0 to 2) and ids (3, 4): the mean over the replacement rows."""

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = torch.tensor([k in there for k in range(5)])
        with torch.no_grad():
            each = [NET(torch.where(keep[:3], NUMBERS, a), torch.where(keep[3:], IDS, b))[:, of] for a, b in zip(instead, ids, strict=True)]
        return torch.stack(each).mean(0).numpy()

    return value_of


FLAT = torch.full((1, 3), 0.3, dtype=torch.float64)
KNOWN: dict[str, tuple[Any, Callable[[frozenset[int]], np.ndarray]]] = {
    "rows of both": (asc.Resample((BACK, BACK_IDS)), replaced(BACK, BACK_IDS)),
    "rows by name": (asc.Resample({"input 0": BACK, "input 1": BACK_IDS}), replaced(BACK, BACK_IDS)),
    "values of both": (asc.Replace((0.3, 6)), replaced(FLAT, torch.tensor([[6, 6]]))),
    "a call": (asc.removal.Patch(asc.Call(BACK[:4], BACK_IDS[:4])), None),
    "a removal for each": ((asc.Replace(0.3), asc.MaskToken(6)), replaced(FLAT, torch.tensor([[6, 6]]))),
    "a removal by name": ({"input 1": asc.MaskToken(6), "input 0": 0.3}, replaced(FLAT, torch.tensor([[6, 6]]))),
    "rows and a token": ((asc.Resample(BACK), asc.MaskToken(6)), replaced(BACK, torch.full((5, 2), 6))),
    "rows each": ((asc.Resample(BACK), asc.Resample(BACK_IDS)), replaced(BACK, BACK_IDS)),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_ids_take_part_where_a_replacement_is_known(name, chunk):
    by, value_of = KNOWN[name]
    found = asc.attribute(NET, NUMBERS, IDS, of=1, over=asc.coalitions.Exact(), by=by, chunk=chunk)
    if value_of is None:

        def value_of(there: frozenset[int]) -> np.ndarray:
            keep = torch.tensor([k in there for k in range(5)])
            with torch.no_grad():
                return NET(torch.where(keep[:3], NUMBERS, BACK[:4]), torch.where(keep[3:], IDS, BACK_IDS[:4]))[:, 1].numpy()

    expected = shapley(value_of, 5)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    np.testing.assert_allclose(found.values[0].numpy(), expected[:, :3], atol=1e-12)
    np.testing.assert_allclose(found.values[1].numpy(), expected[:, 3:], atol=1e-6)  # whole numbers' values are in single precision
    assert found.ok
    assert not [c for c in found.checks if "left out" in c.detail]
    assert found.record[1].dtype == IDS.dtype
    assert "<" in found.method or eval(found.settings["by"], vars(asc)) is not None


def test_permuted_ids_are_those_of_the_same_other_record():
    found = asc.attribute(
        NET, NUMBERS, IDS, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.removal.Permute(3), features=asc.features.EachElement(), seed=5
    )
    total = np.zeros((4, 5))
    for k in range(3):
        other = np.random.default_rng((5, 7, k)).permutation(4)
        for j in range(5):
            x, ids = NUMBERS.clone(), IDS.clone()
            (x if j < 3 else ids)[:, j % 3] = (NUMBERS if j < 3 else IDS)[other, j % 3]
            with torch.no_grad():
                total[:, j] += (NET(NUMBERS, IDS) - NET(x, ids))[:, 1].numpy() / 3
    np.testing.assert_allclose(found.features.values, total, atol=1e-12)


@pytest.mark.parametrize("by", [None, 0.3, asc.Replace([0.1, 0.2, 0.3]), asc.Resample(BACK), asc.removal.Noise()], ids=repr)
def test_ids_that_nothing_replaces_are_left_out_and_said_to_be(by):
    found = asc.attribute(NET, NUMBERS, IDS, of=1, over=asc.coalitions.Exact(), by=by)
    assert found.values.shape == NUMBERS.shape
    (check,) = (c for c in found.checks if c.name == "features")
    assert check.status == "warn"
    assert "input 1" in check.detail
    assert "'input 1': asc.MaskToken(id)" in check.detail


def test_features_for_ids_take_them_in_and_shared_ids_are_one_feature():
    masks = (np.array([0, 0, 1]), np.array([1, 2]))
    found = asc.attribute(NET, NUMBERS, IDS, of=1, over=asc.coalitions.Exact(), by=0.0, features=masks)
    own = replaced(torch.zeros(1, 3).double(), torch.zeros(1, 2, dtype=torch.long))
    members = [(0, 1), (2, 3), (4,)]
    expected = shapley(lambda there: own(frozenset(m for k in there for m in members[k])), 3)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    alone = asc.attribute(NET, NUMBERS, IDS, of=1, over=asc.coalitions.Exact(), by=asc.removal.Permute(2), features=np.arange(3))
    assert alone.values.shape == NUMBERS.shape


class Multimodal(nn.Module):
    """Numbers, tokens with a mask, and what rides along: lengths and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 4), nn.Linear(4 + 2, 2)

    def forward(self, numbers: Tensor, input_ids: Tensor, attention_mask: Tensor, lengths: Tensor | None = None) -> Tensor:
        weight = attention_mask[..., None].to(numbers.dtype)
        pooled = (self.words(input_ids) * weight).sum(1) / weight.sum(1).clamp(min=1)
        return self.head(torch.cat([pooled.tanh(), numbers], 1))


def test_tokens_are_dropped_beside_numbers_and_what_rides_along_is_no_feature():
    net, numbers = seeded(Multimodal), rows(2, 2)
    ids, mask = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    call: dict[str, Any] = {"numbers": numbers, "input_ids": ids, "attention_mask": mask, "lengths": torch.tensor([3, 2])}
    by = {"numbers": 0.5, "input_ids": asc.Drop()}
    found = asc.attribute(net, **call, of=0, over=asc.coalitions.Exact(), by=by)

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = torch.tensor([k in there for k in range(5)])
        with torch.no_grad():
            return net(torch.where(keep[:2], numbers, torch.tensor(0.5, dtype=torch.float64)), ids, mask * keep[2:])[:, 0].numpy()

    np.testing.assert_allclose(found.features.values, shapley(value_of, 5), atol=1e-12)
    left = asc.attribute(net, **call, of=0, over=asc.coalitions.Exact())
    (check,) = (c for c in left.checks if c.name == "features")
    assert "input_ids" in check.detail
    assert "lengths" not in check.detail


def test_black_boxes_share_a_game_between_numbers_ids_and_words():
    numbers, ids, words = NUMBERS.numpy(), IDS[:, 0].numpy(), np.array(["a", "b", "a", "c"])
    rate = {"a": 1.0, "b": -2.0, "c": 0.5}

    def model(numbers: np.ndarray, ids: np.ndarray, words: np.ndarray) -> np.ndarray:
        return numbers.sum(1) * ids + np.array([rate[w] for w in words]) * ids

    background = (numbers[:3], ids[1:], words[1:])
    found = asc.attribute(model, numbers, ids, words, over=asc.coalitions.Exact(), by=asc.Resample(background))

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = [k in there for k in range(5)]
        each = [
            model(np.where(keep[:3], numbers, a), np.where(keep[3], ids, b), np.where(keep[4], words, c))
            for a, b, c in zip(*background, strict=True)
        ]
        return np.mean(each, 0)

    np.testing.assert_allclose(found.features.values, shapley(value_of, 5), atol=1e-12)
    left = asc.attribute(model, numbers, ids, words, over=asc.coalitions.Exact(), by=0.0)
    assert any("input 1, input 2" in c.detail and c.status == "warn" for c in left.checks)


class Deep(nn.Module):
    """Two inputs that meet in a hidden layer, which is used once more behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first, self.second = nn.Embedding(9, 2), nn.Linear(2 + 2, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(torch.cat([x, self.words(ids).mean(1)], 1))))


DEEP, X, TOKENS = seeded(Deep), rows(3, 2), torch.tensor([[1, 2], [3, 4], [5, 6]])


def deep(x: Tensor, ids: Tensor, keep: list[bool], instead: float) -> np.ndarray:
    """The model with units of ``first`` set to a value, whatever is left of them computed from the inputs given."""
    with torch.no_grad():
        hidden = DEEP.first(torch.cat([x, DEEP.words(ids).mean(1)], 1))
        hidden = torch.where(torch.tensor(keep), hidden, torch.tensor(instead, dtype=torch.float64))
        return DEEP.second(torch.tanh(hidden))[:, 1].numpy()


@pytest.mark.parametrize("chunk", [None, 1, 4])
def test_inputs_and_a_layer_behind_them_share_a_game(chunk):
    """What is there of a hidden unit is what the rest of the coalition makes of it, not what it was for the whole record."""
    found = asc.attribute(
        DEEP, X, TOKENS, of=1, at=[asc.INPUT.at(0), "first"], over=asc.coalitions.Exact(), by=[0.1, asc.Replace(-0.4)],
        features=[asc.features.EachElement(), asc.features.Channels()], chunk=chunk,
    )  # fmt: skip

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = [k in there for k in range(5)]
        return deep(torch.where(torch.tensor(keep[:2]), X, torch.tensor(0.1, dtype=torch.float64)), TOKENS, keep[2:], -0.4)

    expected = shapley(value_of, 5)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    np.testing.assert_allclose(found.values[0].numpy(), expected[:, :2], atol=1e-12)
    np.testing.assert_allclose(found.values[1].numpy(), expected[:, 2:], atol=1e-12)
    assert found.gap.absolute == pytest.approx(0, abs=1e-12)
    assert np.abs(expected[:, :2]).max() > 1e-3


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_floats_ids_and_hidden_layers_in_one_game(chunk):
    """Features given for each cut: the numbers as one, each token, two groups of hidden units."""
    places = [asc.INPUT.at(0), asc.INPUT.at(1), "first"]
    found = asc.attribute(
        DEEP, X, TOKENS, of=1, at=places, over=asc.coalitions.Exact(), by=[0.1, asc.MaskToken(8), -0.4],
        features=[asc.features.Masks(np.array([0, 0])), asc.Tokens(), asc.features.Masks(np.array([0, 0, 1]))], chunk=chunk,
    )  # fmt: skip

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = [k in there for k in (0, 0, 1, 2, 3, 3, 4)]
        x = torch.where(torch.tensor(keep[:2]), X, torch.tensor(0.1, dtype=torch.float64))
        return deep(x, torch.where(torch.tensor(keep[2:4]), TOKENS, 8), keep[4:], -0.4)

    expected = shapley(value_of, 5)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    assert [tuple(v.shape) for v in found.values] == [(3, 2), (3, 2), (3, 3)]
    np.testing.assert_allclose(found.values[2].numpy(), expected[:, [3, 3, 4]], atol=1e-12)
    by_name = asc.attribute(
        DEEP, X, TOKENS, of=1, at=places, over=asc.coalitions.Exact(),
        by={"first": -0.4, asc.INPUT.at(0): 0.1, asc.INPUT.at(1): asc.MaskToken(8)},
        features={"first": asc.features.Masks(np.array([0, 0, 1])), asc.INPUT.at(1): asc.Tokens(),
            asc.INPUT.at(0): asc.features.Masks(np.array([0, 0]))},
    )  # fmt: skip
    np.testing.assert_allclose(by_name.features.values, expected, atol=1e-12)


def test_the_same_number_at_several_cuts_is_the_same_feature():
    masks = [np.array([0, 1]), np.array([1, -1, 0])]
    found = asc.attribute(DEEP, X, TOKENS, of=1, at=[asc.INPUT.at(0), "first"], over=asc.coalitions.Exact(), by=0.1, features=masks)

    def value_of(there: frozenset[int]) -> np.ndarray:
        x = torch.where(torch.tensor([0 in there, 1 in there]), X, torch.tensor(0.1, dtype=torch.float64))
        return deep(x, TOKENS, [1 in there, True, 0 in there], 0.1)

    np.testing.assert_allclose(found.features.values, shapley(value_of, 2), atol=1e-12)
    assert (found.values[1][:, 1] == 0).all()


def test_several_quantities_standard_errors_and_parts_of_several_cuts():
    how: dict[str, Any] = {"at": [asc.INPUT.at(0), "words"], "by": 0.0, "features": [asc.features.EachElement(), asc.features.Channels(2)]}
    both = asc.attribute(DEEP, X, TOKENS, of=[asc.Unit(0), asc.Unit(1)], over=asc.coalitions.Permutations(14), **how)
    assert both.values[1].shape == (2, 3, 2, 2)
    assert [e.shape for e in both.error] == [v.shape for v in both.values]
    exact = asc.attribute(DEEP, X, TOKENS, of=[asc.Unit(0), asc.Unit(1)], over=asc.coalitions.Exact(), **how)
    one = asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.Exact(), **how)
    np.testing.assert_allclose(exact.quantity_at(1).part(1).values, one.values[1], atol=1e-12)
    owen = asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.Owen(), **how)
    assert np.abs(owen.gap.absolute).max() < 1e-12
    pairs = asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.Interactions(), **how)
    assert pairs.features.values.shape == (3, 4, 4)
    fading = asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.TotalSobolIndices(400), **how)
    again = asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.TotalSobolIndices(400), chunk=3, **how)
    np.testing.assert_allclose(fading.features.values, again.features.values, atol=1e-12)
    assert asc.estimate(DEEP, X, TOKENS, of=1, over=asc.coalitions.Exact(), **how).forward_rows == 3 * (2**4 + 1)


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a place twice": (lambda: game(at=["first", "first"]), CutError, "twice"),
    "the output": (lambda: game(at=["first", asc.OUTPUT]), CutError, "the output itself"),
    "removals": (lambda: game(at=["first", "words"], by=[0.0]), FeatureError, "1 removal, but there must be one for each cut"),
    "no removal by name": (lambda: game(at=["first", "words"], by={"first": 0.0}), FeatureError, "none for \"Cut('words')\""),
    "features": (lambda: game(at=["first", "words"], features=[asc.features.EachElement()]), FeatureError, "`features=` has 1 parts"),
    "other rows": (lambda: game(by=(asc.Resample(X), asc.Resample(TOKENS[:2]))), FeatureError, "2 and 3 values"),
    "no removal for an input": (lambda: game(by={"input 1": asc.MaskToken(3)}), FeatureError, "none for 'input 0'"),
    "one removal within another": (lambda: game(by=(0.0, PerInput((0.0,)))), FeatureError, "one removal for each input"),
    "a mask token for numbers": (lambda: game(by=asc.MaskToken(3)), FeatureError, "asc.MaskToken"),
}


def game(**how: Any) -> Any:
    return asc.attribute(DEEP, X, TOKENS, of=1, over=asc.coalitions.Exact(), **how)


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_together_is_refused(name):
    call, kind, words = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)


def test_a_method_by_name_takes_several_cuts():
    found = asc.ShapleyExact([0.0, 0.0], [asc.features.EachElement(), asc.features.Channels()])(
        DEEP, X, TOKENS, of=1, at=[asc.INPUT.at(0), "first"]
    )
    assert "first" in found.method
    assert len(found.values) == 2
    assert found.features.names == ("input 0[0]", "input 0[1]", "first[0]", "first[1]", "first[2]")


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
def test_special_tokens_stay_where_the_rest_of_a_text_is_dropped():
    """A mean over no token is NaN, and so are all values; with the separators kept the formula holds."""
    words, head = seeded(lambda: nn.Embedding(20, 4)), seeded(lambda: nn.Linear(4, 2))

    def model(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        weight = attention_mask[..., None].double()
        return head((words(input_ids) * weight).sum(1) / weight.sum(1)).tanh()

    call = {"input_ids": torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])}
    bare = asc.attribute(model, **call, of=0, over=asc.coalitions.Exact(), by=asc.Drop())
    assert any(c.name == "finite" and c.status == "fail" and "asc.Drop(keep=" in c.detail for c in bare.checks)
    found = asc.attribute(model, **call, of=0, over=asc.coalitions.Exact(), by=asc.Drop(keep=[1, 2]), features=asc.features.EachElement())
    assert found.ok
    one = asc.attribute(model, **call, of=0, over=asc.coalitions.LeaveOneOut(), by=asc.Drop(keep=1), features=asc.features.EachElement())
    assert (one.features.values[:, 0] == 0).all()

    def value_of(there: frozenset[int]) -> np.ndarray:
        keep = torch.tensor([k in there for k in range(4)]) | torch.isin(call["input_ids"], torch.tensor([1, 2]))
        with torch.no_grad():
            return model(call["input_ids"], call["attention_mask"] * keep)[:, 0].numpy()

    np.testing.assert_allclose(found.features.values, shapley(value_of, 4), atol=1e-12)


def test_a_layer_is_looked_at_once_before_a_game():
    """One record for the features, the records themselves, and one chunk of coalitions."""
    runs: list[int] = []
    hook = DEEP.register_forward_pre_hook(lambda *_: runs.append(1))
    try:
        for _ in range(2):  # what is learnt about the model takes runs in the first call
            runs.clear()
            asc.attribute(DEEP, X, TOKENS, of=1, at="first", over=asc.coalitions.LeaveOneOut(), by=0.0, chunk=64)
    finally:
        hook.remove()
    assert len(runs) <= 3
