"""Hierarchies, interactions, masks, sensitivity and surrogates: against formulas written here, closed forms and slow constructions."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascribe.coalitions import (
    HsicIndices,
    Interactions,
    LinearSurrogate,
    Owen,
    Permutations,
    Players,
    RandomCoalitions,
    ShapleyRegression,
    SmoothMasks,
    TotalSobolIndices,
)
from ascribe.coalitions.base import is_adaptive
from ascribe.coalitions.hierarchies import halve_grid
from ascribe.coalitions.lime import lasso
from ascribe.coalitions.rise import make_lenses
from ascribe.errors import CoalitionError
from tests.support.coalition_games import change, looked_up, network, pair_index, play, polynomial, referee, shapley, table

TREES = {
    5: ((0, 3), (1, (2, 4))),
    6: ((0, 1, 2), (3,), (5, 4)),
    7: (0, (1, (2, (3, (4, (5, 6)))))),
}
SEVEN = (
    Owen(),
    Owen(40),
    Owen(100, "random"),
    Interactions(),
    Interactions(100),
    Interactions(110, "taylor"),
    Interactions(110, "faith"),
    Interactions(index="faith"),
    SmoothMasks(100, 3),
    TotalSobolIndices(160),
    HsicIndices(80),
    LinearSurrogate(100),
    LinearSurrogate(100, lasso=0.01),
    LinearSurrogate(100, tolerance=0.3),
)
few = settings(max_examples=15)


def together(tree) -> list[tuple[int, ...]]:
    """Every order of the features of a tree in which its groups stay together."""
    if isinstance(tree, int):
        return [(tree,)]
    found = []
    for parts in permutations(tree):
        found += [sum(choice, ()) for choice in product(*map(together, parts))]
    return found


def owen(value_of, features: int, tree) -> np.ndarray:
    """The mean contribution over those orders."""
    values = 0.0
    orders = together(tree)
    for order in orders:
        steps = np.zeros((features + 1, features), dtype=bool)
        for k, i in enumerate(order):
            steps[k + 1 :, i] = True
        gains = np.diff(value_of(steps), axis=1)
        values = values + gains[:, np.argsort(order)] / len(orders)
    return np.moveaxis(values, 1, -1)


# Hierarchies


@pytest.mark.parametrize("features", TREES)
def test_owen_is_the_mean_over_orders_that_keep_groups_together(features):
    game = looked_up(table(features, 2, quantities=2, records=2))
    found = play(Owen(), Players(features, TREES[features]), game)
    np.testing.assert_allclose(found.values, owen(game, features, TREES[features]), atol=1e-12)
    assert found.error is None
    assert found.complete


def test_a_tree_with_one_level_gives_shapley_values():
    game = looked_up(table(6, 1))
    for tree in ((0, 1, 2, 3, 4, 5), ((((0, 1, 2, 3, 4, 5)),),)):
        np.testing.assert_allclose(play(Owen(), Players(6, tree), game).values, shapley(game, 6), atol=1e-12)


def test_owen_costs_what_its_tree_has():
    _, rows = referee(Owen(10**6), Players(16), network(16))
    assert len(rows) == 2 + sum(2 * 4**depth for depth in range(4))  # halve_grid: 1, 2, 4, 8 groups in 1, 2, 4, 8 cases
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("budget", [2 + 2, 10, 40, 100])
def test_groups_left_closed_share_alike(budget):
    game = network(16, records=2)
    found, rows = referee(Owen(budget), Players(16), game)
    assert len(rows) <= budget
    np.testing.assert_allclose(found.values.sum(axis=-1), change(game, 16), atol=1e-9)
    closed = np.isnan(found.error[0, 0])
    assert closed.any()
    exact = play(Owen(10**6), Players(16), game).values
    np.testing.assert_allclose(found.values[..., ~closed], exact[..., ~closed], atol=1e-9)
    assert f"{closed.sum()} of 16 features share" in found.notes[0]
    if budget == 4:
        both = exact[..., :8].sum(axis=-1, keepdims=True), exact[..., 8:].sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(found.values, np.concatenate([np.repeat(b / 8, 8, axis=-1) for b in both], axis=-1), atol=1e-9)


def test_what_changes_most_is_opened_first():
    weights = np.zeros(64)
    weights[37], weights[41] = 3.0, 1.0
    found = play(Owen(300), Players(64), lambda there: (there @ weights)[None, :, None])
    assert found.values[0, 0, 37] == pytest.approx(3.0)
    assert np.isnan(found.error).any()


def test_grids_are_halved_along_their_longer_side():
    assert halve_grid((2, 4)) == (((0, 1), (4, 5)), ((2, 3), (6, 7)))
    assert halve_grid((1, 3)) == ((0, 1), 2)
    found = play(Owen(), Players(8, shape=(2, 4)), looked_up(table(8, 1)))
    expected = play(Owen(), Players(8, halve_grid((2, 4))), looked_up(table(8, 1)))
    np.testing.assert_array_equal(found.values, expected.values)


def test_deep_trees():
    tree = 1999
    for i in reversed(range(1999)):
        tree = (i, tree)
    found = play(Owen(50), Players(2000, tree), lambda there: there.sum(axis=1)[None, :, None].astype(float))
    np.testing.assert_allclose(found.values, 1.0)


@pytest.mark.parametrize("tree", [((0, 1), (1, 2)), (0, 1), (0, 1, 2, 3), ("a", 1, 2), (0, (), 1, 2), (0, True, 2)])
def test_trees_without_every_feature_once_are_refused(tree):
    with pytest.raises(CoalitionError, match="tree"):
        Owen().game(Players(3, tree), 0)


def test_owen_refuses_what_it_cannot_do():
    with pytest.raises(CoalitionError, match="opened='random'"):
        Owen(tolerance=0.1)
    with pytest.raises(CoalitionError, match="20 groups"):
        Owen().game(Players(20, tuple(range(20))), 0)
    assert Owen(opened="random").rows(Players(20, tuple(range(20)))) <= 2048


# Interactions


@pytest.mark.parametrize("features", range(1, 8))
def test_interactions_are_the_formula(features):
    game = looked_up(table(features, 4))
    found = play(Interactions(), features, game)
    assert found.error is None
    for i, j in combinations(range(features), 2):
        assert found.values[0, 0, i, j] == found.values[0, 0, j, i]
        assert 2 * found.values[0, 0, i, j] == pytest.approx(pair_index(game, features, i, j), abs=1e-12)
    np.testing.assert_allclose(found.values.sum(axis=-1), shapley(game, features), atol=1e-12)


@pytest.mark.parametrize("features", [2, 4, 5])
def test_taylor_is_the_mean_over_orders(features):
    """What a pair brings together beyond each alone, at the coalition before both, over every order; alone on the diagonal."""
    game = looked_up(table(features, 4))

    def of(*members):
        return float(game(np.isin(np.arange(features), members)[None])[0, 0, 0])

    found = play(Interactions(index="taylor"), features, game)
    assert found.complete
    np.testing.assert_allclose(found.values.sum(), change(game, features).item(), atol=1e-12)
    orders = list(permutations(range(features)))
    for i, j in combinations(range(features), 2):
        befores = [order[: min(order.index(i), order.index(j))] for order in orders]
        mean = np.mean([of(*c, i, j) - of(*c, i) - of(*c, j) + of(*c) for c in befores])
        assert 2 * found.values[0, 0, i, j] == pytest.approx(mean, abs=1e-12)
        assert found.values[0, 0, i, i] == pytest.approx(of(i) - of(), abs=1e-12)


def faith(value_of, features: int) -> np.ndarray:
    """Faith-Shap from its definition: weighted least squares over all coalitions, both ends held by Lagrange multipliers."""
    subsets = np.array(list(product([False, True], repeat=features)))
    pairs = list(combinations(range(features), 2))
    terms = np.concatenate([np.ones((len(subsets), 1)), subsets, *[subsets[:, [i]] & subsets[:, [j]] for i, j in pairs]], axis=1).astype(
        float
    )
    size = subsets.sum(axis=1)
    number = np.array([len(list(combinations(range(features), s))) for s in range(features + 1)])[size]
    inner = (size > 0) & (size < features)
    weight = np.where(inner, (features - 1) / np.where(inner, number * size * (features - size), 1), 0)
    v = value_of(subsets)[0, :, 0]
    held = terms[~inner]
    k = terms.shape[1]
    system = np.block([[(terms.T * weight) @ terms, held.T], [held, np.zeros((2, 2))]])
    solution = np.linalg.solve(system, np.concatenate([(terms.T * weight) @ v, v[~inner]]))[1:k]
    found = np.diag(solution[:features])
    for (i, j), value in zip(pairs, solution[features:], strict=True):
        found[i, j] = found[j, i] = value / 2
    return found


@pytest.mark.parametrize("features", [3, 4, 6])
def test_faith_is_its_definition(features):
    game = looked_up(table(features, 4))
    np.testing.assert_allclose(play(Interactions(index="faith"), features, game).values[0, 0], faith(game, features), atol=1e-9)


@pytest.mark.parametrize(
    "over", [Interactions(), Interactions(index="faith"), Interactions(100, "faith"), Interactions(60, "shapley")], ids=repr
)
def test_interactions_of_a_polynomial_of_pairs(over):
    """Products of two features are interactions, and nothing else is; any estimator finds them exactly."""
    game = polynomial(7, {(0,): 1.0, (3,): -2.0, (0, 1): 2.0, (1, 2): -4.0, (4, 6): 0.5})
    expected = np.zeros((7, 7))
    expected[0, 0], expected[3, 3] = 1.0, -2.0
    for i, j, value in ((0, 1, 2.0), (1, 2, -4.0), (4, 6, 0.5)):
        expected[i, j] = expected[j, i] = value / 2
    found = play(over, 7, game)
    np.testing.assert_allclose(found.values[0, 0], expected, atol=1e-9)
    if found.error is not None and over.index == "faith":
        np.testing.assert_allclose(found.error, 0, atol=1e-6)


def test_a_product_of_three_is_spread_over_its_pairs():
    """x0 x1 x2: index 1/2 for each pair, which leaves 1/3 - 1/2 for each feature."""
    found = play(Interactions(), 4, polynomial(4, {(0, 1, 2): 1.0})).values[0, 0]
    assert found[0, 1] == pytest.approx(0.25)
    assert found[0, 0] == pytest.approx(1 / 3 - 1 / 2)
    np.testing.assert_allclose(found[3], 0, atol=1e-12)


# Masks


def slowly(cells: np.ndarray, size: int, offset: int) -> np.ndarray:
    """A row of cells drawn out to one cell more than ``size``, pixel centre by pixel centre, and cut at an offset."""
    step = -(-size // len(cells))
    length = (len(cells) + 1) * step
    drawn = np.interp((np.arange(length) + 0.5) * len(cells) / length - 0.5, np.arange(len(cells)), cells)
    return drawn[offset : offset + size]


@pytest.mark.parametrize(("size", "cells"), [(14, 7), (10, 3), (5, 5), (9, 1)])
def test_masks_are_grids_drawn_out_and_shifted(size, cells):
    row = np.random.default_rng(0).random(cells)
    lenses = make_lenses(size, cells)
    assert len(lenses) == -(-size // cells)
    for offset, lens in enumerate(lenses):
        np.testing.assert_allclose(lens @ row, slowly(row, size, offset), atol=1e-6)


def test_masks_of_a_picture():
    players = Players(12 * 10, shape=(12, 10))
    _, rows = referee(SmoothMasks(500, (4, 5)), players, lambda m: m.sum(axis=1)[None, :, None])
    assert rows.dtype == np.float32
    assert rows.min() >= 0
    assert rows.max() <= 1 + 1e-6
    np.testing.assert_allclose(rows.mean(axis=0), 0.5, atol=0.12)
    pictures = rows.reshape(-1, 12, 10)
    assert abs(np.diff(pictures, axis=1)).max() <= 4 / 12 + 1e-6  # as smooth as the coarse grid is
    assert len(np.unique(rows, axis=0)) == 500


def test_masks_find_what_matters():
    """Worth is how much of one pixel is there: the mean weighted by masks is largest at that pixel, or next to it."""
    players = Players(144, shape=(12, 12))
    found = play(SmoothMasks(2000, 4), players, lambda m: 7.0 + m[None, :, [66]])
    assert found.values.argmax() in (54, 65, 66, 67, 78)
    far = play(SmoothMasks(2000, 4), players, lambda m: m[None, :, [66]])
    np.testing.assert_allclose(found.values - 7.0, far.values, atol=1e-5)  # a constant adds no noise
    np.testing.assert_allclose(far.values[0, 0, 143], 0.5, atol=0.05)


@pytest.mark.parametrize("over", [SmoothMasks(100, (20,)), SmoothMasks(100, (3, 3))])
def test_masks_need_a_grid_with_room(over):
    with pytest.raises(CoalitionError, match="grid of"):
        over.game(Players(10), 0)


def test_one_number_of_cells_is_for_axes_that_have_room_for_it() -> None:
    """An axis of fewer features has as many cells as features."""
    few, asked = (over.game(Players(10), 0).ask(50) for over in (SmoothMasks(100, (10,)), SmoothMasks(100, 20)))
    np.testing.assert_array_equal(asked, few)


# Sensitivity


def test_total_indices_in_closed_form():
    """A sum: shares of the variances. A product of (1 + a (u - 1/2)): 1 + a^2/12 each, by its definition."""
    weights = np.array([1.0, 2.0, 0.5, 0.0])
    found = play(TotalSobolIndices(40_000), 4, lambda u: (u @ weights)[None, :, None])
    np.testing.assert_allclose(found.values[0, 0], weights**2 / (weights**2).sum(), atol=0.02)
    factor = 1 + weights**2 / 12
    found = play(TotalSobolIndices(40_000), 4, lambda u: (1 + weights * (u - 0.5)).prod(axis=1)[None, :, None])
    np.testing.assert_allclose(found.values[0, 0], (factor - 1) / factor * factor.prod() / (factor.prod() - 1), atol=0.02)


def test_dependence_is_the_trace_of_its_matrices():
    game = network(5, records=2)
    found, rows = referee(HsicIndices(100, width=0.7), 5, game)
    y = game(rows)[0, :, 1]
    centre = np.eye(100) - 1 / 100
    outputs = np.exp(-((y[:, None] - y) ** 2) / (2 * 0.7**2))
    for i in range(5):
        feature = (rows[:, [i]] == rows[:, i]).astype(float)
        expected = np.trace(feature @ centre @ outputs @ centre) / 100**2
        assert found.values[0, 1, i] == pytest.approx(expected, rel=1e-9)
    assert (rows.mean(axis=0) == 0.5).all()


def test_dependence_sees_what_means_do_not():
    """Exclusive or: no feature changes the mean, two change the output."""
    found = play(HsicIndices(400), 4, lambda there: (there[:, 0] ^ there[:, 2]).astype(float)[None, :, None])
    assert found.values.max() < 0.02
    scaled = play(HsicIndices(400), 4, lambda there: np.where(there[:, 0], (there[:, 2] - 0.5) * 2, 0.0)[None, :, None])
    assert scaled.values[0, 0, 0] > 10 * scaled.values[0, 0, 1]


# Surrogates


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "hamming"])
def test_surrogates_are_the_fits_of_scikit_learn(distance):
    from sklearn.linear_model import Lasso, Ridge

    game = network(8, records=2)
    for over in (LinearSurrogate(300, distance, ridge=2.0), LinearSurrogate(300, distance, 0.6, lasso=0.05)):
        found, rows = referee(over, 8, game)
        size = rows.sum(axis=1)
        full = np.ones(8)
        far = {
            "cosine": [1 - (z @ full) / max(np.linalg.norm(z) * np.sqrt(8), 1e-300) for z in rows.astype(float)],
            "euclidean": np.sqrt(8 - size),
            "hamming": (8 - size) / 8,
        }[distance]
        width = over.width or (0.75 * np.sqrt(8) if distance == "euclidean" else 0.25)
        weights = np.sqrt(np.exp(-(np.array(far) ** 2) / width**2))  # as LIME's authors write their kernel
        model = Ridge(2.0) if over.lasso is None else Lasso(0.05, tol=1e-12, max_iter=100_000)
        model.fit(rows.astype(float), game(rows)[0], sample_weight=weights)
        np.testing.assert_allclose(found.values[0], model.coef_, atol=1e-7)
        if over.lasso:
            assert 0 < (found.values == 0).sum() < found.values.size


@few
@given(seed=st.integers(0, 10**6), penalty=st.floats(0.01, 2.0))
def test_lasso_meets_its_conditions(seed, penalty):
    """The subgradient: at the penalty where a coefficient is not 0, below it where it is."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(30, 6))
    matrix, right = rows.T @ rows / 30, rng.normal(size=(6, 3))
    found = lasso(matrix, right, penalty)
    slope = right - matrix @ found
    np.testing.assert_allclose(slope[found != 0], penalty * np.sign(found[found != 0]), atol=1e-6)
    assert (abs(slope[found == 0]) <= penalty + 1e-6).all()


# All of them


@pytest.mark.parametrize("over", SEVEN, ids=repr)
def test_the_sizes_asked_for_change_nothing(over):
    game = network(7, records=2)
    whole, rows = referee(over, 7, game, seed=4)
    for most in (1, 6):
        again, same = referee(over, 7, game, seed=4, most=most)
        np.testing.assert_array_equal(same, rows)
        np.testing.assert_allclose(again.values, whole.values, rtol=1e-7, atol=1e-9)
        if whole.error is not None:
            np.testing.assert_allclose(again.error, whole.error, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("over", [over for over in SEVEN if over not in (Owen(40), LinearSurrogate(100, tolerance=0.3))], ids=repr)
def test_games_are_played_side_by_side(over):
    """Quantities and records share coalitions: each gets its values as alone, unless values decide which coalitions are asked for."""
    game = network(7, records=3, quantities=2)
    whole = play(over, 7, game)
    alone = play(over, 7, lambda there: game(there)[1:, :, 2:])
    np.testing.assert_allclose(alone.values[0, 0], whole.values[1, 2], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("over", SEVEN, ids=repr)
def test_constant_games(over):
    found = play(over, 7, lambda there: np.full((1, len(there), 1), 3.0))
    expected = 3.0 if isinstance(over, SmoothMasks) else 0.0
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    if found.error is not None:
        assert not (found.error > 1e-6).any()


@pytest.mark.parametrize(
    "over", [Owen(), Interactions(), Interactions(index="faith"), SmoothMasks(100, 1), LinearSurrogate(500, ridge=1e-9)], ids=repr
)
def test_one_feature(over):
    found = play(over, 1, lambda there: 2.0 + 3.0 * there[None, :, :1])
    if not isinstance(over, SmoothMasks):
        np.testing.assert_allclose(found.values.reshape(-1), [3.0], atol=1e-6)
    assert np.isfinite(found.values).all()


def test_one_feature_has_all_the_variance():
    assert play(TotalSobolIndices(4096), 1, lambda there: 2.0 + 3.0 * there[None, :, :1]).values.item() == pytest.approx(1.0, abs=0.05)
    found = play(HsicIndices(64), 1, lambda there: 2.0 + 3.0 * there[None, :, :1])
    assert found.values.item() == pytest.approx((1 - np.exp(-0.5)) / 4)  # outputs 3 apart, which is also the median


NINE = Players(9, tree=((0, 1), 2, 3, 4, 5, 6, 7, 8))
HONEST = (
    Owen(150, "random"),
    Interactions(280),
    Interactions(280, "taylor"),
    Interactions(300, "faith"),
    SmoothMasks(200, 3),
    TotalSobolIndices(100),
    TotalSobolIndices(640),
    LinearSurrogate(300),
    LinearSurrogate(300, lasso=0.02),
)


@pytest.mark.parametrize("over", HONEST, ids=repr)
def test_errors_told_are_errors_seen(over):
    """The spread over seeds, as the errors of single runs say."""
    game = network(9, seed=6, records=2)
    runs = [play(over, NINE, game, seed) for seed in range(100)]
    values, errors = (np.stack([getattr(run, name) for run in runs]) for name in ("values", "error"))
    assert 0.8 < np.sqrt((errors**2).mean() / values.var(axis=0).mean()) < 1.3


def test_means_by_chance_have_the_errors_of_means():
    game = network(9, seed=6, records=2)
    found, there = referee(RandomCoalitions(100, p=0.3), 9, game)
    values = game(there)[0]
    for i in range(9):
        groups = values[there[:, i]], values[~there[:, i]]
        np.testing.assert_allclose(found.values[0, :, i], groups[0].mean(0) - groups[1].mean(0), rtol=1e-9)
        np.testing.assert_allclose(found.error[0, :, i] ** 2, sum(g.var(0, ddof=1) / len(g) for g in groups), rtol=1e-9)


@pytest.mark.parametrize(
    "over", [Owen(150, "random"), Interactions(280), Interactions(280, "taylor"), Interactions(300, "faith")], ids=repr
)
def test_unbiased(over):
    game = network(9, seed=6)
    exact = play(Owen() if isinstance(over, Owen) else Interactions(index=over.index), NINE, game)
    assert exact.error is None
    exact = exact.values
    values = np.stack([play(over, NINE, game, seed).values for seed in range(150)])
    assert (abs(values.mean(axis=0) - exact) < 4.5 * values.std(axis=0) / np.sqrt(150) + 2e-3 * np.ptp(exact)).all()


TOLERANT = {
    "owen": lambda t: Owen(20_000, "random", t),
    "pairs": lambda t: Interactions(20_000, tolerance=t),
    "faith": lambda t: Interactions(20_000, "faith", t),
    "surrogate": lambda t: LinearSurrogate(20_000, tolerance=t),
    "total": lambda t: TotalSobolIndices(40_000, t),
    "masks": lambda t: SmoothMasks(20_000, 3, tolerance=t),
}


@pytest.mark.parametrize("make", TOLERANT.values(), ids=TOLERANT)
def test_tolerances(make):
    game = network(15)
    players = Players(15, tree=tuple(range(15)))
    found, rows = referee(make(0.1), players, game)
    assert len(rows) < make(0.1).rows(players)
    assert found.error.max() <= 0.1 * (max(found.values.max(), 0) - min(found.values.min(), 0)) + 1e-12


@pytest.mark.parametrize(
    "make",
    [
        lambda: Owen(opened="all"),
        lambda: Interactions(index="banzhaf"),
        lambda: Interactions(50).rows(Players(12)),
        lambda: Interactions(50, "faith").rows(Players(12)),
        lambda: SmoothMasks(p=0.0),
        lambda: SmoothMasks(cells=0),
        lambda: TotalSobolIndices(20).rows(Players(12)),
        lambda: HsicIndices(4),
        lambda: HsicIndices(width=0.0),
        lambda: LinearSurrogate(distance="l1"),
        lambda: LinearSurrogate(ridge=-1.0),
        lambda: LinearSurrogate(10).rows(Players(12)),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(CoalitionError):
        make()


ADAPTS = (
    Owen(20),
    Owen(40, "random", tolerance=0.3),
    ShapleyRegression(240, tolerance=0.005),
    Permutations(240, tolerance=0.05),
    LinearSurrogate(400, tolerance=0.1),
)


@pytest.mark.parametrize("over", ADAPTS, ids=repr)
def test_what_one_record_asks_for_is_its_own_business(over):
    """Members that ask by what they are told give a record the same values alone, among others, and in any chunks."""
    import torch

    import ascribe as asc

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).double()
    x = torch.randn(5, 8, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [5.0], [1.0], [0.5]])
    whole = asc.attribute(model, x, of=1, over=over, by=asc.Replace(0.0))
    for chunk in (1, 64):
        torch.testing.assert_close(asc.attribute(model, x, of=1, over=over, by=asc.Replace(0.0), chunk=chunk).values, whole.values)
    alone = asc.attribute(model, x[2:3], of=1, over=over, by=asc.Replace(0.0))
    torch.testing.assert_close(alone.values[0], whole.values[2])
    assert is_adaptive(over, Players(8))
    assert not is_adaptive(Owen(10**6), Players(8))
    assert not is_adaptive(ShapleyRegression(60), Players(8))
