"""The libraries of modules that are loaded: none is imported to find out."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


def libraries() -> list[Any]:
    """The modules of this package for the libraries that are loaded."""
    found: list[Any] = []
    if "flax.nnx" in sys.modules:
        from . import nnx

        found.append(nnx)
    if "flax.linen" in sys.modules:
        from . import linen

        found.append(linen)
    if "equinox" in sys.modules:
        from . import equinox

        found.append(equinox)
    return found


def linen_biases(model: Any, *args: Any) -> Any:
    """The biases of layers of linen; None for any other model."""
    if "flax.linen" not in sys.modules:
        return None
    from .linen import biases_in_call

    return biases_in_call(model, *args)


def marking() -> Any:
    """A context in which the calls of linen modules are marked, in this thread: their classes cannot be exchanged."""
    if "flax.linen" not in sys.modules:
        return nullcontext()
    from .linen import marking

    return marking()
