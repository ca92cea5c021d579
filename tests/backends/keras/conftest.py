"""One process runs one back end of Keras: the one that KERAS_BACKEND names, or, without it, one process for each."""

from __future__ import annotations

import importlib.util
import os

INSIDE = [
    "test_compiles.py",
    "test_cuts.py",
    "test_functions.py",
    "test_interception.py",
    "test_numbers.py",
    "test_odd_models.py",
    "test_precision.py",
    "test_rules.py",
]

collect_ignore = INSIDE
if importlib.util.find_spec("keras") is not None and "KERAS_BACKEND" in os.environ:
    collect_ignore = ["test_processes.py"]
