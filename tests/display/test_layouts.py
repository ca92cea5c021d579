"""The kind of figure that fits a shape, where the shape alone leaves it open."""

from __future__ import annotations

import pytest

from ascribe.display.layouts import possible_kinds


@pytest.mark.parametrize(
    ("shape", "record", "expected"),
    [
        ((1, 4, 4), (3, 32, 32), ["image"]),  # a map of four by four patches: 4 could be channels too
        ((4, 4, 1), (32, 32, 3), ["image_last"]),
        ((1, 4, 4), (), ["image", "image_last"]),
        ((3, 8, 8), (), ["image"]),
    ],
)
def test_the_layout_of_the_record_decides_where_that_of_the_values_is_open(
    shape: tuple[int, ...], record: tuple[int, ...], expected: list[str]
) -> None:
    assert possible_kinds(shape, record) == expected
