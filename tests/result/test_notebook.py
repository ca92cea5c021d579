"""Results in a notebook: what is in the HTML, and what a browser makes of it in light and dark, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ascribe.display.colours import LIGHT, parse_colours
from ascribe.display.lanes import draw_lane
from ascribe.result.attribution import Attribution, Check, Gap
from ascribe.result.notebook import SOLID, tint

CHROMIUM = Path("/usr/bin/chromium")
RNG = np.random.default_rng(0)
HOSTILE = ["<script>alert(1)</script>", "</bdi></p><img src=x onerror=alert(2)>", "a\u202eb", '"onmouseover="alert(3)']
ARABIC = ["[CLS]", "هذا", "الفيلم", "جيد", "جدا", "[SEP]", "[PAD]"]


def text(tokens: list[str], values: np.ndarray | None = None, **more: Any) -> Attribution:
    table = RNG.normal(size=(1, len(tokens))) if values is None else values[None]
    known: dict[str, Any] = {"gap": Gap(np.zeros(1), np.zeros(1)), "target": np.array([1]), "class_names": ("bad", "good")}
    return Attribution(table, **(known | more)).with_names(tokens=[tokens])


def test_words_are_coloured_text() -> None:
    a = text(["[CLS]", "good", "film", "##s", "[SEP]", "[PAD]"], np.array([9.0, -2.0, 3.0, 1.0, 0.0, 0.5]))
    page = a._repr_html_()
    assert re.search(r'<span style="background:rgba\(178,24,43,1\.00\);color:#fff[^"]*" title="\+4">films</span>', page)
    assert re.search(
        r'<span style="background:rgba\(33,102,172,0\.50\);text-decoration:underline dotted[^"]*" title="-2">good</span>', page
    )
    assert re.search(r'<bdi style="opacity:.5" title="\+9">\[CLS\]</bdi>', page)
    assert "[PAD]" not in page
    assert "absolute values of its tokens add up to 0.5" in page
    assert "blue, underlined: <bdi>against class good</bdi>" in page
    assert "red: <bdi>for class good</bdi>" in page
    assert "##" not in page


def test_hostile_tokens_are_text() -> None:
    page = text(HOSTILE)._repr_html_()
    for token in HOSTILE:
        assert escape(token.replace("\u202e", "\\u202e"), quote=True) in page
    assert "<script" not in page
    assert "onerror=alert" in page  # as text
    assert "<img" not in page
    assert "\u202e" not in page
    assert page.count("<bdi") == page.count("</bdi>")


def contrast(over: np.ndarray, under: np.ndarray) -> float:
    def light(colour: np.ndarray) -> float:
        c = colour / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ np.array([0.2126, 0.7152, 0.0722]))

    bright, dark = sorted((light(over), light(under)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", [0, 255])
@pytest.mark.parametrize("shade", [*np.linspace(-1, 1, 41)])
def test_words_can_be_read_on_white_and_on_black(page: int, shade: float) -> None:
    colour = parse_colours((LIGHT[-1 if shade > 0 else 0],))[0]
    under = abs(shade) * colour + (1 - abs(shade)) * np.full(3, page)
    ink = 255 if "color:#fff" in tint(float(shade)) else 255 - page
    assert contrast(np.full(3, ink), under) >= 4.4
    assert ("color:#fff" in tint(float(shade))) == (abs(shade) >= SOLID[bool(shade > 0)])


def test_tables_have_names_and_a_legend() -> None:
    page = Attribution(np.eye(2, 12)).with_names(features=[f"<b>{k}" for k in range(12)])._repr_html_()
    assert "<bdi>&lt;b&gt;1</bdi>" in page
    assert "red: <bdi>for the score</bdi>" in page
    assert "The 8 columns with the largest mean absolute values of 12 are shown." in page


def test_a_series_has_lanes_with_names_and_times() -> None:
    record = np.sin(np.arange(300) / 20)[None, None] * np.ones((1, 3, 1))
    a = Attribution(RNG.normal(size=(1, 3, 300)), record).with_names(channels=["ECG", "<i>", "z"], times=range(0, 600, 2), unit="ms")
    page = a._repr_html_()
    assert page.count("<img") == 3
    assert "<bdi>ECG</bdi>" in page
    assert "<bdi>&lt;i&gt;</bdi>" in page
    assert "time 0 to 598 ms" in page
    turned = Attribution(a.values.transpose(0, 2, 1), record.transpose(0, 2, 1))._repr_html_()
    assert re.findall(r'src="(data:[^"]*)"', turned) == re.findall(r'src="(data:[^"]*)"', page)


def test_a_lane_is_a_line_over_its_colours() -> None:
    shades = np.zeros(64)
    shades[32:] = 1.0
    ramp = np.arange(64.0)
    pixels = draw_lane(shades, ramp, 64, 20)
    assert pixels.shape == (20, 64, 3)
    red, white = parse_colours((LIGHT[-1],))[0], parse_colours((LIGHT[2],))[0]
    np.testing.assert_array_equal(pixels[0, 10], white)
    np.testing.assert_array_equal(pixels[-1, 50], red)
    dark = (pixels < 50).all(-1)
    assert dark[:, 2].nonzero()[0].mean() > 14  # the line rises from the lower left corner
    assert dark[:, 61].nonzero()[0].mean() < 6
    peak = np.zeros(10_000)
    peak[7_000] = -1.0
    strip = draw_lane(peak, None, 100, 4)
    assert (strip != strip[0, 0]).any(-1).any(0).nonzero()[0].tolist() == [70]  # what is strong is not lost where moments share a pixel
    for bad in (np.nan, np.inf):
        draw_lane(np.full(5, np.nan), np.full(5, bad))


def test_facts_are_in_plain_words() -> None:
    a = Attribution(
        np.ones((1, 4)), explained=np.array([0.97]), target=np.array([0]), class_names=("cat", "dog"), prediction=np.array([[0.97, 0.03]]),
        gap=Gap(np.zeros(1), np.zeros(1)),
    )  # fmt: skip
    assert "score of class cat: 0.97 (predicted cat), gap 0 %" in a._repr_html_()


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield found
        found.close()


STYLE = "<style>body{font-family:sans-serif}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}</style>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_browser_shows_results_without_a_message(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    hostile = text(HOSTILE, checks=(Check(HOSTILE[0], "warn", HOSTILE[1]),), class_names=(HOSTILE[1], HOSTILE[0]))
    several = [text(ARABIC), hostile, text([f"word{k}" for k in range(600)])]
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{STYLE}{''.join(a._repr_html_() for a in several)}", "utf-8")
    page = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: trouble.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(file.as_uri())
    assert not trouble
    texts = page.locator("p[dir=auto]")
    assert texts.nth(0).evaluate("one => getComputedStyle(one).direction") == "rtl"  # [CLS] comes first and decides nothing
    assert texts.nth(1).evaluate("one => getComputedStyle(one).direction") == "ltr"
    assert page.evaluate("document.querySelectorAll('script, img').length") == 0
    assert HOSTILE[0] in texts.nth(1).inner_text()
    first, last = (texts.nth(0).locator("span").nth(k).bounding_box() for k in (0, 3))
    assert first["x"] > last["x"]
    wide = page.evaluate("[...document.querySelectorAll('p[dir=auto]')].map(one => one.getBoundingClientRect().right)")
    assert max(wide) <= width
