"""Results as flat tables of arrays and texts, and one file of many such tables."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ascribe as asc

Found = dict[str, Any]
"""What a case gave: arrays of numbers, and lists of texts, by name."""

FILE = Path(__file__).with_name("numbers.npz")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays in tuples, lists and dicts, with where they are."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key}")
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from leaves(part, f"{path}/{i}")
    else:
        yield path, np.asarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)


def parts(value: Any) -> Iterator[Any]:
    """The arrays in tuples, lists and dicts, as they are."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else None
    if inside is not None:
        for part in inside:
            yield from parts(part)
    elif value is not None:
        yield value


def kind(array: Any) -> str:
    """Whose array it is, and its type."""
    return f"{'torch' if isinstance(array, torch.Tensor) else type(array).__name__} {str(array.dtype).removeprefix('torch.')}"


def flat(found: Any) -> Found:
    """A result as arrays and texts: values, what was explained, the gap, errors, and the checks' names and answers."""
    if not isinstance(found, asc.Attribution):
        return {f"value{path}": array for path, array in leaves(found)}
    told: dict[str, Any] = {"values": found.values, "explained": found.explained, "prediction": found.prediction, "error": found.error}
    if found.gap is not None:
        told |= {"gap.absolute": found.gap.absolute, "gap.relative": found.gap.relative}
    if found.features is not None:
        told |= {"features.values": found.features.values, "features.error": found.features.error}
    flat_: Found = {f"{name}{path}": array for name, part in told.items() for path, array in leaves(part)}
    flat_["types"] = sorted({kind(part) for part in parts(found.values)})
    flat_["checks"] = sorted(f"{check.name} {check.status}" for check in found.checks)
    if found.features is not None and found.features.names is not None:
        flat_["features.names"] = [str(name) for name in found.features.names]
    return flat_


def run(case: Callable[[], Any]) -> Found:
    """What a case gives; a refusal is an answer too. Warnings are not looked at: the checks hold what they say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = case()
        except asc.AscribeError:
            return {"refused": ["yes"]}
    return found if isinstance(found, dict) and found.pop("as it is", False) else flat(found)


def save(results: Mapping[str, Found], file: Path = FILE) -> None:
    """Write results. Numbers keep 32 bits behind the point (2e-10), and lie byte by byte: that is what makes the file small."""
    index: dict[str, dict[str, Any]] = {}
    pieces: list[np.ndarray] = []
    start = 0
    for case, found in results.items():
        index[case] = {}
        for name, value in found.items():
            if isinstance(value, list):
                index[case][name] = value
                continue
            numbers = np.ascontiguousarray(value, dtype=np.float64).ravel()
            index[case][name] = {"shape": list(value.shape), "start": start}
            pieces.append(numbers)
            start += numbers.size
    bits = np.concatenate(pieces).view(np.uint64)
    near = np.where(np.isfinite(bits.view(np.float64)), bits + np.uint64(1 << 19), bits)
    planes = (near & ~np.uint64((1 << 20) - 1)).view(np.uint8).reshape(-1, 8).T
    text = np.frombuffer(json.dumps(index, separators=(",", ":")).encode(), np.uint8)
    np.savez_compressed(file, index=text, numbers=np.ascontiguousarray(planes))


def load(file: Path = FILE) -> dict[str, Found]:
    """The results in a file."""
    with np.load(file, allow_pickle=False) as stored:
        index = json.loads(stored["index"].tobytes().decode())
        numbers = np.ascontiguousarray(stored["numbers"].T).view(np.float64).ravel()

    def one(told: Any) -> Any:
        if isinstance(told, list):
            return told
        size = int(np.prod(told["shape"], dtype=int))
        return numbers[told["start"] : told["start"] + size].reshape(told["shape"])

    return {case: {name: one(told) for name, told in found.items()} for case, found in index.items()}


def differences(now: Found, then: Found, rtol: float = 1e-8) -> list[str]:
    """What is not as it was, in words. Numbers may differ by ``rtol`` of the array's largest."""
    said = [f"{name} is gone" for name in then if name not in now] + [f"{name} is new" for name in now if name not in then]
    for name in now.keys() & then.keys():
        a, b = now[name], then[name]
        if isinstance(a, list) or isinstance(b, list):
            if not isinstance(a, list) or not isinstance(b, list) or list(a) != list(b):
                said.append(f"{name}: {a} was {b}")
            continue
        if a.shape != b.shape:
            said.append(f"{name}: shape {a.shape} was {b.shape}")
            continue
        exact = rtol if a.dtype != np.float32 else max(rtol, 3e-7)  # float64 rounded to float32 may fall to either side
        a = np.asarray(a, np.float64)
        finite = np.isfinite(b)
        if not np.array_equal(finite, np.isfinite(a)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            said.append(f"{name}: NaN or infinity elsewhere")
            continue
        size, far = np.abs(b[finite]).max(initial=0.0), np.abs(a[finite] - b[finite]).max(initial=0.0)
        floor = 1e-12 if name.startswith("gap") else 1e-14  # a gap is a difference of larger numbers: rounding is all of it at times
        if "error" in name:
            floor = 1e-8  # the root of a variance that is 0 but for rounding
        if far > exact * size + floor:
            said.append(f"{name}: off by {far:.3g}, where the largest is {size:.3g}")
    return sorted(said)
