"""The benches of Shapley values measure what they say, on small tables; what they find is theirs to tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.coalition_games import looked_up, shapley

pytest.importorskip("captum")
pytest.importorskip("shap")

from ascribe.coalitions import Permutations, ShapleyRegression
from benchmarks import accuracy, budgets
from benchmarks.shapley_games import FEATURES, products, table

WORTH = np.random.default_rng(0).normal(size=2**FEATURES)
GAME = table("random", WORTH)


def test_tables_have_their_exact_values():
    np.testing.assert_allclose(GAME.exact, shapley(looked_up(WORTH[None, :, None]), FEATURES)[0, 0], atol=1e-12)
    assert GAME.error(GAME.exact) == 0
    assert GAME.error(2 * GAME.exact) == pytest.approx(1.0)


@pytest.mark.parametrize("name", accuracy.RUNS)
def test_contenders_keep_to_their_budget_and_depend_on_the_seed(name):
    seen = []

    class Counted(type(GAME)):
        def look(self, there):
            seen.append(len(there))
            return super().look(there)

    counted = Counted(GAME.name, GAME.values, GAME.exact)
    values = [accuracy.RUNS[name](counted, 256, seed) for seed in (0, 1)]
    assert sum(seen) <= 2 * 256
    assert sum(seen) >= 2 * 220
    assert not np.array_equal(*values)
    assert all(np.sum(v) == pytest.approx(WORTH[-1] - WORTH[0], abs=1e-2) for v in values)


def test_a_race_compares_the_same_seeds():
    race = accuracy.race([GAME], 64, 2)
    assert {len(errors) for errors in race.errors.values()} == {2}
    middle, low, high = race.ratio(accuracy.CAPTUM)
    assert low <= middle <= high
    assert middle == pytest.approx(race.errors[accuracy.OURS].mean() / race.errors[accuracy.CAPTUM].mean())
    head, line = accuracy.lines([race])
    assert len(head) == len(line)


def test_curves_begin_where_there_is_room():
    found = budgets.curve(GAME, lambda budget: Permutations(budget, "circles"), 1)
    assert min(found) == 192  # 134 for a circle of 12
    assert found[4096] == pytest.approx(0, abs=1e-20)  # all coalitions
    game = products(6, 20)
    np.testing.assert_allclose(game.exact, shapley(lambda z: game.look(z)[None, :, None], 6)[0, 0], atol=1e-12)
    assert budgets.error(game, ShapleyRegression(64), 0) < 1e-20


def test_the_picture_is_drawn(tmp_path):
    curves = {name: {label: {64: 0.1, 256: 0.01} for label in budgets.ESTIMATORS} for name in "abcd"}
    budgets.draw_curves(curves, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert len(budgets.lines(curves)) == 1 + 4 * len(budgets.ESTIMATORS)
