"""The proof of recommendations: on trained models the recommended method is clearly ahead of random values and of the plain gradient."""

from __future__ import annotations

import pytest

from benchmarks.recommended import SEEDS, judged, write_texts


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_recommended_methods_are_ahead_on_records_held_out(seed: int) -> None:
    for one in judged([seed]):
        assert one.accuracy > 0.9, one.task
        assert one.found.held_out >= 8
        assert one.apart, (one.task, one.found)


def test_the_classes_of_texts_follow_from_their_words() -> None:
    ids, classes = write_texts(50, 0)
    for text, known in zip(ids.tolist(), classes.tolist(), strict=True):
        total = 0
        for place, word in enumerate(text):
            sign = (1 <= word <= 8) - (9 <= word <= 16)
            total += -sign if place and text[place - 1] == 17 else sign
        assert total != 0
        assert (total > 0) == known
