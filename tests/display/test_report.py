"""The report: what is in the file, and what a browser without a network makes of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.display import colours
from ascribe.errors import ResultError
from ascribe.reports import Card, Map, cards, page, report, write_report
from ascribe.result.attribution import Attribution, Check, Gap
from ascribe.result.axes import AxisNames

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "</script><script>alert(2)</script>",
    "]]><!--<script>alert(3)",
    "\u202ereversed",
    "\"'`${alert(4)}`&lt;&amp;",
    "javascript:alert(5)",
    "line\u2028separators\u2029\x00\x1b[31m",
    "[red] {{7*7}} 日本語 \U0001f600",
)
TEXT = " ".join(HOSTILE)
MAP = np.array([[1.0, -1.0, 0.0], [0.5, np.nan, -0.5]])
PHOTO = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.5]])


def image_card(**more: Any) -> Card:
    known: dict[str, Any] = {
        "title": "Record 0",
        "record": PHOTO,
        "kind": "image",
        "prediction": "predicted cat",
        "maps": [Map("Saliency", MAP), Map("GradCam", np.array([[2.0]]))],
    }
    return Card(**(known | more))


def table_card(**more: Any) -> Card:
    known: dict[str, Any] = {
        "title": "Row 0",
        "record": np.array([3.0, -1.0, 0.5]),
        "kind": "table",
        "prediction": "",
        "maps": [Map("A", np.array([1.0, -2.0, 0.0]), gap=0.003), Map("B", np.array([0.0, 0.0, 0.0]))],
        "feature_names": ["age", "dose", "weight"],
    }
    return Card(**(known | more))


def content(text: str) -> Any:
    """The data that a page carries."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def html(*several: Card, **more: Any) -> str:
    known: dict[str, Any] = {"title": "T", "settings": {}, "summary": []}
    return page.render_page(several, **(known | more))


# What is in the file


@given(st.text())
def test_text_cannot_leave_the_data(text: str) -> None:
    data = page.to_script_json({"text": text})
    assert json.loads(data) == {"text": text}
    assert not set(data) & set("<>&\u2028\u2029")
    assert data.isascii()


def test_hostile_names_are_nowhere_in_the_markup() -> None:
    plain = html(image_card(), table_card())
    hostile = html(
        image_card(title=TEXT, prediction=TEXT, maps=[Map(TEXT, MAP, TEXT, checks=(Check(TEXT, "fail", TEXT),))]),
        table_card(feature_names=HOSTILE[:3]),
        settings={TEXT: TEXT},
        summary=[{TEXT: TEXT}],
    )
    without_data = [re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL) for text in (plain, hostile)]
    assert without_data[0] == without_data[1]
    title = re.search("<title>(.*?)</title>", html(title=TEXT), re.DOTALL)
    assert title is not None
    assert not set(title[1]) & set("<>\"'\u202e\x00")


def test_the_policy_allows_this_script_and_style_only() -> None:
    text = html(image_card())
    policy = re.search('Content-Security-Policy" content="(.*?)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert f"{tag}-src '{page.policy_digest(body)}'" in policy[1]
        assert "\r" not in body  # a browser would hash it as \n
    assert "<!--" not in text
    assert "style=" not in text
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "http:", "https:"):
        assert word not in text


def test_maps_travel_as_bytes() -> None:
    (card,) = content(html(image_card()))["cards"]
    first, second = card["maps"]
    assert (first["width"], first["height"], first["limit"]) == (3, 2, "1")
    assert list(base64.b64decode(first["levels"])) == [255, 1, 128, 192, 0, 64]  # +1, -1, 0, +1/2, not a number, -1/2
    assert list(base64.b64decode(second["levels"])) == [255]
    assert card["photo"]["source"].startswith("data:image/png;base64,")
    assert (card["photo"]["width"], card["photo"]["height"]) == (3, 2)


@given(st.floats(-1, 1))
def test_levels_are_within_half_a_step(value: float) -> None:
    card = image_card(maps=[Map("m", np.array([[value, 1.0, -1.0]]))])
    (level, *_) = base64.b64decode(content(html(card))["cards"][0]["maps"][0]["levels"])
    assert abs((level - 128) / 127 - value) <= 0.5 / 127 + 1e-12


def test_channels_are_added_up() -> None:
    values = np.random.default_rng(0).normal(size=(3, 8, 8))
    one, other = (content(html(image_card(maps=[Map("m", v)])))["cards"][0]["maps"][0] for v in (values, values.sum(0)))
    assert one["levels"] == other["levels"]
    for wrong in (np.zeros((5, 6, 7)), np.zeros(4), np.zeros((0, 3))):
        with pytest.raises(ResultError, match="height, width"):
            html(image_card(maps=[Map("m", wrong)]))


def test_tables_are_sorted_and_add_up() -> None:
    values = np.random.default_rng(0).normal(size=(2, 30))
    maps = [Map("A", values[0]), Map("B", values[1])]
    (card,) = content(html(table_card(record=np.zeros(30), feature_names=None, maps=maps)))["cards"]
    rows = card["features"]
    assert len(rows) == page.ROWS + 1
    weight = np.abs(values / np.abs(values).max(1, keepdims=True)).sum(0)
    assert [row["name"] for row in rows[:-1]] == [f"feature {k}" for k in np.argsort(-weight)[: page.ROWS]]
    for column, whole in enumerate(values):
        shown = [float(row["bars"][column]["text"].replace(page.MINUS, "-")) for row in rows]
        assert sum(shown) == pytest.approx(whole.sum(), abs=0.005 * len(rows))
    assert rows[-1]["name"] == "18 others together"
    with pytest.raises(ResultError, match="same features"):
        html(table_card(maps=[Map("A", np.zeros(3)), Map("B", np.zeros(4))]))
    with pytest.raises(ResultError, match="There is 1 name for 3 features"):
        html(table_card(feature_names=["one"]))


def test_numbers_that_json_lacks_are_text() -> None:
    strange = np.array([np.nan, np.inf, -np.inf])
    text = html(
        table_card(maps=[Map("m", strange, gap=np.nan)]),
        image_card(record=strange[None], maps=[Map("m", strange[None], gap=np.inf)]),
        summary=[{"a": np.nan, "b": None, "c": np.float32(0.25), "d": np.int64(7), "e": True, "f": "12 %", "g": -1e-9}],
        settings={"nan": float("nan"), "nested": {"steps": [1, 2]}, "name": "x"},
    )
    data = content(text)
    assert [cell["text"] for cell in data["summary"]["rows"][0]] == ["nan", "–", "0.25", "7", "True", "12 %", "−1e−09"]
    assert [cell["number"] for cell in data["summary"]["rows"][0]] == [True, True, True, True, False, True, True]
    assert data["settings"] == [["nan", "NaN"], ["nested", '{"steps": [1, 2]}'], ["name", "x"]]
    assert data["cards"][0]["maps"][0]["gap"] == "not finite"


def test_rows_of_a_summary_may_differ() -> None:
    data = page.format_table([{"a": 1}, {"b": 2}])
    assert data["columns"] == ["a", "b"]
    assert [[cell["text"] for cell in row] for row in data["rows"]] == [["1", "–"], ["–", "2"]]


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert write_report(target, [image_card()], title="One") == target
    before = target.read_bytes()
    with pytest.raises(ResultError):
        write_report(target, [image_card(maps=[Map("m", np.zeros(3))])])
    with pytest.raises(ResultError, match="kind='sound'"):
        write_report(target, [image_card(kind="sound")])
    with pytest.raises(ResultError, match="must have 1 axes"):
        write_report(target, [image_card(kind="text")])
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


# Cards from results


def results(**more: Any) -> dict[str, Attribution]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 1, 8, 8))
    known: dict[str, Any] = {
        "record": x,
        "quantity": "PredictedClass()",
        "prediction": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]),
        "class_names": ("cat", "dog"),
        "target": np.array([1, 0, 1]),
        "explained": np.array([0.9, 0.8, 0.7]),
    }
    gap = Gap(np.zeros(3), np.array([0.0, 0.5, 0.001]))
    check = Check("completeness", "fail", "50 %", (1,))
    cam = Attribution(rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 16, 2, 2)), method="GradCam(at=Cut('2'))")
    ig = Attribution(
        x * 2, method="IntegratedGradients(steps=8)(model, *inputs, of=PredictedClass())", gap=gap, checks=(check,), **(known | more)
    )
    return {"IntegratedGradients": ig, "CAM": cam}


def test_cards_take_each_record_from_each_result() -> None:
    made = cards(results(), [1, 2], titles=["one", "two"], group="digits")
    assert [(card.title, card.group, card.kind) for card in made] == [("one", "digits", "image"), ("two", "digits", "image")]
    first, second = made
    assert first.prediction == "predicted cat (0.8), explained cat = 0.8"
    np.testing.assert_array_equal(first.maps[0].values, results()["IntegratedGradients"].values[1])
    assert [(one.method, one.note, one.gap) for one in first.maps] == [
        ("IntegratedGradients", "IntegratedGradients(steps=8)", 0.5),
        ("CAM", "GradCam(at=Cut('2'))", None),
    ]
    assert first.maps[0].checks[0].status == "fail"
    assert second.maps[0].checks[0].status == "ok"  # the failing check was about another record
    np.testing.assert_array_equal(first.record, results()["IntegratedGradients"].record[1])
    assert len(content(html(*made))["cards"]) == 2


def test_cards_of_tables_and_of_given_pictures() -> None:
    x = np.arange(12.0).reshape(3, 4)
    (card, *_) = cards({"a": Attribution(x, x, quantity="Unit(1)")}, feature_names=list("abcd"))
    assert (card.kind, card.prediction, card.title) == ("table", "explained Unit(1)", "Record 0")
    np.testing.assert_array_equal(card.record, x[0])
    cam = {"CAM": results()["CAM"]}
    assert cards(cam)[0].record is None  # activations are no picture
    np.testing.assert_array_equal(cards(cam, images=np.ones((3, 8, 8)))[0].record, np.ones((8, 8)))


def test_results_of_other_records_do_not_mix() -> None:
    short = results() | {"CAM": results()["CAM"].records([0])}
    for wrong in (short, {}):
        with pytest.raises(ResultError, match="same records"):
            cards(wrong)
    with pytest.raises(ResultError, match="1 titles"):
        cards(results(), titles=["one"])


def test_standard_errors_of_what_was_sampled() -> None:
    values, error = np.array([[4.0, -2.0, 0.0]]), np.array([[1.0, np.nan, 0.5]])
    sampled, exact = cards({"a": Attribution(values, error=error), "b": Attribution(values)})[0].maps
    np.testing.assert_array_equal(sampled.error, error[0])
    assert exact.error is None
    (card,) = content(html(*cards({"a": Attribution(values, error=error), "b": Attribution(values)})))["cards"]
    assert [one["error"] for one in card["maps"]] == ["1", None]
    bars = {row["name"]: row["bars"] for row in card["features"]}
    limit = colours.colour_limit(values)
    assert bars["feature 0"][0]["error"] == pytest.approx(1 / limit, abs=1e-4)
    assert bars["feature 2"][0]["error"] == pytest.approx(0.5 / limit, abs=1e-4)
    assert "error" not in bars["feature 1"][0]
    assert not any("error" in both[1] for both in bars.values())


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


READ = """(canvas, [x, y]) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3);
}"""
"""The colour of one pixel; a copy is read, because Chromium talks about canvases that are read often."""
BEYOND = """width => [...document.querySelectorAll(".card *")]
  .filter((one) => !one.closest(".label") && one.getBoundingClientRect().right > width + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""
"""What sticks out of the page; labels are cut off on purpose."""
LOOSE = """() => [...document.querySelectorAll(":not(bdi):not(script):not(title)")]
  .filter((one) => [...one.childNodes].some((part) => part.nodeType === 3 && part.data.includes("\\u202e"))).length"""
"""How many elements hold a reversal of direction outside a <bdi>."""


class Visit:
    """A page opened from its file, without a network, and everything it complained about or asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.trouble: list[str] = []
        self.page = browser.new_context(offline=True, **context).new_page()
        self.page.on("console", lambda message: self.trouble.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self.asked)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("[data-ready]")

    def asked(self, request: Any) -> None:
        own = request.url.startswith("file:") and request.resource_type == "document"
        if not own and not request.url.startswith("data:"):
            self.trouble.append(f"request: {request.url}")

    def pixel(self, name: str, x: float, y: float) -> list[int]:
        """The colour of a map at a place from 0 to 1, once it is drawn; "3-1" is the second map of the fourth card."""
        canvas = self.page.locator(f"[data-map='{name}']")
        canvas.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"[data-map='{name}'][data-drawn]")
        return list(canvas.evaluate(READ, [x, y]))

    def slide(self, percent: int) -> None:
        slider = self.page.locator("input[type=range]")
        slider.evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", str(percent))


def opened(browser: Any, tmp_path: Path, several: list[Card], context: dict[str, Any] | None = None, **more: Any) -> Visit:
    return Visit(browser, write_report(tmp_path / "report.html", several, **more), **(context or {}))


def near(colour: list[int], expected: np.ndarray) -> bool:
    return bool(np.abs(np.array(colour) - expected).max() <= 2)


def test_whiskers_reach_as_far_as_the_errors(browser: Any, tmp_path: Path) -> None:
    values, error = np.array([4.0, -2.0, 1.0]), np.array([1.0, 0.5, np.nan])
    card = table_card(maps=[Map("A", values, error=error)])
    visit = opened(browser, tmp_path, [card])
    found = visit.page.evaluate(
        """() => [...document.querySelectorAll(".track")].map((track) => {
          const whisker = track.querySelector(".whisker");
          if (!whisker) return null;
          const all = track.getBoundingClientRect(), own = whisker.getBoundingClientRect();
          return [own.left, own.right].map((x) => 2 * (x - all.left) / all.width - 1);
        })"""
    )
    top = colours.colour_limit(values)
    assert found[2] is None
    np.testing.assert_allclose(found[0], [3 / top, 1.0], atol=0.03)
    np.testing.assert_allclose(found[1], [-2.5 / top, -1.5 / top], atol=0.03)
    assert "error \u2264 1" in visit.page.inner_text(".facts")
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_maps_have_their_colours(browser: Any, tmp_path: Path, scheme: str) -> None:
    visit = opened(browser, tmp_path, [image_card()], {"color_scheme": scheme})
    stops = colours.LIGHT if scheme == "light" else colours.DARK
    visit.slide(100)
    for i, j in np.ndindex(MAP.shape):
        assert near(visit.pixel("0-0", (j + 0.5) / 3, (i + 0.5) / 2), colours.apply_palette(MAP[i, j : j + 1], stops)[0]), (i, j)
    visit.slide(0)
    for i, j in np.ndindex(PHOTO.shape):
        assert near(visit.pixel("0-0", (j + 0.5) / 3, (i + 0.5) / 2), np.repeat(PHOTO[i, j] * 255, 3)), (i, j)
    visit.slide(50)
    mixed = (colours.apply_palette(MAP[:1, :1], stops)[0, 0].astype(float) + PHOTO[0, 0] * 255) / 2
    assert near(visit.pixel("0-0", 1 / 6, 1 / 4), mixed)
    assert visit.trouble == []


def test_coarse_maps_are_smooth_and_fine_ones_sharp(browser: Any, tmp_path: Path) -> None:
    steps = np.array([[1.0, 0.0, -1.0, -1.0]])
    maps = [Map("fine", steps.repeat(2, 0)), Map("coarse", steps[:, [0, 2]])]
    visit = opened(browser, tmp_path, [image_card(record=np.zeros((2, 4)), maps=maps)])
    visit.slide(100)
    sharp, smooth = ([visit.pixel(name, x, 0.5) for x in (0.26, 0.49)] for name in ("0-0", "0-1"))
    assert sharp[0] == sharp[1] == list(colours.parse_colours(colours.LIGHT)[2])
    ends = colours.parse_colours(colours.LIGHT)[[0, 4]]
    for colour, expected in zip(smooth, (ends[1], ends.mean(0)), strict=True):  # +1, and half way from there to -1
        assert np.abs(np.array(colour) - expected).max() < 12
    assert visit.trouble == []


def test_the_colours_follow_the_scheme(browser: Any, tmp_path: Path) -> None:
    visit = opened(browser, tmp_path, [image_card(record=None)], {"color_scheme": "light"})
    before = visit.pixel("0-0", 0.01, 0.01)
    visit.page.emulate_media(color_scheme="dark")
    assert near(before, colours.parse_colours(colours.LIGHT)[-1])
    assert near(visit.pixel("0-0", 0.01, 0.01), colours.parse_colours(colours.DARK)[-1])


def test_a_map_without_a_record_is_all_map(browser: Any, tmp_path: Path) -> None:
    visit = opened(browser, tmp_path, [image_card(record=None)])
    assert near(visit.pixel("0-0", 1 / 6, 1 / 4), colours.parse_colours(colours.LIGHT)[-1])
    assert visit.page.locator("input[type=range]").count() == 0
    assert visit.trouble == []


def test_maps_far_below_are_drawn_when_they_come_near(browser: Any, tmp_path: Path) -> None:
    several = [image_card(title=f"Record {i}") for i in range(40)]
    visit = opened(browser, tmp_path, several, {"viewport": {"width": 900, "height": 600}})
    visit.page.wait_for_selector("canvas[data-drawn]")
    visit.page.wait_for_timeout(200)
    canvases = visit.page.locator("canvas")
    assert canvases.count() == 80
    assert visit.page.locator("canvas[data-drawn]").count() < 40
    visit.slide(100)
    assert near(visit.pixel("39-0", 1 / 6, 1 / 4), colours.parse_colours(colours.LIGHT)[-1])
    assert visit.trouble == []


def test_hostile_names_are_shown_as_they_are(browser: Any, tmp_path: Path) -> None:
    maps = [Map(name, MAP, name, 0.1, (Check(name, "fail", name), Check("fine", "ok"))) for name in HOSTILE]
    table = table_card(record=np.ones(len(HOSTILE)), feature_names=HOSTILE, maps=[Map(n, np.ones(len(HOSTILE)), n) for n in HOSTILE[:3]])
    several = [image_card(title=TEXT, prediction=TEXT, maps=maps, group=TEXT), table]
    visit = opened(
        browser,
        tmp_path,
        several,
        title=TEXT,
        summary=[{name: name for name in HOSTILE}],
        settings={name: name for name in HOSTILE},
    )
    said = visit.page.locator("bdi").evaluate_all("all => all.map((one) => one.textContent)")
    for name in HOSTILE:
        assert said.count(name) >= 5, name
    assert said.count(TEXT) == 4  # title, group, card, prediction
    assert visit.page.locator("img").count() == 1
    assert visit.page.locator("script").count() == 2
    assert visit.page.evaluate(LOOSE) == 0
    for k in range(len(HOSTILE)):
        visit.pixel(f"0-{k}", 0.5, 0.5)
    assert visit.trouble == []


def test_bars_go_to_their_side(browser: Any, tmp_path: Path) -> None:
    visit = opened(browser, tmp_path, [table_card()])
    rows = visit.page.locator(".bars tbody tr")
    assert rows.locator("th").all_text_contents() == ["dose", "age", "weight"]
    assert rows.locator("td.number").all_text_contents() == ["−1", "3", "0.5"]
    assert visit.page.locator(".amount").all_text_contents()[::2] == ["−2", "+1", "+0"]
    style = "bar => [bar.style.left, bar.style.width, bar.className]"
    dose, age = (visit.page.locator(f"[data-bar='0-{row}-0']").evaluate(style) for row in (0, 1))
    assert dose == ["0%", "50%", "fill against"]
    assert age == ["50%", "25%", "fill for"]
    assert "gap 0.3 %" in visit.page.locator(".facts").first.text_content()
    assert visit.trouble == []


def test_only_records_with_warnings(browser: Any, tmp_path: Path) -> None:
    bad = image_card(title="bad", maps=[Map("m", MAP, checks=(Check("finite", "warn"),))])
    visit = opened(browser, tmp_path, [image_card(title="good"), bad])
    assert visit.page.locator(".card:visible").count() == 2
    box = visit.page.locator("input[type=checkbox]")
    box.focus()
    visit.page.keyboard.press("Space")
    assert visit.page.locator(".card:visible h3").all_text_contents() == ["bad"]
    assert "1 record with warnings" in visit.page.locator(".counts").text_content()


def test_the_keyboard_reaches_everything(browser: Any, tmp_path: Path) -> None:
    warned = image_card(maps=[Map("m", MAP, checks=(Check("finite", "warn"),))])
    visit = opened(browser, tmp_path, [warned, image_card()], summary=[{"a": 1}], settings={"seed": 0})
    reached = []
    for _ in range(6):
        visit.page.keyboard.press("Tab")
        reached.append(visit.page.evaluate("[document.activeElement.tagName, document.activeElement.type || '']"))
    assert reached == [
        ["DIV", ""],
        ["SELECT", "select-one"],  # the order: the first record has a warning
        ["INPUT", "range"],
        ["INPUT", "checkbox"],
        ["SUMMARY", ""],
        ["BODY", ""],
    ]
    visit.page.locator("summary").focus()
    visit.page.keyboard.press("Enter")
    assert not visit.page.locator("dl").is_visible()
    visit.page.locator("input[type=range]").focus()
    for _ in range(2):
        visit.page.keyboard.press("End")
    assert near(visit.pixel("0-0", 1 / 6, 1 / 4), colours.parse_colours(colours.LIGHT)[-1])


@pytest.mark.parametrize("width", [320, 480, 740, 1280, 1920])
def test_no_width_scrolls_sideways(browser: Any, tmp_path: Path, width: int) -> None:
    long = "".join(HOSTILE) + "x" * 200
    checks = (Check(long, "fail", long), Check("b", "skipped"))
    several = [
        image_card(title=long, prediction=long, group=long, maps=[Map(long, MAP, long, 0.1, checks)] * 5),
        table_card(feature_names=[long] * 3, maps=[Map(long, np.ones(3), long, 0.1, checks)] * 4),
    ]
    rows = [{f"column {i}": long for i in range(12)}]
    visit = opened(
        browser, tmp_path, several, {"viewport": {"width": width, "height": 800}}, title=long, summary=rows, settings={long: long}
    )
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(BEYOND, width) == []


def test_without_scripts_it_says_so(browser: Any, tmp_path: Path) -> None:
    file = write_report(tmp_path / "report.html", [image_card()])
    silent = browser.new_context(offline=True, java_script_enabled=False).new_page()
    silent.goto(file.as_uri())
    assert "Allow scripts" in silent.locator("body").inner_text()


def text_result(seed: int = 0) -> Attribution:
    tokens = (
        ("[CLS]", "un", "##believ", "##able", "film", "[SEP]", "[PAD]"),
        ("[CLS]", "فيلم", "رائع", "[SEP]", "[PAD]", "[PAD]", "[PAD]"),
    )
    words = ((-1, 0, 0, 0, 1, -1, -1), (-1, 0, 1, -1, -1, -1, -1))
    values = np.random.default_rng(seed).normal(size=(2, 7))
    return Attribution(values, method=f"M{seed}()", axes=(AxisNames("token", 1, tokens, words=words),), **CLASSES)


CLASSES: dict[str, Any] = {
    "prediction": np.array([[0.1, 0.9], [0.8, 0.2]]),
    "class_names": ("no", "yes"),
    "explained": np.array([0.9, 0.8]),
}


def test_texts_are_words_with_the_sums_of_their_tokens(browser: Any, tmp_path: Path) -> None:
    a = text_result()
    first, second = content(html(*cards({"a": a})))["cards"]
    assert first["kind"] == "text"
    assert [(w["text"], w["space"], w["special"]) for w in first["words"]] == [
        ("[CLS]", False, True), ("unbelievable", True, False), ("film", True, False), ("[SEP]", True, True)
    ]  # fmt: skip
    sums = np.array([a.values[0, 0], a.values[0, 1:4].sum(), a.values[0, 4], a.values[0, 5]])
    np.testing.assert_allclose([w["shares"][0] for w in first["words"]], np.clip(sums / colours.colour_limit(sums), -1, 1), atol=1e-4)
    assert (first["direction"], second["direction"]) == ("ltr", "rtl")
    visit = Visit(browser, report({"a": a, "b": text_result(1)}, tmp_path / "r.html"), color_scheme="light")
    word = visit.page.locator("[data-word='0-1-0']")
    assert word.inner_text() == "unbelievable"
    shown = [int(c) for c in re.findall(r"\d+", word.evaluate("one => getComputedStyle(one).backgroundColor"))]
    assert near(shown, colours.apply_palette(np.array([sums[1] / colours.colour_limit(sums)]).clip(-1, 1), colours.LIGHT)[0])
    assert visit.page.locator("p.words[dir=rtl]").count() == 2
    assert visit.trouble == []


def test_several_quantities_of_a_text_are_a_matrix(browser: Any, tmp_path: Path) -> None:
    one = text_result()
    values = np.stack([one.values, -one.values, one.values * 0.5])
    a = Attribution(values, method="M()", explained=np.ones((3, 2)), axes=one.axes)
    first, second = content(html(*cards({"a": a})))["cards"]
    assert (first["kind"], first["matrix"]["columns"]) == ("matrix", ["[CLS]", "un", "##believ", "##able", "film", "[SEP]"])
    assert len(first["matrix"]["rows"]) == 3
    assert len(second["matrix"]["columns"]) == 4
    limit = colours.colour_limit(values[:, 0, :6])
    np.testing.assert_allclose(first["matrix"]["maps"][0]["shares"], np.clip(values[:, 0, :6] / limit, -1, 1), atol=1e-4)
    visit = Visit(browser, report(a, tmp_path / "r.html"), color_scheme="light", viewport={"width": 320, "height": 700})
    cell = visit.page.locator("[data-cell='0-0-1-4']")
    shown = [int(c) for c in re.findall(r"\d+", cell.evaluate("one => getComputedStyle(one).backgroundColor"))]
    assert near(shown, colours.apply_palette(np.array([values[1, 0, 4] / limit]).clip(-1, 1), colours.LIGHT)[0])
    cell.hover()
    assert "film" in visit.page.locator(".reading").first.inner_text()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert visit.trouble == []


def test_several_quantities_of_other_records_have_a_card_each() -> None:
    a = Attribution(np.zeros((2, 3, 4)), np.ones((3, 4)), explained=np.ones((2, 3)))
    titles = [card.title for card in cards({"a": a}, [0, 2])]
    assert titles == ["Record 0, quantity 0", "Record 0, quantity 1", "Record 2, quantity 0", "Record 2, quantity 1"]
    with pytest.raises(ResultError, match="same quantities"):
        cards({"a": a, "b": Attribution(np.zeros((3, 4)))})


def test_series_are_lines_over_strips(browser: Any, tmp_path: Path) -> None:
    values = np.zeros((1, 2, 40))
    values[0, 1, 10:20] = 1.0
    x = np.stack([np.zeros(40), np.linspace(0, 1, 40)])[None]
    a = Attribution(values, x, method="M()").with_names(channels=["left", "right"], times=np.arange(40) * 25, unit="ms")
    visit = Visit(browser, report(a, tmp_path / "r.html"), color_scheme="light")
    assert visit.page.locator(".lane").all_text_contents() == ["left", "right"]
    assert visit.page.locator(".axis span").all_text_contents() == ["0", "ms", "975"]
    strong, weak = visit.pixel("0-0-1", 15.5 / 40, 0.1), visit.pixel("0-0-1", 30.5 / 40, 0.9)
    assert near(strong, colours.parse_colours(colours.LIGHT)[-1])
    assert near(weak, colours.apply_palette(np.zeros(1), colours.LIGHT)[0])
    assert visit.trouble == []


def test_a_table_with_a_base_value_leads_from_it_to_the_score(browser: Any, tmp_path: Path) -> None:
    a = Attribution(np.array([[2.0, -1.0, 0.5]]), np.ones((1, 3)), explained=np.array([4.5]), base_value=np.array([3.0]), method="M()")
    visit = Visit(browser, report(a, tmp_path / "r.html"))
    assert visit.page.locator(".ends").inner_text() == "from the base value 3 to the score 4.5"
    style = "bar => [bar.style.left, bar.style.width]"
    found = [[float(part.rstrip("%")) for part in visit.page.locator(f"[data-bar='0-{i}-0']").evaluate(style)] for i in range(3)]
    np.testing.assert_allclose(found, [[0, 100], [50, 50], [50, 25]], atol=0.02)  # 3 to 5, back to 4, on to 4.5
    assert visit.trouble == []


def test_several_inputs_have_a_card_each() -> None:
    a = Attribution({"image": np.zeros((2, 1, 8, 8)), "row": np.zeros((2, 3))}, {"image": np.ones((2, 1, 8, 8)), "row": np.ones((2, 3))})
    assert [(card.title, card.kind) for card in cards({"a": a}, [1])] == [("Record 1, image", "image"), ("Record 1, row", "table")]


def test_records_are_searched_filtered_and_sorted(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gap = Gap(np.zeros(6), np.array([0.0, 0.01, 0.4, 0.02, 0.0, 0.1]))
    known: dict[str, Any] = {"prediction": np.eye(2)[[0, 1, 1, 0, 0, 1]], "class_names": ("cat", "dog"), "gap": gap}
    several = {name: Attribution(rng.normal(size=(6, 4)), np.ones((6, 4)), method=f"{name}()", **known) for name in ("A", "B")}
    visit = Visit(browser, report(several, tmp_path / "r.html", titles=[f"animal {i}" for i in range(6)]))
    titles = visit.page.locator(".card:visible h3")
    visit.page.fill("input[type=search]", "animal 3")
    assert titles.all_text_contents() == ["animal 3"]
    assert visit.page.inner_text("[role=status]") == "1 of 6 records"
    visit.page.fill("input[type=search]", "")
    visit.page.get_by_label("class").select_option("dog")
    assert titles.all_text_contents() == ["animal 1", "animal 2", "animal 5"]
    visit.page.get_by_label("order").select_option("gap")
    assert titles.all_text_contents() == ["animal 2", "animal 5", "animal 1"]
    visit.page.locator("[data-toggle='1']").uncheck()
    assert visit.page.locator("td.bar:visible").count() == 3 * 4
    visit.page.keyboard.press("Tab")
    visit.page.locator("h1").click()
    visit.page.keyboard.press("j")
    visit.page.keyboard.press("j")
    assert visit.page.evaluate("document.activeElement.querySelector('h3').textContent") == "animal 5"
    assert visit.trouble == []


def test_five_hundred_records_stay_usable(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((500, 3, 32, 32))
    maps = {name: Attribution(rng.normal(size=(500, 3, 32, 32)), x, method=f"{name}()", prediction=rng.random((500, 10))) for name in "ABC"}
    file = report(maps, tmp_path / "r.html")
    assert file.stat().st_size < 25e6
    visit = Visit(browser, file, viewport={"width": 1280, "height": 900})
    assert visit.page.locator(".card").count() == 500
    assert visit.page.locator("canvas").count() < 200  # the others are made when they come near
    visit.page.locator("#record-499").scroll_into_view_if_needed()
    visit.pixel("499-2", 0.5, 0.5)
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_accessible(browser: Any, tmp_path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    rng = np.random.default_rng(0)
    table = {name: Attribution(rng.normal(size=(2, 4)), np.ones((2, 4)), method=f"{name}()", **CLASSES) for name in "ABCDEF"}
    several = [*cards(table, group="tables"), *cards({"a": text_result(), "b": text_result(1)}, group="texts"), image_card()]
    rows = [{"method": "A", "gap": 0.1}]
    visit = opened(browser, tmp_path, several, {"color_scheme": scheme}, summary=rows, settings={"seed": 0})
    visit.page.wait_for_selector("[data-map='4-0']")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    visit.page.evaluate(source)
    found = visit.page.evaluate("axe.run().then((all) => all.violations.map((v) => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 120)]))")
    assert found == []


def test_an_empty_report_opens(browser: Any, tmp_path: Path) -> None:
    visit = opened(browser, tmp_path, [], title="Nothing")
    assert visit.page.locator("h1").text_content() == "Nothing"
    assert visit.trouble == []
