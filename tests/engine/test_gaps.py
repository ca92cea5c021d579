"""Completeness on one scale: what is ok, what fails, how it is written, and when more steps are advised."""

from __future__ import annotations

import io
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes
from ascribe.engine.passes.curvature import Course, advise_on_curvature
from ascribe.reports.cards import cards
from ascribe.utils.completeness import describe_gaps
from tests.support.rescale_zoo import Fn
from tests.support.small_models import chain, rows

DOUBLE = torch.float64


def sum_of(model: nn.Module, x: torch.Tensor, **how) -> tuple[asc.Attribution, asc.result.Check]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", asc.AscribeWarning)
        found = asc.attribute(model, x, **{"over": asc.Line(0.0), **how})
    return found, next(check for check in found.checks if check.name == "completeness")


def seeded(seed: int, make) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().eval()


def relus(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# What a gap is called


def test_networks_that_nobody_has_trained_do_not_fail():
    """The example of the README with ReLU in place of GELU, and deeper ones: 50 points come near enough."""
    for seed in range(40):
        for sizes, steps in (((4, 8, 3), 32), ((10, 32, 3), 50), ((10, 32, 32, 3), 50)):
            model, x = seeded(seed, lambda sizes=sizes: relus(*sizes)), rows(5, sizes[0], seed=seed).float()
            found, check = sum_of(model, x, over=asc.Line(0.0, steps))
            assert check.status != "fail", (seed, sizes, check.detail)
            assert found.ok


def test_many_records_are_judged_as_one_is():
    """Among many, some have a change near zero: what is missing is a small share of their values all the same."""
    model, x = seeded(0, lambda: relus(30, 64, 3)), torch.randn(4000, 30, generator=torch.Generator().manual_seed(0))
    found, check = sum_of(model, x)
    change = found.values.sum(1).double().numpy() - found.gap.absolute
    assert (np.abs(found.gap.absolute) > 0.5 * np.abs(change)).any(), "shares of the change alone would fail"
    assert check.status == "ok"
    assert "in 4000 records" in check.detail


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("records", [1, 40])
def test_a_quarter_that_is_missing_fails(share, records):
    model = Fn(lambda x: (1 - share) * x**2 + share * x.detach() ** 2)
    x = torch.linspace(1, 2, records, dtype=DOUBLE)[:, None] if records > 1 else torch.ones(1, 1, dtype=DOUBLE)
    found, check = sum_of(model, torch.cat([x, x], 1), of=0)
    assert (check.status, check.records) == ("fail", tuple(range(records)))
    np.testing.assert_allclose(found.gap.relative, share, rtol=1e-9)


def test_values_that_are_exact_by_construction_are_held_to_less():
    """A rule that compares has no points to be short of: 2 % is something missing."""
    model = Fn(lambda x: 0.98 * x + 0.02 * torch.from_numpy(x.detach().numpy().copy()))
    _, line = sum_of(model, rows(3, 2), of=0)
    _, rule = sum_of(model, rows(3, 2), of=0, over=asc.Reference(0.0), by=asc.rules.Rescale())
    assert (line.status, rule.status) == ("ok", "warn")
    assert line.detail == rule.detail == "gap 3 of 3 records above 1 %, worst 2 %"


# How it is written


@pytest.mark.parametrize(
    ("relative", "text"),
    [
        ([0.033], "3.3 %"),
        ([np.nan], "not finite"),
        ([], "none"),
        ([0.0, 0.009], "at most 0.9 % in 2 records"),
        ([0.0, 1e-6], "under 0.01 % in 2 records"),
        ([0.02, 0.0, 0.33], "2 of 3 records above 1 %, worst 33 %"),
        ([0.02, np.nan, np.inf], "1 of 3 records above 1 %, worst 2 %, not finite in 2 records"),
        ([np.nan, np.nan], "not finite in 2 records"),
        ([0.0, 0.0], "0 % in 2 records"),
        ([[0.0, 0.02], [0.2, 0.0]], "2 of 2 records above 1 %, worst 20 %"),
        ([[0.1, 0.02], [np.nan, 0.0]], "2 of 2 records above 1 %, worst 10 %, not finite in 1 record"),
    ],
)
def test_gaps_in_words(relative, text):
    assert describe_gaps(np.array(relative)) == text


def test_a_gap_reads_the_same_everywhere():
    found, check = sum_of(seeded(3, lambda: relus(4, 8, 3)), rows(5, 4, seed=3).float(), over=asc.Line(0.0, 8))
    text, shown = describe_gaps(found.gap.relative), io.StringIO()
    found.show(shown)
    assert " of 5 records above 1 %, worst " in text
    assert check.detail.startswith(f"gap {text}")
    assert f"gap {text}" in repr(found)
    assert text in shown.getvalue()
    for i, card in enumerate(cards({"ig": found})):
        assert f"gap {describe_gaps(found.gap.relative[i : i + 1])}" in shown.getvalue() or i > 3
        assert card.maps[0].gap == found.gap.relative[i]


# A tolerance


def test_a_tolerance_is_on_the_same_scale():
    """Records near a tie with the baseline are done as soon as the others."""
    model, x = seeded(1, lambda: relus(30, 64, 3)), torch.randn(300, 30, generator=torch.Generator().manual_seed(1))
    for tolerance in (1e-2, 1e-3):
        found, check = sum_of(model, x, over=asc.Line(0.0, tolerance=tolerance))
        assert check.status == "ok", check.detail
        assert (found.gap.relative <= tolerance).all()
        assert np.max(found.settings["steps"]) < 2 * 512


def test_points_that_cannot_help_are_not_taken():
    whole = Fn(lambda x: x**2 + x.detach())
    found, check = sum_of(whole, torch.tensor([[1.0], [2.0]], dtype=DOUBLE), of=0, over=asc.Line(0.0, tolerance=1e-3))
    assert check.status == "fail"
    assert "more steps do not help" in check.detail
    assert np.max(found.settings["steps"]) == 4 + 8 + 16 + 32
    part = Fn(lambda x: (x[:, :1] - 0.3).relu() + x[:, 1:] ** 2 + x[:, 1:].detach())
    found, check = sum_of(part, torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=DOUBLE), of=0, over=asc.Line(0.0, tolerance=1e-3))
    steps = found.settings["steps"]
    assert steps[0] > steps[1] == 4 + 8 + 16 + 32, "the kink is followed further"
    assert check.records == (1,)


# When more steps are advised


HELPED = {
    "a curve": lambda x: x**2 + x**3,
    "a kink": lambda x: (x - 0.4).relu(),
    "a gradient of 0 at the baseline": lambda x: x.relu(),
    "many kinks": lambda x: sum((x - k / 7).relu() * (-1) ** k for k in range(7)),
}
UNHELPED = {
    "a step": lambda x: x + (x > 0.45).double(),
    "rounding": lambda x: (x * 6).round() / 6,
    "detached": lambda x: x**2 + x.detach(),
    "half of it in integers": lambda x: x + (x * 50).floor() / 50,
}


@pytest.mark.parametrize("steps", [10, 33])
@pytest.mark.parametrize("name", HELPED)
def test_more_steps_where_they_help(name, steps):
    x, line = torch.tensor([[0.9], [1.0], [1.1]], dtype=DOUBLE), lambda n: asc.Line(0.0, n, "riemann-left")
    found, _ = sum_of(Fn(HELPED[name]), x, of=0, over=line(steps))
    more, _ = sum_of(Fn(HELPED[name]), x, of=0, over=line(8 * steps))
    assert np.abs(more.gap.absolute).max() < 0.5 * np.abs(found.gap.absolute).max()
    few, check = sum_of(Fn(HELPED[name]), x, of=0, over=line(8))
    assert few.gap.relative.max() > 0.05, "something to advise on"
    assert check.detail.endswith("; more steps, or tolerance= on the line")


@pytest.mark.parametrize("quadrature", ["gauss-legendre", "riemann-left", "trapezoid", "random"])
@pytest.mark.parametrize("steps", [16, 50])
@pytest.mark.parametrize("name", UNHELPED)
def test_no_more_steps_where_they_do_not(name, steps, quadrature):
    x = torch.tensor([[0.9], [1.0], [1.1]], dtype=DOUBLE)
    found, check = sum_of(Fn(UNHELPED[name]), x, of=0, over=asc.Line(0.0, steps, quadrature))
    more, _ = sum_of(Fn(UNHELPED[name]), x, of=0, over=asc.Line(0.0, 8 * steps, quadrature))
    assert np.abs(more.gap.absolute).max() > 0.8 * np.abs(found.gap.absolute).max()
    assert check.status in ("warn", "fail")
    assert "; more steps, or" not in check.detail


def test_paths_to_noisy_ends_are_looked_at_one_by_one():
    x, over = rows(3, 2).abs() + 1, asc.Gaussian(0.01, 3) * asc.Line(0.0, 20)
    _, missing = sum_of(Fn(lambda x: x**2 + x.detach() ** 2), x, of=0, over=over)
    assert "more steps do not help" in missing.detail
    _, helped = sum_of(Fn(lambda x: x**2), x, of=0, over=asc.Gaussian(0.01, 3) * asc.Line(0.0, 8, "riemann-left"))
    assert helped.detail.endswith("more steps, or tolerance= on the line")


def test_the_bend_does_not_depend_on_chunks_or_order():
    position, _ = quadrature_nodes("gauss-legendre", 16)
    values = np.sin(5 * position)[None, :, None] * np.array([1.0, -2.0])
    whole = Course(position, 16, {0: values}).bend()
    parts = Course(position, 16, {10: values[:, 10:], 0: values[:, :10]}).bend()
    mixed = np.random.default_rng(0).permutation(16)
    shuffled = Course(position[mixed], 16, {0: values[:, mixed]}).bend()
    np.testing.assert_allclose(parts, whole)
    np.testing.assert_allclose(shuffled, whole)
    assert advise_on_curvature(np.array([1e-3]), whole[:, 0, :1]) == "steps"
    assert advise_on_curvature(np.array([1e3]), whole[:, 0, :1]) == "missing"


# What is not finite


@pytest.mark.parametrize("where", ["record", "weights", "baseline"])
@pytest.mark.parametrize("by", [asc.rules.Gradient(), asc.rules.Rescale()], ids=repr)
def test_what_is_not_finite_fails_as_that_alone(where, by):
    model, x, start = chain(4, 5, 3), rows(3, 4), torch.zeros(1, 4, dtype=DOUBLE)
    if where == "weights":
        model[0].weight.data[0, 0] = torch.nan
    else:
        (x if where == "record" else start)[0, 1] = torch.nan
    found, check = sum_of(model, x, of=1, over=asc.Reference(start) if by.compares else asc.Line(start, 8), by=by)
    assert "nan" not in check.detail
    assert [c.name for c in found.checks if c.status == "fail"] == ["finite"]


def test_a_quantity_that_is_infinite_at_the_baseline_is_not_finite():
    found, check = sum_of(Fn(torch.log), torch.tensor([[1.0], [2.0]], dtype=DOUBLE), of=0)
    assert (check.status, check.detail) == ("skipped", "gap not finite in 2 records")
    finite = next(c for c in found.checks if c.name == "finite")
    assert (finite.status, finite.records) == ("fail", (0, 1))
    assert "compared with" in finite.detail
