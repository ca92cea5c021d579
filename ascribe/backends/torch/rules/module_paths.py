"""The path of the layer in which an operation runs, kept during one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..run.layers import Layers


class Trail:
    """The paths of the running layers, the innermost last."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    @property
    def here(self) -> str:
        return self.paths[-1] if self.paths else ""

    @contextmanager
    def kept(self, layers: Layers | None, run: object) -> Iterator[None]:
        """Follows a run through a model's layers; another thread's run through the same ones is not followed."""
        if layers is None:
            yield
            return
        with layers.follow(self.paths, run):
            yield
