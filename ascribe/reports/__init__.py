"""Reports: one HTML file that works offline, with records, attributions of several methods, checks and settings."""

from .cards import Card, Map, cards
from .page import write_report
from .results import report

__all__ = ["Card", "Map", "cards", "report", "write_report"]
