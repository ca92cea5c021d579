"""What every result is asked: on functions whose gaps, zeros and saturations are known beforehand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.engine.checks.general import compute_gap
from ascribe.utils.completeness import format_percent
from tests.support.rescale_zoo import Fn
from tests.support.small_models import chain, rows

DOUBLE = torch.float64
SQUARE = Fn(lambda x: torch.stack([x[:, 0] ** 2 + 9 * x[:, 1], x[:, 1]], 1))
X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-2.0, 0.0]], dtype=DOUBLE)  # curved, straight, curved


def asked(name: str, model: nn.Module, x: torch.Tensor, **how) -> asc.result.Check:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", asc.AscribeWarning)
        found = asc.attribute(model, x, **{"of": 0, **how})
    return next(check for check in found.checks if check.name == name)


def left(steps: int) -> asc.Line:
    """Misses a ``steps``-th of the change of a square."""
    return asc.Line(0.0, steps, "riemann-left")


def test_a_gap_is_a_share_of_the_change_or_of_the_values_however_large_the_quantity():
    total, size = np.array([[1.5, 3.0, 0.0, 0.2]]), np.array([[1.5, 3.0, 0.0, 5.0]])
    gap = compute_gap(total, size, np.array([[1.0, 4.0, 0.0, 0.1]]), np.array([[1000.0, -4.0, 0.0, 1.0]]))
    np.testing.assert_allclose(gap.absolute, [[0.5, -1.0, 0.0, 0.1]])
    np.testing.assert_allclose(gap.relative, [[0.5 / 1.5, 0.25, 0.0, 0.02]])


@pytest.mark.parametrize(("eps", "share"), [(0.0, 1e-3), (2**-23, 0.0), (2**-7, 0.0)])
def test_a_change_that_is_rounding_is_not_divided_by(eps, share):
    """Of the quantity, in the precision it has, or of values that cancel."""
    total, change = np.array([[2e-9, 2e-9]]), np.array([[1e-9, 1e-9]])
    gap = compute_gap(total, np.array([[0.0, 10.0]]), change, np.array([[1.0, 0.0]]), eps)
    np.testing.assert_allclose(gap.relative, [[share, 1e-10]])


def test_the_baseline_itself_has_no_gap_but_a_change_that_is_no_rounding_has():
    eps = 2**-23
    change, nothing, quantity = np.array([[3 * eps, 0.0]]), np.zeros((1, 2)), np.ones((1, 2))
    assert compute_gap(nothing, nothing, change, quantity, eps).relative.tolist() == [[0.0, 0.0]]
    assert compute_gap(nothing, nothing, np.array([[100 * eps, 0.0]]), quantity, eps).relative[0, 0] == 1.0


@pytest.mark.parametrize(("steps", "status", "records"), [(200, "ok", ()), (50, "ok", ()), (10, "warn", (0, 2)), (4, "fail", (0, 2))])
def test_what_does_not_add_up_is_told_by_how_much_and_for_how_many(steps, status, records):
    found = asked("completeness", SQUARE, X, over=left(steps))
    assert (found.status, found.records) == (status, records)
    assert format_percent(1 / steps) in found.detail
    assert ("2 of 3 records above 1 %" in found.detail) == (steps < 100)
    assert ("more steps" in found.detail) == (status != "ok")


def test_a_sample_is_not_said_to_fail():
    back = asc.Background(torch.zeros(1, 2, dtype=DOUBLE), 2) * asc.Line(steps=1, quadrature="random")
    for over in (asc.Line(0.0, 1, "random"), back):
        found = asked("completeness", Fn(lambda x: x**8), X, over=over)
        assert (found.status, "chance" in found.detail) == ("warn", True)
        assert found.records == (0, 2)


def test_a_tolerance_that_was_not_reached_is_told():
    kinked = Fn(lambda x: (x - 0.3).relu())
    found = asked("completeness", kinked, torch.tensor([[1.0], [-1.0], [0.2]], dtype=DOUBLE), over=asc.Line(0.0, 16, tolerance=1e-6))
    assert found.status == "warn"
    assert "1 above the tolerance of 1e-06; a larger steps=" in found.detail
    assert found.records == (0,)


def test_inside_a_network_a_sum_is_promised_to_nobody_and_told_where_it_is_there():
    assert asked("completeness", chain(4, 5, 3), rows(3, 4), at="2", over=asc.Line(0.0, 16)).status == "ok"
    bent = chain(4, 5, 5, 3, activation=lambda: Fn(lambda x: x**3))
    assert asked("completeness", bent, rows(3, 4), at="1", over=asc.Line(0.0, 16)).status == "skipped"


def test_records_that_look_at_each_other_are_the_reason():
    found = asked("completeness", Fn(lambda x: x.flip(0) ** 2), rows(3, 2), over=asc.Line(0.0, 16))
    assert found.status == "fail"
    assert "depends on the others" in found.detail


def test_one_bad_number_of_one_quantity_is_enough():
    large = Fn(lambda x: torch.stack([x[:, 0] * x[:, 1] * x[:, 1] + x[:, 0], x[:, 1].sin()], 1))
    x = torch.tensor([[1.0, 1.0], [1.0, 1e200], [4.0, 0.0]], dtype=DOUBLE)
    both = [asc.Unit(0), asc.Unit(1)]
    finite, zero = (asked(name, large, x, of=both, over=None) for name in ("finite", "zero"))
    assert (finite.status, finite.records) == ("fail", (1,))
    assert (zero.status, zero.records) == ("warn", (2,))


def test_probabilities_near_their_ends_are_saturated():
    out = torch.tensor([[0.9995, 0.0003, 0.0002], [0.6, 0.3, 0.1], [0.5, 0.4997, 0.0003]], dtype=DOUBLE)

    def of(table: torch.Tensor, labels: list[int]) -> asc.result.Check:
        return asked("saturation", Fn(lambda x: x * 1.0), table, of=labels)

    assert (of(out, [0, 1, 2]).status, of(out, [0, 1, 2]).records) == ("warn", (0, 2))
    assert of(out, [0, 1, 1]).records == (0,)
    assert of(out, [1, 1, 1]).records == (0,)
    assert of(out, [2, 2, 0]).records == (0,)
    assert of(out * 7, [0, 1, 2]).status == "ok", "scores"
    assert of(out * 3 - torch.tensor([0.0, 0.0, 2.0], dtype=DOUBLE), [0, 1, 1]).status == "ok", "scores that happen to add up to 1"
    assert of(out[:, :1], [0, 0, 0]).status == "skipped"
