"""Whether records can be run apart from each other with the same results, seen on two records that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ....cuts import INPUT, OUTPUT
from ...protocol import ArrayAt, Job
from .compare import close, unlike
from .record_axes import differing

if TYPE_CHECKING:
    from ..session import TorchSession

Tensor = torch.Tensor


def runs_apart(session: TorchSession) -> tuple[bool, bool]:
    """Whether two records give together what they give apart, and whether that says something about other records too.

    Of two equal records, or two that the model gives the same for, it does not: a model that takes the mean over its batch does nothing
    to them. So a record that differs from the first is looked for; where there is none, the second is disturbed.
    """
    if session.inputs.counted.together:
        return False, True
    if any(leaf.is_meta for leaf in session.inputs.leaves.values()):
        return True, True  # no numbers to compare
    other = differing(session)
    index, job = np.array([0, 1 if other is None else other]), Job(np.arange(0), read=(OUTPUT,))
    if other is None and session.inputs.explained:
        job = disturbed(session)

    def outputs(which: slice) -> list[Tensor]:
        write = tuple(w[:, which] for w in job.write)
        made = Job(index[which], at=job.at, spots=job.spots, write=write, read=job.read)
        return session.evaluate(made).reads[OUTPUT].arrays

    try:
        both, first, second = outputs(slice(0, 2)), outputs(slice(0, 1)), outputs(slice(1, 2))
    except Exception as wrong:  # where two do not fit, apart is the only way; if only the disturbed one fails, that says nothing
        return session.out_of_memory(wrong), not job.write
    pairs = list(zip(both, first, second, strict=True))
    pairs = [pair for pair in pairs if pair[0].shape[1] == 2]  # other parts of an output are no record's
    same = bool(pairs) and all(close(b, torch.cat([f, s], 1)) for b, f, s in pairs)
    return same, not same or any(unlike(f, s) for _, f, s in pairs)


def disturbed(session: TorchSession) -> Job:
    """A first record and a second that is not like it, written at the inputs."""
    generator = torch.Generator().manual_seed(0)
    spots, write = [], []
    for path in session.inputs.explained:
        axis = session.inputs.axis(path)
        rows = axis.canonical(session.inputs.own_rows(path, np.arange(2)).clone(), 0, 1, 2)[0]
        noise = torch.randn(rows.shape[1:], generator=generator, device=generator.device).to(rows)
        rows[1] += noise * (rows[1].abs().mean() + 1)
        spots.append(ArrayAt(INPUT, 0, path, axis.told))
        write.append(rows[None])
    return Job(np.arange(2), at=INPUT, spots=tuple(spots), write=tuple(write), read=(OUTPUT,))
