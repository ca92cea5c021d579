"""Members of the grammar are values: their repr can be pasted back, and says only what differs from the default."""

from __future__ import annotations

import dataclasses
from typing import Any


class Value:
    """A dataclass's repr in short: the first field and the required ones by position, others by name where not the default."""

    def __repr__(self) -> str:
        shown = []
        for i, f in enumerate(dataclasses.fields(self)):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            default = f.default
            if f.repr and not _same(value, default):
                positional = default is dataclasses.MISSING or i == 0
                shown.append(written(value) if positional else f"{f.name}={written(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def written(value: Any) -> str:
    """A value in an expression: arrays by their shape only, never their numbers."""
    shape = getattr(value, "shape", None)
    return f"<{'x'.join(map(str, shape)) or 'number'} array>" if isinstance(shape, tuple) else repr(value)


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and not hasattr(value, "shape") and bool(value == default))
