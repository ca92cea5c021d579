"""Games at their edges: the least budgets, very many features, estimates asked for too early, groups too wide to open."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ascribe.coalitions import (
    Banzhaf,
    Exact,
    HsicIndices,
    Interactions,
    LeaveOneOut,
    Leverage,
    LinearSurrogate,
    Owen,
    Permutations,
    Players,
    RandomCoalitions,
    ShapleyRegression,
    SmoothMasks,
    TotalSobolIndices,
)
from ascribe.coalitions import lime as surrogate
from ascribe.coalitions.kernel import make_plan
from ascribe.coalitions.sampling import compute_size_weights
from ascribe.errors import CoalitionError
from tests.support.coalition_games import banzhaf, change, looked_up, network, play, referee, table

FITS = [{}, {"smooth": False}, {"paired": False}, {"tolerance": 1e-9}]


# The least


@pytest.mark.parametrize("more", FITS, ids=str)
@pytest.mark.parametrize("make", [ShapleyRegression, Leverage, Banzhaf])
@pytest.mark.parametrize("features", [4, 5, 7])
def test_the_least_budget_is_enough_for_any_sample(make, more, features):
    """Groups without which the others do not determine the fit have nothing to say of its errors; none breaks it."""
    game = network(features)
    for seed in range(30):
        found, rows = referee(make(2 + 3 * features, **more), features, game, seed)
        assert len(rows) <= 2 + 3 * features
        assert np.isfinite(found.values).all()
        assert abs(found.values).max() < 100
        if found.complete:
            np.testing.assert_allclose(found.values.sum(axis=-1), change(game, features), atol=1e-9)


@pytest.mark.parametrize("more", FITS[1:3], ids=str)
@pytest.mark.parametrize("budget", [17, 30])
def test_banzhaf_fits_count_nobody_and_all_like_others(budget, more):
    """Of 32 coalitions these two are a sixteenth: fits without them miss by far more than chance does."""
    game = looked_up(table(5, 5))
    values = np.stack([play(Banzhaf(budget, **more), 5, game, seed).values for seed in range(100)])
    off = values.mean(axis=0) - banzhaf(game, 5)
    assert (abs(off) < 4 * values.std(axis=0) / 10).all()


# Very many


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("sizes", ["kernel", "leverage", "uniform"])
def test_more_coalitions_of_a_size_than_a_float_can_count(sizes, paired):
    """Of 1,200 features 600 at a time. Drawn by what they weigh, and no size completely, all units weigh the same."""
    weights = compute_size_weights(1200, sizes)
    sample = make_plan(1200, weights, weights, 402, paired, False).draw(np.random.default_rng(0))
    assert len(np.unique(sample.coalitions, axis=0)) == len(sample.coalitions) == 400 // (1 + paired)
    np.testing.assert_allclose(sample.weight, weights.sum() / len(sample.coalitions))
    assert sample.chance.max() < 1
    assert sample.chance.min() < 1e-200


@pytest.mark.parametrize("over", [Exact(), Owen()], ids=repr)
def test_numbers_too_long_to_be_written_are_told_as_powers(over):
    with pytest.raises(CoalitionError, match=r"2\^20000"):
        over.game(Players(20_000, tuple(range(20_000))), 0)


def test_a_flat_tree_of_many_is_counted():
    assert Owen().rows(Players(2000, tuple(range(2000)))) == 2048


# Too early


@pytest.mark.parametrize(
    "over", [Exact(), Exact("banzhaf"), Interactions(), Interactions(index="taylor"), Permutations(5000), ShapleyRegression(5000)], ids=repr
)
def test_sums_over_some_coalitions_are_no_values(over):
    """What needs all coalitions says so until it has them all; a part of the sum is not an estimate."""
    game, run = network(10), over.game(Players(10), 0)
    while (there := run.ask(100)) is not None:
        for one in (there[:1], there[1:-1], there[-1:]):
            with pytest.raises(CoalitionError, match="before"):
                run.estimate()
            run.tell(one, game(one))
    assert run.estimate().error is None


def test_a_tree_before_both_ends_were_told():
    game = Owen().game(Players(8), 0)
    game.tell(game.ask(1), np.zeros((1, 1, 1)))
    with pytest.raises(CoalitionError, match="before"):
        game.estimate()


def test_an_interruption_is_heard_over_a_game_that_knows_nothing_yet():
    import torch

    import ascribe as asc

    calls = []

    def model(x):
        calls.append(len(x))
        if sum(calls) > 100:
            raise KeyboardInterrupt
        return x.sum(1, keepdim=True)

    with pytest.raises(KeyboardInterrupt) as caught:
        asc.attribute(model, torch.ones(1, 10), of=0, over=asc.coalitions.Exact(), by=asc.Replace(0.0), chunk=16)
    assert caught.value.partial is None


# Too wide


def test_a_group_too_wide_to_open_does_not_keep_others_closed():
    """30 features in one group would take 2^30 coalitions; the group of three beside it has its values all the same."""
    weights = np.concatenate([np.full(30, 5.0), [1.0, 2.0, 3.0]])
    tree = (tuple(range(30)), (30, 31, 32))
    found, rows = referee(Owen(100), Players(33, tree), lambda there: (there @ weights)[None, :, None])
    assert len(rows) == 4 + 2 * 6
    np.testing.assert_allclose(found.values[0, 0], weights)
    assert np.isnan(found.error[0, 0, :30]).all()
    assert (found.error[0, 0, 30:] == 0).all()
    assert found.notes == ("30 of 33 features share what their groups bring: 100 coalitions left these closed",)


# What is no number


@pytest.mark.parametrize("wrong", [None, "a", 100.5, True, -3], ids=repr)
@pytest.mark.parametrize(
    "make", [Owen, RandomCoalitions, SmoothMasks, HsicIndices, lambda n: SmoothMasks(cells=n), lambda n: Exact(most=n)]
)
def test_what_is_no_count_is_refused(make, wrong):
    with pytest.raises(CoalitionError, match=re.escape(f"={wrong!r}")):
        make(wrong)


@pytest.mark.parametrize("wrong", ["a", float("nan"), float("inf"), -1.0, 0.0], ids=repr)
@pytest.mark.parametrize("name", ["width", "lasso", "ridge", "p"])
def test_what_is_no_size_is_refused(name, wrong):
    if name == "ridge" and wrong == 0.0:
        assert LinearSurrogate(ridge=wrong).ridge == 0.0
        return
    with pytest.raises(CoalitionError, match=name):
        LinearSurrogate(**{name: wrong})
    if name == "width":
        with pytest.raises(CoalitionError, match=name):
            HsicIndices(width=wrong)


def test_numbers_of_numpy_are_shown_as_numbers():
    assert repr(Permutations(np.int64(100), tolerance=np.float64(0.5))) == "coalitions.Permutations(100, tolerance=0.5)"


@pytest.mark.parametrize("make", [RandomCoalitions, SmoothMasks, LinearSurrogate])
def test_a_probability_cannot_be_left_out(make):
    with pytest.raises(CoalitionError, match="p=None"):
        make(p=None)


# What is not finite

EVERY = (
    Exact(),
    ShapleyRegression(100),
    ShapleyRegression(100, smooth=False),
    ShapleyRegression(100, paired=False),
    Banzhaf(100),
    Permutations(100),
    Owen(),
    Owen(60, "random"),
    Interactions(),
    Interactions(200),
    Interactions(200, "faith"),
    RandomCoalitions(64),
    SmoothMasks(50, 3),
    TotalSobolIndices(100),
    HsicIndices(64),
    LinearSurrogate(60),
    LinearSurrogate(60, lasso=0.01),
    LeaveOneOut(),
)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("over", EVERY, ids=repr)
def test_what_is_not_finite_is_seen_in_its_own_record_only(over):
    """A record whose value is infinite with most features there; no warning of numpy's, and nothing in the record next to it."""
    game = network(10)

    def beside(there):
        return np.concatenate([game(there), np.where(there.sum(axis=1) > 4, np.inf, 1.0)[None, :, None]], axis=2)

    alone, both = play(over, 10, game), play(over, 10, beside)
    assert not np.isfinite(both.values[0, 1]).all()
    np.testing.assert_allclose(both.values[0, 0], alone.values[0, 0], atol=1e-9)


def test_no_sweeps_are_made_for_what_is_not_finite(monkeypatch):
    largest = surrogate.largest_finite
    steps = []
    monkeypatch.setattr(surrogate, "largest_finite", lambda values: steps.append(1) or largest(values))
    matrix, right = np.eye(3) + 0.1, np.array([[1.0, np.nan], [2.0, np.nan], [-1.0, np.nan]])
    found = surrogate.lasso(matrix, right, 0.2)
    assert len(steps) < surrogate.SWEEPS / 10
    np.testing.assert_allclose(found[:, 0], surrogate.lasso(matrix, right[:, :1], 0.2)[:, 0])
    assert np.isnan(found[:, 1]).all()
