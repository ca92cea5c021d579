"""Results in a terminal and in files: words, signed bars, 80 columns, pipes."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.display.bidi import cell_width
from ascribe.display.regions import cut_blocks, rank_regions, rank_spans
from ascribe.result.attribution import Attribution, Cost, Gap
from ascribe.result.terminal import wrap_line

RNG = np.random.default_rng(0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(a: Attribution, file: io.StringIO | None = None) -> str:
    out = io.StringIO() if file is None else file
    a.show(out)
    return out.getvalue()


def text(**more: Any) -> Attribution:
    known: dict[str, Any] = {"gap": Gap(np.zeros(1), np.zeros(1)), "target": np.array([1]), "class_names": ("bad", "good")}
    a = Attribution(np.array([[9.0, -2.0, 3.0, 1.0, 0.1, 0.0]]), **(known | more))
    return a.with_names(tokens=[["[CLS]", "good", "film", "##s", "[SEP]", "[PAD]"]])


def test_words_are_marked_without_colours() -> None:
    said = shown(text())
    assert "  [CLS] -good- +films+ [SEP]\n" in said
    assert "+word+ for class good, -word- against class good" in said
    assert re.search(r"^  films +\+4  +[│|][█#]{14}$", said, re.MULTILINE)
    assert re.search(r"^  good +-2  +[█#]{7}[│|]$", said, re.MULTILINE)
    assert "##" not in said
    assert "[PAD]" not in said


def test_words_have_colours_on_terminals(coloured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    said = shown(text(), Terminal())
    assert "+films+" not in said
    assert re.search("\x1b\\[[0-9;]*m" + "films", said)
    assert "red: for class good, blue: against class good" in said
    monkeypatch.setenv("NO_COLOR", "1")
    assert "+films+" in shown(text(), Terminal())


def test_bars_have_a_common_middle_and_names_are_aligned() -> None:
    names = ["年齢", "weight", "a very long name of a column that goes on and on", "e\u0301te", "\u202ex"]
    said = shown(Attribution(np.array([[1.0, -2.0, 0.5, np.nan, 0.0]])).with_names(features=names))
    rows = [line for line in said.splitlines() if "│" in line]
    assert len(rows) == 5
    assert len({cell_width(row.split("│")[0]) for row in rows}) == 1
    assert "\u202e" not in said
    sides = {row.split()[0]: tuple(part.count("█") for part in row.split("│")) for row in rows}
    assert sides["weight"] == (14, 0)
    assert sides["年齢"] == (0, 7)
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Attribution(np.array([[1.0, -2.0]])).show(file)
    file.flush()
    assert b"##############|\n" in raw.getvalue()


def test_files_have_80_columns() -> None:
    method = "LongMethod(" + ", ".join(f"argument{k}={k}" for k in range(30)) + ")"
    a = Attribution(RNG.normal(size=(2, 40)), method=method).with_names(tokens=[[f"呼吸{k}" for k in range(40)]] * 2)
    assert max(map(cell_width, shown(a).splitlines())) <= 80
    names = ["x" * 300, *(f"column {k}" for k in range(39))]
    assert max(map(cell_width, shown(a.with_names(features=names)).splitlines())) <= 80


@given(st.text(max_size=200), st.text(max_size=60), st.integers(30, 90))
def test_wrapped_lines_have_all_words_and_fit(first: str, second: str, width: int) -> None:
    lines = list(wrap_line([(first, "dim"), (second, "")], width, 9))
    for line in lines:
        assert cell_width("".join(text for text, _ in line).rstrip()) <= width + 9 * (len(lines) == 1 and not first.strip())
    whole = "".join(text for line in lines for text, _ in line)
    assert whole.replace(" ", "").isprintable()


def test_maps_name_regions_and_no_positions() -> None:
    values = np.zeros((1, 3, 64, 64))
    values[0, 1, 16:24, 40:48] = 0.5
    values[0, 2, 0:8, 0:8] = -0.1
    said = shown(Attribution(values))
    assert re.search(r"rows 16-23, columns 40-47 +\+32 ", said)
    assert re.search(r"rows 0-7, columns 0-7 +-6.4 ", said)
    assert "[2, " not in said


def test_series_name_channels_and_times() -> None:
    values = np.zeros((1, 2, 160))
    values[0, 1, 40:50] = 1.0
    a = Attribution(values, np.zeros((1, 2, 160))).with_names(channels=["x", "breath"], times=range(160), unit="ms")
    assert re.search(r"breath, 40 to 49 ms +\+10 ", shown(a))
    assert re.search(r"channel 1, steps 40-49 +\+10 ", shown(Attribution(values, np.zeros((1, 2, 160)))))


def test_regions_cover_a_map_once() -> None:
    values = RNG.normal(size=(13, 30))
    sums, names = rank_regions(values, 1000)
    assert sums.sum() == pytest.approx(values.sum())
    assert np.all(np.diff(np.abs(sums)) <= 0)
    assert len(set(names)) == len(names)
    assert cut_blocks(3) == [(0, 0), (1, 1), (2, 2)]
    assert rank_regions(np.eye(2), 1)[1] == ["row 0, column 0"]
    spans, _ = rank_spans(values, [str(k) for k in range(13)], None, 1000)
    assert spans.sum() == pytest.approx(values.sum())


def test_costs_and_scores_are_in_plain_words() -> None:
    a = Attribution(
        np.ones((2, 4)), explained=np.array([0.97, 0.2]), target=np.array([0, 0]), class_names=("cat", "dog"),
        prediction=np.array([[0.97, 0.03], [0.2, 0.8]]), cost=Cost(1, 2, 24, 0.5),
    )  # fmt: skip
    said = shown(a)
    assert "record 0  score of class cat: 0.97 (predicted cat)\n" in said
    assert "record 1  score of class cat: 0.2 (predicted dog)\n" in said
    assert "1 forward pass, 2 backward passes, 24 model evaluations, 0.5 s" in said
    assert "record 0  score: 2.5\n" in shown(Attribution(np.ones((1, 4)), explained=np.array([2.5])))


def test_a_closed_pipe_is_no_error() -> None:
    code = (
        "import numpy as np\n"
        "from ascribe.result.attribution import Attribution\n"
        "a = Attribution(np.ones((4, 40)), method='m' * 3000)\n"
        "for _ in range(50): a.show()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as found:
        assert found.stdout is not None
        assert found.stderr is not None
        found.stdout.read(10)
        found.stdout.close()
        assert found.stderr.read() == b""
        assert found.wait(60) == 0
