"""Functions for nested arguments and outputs: tuples, lists, dicts, dataclasses and outputs of Hugging Face models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Path = tuple[int | str, ...]
PLAIN = (bool, int, float, str, bytes, type(None))
DEEP = 500
"""Containers within containers, above which the outermost is taken to hold itself."""


def children(value: Any) -> list[tuple[int | str, Any]] | None:
    """Returns the parts of a container with their keys; None if ``value`` is not a container."""
    kind = type(value)  # the most frequent types first: they are the cheapest to test
    if kind is tuple or kind is list:
        return list(enumerate(value))
    if kind is dict:
        return list(value.items())
    if hasattr(value, "dtype") or isinstance(value, PLAIN):
        return None
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, (tuple, list)) and type(value).__name__ != "Size":
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return None


def walk(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Returns every leaf with its path, in order. None is a leaf; an unknown object (a cache, a config) is one too.

    Raises RecursionError for a container that holds itself.
    """
    leaves: list[tuple[Path, Any]] = []
    waiting = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        kind = type(value)
        if kind is tuple or kind is list:
            parts: Any = enumerate(value)
        elif kind is dict:
            parts = value.items()
        elif hasattr(value, "dtype") or (parts := children(value)) is None:
            leaves.append((path, value))
            continue
        if len(path) > DEEP:
            raise RecursionError("The arguments are nested too deeply, or contain themselves")
        waiting += [((*path, key), part) for key, part in parts][::-1]
    return leaves


def follow(value: Any, path: Path) -> Any:
    """Returns the part of ``value`` at ``path``, a tuple of keys, indices and attribute names.

    Raises KeyError, IndexError or AttributeError if the path does not exist.
    """
    for key in path:
        if isinstance(key, str) and not isinstance(value, Mapping):
            value = getattr(value, key)
        else:
            value = value[key]
    return value


def normalize_path(value: Any, path: Path) -> Path:
    """Returns the same path with negative indices replaced by non-negative ones.

    Raises KeyError, IndexError or AttributeError if the path does not exist.
    """
    if not [key for key in path if isinstance(key, int) and key < 0]:
        follow(value, path[:-1])
        return path
    result: list[int | str] = []
    for key in path:
        here = follow(value, tuple(result))
        negative = isinstance(key, int) and key < 0 and isinstance(here, (tuple, list))
        result.append(int(key) + len(here) if negative else key)
    return tuple(result)


def map_leaves(value: Any, change: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """Returns a copy of ``value`` with each leaf replaced by ``change(path, leaf)``; containers keep their types."""
    kind = type(value)
    if kind is tuple or kind is list:
        changed = [
            change((*path, key), part) if hasattr(part, "dtype") else map_leaves(part, change, (*path, key))
            for key, part in enumerate(value)
        ]
        return tuple(changed) if kind is tuple else changed
    if kind is dict:
        return {
            key: change((*path, key), part) if hasattr(part, "dtype") else map_leaves(part, change, (*path, key))
            for key, part in value.items()
        }
    parts = children(value)
    if parts is None:
        return change(path, value)
    new = [(key, map_leaves(part, change, (*path, key))) for key, part in parts]
    if isinstance(value, Mapping):
        return _mapping_like(value, dict(new))
    if isinstance(value, (tuple, list)):
        items = [part for _, part in new]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    fresh = object.__new__(type(value))  # a dataclass: do not run __init__ again
    if hasattr(value, "__dict__"):  # not with slots=True
        fresh.__dict__.update(value.__dict__)
    for key, part in new:
        object.__setattr__(fresh, str(key), part)
    return fresh


def replace_leaves(value: Any, news: Mapping[Path, Any]) -> Any:
    """Returns a copy of ``value`` with the leaves at the given paths replaced; ``value`` itself if there are none."""
    return map_leaves(value, lambda path, leaf: news.get(path, leaf)) if news else value


def _mapping_like(value: Mapping[Any, Any], new: dict[Any, Any]) -> Any:
    if dataclasses.is_dataclass(value):  # a Hugging Face output: both an ordered dict and a dataclass
        return type(value)(**new)
    fresh = value.copy() if hasattr(value, "copy") else dict(value)
    for key, part in new.items():
        fresh[key] = part
    return fresh
