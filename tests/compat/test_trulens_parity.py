"""An old script, under the old library and under the facade: the same numbers where the old ones were right.

`old/trulens_0_13_4.npz` is what `old/trulens_script.py` wrote under trulens 0.13.4. To make it again, name a Python that has that
trulens (and torch, transformers 4, SciPy, matplotlib): `ASCRIBE_OLD_TRULENS=python3.10 make slow ARGS="-k trulens"`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "recorded" / "trulens_script.py"
STORED = SCRIPT.with_name("trulens_0_13_4.npz")
OLD = os.environ.get("ASCRIBE_OLD_TRULENS")


def run(*words: str, out: Path) -> Mapping[str, np.ndarray]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*words, str(SCRIPT), str(out)], capture_output=True, text=True, cwd=out.parent, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(out)


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Mapping[str, np.ndarray]:
    return run(sys.executable, "-m", "ascribe.compat", "trulens", out=tmp_path_factory.mktemp("new") / "new.npz")


@pytest.fixture(scope="module")
def old() -> Mapping[str, np.ndarray]:
    return np.load(STORED)


def far(a: np.ndarray, b: np.ndarray) -> float:
    """How far apart two results are, as a share of the largest number; endless where they are not of one kind."""
    if a.shape != b.shape or "U" in (a.dtype.kind, b.dtype.kind):
        return np.inf
    return float(np.abs(a - b).max() / np.abs(b).max())


def compared(new: Mapping[str, np.ndarray], old: Mapping[str, np.ndarray]) -> None:
    assert set(new) == set(old)
    right = {name: far(new[name], old[name]) for name in old if not name.startswith("wrong")}
    assert len(right) == 66
    assert {name: size for name, size in right.items() if size > 1e-6} == {}
    wrong = {name: far(new[name], old[name]) for name in old if name.startswith("wrong")}
    assert len(wrong) == 8
    assert {name: size for name, size in wrong.items() if size < 0.1} == {}


def test_the_numbers_of_old_where_they_were_right(new, old):
    compared(new, old)


@pytest.mark.slow
@pytest.mark.skipif(OLD is None, reason="ASCRIBE_OLD_TRULENS names no Python with trulens 0.13.4")
def test_the_old_library_still_says_what_is_stored(new, old, tmp_path):
    again = run(str(OLD), out=tmp_path / "old.npz")
    assert {name: far(again[name], old[name]) for name in old if old[name].dtype.kind != "U" and far(again[name], old[name]) > 1e-6} == {}
    compared(new, again)
