"""What smooth fits expect of a game, against the sum of products that it stands for; and what choosing it brings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ascribe.coalitions import Banzhaf, Leverage, ShapleyRegression
from ascribe.coalitions.covariance import LARGEST, PriorCovariance, make_candidates, make_uniform
from ascribe.coalitions.kernel import ALIKE_FROM
from ascribe.coalitions.sampling import compute_size_weights
from tests.support.coalition_games import change, network, play, polynomial, shapley


def products(rates: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """Every product of 3, 5, ... features with its variance."""
    n = len(rates)
    return [(c, float(np.prod(rates[list(c)]))) for k in range(3, n + 1, 2) for c in combinations(range(n), k)]


RATES = [np.full(6, 0.3), np.array([0.9, 0.5, 0.2, 0.1, 1e-3, 0.05, 0.3])]


@pytest.mark.parametrize("rates", RATES, ids=len)
def test_covariances_are_sums_over_products(rates):
    rng = np.random.default_rng(0)
    signs, others = rng.choice([-1.0, 1.0], (5, len(rates))), rng.choice([-1.0, 1.0], (4, len(rates)))
    terms = products(rates)
    whole = sum(v for _, v in terms)
    expected = sum(v * np.outer(signs[:, list(c)].prod(1), others[:, list(c)].prod(1)) for c, v in terms) / whole
    np.testing.assert_allclose(PriorCovariance(rates).between(signs, others), expected, atol=1e-12)


@pytest.mark.parametrize("rates", RATES, ids=len)
def test_each_product_is_shared_by_its_features(rates):
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (5, len(rates)))
    terms = products(rates)
    expected = np.zeros(signs.shape)
    for c, v in terms:
        expected[:, list(c)] += v * signs[:, list(c)].prod(1)[:, None] / len(c)
    np.testing.assert_allclose(PriorCovariance(rates).shapley_covariance(signs), expected / sum(v for _, v in terms), atol=1e-12)


@pytest.mark.parametrize("features", [3, 12, 60, 100])
def test_the_integral_is_exact_for_many_features_too(features):
    """Of all features, each gets its rate's part in every product: they sum to half the variance's two ends, which are 1."""
    like = make_uniform(features)
    np.testing.assert_allclose(like.shapley_covariance(np.ones((1, features))).sum(), 1.0, atol=1e-10)


def test_nothing_known_is_one_candidate_for_all():
    assert [like.noise for like in make_candidates(np.zeros(5))] == [make_uniform(5).noise]
    assert [like.noise for like in make_candidates(np.full(5, np.nan))] == [make_uniform(5).noise]
    assert all((like.rates <= LARGEST).all() and (like.rates > 0).all() for like in make_candidates(np.array([1.0, 0, 0, 1e-9])))


PAIRED = [ShapleyRegression(200), Leverage(200), Banzhaf(200)]


@pytest.mark.parametrize("over", PAIRED, ids=repr)
def test_games_played_together_are_each_alone(over):
    """What one record's game is like says nothing of another's."""
    game = network(10, seed=4, records=3)
    together = play(over, 10, game)
    for k in range(3):
        alone = play(over, 10, lambda there, k=k: game(there)[..., k : k + 1])
        np.testing.assert_allclose(together.values[:, k], alone.values[:, 0], rtol=0, atol=1e-9)
        assert together.error is not None
        assert alone.error is not None
        np.testing.assert_allclose(together.error[:, k], alone.error[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("over", PAIRED, ids=repr)
def test_scale_does_not_matter(over):
    game = network(10, seed=4)
    for scale in (1e-9, -3.0, 1e6):
        values = play(over, 10, lambda there, scale=scale: scale * game(there)).values
        np.testing.assert_allclose(values / scale, play(over, 10, game).values, rtol=0, atol=1e-9)


def test_a_game_of_few_features_is_found_from_few_coalitions():
    """Three features of fourteen act, all together: one likeness for all games takes them for noise."""
    game = polynomial(14, {(0, 1, 2): 5.0, (0,): 1.0, (1,): 1.0, (2,): 1.0})
    exact = shapley(game, 14)
    off = {smooth: np.mean([(play(ShapleyRegression(128, smooth=smooth), 14, game, seed).values - exact) ** 2 for seed in range(8)])
           for smooth in (None, True, False)}  # fmt: skip
    assert off[None] < off[True] / 3
    assert off[True] < off[False]


def test_values_add_up_and_dull_games_are_left_alone():
    game = network(12, seed=1)
    np.testing.assert_allclose(play(ShapleyRegression(300), 12, game).values.sum(), change(game, 12).item(), atol=1e-9)
    nothing = play(ShapleyRegression(300), 12, lambda there: 0.0 * game(there))
    assert not nothing.values.any()


def test_sizes_are_drawn_alike_where_there_are_many_coalitions_for_each_feature():
    """Above the limit as `Leverage` draws them, below it by the kernel; the additive fit by the kernel, as published."""
    n = 14

    def sizes(over):
        rows = []

        def game(there):
            rows.append(there.sum(axis=1))
            return network(n)(there)

        play(over, n, game)
        return np.bincount(np.concatenate(rows), minlength=n + 1)

    many, few = ALIKE_FROM * n + 2, ALIKE_FROM * n
    assert (sizes(ShapleyRegression(many)) == sizes(Leverage(many))).all()
    assert (sizes(ShapleyRegression(few)) != sizes(Leverage(few))).any()
    assert (sizes(ShapleyRegression(many, smooth=False)) != sizes(Leverage(many))).any()
    assert compute_size_weights(n, "leverage").std() == 0
