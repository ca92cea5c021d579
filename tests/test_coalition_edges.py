"""Games at their edges: the least budgets, very many features, estimates asked for too early, groups too wide to open."""

from __future__ import annotations

import numpy as np
import pytest
from coalition_games import change, network, play, referee

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
from ascribe.errors import AscribeError, CoalitionError

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
