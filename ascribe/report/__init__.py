"""One HTML file that opens anywhere, offline: records, their attributions side by side, checks, settings."""

from .cards import Card, Map, cards
from .page import write_report

__all__ = ["Card", "Map", "cards", "write_report"]
