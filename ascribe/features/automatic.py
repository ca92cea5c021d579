"""The default features: single elements if there are few, and groups of elements, reported in a check, if there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..arrays import Array, namespace
from ..utils.record_layout import MOST_CHANNELS, format_shape, is_channels_last, is_series, time_axis
from ..values import Value
from .base import FeatureContext, Features, Groups, count_elements
from .coordinates import Channels, EachElement, PerArray, Tokens
from .grids import Grid, Segments
from .superpixels import Superpixels, is_available

FEW = 256
"""The largest number of elements that are removed one by one by default."""
LEAST = 16
"""Images with fewer pixels along a side have no useful superpixels."""
BLOCKS = 4
"""The number of parts along each side of a volume."""


@dataclass(frozen=True, repr=False)
class Automatic(Value):
    """Chooses the features from the type and the shape of the values: the default of ``features=``.

    *Use it when* you start; the check ``features`` of the result reports the choice. The rules, for each array:

    - token ids and embedded tokens: :class:`Tokens`;
    - a table, or at most 256 elements in total: :class:`EachElement`;
    - an image: :class:`Superpixels`, or :class:`Grid` without scikit-image and for small images; a volume: :class:`Grid`;
    - a series: :class:`Segments`; a layer: :class:`Channels`.

    A record with two axes is a greyscale image if both sides are long and of similar length, and a series otherwise.
    """

    def groups(self, context: FeatureContext) -> Groups:
        is_small = sum(map(count_elements, context.shapes)) <= FEW
        pairs = list(zip(context.values, context.names, strict=True))
        chosen = [self.choose(value, is_small, context.layer, name) for value, name in pairs]
        groups = combine_features(chosen).groups(context)
        if groups.warning and any(isinstance(one, Superpixels) for one in chosen):  # an image of noise is a single patch
            chosen = [self.choose(value, is_small, context.layer, name, False) for value, name in pairs]
            groups = combine_features(chosen).groups(context)
        grey = [s for s, one in zip(context.shapes, chosen, strict=True) if len(s) == 2 and isinstance(one, (Grid, Superpixels))]
        if grey:
            series = f"features=asc.Segments(16, axis={time_axis(grey[0]) + 1}) for a series"
            groups = replace(groups, description=f"{groups.description} of a greyscale image {format_shape(grey[0])} ({series})")
        return replace(groups, is_default=not all(isinstance(one, (EachElement, Tokens)) for one in chosen))

    @staticmethod
    def choose(value: Array, is_small: bool, layer: bool, name: str = "", patches: bool = True) -> Features:
        """Returns the features for one array ``[1, ...]``; ``is_small`` is True if all arrays together have at most 256 elements."""
        shape = tuple(value.shape[1:])
        words = getattr(value.dtype, "kind", "") in ("O", "U")
        if len(shape) == 1 and not words and not namespace(value).is_floating(value):
            return Tokens()
        if len(shape) == 2 and "embed" in name and not layer:
            return Tokens()
        if is_small or len(shape) < 2:
            return EachElement()
        if layer:
            return Channels()
        if len(shape) == 2 and is_series(shape):
            return Segments(min(16, shape[time_axis(shape)]))
        if is_channels_last(shape):
            shape = (shape[-1], *shape[:-1])
        if len(shape) < 4:
            return Superpixels() if patches and is_available() and min(shape[-2:]) >= LEAST else Grid(min(8, *shape[-2:]))
        frames = len(shape) == 4 and shape[1] <= MOST_CHANNELS < shape[0]  # [frames, channels, height, width]
        return Grid(tuple(1 if frames and i == 1 else min(BLOCKS, n) for i, n in enumerate(shape) if i or frames))


def combine_features(chosen: Sequence[Features]) -> Features:
    """Returns the features chosen for each array as features of all arrays."""
    return chosen[0] if all(one == chosen[0] for one in chosen) else PerArray(tuple(chosen))
