"""Reports: one HTML file that works offline, with records, attributions of several methods, checks and settings."""

from .cards import Card, Map, cards
from .page import write_report

__all__ = ["Card", "Map", "cards", "write_report"]
