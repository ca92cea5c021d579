"""The checks of a result: completeness, finite values, relevance, features, repeatability."""

from __future__ import annotations

import numpy as np

from ...removal import Removal
from ...result.attribution import Check, Gap
from ..batch import Batch
from ..plan import Plan
from .coalitions import check_coalitions
from .general import check_gradients, warn_of_checks


def check_result(
    plan: Plan, batch: Batch, gap: Gap | None, sizes: np.ndarray, removal: Removal | None, partial: bool = False
) -> tuple[Check, ...]:
    """Returns the checks of a result, and warns of those that failed unless it is partial; ``removal`` is that of coalitions."""
    if removal is None:
        checks = check_gradients(plan, batch, gap, sizes, partial)
    else:
        checks = check_coalitions(plan, batch, gap, sizes, removal, partial)
    if not partial:
        warn_of_checks(checks)
    return checks
