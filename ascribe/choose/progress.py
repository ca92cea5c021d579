"""A line of progress for work in steps of unequal length."""

from __future__ import annotations

from ..engine.chunks import Progress


class Steps:
    """Counts steps and shows them as the engine shows rows: on a terminal after two seconds, always, or never."""

    def __init__(self, total: int, wanted: bool | None) -> None:
        self.line = Progress(total, wanted)

    def advance(self) -> None:
        """Counts one step."""
        self.line.advance(1)

    def close(self) -> None:
        """Clears the line."""
        self.line.close()
