"""``trulens.visualizations``: attributions as images, as masks over images, and as coloured text."""

from __future__ import annotations

from .images import HeatmapVisualizer, Tiler, Visualizer
from .masks import ChannelMaskVisualizer, MaskVisualizer
from .text import HTML, NLP, IPython, Output, PlainText

__all__ = [
    "HTML",
    "NLP",
    "ChannelMaskVisualizer",
    "HeatmapVisualizer",
    "IPython",
    "MaskVisualizer",
    "Output",
    "PlainText",
    "Tiler",
    "Visualizer",
]
