"""The result: what arithmetic and pooling give, what they keep, and how a result presents itself."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ascribe.display.layouts import rank_strongest, resolve_kind, shrink_map
from ascribe.errors import ResultError
from ascribe.result.attribution import Attribution, Check, Cost, Gap
from ascribe.utils import pooling
from ascribe.utils.escape import escape_control

torch = pytest.importorskip("torch")

HOSTILE = "<img src=x onerror=alert(1)></script>\"'\u202ekcab\x1b[31m[red]"
FLOATS = st.floats(-1e6, 1e6, width=32)
MAPS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5), elements=FLOATS)


def result(values: Any, **more: Any) -> Attribution:
    """A result with everything that a call fills in."""
    known: dict[str, Any] = {
        "method": "IntegratedGradients(steps=8)",
        "quantity": "PredictedClass()",
        "explained": np.array([1.0, 2.0, 3.0]),
        "prediction": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]),
        "class_names": ("cat", "dog"),
        "target": np.array([1, 0, 1]),
        "gap": Gap(np.array([0.0, -0.1, 0.2]), np.array([0.0, 0.05, 0.07])),
        "checks": (Check("completeness", "fail", "7 %", (1, 2)), Check("finite", "ok"), Check("ops", "warn", "one has no rule")),
        "cost": Cost(8, 8, 24, 0.5, 4, 1000),
        "settings": {"seed": 0},
    }
    return Attribution(values, **(known | more))


def table(seed: int = 0, features: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, features))


# What there is


def test_it_is_frozen_and_compares_by_identity() -> None:
    a = result(table())
    with pytest.raises(FrozenInstanceError):
        a.cut = "OUTPUT"  # type: ignore[misc]
    assert a == a
    assert a != replace(a)
    assert Gap(np.zeros(2), np.zeros(2)) != Gap(np.zeros(2), np.zeros(2))  # and no error about the truth of arrays


def test_length_and_quantities() -> None:
    assert len(result(table())) == 3
    assert len(Attribution((None, table()))) == 3
    several = result(np.zeros((2, 3, 4)), explained=np.zeros((2, 3)))
    assert (several.quantities, len(several)) == (2, 3)
    assert result(table()).quantities is None
    assert replace(several, explained=None, gap=Gap(np.zeros((2, 3)), np.zeros((2, 3)))).quantities == 2


def test_checks_decide() -> None:
    a = result(table())
    assert not a.ok
    with pytest.raises(ResultError, match="completeness: 7 %") as caught:
        a.raise_for_checks()
    assert caught.value.code == "E-CHECKS"
    fine = replace(a, checks=a.checks[1:])
    assert fine.ok  # a warning is no failure
    assert fine.raise_for_checks() is fine


# Parts


@pytest.mark.parametrize("index", [[2, 0], np.array([2, 0]), slice(None, None, -2), -1, np.array([True, False, True])])
def test_records_are_picked_everywhere(index: Any) -> None:
    a = result({"x": table(), "y": table(1)}, record={"x": table(2), "y": None})
    place = np.atleast_1d(np.arange(3)[index])
    part = a.records(index)
    assert len(part) == len(place)
    np.testing.assert_array_equal(part.values["y"], a.values["y"][place])
    np.testing.assert_array_equal(part.record["x"], a.record["x"][place])
    assert part.explained is not None
    assert part.prediction is not None
    assert part.gap is not None
    np.testing.assert_array_equal(part.explained, np.array([1.0, 2.0, 3.0])[place])
    np.testing.assert_array_equal(part.prediction[:, 1], np.array([0.9, 0.2, 0.7])[place])
    np.testing.assert_array_equal(part.gap.absolute, np.array([0.0, -0.1, 0.2])[place])
    still = [i for i, old in enumerate(place) if old in (1, 2)]
    assert part.checks[0].records == tuple(still)
    assert part.method == a.method


def test_a_check_about_other_records_is_no_trouble_here() -> None:
    assert result(table()).records([0]).ok
    assert not result(table()).records([1]).ok


def test_records_of_several_quantities() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    a = result(values, record=table(), explained=np.arange(6.0).reshape(2, 3), target=np.array([[0, 1, 0], [1, 1, 1]]), gap=None)
    part = a.records([2])
    np.testing.assert_array_equal(part.values, values[:, [2]])
    assert part.explained is not None
    assert part.explained.tolist() == [[2.0], [5.0]]
    assert part.record.shape == (1, 4)
    one = a.quantity_at(1)
    np.testing.assert_array_equal(one.values, values[1])
    assert one.quantities is None
    assert one.target is not None
    assert one.target.tolist() == [1, 1, 1]
    for wrong in (lambda: a.quantity_at(2), lambda: one.quantity_at(0)):
        with pytest.raises(ResultError, match="no quantity"):
            wrong()


def test_records_that_are_not_there() -> None:
    for wrong in ([5], 3, [0, -4]):
        with pytest.raises(ResultError, match="3 records"):
            result(table()).records(wrong)


def test_part_picks_one_array() -> None:
    a = result({"image": table(), "meta": (table(1), table(2))}, record={"image": table(3), "meta": None})
    part = a.part("meta", 1)
    np.testing.assert_array_equal(part.values, table(2))
    assert part.gap is None
    assert "completeness" not in [check.name for check in part.checks]
    assert part.record is None
    np.testing.assert_array_equal(a.part("image").record, table(3))
    with pytest.raises(ResultError, match=r"part\('image'\), part\('meta', 0\)"):
        a.part("text")


# Arithmetic


def test_arithmetic_says_what_was_done_and_drops_what_no_longer_holds() -> None:
    a, b = result(table()), result(table(1), method="Saliency()", cost=Cost(1, 1, 3, 0.1, 4, 5000), settings={"seed": 1})
    c = abs(2 * (a - b) / 4)
    np.testing.assert_allclose(c.values, np.abs(2 * (table() - table(1)) / 4))
    assert c.method == "(((IntegratedGradients(steps=8) - Saliency()) * 2) / 4).abs()"
    assert c.gap is None
    assert [check.name for check in c.checks] == ["ops"]
    assert c.cost == Cost(9, 9, 27, 0.6, 4, 5000)
    assert c.settings == {"left": {"seed": 0}, "right": {"seed": 1}}
    assert (c.quantity, c.cut, c.class_names) == ("PredictedClass()", "INPUT", ("cat", "dog"))
    assert c.target is not None
    assert (-a).settings == {"seed": 0}


def test_facts_that_differ_are_dropped() -> None:
    a = result(table(), record=table(3))
    same = a + result(table(1), record=table(3))
    np.testing.assert_array_equal(same.record, table(3))
    other = a + result(table(1), record=table(4), explained=np.zeros(3), quantity="Unit(1)", cut="Cut('fc')")
    assert other.record is None
    assert other.explained is None
    assert other.quantity == "(PredictedClass() + Unit(1))"
    assert other.cut == "(INPUT + Cut('fc'))"
    assert (a + result(table(1))).record is None


@given(MAPS, FLOATS)
def test_arithmetic_is_that_of_the_arrays(values: np.ndarray, factor: float) -> None:
    a = Attribution(values)
    np.testing.assert_array_equal((a * factor).values, values * factor)
    np.testing.assert_array_equal((np.float64(factor) * a).values, values * factor)
    np.testing.assert_array_equal((a - a).values, 0 * values)
    np.testing.assert_array_equal((-a + a).values, 0 * values)
    np.testing.assert_array_equal(sum([a, a]).values, 2 * values)  # type: ignore[union-attr]


def test_zero_is_a_finding_about_one_result_only() -> None:
    zero = result(table() * 0, checks=(Check("zero", "warn", "record 0", (0,)), Check("finite", "fail", "NaN")))
    assert [check.name for check in (zero + result(table(), checks=())).checks] == ["finite"]
    assert [check.name for check in (2 * zero).checks] == ["zero", "finite"]


def test_shapes_have_to_meet() -> None:
    a = result({"x": table(), "y": (table(), None)})
    for other in (
        result(table()),
        result({"x": table(), "y": (table(0, 5), None)}),
        result({"x": table(), "z": (table(), None)}),
    ):
        with pytest.raises(ResultError, match=r"\{'x': float64\[3, 4\], 'y': \(float64\[3, 4\], None\)\} and"):
            a + other
    with pytest.raises(ResultError, match="zero"):
        a / 0
    for wrong in (lambda: a + 1, lambda: a * a, lambda: a * "2", lambda: a / a):
        with pytest.raises(TypeError):
            wrong()  # type: ignore[operator, no-untyped-call]


def test_precision_is_no_shape() -> None:
    assert (Attribution(table()) - Attribution(table().astype(np.float32))).values.dtype == np.float64


# Pooling


@pytest.mark.parametrize(
    ("how", "oracle"),
    [("sum", np.sum), ("mean", np.mean), ("max", np.max), ("l2", lambda a, axis: np.linalg.norm(a, axis=axis))],
)
@pytest.mark.parametrize(("axis", "place"), [("channels", 1), ("embedding", -1), (2, 2), (-2, -2)])
def test_pooling_is_the_reduction(how: Any, oracle: Callable[..., np.ndarray], axis: Any, place: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    a = result(values)
    pooled = a.pool(axis, how)
    np.testing.assert_allclose(pooled.values, oracle(values, axis=place), rtol=1e-12)
    assert pooled.method == f"IntegratedGradients(steps=8).pool({axis!r}, {how!r})"
    assert (pooled.gap is a.gap) == (how == "sum")
    assert ("completeness" in [check.name for check in pooled.checks]) == (how == "sum")
    several = result(np.stack([values, -values]), explained=np.zeros((2, 3)), gap=None)
    np.testing.assert_allclose(several.pool(axis, how).quantity_at(0).values, pooled.values)


@given(MAPS.filter(lambda values: values.ndim > 2))
def test_a_sum_over_an_axis_keeps_the_total_of_each_record(values: np.ndarray) -> None:
    pooled = Attribution(values).sum("channels").values
    total = values.reshape(len(values), -1).sum(1)
    np.testing.assert_allclose(pooled.reshape(len(values), -1).sum(1), total, atol=1e-6 * max(1.0, np.abs(values).max()))


@pytest.mark.parametrize(
    ("axis", "said"),
    [(0, "is the batch dimension"), (-3, "is the batch dimension"), (3, "out of range"), ("rows", "'channels'"), (1.5, "'channels'")],
)
def test_axes_that_cannot_be_pooled(axis: Any, said: str) -> None:
    with pytest.raises(ResultError, match=said):
        result(np.zeros((3, 2, 2))).sum(axis)


def test_named_axes_need_maps() -> None:
    for name in ("channels", "embedding"):
        with pytest.raises(ResultError, match="has no axis '"):
            result(table()).sum(name)
    with pytest.raises(ResultError, match="'sum', 'mean'"):
        result(table()).pool(1, "median")  # type: ignore[arg-type]


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-1e3, 1e3)),
    st.sampled_from(["max", "sum", "l2"]),
)
def test_normalising_gives_each_record_size_one(values: np.ndarray, how: Any) -> None:
    values = np.where(np.abs(values) < 1e-3, 0.0, values)
    out = Attribution(values).normalize(how).values
    size = {"max": np.abs(out).max(1), "sum": np.abs(out).sum(1), "l2": np.linalg.norm(out, axis=1)}[how]
    np.testing.assert_allclose(size, np.where((values == 0).all(1), 0.0, 1.0), rtol=1e-9)
    assert (np.sign(out) == np.sign(values)).all()


def test_several_arrays_share_one_scale() -> None:
    out = Attribution((np.array([[1.0], [0.0]]), np.array([[3.0, -4.0], [0.0, 0.0]]))).normalize("sum").values
    np.testing.assert_allclose(np.concatenate(out, 1), [[1 / 8, 3 / 8, -4 / 8], [0, 0, 0]])


def test_quantile_clips_what_is_beyond() -> None:
    values = np.r_[np.linspace(-1, 1, 999), 1000.0][None]
    out = Attribution(values).normalize("quantile").values
    assert out.max() == 1.0
    assert out.min() == -1.0
    assert np.sort(np.abs(out[0]))[500] > 0.4  # by the largest value it would be 0.0005


def test_nan_stays_nan_in_its_own_record() -> None:
    out = Attribution(np.array([[1.0, np.nan], [2.0, 4.0]])).normalize().values
    assert np.isnan(out[0]).all()
    assert out[1].tolist() == [0.5, 1.0]


# Resizing


def by_hand(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation between pixel centres, one output pixel after the other."""
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * picture.shape[0] / height - 0.5, 0), picture.shape[0] - 1)
            x = min(max((j + 0.5) * picture.shape[1] / width - 0.5, 0), picture.shape[1] - 1)
            for p in range(picture.shape[0]):
                for q in range(picture.shape[1]):
                    out[i, j] += max(0, 1 - abs(y - p)) * max(0, 1 - abs(x - q)) * picture[p, q]
    return out


SIDES = st.integers(1, 7)


@given(hnp.arrays(np.float64, st.tuples(st.just(2), SIDES, SIDES), elements=FLOATS), SIDES, SIDES)
def test_resizing_is_bilinear(values: np.ndarray, height: int, width: int) -> None:
    out = Attribution(values).resize(height, width).values
    top = max(1.0, np.abs(values).max())
    np.testing.assert_allclose(out, np.stack([by_hand(one, height, width) for one in values]), atol=1e-9 * top)
    theirs = torch.nn.functional.interpolate(torch.tensor(values)[None], (height, width), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(out, theirs[0].numpy(), atol=1e-9 * top)


def test_only_maps_are_resized() -> None:
    assert result(np.zeros((3, 2, 4, 4))).resize(8, 6).values.shape == (3, 2, 8, 6)
    with pytest.raises(ResultError, match=r"float64\[3, 4\]"):
        result(table()).resize(8, 8)


# Frameworks


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_torch_stays_torch(dtype: Any) -> None:
    values = torch.tensor(np.random.default_rng(0).normal(size=(3, 2, 4, 4)) * 1e-3, dtype=dtype)
    a = result((values, None))
    exact = a.to_numpy()[0].astype(np.float64)
    assert a.to_numpy()[0].dtype == (np.float64 if dtype == torch.float64 else np.float32)
    rounding = 2 * torch.finfo(dtype).eps
    for out, oracle in [
        (a * 2, exact * 2),
        (a.abs(), np.abs(exact)),
        (a.sum("channels"), exact.sum(1)),
        (a.pool("channels", "l2"), np.linalg.norm(exact, axis=1)),  # squares underflow in half precision
        (a.normalize("sum"), exact / np.abs(exact).sum((1, 2, 3), keepdims=True)),
        (a.resize(4, 4), exact),
    ]:
        assert out.values[1] is None
        assert out.values[0].dtype == dtype
        np.testing.assert_allclose(out.to_numpy()[0], oracle, rtol=rounding, atol=rounding * np.abs(oracle).max())


def test_to_numpy_copies() -> None:
    values = table()
    a = result({"x": values, "y": torch.tensor(values)})
    for out in a.to_numpy().values():
        out[:] = 7
    np.testing.assert_array_equal(a.values["x"], table())
    np.testing.assert_array_equal(a.values["y"].numpy(), table())


def test_gradients_do_not_hold_it_up() -> None:
    assert result(torch.ones(3, 2, requires_grad=True)).normalize().to_numpy().tolist() == [[1.0, 1.0]] * 3


# Tables


def test_tidy_frame() -> None:
    a = result(table())
    frame = a.to_pandas(features=["a", "b", "c", "d"])
    assert frame.columns.tolist() == ["record", "feature", "value", "explained", "gap", "relative_gap"]
    np.testing.assert_array_equal(frame.pivot(index="record", columns="feature", values="value").to_numpy(), table())
    assert frame.loc[frame["record"] == 2, "explained"].unique().tolist() == [3.0]
    assert frame.loc[frame["record"] == 1, "gap"].unique().tolist() == [-0.1]


def test_frame_of_maps_arrays_and_quantities() -> None:
    values = np.arange(24.0).reshape(3, 2, 4)
    frame = Attribution({"image": values, "meta": table()}).to_pandas()
    assert frame.columns.tolist() == ["record", "array", "axis1", "axis2", "value", "feature"]
    at = frame[(frame["array"] == "image") & (frame["record"] == 1) & (frame["axis1"] == 1) & (frame["axis2"] == 3)]
    assert at["value"].tolist() == [values[1, 1, 3]]
    assert len(frame) == 24 + 12
    several = result(np.stack([table(), table(1)]), explained=np.arange(6.0).reshape(2, 3), gap=None).to_pandas()
    row = several[(several["quantity"] == 1) & (several["record"] == 2) & (several["feature"] == 0)]
    assert row["value"].tolist() == [table(1)[2, 0]]
    assert row["explained"].tolist() == [5.0]


def test_wide_frame() -> None:
    frame = result(table()).to_pandas(features=["a", "b", "c", "d"], wide=True)
    assert frame.columns.tolist() == ["a", "b", "c", "d", "explained", "gap", "relative_gap"]
    assert frame.index.name == "record"
    np.testing.assert_array_equal(frame[["a", "b", "c", "d"]].to_numpy(), table())
    with pytest.raises(ResultError, match="Two columns have the same name"):
        result(table()).to_pandas(features=["a", "b", "gap", "d"], wide=True)
    with pytest.raises(ResultError, match="wide"):
        result(np.zeros((3, 2, 2))).to_pandas(wide=True)
    with pytest.raises(ResultError, match="There are 2 names for 4 positions of the last axis"):
        result(table()).to_pandas(features=["a", "b"])


def test_pandas_is_asked_for_only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ResultError, match="pip install pandas"):
        result(table()).to_pandas()
    assert pd.__name__ == "pandas"


# In words


def test_repr_is_one_line_without_numbers() -> None:
    text = repr(result({"image": torch.zeros(3, 3, 64, 64), "meta": None}))
    assert text == (
        "<Attribution IntegratedGradients(steps=8) of PredictedClass() at INPUT: {'image': float32[3, 3, 64, 64], 'meta': None}; "
        "gap 2 of 3 records above 1 %, worst 7 %; completeness: fail, ops: warn>"
    )
    called = Attribution(table(), method="Saliency()(model, x, of=Unit(1), at=Cut('fc'))", quantity="Unit(1)", cut="Cut('fc')")
    assert repr(called) == "<Attribution Saliency()(model, x, of=Unit(1), at=Cut('fc')): float64[3, 4]>"
    assert repr(Attribution(table())) == "<Attribution values at INPUT: float64[3, 4]>"


def test_gaps_that_are_not_finite_are_counted() -> None:
    a = result(table(), gap=Gap(np.zeros(3), np.array([np.nan, np.inf, 0.5])))
    assert "gap 1 of 3 records above 1 %, worst 50 %, not finite in 2 records" in repr(a)


class Tags(HTMLParser):
    """Every tag and attribute name in a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 8, 8), (3, 8, 8), (3, 2, 2, 2, 2), (3,), (0, 4)])
def test_html_shows_hostile_names_as_text(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    a = result(
        values, record=values, method=HOSTILE, quantity=HOSTILE, cut=HOSTILE, class_names=(HOSTILE, HOSTILE),
        checks=(Check(HOSTILE, "fail", HOSTILE),),
    )  # fmt: skip
    page = Tags(a._repr_html_())
    assert page.tags <= {"div", "table", "tr", "td", "th", "bdi", "ul", "li", "b", "figure", "figcaption", "img", "p", "span", "br"}
    assert page.attributes <= {"style", "src", "alt", "width"}
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert page.words.count(escape_control(HOSTILE)) >= 5


def test_html_has_maps_for_images_and_colours_for_tables() -> None:
    image = result(np.ones((3, 1, 8, 8)), record=np.ones((3, 1, 8, 8)))._repr_html_()
    assert image.count("<img") == 6
    assert "background:#b2182b" in result(np.eye(3, 4))._repr_html_()  # the largest of its record is fully red
    assert "<img" not in result(np.zeros((3, 5, 6, 7)))._repr_html_()  # which axis has the channels is open


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(a: Attribution, file: io.StringIO) -> str:
    a.show(file)
    return file.getvalue()


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize("rich", [True, False])
def test_show_escapes_and_needs_nothing(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
    text = shown(result(table(), class_names=(HOSTILE, HOSTILE)), io.StringIO())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<img src=x onerror=alert(1)></script>\"'\\u202ekcab\\x1b[31m[red]" in " ".join(text.split())
    assert "completeness fail" in text
    assert "IntegratedGradients(steps=8)" in text
    assert text.count("record ") == 3
    assert f"feature {np.abs(table()[0]).argmax()} " in text


def test_show_uses_colour_on_terminals_only(coloured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    a = result(np.random.default_rng(0).normal(size=(3, 3, 8, 8)), class_names=(HOSTILE, HOSTILE))
    with_colour = shown(a, Terminal())
    assert "\x1b[" in with_colour
    assert "▀" in with_colour
    assert "[red]" in with_colour  # a name, not markup
    assert "\x1b[31m[red]" not in with_colour
    assert "\x1b" not in shown(a, io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown(a, Terminal())
    assert "\x1b[3" not in plain
    assert "▀" not in plain


def test_show_writes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    result(table()).show()
    assert "record 0" in capsys.readouterr().out


def test_show_survives_terminals_without_unicode() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    result(np.full((3, 4), np.nan), method="Método(日本)").show(file)
    file.flush()
    assert b"M\\xe9todo(\\u65e5\\u672c)" in raw.getvalue()


# Small parts


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=FLOATS), st.integers(1, 10))
def test_shrinking_bounds_the_sides_and_the_values(picture: np.ndarray, most: int) -> None:
    small = shrink_map(picture, most)
    assert max(small.shape) <= most
    assert small.min() >= picture.min() - 1e-6 * np.abs(picture).max()
    assert small.max() <= picture.max() + 1e-6 * np.abs(picture).max()
    if max(picture.shape) <= most:
        np.testing.assert_array_equal(small, picture)


def test_strongest_puts_nan_last_and_keeps_order() -> None:
    assert rank_strongest(np.array([1.0, -3.0, np.nan, 3.0]), 3).tolist() == [1, 3, 0]


@pytest.mark.parametrize(
    ("shape", "record", "kind"),
    [
        ((7,), (), "bars"),
        ((3, 32, 32), (), "image"),
        ((32, 32, 3), (), "image_last"),
        ((512, 7, 7), (), "image"),
        ((7, 7, 512), (), "image_last"),
        ((7, 7), (3, 224, 224), "image"),
        ((12, 1000), (12, 1000), "series"),
        ((1000, 12), (1000, 12), "series_last"),
    ],
)
def test_kinds_that_are_plain(shape: tuple[int, ...], record: tuple[int, ...], kind: str) -> None:
    assert resolve_kind(shape, None, record) == kind


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (8, 8, 8), (3, 5, 3), (12, 1000)])
def test_kinds_that_are_open_show_the_choices(shape: tuple[int, ...]) -> None:
    with pytest.raises(ResultError, match=r"fits several kinds of figure.*kind='image'.*or.*kind="):
        resolve_kind(shape)


def test_kinds_that_do_not_fit() -> None:
    with pytest.raises(ResultError, match=r"a\.sum\('embedding'\)"):
        resolve_kind((7, 768), "tokens")
    with pytest.raises(ResultError, match="another axis, first"):
        resolve_kind((2, 2, 2, 2))
    with pytest.raises(ResultError, match="kind='pie'` does not fit"):
        resolve_kind((8, 8), "pie")


def test_outline_of_what_is_not_an_array() -> None:
    assert pooling.describe_shapes([np.zeros(2, bool), None, 3, "secret"]) == "(bool[2], None, 3, str)"
