"""Errors as values: whole after pickle, copies and process pools; without control characters; no work ends because of stderr."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe import errors
from ascribe.errors import AscribeError, AscribeWarning, CompatError, InputError, ResultError, warn_user
from ascribe.result.attribution import Attribution, Check

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AscribeError)]
HOSTILE = "a\x1b[2J\x07\u202eb\x9b31m\x00"
"""Clear the screen, ring, write backwards, a C1 control sequence, nothing."""


def fails(number: int) -> None:
    raise InputError(f"number {number}", found="nothing", advice="another", code="E-RECORDS")


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_pickle_and_copies(kind: type[AscribeError]) -> None:
    error = kind("asked", found="found", advice="do", code="E-SOME")
    error.partial = Attribution(np.ones((1, 2)))
    error.add_note("a note")
    if isinstance(error, CompatError):
        error.name = "captum.other"
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error) == "asked. Found: found. Try: do. [E-SOME]"
        assert (other.code, other.problem, other.found, other.advice) == ("E-SOME", "asked", "found", "do")
        assert other.__notes__ == ["a note"]
        np.testing.assert_array_equal(other.partial.values, np.ones((1, 2)))
        assert getattr(other, "name", None) == getattr(error, "name", None)


def test_errors_come_back_from_process_pools() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(InputError) as told:
        pool.submit(fails, 3).result()
    assert str(told.value) == "number 3. Found: nothing. Try: another. [E-RECORDS]"
    assert told.value.code == "E-RECORDS"


def plain(text: str) -> bool:
    return all(c.isprintable() for c in text)


def test_no_text_of_ours_holds_control_characters() -> None:
    a = Attribution(np.ones((1, 2)), method=HOSTILE, cut=HOSTILE, quantity=HOSTILE, class_names=(HOSTILE,), target=np.array([0]),
                    checks=(Check(HOSTILE, "fail", HOSTILE),))  # fmt: skip
    assert plain(repr(a))
    assert r"\x1b[2J\x07\u202eb\x9b31m\x00" in repr(a)
    assert plain(a._repr_html_())
    with pytest.raises(ResultError) as told:
        a.raise_for_checks()
    assert plain(str(told.value))
    for error in (InputError(HOSTILE, found=HOSTILE, advice=HOSTILE), CompatError(HOSTILE, name="x")):
        assert plain(str(error))
    with pytest.warns(AscribeWarning) as seen:
        warn_user(HOSTILE)
    assert plain(str(seen[0].message))


def test_a_models_message_reaches_the_terminal_without_its_escapes() -> None:
    def model(x: np.ndarray) -> np.ndarray:
        raise ValueError(HOSTILE)

    with pytest.raises(AscribeError) as told:
        asc.FeatureAblation()(model, np.ones((1, 2)))
    assert plain(str(told.value))


def test_warnings_name_the_line_of_the_call() -> None:
    def model(x: np.ndarray) -> np.ndarray:
        return x * np.nan

    with pytest.warns(AscribeWarning) as seen:
        asc.FeatureAblation()(model, np.ones((2, 3)), of=1)
    assert {w.filename for w in seen} == {__file__}


# Standard error


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise ValueError("I/O operation on closed file")

    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def isatty(self) -> bool:
        return True


class Ascii(Broken):
    def write(self, text: str) -> int:
        raise UnicodeEncodeError("ascii", text, 0, 1, "ordinal not in range(128)")


class Unflushed(io.StringIO):
    def flush(self) -> None:
        raise OSError("no space left on device")


@pytest.mark.parametrize("wanted", [None, True, False])
@pytest.mark.parametrize("stderr", [None, object(), Closed(), Broken(), Ascii(), Unflushed()], ids=lambda s: type(s).__name__)
def test_no_call_fails_because_of_stderr(monkeypatch: pytest.MonkeyPatch, stderr: Any, wanted: bool | None) -> None:
    def model(x: np.ndarray) -> np.ndarray:
        return x[:, :1] * np.array([[1.0, np.nan]])  # a failed check is warned of, on stderr too

    clock = iter(range(0, 10**9, 30))
    x = np.ones((2, 3))
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr("ascribe.engine.chunks.time.monotonic", lambda: next(clock))  # each look half a minute later: a line is due
    found = asc.ShapleyExact()(model, x, of=0, progress=wanted)
    np.testing.assert_allclose(found.values, [[1, 0, 0]] * 2, atol=1e-12)
    monkeypatch.setattr("warnings.showwarning", lambda *a, **k: sys.stderr.write("a warning"))
    asc.ShapleyExact()(model, x, of=1, progress=wanted)


def test_a_script_whose_stderr_is_closed_runs() -> None:
    code = (
        "import sys, os, numpy as np, ascribe as asc\n"
        "sys.stderr.close()\n"
        "a = asc.KernelShap()(lambda x: x * np.nan, np.ones((2, 3)), of=1, progress=True)\n"
        "sys.stdout.write(a.checks[0].name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout


# Standard output


def test_show_into_a_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    a = Attribution(np.ones((1, 2)))
    a.show(Broken())
    monkeypatch.setattr(sys, "stdout", None)
    a.show()
