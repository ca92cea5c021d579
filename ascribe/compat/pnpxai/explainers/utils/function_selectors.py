"""A registry of functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FunctionSelector:
    """Functions by key, made with default settings: ``select(key, **settings)``."""

    def __init__(self, data: dict[str, Callable[..., Any]] | None = None, default_kwargs: dict[str, Any] | None = None) -> None:
        self._data, self._default_kwargs = dict(data or {}), dict(default_kwargs or {})

    @property
    def choices(self) -> list[str]:
        """The known keys."""
        return list(self._data)

    def add(self, key: str, value: Callable[..., Any]) -> Callable[..., Any]:
        """Adds a function and returns it."""
        self._data[key] = value
        return value

    def get(self, key: str) -> Callable[..., Any]:
        """Returns the function of a key."""
        return self._data[key]

    def delete(self, key: str) -> Callable[..., Any] | None:
        """Removes a function and returns it; None if there is none."""
        return self._data.pop(key, None)

    def all(self) -> list[Callable[..., Any]]:
        """Returns all functions."""
        return list(self._data.values())

    def select(self, key: str, **kwargs: Any) -> Any:
        """Returns the function of a key, made with the default settings and these."""
        return self.get(key)(**{**self._default_kwargs, **kwargs})

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Returns the choice of the key as a search space."""
        return {"method": (list, {"choices": self.choices})}
