"""Every example runs: ```python blocks of the Markdown pages, top to bottom, one namespace per page; ``>>>`` in docstrings."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import ascribe
from ascribe.methods import METHODS
from tools import draw_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python *(?P<flag>no-run)? *\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
SOURCES = [path for path in sorted((ROOT / "ascribe").rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]
NEEDS = {"frameworks.md": ("equinox", "flax", "keras", "tensorflow"), "migrating-from-trulens.md": ("keras", "tensorflow")}
"""What the examples of a page import besides the packages of every environment: TensorFlow is not made for all versions of Python."""
LINK = re.compile(r"\]\((?!https?:|#)(?P<target>[^)#\s]+)")


def blocks(text: str) -> list[str]:
    """The runnable blocks of a page, each behind as many empty lines as stand before it, so that errors name the right line."""
    found = [match for match in BLOCK.finditer(text) if not match["flag"]]
    return ["\n" * text.count("\n", 0, match.start("code")) + match["code"] for match in found]


def test_blocks_are_found() -> None:
    text = "a\n```python\nx = 1\n```\n```python no-run\ny\n```\n```text\nz\n```\n```python\nx += 1\n```\n"
    assert [block.strip() for block in blocks(text)] == ["x = 1", "x += 1"]
    assert blocks(text)[1] == "\n" * 11 + "x += 1\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in NEEDS.get(page.name, ()):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": f"docs.{page.stem}"}
    for block in blocks(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_pictures_are_drawn_by_the_examples_before_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    figure = "from matplotlib.figure import Figure\nfigure = Figure(figsize=(1, 1))\n"
    page.write_text(f"```python\n{figure}```\ntext\n![one](pictures/one.png)\n```python no-run\n1 / 0\n```\n![two](pictures/two.png)\n")
    assert [path.name for path in draw_page.draw(page)] == ["one.png", "two.png"]
    assert (tmp_path / "pictures" / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstring_examples_run(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example may use its own module, asc, torch, a small ``model`` with records ``x`` and ``labels``, and ``cnn`` with ``images``."""
    module = import_module(".".join(source.relative_to(ROOT).with_suffix("").parts))
    monkeypatch.chdir(tmp_path)  # an example may write a file
    torch.manual_seed(0)
    names = {
        "asc": ascribe,
        "torch": torch,
        "model": torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 5)).eval(),
        "x": torch.randn(3, 4),
        "labels": [0, 4, 2],
        "cnn": torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5)
        ).eval(),
        "images": torch.randn(2, 3, 16, 16),
    }
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testmod(module, extraglobs=names, optionflags=flags)
    if not done.attempted:
        pytest.skip("every example is marked +SKIP")
    assert done.failed == 0


TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
"""The pages that users read: decisions and tables of measurements are written for those who work on the package."""

TERMS = {
    "record": r"examples? of the batch|one example|samples? of the batch",
    "quantity": r"target",
    "coalition": r"feature subset|subset of the features",
    "gap": r"convergence delta",
    "replacement": r"masker|baseline value|removed feature|replacement value",
    "cut": r"places? in (?:a|the) model|layer",
    "rule book": r"composite|one rule for each",
    "tape": r"recorded operations|recorded runs?|list of its operations|recorded as",
    "baseline": r"reference|zeros",
}
"""Terms of this package, and the words of other libraries, one of which stands on every page with the term."""

COINED = re.compile(
    r"\b(stand-ins?|stands in|worths|whoever|nobody|owed to|rectifiers?|way back|rides? along|whole numbers?|dearer|beside|gone through)\b",
    re.IGNORECASE,
)


CITATION = re.compile(r"(?P<first>[A-ZÖ]\w+)(?:, [A-ZÖ]\w+)*(?: and [A-ZÖ]\w+| et al\.),? \(?(?P<year>(?:19|20)[0-9]{2})\b")
REFERENCES = ROOT / "docs" / "references.md"


def prose(page: Path) -> str:
    """The text of a page without its code."""
    return " ".join(re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL).split())


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_terms_have_the_word_of_other_libraries_on_every_page(page: Path) -> None:
    text = prose(page)
    used = [term for term in TERMS if re.search(rf"\b{term}s?\b", text, re.IGNORECASE)]
    assert [term for term in used if not re.search(TERMS[term], text, re.IGNORECASE)] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_standard_terms(page: Path) -> None:
    assert COINED.findall(prose(page)) == []


def citations(text: str) -> set[tuple[str, str]]:
    """The first authors and years of the papers that a text cites."""
    return {(match["first"], match["year"]) for match in CITATION.finditer(" ".join(text.split()))}


def test_the_references_have_every_paper_that_is_cited() -> None:
    pages = [path for path in TEXTS if path != REFERENCES]
    sources = [path for path in (ROOT / "ascribe").rglob("*.py") if "compat" not in path.parts]
    cited = {one for path in [*pages, *sources] for one in citations(path.read_text(encoding="utf-8"))}
    assert len(cited) > 50
    assert cited - citations(REFERENCES.read_text(encoding="utf-8")) == set()


def test_the_references_have_the_titles_of_the_methods_sources() -> None:
    text = REFERENCES.read_text(encoding="utf-8")
    titles = {title for cls in METHODS.values() for title in re.findall(r'"([^"]+)"', cls.source)}
    assert len(titles) > 30
    assert {title for title in titles if f"| {title} |" not in text} == set()


def test_the_table_of_metrics_is_that_of_their_classes() -> None:
    from ascribe.metrics.catalogue import END, START, metric_tables

    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert START + text.partition(START)[2].partition(END)[0] + END == metric_tables(), (
        "python -m ascribe.metrics.catalogue docs/metrics.md"
    )
