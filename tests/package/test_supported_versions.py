"""`make oldest` and `make dist` before they install anything: which versions they choose, and what a wheel may hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import dist, oldest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FLOORS = oldest.list_floors(PROJECT)
DEVELOPMENT = ("docs", "test", "dev")
"""The extras that only our own environments use."""


def test_floors_are_read_with_and_without_markers() -> None:
    project = {
        "dependencies": ["numpy>=1.26,<3"],
        "optional-dependencies": {"a": ["b>=2.1; python_version < '3.14'", "ascribe[c]", "d==1"]},
    }
    assert oldest.list_floors(project) == {"": {"numpy": "1.26"}, "a": {"b": "2.1"}}


def test_pins_are_the_floors_but_for_those_that_differ() -> None:
    floors = {"": {"numpy": "1.26"}, "a": {"b": "2.1"}, "c": {"d": "9"}, "test": {"pytest": "8", "hypothesis": "6", "captum": "1"}}
    group = oldest.Group(("a",), "tests", {"numpy": "numpy==2.0"})
    assert list(oldest.list_pins(group, floors).values()) == ["numpy==2.0", "b==2.1", "pytest==8", "hypothesis==6"]


def test_every_extra_of_users_has_a_lower_bound_that_a_group_runs() -> None:
    covered = {name for group in oldest.GROUPS.values() for name in oldest.list_pins(group, FLOORS)}
    for extra, needs in {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}.items():
        if extra not in DEVELOPMENT:
            named = {re.split(r"[<>=\[;]", need)[0] for need in needs} - {"ascribe"}
            assert named <= covered, extra


@pytest.mark.parametrize("name", oldest.GROUPS)
def test_the_tests_of_a_group_exist(name: str) -> None:
    assert (ROOT / oldest.GROUPS[name].tests).is_file()


def test_the_page_has_the_declared_bounds() -> None:
    page = (ROOT / "docs" / "supported-versions.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([0-9.]+) \|", page, re.MULTILINE))
    declared = {name: floor for extra, floors in FLOORS.items() if extra not in DEVELOPMENT for name, floor in floors.items()}
    assert rows == declared


def test_a_wheel_holds_the_package_and_nothing_else() -> None:
    sources = {"ascribe/__init__.py", "ascribe/py.typed"}
    license_file = "ascribe-1.dist-info/licenses/LICENSE"
    assert dist.find_faults([*sources, license_file], sources) == []
    assert dist.find_faults(["ascribe/__init__.py", "tests/test_a.py"], sources) == [
        "ascribe/py.typed is missing",
        "tests/test_a.py does not belong there",
        "LICENSE is missing",
    ]


def test_data_files_are_among_the_sources() -> None:
    assert {"ascribe/py.typed", "ascribe/reports/report.css", "ascribe/reports/report.js"} <= dist.list_sources(ROOT / "ascribe")


def test_every_supported_version_of_python_is_a_classifier() -> None:
    low, high = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert [c.rpartition(".")[2] for c in PROJECT["classifiers"] if ":: 3." in c] == [str(minor) for minor in range(low, high)]
    assert oldest.PYTHON == f"3.{low}"
