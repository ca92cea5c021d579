"""The line that captum's methods show with ``show_progress=True``: also where stderr is no terminal."""

from __future__ import annotations

import time

from ...engine.chunks import Progress

WIDTH = 10
EVERY = 0.5
"""Seconds between two states of the line."""


class Bar(Progress):
    """The name of a method, the share of its rows that are done, a bar, and the time that it took and will take."""

    def __init__(self, name: str, total: int) -> None:
        super().__init__(max(total, 1), True)
        self.name = name
        self._show()

    def advance(self, rows: int) -> None:
        """Count rows, and show the line if it is time."""
        self.done += rows
        if time.monotonic() - self.last >= EVERY:
            self._show()

    def complete(self) -> None:
        """Show that all is done; fewer rows than were planned may have been enough."""
        self.done = self.total
        self._show()

    def close(self) -> None:
        """End the line."""
        if self.wanted:
            self._write("\n")

    def _show(self) -> None:
        if not self.wanted:
            return
        self.last = time.monotonic()
        done, taken = min(self.done, self.total), self.last - self.start
        bar = "#" * (WIDTH * done // self.total)
        left = f"{minutes(taken * (self.total - done) / done)}, {done / max(taken, 1e-9):.2f}it/s" if done else "?, ?it/s"
        self._write(f"\r{self.name}: {done / self.total:4.0%}|{bar:<{WIDTH}}| {done}/{self.total} [{minutes(taken)}<{left}]")


def minutes(seconds: float) -> str:
    """A time as minutes and seconds."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
