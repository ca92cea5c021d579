"""The value function v(S): the quantity with only the features in S present, evaluated in chunks and kept for coalitions seen before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from ...arrays import Array, namespace
from ...backends.protocol import ArrayAt, Evidence, Job
from ...cuts import JointCut
from ...errors import FeatureError
from ...features import Groups
from ...removal.base import Replacement
from ...removal.blend import Blend
from ..batch import Leaves
from ..chunks import Run, evaluate_points
from .records import Records

KEPT = 1 << 22
"""Numbers that are kept of coalitions already evaluated."""
DRAWN = 64
"""Up to so many random replacements have values of their own, so that they have a standard error."""


@dataclass(frozen=True, eq=False)
class SiteArrays:
    """Arrays of a site with the replacements for their features; ``cells`` are their columns of the presence.

    ``live`` says that a feature that stays has the value of this run, after the removal at earlier sites, not that of the record.
    """

    spots: Sequence[ArrayAt]
    x: Leaves
    cells: Sequence[np.ndarray]
    replacement: Replacement
    live: bool = False


class ValueFunction:
    """The values of coalitions for the records of one batch, whose quantities are bound."""

    def __init__(self, records: Records, groups: Groups, parts: Sequence[SiteArrays]) -> None:
        self.records, self.groups, self.parts = records, groups, parts
        self.spots = tuple(s for part in parts for s in part.spots)
        self.at = JointCut.of(*dict.fromkeys(s.cut for s in self.spots))
        self.draws = joint([part.replacement.draws for part in parts])
        last = groups.cell_count  # the number of what is never removed
        self.blends = [[Blend(x, np.where(c < 0, last, c), p.replacement) for x, c in zip(p.x, p.cells, strict=True)] for p in parts]
        random = any(part.replacement.random for part in parts)
        self.apart = self.draws if random and 1 < self.draws <= DRAWN else 1
        self.known: dict[bytes, np.ndarray] = {}
        full = np.ones(groups.count, bool)
        for everything in (full, full.astype(float)):
            self.known[key_of(everything)] = np.repeat(records.batch.explained, self.apart, 0)
        self.latest: dict[bytes, np.ndarray] = {}
        self.evaluated = 0

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Returns ``[quantities, coalitions, records]``; random replacements with values of their own follow each other in a quantity."""
        keys = [key_of(row) for row in coalitions]
        news = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.known}
        order = sorted(news.values())
        self.evaluated += len(order)
        self.latest = {}
        if order:
            self._run(coalitions[order], [keys[i] for i in order])
        values = [self.latest[key] if key in self.latest else self.known[key] for key in keys]
        if len(self.known) * values[0].size < KEPT:
            self.known.update(self.latest)
        return np.stack(values, 1)

    def of_own(self, count: int, coalitions_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Returns the quantities ``[quantities, count, draws, records]`` with coalitions that are each record's own.

        ``coalitions_of(places)`` makes the coalitions ``[places, records, features]`` of some of the ``count`` places; each is evaluated
        with every value of the replacements. These must accept such coalitions (:meth:`takes_own`), or the batch be a single record.
        """
        plan, draws, records = self.records.plan, self.draws, len(self.records)
        values = np.zeros((len(self.records.batch.explained), count * draws, records))

        def make_job(first: int, last: int) -> tuple[Job, Run]:
            place, draw = np.divmod(np.arange(first, last), draws)
            presence = self.groups.presence(coalitions_of(np.arange(place[0], place[-1] + 1)))[place - place[0]]
            return self._job(presence[:, 0] if records == 1 else presence, draw), plan.session.evaluate

        def take(evidence: Evidence, job: Job, first: int) -> None:
            self.records.count(evidence, job)
            values[:, first : first + job.points] = self.records.session.xp.numpy(evidence.value)

        evaluate_points(plan.session, plan.chunker, plan.progress, count * draws, records, make_job, take)
        return values.reshape(len(values), count, draws, records)

    @property
    def takes_own(self) -> bool:
        """True if all replacements accept coalitions that are each record's own."""
        return all(getattr(part.replacement, "takes_own_presence", False) for part in self.parts)

    def empty(self) -> np.ndarray:
        """Returns the quantity with no feature present, ``[quantities, records]``; the mean of random replacements."""
        values = self(np.zeros((1, self.groups.count), bool))[:, 0]
        return np.asarray(values.reshape(-1, self.apart, values.shape[-1]).mean(1))

    def known_of(self, coalitions: np.ndarray) -> list[np.ndarray]:
        """Returns the values of the first of some coalitions, as far as they are known, where the evaluation of the rest failed."""
        known = self.known | self.latest
        return [known[key] for key in takewhile(known.__contains__, map(key_of, coalitions))]

    def _run(self, coalitions: np.ndarray, keys: list[bytes]) -> None:
        """Evaluates some coalitions, each with all its replacements, and keeps each as it is complete."""
        records, draws, groups, plan = self.records, self.draws, self.groups, self.records.plan
        quantities, count = records.batch.explained.shape
        values = np.zeros((quantities, self.apart, len(coalitions), count))

        def make_job(first: int, last: int) -> tuple[Job, Run]:
            place, draw = np.divmod(np.arange(first, last), draws)
            low = int(place[0])
            presence = groups.presence(coalitions[low : int(place[-1]) + 1])
            return self._job(presence if draws == 1 else presence[place - low], draw), plan.session.evaluate

        def take(evidence: Evidence, job: Job, first: int) -> None:
            records.count(evidence, job)
            place, draw = np.divmod(np.arange(first, first + job.points), draws)
            numbers = records.session.xp.numpy(evidence.value).astype(np.float64)
            if self.apart == draws:
                values[:, draw, place] = numbers
            else:  # the mean of a coalition's replacements, some of which may have come with an earlier chunk
                starts = np.flatnonzero(np.diff(place, prepend=-1))
                values[:, 0, place[starts]] += np.add.reduceat(numbers, starts, axis=1) / draws
            for k in range(len(self.latest), (first + job.points) // draws):
                self.latest[keys[k]] = values[:, :, k].reshape(-1, count)

        evaluate_points(plan.session, plan.chunker, plan.progress, len(coalitions) * draws, count, make_job, take)

    def _job(self, presence: np.ndarray, draw: np.ndarray) -> Job:
        """Returns the job of one chunk of points."""
        records, plan = self.records, self.records.plan
        write, keep = self._written(presence, draw)
        if plan.chunker.limit is None:  # masked rows, and what the model computes from them, must fit next to each other
            numbers = sum(int(np.prod(w.shape)) for w in write)
            plan.chunker.cap(max(1, plan.session.device.spare_memory() * len(draw) * len(records.index) // (64 * max(1, numbers))))
        return Job(
            records.index,
            len(draw),
            self.at,
            self.spots,
            write,
            keep=keep,
            owns_write=True,
            on=plan.on,
            of=records.bound,
            quantity_key=plan.kinds,
        )

    def _written(self, presence: np.ndarray, draw: np.ndarray) -> tuple[tuple[Array, ...], tuple[Array | None, ...]]:
        """Returns the arrays to write, ``[points, records, ...]``, and the share of the run's own value that stays; () where none does."""
        write: Leaves = []
        keep: list[Array | None] = []
        for part, blends in zip(self.parts, self.blends, strict=True):
            instead = part.replacement(presence, draw if part.replacement.draws > 1 else np.zeros_like(draw))
            for x, blend, other in zip(part.x, blends, instead, strict=True):
                xp = namespace(x)
                share = blend.keep(presence) if part.live else None
                row = blend(presence, other) if share is None else xp.broadcast_to(other, tuple(share.shape))
                write.append(xp.cast(row, x))
                keep.append(share)
        return tuple(write), tuple(keep) if any(k is not None for k in keep) else ()


def key_of(coalition: np.ndarray) -> bytes:
    """Returns the key of a coalition among those evaluated."""
    return np.packbits(coalition).tobytes() if coalition.dtype == bool else coalition.astype(np.float64).tobytes()


def joint(draws: Sequence[int]) -> int:
    """Returns how many replacements there are where several removals have some each: one goes with all, equally many go together.

    Raises FeatureError for others.
    """
    several = sorted({n for n in draws if n > 1})
    if len(several) > 1:
        problem = "The replacements of one call must have equally many values: value i of one is used with value i of the others"
        raise FeatureError(
            problem,
            found=f"replacements with {' and '.join(map(str, several))} values",
            advice="rows of one table for all inputs, by=asc.Resample((a[:100], b[:100]))",
        )
    return several[0] if several else 1
