"""Demands of a recorded run: values that the tape starts from, values that relevance is passed back to, and the modules that run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....arrays import Array
from ....tree import Path
from ..demands import Demand, Write
from .record import Recorder


@dataclass
class WriteSource(Write):
    """Replaces the value by others that the tape starts from; ``seen`` has the tensors that the model goes on with."""

    recorder: Recorder | None = None

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        assert self.recorder is not None
        with self.recorder.pause():
            value = super().handle(call, path, leaf)
        value = self.recorder.source(value)
        self.seen[-1] = call, path, value
        return value


@dataclass
class Source(Demand):
    """The tape starts from the model's own value."""

    recorder: Recorder | None = None

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        assert self.recorder is not None
        value = self.recorder.source(leaf)
        self.seen.append((call, path, value))
        return value


@dataclass
class Target(Demand):
    """Relevance is passed back to the value."""

    recorder: Recorder | None = None

    def handle(self, call: int, path: Path, leaf: Array) -> Array:
        assert self.recorder is not None
        value = self.recorder.mark(leaf)
        self.seen.append((call, path, value))
        return value


@dataclass
class Follow(Demand):
    """Follows which layer the operations run in."""

    recorder: Recorder | None = None

    def visit(self, call: int, tree: Any) -> Any:
        assert self.recorder is not None
        places, layer = self.recorder.places, self.cut.layer
        if self.cut.anchor == "in":
            places.append(layer)
        elif layer in places:
            del places[len(places) - 1 - places[::-1].index(layer) :]
        return tree
