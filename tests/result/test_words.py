"""Tables with words: kept in files by kind, without pickle, and shown in reports as text."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ascribe as asc
from ascribe.errors import ResultError
from ascribe.reports import cards, page, write_report
from ascribe.result.attribution import Attribution
from ascribe.result.object_arrays import decode_objects, encode_objects
from ascribe.result.storage import read_safetensors, write_safetensors

pandas = pytest.importorskip("pandas")
HOSTILE = '</script><img src=x onerror="alert(1)">\u202e\ud800'

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)) | st.binary()
TIMED = st.dates() | st.datetimes() | st.times() | st.timedeltas() | st.decimals(allow_nan=False)


@given(st.lists(PLAIN | TIMED, max_size=6))
def test_elements_come_back_with_their_kinds(items: list[Any]) -> None:
    array = np.empty(len(items), object)
    array[:] = items
    raw, about = encode_objects(array)
    json.loads(raw.tobytes())  # text, and nothing that runs
    again = decode_objects(raw, about["shape"], about["type"])
    assert [(type(a), a) for a in again] == [(type(a), a) for a in items]


def same(a: Any, b: Any) -> bool:
    """Equal, or both missing in the same way."""
    return a is b or (a != a and b != b) if a is pandas.NA or a is pandas.NaT or a != a else bool(a == b)


def test_missing_values_infinities_and_pandas_own_moments_come_back():
    late = pandas.Timestamp("2024-02-29 12:00:00.000000001")
    zoned = datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    items = [None, np.nan, np.inf, -np.inf, pandas.NA, pandas.NaT, pandas.Timestamp("2024-02-29"), late, zoned, date(2024, 1, 1)]
    items += [pandas.Timedelta("1 day"), pandas.Timedelta(1, "ns"), time(1, 2), Decimal("0.1"), np.float32(0.1), np.int8(3), np.str_("é")]
    items += [np.datetime64("NaT"), np.timedelta64(3), np.datetime64(3, "100ms"), np.timedelta64("NaT", "D")]
    array = np.empty((1, len(items)), object)
    array[0, :] = items
    raw, about = encode_objects(array)
    again = decode_objects(raw, about["shape"], about["type"])
    assert again.shape == array.shape
    assert all(map(same, again[0], items))


@pytest.mark.parametrize("array", [np.array([["a", "bcd"]]), np.array([b"x", b""]), np.array([[], []], dtype=object)])
def test_words_of_a_fixed_width_stay_so(array):
    raw, about = encode_objects(array)
    again = decode_objects(raw, about["shape"], about["type"])
    assert again.dtype.kind == array.dtype.kind
    assert again.shape == array.shape
    assert (again == array).all()


def explained() -> tuple[Any, Any]:
    table = pandas.DataFrame(
        {
            "age": [31.0, np.nan, 52.0],
            "town": ["Genève", None, HOSTILE],
            "since": pandas.to_datetime(["2020-01-02", "2021-03-04", None]),
            "kind": pandas.Categorical(["x", "y", "x"]),
            "member": [True, False, True],
        }
    )

    def model(t: Any) -> np.ndarray:
        return (t["age"].fillna(0) / 10 + (t["town"] == "Genève") + t["member"] * (t["kind"] == "x") + t["since"].notna()).to_numpy(float)

    return table, asc.attribute(model, table, over=asc.coalitions.Exact(), by=asc.Resample(table))


def test_a_table_with_words_is_saved_and_read_again(tmp_path: Path):
    table, a = explained()
    a.save(tmp_path / "a.safetensors")
    again = Attribution.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.values, a.values)
    assert again.record.shape == a.record.shape
    assert all(map(same, again.record.reshape(-1), a.record.reshape(-1)))
    assert again.features.names == tuple(table.columns)
    assert again.records([0, 1]).record[0, 1] == "Genève"


def test_damaged_words_are_told(tmp_path: Path):
    _, a = explained()
    path = tmp_path / "a.safetensors"
    a.save(path)
    tensors, metadata = read_safetensors(path)
    for bad in (b"\xff\xfe", b"{}", b'[{"numpy": "O8 1"}]', b'[{"unknown": 1}]', b'["too", "few"]', b"[1"):
        hurt = dict(tensors)
        hurt["record"] = type(hurt["record"])("U8", np.frombuffer(bad, np.uint8))
        write_safetensors(path, hurt, metadata)
        with pytest.raises(ResultError, match=r"damaged|whole"):
            Attribution.load(path)


def test_a_report_shows_words_as_text(tmp_path: Path):
    _, a = explained()
    rows = page.describe_card(cards({"Shapley": a}, [2])[0])["features"]
    shown = {row["name"]: row["value"] for row in rows}
    assert "52" in shown.values()
    text = write_report(tmp_path / "r.html", cards({"Shapley": a})).read_text("utf-8")
    assert "onerror=" in text
    assert "<img src=x" not in text
    assert "</script><img" not in text
