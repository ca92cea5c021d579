"""Every golden case gives the numbers that were recorded before the package was rebuilt: see `record.py` for how to record anew."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.cases import CASES, LOOSE
from tests.golden.pack import differences, load, run

THEN = load()


def test_there_is_a_record_of_every_case_and_no_other() -> None:
    assert set(CASES) == set(THEN)
    assert set(LOOSE) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_as_they_were(name: str) -> None:
    if name not in THEN:
        pytest.fail("not recorded: python -m tests.golden.record")
    wrong = differences(run(CASES[name]), THEN[name], LOOSE.get(name, 1e-8))
    assert not wrong, "; ".join(wrong)


def test_a_change_is_found() -> None:
    then = THEN["IntegratedGradients | mlp"]
    assert not differences(then, then)
    for name, value in then.items():
        moved = {**then, name: [*value, "more"] if isinstance(value, list) else value + 3e-8 * np.abs(value).max()}
        assert [said.partition(":")[0] for said in differences(moved, then)] == [name]
    assert differences({}, then)
    assert differences({**then, "more": then["values"]}, then)
    assert differences({**then, "values": then["values"][:2]}, then)
    assert differences({**then, "values": then["values"] * np.nan}, then)
