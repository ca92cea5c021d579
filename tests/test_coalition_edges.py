"""Games at their edges: the least budgets, very many features, estimates asked for too early, groups too wide to open."""

from __future__ import annotations

import numpy as np
import pytest
from coalition_games import change, network, referee

from ascribe.coalitions import (
    Banzhaf,
    Exact,
    Interactions,
    Leverage,
    Owen,
    Permutations,
    Players,
    ShapleyKernel,
)
from ascribe.coalitions.kernel import plan
from ascribe.coalitions.strata import size_weights
from ascribe.errors import CoalitionError

FITS = [{}, {"smooth": False}, {"paired": False}, {"tolerance": 1e-9}]


# The least


@pytest.mark.parametrize("more", FITS, ids=str)
@pytest.mark.parametrize("make", [ShapleyKernel, Leverage, Banzhaf])
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


# Very many


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("sizes", ["kernel", "leverage", "uniform"])
def test_more_coalitions_of_a_size_than_a_float_can_count(sizes, paired):
    """Of 1,200 features 600 at a time. Drawn by what they weigh, and no size completely, all units weigh the same."""
    weights = size_weights(1200, sizes)
    sample = plan(1200, weights, weights, 402, paired, False).draw(np.random.default_rng(0))
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
    "over", [Exact(), Exact("banzhaf"), Interactions(), Interactions(index="taylor"), Permutations(5000), ShapleyKernel(5000)], ids=repr
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
        asc.attribute(model, torch.ones(1, 10), of=0, over=asc.Exact(), by=asc.Replace(0.0), chunk=16)
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
