"""Bound quantities taken apart into a key and arrays, so that a compiled backend makes one program for all of a kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.backends import open_session
from ascribe.backends.numpy.mlp import Mlp
from ascribe.engine.chunks import round_to_sizes
from ascribe.engine.plan import BoundQuantities
from ascribe.quantities import as_quantities
from ascribe.quantities.base import BoundClasses, parts_of

RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=(3, 4))
IMAGE = RANDOM.normal(size=(3, 2, 4, 5))
MASK = RANDOM.uniform(size=(3, 4, 5))

ALIKE: dict[str, tuple[Any, Any, np.ndarray]] = {
    "classes": (1, 3, Y),
    "labels": ([0, 1, 2], [3, 3, 3], Y),
    "contrasts": (asc.Contrast(0, 1), asc.Contrast(2, 3), Y),
    "probabilities": (asc.Prob(1), asc.Prob(2), Y),
    "log-probabilities": (asc.LogProb(1), asc.LogProb(2), Y),
    "positions": (asc.Unit(1, 2, 3), asc.Unit(0, 0, 0), IMAGE),
    "positions of records": (asc.Unit([0, 1, 1], 2, 3), asc.Unit([1, 0, 0], 2, 3), IMAGE),
    "masks": (asc.Region(1, MASK), asc.Region(1, MASK[::-1].copy()), IMAGE),
}
ITSELF: dict[str, tuple[Any, np.ndarray]] = {
    "a channel": (asc.Channel(1), IMAGE),
    "everything": (asc.Total(), IMAGE),
    "a threshold": (asc.Threshold(0.2), IMAGE),
    "a box": (asc.Box(1, (0, 1, 2, 3)), IMAGE),
}


def bound(of: Any, y: np.ndarray) -> Any:
    (quantity,), _ = as_quantities(of)
    return quantity.bind(y)


@pytest.mark.parametrize("name", ALIKE)
def test_quantities_of_one_kind_share_a_key_and_give_their_own_numbers(name: str) -> None:
    first, second, y = ALIKE[name]
    one, other = bound(first, y), bound(second, y)
    (key, _), (same_key, arrays) = parts_of(one), parts_of(other)
    assert key is not None
    assert key == same_key
    assert hash(key) == hash(same_key)
    np.testing.assert_array_equal(one.apply(arrays, y), other(y))
    np.testing.assert_array_equal(one.apply(parts_of(one)[1], y), one(y))


@pytest.mark.parametrize("name", ITSELF)
def test_a_quantity_of_fixed_numbers_is_its_own_key(name: str) -> None:
    quantity, y = ITSELF[name]
    one, again = bound(quantity, y), bound(quantity, y)
    assert parts_of(one)[0] == parts_of(again)[0] == quantity
    np.testing.assert_array_equal(one.apply((), y), again(y))


def test_a_function_of_the_user_s_has_no_key() -> None:
    assert parts_of(bound(lambda y: y[:, 0] ** 2, Y))[0] is None


def test_all_quantities_of_a_call_are_taken_apart_together() -> None:
    model = Mlp([RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(5, 4))], [np.zeros(5), np.zeros(4)])
    rows = np.tile(np.arange(3), 2)
    with open_session(model, asc.Call(Y)) as session:
        made = []
        for of in ([asc.Unit(1), asc.Contrast(0, 2)], [asc.Unit(3), asc.Contrast(1, 0)]):
            quantities = BoundQuantities(session, as_quantities(of)[0], np.arange(3))
            quantities.bind(model(Y), np.arange(3))
            made.append(quantities)
        (key, _), (same_key, arrays) = (quantities.parts(rows) for quantities in made)
        assert key == same_key
        two = np.concatenate([model(Y), model(2 * Y)])
        np.testing.assert_array_equal(np.stack(made[0].apply(arrays, two)), np.stack(made[1](two, rows)))


def test_every_record_s_own_class_is_read_in_one_indexing() -> None:
    classes = np.array([2, 0, 1])
    np.testing.assert_array_equal(BoundClasses(classes).every(Y), np.stack([Y[:, c] for c in classes]))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 40, 64, 100])
def test_chunks_are_of_sizes_that_a_backend_has_compiled(rows: int) -> None:
    def powers(n: int) -> int:
        return 1 << (n - 1).bit_length()

    assert round_to_sizes(rows, 1000, int) == rows
    assert round_to_sizes(rows, rows, powers) == rows
    found = round_to_sizes(rows, 1000, powers)
    assert found <= rows < 2 * found
    assert powers(found) == found
