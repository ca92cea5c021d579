"""What the features are where nobody says: every number while there are few, and groups of them that are told where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..arrays import Array, namespace
from .base import Features, Groups, Scene, counted
from .pictures import Grid, Segments
from .plain import Channels, Each, Several, Tokens
from .superpixels import Superpixels, available

FEW = 256
"""More numbers than these are not removed one by one unless the user says so."""
LEAST = 16
"""Pictures of fewer pixels along a side have no superpixels worth the name."""
FEWEST = 4
"""Fewer patches than these explain nothing."""


@dataclass(frozen=True)
class Automatic:
    """Tokens for token ids; each number where there are at most 256, and of a table; else superpixels, a grid, stretches of a series, or
    channels. Arrays of several kinds have features of their own each.
    """

    def groups(self, scene: Scene) -> Groups:
        few = sum(map(counted, scene.shapes)) <= FEW
        chosen = [self.choice(value, few, scene.layer) for value in scene.values]
        found = together(chosen).groups(scene)
        if found.count < FEWEST and any(isinstance(one, Superpixels) for one in chosen):  # a picture of noise is a single patch
            chosen = [self.choice(value, few, scene.layer, False) for value in scene.values]
            found = together(chosen).groups(scene)
        return replace(found, chosen=not all(isinstance(one, (Each, Tokens)) for one in chosen))

    @staticmethod
    def choice(value: Array, few: bool, layer: bool, patches: bool = True) -> Features:
        """The features for one array ``[1, ...]``; ``few`` where all arrays together are no more than can be removed one by one."""
        shape = tuple(value.shape[1:])
        words = getattr(value.dtype, "kind", "") in ("O", "U")
        if len(shape) == 1 and not words and not namespace(value).is_floating(value):
            return Tokens()
        if few or len(shape) < 2:
            return Each()
        if layer:
            return Channels()
        if len(shape) == 3:
            return Superpixels() if patches and available() and min(shape[-2:]) >= LEAST else Grid(min(8, *shape[-2:]))
        return Segments(min(16, shape[-1]))


def together(chosen: Sequence[Features]) -> Features:
    """What was chosen for each array, as features of them all."""
    return chosen[0] if all(one == chosen[0] for one in chosen) else Several(tuple(chosen))
