"""Runs the tests of this folder once for each Keras that trulens' wrappers are for, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

CASES = {
    "keras on tensorflow": {"ASCRIBE_TRULENS_KERAS": "keras", "KERAS_BACKEND": "tensorflow"},
    "keras on torch": {"ASCRIBE_TRULENS_KERAS": "keras", "KERAS_BACKEND": "torch"},
    "keras on jax": {"ASCRIBE_TRULENS_KERAS": "keras", "KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    "tf_keras": {"ASCRIBE_TRULENS_KERAS": "tf_keras", "TF_USE_LEGACY_KERAS": "1"},
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "MPLBACKEND": "Agg"}


@pytest.mark.parametrize("case", CASES)
def test_trulens_with(case: str) -> None:
    variables = CASES[case]
    needed = [variables["ASCRIBE_TRULENS_KERAS"], variables.get("KERAS_BACKEND", "tensorflow")]
    if any(importlib.util.find_spec(package) is None for package in needed):
        pytest.skip(f"{' or '.join(needed)} is not installed")
    kept = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "TRULENS_BACKEND")}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE)]
    found = subprocess.run(command, cwd=ROOT, env={**kept, **QUIET, **variables}, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
