"""The command line: ``ascribe demo``, ``methods``, ``doctor``, ``show``."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
