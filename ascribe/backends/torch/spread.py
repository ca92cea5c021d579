"""Ways to run several points in one go, tried against one point after the other before any of them is trusted.

*expand*: the model runs on the records once, and the write puts the points of all of them in their place, so that what comes
before it is shared. *tile*: every argument that belongs to records is repeated for each point. *single*: one point, one run.
Models break the first two in ways that raise nothing (see docs/decisions); so two points are run singly and in the
candidate way, and values, readings and gradients must agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...errors import AscribeError
from ..protocol import Evidence, Job

if TYPE_CHECKING:
    from .session import TorchSession

EXPAND, TILE, SINGLE = "expand", "tile", "single"


def choose(session: TorchSession, job: Job) -> str:
    """The first way that gives, at the first and the last point of this job, what single runs give."""
    from .session import close, joined

    probe = replace(job, points=2, write=tuple(torch.stack([w[0], w[-1]]) for w in job.write))
    truth = session.one_by_one(probe)
    candidates = (EXPAND, TILE) if job.at is not None and job.at.layer else (TILE,)
    for mode in candidates:
        try:
            found = session.run(probe, mode)
        except (RuntimeError, IndexError, ValueError, TypeError, AscribeError):
            continue
        if all(close(a, b) for a, b in zip(_arrays(found), _arrays(joined([truth])), strict=True)):
            return mode
    return SINGLE


def _arrays(evidence: Evidence) -> list[torch.Tensor]:
    grads = [g for found in evidence.grads.values() for g in found]
    reads = [a for reading in evidence.reads.values() for a in reading.arrays]
    return [*([] if evidence.value is None else [evidence.value]), *grads, *reads]
