"""The documentation site: built without a warning, every public name in its reference, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("furo")
pytest.importorskip("myst_parser")

from tools import site, site_pages


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert site.build(folder) == 0
    return folder


@pytest.mark.parametrize("module", site_pages.MODULES)
def test_every_public_name_is_in_the_reference(built: Path, module: str) -> None:
    page = (built / "reference" / f"{module or 'index'}.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'id="([\w.]+)"', page))
    path = f"ascribe.{module}" if module else "ascribe"
    assert [name for name in site_pages.public_names(module) if f"{path}.{name}" not in anchors] == []


def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    loaded = re.compile(r'<(?:script|img|iframe)[^>]*\ssrc="(https?:)?//|<link[^>]*rel="stylesheet"[^>]*href="(https?:)?//')
    assert [str(page.relative_to(built)) for page in built.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []


def test_links_inside_the_site_lead_to_a_page_and_a_place(built: Path) -> None:
    ids = {page.resolve(): set(re.findall(r'id="([^"]+)"', page.read_text(encoding="utf-8"))) for page in built.rglob("*.html")}
    broken = []
    for page in ids:
        for target in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text(encoding="utf-8")):
            if target.startswith(("http:", "https:", "mailto:", "javascript:")) or page.name in (
                "genindex.html",
                "search.html",
                "404.html",
            ):
                continue
            name, _, place = target.partition("#")
            goal = (page.parent / name).resolve() if name else page
            if not goal.exists() or (place and goal in ids and place not in ids[goal]):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_page_of_the_guide_is_in_the_list_for_language_models(built: Path) -> None:
    text = (built / "llms.txt").read_text(encoding="utf-8")
    for page in site.DOCS.glob("*.md"):
        assert f"({page.stem}.html)" in text


def test_sections_of_docstrings_become_lists() -> None:
    lines = ["First.", "", "Parameters of the call:", "    of: the score", "        in words.", "", "Cost: 1 pass, and", "one more"]
    expected = [
        "First.",
        "",
        "",
        "**Parameters of the call**",
        "",
        "- ``of``: the score",
        "  in words.",
        "",
        "",
        "- Cost: 1 pass, and",
        "  one more",
    ]
    assert site_pages.mark_up(lines) == expected
