"""The removal engine: exact values against the formula and closed forms, what is grouped, what stands in, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError, CutError, DistributionError, FeatureError, RuleError
from tests.support.small_models import Pictures, chain, rows, seeded

Worth = Callable[[frozenset[int]], np.ndarray]


def shapley(worth: Worth, players: int) -> np.ndarray:
    """The formula: every player's gain, averaged over the coalitions of the others by size. ``[records, players]``."""
    found = []
    for i in range(players):
        others = [j for j in range(players) if j != i]
        total = 0.0
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for part in combinations(others, size):
                total = total + weight * (worth(frozenset(part) | {i}) - worth(frozenset(part)))
        found.append(total)
    return np.stack(found, -1)


def masked(model: nn.Module, x: torch.Tensor, ids: np.ndarray, instead: Any, of: int) -> Worth:
    """The worth of a coalition of ids, written out: what is not in it is replaced."""

    def worth(there: frozenset[int]) -> np.ndarray:
        keep = torch.as_tensor(np.isin(ids, list(there)) | (ids < 0))
        with torch.no_grad():
            return model(torch.where(keep, x, torch.as_tensor(instead, dtype=x.dtype)))[:, of].numpy()

    return worth


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_exact_shapley_values_are_those_of_the_formula(players):
    net, x = chain(players, 7, 3), rows(4, players)
    found = asc.attribute(net, x, of=2, over=asc.coalitions.Exact(), by=asc.Replace(0.3))
    expected = shapley(masked(net, x, np.arange(players), 0.3, 2), players)
    np.testing.assert_allclose(found.values.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    assert found.error is None
    assert found.gap.absolute == pytest.approx(0, abs=1e-12)
    assert found.cost.rows == 4 * 2**players


def test_ids_that_are_shared_by_several_inputs_are_one_feature():
    class Two(nn.Module):
        def forward(self, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
            return torch.stack([(a[:, 0] * b[:, 1]).tanh() + a[:, 1] * a[:, 0] - b[:, 0] ** 2, a.sum(1)], 1)

    a, b = rows(3, 2), rows(3, 2, seed=1)
    masks = {"input 0": np.array([7, 3]), "b": np.array([3, 7])}
    found = asc.attribute(Two(), a, b=b, of=0, over=asc.coalitions.Exact(), features=masks)

    def worth(there: frozenset[int]) -> np.ndarray:
        keep = [torch.as_tensor(np.isin(masks[k], [(3, 7)[i] for i in there])) for k in ("input 0", "b")]
        return Two()(a * keep[0], b=b * keep[1])[:, 0].numpy()

    expected = shapley(worth, 2)
    np.testing.assert_allclose(found.features.values, expected, atol=1e-12)
    assert found.features.names == ("3", "7")
    np.testing.assert_allclose(found.values[0].numpy(), expected[:, [1, 0]], atol=1e-12)
    np.testing.assert_allclose(found.values["b"].numpy(), expected, atol=1e-12)


def test_linear_models_in_closed_form():
    """Removed one by one, all together, or in any order: weight times distance. Against a background: from its mean."""
    net, x = chain(4, 3), rows(5, 4)
    weight = net[0].weight.detach()[1]
    for over in (
        asc.coalitions.LeaveOneOut(),
        asc.coalitions.LeaveOneOut(alone=True),
        asc.coalitions.Exact(),
        asc.coalitions.Permutations(64),
        asc.coalitions.ShapleyRegression(64),
    ):
        found = asc.attribute(net, x, of=1, over=over, by=asc.Replace(0.5))
        torch.testing.assert_close(found.values, weight * (x - 0.5), rtol=0, atol=1e-9)
    background = rows(7, 4, seed=3)
    found = asc.attribute(net, x, of=1, over=asc.coalitions.Exact(), by=asc.Resample(background))
    torch.testing.assert_close(found.values, weight * (x - background.mean(0)), rtol=0, atol=1e-12)
    assert found.error is None


def test_interventional_values_are_means_over_the_background():
    net, x, background = chain(3, 5, 2), rows(2, 3), rows(4, 3, seed=8)
    found = asc.attribute(net, x, of=0, over=asc.coalitions.Exact(), by=asc.Resample(background))
    each = [shapley(masked(net, x, np.arange(3), row, 0), 3) for row in background]
    np.testing.assert_allclose(found.values.numpy(), np.mean(each, 0), atol=1e-12)
    some = asc.attribute(net, x, of=0, over=asc.coalitions.Exact(), by=asc.Resample(background, 3), seed=4)
    assert (some.error.numpy() > 0).all()
    near = min(np.abs(some.values.numpy() - np.mean([each[i] for i in part], 0)).max() for part in combinations(range(4), 3))
    assert near < 1e-12


def test_windows_give_a_place_the_mean_of_those_over_it():
    model, x = seeded(Pictures), rows(2, 2, 6, 6)
    size, stride = (2, 3, 4), (2, 2, 1)
    found = asc.attribute(model, x, of=1, over=asc.coalitions.LeaveOneOut(), features=asc.Windows(size, stride))
    total, times = torch.zeros_like(x), torch.zeros_like(x)
    with torch.no_grad():
        for i in (0, 2, 4):
            for j in (0, 1, 2):
                gone = x.clone()
                gone[:, :, i : i + 3, j : j + 4] = 0
                change = model(x)[:, 1] - model(gone)[:, 1]
                total[:, :, i : i + 3, j : j + 4] += change[:, None, None, None]
                times[:, :, i : i + 3, j : j + 4] += 1
    torch.testing.assert_close(found.values, total / times, rtol=0, atol=1e-12)
    assert found.features.values.shape == (2, 9)


def test_windows_that_do_not_overlap_are_a_grid():
    model, x = seeded(Pictures), rows(2, 2, 6, 6)
    a = asc.attribute(model, x, of=1, over=asc.coalitions.Exact(), features=asc.Windows(3))
    b = asc.attribute(model, x, of=1, over=asc.coalitions.Exact(), features=asc.Grid(2))
    torch.testing.assert_close(a.values, b.values, rtol=0, atol=1e-12)
    assert a.values[0, 0, :3, :3].unique().numel() == 1


def test_a_mask_of_fewer_axes_fits_from_behind_at_any_chunk():
    """captum 0.9.0 broadcasts such a mask against the wrong axis when it runs several features at once."""
    net = nn.Sequential(nn.Flatten(), chain(12, 5, 2))
    mask = torch.tensor([[0, 1], [1, 2]])
    for x in (rows(1, 3, 2, 2), rows(2, 3, 2, 2)):
        expected = torch.zeros_like(x)
        for i in range(3):
            gone = torch.where(mask == i, 0.0, x)
            expected += torch.where(mask == i, (net(x) - net(gone))[:, 1].detach()[:, None, None, None], 0.0)
        for chunk in (None, 1, 2, 3):
            for given in (mask, mask[None], mask[None, None]):
                found = asc.attribute(net, x, of=1, over=asc.coalitions.LeaveOneOut(), features=given, chunk=chunk)
                torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-12)


def test_masks_of_their_own_for_each_record():
    net, x = chain(4, 5, 2), rows(3, 4)
    ids = np.array([[0, 0, 1, 2], [2, 1, 0, -1], [1, 1, 1, 1]])
    found = asc.attribute(net, x, of=0, over=asc.coalitions.Exact(), features=ids, chunk=4)
    for i in range(3):
        expected = shapley(masked(net, x[i : i + 1], ids[i], 0.0, 0), 3)[0]
        np.testing.assert_allclose(found.features.values[i], expected, atol=1e-12)
        np.testing.assert_allclose(found.values[i].numpy(), np.append(expected, 0)[ids[i]], atol=1e-12)


REFUSED: dict[str, tuple[Callable[[], Any], type[AscribeError], str]] = {
    "too few masks": (lambda: run_two(features=(np.arange(2),)), FeatureError, "E-FEATURES-COUNT"),
    "a mask for nothing": (lambda: run_two(features={"a": np.arange(2), "c": np.arange(2)}), FeatureError, "E-FEATURES-COUNT"),
    "a mask that does not fit": (lambda: run(features=np.arange(3)), FeatureError, "E-FEATURES-SHAPE"),
    "masks for other records": (lambda: run(features=np.zeros((2, 4), int)), FeatureError, "E-FEATURES-SHAPE"),
    "a mask with holes": (lambda: run(features=np.array([0.5, 1, 2, 3])), FeatureError, "E-FEATURES-TYPE"),
    "a mask with nothing": (lambda: run(features=np.full(4, -1)), FeatureError, "contain no feature"),
    "no features": (lambda: run(features="all"), FeatureError, "features='all'"),
    "a grid of half a cell": (lambda: picture(features=asc.Grid(2.5)), FeatureError, "integers >= 1"),  # type: ignore[arg-type]
    "a grid of four axes": (lambda: picture(features=asc.Grid((1, 1, 2, 3))), FeatureError, "4 axes"),
    "windows of words": (lambda: picture(features=asc.Windows("ab")), FeatureError, "integers >= 1"),  # type: ignore[arg-type]
    "half a step": (lambda: picture(features=asc.Windows(2, 0.5)), FeatureError, "integers >= 1"),  # type: ignore[arg-type]
    "half a stretch": (lambda: picture(features=asc.Segments(2.5)), FeatureError, "integers >= 1"),  # type: ignore[arg-type]
    "channels by a word": (lambda: picture(features=asc.features.Channels("red")), FeatureError, "not the batch axis"),  # type: ignore[arg-type]
    "no superpixels": (lambda: picture(features=asc.Superpixels(0)), FeatureError, "integer >= 1"),
    "superpixels of nothing known": (
        lambda: asc.attribute(
            seeded(Pictures), rows(2, 2, 6, 6) * torch.nan, over=asc.coalitions.LeaveOneOut(), features=asc.Superpixels(2)
        ),
        FeatureError, "NaN"),
    "a grid of a table": (lambda: run(features=asc.Grid(2)), FeatureError, "2 axes"),
    "more cells than pixels": (lambda: picture(features=asc.Grid(7)), FeatureError, "6 x 6"),
    "windows larger than pictures": (lambda: picture(features=asc.Windows(7)), FeatureError, "6 x 6"),
    "a stride over the size": (lambda: picture(features=asc.Windows(2, 3)), FeatureError, "stride"),
    "no such column": (lambda: run(features=asc.Columns({"a": ["x"]})), FeatureError, "'x'"),
    "a column twice": (lambda: run(features=asc.Columns({"a": [0], "b": [0]})), FeatureError, "two groups"),
    "a tree of others": (lambda: run(features=asc.features.Hierarchy((0, 1))), FeatureError, "4 of them"),
    "words for other tokens": (lambda: run(features=asc.Tokens([0, 1])), FeatureError, "one integer or None for each token"),
    "words that are none": (lambda: run(features=asc.Tokens([None] * 4)), FeatureError, "contain no feature"),
    "words by name": (lambda: run(features=asc.Tokens(["a", "b", "c", "d"])), FeatureError, "E-FEATURES"),
    "half a word": (lambda: run(features=asc.Tokens([0, 0.5, 1, 1])), FeatureError, "E-FEATURES-TYPE"),  # type: ignore[list-item]
    "a function of words that fails": (lambda: run(features=asc.Tokens(lambda i: [1 // 0])), FeatureError, "E-FEATURES-RAISED"),
    "words that are a number": (lambda: run(features=asc.Tokens(3)), FeatureError, "E-FEATURES-RAISED"),  # type: ignore[arg-type]
    "noise of half a sample": (lambda: run(by=asc.removal.Noise(1.0, 2.5)), FeatureError, "samples"),  # type: ignore[arg-type]
    "noise of NaN": (lambda: run(by=asc.removal.Noise(float("nan"))), FeatureError, "scale"),
    "a blur of a word": (lambda: picture(by=asc.Blur("much"), features=asc.Grid(2)), FeatureError, "sigma"),  # type: ignore[arg-type]
    "half a neighbour": (lambda: run(by=asc.removal.Nearest(X, 1.5)), FeatureError, "nearest"),  # type: ignore[arg-type]
    "a rule beside coalitions": (lambda: run(by=asc.rules.Gradient()), RuleError, "Replace"),
    "a removal without coalitions": (lambda: asc.attribute(NET, X, by=asc.Replace(0.0)), RuleError, "LeaveOneOut"),
    "features without coalitions": (lambda: asc.attribute(NET, X, features=asc.features.EachElement()), FeatureError, "LeaveOneOut"),
    "influence over coalitions": (lambda: asc.influence(NET, X, over=asc.coalitions.LeaveOneOut()), FeatureError, "attribute"),
    "the output": (lambda: run(at=asc.OUTPUT), CutError, "E-CUT-OUTPUT"),
    "a baseline that does not fit": (lambda: run(by=asc.Replace(np.zeros(3))), DistributionError, "E-BASELINE-SHAPE"),
    "a background that does not fit": (lambda: run(by=asc.Resample(np.zeros((5, 3)))), DistributionError, "E-BASELINE-SHAPE"),
    "more neighbours than rows": (lambda: run(by=asc.removal.Nearest(np.zeros((2, 4)), 3)), FeatureError, "2 rows in the background"),
    "a blurred table": (lambda: run(by=asc.Blur()), FeatureError, "spatial positions"),
    "a token for numbers": (lambda: run(by=asc.MaskToken(1)), FeatureError, "E-FEATURES-TYPE"),
    "a mask that is not there": (lambda: run(by=asc.Drop()), FeatureError, "attention_mask"),
    "neighbours of what is missing": (lambda: run(X * torch.nan, by=asc.removal.Nearest(X, 2)), FeatureError, "NaN"),
    "missing neighbours": (lambda: run(by=asc.removal.Nearest(X * torch.nan, 2)), FeatureError, "NaN"),
    "a mask for embeddings": (
        lambda: run_two(x=(rows(2, 3, 4), rows(2, 3)), at=asc.INPUT.at(0), by=asc.Drop(1), features=asc.Tokens()),
        FeatureError, "E-FEATURES-SHAPE"),
    "a mask with axes of its own": (
        lambda: run_two(x=(rows(2, 3), rows(2, 1, 1, 3)), at=asc.INPUT.at(0), by=asc.Drop(1)), FeatureError, "E-FEATURES-SHAPE"),
    "the only record": (
        lambda: asc.attribute(NET, X[:1], over=asc.coalitions.LeaveOneOut(), by=asc.removal.Permute()),
        FeatureError,
        "several records",
    ),
    "too many for all coalitions": (
        lambda: asc.attribute(chain(30, 2), rows(1, 30), over=asc.coalitions.Exact()), DistributionError, "30"),
}  # fmt: skip
NET, X = chain(4, 3), rows(3, 4)


def run(x: torch.Tensor = X, **more: Any) -> asc.Attribution:
    return asc.attribute(NET, x, over=asc.coalitions.LeaveOneOut(), **more)


def run_two(x: tuple[torch.Tensor, torch.Tensor] = (X[:, :2], X[:, 2:]), **more: Any) -> asc.Attribution:
    return asc.attribute(
        lambda a, b: torch.stack([a.flatten(1).sum(1), b.flatten(1).sum(1)], 1), *x, over=asc.coalitions.LeaveOneOut(), **more
    )


def picture(**more: Any) -> asc.Attribution:
    return asc.attribute(seeded(Pictures), rows(2, 2, 6, 6), over=asc.coalitions.LeaveOneOut(), **more)


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name):
    call, kind, words = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)


FIRST = rows(2, 3, 10, 10)
LAST = FIRST.permute(0, 2, 3, 1).contiguous()
SPLIT = {
    "a grid": {"features": asc.Grid(2)},
    "windows": {"features": asc.Windows(2)},
    "overlapping windows": {"features": asc.Windows(3, stride=2)},
    "every place": {"features": asc.features.Pixels()},
    "superpixels": {"features": asc.Superpixels(4)},
    "chosen": {},
    "a mean": {"by": asc.Mean(), "features": asc.Grid(2)},
    "a blur": {"by": asc.Blur(1.0), "features": asc.Grid(2)},
    "neighbours": {"by": asc.Inpaint(0.0), "features": asc.Grid(2)},
}


@pytest.mark.parametrize("name", SPLIT)
def test_channels_at_the_end_give_what_channels_at_the_front_give(name):
    """The lengths leave no other reading; the check says so."""
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), chain(256, 2)))
    first = asc.attribute(net, FIRST, of=1, over=asc.coalitions.LeaveOneOut(), **SPLIT[name])
    last = asc.attribute(lambda x: net(x.permute(0, 3, 1, 2)), LAST, of=1, over=asc.coalitions.LeaveOneOut(), **SPLIT[name])
    np.testing.assert_allclose(last.values.permute(0, 3, 1, 2), first.values, atol=1e-6)
    assert any(c.name == "features" and "channels last" in c.detail for c in last.checks)


def test_a_layout_that_lengths_leave_open_is_said():
    """Six channels: both axes could be channels. A wrong reading is not taken where the user has said the right one."""
    first = rows(2, 6, 8, 8)
    last = first.permute(0, 2, 3, 1).contiguous()
    weight = torch.arange(384.0).reshape(6, 8, 8).sin()
    game = asc.coalitions.LeaveOneOut()
    for features, by in (
        (asc.Grid(2, layout="NHWC"), 0.0),
        (asc.Windows(4, layout="NHWC"), asc.Blur(1.0, layout="NHWC")),
        (asc.Grid(4, layout="NHWC"), asc.Inpaint(0.0, layout="NHWC")),
        (asc.features.Pixels(layout="NHWC"), 0.0),
    ):
        said = asc.attribute(lambda x: (x.permute(0, 3, 1, 2) * weight).sum((1, 2, 3)), last, over=game, features=features, by=by)
        plain = {"layout": None}
        removal = by if isinstance(by, float) else replace(by, **plain)
        wanted = asc.attribute(lambda x: (x * weight).sum((1, 2, 3)), first, over=game, features=replace(features, **plain), by=removal)
        np.testing.assert_allclose(said.values.permute(0, 3, 1, 2), wanted.values, atol=1e-4)
        assert not [c for c in said.checks if c.name == "features" and c.status != "ok"]
    doubt = asc.attribute(lambda x: x.sum((1, 2, 3)), last, over=game, features=asc.Grid(2))
    assert any("layout='NHWC'" in c.detail for c in doubt.checks)


def test_sizes_for_all_axes_are_in_the_order_of_the_axes():
    found = asc.attribute(lambda x: x.sum((1, 2, 3)), LAST, over=asc.coalitions.LeaveOneOut(), features=asc.Windows((10, 10, 1)))
    np.testing.assert_allclose(found.values[:, 0, 0], LAST.sum((1, 2)), atol=1e-5)


@pytest.mark.parametrize("wrong", ["nhwc", "channels_last", 1])
def test_an_unknown_layout_is_named(wrong):
    for more in ({"features": asc.Grid(2, layout=wrong)}, {"by": asc.Blur(layout=wrong), "features": asc.Grid(2)}):
        with pytest.raises(FeatureError, match="layout="):
            asc.attribute(lambda x: x.sum((1, 2, 3)), LAST, over=asc.coalitions.LeaveOneOut(), **more)


def test_pictures_and_tables_have_features_of_their_own_unasked():
    image, table = rows(2, 3, 20, 24).numpy(), rows(2, 5).numpy()
    found = asc.attribute(lambda i, t: i.mean((1, 2, 3)) + t.sum(1), image, table, over=asc.coalitions.LeaveOneOut())
    assert 4 + 5 <= found.features.values.shape[1] <= 64 + 5
    np.testing.assert_allclose(found.values[1], table, atol=1e-6)
    assert any(c.name == "features" and c.status == "warn" for c in found.checks)


def test_words_with_gaps_are_as_many_as_there_are():
    for words in ([7, 7, None, 900], torch.tensor([7, 7, -1, 900]), np.array([[7, 7, -1, 900]]), lambda i: (7, 7, None, 900)):
        found = asc.attribute(NET, X, of=1, over=asc.coalitions.Exact(), features=asc.Tokens(words))
        expected = asc.attribute(NET, X, of=1, over=asc.coalitions.Exact(), features=np.array([0, 0, -1, 1]))
        torch.testing.assert_close(found.values, expected.values, rtol=0, atol=0)
        assert found.features.names == ("7", "900")


def test_what_another_call_holds_can_stand_in_everywhere():
    def model(x: np.ndarray) -> np.ndarray:
        return np.tanh(x).sum(1)

    x, other = X.numpy(), rows(3, 4, seed=9).numpy()
    expected = asc.attribute(model, x, over=asc.coalitions.Exact(), by=asc.Replace(other))
    np.testing.assert_array_equal(
        asc.attribute(model, x, over=asc.coalitions.Exact(), by=asc.removal.Patch(asc.Call(other))).values, expected.values
    )
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2)).double()
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    expected = asc.attribute(net, ids, of=1, over=asc.coalitions.Exact(), by=asc.MaskToken(8))
    for by in (asc.Replace(asc.distributions.MaskedTokens(8)), asc.removal.Patch(asc.Call(torch.full_like(ids, 8)))):
        torch.testing.assert_close(
            asc.attribute(net, ids, of=1, over=asc.coalitions.Exact(), by=by).values, expected.values, rtol=0, atol=0
        )
