"""Members of the grammar are values: their repr can be pasted back, and says only what differs from the default."""

from __future__ import annotations

import dataclasses
from typing import Any

POSITIONAL = 1


class Value:
    """A dataclass's repr in short: the first field by position, the others by name where they are not the default."""

    def __repr__(self) -> str:
        shown = []
        for i, f in enumerate(dataclasses.fields(self)):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            default = f.default if f.default is not dataclasses.MISSING else dataclasses.MISSING
            if f.repr and not _same(value, default):
                shown.append(written(value) if i < POSITIONAL else f"{f.name}={written(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def written(value: Any) -> str:
    """A value in an expression: arrays by their shape only, never their numbers."""
    shape = getattr(value, "shape", None)
    return f"<{'x'.join(map(str, shape)) or 'number'} array>" if isinstance(shape, tuple) else repr(value)


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and not hasattr(value, "shape") and bool(value == default))
