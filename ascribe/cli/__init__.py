"""The command line: ``ascribe demo``, ``methods``, ``doctor``, ``show``."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
