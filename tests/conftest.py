"""What every test has in common: one thread, no windows, no network, and the same random examples on every machine."""

from __future__ import annotations

import os
from contextlib import suppress

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: with two threads small models are ten times slower
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # the tests compile thousands of small programs and run each a few times

from hypothesis import settings

settings.register_profile("ascribe", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ascribe"))

with suppress(ImportError):  # captum and shap draw bars with it; its thread would stay for all tests to come
    from tqdm import tqdm

    tqdm.monitor_interval = 0
