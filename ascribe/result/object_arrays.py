"""Conversion of arrays of texts, dates and other objects to typed JSON and back; no pickle."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

TIMES = re.compile(r"[mM]8(\[\w{1,12}\])?")
"""NumPy types of datetimes and timedeltas, with or without a unit: ``M8[100ms]``, ``m8``."""


def is_words(array: Any) -> bool:
    """True if an array has elements that are not numbers: texts, dates or objects."""
    return isinstance(array, np.ndarray) and array.dtype.kind in "OUSTMm"


def encode_objects(array: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns the elements as UTF-8 JSON, and the shape and type that are needed to read them.

    Dates, times, missing values, bytes and decimals are stored with their type; all other objects as text.
    """
    kind = array.dtype.kind if array.dtype.kind in "US" else "O"
    flat = array.reshape(-1)
    items = list(flat) if flat.dtype.kind in "Mm" else flat.tolist()
    text = json.dumps([_plain(item) for item in items], allow_nan=False)
    return np.frombuffer(text.encode(), np.uint8), {"shape": list(array.shape), "type": kind}


def decode_objects(raw: np.ndarray, shape: list[int], kind: str) -> np.ndarray:
    """Returns the array that :func:`encode_objects` encoded. Raises ValueError, TypeError or KeyError for other data."""
    items = json.loads(raw.tobytes().decode())
    if not isinstance(items, list) or kind not in ("O", "U", "S"):
        raise ValueError(f"Words cannot have type {kind!r:.40}")
    flat = np.empty(len(items), object)
    for i, item in enumerate(items):
        flat[i] = _read(item)
    return (flat if kind == "O" else flat.astype(kind)).reshape(shape)


def _plain(item: Any) -> Any:
    """Returns one element as JSON: itself if JSON has the type, else ``{kind: text}``."""
    name = type(item).__name__
    if name in ("NAType", "NaTType"):  # pandas, which may not be installed
        return {"missing": name[:2] if name == "NAType" else name[:3]}
    if isinstance(item, np.generic) and item.dtype.kind in "biufUS":
        item = item.item()
    if item is None or isinstance(item, (bool, str, int)):
        return item
    if isinstance(item, float):
        return float(item) if math.isfinite(item) else {"float": str(float(item))}
    if isinstance(item, (np.datetime64, np.timedelta64)):
        return {"numpy": f"{item.dtype.str[1:]} {int(item.astype(np.int64))}"}
    if getattr(item, "nanosecond", 0) or getattr(item, "nanoseconds", 0):  # finer than datetime
        return {"numpy": f"{'m' if isinstance(item, timedelta) else 'M'}8[ns] {item.value}"}
    for kind, (known, write, _) in KINDS.items():
        if isinstance(item, known):
            return {kind: write(item)}
    return {"other": str(item)}


def _read(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    ((kind, text),) = item.items()
    return READ[kind](text)


def _missing(name: str) -> Any:
    try:
        import pandas
    except ImportError:
        return None if name == "NA" else np.datetime64("NaT")
    return {"NA": pandas.NA, "NaT": pandas.NaT}[name]


def _numpy(text: str) -> Any:
    kind, count = text.split(" ")
    if not TIMES.fullmatch(kind):
        raise ValueError(f"A time cannot have type {kind!r:.40}")
    return np.array(int(count), np.int64).view(np.dtype(kind))[()]


def _span(item: timedelta) -> str:
    return f"{item.days} {item.seconds} {item.microseconds}"


KINDS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime, lambda d: d.isoformat(), datetime.fromisoformat),
    "date": (date, lambda d: d.isoformat(), date.fromisoformat),
    "time": (time, lambda t: t.isoformat(), time.fromisoformat),
    "timedelta": (timedelta, _span, lambda text: timedelta(*map(int, text.split(" ")))),
    "decimal": (Decimal, str, Decimal),
    "bytes": (bytes, lambda b: base64.b64encode(b).decode(), base64.b64decode),
}
"""How each type of object is written and read; the first match is used."""
READ: dict[str, Callable[[str], Any]] = {kind: read for kind, (_, _, read) in KINDS.items()} | {
    "missing": _missing,
    "float": float,
    "numpy": _numpy,
    "other": str,
}
