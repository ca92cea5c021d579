"""Records with features of their own removed: against loops over records and points, in every chunk size and with every replacement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.metrics import open_features
from ascribe.metrics.rankings import first_kept, first_removed, rank_features, step_counts

IMAGES = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))
BACKGROUND = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(2))
ROWS = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))


def cnn() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double().eval()


def present_of(points: int, records: int, features: int) -> np.ndarray:
    return np.random.default_rng(5).random((points, records, features)) < 0.5


@pytest.mark.parametrize("chunk", [1, 7, None])
@pytest.mark.parametrize("by", [0.0, asc.Blur(1.0), asc.Resample(BACKGROUND)], ids=repr)
def test_each_record_has_its_own_features_removed(by: Any, chunk: int | None) -> None:
    model, x = cnn(), IMAGES.double()
    with open_features(model, asc.Call(x), 1, by=by, chunk=chunk) as removed:
        assert removed.count == 36
        present = present_of(4, 3, 36)
        found = removed.quantity(4, lambda index, points: present[points][:, index])
    smooth = isinstance(by, asc.Blur)
    replacement = blurred(x) if smooth else BACKGROUND if isinstance(by, asc.Resample) else torch.zeros(1, 2, 6, 6)
    expected = np.zeros((4, 3))
    for p in range(4):
        for n in range(3):
            keep = torch.tensor(present[p, n]).reshape(1, 6, 6)
            others = replacement[n : n + 1] if smooth else replacement
            rows = torch.where(keep, x[n][None], others.double())
            expected[p, n] = model(rows)[:, 1].mean().item()
    assert np.allclose(found, expected, rtol=0, atol=1e-10)


def blurred(x: torch.Tensor) -> torch.Tensor:
    """The blurred images: what changes where all pixels are one feature that is removed."""
    pixels, all_in_one = [asc.Unit(k) for k in range(72)], np.zeros((6, 6), int)
    over = asc.coalitions.LeaveOneOut()
    whole = asc.attribute(lambda a: a.flatten(1), x, of=pixels, over=over, by=asc.Blur(1.0), features=all_in_one)
    change = whole.features.values[:, :, 0].T.reshape(3, 2, 6, 6)  # x - blurred
    return x - torch.as_tensor(change)


def test_a_replacement_that_depends_on_what_is_removed() -> None:
    model, x = cnn(), IMAGES.double()
    present = present_of(3, 3, 36)
    with open_features(model, asc.Call(x), 1, by=asc.Inpaint(0.0)) as removed:
        together = removed.quantity(3, lambda index, points: present[points][:, index])
    for n in range(3):
        with open_features(model, asc.Call(x[n : n + 1]), 1, by=asc.Inpaint(0.0)) as removed:
            alone = removed.quantity(3, lambda index, points: present[points][:, n : n + 1])  # noqa: B023
        assert np.allclose(together[:, n], alone[:, 0], rtol=0, atol=1e-10)


def test_a_black_box_and_a_table() -> None:
    weights = np.arange(1.0, 5.0)
    with open_features(lambda rows: rows @ weights, asc.Call(ROWS.numpy().astype(float)), None, by=0.0) as removed:
        present = present_of(6, 5, 4)
        found = removed.quantity(6, lambda index, points: present[points][:, index])
        assert removed.evaluations == 5 + 6 * 5
    assert np.allclose(found, (present * ROWS.numpy() * weights).sum(-1), rtol=0, atol=1e-6)


def test_shares_of_features() -> None:
    share, weights = np.random.default_rng(0).random((2, 5, 4)), np.arange(1.0, 5.0)
    rows = ROWS.numpy().astype(float)
    with open_features(lambda x: x @ weights, asc.Call(rows), None, by=0.5) as removed:
        found = removed.quantity(2, lambda index, points: share[points][:, index])
    assert np.allclose(found, (share * rows + (1 - share) * 0.5) @ weights, rtol=0, atol=1e-6), "shares are single precision"


def test_overlapping_windows_are_removed_where_one_of_them_is() -> None:
    model = nn.Flatten()
    features = asc.Windows(2, 1)
    x = torch.ones(2, 1, 4, 4).double()
    with open_features(lambda a: model(a).sum(1), asc.Call(x), None, by=0.0, features=features) as removed:
        gone = np.zeros((1, 2, removed.count), bool)
        gone[0, 0, 0] = True
        found = removed.quantity(1, lambda index, points: ~gone[points][:, index])
    assert found.tolist() == [[12.0, 16.0]]


def test_values_of_features() -> None:
    with open_features(cnn(), asc.Call(IMAGES.double()), 1) as removed:
        values = np.random.default_rng(0).normal(size=(3, 2, 6, 6))
        assert np.allclose(removed.per_feature([values]), values.sum(1).reshape(3, 36))
        pooled = values.sum(1, keepdims=True)
        assert np.allclose(removed.per_feature([pooled]), pooled.reshape(3, 36)), "one value for all channels stays one value"
        assert np.allclose(removed.per_feature([pooled[:, 0]]), pooled.reshape(3, 36))
        small = np.random.default_rng(0).normal(size=(3, 1, 3, 3))
        assert removed.per_feature([small]).shape == (3, 36)
        with pytest.raises(asc.errors.InputError, match=r"shape \(3, 5\) for inputs of shape \(3, 2, 6, 6\)"):
            removed.per_feature([values[:, 0, 0, :5]])


def test_rankings_break_ties_at_random_and_by_the_seed() -> None:
    values = np.zeros((200, 6))
    values[:, 3] = 1
    ranks = rank_features(values, np.random.default_rng(0))
    assert (ranks[:, 3] == 0).all()
    assert np.array_equal(ranks, rank_features(values, np.random.default_rng(0)))
    others = np.delete(ranks, 3, 1).mean(0)
    assert (abs(others - 3) < 0.5).all(), "the mean rank of tied features is in the middle: 3 with a standard error of 0.1"
    assert (np.sort(ranks, 1) == np.arange(6)).all()


def test_orders_of_removal() -> None:
    ranks, counts = np.array([[2, 0, 1]]), step_counts(3, None)
    assert counts.tolist() == [0, 1, 2, 3]
    index, points = np.array([0]), np.arange(4)
    gone = ~first_removed(ranks, counts)(index, points)[:, 0]
    assert gone.tolist() == [[False] * 3, [False, True, False], [False, True, True], [True] * 3]
    assert np.array_equal(first_kept(ranks, counts)(index, points)[:, 0], gone)
    assert step_counts(100, 4).tolist() == [0, 25, 50, 75, 100]
    assert step_counts(3, 10).tolist() == [0, 1, 2, 3]


def test_a_metric_goes_on_with_the_size_of_chunks_that_an_earlier_one_found() -> None:
    model, x = cnn(), IMAGES.double()
    sizes = []
    for _ in range(2):
        with open_features(model, asc.Call(x), 1, by=0.0) as removed:
            sizes.append(removed.plan.chunker.size)
            removed.plan.chunker.settle(7)
    assert sizes[0] != 7
    assert sizes[1] == 7
