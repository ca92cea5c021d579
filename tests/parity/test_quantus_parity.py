"""Metrics against Quantus 0.6, where it agrees with the papers; it is installed by ``make parity`` alone."""

from __future__ import annotations

import pytest

from benchmarks.quantus import CASES, HERE, Setting, difference

pytestmark = pytest.mark.skipif(not HERE, reason="Quantus is not installed: make parity")


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_quantus(name):
    assert difference(name, Setting()) <= CASES[name][2]
