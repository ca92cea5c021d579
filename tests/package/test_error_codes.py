"""The page of error codes against the code: every code of the source is on the page, and every code of the page is in the source."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\bE-[A-Z]+(?:-[A-Z]+)*\b")
ROW = re.compile(r"^\| `(?P<code>E-[A-Z-]+)` \| (?P<cause>[^|]*) \| (?P<cure>.*) \|$", re.MULTILINE)


def codes_of_source() -> set[str]:
    """Every error code that a file of the package mentions."""
    return {code for path in (ROOT / "ascribe").rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}


def rows_of_page() -> list[tuple[str, str, str]]:
    """Code, cause and cure of every row of ``docs/errors.md``."""
    return [(row["code"], row["cause"], row["cure"]) for row in ROW.finditer((ROOT / "docs" / "errors.md").read_text(encoding="utf-8"))]


def test_every_code_of_the_source_has_one_row_on_the_page() -> None:
    listed = Counter(code for code, _, _ in rows_of_page())
    assert codes_of_source() - set(listed) == set()
    assert [code for code, count in listed.items() if count > 1] == []


def test_every_code_of_the_page_is_in_the_source() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert set(CODE.findall(page)) - codes_of_source() == set()


def test_every_row_has_a_cause_and_a_cure() -> None:
    assert [code for code, cause, cure in rows_of_page() if not cause.strip() or (not cure.strip() and code != "E-ASCRIBE")] == []
