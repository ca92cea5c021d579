"""Text of others (names, messages, files) made safe to show: the one place where control characters are taken out."""

from __future__ import annotations


def escape_control(text: str) -> str:
    """``text`` with control characters (C0, C1) and reversals of direction written as escapes, so that no terminal acts on them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
