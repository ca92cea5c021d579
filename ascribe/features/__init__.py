"""Features: groups of coordinates that are removed together. The values of ``features=``."""

from __future__ import annotations

from ..utils.record_layout import is_channels_last
from .automatic import Automatic
from .base import FeatureContext, Features, Groups
from .coordinates import Channels, Columns, EachElement, Hierarchy, Masks, Tokens, as_features
from .grids import Grid, Pixels, Segments, Windows
from .superpixels import Superpixels

__all__ = [
    "Automatic",
    "Channels",
    "Columns",
    "EachElement",
    "FeatureContext",
    "Features",
    "Grid",
    "Groups",
    "Hierarchy",
    "Masks",
    "Pixels",
    "Segments",
    "Superpixels",
    "Tokens",
    "Windows",
    "as_features",
    "is_channels_last",
]
