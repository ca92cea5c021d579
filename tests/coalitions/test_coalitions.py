"""Shapley and Banzhaf values: against their formulas, by the axioms, and in how far chance moves them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascribe.coalitions import Banzhaf, Coalitions, Exact, LeaveOneOut, Leverage, Permutations, Players, RandomCoalitions, ShapleyRegression
from ascribe.coalitions.base import GameEstimate
from ascribe.coalitions.covariance import NOISE, REACH
from ascribe.coalitions.games import compute_relative_error
from ascribe.coalitions.gaussian_process import GaussianProcessEstimator
from ascribe.coalitions.kernel import make_plan
from ascribe.coalitions.sampling import compute_size_weights
from ascribe.errors import CoalitionError, DistributionError
from tests.support.coalition_games import banzhaf, change, looked_up, network, play, polynomial, referee, shapley, table

SAMPLED = (
    ShapleyRegression(100),
    ShapleyRegression(100, smooth=False),
    ShapleyRegression(100, paired=False),
    Leverage(100),
    Permutations(100),
    Permutations(100, "circles"),
    Permutations(100, "independent"),
)
"""Shapley estimators with less than the 2^7 coalitions of seven features to spend."""
SHAPLEY = (Exact(), *SAMPLED, ShapleyRegression(128), Permutations(128))
ALL = (*SHAPLEY, LeaveOneOut(), LeaveOneOut(alone=True), Exact("banzhaf"), Banzhaf(100), RandomCoalitions(100))
LINEAR = tuple(replace(over, smooth=True) if getattr(over, "smooth", False) is None and over.paired else over for over in ALL)
"""Where each game is fitted in its own way the values are not linear in the game; a fit that is the same for all is."""
few = settings(max_examples=20)
GAMES = st.builds(table, st.just(7), st.integers(0, 10**6), st.just(2), st.just(2))


# Against the formula


@pytest.mark.parametrize("features", range(1, 11))
def test_exact_is_the_formula(features):
    game = looked_up(table(features, features, quantities=2, records=3))
    found, rows = referee(Exact(), features, game)
    np.testing.assert_allclose(found.values, shapley(game, features), rtol=0, atol=1e-12)
    assert found.error is None
    assert len(np.unique(rows, axis=0)) == len(rows) == 2**features
    np.testing.assert_allclose(play(Exact("banzhaf"), features, game).values, banzhaf(game, features), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "over", [Permutations(64), Permutations(64, "circles"), ShapleyRegression(64), Leverage(64), Permutations(), ShapleyRegression()]
)
@pytest.mark.parametrize("features", [1, 2, 3, 6])
def test_all_coalitions_are_taken_where_they_fit(over, features):
    game = looked_up(table(features, 3))
    found, rows = referee(over, features, game)
    np.testing.assert_allclose(found.values, shapley(game, features), atol=1e-12)
    assert found.error is None
    assert len(rows) == 2**features


def test_banzhaf_with_all_coalitions():
    game = looked_up(table(6, 3))
    np.testing.assert_allclose(play(Banzhaf(64), 6, game).values, banzhaf(game, 6), atol=1e-12)


@pytest.mark.parametrize("more", [{}, {"smooth": False}, {"paired": False}], ids=str)
@pytest.mark.parametrize("drawn", [ShapleyRegression, Leverage])
def test_a_fit_to_nearly_all_coalitions_is_nearly_exact(drawn, more):
    """The regression itself, not the enumeration: one coalition or pair short of all."""
    game = network(8, records=2)
    exact = shapley(game, 8)
    found = play(drawn(255, **more), 8, game)
    assert found.error is not None
    assert abs(found.values - exact).max() < 0.02 * np.ptp(exact)


def smoothed(pairs, values, weight, features: int) -> np.ndarray:
    """The fit of :class:`GaussianProcessEstimator` by its definition, with a coefficient for every product of an odd number of features.

    Coefficients of one feature are free; of k more they are normal with variance rho^k, in units in which a pair's own is NOISE
    over its weight; the condition at all features is met exactly. Shapley: a k-th of a product's 2 c to each of its features.
    """
    terms = [c for k in range(1, features + 1, 2) for c in combinations(range(features), k)]
    signs = np.concatenate([2.0 * pairs - 1, np.ones((1, features))])
    columns = np.stack([signs[:, list(c)].prod(axis=1) for c in terms], axis=1)
    prior = np.array([(REACH / features) ** len(c) for c in terms])
    scale = prior[[len(c) > 1 for c in terms]].sum()
    penalty = np.where([len(c) > 1 for c in terms], scale / prior, 0)
    inner = columns[:-1].T * (weight / weight.mean() / NOISE)
    system = np.block([[inner @ columns[:-1] + np.diag(penalty), columns[-1:].T], [columns[-1:], np.zeros((1, 1))]])
    found = np.linalg.solve(system, np.concatenate([inner @ values[:-1], values[-1:]]))[:-1]
    values = np.zeros(features)
    for c, value in zip(terms, found, strict=True):
        values[list(c)] += 2 * value / len(c)
    return values


def test_smooth_fits_are_their_definition():
    game = looked_up(table(6, 8))
    weights = compute_size_weights(6, "kernel")
    sample = make_plan(6, weights, weights, 40, True, False).draw(np.random.default_rng(0))
    estimator = GaussianProcessEstimator(sample, "shapley")
    for block in estimator.blocks():
        estimator.add_block(block, game(block.coalitions)[0])
    there = np.concatenate([sample.coalitions, np.ones((1, 6), dtype=bool)])
    values = (game(there) - game(~there))[0, :, 0] / 2
    expected = smoothed(sample.coalitions, values, sample.weight, 6)
    np.testing.assert_allclose(estimator.result().values[:, 0], expected, atol=1e-8)


def test_many_pairs_are_fitted_in_parts(monkeypatch):
    game = network(12, seed=3)
    exact = shapley(game, 12)
    whole = play(ShapleyRegression(1500), 12, game)
    monkeypatch.setattr("ascribe.coalitions.gaussian_process.ROOM", 300)
    parts = play(ShapleyRegression(1500), 12, game)
    assert abs(parts.values - whole.values).max() > 0
    np.testing.assert_allclose(parts.values.sum(), change(game, 12).item(), atol=1e-9)
    for found in (whole, parts):
        assert (abs(found.values - exact) < 4 * found.error).all()


# Axioms


@pytest.mark.parametrize("over", [*SHAPLEY, Exact("banzhaf"), LeaveOneOut(), LeaveOneOut(alone=True), Banzhaf(100)], ids=repr)
def test_linear_games_in_closed_form(over):
    """Every estimator that does not rest on means over chance gives a linear game its coefficients."""
    weights = np.random.default_rng(0).normal(size=(7, 2, 3))
    found = play(over, 7, lambda there: 5.0 + np.einsum("kf,fqr->qkr", there.astype(float), weights))
    np.testing.assert_allclose(found.values, np.moveaxis(weights, 0, -1), atol=1e-10)
    if found.error is not None:
        np.testing.assert_allclose(found.error, 0, atol=1e-6)


@pytest.mark.parametrize("over", SHAPLEY, ids=repr)
@few
@given(values=GAMES)
def test_efficiency(over, values):
    game = looked_up(values)
    found = play(over, 7, game)
    assert found.complete
    np.testing.assert_allclose(found.values.sum(axis=-1), change(game, 7), atol=1e-9)


@pytest.mark.parametrize("over", dict.fromkeys(LINEAR), ids=repr)
@few
@given(a=GAMES, b=GAMES, c=st.floats(-3, 3))
def test_linearity(over, a, b, c):
    """The same coalitions whatever the game, so the estimates of a sum are the sum of the estimates."""
    alone = [play(over, 7, looked_up(values)).values for values in (a, b)]
    np.testing.assert_allclose(play(over, 7, looked_up(a + c * b)).values, alone[0] + c * alone[1], atol=1e-8)


@pytest.mark.parametrize("over", [Exact(), Exact("banzhaf"), *SAMPLED[4:], LeaveOneOut(), LeaveOneOut(alone=True)], ids=repr)
@few
@given(values=st.builds(table, st.just(6), st.integers(0, 10**6)))
def test_dummies_get_what_they_bring_alone(over, values):
    """Feature 6 adds 0.7 to whatever is there; averages of contributions give it that at any budget."""
    found = play(over, 7, lambda there: looked_up(values)(there[:, :6]) + 0.7 * there[None, :, 6:])
    np.testing.assert_allclose(found.values[..., 6], 0.7, atol=1e-10)


@pytest.mark.parametrize("over", [Exact(), Exact("banzhaf"), LeaveOneOut(), LeaveOneOut(alone=True)], ids=repr)
@few
@given(values=GAMES)
def test_symmetry(over, values):
    """Features 2 and 5 count alike; what is exact treats them alike."""
    game = looked_up(values)

    def alike(there):
        swapped = there.copy()
        swapped[:, [2, 5]] = there[:, [5, 2]]
        return (game(there) + game(swapped)) / 2

    found = play(over, 7, alike)
    np.testing.assert_allclose(found.values[..., 2], found.values[..., 5], atol=1e-10)


@pytest.mark.parametrize("over", ALL, ids=repr)
def test_constant_games_are_worth_nothing(over):
    found = play(over, 7, lambda there: np.full((1, len(there), 2), 3.0))
    np.testing.assert_allclose(found.values, 0, atol=1e-12)
    if found.error is not None:
        np.testing.assert_allclose(found.error, 0, atol=1e-7)


@pytest.mark.parametrize("over", ALL, ids=repr)
def test_one_feature(over):
    found = play(over, 1, lambda there: 2.0 + 3.0 * there[None, :, :1])
    np.testing.assert_allclose(found.values, [[[3.0]]], atol=1e-12)


# Chance


@pytest.mark.parametrize("over", [*ALL, Permutations(500, tolerance=0.2), ShapleyRegression(100, tolerance=0.1)], ids=repr)
def test_the_sizes_asked_for_change_nothing(over):
    game = network(9 if over in ALL[1:7] else 7, records=2)
    features = 9 if over in ALL[1:7] else 7
    whole, rows = referee(over, features, game, seed=4)
    for most in (1, 7):
        again, same = referee(over, features, game, seed=4, most=most)
        np.testing.assert_array_equal(same, rows)
        np.testing.assert_allclose(again.values, whole.values, rtol=1e-9, atol=1e-12)
        if whole.error is not None:
            np.testing.assert_allclose(again.error, whole.error, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("over", [*SAMPLED, Banzhaf(100), RandomCoalitions(100)], ids=repr)
def test_seeds_decide(over):
    game = network(9)
    assert np.array_equal(play(over, 9, game, seed=1).values, play(over, 9, game, seed=1).values)
    assert not np.array_equal(play(over, 9, game, seed=1).values, play(over, 9, game, seed=2).values)


@pytest.mark.parametrize("over", [*SAMPLED, Banzhaf(100)], ids=repr)
def test_nobody_and_all_are_asked_for_once(over):
    _, rows = referee(over, 9, network(9))
    assert (rows.sum(axis=1) == 0).sum() == (rows.all(axis=1)).sum() == 1


@pytest.mark.parametrize("over", [ShapleyRegression(400), ShapleyRegression(400, paired=False), Leverage(400), Banzhaf(400)], ids=repr)
def test_no_coalition_is_drawn_twice(over):
    _, rows = referee(over, 10, network(10))
    assert len(np.unique(rows, axis=0)) == len(rows) == 400


RACE = {
    ShapleyRegression(200): shapley,
    ShapleyRegression(200, smooth=False): shapley,
    ShapleyRegression(200, paired=False): shapley,
    Leverage(200): shapley,
    Permutations(200): shapley,
    Permutations(200, "independent"): shapley,
    Permutations(600, "circles"): shapley,
    Banzhaf(200): banzhaf,
    ShapleyRegression(600): shapley,
    ShapleyRegression(600, smooth=False): shapley,
    Leverage(600): shapley,
    Banzhaf(600): banzhaf,
    RandomCoalitions(200): banzhaf,
}


@pytest.mark.parametrize("over", RACE, ids=repr)
def test_unbiased_and_honest_about_errors(over):
    """Over 120 seeds the mean is within its own standard error, and the errors told are those seen.

    GaussianProcessEstimator fits lean on what they expect of a game while there are few coalitions: by less than the errors they tell.
    """
    game = network(10, seed=5, records=2)
    exact = RACE[over](game, 10)
    runs = [play(over, 10, game, seed) for seed in range(120)]
    values, errors = (np.stack([getattr(run, name) for run in runs]).reshape(120, -1) for name in ("values", "error"))
    off = values - exact.reshape(-1)
    smooth = getattr(over, "paired", False) and over.smooth is not False
    lean = errors.mean(axis=0) if smooth else 1e-3 * np.ptp(exact)
    assert (abs(off.mean(axis=0)) < 4 * values.std(axis=0) / np.sqrt(120) * (not smooth) + lean).all()
    assert 0.85 < np.sqrt((errors**2).mean() / (off**2).mean()) < 1.35
    assert 0.88 < (abs(off) < 2 * errors).mean() < 0.99


@pytest.mark.parametrize("make", [ShapleyRegression, Leverage, Permutations, lambda b: Permutations(b, "circles")])
def test_errors_shrink_with_the_budget(make):
    game = network(10, seed=2)
    exact = shapley(game, 10)
    seen = [np.mean([(play(make(budget), 10, game, seed).values - exact) ** 2 for seed in range(12)]) for budget in (200, 800)]
    assert seen[1] < seen[0] / 2.5


def test_pairs_and_kernel_sampling_earn_their_keep():
    """At one budget: pairs of orders beat orders, pairs of coalitions beat coalitions, a fit beats means."""
    game = network(10, seed=3)
    exact = shapley(game, 10)
    raced = (ShapleyRegression(200), ShapleyRegression(200, smooth=False), ShapleyRegression(200, paired=False))
    raced += (Permutations(200), Permutations(200, "independent"))
    at = {over: np.mean([(play(over, 10, game, seed).values - exact) ** 2 for seed in range(40)]) for over in raced}
    assert sorted(at, key=at.get) == list(raced)


# Tolerances and budgets


@pytest.mark.parametrize("make", [ShapleyRegression, Leverage, Permutations, RandomCoalitions, Banzhaf])
def test_tolerance_ends_a_game_early(make):
    game = network(14, records=2)
    found, rows = referee(make(8000, tolerance=0.1), 14, game)
    assert len(rows) < 8000
    assert (found.error.max(axis=-1) <= 0.1 * np.ptp(found.values, axis=-1) + 1e-12).all()
    assert not found.notes
    _, more = referee(make(8000, tolerance=0.005), 14, game)
    assert len(more) > len(rows)
    short = play(make(200, tolerance=1e-4), 14, game)
    assert any("was not reached" in note for note in short.notes)


@pytest.mark.parametrize("make", [ShapleyRegression, Leverage, Permutations, Banzhaf])
def test_errors_of_games_ended_early_are_honest(make):
    """Stopped at half the sample, of which a fit draws most coalitions there are: what was left out counts as unknown."""
    game, over = network(9, seed=8), make(480, tolerance=1e-9)
    exact = banzhaf(game, 9) if make is Banzhaf else shapley(game, 9)
    off, told = [], []
    for seed in range(80):
        run = over.game(Players(9), seed)
        rows = 0
        while rows < 240:
            there = run.ask(16)
            rows += len(there)
            run.tell(there, game(there))
        found = run.estimate()
        off.append(found.values - exact)
        told.append(found.error)
    assert 0.8 < np.sqrt(np.mean(np.square(told)) / np.mean(np.square(off))) < 1.5


def test_pieces_may_come_back_smaller_than_they_were_asked_for():
    game, over = network(9), ShapleyRegression(100)
    whole = play(over, 9, game)
    run = over.game(Players(9), 0)
    while (there := run.ask(64)) is not None:
        for start in range(0, len(there), 24):
            run.tell(there[start : start + 24], game(there[start : start + 24]))
    np.testing.assert_allclose(run.estimate().values, whole.values)


@pytest.mark.parametrize(
    ("over", "features", "said"),
    [
        (Exact(), 17, r"2\^17 = 131,072.*ShapleyRegression"),
        (Exact(most=4), 5, "most=4"),
        (ShapleyRegression(20), 12, "38 coalitions at least"),
        (Leverage(20), 12, "budget=38"),
        (Permutations(20), 12, "24 coalitions at least"),
        (Permutations(100, "circles"), 12, "134 coalitions at least"),
        (Exact(), 0, "0 features"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_numbers(over, features, said):
    with pytest.raises(CoalitionError, match=said):
        over.game(Players(features), 0)
    with pytest.raises(DistributionError):
        over.rows(Players(features))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Permutations(orders="sorted"),
        lambda: Exact("owen"),
        lambda: RandomCoalitions(p=1.0),
        lambda: RandomCoalitions(budget=3),
        lambda: ShapleyRegression(tolerance=2.0),
        lambda: ShapleyRegression(1.5),
        lambda: ShapleyRegression(paired=False, smooth=True),
        lambda: Permutations(True),
    ],
)
def test_members_that_make_no_sense_are_refused(make):
    with pytest.raises(DistributionError):
        make()


def test_estimates_before_there_is_anything_are_refused():
    for over in (ShapleyRegression(100), Permutations(100), RandomCoalitions(100)):
        run = over.game(Players(9), 0)
        with pytest.raises(CoalitionError, match="before"):
            run.estimate()
        there = run.ask(2)
        run.tell(there, network(9)(there))
        with pytest.raises(CoalitionError, match="before"):
            run.estimate()


def test_one_sample_has_no_standard_error():
    found = play(Permutations(30), 12, network(12))
    assert np.isnan(found.error).all()
    assert "unknown" in found.notes[0]


@pytest.mark.parametrize("over", [LeaveOneOut(), LeaveOneOut(alone=True)])
def test_one_at_a_time(over):
    game = polynomial(3, {(0,): 1.0, (0, 1): 2.0, (1, 2): 4.0})
    expected = [1.0, 0.0, 0.0] if over.alone else [3.0, 6.0, 4.0]
    np.testing.assert_allclose(play(over, 3, game).values, [[expected]])


def test_many_features_take_little_memory_at_once():
    game = LeaveOneOut().game(Players(20_000), 0)
    assert len(game.ask(64)) == 64
    kernel = ShapleyRegression().game(Players(60), 0).ask(10_000)
    assert len(kernel) <= 2048 + 240


@pytest.mark.parametrize("over", ALL, ids=repr)
def test_members_keep_to_the_protocol(over):
    assert isinstance(over, Coalitions)


def test_an_error_is_a_share_of_the_range_of_values():
    """Nothing is always among them; of several games the worst counts."""
    values, error = np.array([[-1.0, 1.0], [3.0, 2.0]]), np.array([[0.4, 0.02], [0.1, 0.0]])  # [features, games]
    assert compute_relative_error(GameEstimate(values, error)) == pytest.approx(0.1)
    assert compute_relative_error(GameEstimate(values[:, 1:], error[:, 1:])) == pytest.approx(0.01)
    assert compute_relative_error(GameEstimate(values)) == 0
    assert compute_relative_error(GameEstimate(values, np.full_like(error, np.nan))) == np.inf
