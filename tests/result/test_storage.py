"""Results as files: what goes in comes out, and nothing else is taken for a result."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save_file

from ascribe.errors import ResultError
from ascribe.result import storage
from ascribe.result.attribution import Attribution, Check, Cost, Gap
from ascribe.tree import walk

torch = pytest.importorskip("torch")

NUMPY_TYPES = ["f8", "f4", "f2", ">f8", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
KEYS = st.one_of(st.text(max_size=5), st.integers(-3, 3))
ARRAYS = st.sampled_from(NUMPY_TYPES).flatmap(
    lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
NESTED = st.recursive(
    ARRAYS | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "a.b", "b"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def full() -> Attribution:
    """A result with every field filled in."""
    rng = np.random.default_rng(0)
    return Attribution(
        {"image": rng.normal(size=(2, 3, 4)), "meta": (rng.normal(size=(2, 5)).astype(np.float32), None)},
        {"image": rng.normal(size=(2, 3, 4)), "meta": (None, None)},
        "[INPUT, Cut('fc')]",
        "Unit(1)",
        "IntegratedGradients(steps=8)",
        np.array([1.5, -2.0]),
        rng.normal(size=(2, 3)),
        ("cat", "</script>\u202e", "\ud800"),
        np.array([1, 2]),
        Gap(np.array([0.0, 1e-9]), np.array([np.nan, np.inf])),
        (Check("completeness", "warn", "12 %", (1,)), Check("finite", "ok")),
        Cost(8, 8, 16, 0.25, 4, None),
        {"seed": 0, "versions": {"torch": "2.13.0"}, "steps": [1, 2], "tolerance": None, "scale": 0.1},
    )


def equal(a: Any, b: Any) -> None:
    """The same structure with the same arrays, bit for bit."""
    ours, theirs = list(walk(a)), list(walk(b))
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (_, one), (_, other) in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if isinstance(one, str):
            assert one == other
        elif one is not None:
            assert one.shape == other.shape
            assert np.dtype(one.dtype).newbyteorder("=") == other.dtype
            np.testing.assert_array_equal(one, other)


def test_everything_comes_back(tmp_path: Path) -> None:
    a = full()
    a.save(tmp_path / "a.safetensors")
    b = Attribution.load(str(tmp_path / "a.safetensors"))
    equal(a.values, b.values)
    equal(a.record, b.record)
    assert b.gap is not None
    assert a.gap is not None
    for name in ("explained", "prediction", "target"):
        equal(getattr(a, name), getattr(b, name))
    equal((a.gap.absolute, a.gap.relative), (b.gap.absolute, b.gap.relative))
    for name in ("cut", "quantity", "method", "class_names", "checks", "cost", "settings"):
        assert getattr(a, name) == getattr(b, name), name
    assert isinstance(b.values["meta"], tuple)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_bare_result_comes_back(tmp_path: Path) -> None:
    Attribution(np.ones((2, 3))).save(tmp_path / "a")
    b = Attribution.load(tmp_path / "a")
    equal(b.values, np.ones((2, 3)))
    assert (b.record, b.explained, b.gap, b.cost, b.class_names, b.checks) == (None, None, None, None, None, ())
    b.values[0] = 5  # its own memory, and writable


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=NESTED)
def test_any_structure_comes_back(tmp_path: Path, values: Any) -> None:
    Attribution(values).save(tmp_path / "a")
    back = Attribution.load(tmp_path / "a").values
    equal(values, back)
    assert repr(type(back)) == repr(type(values))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int64", "bool", "uint8"])
def test_torch_comes_back_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    kind = getattr(torch, dtype)
    values = (torch.arange(-6, 6).reshape(3, 4) / 7).to(kind).t()  # not contiguous
    a = Attribution((values, torch.tensor(3, dtype=kind)), record=[values.clone().requires_grad_() if kind.is_floating_point else values])
    a.save(tmp_path / "a")
    b = Attribution.load(tmp_path / "a", framework="torch")
    assert b.values[0].dtype == kind
    assert torch.equal(b.values[0], values)
    assert b.values[1].shape == ()
    assert torch.equal(b.record[0], values)
    c = Attribution.load(tmp_path / "a")
    wide = values.float() if dtype == "bfloat16" else values
    np.testing.assert_array_equal(c.values[0], wide.numpy())
    assert c.values[0].dtype == wide.numpy().dtype
    with safe_open(tmp_path / "a", framework="pt") as theirs:
        assert torch.equal(theirs.get_tensor("values.0"), values)


def test_it_is_a_safetensors_file(tmp_path: Path) -> None:
    full().save(tmp_path / "a")
    with safe_open(tmp_path / "a", framework="np") as theirs:
        text = json.loads(theirs.metadata()["ascribe"])
        assert text["format"] == storage.FORMAT
        np.testing.assert_array_equal(theirs.get_tensor("values.image"), full().values["image"])
        np.testing.assert_array_equal(theirs.get_tensor("explained"), full().explained)
    length = int.from_bytes((tmp_path / "a").read_bytes()[:8], "little")
    assert length % 8 == 0  # the arrays are aligned


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    Attribution(torch.ones(2, 3, dtype=torch.bfloat16)).save(tmp_path / "a")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ascribe.result.attribution import Attribution\n"
        "from ascribe.errors import ResultError\n"
        "a = Attribution.load(sys.argv[1])\n"
        "assert a.values.dtype == 'float32' and a.values.sum() == 6, a.values\n"
        "try: Attribution.load(sys.argv[1], framework='torch')\n"
        "except ResultError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert "needs PyTorch" in done.stdout


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    full().save(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


# What is refused


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": np.ones(3)}, tmp_path / "model", {"format": "pt"})
    with pytest.raises(ResultError, match="is not a result of ascribe"):
        Attribution.load(tmp_path / "model")
    (tmp_path / "text").write_text("hello, this is a text that is longer than eight bytes")
    (tmp_path / "empty").touch()
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("text", "empty", "array.npy"):
        with pytest.raises(ResultError, match="not a complete safetensors file"):
            Attribution.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Attribution.load(tmp_path / "nothing")


def test_later_formats_are_refused(tmp_path: Path) -> None:
    full().save(tmp_path / "a")
    tensors, metadata = storage.read_safetensors(tmp_path / "a")
    text = json.loads(metadata["ascribe"]) | {"format": storage.FORMAT + 1}
    storage.write_safetensors(tmp_path / "b", tensors, {"ascribe": json.dumps(text)})
    with pytest.raises(ResultError, match=f"ascribe reads format {storage.FORMAT} only"):
        Attribution.load(tmp_path / "b")


def test_unknown_frameworks_are_refused(tmp_path: Path) -> None:
    full().save(tmp_path / "a")
    with pytest.raises(ResultError, match=r"must be 'numpy' or 'torch'\. Found: framework='jax'"):
        Attribution.load(tmp_path / "a", framework="jax")  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_damage_is_noticed_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """No byte that is changed and no end that is cut off makes anything but a result or a ResultError."""
    file = tmp_path / "a"
    if not file.exists():
        full().save(file)
    raw = bytearray(file.read_bytes())
    header = 8 + int.from_bytes(raw[:8], "little")
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "b").write_bytes(raw)
    with contextlib.suppress(ResultError):
        assert isinstance(Attribution.load(tmp_path / "b"), Attribution)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 24]},
        {"dtype": "F64", "shape": [2], "data_offsets": [8, 24]},
        {"dtype": "F64", "shape": [-2], "data_offsets": [0, 16]},
        {"dtype": "F64", "shape": [10**30], "data_offsets": [0, 16]},
        {"dtype": "F64", "shape": [True, 2], "data_offsets": [0, 16]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 16]},
        {"dtype": "F64", "shape": [2]},
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    header = json.dumps({"x": entry}).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(ResultError, match="not a complete safetensors file"):
        storage.read_safetensors(tmp_path / "a")


@pytest.mark.parametrize(
    ("a", "why"),
    [
        (Attribution(np.ones(2), settings={"hook": print}), "builtin_function"),
        (Attribution(np.ones(2, complex)), "complex128"),
        (Attribution({(1, 2): np.ones(2)}), "if its values are arrays.*Found: dict at values"),
        (Attribution({"x": object()}), "if its values are arrays.*Found: object at values"),
        (Attribution(np.ones(2), method=None), "'method' must be a string"),  # type: ignore[arg-type]
        (Attribution(np.ones((2, 3)), explained=np.ones(5)), "records: 2 of values, 5 of explained"),
    ],
)
def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, a: Attribution, why: str) -> None:
    with pytest.raises(ResultError, match=why):
        a.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full().save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Attribution(np.ones(2)).save(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == before


def test_numpy_numbers_in_the_settings_become_plain(tmp_path: Path) -> None:
    Attribution(np.ones(2), settings={"seed": np.int64(3), "rates": np.array([0.5])}).save(tmp_path / "a")
    assert Attribution.load(tmp_path / "a").settings == {"seed": 3, "rates": [0.5]}
