"""The command line: ``ascribe explain``, ``compare``, ``report``, ``show``, ``methods``, ``doctor``, ``demo``."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
