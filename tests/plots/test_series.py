"""Figures of series: lanes, their colours, the time axis, events; nothing clipped at two sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from ascribe.display import colours
from ascribe.errors import ResultError
from ascribe.plots import series
from ascribe.result.attribution import Attribution
from tests.plots.gallery import check_picture

RNG = np.random.default_rng(0)
SECONDS = np.arange(0, 10, 1 / 50)
LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


def heartbeat(channels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic ECG ``[channels, time]``, and values that are large around 6 s, negative in the first channels."""
    phase = SECONDS % 0.8
    beat = 1.5 * np.exp(-(((phase - 0.32) / 0.012) ** 2)) + 0.3 * np.exp(-(((phase - 0.52) / 0.04) ** 2))
    record = beat * np.linspace(0.5, 1.5, channels)[:, None] + 0.03 * np.random.default_rng(1).normal(size=(channels, len(SECONDS)))
    return record, record * np.exp(-(((SECONDS - 6) / 0.3) ** 2)) * np.linspace(-1, 1, channels)[:, None]


def ecg(**names: Any) -> Attribution:
    record, values = heartbeat()
    a = Attribution(
        values[None], record[None], method="IntegratedGradients(steps=64)", target=np.array([1]), class_names=("normal", "extrasystole"),
    )  # fmt: skip
    return a.with_names(**{"channels": LEADS, "times": SECONDS, "unit": "s"} | names)


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def ticks(figure: Any) -> dict[str, float]:
    axis = figure.axes[0].xaxis
    return {label.get_text(): float(at) for at, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)}


def test_lanes_have_names_lines_and_colours() -> None:
    a = ecg()
    figure = check_picture(lambda ax: series(a, ax), "series-ecg")
    ax = figure.axes[0]
    assert labels(figure) == LEADS
    assert len(ax.images) == len(ax.lines) == 12
    for lane in (0, 11):
        np.testing.assert_allclose(np.asarray(ax.images[lane].get_array())[0], a.values[0, lane])
        line = lane - np.asarray(ax.lines[lane].get_ydata())
        np.testing.assert_allclose(np.corrcoef(line, a.record[0, lane])[0, 1], 1)
        assert np.ptp(line) == pytest.approx(0.76)
    (bar,) = figure.axes[1:]
    assert bar.get_xlabel() == "against ← class extrasystole → for"
    assert ax.images[0].get_clim() == (-colours.colour_limit(a.values), colours.colour_limit(a.values))


def test_the_time_axis_is_in_the_unit_of_the_result() -> None:
    figure = series(ecg())
    assert figure.axes[0].get_xlabel().startswith("time (s)\nrecord 0")
    for text, place in ticks(figure).items():
        assert place == pytest.approx(float(text) * 50)
    uneven = np.cumsum(RNG.random(len(SECONDS)) + 0.1)
    for text, place in ticks(series(ecg(times=uneven))).items():
        assert np.interp(place, np.arange(len(uneven)), uneven) == pytest.approx(float(text), abs=0.01)


def test_times_that_are_no_numbers_are_written_as_they_are() -> None:
    clock = [f"{k // 60:02d}:{k % 60:02d}" for k in range(len(SECONDS))]
    figure = check_picture(lambda ax: series(ecg(times=clock, unit=""), ax), "series-clock")
    for text, place in ticks(figure).items():
        assert clock[int(place)] == text


def test_events_are_lines_with_names_that_do_not_touch() -> None:
    events = {"beep": 2.0, "extra beat": 6.0, "end of the stimulus": 6.4, "$late$ with a name that goes on and on": 9.9, "start": 0.0}
    figure = check_picture(lambda ax: series(ecg(), ax, events=events, title="Events"), "series-events")
    ax = figure.axes[0]
    drawn = {text.get_text(): line.get_xdata()[0] for text, line in zip(ax.texts, ax.lines[12:], strict=True)}
    assert drawn["beep"] == pytest.approx(100)
    assert drawn["start"] == pytest.approx(0)
    assert sum(text.startswith("$late$") and text.endswith("…") for text in drawn) == 1
    with pytest.raises(ResultError, match=r"outside of the series. Found: 'x' at 12. Try: moments from 0 to 9.98"):
        series(ecg(), events={"x": 12.0})


def test_names_of_many_events_become_numbers() -> None:
    events = {f"event {k}": 5 + 0.3 * k for k in range(9)}
    figure = check_picture(lambda ax: series(ecg(), ax, top=3, events=events), "series-many-events")
    assert [text.get_text() for text in figure.axes[0].texts] == [str(k + 1) for k in range(9)]
    assert "1:\u00a0event 0, 2:\u00a0event 1" in figure.axes[0].get_xlabel()


def test_the_strongest_channels_are_drawn_and_counted() -> None:
    figure = check_picture(lambda ax: series(ecg(), ax, top=3), "series-top")
    assert labels(figure) == sorted(labels(figure), key=LEADS.index)
    strength = np.abs(ecg().values[0]).sum(1)
    assert set(labels(figure)) == {LEADS[k] for k in np.argsort(-strength)[:3]}
    assert "the 3 strongest of 12 channels" in figure.axes[0].get_xlabel().replace("\n", " ")


def test_names_of_axes_say_which_one_is_time() -> None:
    values = RNG.normal(size=(1, 20, 20))
    a = Attribution(values, values)
    with pytest.raises(ResultError, match="kind='series_last'"):
        series(a)
    first = series(a.with_names(channels=[f"c{k}" for k in range(20)]), top=20)
    np.testing.assert_allclose(np.asarray(first.axes[0].images[3].get_array())[0], values[0, 3])
    wide = RNG.normal(size=(1, 20, 30))
    last = series(Attribution(wide, wide).with_names(times=np.arange(20), channels=[f"c{k}" for k in range(30)]), top=30)
    np.testing.assert_allclose(np.asarray(last.axes[0].images[3].get_array())[0], wide[0, :, 3])
    assert labels(last)[3] == "c3"


def test_absolute_values_have_a_scale_from_0() -> None:
    figure = check_picture(lambda ax: series(ecg(), ax, sign="absolute"), "series-absolute")
    low, high = figure.axes[0].images[0].get_clim()
    assert (low, high) == (0, colours.colour_limit(ecg().values))
    assert figure.axes[1].get_xlabel() == "importance for class extrasystole"


def test_one_channel_and_no_record() -> None:
    values = RNG.normal(size=(1, 300))
    figure = check_picture(lambda ax: series(Attribution(values, values), ax), "series-one")
    assert len(figure.axes[0].images) == 1
    plain = check_picture(lambda ax: series(Attribution(values), ax), "series-no-record")
    assert len(plain.axes[0].images) == 0
    np.testing.assert_allclose(np.corrcoef(-np.asarray(plain.axes[0].lines[0].get_ydata()), values[0])[0, 1], 1, atol=0.05)
    assert "lines: the values" in plain.axes[0].get_xlabel()


def test_long_names_leave_room() -> None:
    names = [f"a channel of the left hemisphere with the number {k}" for k in range(12)]
    figure = check_picture(lambda ax: series(ecg(channels=names), ax), "series-long-names")
    assert len(set(labels(figure))) == 12
