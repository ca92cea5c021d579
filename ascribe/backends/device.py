"""The device that a model runs on: when it is done, when its memory is full, and how much of it is free."""

from __future__ import annotations

import os
from typing import Protocol

SHARE = 0.5
"""The share of the free memory of the computer that one chunk may take."""
UNKNOWN = 1 << 33
"""Bytes that are taken to be free where the operating system does not say."""


class Device(Protocol):
    """The device of a session."""

    def wait(self) -> None:
        """Return when all work that was started on the device is done."""

    def out_of_memory(self, error: BaseException) -> bool:
        """True if an error says that the memory is full, so that fewer rows at once may fit; frees what the framework holds back."""

    def spare_memory(self) -> int:
        """Bytes that a chunk may take."""


class Host:
    """The computer itself, which has done its work when a call returns."""

    def wait(self) -> None:
        """Return: nothing runs in the background."""

    def out_of_memory(self, error: BaseException) -> bool:
        """True for MemoryError."""
        return isinstance(error, MemoryError)

    def spare_memory(self) -> int:
        """Half of the free memory."""
        return free_memory()


def free_memory() -> int:
    """Bytes of the computer's memory that a chunk may take: half of the free ones, or 8 GB where the system does not say (macOS)."""
    known = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" not in known or "SC_PAGE_SIZE" not in known:
        return UNKNOWN
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * SHARE)
    except (OSError, ValueError):
        return UNKNOWN
