"""``trulens.utils.test``: the absolute tolerances of trulens' own tests."""

from __future__ import annotations

from typing import Any

ATOL_DETERMINISTIC = 1e-08
ATOL_NONDETERMINISTIC = 1e-03


def tolerance(B: Any) -> float:
    """Returns the tolerance for the functions of a framework: small if they are deterministic."""
    return ATOL_DETERMINISTIC if B.is_deterministic() else ATOL_NONDETERMINISTIC
