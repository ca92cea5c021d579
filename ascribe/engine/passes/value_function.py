"""What coalitions of features are worth: rows with the others removed, run in chunks, each coalition once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...backends.protocol import ArrayAt
from ...cuts import Together
from ...errors import FeatureError
from ...removal.base import StandIn
from ...removal.blend import Blend
from ..chunks import stream
from ..plan import Leaves

if TYPE_CHECKING:
    from .coalition import Removed

KEPT = 1 << 22
"""Numbers that are remembered of coalitions already seen."""
DRAWN = 64
"""Up to so many random stand-ins are told apart, so that they have a standard error."""


@dataclass(frozen=True, eq=False)
class Part:
    """Arrays of a site, where they are, and the replacements for their features; ``cells`` are their columns of the presence.

    ``live`` says that a feature that stays has the value of this run, after what was removed at earlier sites, not that of the record.
    """

    spots: Sequence[ArrayAt]
    x: Leaves
    cells: Sequence[np.ndarray]
    stand_in: StandIn
    live: bool = False


class Worths:
    """The worth of coalitions for the records of one pass; ``run.reader`` has been bound to them."""

    def __init__(self, run: Removed, parts: Sequence[Part]) -> None:
        self.run, self.parts = run, parts
        self.spots = tuple(s for part in parts for s in part.spots)
        cuts = dict.fromkeys(s.cut for s in self.spots)
        self.at = Together.of(*cuts)
        self.draws = joint([part.stand_in.draws for part in parts])
        last = run.groups.width  # the number of what is never removed
        self.blends = [[Blend(x, np.where(c < 0, last, c), p.stand_in) for x, c in zip(p.x, p.cells, strict=True)] for p in parts]
        random = any(part.stand_in.random for part in parts)
        self.apart = self.draws if random and 1 < self.draws <= DRAWN else 1
        self.known: dict[bytes, np.ndarray] = {}
        full = np.ones(run.groups.count, bool)
        for key in (full, full.astype(float)):
            self.known[self.key(key)] = np.repeat(run.block.explained, self.apart, 0)
        self.latest: dict[bytes, np.ndarray] = {}
        self.asked = 0

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """``[quantities, coalitions, records]``; random stand-ins that are told apart follow each other within a quantity."""
        keys = [self.key(row) for row in coalitions]
        news = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self.known}
        order = sorted(news.values())
        self.asked += len(order)
        self.latest = {}
        if order:
            self._run(coalitions[order], [keys[i] for i in order])
        found = [self.latest[key] if key in self.latest else self.known[key] for key in keys]
        if len(self.known) * found[0].size < KEPT:
            self.known.update(self.latest)
        return np.stack(found, 1)

    def known_of(self, coalitions: np.ndarray) -> list[np.ndarray]:
        """The worths of the first of some coalitions, as far as they are known: what there is where the rest did not come."""
        known = self.known | self.latest
        return [known[key] for key in takewhile(known.__contains__, map(self.key, coalitions))]

    @staticmethod
    def key(coalition: np.ndarray) -> bytes:
        return np.packbits(coalition).tobytes() if coalition.dtype == bool else coalition.astype(np.float64).tobytes()

    def _run(self, coalitions: np.ndarray, keys: list[bytes]) -> None:
        """All of some coalitions, each with all its stand-ins; they are noted as they come."""
        run, draws = self.run, self.draws
        quantities, records = run.block.explained.shape
        worth = np.zeros((quantities, self.apart, len(coalitions), records))
        session, plan = run.session, run.plan

        def step(first: int, last: int) -> bool:
            place, draw = np.divmod(np.arange(first, last), draws)
            low = int(place[0])
            presence = run.groups.presence(coalitions[low : int(place[-1]) + 1])
            typical = plan.chunker.limit is not None
            values, probed = self._values(presence if draws == 1 else presence[place - low], draw)
            if self.apart == draws:
                worth[:, draw, place] = values
            else:  # the mean of a coalition's stand-ins, some of which may have come with an earlier chunk
                starts = np.flatnonzero(np.diff(place, prepend=-1))
                worth[:, 0, place[starts]] += np.add.reduceat(values, starts, axis=1) / draws
            for k in range(len(self.latest), last // draws):
                self.latest[keys[k]] = worth[:, :, k].reshape(-1, records)
            return typical and not probed

        stream(
            len(coalitions) * draws,
            records,
            plan.chunker,
            step,
            wait=session.device.wait,
            out_of_memory=session.device.out_of_memory,
            progress=plan.progress,
        )

    def _values(self, presence: np.ndarray, draw: np.ndarray) -> tuple[np.ndarray, bool]:
        """The quantities at one chunk of points, ``[quantities, points, records]``, and whether the model was also tried out."""
        run = self.run
        write, keep = self._written(presence, draw)
        chunker = run.plan.chunker
        if chunker.limit is None:  # masked rows, and what the model makes of them, must fit next to each other
            numbers = sum(int(np.prod(w.shape)) for w in write)
            chunker.cap(max(1, run.session.device.spare_memory() * len(draw) * len(run.index) // (64 * max(1, numbers))))
        job = {"points": len(draw), "at": self.at, "spots": self.spots, "write": write, "keep": keep, "owns_write": True}
        found = run.evaluate(**job, on=run.plan.on, of=run.reader)
        return as_numpy(found.value).astype(np.float64), found.probed

    def _written(self, presence: np.ndarray, draw: np.ndarray) -> tuple[tuple[Array, ...], tuple[Array | None, ...]]:
        """The arrays to write, ``[points, records, ...]``, and how much of the run's own value stays; an empty tuple where none does."""
        write: Leaves = []
        keep: list[Array | None] = []
        for part, blends in zip(self.parts, self.blends, strict=True):
            instead = part.stand_in(presence, draw if part.stand_in.draws > 1 else np.zeros_like(draw))
            for x, blend, other in zip(part.x, blends, instead, strict=True):
                xp = namespace(x)
                share = blend.keep(presence) if part.live else None
                row = blend(presence, other) if share is None else xp.broadcast_to(other, tuple(share.shape))
                write.append(xp.cast(row, x))
                keep.append(share)
        return tuple(write), tuple(keep) if any(k is not None for k in keep) else ()


def joint(draws: Sequence[int]) -> int:
    """How many stand-ins there are where several removals have some each: one goes with all, and equally many go together, in order.

    Raises FeatureError for others.
    """
    several = sorted({n for n in draws if n > 1})
    if len(several) > 1:
        there = "value i of one goes with value i of the others"
        try_ = "as many of each, such as rows of one table"
        raise FeatureError(f"removals with {several} values each in one game", there=there, try_=try_)
    return several[0] if several else 1
