"""The optional dependency of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ResultError


@contextmanager
def require_matplotlib() -> Iterator[None]:
    """Context for imports of matplotlib: raises ResultError if it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ResultError(
            "A figure needs matplotlib", found="matplotlib is not installed", advice="pip install matplotlib, or a.show()"
        ) from error
