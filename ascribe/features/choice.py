"""What the features are where nobody says: every number while there are few, and groups of them that are told where there are many."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..arrays import namespace
from .base import Features, Groups, Scene, counted
from .pictures import Grid, Segments
from .plain import Channels, Each, Tokens
from .superpixels import Superpixels, available

FEW = 256
"""More numbers than these are not removed one by one unless the user says so."""
LEAST = 16
"""Pictures of fewer pixels along a side have no superpixels worth the name."""


@dataclass(frozen=True)
class Automatic:
    """Tokens for token ids; each number where there are at most 256; else superpixels, a grid, stretches of a series, or channels."""

    def groups(self, scene: Scene) -> Groups:
        chosen = self.choice(scene)
        found = chosen.groups(scene)
        return replace(found, chosen=not isinstance(chosen, (Each, Tokens)))

    @staticmethod
    def choice(scene: Scene) -> Features:
        """The features for what is at the scene."""
        shapes = scene.shapes
        if all(not namespace(v).is_floating(v) for v in scene.values) and all(len(s) == 1 for s in shapes):
            return Tokens()
        if sum(map(counted, shapes)) <= FEW or min(map(len, shapes)) < 2:
            return Each()
        if scene.layer:
            return Channels()
        if all(len(s) == 3 for s in shapes):
            sides = [side for s in shapes for side in s[-2:]]
            return Superpixels() if available() and min(sides) >= LEAST else Grid(min(8, *sides))
        return Segments(min(16, *(s[-1] for s in shapes)))
