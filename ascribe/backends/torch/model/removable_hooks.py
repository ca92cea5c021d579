"""Hooks on modules that are gone afterwards, whatever happens: also where an interrupt comes between any two lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import nn

from .internals import HAS_HOOKS, HOOKS, OPTIONS

PLACED: ContextVar[list[Hooks] | None] = ContextVar("ascribe_torch_placed", default=None)
"""Hooks of the session in this context that are in place; it takes away what an interrupt has left."""


class Owner(Protocol):
    """An object that listens to a module; its bound methods are the hooks, so that they can be found again."""

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any: ...
    def after(self, module: nn.Module, args: Any, output: Any) -> Any: ...


class Hooks:
    """Hooks that belong together. Each is noted before it is placed: none can be in place that is not known."""

    def __init__(self) -> None:
        self.placed: list[tuple[nn.Module, Owner]] = []
        self.handles: list[Any] = []

    def place(self, module: nn.Module, owner: Owner, before: bool, after: bool) -> None:
        """Let an owner listen to what goes into a module, to what comes out, or to both."""
        self.placed.append((module, owner))
        handles = [module.register_forward_pre_hook(owner.before, with_kwargs=True)] if before else []
        handles += [module.register_forward_hook(owner.after)] if after else []
        if not HAS_HOOKS:
            self.handles += handles

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Take the hooks away at the end; the session around does if this does not come to it."""
        session = PLACED.get()
        if session is not None:
            session.append(self)
        try:
            yield
        finally:
            self.unhook()
            if session is not None and self in session:
                session.remove(self)

    def unhook(self) -> None:
        """Take away the hooks; once more where an interrupt came in between."""
        while self.placed:
            module, owner = self.placed[-1]
            for side in HOOKS:
                hooks = getattr(module, side, {})
                for key in [key for key, function in hooks.items() if getattr(function, "__self__", None) is owner]:
                    for name in (*OPTIONS, *HOOKS):
                        getattr(module, name, {}).pop(key, None)
            self.placed.pop()
        while self.handles:
            self.handles[-1].remove()
            self.handles.pop()
