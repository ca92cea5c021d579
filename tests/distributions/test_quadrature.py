"""Rules for integrals from 0 to 1: what their weights add up to, which polynomials they give exactly, how fast they converge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascribe.distributions.members import draw_stratified
from ascribe.distributions.quadrature import QUADRATURES, quadrature_nodes
from ascribe.errors import DistributionError

RULES = tuple(rule for rule in QUADRATURES if rule != "random")
DEGREE = {
    "gauss-legendre": lambda n: 2 * n - 1,
    "trapezoid": lambda n: 1,
    "riemann-left": lambda n: 0,
    "riemann-right": lambda n: 0,
    "riemann-middle": lambda n: 1,
    "even": lambda n: 1,
}
ORDER = {"trapezoid": 2, "riemann-left": 1, "riemann-right": 1, "riemann-middle": 2, "even": 1}


def integral(rule: str, steps: int, f) -> float:
    position, weight = quadrature_nodes(rule, steps)
    return float((weight * f(position)).sum())


@settings(max_examples=30)
@given(rule=st.sampled_from(RULES), steps=st.integers(2, 200))
def test_weights_add_up_to_one(rule, steps):
    position, weight = quadrature_nodes(rule, steps)
    assert position.shape == weight.shape == (steps,)
    assert (weight > 0).all()
    assert abs(weight.sum() - 1) < 1e-13
    assert (np.diff(position) > 0).all()
    assert position[0] >= 0
    assert position[-1] <= 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [2, 3, 5, 8])
def test_polynomials_up_to_the_degree_are_exact_and_the_next_is_not(rule, steps):
    degree = DEGREE[rule](steps)
    for k in range(degree + 1):
        assert integral(rule, steps, lambda t, k=k: t**k) == pytest.approx(1 / (k + 1), abs=1e-14)
    assert abs(integral(rule, steps, lambda t: t ** (degree + 1)) - 1 / (degree + 2)) > 1e-12


@pytest.mark.parametrize("rule", ORDER)
def test_twice_the_points_make_the_error_smaller_by_the_order(rule):
    exact = np.e - 1
    errors = [abs(integral(rule, n, np.exp) - exact) for n in (64, 128)]
    assert errors[0] / errors[1] == pytest.approx(2 ** ORDER[rule], rel=0.05)


def test_where_the_points_are():
    np.testing.assert_allclose(quadrature_nodes("riemann-left", 4)[0], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(quadrature_nodes("riemann-right", 4)[0], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quadrature_nodes("riemann-middle", 4)[0], [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(quadrature_nodes("even", 5)[0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quadrature_nodes("even", 1)[0], [1])
    np.testing.assert_allclose(quadrature_nodes("trapezoid", 3)[0], [0, 0.5, 1])
    np.testing.assert_allclose(quadrature_nodes("trapezoid", 3)[1], [0.25, 0.5, 0.25])
    np.testing.assert_allclose(quadrature_nodes("gauss-legendre", 2)[0], 0.5 + np.array([-1, 1]) / np.sqrt(12))


def test_one_point_is_enough_where_the_rule_has_no_ends():
    for rule in set(RULES) - {"trapezoid"}:
        assert quadrature_nodes(rule, 1)[1].tolist() == [1.0]


@pytest.mark.parametrize(("rule", "steps"), [("trapezoid", 1), ("gauss-legendre", 0), ("riemann-left", 0), ("simpson", 5)])
def test_what_is_no_rule_is_refused(rule, steps):
    with pytest.raises(DistributionError):
        quadrature_nodes(rule, steps)


@settings(max_examples=20)
@given(count=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_random_positions_fall_once_into_each_piece(count, seed):
    position = draw_stratified(count, seed)
    assert sorted(np.floor(position * count).astype(int)) == list(range(count))
