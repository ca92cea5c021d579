"""Classes that mark their calls: a subclass for each class of a library and each path in a model.

A copy of a model gets them while it is traced; the user's model and classes stay as they are. The path is part of the class, so that it
survives wherever JAX takes a module apart and builds it again: in ``jit``, ``scan``, ``vmap`` and ``remat`` inside the model.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

from .tags import call_marked, kind_of

LOCK = threading.RLock()
MARKED: dict[tuple[type, str], type] = {}
"""The subclasses by class and path. JAX holds every class of modules for as long as the process lives."""


class Unregistered:
    """A base class before the others in the order of methods: their ``__init_subclass__``, which may list classes, is not called."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Do nothing."""


def marked_class(cls: Any, path: str) -> Any:
    """The subclass of a class whose calls are marked with a path; the class itself at the root of a model."""
    if not path:
        return cls
    with LOCK:
        made = MARKED.get((cls, path))
        if made is None:
            made = MARKED[cls, path] = _made(cls, path)
        return made


def _made(cls: Any, path: str) -> Any:
    kind = kind_of(cls)

    @functools.wraps(cls.__call__, updated=())
    def marked_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call_marked(super(made, self).__call__, args, kwargs, path, kind)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, "__call__": marked_call}
    meta: Any = type(cls)
    made: Any = metaclass(meta)(cls.__name__, (cls,), names)
    return made


@functools.lru_cache(maxsize=64)
def metaclass(meta: Any) -> Any:
    """A metaclass whose classes have :class:`Unregistered` behind them. As it is no base, their objects keep their layout in memory."""

    def mro(cls: Any) -> Any:
        first, *others = meta.mro(cls)
        return [first, Unregistered, *others]

    return type(meta.__name__, (meta,), {"mro": mro})


def joined(prefix: str, path: Any) -> str:
    """A path as users write it: its parts with dots, after a prefix."""
    return ".".join(str(part) for part in ((prefix, *path) if prefix else path))
