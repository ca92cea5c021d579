"""Files under attack: every byte flipped, headers of another hand, every place and kind of target. Own generator, fixed seeds."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ascribe import reports
from ascribe.errors import AscribeError, ResultError
from ascribe.result import storage
from ascribe.result.attribution import Attribution, Check
from tests.result.test_storage import equal, full

OLD = Path(__file__).parents[1] / "support" / "recorded" / "result_format_1.safetensors"
"""A file of a release that wrote no checksums."""
KNOWN = ("explained", "prediction", "target")


def same(a: Attribution, b: Attribution) -> None:
    """Two results that are equal in everything."""
    for name in ("values", "record", "error", *KNOWN):
        equal(getattr(a, name), getattr(b, name))
    for name in ("cut", "quantity", "method", "class_names", "checks", "cost", "settings"):
        assert getattr(a, name) == getattr(b, name), name
    assert (a.gap is None) == (b.gap is None)
    if a.gap is not None and b.gap is not None:
        equal((a.gap.absolute, a.gap.relative), (b.gap.absolute, b.gap.relative))


# Damage


def flipped(raw: bytes, rng: np.random.Generator, tries: int) -> Iterator[bytes]:
    """One bit changed, in turn in the length, the header, and the arrays; or the end cut off."""
    header = 8 + int.from_bytes(raw[:8], "little")
    regions = [(0, 8), (8, header), (header, len(raw))]
    for k in range(tries):
        low, high = regions[k % 3]
        place = int(rng.integers(low, high))
        changed = bytearray(raw)
        changed[place] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
        if k % 10 == 0:
            yield raw[:place]


def check_damage(tmp_path: Path, tries: int) -> None:
    original = full()
    original.save(tmp_path / "a")
    raw = (tmp_path / "a").read_bytes()
    original = Attribution.load(tmp_path / "a")
    noticed = 0
    for changed in flipped(raw, np.random.default_rng(7), tries):
        (tmp_path / "b").write_bytes(changed)
        try:
            same(original, Attribution.load(tmp_path / "b"))
        except ResultError:
            noticed += 1
    assert noticed >= tries * 0.98  # what is not noticed changed nothing: white space of JSON


def test_a_changed_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    check_damage(tmp_path, 300)


@pytest.mark.slow
def test_many_changed_bits_are_noticed_or_change_nothing(tmp_path: Path) -> None:
    check_damage(tmp_path, 20_000)


# Headers of another hand


def deep(levels: int, kind: str = "list") -> Any:
    node: Any = {"plain": None}
    for _ in range(levels):
        node = {kind: [[0, node]]}
    return node


HOSTILE: list[Any] = [
    {"words": {"array": "explained", "shape": [2], "type": "O"}}, {"words": {"array": "x", "shape": [2], "type": "O"}},
    {"words": "explained"}, {"words": {"array": "target", "shape": [10**18], "type": "V"}},
    {"names": ["a", "b", "c"], "told": "t", "arrays": 2**60},
    None, True, False, 0, -1, 3, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf"), "", "text", "\ud800", "\x1b[2J\u202e", [], {},
    [[]], [None], {"": None}, [1, "a"], ["a", None], [{"name": "a"}], {"array": "values.image"}, {"array": "nothing"}, {"array": 3},
    {"array": []}, {"plain": 1}, {"plain": []}, {"plain": "text"}, {"list": [[0, {"plain": None}]]}, {"dict": [[[], {"plain": None}]]},
    {"dict": [[None, {"array": "values.image"}]]}, {"list": {}}, {"tuple": [[0]]}, {"array": "values.image", "plain": 1}, deep(60),
    deep(150), deep(120, "dict"), {"array": "explained"}, {"array": "target"}, {"list": [[0, {"array": "explained"}], [1, {"plain":
    None}]]}, [{"name": "n", "status": "good", "detail": "", "records": []}], [{"name": "n", "status": "fail", "detail": None,
    "records": []}], [{"name": "n", "status": "fail", "detail": "d", "records": [-1]}], [{"name": "n", "status": "fail", "detail": "d",
    "records": [10**30]}], [{"name": "n", "status": "fail", "detail": "d", "records": [True, "a"]}], [{"name": "n", "status": [],
    "detail": "d", "records": []}], {"forward": 1}, {"forward": "1", "backward": 0, "rows": 0, "seconds": 0, "chunk": None,
    "peak_bytes_estimate": None}, {"forward": 1, "backward": 0, "rows": 0, "seconds": 10**400, "chunk": None, "peak_bytes_estimate":
    None}, {"forward": 1, "backward": 0, "rows": 0, "seconds": float("nan"), "chunk": None, "peak_bytes_estimate": None, "more": 1},
    {"names": "abc", "told": "t"}, {"names": ["a"], "told": "t"}, {"names": None, "told": 3}, {"names": [1, 2, 3], "told": "t"},
]  # fmt: skip
SHAPES = [(), (0,), (1,), (2,), (3,), (2, 2), (1, 2), (2, 3), (2, 0), (2, 3, 4), (1, 2, 3, 4), (5, 2, 3)]
TYPES = ["<f8", "<f4", "<f2", "<i8", "<u1", "|b1"]


def changed_text(text: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The header with one field or one part of a field replaced, taken away, or put elsewhere."""
    text = copy.deepcopy(text)
    spot: Any = text
    key: Any = list(text)[int(rng.integers(len(text)))]
    while rng.random() < 0.6 and isinstance(spot[key], (dict, list)) and spot[key]:
        spot = spot[key]
        key = list(spot)[int(rng.integers(len(spot)))] if isinstance(spot, dict) else int(rng.integers(len(spot)))
    if rng.random() < 0.15:
        del spot[key]
    elif rng.random() < 0.1:
        spot[key] = copy.deepcopy(text[list(text)[int(rng.integers(len(text)))]])
    else:
        spot[key] = HOSTILE[int(rng.integers(len(HOSTILE)))]
    return text


def used(a: Attribution) -> None:
    """Everything that a user does with a result that was read."""
    out = io.StringIO()
    repr(a), len(a), a.ok, a._repr_html_(), a.show(out)
    jobs = [
        a.raise_for_checks, lambda: a.records(0), lambda: a.records([0, -1]), lambda: a.quantity_at(0), lambda: a.abs(), lambda: a + a,
        lambda: 2 * a / 3, a.normalize, lambda: a.sum(1), a.to_pandas, a.to_numpy, lambda: a.resize(2, 2),
        lambda: a.save(Path(os.devnull)), lambda: reports.cards({"a": a}, [0]),
    ]  # fmt: skip
    for job in jobs:
        with contextlib.suppress(AscribeError):
            job()


def check_headers(tmp_path: Path, tries: int) -> None:
    pytest.importorskip("pandas")
    rng = np.random.default_rng(11)
    tensors, metadata = storage.read_safetensors(OLD)
    text = json.loads(metadata["ascribe"])
    refused = read = longest = 0
    for k in range(tries):
        arrays = dict(tensors)
        if k % 3 == 0:  # one array of another shape or type, or gone
            name = list(arrays)[int(rng.integers(len(arrays)))]
            shape, kind = SHAPES[int(rng.integers(len(SHAPES)))], TYPES[int(rng.integers(len(TYPES)))]
            arrays[name] = storage.encode_array(np.zeros(shape, kind))
            if rng.random() < 0.2:
                del arrays[name]
        said = text if k % 3 == 0 else changed_text(text, rng)
        try:
            storage.write_safetensors(tmp_path / "h", arrays, {"ascribe": json.dumps(said)})
            a = Attribution.load(tmp_path / "h")
        except ResultError as error:
            refused += 1
            longest = max(longest, len(str(error)))
            continue
        read += 1
        used(a)
    assert longest < 1000 + len(str(tmp_path))
    assert refused > tries / 3
    assert read > tries / 20


@pytest.mark.filterwarnings("ignore")
def test_a_hostile_header_is_refused_or_makes_a_result_that_works(tmp_path: Path) -> None:
    check_headers(tmp_path, 200)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_hostile_headers_are_refused_or_make_results_that_work(tmp_path: Path) -> None:
    check_headers(tmp_path, 10_000)


@pytest.mark.parametrize("key", ["ascribe", "__metadata__"])
def test_json_a_hundred_thousand_deep_is_refused(tmp_path: Path, key: str) -> None:
    inner = "[" * 100_000 + "]" * 100_000
    if key == "ascribe":
        storage.write_safetensors(tmp_path / "a", {}, {"ascribe": f'{{"format": 1, "values": {inner}}}'})
    else:
        header = f'{{"__metadata__": {inner}}}'.encode()
        (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ResultError):
        Attribution.load(tmp_path / "a")


@pytest.mark.parametrize(("field", "value", "named"), [
    ("method", 3, "'method' must be a string"), ("checks", [{"name": "x"}], "'checks'"), ("cost", {"forward": 1}, "'cost'"),
    ("class_names", "cat", "'class_names'"), ("cut", None, "'cut'"), ("settings", [], "'settings'")])  # fmt: skip
def test_the_error_names_the_field(tmp_path: Path, field: str, value: Any, named: str) -> None:
    tensors, metadata = storage.read_safetensors(OLD)
    storage.write_safetensors(tmp_path / "a", tensors, {"ascribe": json.dumps(json.loads(metadata["ascribe"]) | {field: value})})
    with pytest.raises(ResultError, match=named):
        Attribution.load(tmp_path / "a")


@pytest.mark.parametrize("text", [
    "3", "{}", '[{"bytes": "x"}]', '[{"decimal": "x"}]', '[{"numpy": "M8[s] 99999999999999999999"}]', '[{"missing": "x"}]', "[[1, 2]]",
    "\xff", '[{"timedelta": "9999999999 1 1"}]', '[{"system": "x"}]', "[" * 100_000])  # fmt: skip
def test_words_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    tensors, metadata = storage.read_safetensors(OLD)
    tensors["w"] = storage.encode_array(np.frombuffer(text.encode("latin1"), np.uint8))
    node = {"words": {"array": "w", "shape": [1, 2], "type": "O"}}
    storage.write_safetensors(tmp_path / "a", tensors, {"ascribe": json.dumps(json.loads(metadata["ascribe"]) | {"record": node})})
    with pytest.raises(ResultError, match="damaged"):
        Attribution.load(tmp_path / "a")


def test_files_without_a_checksum_are_read(tmp_path: Path) -> None:
    a = Attribution.load(OLD)
    assert a.method == "IntegratedGradients(steps=8)"
    assert a.class_names == ("cat", "dog", "bird")
    assert a.checks == (Check("completeness", "warn", "12 %", (1,)), Check("finite", "ok"))
    assert a.record["meta"] == (None, "text")
    np.testing.assert_array_equal(a.error["image"], np.abs(a.values["image"]))
    a.save(tmp_path / "a")
    same(a, Attribution.load(tmp_path / "a"))
    assert "sha256" in storage.read_safetensors(tmp_path / "a")[1]


def test_the_checksum_cannot_be_left_out(tmp_path: Path) -> None:
    full().save(tmp_path / "a")
    tensors, metadata = storage.read_safetensors(tmp_path / "a")
    storage.write_safetensors(tmp_path / "b", tensors, {"ascribe": metadata["ascribe"]})
    with pytest.raises(ResultError, match="checksum"):
        Attribution.load(tmp_path / "b")


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced while it is read, a file gives one result or the other, never the values of one under the name of the other."""
    Attribution(np.zeros(2), method="zeros").save(tmp_path / "a")
    Attribution(np.ones(2), method="ones").save(tmp_path / "b")
    read = Path.read_bytes

    def replaced(path: Path) -> bytes:
        raw = read(path)
        os.replace(tmp_path / "b", tmp_path / "a")
        return raw

    monkeypatch.setattr(Path, "read_bytes", replaced)
    a = Attribution.load(tmp_path / "a")
    assert (a.method, a.values.tolist()) == ("zeros", [0, 0])


# Where it is written


def plain(value: float = 1.0) -> Attribution:
    return Attribution(np.full(2, value))


def written(kind: str, path: Path) -> None:
    if kind == "result":
        plain().save(path)
    else:
        reports.write_report(path, [])


@pytest.mark.parametrize("kind", ["result", "report"])
def test_overwriting_keeps_mode_and_links_and_leaves_nothing_else(tmp_path: Path, kind: str) -> None:
    for mode in (0o600, 0o640, 0o444):
        path = tmp_path / f"{mode:o}"
        path.write_bytes(b"old")
        path.chmod(mode)
        written(kind, path)
        assert path.stat().st_mode & 0o7777 == mode
        assert path.read_bytes() != b"old"
    link, chain = tmp_path / "link", tmp_path / "chain"
    link.symlink_to("600")
    chain.symlink_to(link)
    (tmp_path / "600").write_bytes(b"old")
    written(kind, chain)
    assert link.is_symlink()
    assert chain.is_symlink()
    assert (tmp_path / "600").read_bytes() != b"old"
    fresh = tmp_path / "fresh"
    fresh.symlink_to("made by the link")
    written(kind, fresh)
    assert (tmp_path / "made by the link").is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"600", "640", "444", "link", "chain", "fresh", "made by the link"}


@pytest.mark.parametrize("kind", ["result", "report"])
@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, ".hidden", "with space", "*?", "-f"])
def test_any_name_of_the_file_system_can_be_written(tmp_path: Path, kind: str, name: str) -> None:
    for _ in range(2):
        written(kind, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["result", "report"])
def test_what_cannot_be_written_names_the_path_asked_for(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"The folder .* does not exist.*mkdir"):
        written(kind, tmp_path / "nowhere" / "a")
    (tmp_path / "loop").symlink_to("loop")
    for path, what in ((tmp_path, IsADirectoryError), (tmp_path / "loop", OSError), (tmp_path / ("a" * 300), OSError)):
        with pytest.raises(what) as told:
            written(kind, path)
        assert told.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["loop"]


def test_devices_and_pipes_are_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = subprocess.Popen([sys.executable, "-c", "import sys; print(len(open(sys.argv[1], 'rb').read()))", str(pipe)], stdout=-1)
    plain().save(pipe)
    assert int(done.communicate()[0]) > 8
    assert pipe.is_fifo()


@pytest.mark.parametrize("nameless", [True, False])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool) -> None:
    plain(1).save(tmp_path / "a")
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    plain(2).save(tmp_path / "a")
    assert Attribution.load(tmp_path / "a").values.tolist() == [2, 2]
    for job in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, job, lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(OSError, match="No space left") as told:
                plain(3).save(tmp_path / "a")
        assert told.value.filename == str(tmp_path / "a")
        assert Attribution.load(tmp_path / "a").values.tolist() == [2, 2]
        assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_killed_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where files without names exist; elsewhere the file with the other name stays, and the old one too."""
    code = (
        "import os, sys, numpy as np\n"
        "from ascribe.result.attribution import Attribution\n"
        "def stop(*_): os.kill(os.getpid(), 9)\n"
        "os.fsync = stop\n"
        "Attribution(np.ones(2)).save(sys.argv[1])\n"
    )
    plain(2).save(tmp_path / "a")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert Attribution.load(tmp_path / "a").values.tolist() == [2, 2]
    try:
        os.close(os.open(tmp_path, os.O_WRONLY | os.O_TMPFILE))
    except (OSError, AttributeError):
        pytest.skip("no files without names here")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_settings_too_large_for_a_header_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "HEADER", 1000)
    with pytest.raises(ResultError, match="too large"):
        replace(plain(), settings={"log": "x" * 2000}).save(tmp_path / "a")
    plain().save(tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.slow
def test_settings_of_more_than_a_hundred_megabytes(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="100,000,000"):
        replace(plain(), settings={"log": "x" * 100_000_001}).save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_is_nested_too_deep_is_refused_when_saved(tmp_path: Path) -> None:
    values: Any = np.ones(2)
    for _ in range(70):
        values = [values]
    with pytest.raises(ResultError, match="64 levels"):
        Attribution(values).save(tmp_path / "a")
    with pytest.raises(ResultError, match="settings"):
        inner: Any = []
        for _ in range(100_000):
            inner = [inner]
        replace(plain(), settings={"deep": inner}).save(tmp_path / "a")
    halves = Attribution({"\ud800": np.ones(2)})
    halves.save(tmp_path / "b")
    assert list(Attribution.load(tmp_path / "b").values) == ["\ud800"]
