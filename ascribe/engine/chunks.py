"""The executor: how many rows at once, what to do when they do not fit, and how far along things are.

Every method runs through here and nothing else chunks. A row is one record at one point. Chunks are rectangles, some points
for some records, so that nothing has to be gathered or scattered.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..backends.protocol import Evidence, Job, Session
from ..errors import MemoryLimitError

Result = TypeVar("Result")
Run = Callable[[Job], Evidence]
"""A session's ``evaluate``, or its ``summed`` with the points of paths."""

START_NUMBERS = 32768  # numbers per chunk to begin with: small enough for any cache, so that a worse size is never tried first
SLOW = 0.5  # seconds per chunk at which growth stops: progress and interrupts must not wait longer
GAIN = 0.98  # a larger chunk has to take at most this share of the time per row; a tie goes to the smaller one
WORSE = 1.25  # times the best time per row from which larger chunks are not tried: caches and allocator are outgrown
OVER = 1.25  # times a size: so many rows are not worth a chunk more
SURE = 1.5  # times the best time per row: two chunks of such a size are enough to believe it
FEW_CHUNKS = 4  # times the first size: so many rows run at once where every size costs a program
ENOUGH = 0.01  # seconds of a chunk from which a larger one saves less than the program that it needs costs
LOSSES, TIES = 4, 2  # chunks after which a size is believed to be worse, or no better: other work on the machine only ever slows
HALVED = 0.6  # times the last size's time per row: a larger chunk costs hardly more, and the next may be larger by more


class Chunker:
    """Chooses how many rows to run at once by what it measures.

    The time per row falls with the number of rows as long as overhead counts, and rises again where activations outgrow
    the caches and the allocator (a U, not a plateau). Sizes double until one is clearly worse or two doublings have gained nothing; the
    smallest of the best is kept. A size's time is the least of several chunks: the first of them also touches its memory. A size that is
    faster than all before it at once is gone on from. Every row run to find out is a row of the result, and finding out goes on from
    call to call.

    With ``compiles`` every size costs a program. Then all rows run at once where they are no more than a few times the size, and one other
    size is tried, only after chunks that take so little time that the cost of a chunk matters.
    """

    def __init__(self, rows: int, *, fixed: bool = False, compiles: bool = False) -> None:
        self.size, self.compiles = max(1, rows), compiles
        self.settled = fixed
        self.limit: int | None = self.size if fixed else None
        self.counted = fixed
        """True once a chunk has run whose memory was to be counted, whether the backend can count it or not."""
        self.rates: dict[int, float] = {}
        self.tries: dict[int, int] = {}

    def again(self) -> Chunker:
        """A chunker for another call that goes on from what this one has found."""
        other = object.__new__(Chunker)
        vars(other).update(vars(self), rates=dict(self.rates), tries=dict(self.tries))
        return other

    def rows(self, left: int) -> int:
        """How many rows to run next, of those that are left: a few over go along, and the last few chunks are made equal."""
        size = self.size
        if self.compiles:
            every = not self.settled and left <= FEW_CHUNKS * size and left <= (self.limit or left)
            return left if every else min(left, size)
        if not self.settled and left < size and left <= OVER * max(self.rates, default=0):
            size = self.best()  # too few are left to try more than has been tried
        if left <= OVER * size and left <= (self.limit or left):
            return left
        if not self.settled and size == self.size:
            return size
        chunks = -(-left // size)
        return -(-left // chunks) if chunks < 4 else size

    def best(self) -> int:
        """The smallest size among the fastest that were tried."""
        fast = min(self.rates.values(), default=0.0) / GAIN
        return min((size for size, rate in self.rates.items() if rate <= fast), default=self.size)

    def record_time(self, rows: int, seconds: float) -> None:
        """Learn from a chunk that has run: of the size tried (whole records make it a little more or less), or larger than any yet."""
        if self.settled or (rows * 3 < self.size * 2 and rows <= OVER * max(self.rates, default=0)):
            return
        smaller = {size: r for size, r in self.rates.items() if size < rows}
        self.rates[rows] = rate = min(seconds / rows, self.rates.get(rows, np.inf))
        self.tries[rows] = tries = self.tries.get(rows, 0) + 1
        if self.compiles:
            self._record_compiled(rows, seconds)
            return
        least = min(self.rates.values())
        enough = TIES if rate <= least or rate > SURE * least else LOSSES
        if seconds > SLOW:
            self.settle(self.best())
        elif tries < enough and rate > GAIN * min(smaller.values(), default=np.inf):
            return
        elif rate > WORSE * least or rows >= 4 * self.best() or (self.limit is not None and rows * 2 > self.limit):
            self.settle(self.best())
        else:
            cheap = bool(smaller) and rate < HALVED * smaller[max(smaller)]
            self.size = max(self.size, rows * (8 if seconds < 0.002 else 4 if seconds < 0.005 or cheap else 2))
            if self.limit is not None:
                self.size = min(self.size, self.limit)

    def _record_compiled(self, rows: int, seconds: float) -> None:
        """Learn from a chunk whose size costs a program: stay with it, or try one larger size."""
        if self.tries[rows] < TIES and seconds < SLOW:
            return
        seconds = self.rates[rows] * rows
        if len(self.rates) > 1 or seconds >= ENOUGH or (self.limit is not None and rows * 2 > self.limit):
            self.settle(self.best())
            return
        self.size = rows << max(1, min(6, int(np.log2(2 * ENOUGH / max(seconds, 1e-9)))))
        if self.limit is not None:
            self.size = min(self.size, self.limit)

    def settle(self, rows: int) -> None:
        """Stay with a size."""
        self.size, self.settled = max(1, rows), True

    def cap(self, rows: int) -> None:
        """Never run more than this many rows: they would not fit."""
        self.limit = max(1, rows)
        if self.size > self.limit:
            self.size = self.limit

    def halve(self, rows: int) -> None:
        """A chunk of this many rows did not fit.

        Raises MemoryLimitError when it was a single row.
        """
        if rows <= 1:
            raise MemoryLimitError(
                "Even a single row does not fit into memory", advice="smaller inputs, a smaller model, or another device"
            )
        self.cap(rows // 2)
        self.settle(self.size)


def first_chunk(row_numbers: int, weights: int, records: int) -> int:
    """A size to begin with: a power of two, so that a chunk holds about 32,768 numbers; at least 8 records where there are as many.

    Large models count as if their rows were larger: their activations are.
    """
    size = START_NUMBERS // max(row_numbers, weights // 256, 1)
    power = 1 << max(0, min(size, 512).bit_length() - 1)
    return max(power, min(records, 8))


def stream(
    points: int,
    records: int,
    chunker: Chunker,
    step: Callable[[int, int], bool],
    *,
    wait: Callable[[], None],
    out_of_memory: Callable[[BaseException], bool],
    progress: Progress,
    sizes: Callable[[int], int] = int,
) -> None:
    """Call ``step(first, last)`` for all points of some records, in order, in chunks; halve them when they do not fit.

    A step either completes or leaves nothing behind, so that a chunk that failed is simply run again in halves. It says whether its
    time is that of such a chunk: one that also tried the model out, or was the first to touch its memory, says nothing. ``sizes`` gives the
    rows that a backend really runs for a number of rows; chunks are of such sizes, but for the last.
    """
    done = 0
    while done < points:
        left = (points - done) * records
        count = max(1, min(points - done, round(round_to_sizes(chunker.rows(left), left, sizes) / records)))
        start = time.perf_counter()
        try:
            typical = step(done, done + count)
            if not chunker.settled:
                wait()
        except Exception as error:
            if not out_of_memory(error) or count == 1:
                raise
            chunker.halve(count * records)
            continue
        if typical:
            chunker.record_time(count * records, time.perf_counter() - start)
        done += count
        progress.advance(count * records)


def evaluate_points(
    session: Session,
    chunker: Chunker,
    progress: Progress,
    points: int,
    records: int,
    make_job: Callable[[int, int], tuple[Job, Run]],
    take: Callable[[Evidence, Job, int], None],
) -> None:
    """Evaluates all points of some records in chunks: ``make_job(first, last)`` returns the job of a chunk and what runs it.

    ``take`` keeps its result. The first chunk of all also counts its memory, which caps the chunks to come.
    """

    def step(first: int, last: int) -> bool:
        typical = chunker.counted or chunker.limit is not None
        count = not typical and not chunker.settled
        chunker.counted = True
        job, run = make_job(first, last)
        evidence = run(replace(job, count_bytes=True) if count else job)
        if count and evidence.bytes_kept:
            chunker.cap(max(1, session.device.spare_memory() * job.points * job.records // evidence.bytes_kept))
        take(evidence, job, first)
        return typical and not evidence.probed

    device = session.device
    stream(
        points,
        records,
        chunker,
        step,
        wait=device.wait,
        out_of_memory=device.out_of_memory,
        progress=progress,
        sizes=session.sizes,
    )


def round_to_sizes(rows: int, left: int, sizes: Callable[[int], int]) -> int:
    """The largest number of rows up to ``rows`` that a backend runs as it is; all that are left where they are no more than ``rows``."""
    if rows >= left or sizes(rows) == rows:
        return rows
    return min(rows, sizes(rows // 2 + 1))


def run_fitting_records(
    index: np.ndarray,
    chunker: Chunker,
    run: Callable[[np.ndarray], Result],
    *,
    out_of_memory: Callable[[BaseException], bool],
    apart: Callable[[], bool],
) -> list[Result]:
    """``run`` for some records; for one half of them and then the other where all do not fit, if they can be run ``apart``.

    Raises MemoryLimitError where there is nothing left to halve.
    """
    try:
        return [run(index)]
    except Exception as error:
        if not out_of_memory(error) or isinstance(error, MemoryLimitError):
            raise
        cause = error
    if len(index) > 1 and not apart():
        raise MemoryLimitError(
            "The records of this call do not fit into memory together, and this model cannot run them one by one",
            found=f"{len(index)} records that depend on each other",
            advice="method(model, x[:8]), fewer records in a call",
        ) from cause
    chunker.halve(len(index))
    middle = len(index) // 2
    halves = (index[:middle], index[middle:])
    return [found for half in halves for found in run_fitting_records(half, chunker, run, out_of_memory=out_of_memory, apart=apart)]


def iterate_blocks(records: int, chunker: Chunker, whole: bool, single: bool) -> Iterator[np.ndarray]:
    """Records in blocks that are run together: all of them where they cannot be run apart, one by one where they must be."""
    start = 0
    while start < records:
        size = records if whole else 1 if single else max(1, chunker.rows(records - start))
        yield np.arange(start, min(records, start + size))
        start += size


class Progress:
    """A line on stderr for work that takes long: share done and time left. None shows it on a terminal after two seconds.

    Nothing that stderr is or does ends the work: where it cannot be written to, nothing more is shown.
    """

    def __init__(self, total: int, wanted: bool | None) -> None:
        self.total, self.wanted = total, wanted
        self.done = 0
        self.start = self.last = time.monotonic()
        self.shown = False

    def advance(self, rows: int) -> None:
        """Count rows, and show a line if it is time."""
        self.done += rows
        now = time.monotonic()
        if self.wanted is False or now - self.last < 0.2 or (self.wanted is None and now - self.start <= 2):
            return
        terminal = on_terminal()
        if now - self.last >= (0.2 if terminal else 10.0) and (self.wanted or terminal):
            left = (now - self.start) * (self.total - self.done) / max(self.done, 1)
            line = f"ascribe: {min(1.0, self.done / max(self.total, 1)):4.0%} of {self.total} rows, {max(left, 0):.0f} s left"
            self.last, self.shown = now, self._write(f"\r{line}\x1b[K" if terminal else line + "\n")

    def complete(self) -> None:
        """All of the work is done."""

    def close(self) -> None:
        """Clear the line."""
        if self.shown and on_terminal():
            self._write("\r\x1b[K")

    def _write(self, text: str) -> bool:
        """Whether stderr took the text; if not, it is not asked again."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except Exception:  # None, closed, a broken pipe, no file at all
            self.wanted = False
            return False
        return True


def on_terminal() -> bool:
    """Whether stderr is a terminal; what cannot say so is none."""
    try:
        return bool(sys.stderr.isatty())
    except Exception:  # None, closed, a logger's object
        return False


ProgressOption = bool | Callable[[int], Progress] | None
"""Whether progress is shown, or a function of the number of rows that makes another kind of line."""


def open_progress(total: int, wanted: ProgressOption) -> Progress:
    """Returns the line for a number of rows; the caller closes it."""
    return wanted(total) if callable(wanted) else Progress(total, wanted)


@contextmanager
def show_progress(total: int, wanted: ProgressOption) -> Iterator[Progress]:
    """A :class:`Progress` that is cleared however the work ends."""
    progress = open_progress(total, wanted)
    try:
        yield progress
        progress.complete()
    finally:
        progress.close()
