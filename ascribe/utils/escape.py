"""Escaping of control characters in text from users, models and files."""

from __future__ import annotations


def escape_control(text: str) -> str:
    """Returns ``text`` with control characters (C0, C1) and bidirectional overrides as escapes, which terminals do not execute."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
