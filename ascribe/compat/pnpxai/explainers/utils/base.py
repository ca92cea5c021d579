"""The base of functions with settings that can be tuned."""

from __future__ import annotations

import copy
from typing import Any


class UtilFunction:
    """A function with settings: a copy with others is ``set_kwargs``; ``get_tunables`` has the search space."""

    def copy(self) -> Any:
        """Returns a copy."""
        return copy.copy(self)

    def set_kwargs(self, **kwargs: Any) -> Any:
        """Returns a copy with other settings."""
        clone = self.copy()
        for key, value in kwargs.items():
            setattr(clone, key, value)
        return clone

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Returns the settings that can be tuned, each with its type and range."""
        return {}

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({settings})"
