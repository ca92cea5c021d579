"""The progress line that captum's methods show with ``show_progress=True``, also if stderr is no terminal."""

from __future__ import annotations

import time

from ....engine.chunks import Progress

WIDTH = 10
INTERVAL = 0.5
"""Seconds between two states of the line."""


class CaptumProgress(Progress):
    """Shows the name of a method, the percentage done, a bar, the time spent and the time left."""

    def __init__(self, name: str, total: int) -> None:
        super().__init__(max(total, 1), True)
        self.name = name
        self._show()

    def advance(self, rows: int) -> None:
        """Counts rows and shows the line if the interval has passed."""
        self.done += rows
        if time.monotonic() - self.last >= INTERVAL:
            self._show()

    def complete(self) -> None:
        """Shows 100 %; a method may need fewer rows than planned."""
        self.done = self.total
        self._show()

    def close(self) -> None:
        """Ends the line."""
        if self.wanted:
            self._write("\n")

    def _show(self) -> None:
        if not self.wanted:
            return
        self.last = time.monotonic()
        done, taken = min(self.done, self.total), self.last - self.start
        bar = "#" * (WIDTH * done // self.total)
        left = f"{format_minutes(taken * (self.total - done) / done)}, {done / max(taken, 1e-9):.2f}it/s" if done else "?, ?it/s"
        self._write(f"\r{self.name}: {done / self.total:4.0%}|{bar:<{WIDTH}}| {done}/{self.total} [{format_minutes(taken)}<{left}]")


def format_minutes(seconds: float) -> str:
    """Returns a duration as minutes and seconds."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
