"""The executor by itself: every point once and in order, whatever fits, and nothing written unless asked."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.engine.chunks import Chunker, Progress, first_chunk, show_progress, stream
from ascribe.errors import MemoryLimitError


class Full(Exception):
    """More rows at once than there is room for."""


def run(points: int, records: int, chunker: Chunker, room: int, typical: bool = True) -> list[tuple[int, int]]:
    """The steps that were done, of those that were tried."""
    done: list[tuple[int, int]] = []

    def step(first: int, last: int) -> bool:
        if (last - first) * records > room:
            raise Full
        done.append((first, last))
        return typical

    stream(points, records, chunker, step, wait=lambda: None, out_of_memory=lambda e: isinstance(e, Full),
           progress=Progress(points * records, False))  # fmt: skip
    return done


@given(points=st.integers(1, 200), records=st.integers(1, 6), size=st.integers(1, 500), room=st.integers(6, 300), fixed=st.booleans(),
       typical=st.booleans())  # fmt: skip
def test_every_point_once_and_in_order(points: int, records: int, size: int, room: int, fixed: bool, typical: bool) -> None:
    chunker = Chunker(size, fixed=fixed)
    done = run(points, records, chunker, room, typical)
    assert [k for first, last in done for k in range(first, last)] == list(range(points))
    assert all((last - first) * records <= room for first, last in done)


@given(size=st.integers(1, 4096), room=st.integers(1, 64))
def test_what_did_not_fit_is_not_tried_again(size: int, room: int) -> None:
    chunker = Chunker(size)
    run(500, 1, chunker, room)
    tried: list[int] = []

    def step(first: int, last: int) -> bool:
        tried.append(last - first)
        return True

    stream(500, 1, chunker, step, wait=lambda: None, out_of_memory=lambda e: False, progress=Progress(1, False))
    assert max(tried) <= room


def test_other_errors_pass_through_and_interrupts_do() -> None:
    for error in (ValueError("no"), KeyboardInterrupt(), Full()):

        def step(first: int, last: int, error: BaseException = error) -> bool:
            raise error

        with pytest.raises(type(error)):
            stream(5, 1, Chunker(2), step, wait=lambda: None, out_of_memory=lambda e: False, progress=Progress(5, False))


def test_a_chunk_of_one_row_cannot_be_halved() -> None:
    with pytest.raises(MemoryLimitError, match="E-MEMORY"):
        Chunker(8).halve(1)


def test_growth_needs_a_gain() -> None:
    """Time per row that falls until 32 rows and rises from there: the size that is settled on is near it."""
    cost = {rows: rows * (1e-3 if rows >= 32 else 1e-3 * 32 / rows) * (rows / 32 if rows > 32 else 1) for rows in (2**k for k in range(12))}
    chunker = Chunker(1)
    for _ in range(30):
        rows = chunker.rows(10**6)
        chunker.record_time(rows, cost[rows])
    assert chunker.settled
    assert 16 <= chunker.size <= 64


def test_a_tie_goes_to_the_smaller_chunk() -> None:
    chunker = Chunker(4)
    for _ in range(30):
        rows = chunker.rows(10**6)
        chunker.record_time(rows, rows * 1e-2)
    assert chunker.settled
    assert chunker.size == 4


def learnt(cost: Any, calls: int, rows: int, chunker: Chunker) -> list[int]:
    """The chunks of the last of some calls of so many rows, where a chunk takes ``cost(rows, k)`` seconds, k counting chunks."""
    seen = 0
    for _ in range(calls):
        chunker, left, chunks = chunker.again(), rows, []
        while left:
            chunks.append(count := chunker.rows(left))
            chunker.record_time(count, cost(count, seen))
            seen, left = seen + 1, left - count
    return chunks


def test_small_gains_add_up() -> None:
    """Four in a hundred less for every doubling: none by itself is much, six together are a quarter."""
    assert learnt(lambda rows, k: rows * 1e-3 * 0.96 ** np.log2(rows), 8, 256, Chunker(4)) == [256]


def test_a_size_that_is_much_worse_is_tried_twice_only() -> None:
    """Eight times the rows outgrow the caches and take 1.7 times as long for each: the third chunk is of a smaller size again."""
    chunker, sizes = Chunker(128), []
    for _ in range(6):
        sizes.append(rows := chunker.rows(10**6))
        chunker.record_time(rows, rows * (1.7e-5 if rows > 128 else 1e-5))
    assert sizes.count(1024) == 2
    assert sizes[-1] == 128


def test_one_slow_chunk_does_not_stop_growth() -> None:
    """The first chunk of every size touches its memory, and takes twice as long."""
    met: set[int] = set()

    def cost(rows: int, k: int) -> float:
        cold = rows not in met
        met.add(rows)
        return (0.01 + rows * 1e-4) * (2 if cold else 1)

    assert learnt(cost, 8, 512, Chunker(8)) == [512]


def test_calls_too_small_to_try_a_size_settle_on_what_is_best_for_them() -> None:
    """A call's rows all together are tried too; where they are slower than fewer at once, fewer it is."""
    assert learnt(lambda rows, k: rows * (0.01 if rows <= 16 else 0.012), 9, 64, Chunker(4)) == [4] * 16
    assert learnt(lambda rows, k: 0.1 + rows * (0.01 if rows <= 16 else 0.05), 9, 64, Chunker(4)) == [16] * 4
    assert learnt(lambda rows, k: 0.1 + rows * 0.01, 9, 64, Chunker(4)) == [64]


def test_a_few_rows_over_go_along_but_never_past_a_bound() -> None:
    chunker, bounded = Chunker(64), Chunker(64)
    bounded.cap(64)
    assert chunker.rows(68) == 68
    assert bounded.rows(68) == 64
    bounded.settle(64)
    assert bounded.rows(68) == 34
    assert Chunker(64, fixed=True).rows(68) == 34


@pytest.mark.parametrize("records", [3, 5, 7, 11])
def test_sizes_grow_for_any_number_of_records(records: int) -> None:
    """Chunks are whole points: a size is tried by the nearest number of rows."""
    chunker = Chunker(16)
    for _ in range(12):
        rows = max(1, round(chunker.rows(10**6) / records)) * records
        chunker.record_time(rows, 0.01 + rows * 1e-5)
    assert chunker.best() > 64


def test_growth_stops_at_half_a_second_and_at_the_cap() -> None:
    slow, capped = Chunker(4), Chunker(4)
    capped.cap(10)
    for _ in range(30):
        slow.record_time(rows := slow.rows(10**6), 0.6 + 0.001 / rows)
        capped.record_time(rows := capped.rows(10**6), 1e-3)
        assert rows <= 10
    assert slow.size == 4
    assert capped.size <= 10


def test_the_last_chunks_are_even() -> None:
    chunker = Chunker(10, fixed=True)
    assert [chunker.rows(left) for left in (100, 21, 14, 7)] == [10, 7, 7, 7]


@given(st.integers(1, 10**7), st.integers(0, 10**9), st.integers(1, 10**5))
def test_the_first_chunk_is_small_and_a_power_of_two_or_the_records(numbers: int, weights: int, records: int) -> None:
    size = first_chunk(numbers, weights, records)
    assert 1 <= size <= 512
    assert size & (size - 1) == 0 or size == records


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stderr", "wanted", "shown"), [
    (Terminal, None, True), (Terminal, True, True), (Terminal, False, False), (io.StringIO, None, False), (io.StringIO, False, False),
    (io.StringIO, True, True)])  # fmt: skip
def test_progress_is_shown_where_wanted(monkeypatch: pytest.MonkeyPatch, stderr: Any, wanted: bool | None, shown: bool) -> None:
    out, now = stderr(), [0.0]
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr("ascribe.engine.chunks.time.monotonic", lambda: now[0])
    with show_progress(100, wanted) as progress:
        progress.advance(1)
        assert out.getvalue() == ""  # short work shows nothing
        now[0] = 20.0
        progress.advance(49)
        assert ("50%" in out.getvalue()) == shown
    if shown and stderr is Terminal:
        assert out.getvalue().endswith("\r\x1b[K")  # the line is cleared


def test_progress_is_cleared_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr("ascribe.engine.chunks.time.monotonic", lambda: now[0])
    with pytest.raises(KeyboardInterrupt), show_progress(0, True) as progress:
        now[0] = 20.0
        progress.advance(5)  # more than the total, which is 0
        raise KeyboardInterrupt
    assert out.getvalue().endswith("\r\x1b[K")
