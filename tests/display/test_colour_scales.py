"""Scales of maps: around zero for both signs, from zero for one, and over their own range for values that are all far from zero."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.display import colours
from ascribe.reports import Map, page
from ascribe.reports.cards import Card
from ascribe.result.attribution import Attribution

pytest.importorskip("matplotlib").use("Agg")

RNG = np.random.default_rng(0)
RISE = 0.26 + 0.03 * RNG.random((1, 1, 16, 16))
CASES: dict[str, tuple[np.ndarray, float, float]] = {
    "both signs": (RNG.uniform(-1, 1, 150), -1, 1),
    "one sign": (np.array([0.0, 0.5, 2.0]), 0, 2),
    "no zero but near it": (np.array([0.1, 0.5, 2.0]), 0, 2),
    "far from zero": (np.array([0.26, 0.28, 0.29]), 0.26, 0.29),
    "all below zero": (np.array([-2.0, -0.5, 0.0]), -2, 0),
    "far below zero": (np.array([-0.29, -0.26]), -0.29, -0.26),
    "one value": (np.full(3, 0.3), 0, 0.3),
    "nothing": (np.zeros(3), -1, 1),
    "not a number": (np.array([np.nan, 0.3, 0.2, np.inf]), 0.2, 0.3),
    "only missing": (np.full(2, np.nan), -1, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_scales(name: str) -> None:
    values, low, high = CASES[name]
    scale = colours.colour_scale(values)
    bound = colours.colour_limit(values) if name == "both signs" else high
    assert (scale.low, scale.high) == (-bound if name == "both signs" else low, bound)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_shades_keep_the_order_and_the_sign(numbers: list[float]) -> None:
    values = np.array(numbers)
    scale = colours.colour_scale(values)
    shades = scale.shades(values)
    assert scale.low < scale.high
    assert (np.abs(shades) <= 1).all()
    assert (shades * values >= 0).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(shades[order]) >= 0).all()


def test_a_map_of_means_shows_where_they_are_large() -> None:
    """RISE: nothing in the picture, the notebook or the report is one flat colour."""
    a = Attribution(RISE, method="Rise(400)")
    ax = a.plot(kind="image").axes[0]
    picture = ax.images[-1]
    assert (picture.norm.vmin, picture.norm.vmax) == (RISE.min(), colours.colour_limit(RISE))
    card = Card("t", None, "image", "", [Map("Rise", RISE[0, 0])])
    drawn: Any = page.describe_card(card)["maps"][0]
    levels = np.frombuffer(base64.b64decode(drawn["levels"]), np.uint8)
    assert levels.min() == 128
    assert levels.max() == 255
    assert drawn["scale"] == f"{page.format_number(RISE.min())} to {page.format_number(colours.colour_limit(RISE))}"


def test_a_signed_map_is_as_before() -> None:
    values = RNG.normal(size=(1, 1, 8, 8))
    picture = Attribution(values).plot(kind="image").axes[0].images[-1]
    assert picture.norm.vmin == -picture.norm.vmax == -colours.colour_limit(values[0, 0])
    np.testing.assert_array_equal(colours.colour_scale(values).shades(values), colours.scale_to_limit(values))
