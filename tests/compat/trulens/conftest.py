"""One process runs one Keras: the one that the environment names, or, without it, one process for each."""

from __future__ import annotations

import importlib.util
import os

INSIDE = ["test_backends.py", "test_images.py", "test_layers.py", "test_methods.py", "test_recognition.py"]
PACKAGE = os.environ.get("ASCRIBE_TRULENS_KERAS", "")

collect_ignore = INSIDE
if PACKAGE and importlib.util.find_spec(PACKAGE) is not None:
    collect_ignore = ["test_processes.py"]
