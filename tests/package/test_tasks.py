"""Everyday tasks take as few statements as the page says: the count fails if it grows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
MOST = {
    "A photograph": 2,
    "A vision transformer": 2,
    "A row of a table": 2,
    "A whole table": 2,
    "A time series": 2,
    "A text": 3,
    "Compare three methods, and pick one": 3,
    "All of it in one file": 1,
}
"""The most statements of each task, once the model and the data are there."""


@pytest.mark.parametrize("task", MOST)
def test_a_task_takes_few_statements(task: str) -> None:
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    block = re.search(r"^```python\n(.*?)^```", sections[task], re.MULTILINE | re.DOTALL)
    assert block is not None
    assert len(ast.parse(block[1]).body) <= MOST[task]


def test_every_task_of_the_page_is_counted() -> None:
    assert set(re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == set(MOST)
