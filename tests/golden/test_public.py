"""The facades have the module paths, names and signatures that they had: other people's code imports them.

The names of ascribe itself are recorded in `public.json` for comparison, and are not held to it.
"""

from __future__ import annotations

import importlib
import json

import pytest

from tests.golden.public import FILE, captum_of, described, facade_modules, read

THEN = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", THEN["facades"])
def test_a_facade_has_the_names_and_signatures_that_it_had(module: str) -> None:
    pytest.importorskip("captum")  # tells its names from our helpers
    then, here = THEN["facades"][module], importlib.import_module(module)
    assert described(here, captum_of(module, THEN["stands for"])) == then
    assert all(hasattr(here, name) for name in then if "." not in name)


def test_the_same_modules_stand_for_the_same() -> None:
    assert facade_modules() == THEN["stands for"]


def test_all_of_it_can_be_read() -> None:
    assert set(read()) == set(THEN)
