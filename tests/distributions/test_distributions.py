"""Points: weights that add up to 1, draws that depend on the seed and on nothing else, products in their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ascribe as asc
from ascribe.distributions.draws import Noise
from ascribe.distributions.members import Product
from ascribe.distributions.parse import as_distribution
from ascribe.errors import DistributionError
from tests.support.small_models import Quadratic, chain, rows

ROWS = 3
MEMBERS = st.sampled_from(
    [
        asc.Point(),
        asc.Line(steps=5),
        asc.Line(steps=4, quadrature="trapezoid"),
        asc.Line(steps=4, quadrature="random"),
        asc.Line(steps=4, stepwise=True),
        asc.Gaussian(0.2, 4),
        asc.Uniform(0.2, 3, relative=True),
        asc.Background(np.ones((ROWS, 2))),
        asc.Background(np.ones((ROWS, 2)), 7),
        asc.Gaussian(0.2, 4) * asc.Line(steps=5),
        asc.Background(np.ones((ROWS, 2)), 6) * asc.Line(steps=2, quadrature="random"),
        asc.Background(np.ones((ROWS, 2))) * asc.Uniform(0.1, 2) * asc.Line(steps=3),
        asc.Gaussian(0.1, 2) * asc.Background(np.ones((ROWS, 2))) * asc.Line(steps=3),
        asc.Point() * asc.Line(steps=3),
    ]
)


@settings(max_examples=60)
@given(over=MEMBERS, seed=st.integers(0, 2**40))
def test_draws_fit_together_and_repeat_with_the_seed(over, seed):
    draws, again = over.draw(seed, ROWS), over.draw(seed, ROWS)
    assert abs(draws.weight.sum() - 1) < 1e-12
    for name in ("weight", "position", "row"):
        a, b = getattr(draws, name), getattr(again, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == (len(draws),)
            np.testing.assert_array_equal(a, b)
    if draws.position is not None:
        assert 0 <= draws.position.min() <= draws.position.max() <= 1
    if draws.row is not None:
        assert set(draws.row) <= set(range(ROWS))
    if draws.noise is not None:
        k = len(draws) - 1
        np.testing.assert_array_equal(draws.noise.draw(k, 0, (3,)), again.noise.draw(k, 0, (3,)))


def test_a_product_goes_through_the_right_factor_for_every_draw_of_the_left():
    draws = (asc.Background(np.ones((2, 1))) * asc.Line(steps=3)).draw(0, 2)
    position, weight = asc.Line(steps=3).draw(0).position, asc.Line(steps=3).draw(0).weight
    np.testing.assert_array_equal(draws.row, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(draws.position, np.tile(position, 2))
    np.testing.assert_allclose(draws.weight, np.tile(weight, 2) / 2)


def distinct(noise: Noise, points: int) -> list[int]:
    """For each point the first point that has the same displacement."""
    drawn = [noise.draw(k, 0, (4,)).tobytes() for k in range(points)]
    return [drawn.index(d) for d in drawn]


def test_noise_stays_along_the_line_to_one_displaced_record():
    assert distinct((asc.Gaussian(1.0, 3) * asc.Line(steps=2)).draw(0).noise, 6) == [0, 0, 2, 2, 4, 4]


def test_every_sample_has_its_own_noise():
    assert distinct(asc.Gaussian(1.0, 5).draw(0).noise, 5) == list(range(5))
    assert distinct(Product((asc.Gaussian(1.0, 5),)).draw(0).noise, 5) == list(range(5))


def test_every_sample_of_every_row_has_its_own_noise():
    background = asc.Background(np.ones((ROWS, 2)))
    noise, line = asc.Gaussian(1.0, 2), asc.Line(steps=2)
    assert distinct((background * asc.Gaussian(1.0, 4)).draw(0, ROWS).noise, 12) == list(range(12))
    assert distinct((background * noise * line).draw(0, ROWS).noise, 12) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10]
    assert distinct((noise * background * line).draw(0, ROWS).noise, 12) == [0] * 6 + [6] * 6


@settings(max_examples=25)
@given(samples=st.integers(1, 50), seed=st.integers(0, 10**6))
def test_background_rows_are_taken_as_often_as_each_other(samples, seed):
    row = asc.Background(np.ones((ROWS, 2)), samples).draw(seed, ROWS).row
    times = np.bincount(row, minlength=ROWS)
    assert times.max() - times.min() <= 1
    assert len(row) == samples


def test_draws_of_different_kinds_have_nothing_in_common(monkeypatch):
    """Noise, rows and positions of one seed come from streams of their own: a generator seeded alike would start alike."""
    seeds: list[tuple[int, ...]] = []
    made = np.random.default_rng
    with monkeypatch.context() as watched:
        watched.setattr(np.random, "default_rng", lambda seed: seeds.append(seed) or made(seed))
        draws = (asc.Background(np.ones((ROWS, 2)), 5) * asc.Gaussian(0.1, 2) * asc.Line(steps=1, quadrature="random")).draw(7, ROWS)
        for k in range(len(draws)):
            draws.noise.draw(k, 0, (2,))
            draws.noise.draw(k, 1, (2,))
        asc.attribute(chain(4, 3), rows(2, 4), of=0, over=asc.Line("uniform", 2), seed=7)
    first = {seed: made(seed).random() for seed in set(seeds)}
    assert len(first) >= 23
    assert len(set(first.values())) == len(first)


def test_noise_has_the_scale_it_says():
    normal = np.stack([asc.Gaussian(0.3, 1).draw(seed).noise.draw(0, 0, (2000,)) for seed in range(10)])
    assert normal.std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * normal.size))
    assert abs(normal.mean()) < 4 * 0.3 / np.sqrt(normal.size)
    flat = np.stack([asc.Uniform(0.3, 1).draw(seed).noise.draw(0, 0, (2000,)) for seed in range(10)])
    assert np.abs(flat).max() <= 0.3
    assert np.abs(flat).max() > 0.299
    assert flat.std() == pytest.approx(0.3 / np.sqrt(3), rel=4 / np.sqrt(2 * flat.size))


def test_relative_noise_is_a_share_of_each_records_own_range():
    net, x = Quadratic(), rows(3, 4)
    x = x * torch.tensor([[1.0], [10.0], [0.1]], dtype=x.dtype)
    over = asc.Gaussian(0.2, 1, relative=True)
    noise = torch.from_numpy(over.draw(5).noise.draw(0, 0, (4,))).double()
    span = x.max(1).values - x.min(1).values
    found = asc.influence(net, x, of=1, over=over, seed=5).values
    torch.testing.assert_close(found, net.slope(x + noise * span[:, None], 1).detach())


def test_stepwise_points_average_to_the_integral():
    """The mean influence on a stepwise line is the trapezoid's: of the second order, not a plain mean over both ends."""
    x = rows(2, 3).abs() + 0.5
    steps = 16
    found = asc.influence(lambda x: (x**3).sum(1, keepdim=True), x, of=0, over=asc.Line(0.0, steps, stepwise=True)).values
    torch.testing.assert_close(found, x**2 * (1 + 1 / (2 * steps**2)))


def test_cuts_of_products():
    place = asc.Cut("0")
    assert (asc.Gaussian(at=place) * asc.Line(at=place)).at == place
    assert (asc.Gaussian() * asc.Line(at=place)).at == place
    assert (asc.Gaussian() * asc.Line()).at == asc.INPUT


def test_what_over_accepts():
    assert as_distribution(None) == asc.Point()
    assert as_distribution(Product((asc.Line(steps=3),))) == asc.Line(steps=3)
    for wrong in (3, "line", asc.Line, [asc.Line()]):
        with pytest.raises(DistributionError):
            as_distribution(wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: asc.Line(steps=0),
        lambda: asc.Line(steps=2.5),
        lambda: asc.Line(quadrature="simpson"),
        lambda: asc.Line(tolerance=0.0),
        lambda: asc.Line(tolerance=2),
        lambda: asc.Line(tolerance=1e-2, stepwise=True),
        lambda: asc.Line(tolerance=1e-2, quadrature="trapezoid"),
        lambda: asc.Gaussian(-0.1),
        lambda: asc.Gaussian(float("nan")),
        lambda: asc.Uniform(samples=0),
        lambda: asc.Background(np.ones((2, 2)), 0),
        lambda: asc.Line() * asc.Gaussian(),
        lambda: asc.Line() * asc.Line(),
        lambda: asc.Gaussian() * asc.Uniform(),
        lambda: asc.Gaussian() * asc.Line(tolerance=1e-2),
        lambda: asc.Gaussian() * asc.Line(stepwise=True),
        lambda: asc.Gaussian(at=asc.Cut("a")) * asc.Line(at=asc.Cut("b")),
        lambda: asc.Background(np.ones((2, 2))) * asc.Background(np.ones((2, 2))),
        lambda: asc.Background(np.ones((2, 2))) * asc.Line("mean"),
        lambda: asc.Background(np.ones((2, 2))) * asc.Line(np.ones(2)),
        lambda: asc.Gaussian() * 3,
    ],
)
def test_what_makes_no_sense_together_is_refused(make):
    with pytest.raises(DistributionError):
        make()


def test_members_with_arrays_are_compared_by_their_numbers():
    a, b = np.arange(3.0), np.arange(3.0)
    nested = [lambda rows: asc.Background(rows) * asc.Line(steps=2), lambda rows: asc.Line((rows, {"b": rows}))]
    for make in (asc.Line, asc.Background, *nested):
        assert make(a) == make(b)
        assert hash(make(a)) == hash(make(b))
        assert make(a) != make(b + 1)
        assert make(a) != make(b[:2])
        assert make(a) != make(torch.from_numpy(b))
    assert asc.Line(a) != asc.Line(0.0)
    assert asc.Line(0.0) != asc.Line(a)
    assert asc.Line() != asc.Gaussian()


def test_a_product_is_shown_as_it_is_written():
    over = asc.Gaussian(0.1, 8) * asc.Line(steps=32)
    assert repr(over) == "Gaussian(0.1, samples=8) * Line(steps=32)"
    assert eval(repr(over), vars(asc)) == over


def test_a_large_background_is_run_in_chunks_too():
    most = 0

    def watched(x):
        nonlocal most
        most = max(most, len(x))
        return x.sum(1, keepdim=True)

    asc.attribute(watched, rows(6, 4), over=asc.Background(rows(200, 4, seed=1)) * asc.Line(steps=1), chunk=5)
    assert most <= 6
