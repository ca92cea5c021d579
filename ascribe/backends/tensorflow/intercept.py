"""Interception of the modules of a model while it runs: their inputs and outputs pass through demands.

The ``__call__`` of the modules' classes, and that of ``tf.function``, is replaced while a run is going on, under a lock, and put back
after the last one. A replaced ``__call__`` does nothing of its own unless a run is going on in the same context: other threads are not
affected. During a run functions of ``tf.function`` run eagerly, so that the modules inside them are reached.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

from ...tree import walk
from .demands import Demand

RUNNING: ContextVar[Run | None] = ContextVar("ascribe_tensorflow_run", default=None)
LOCK = threading.RLock()
REPLACED: dict[type, tuple[int, Any, Any]] = {}
"""For each class how many runs need it, its own ``__call__``, and the replacement."""


class Run:
    """One run of a model, with demands at its modules; ``names`` are the paths of modules by identity."""

    def __init__(self, names: Mapping[int, str], demands: Sequence[Demand]) -> None:
        self.names = names
        self.demands: dict[tuple[str, str], list[Demand]] = {}
        for demand in demands:
            if demand.cut.layer:
                self.demands.setdefault((demand.cut.layer, demand.cut.anchor), []).append(demand)
        self.uses: Counter[tuple[str, str]] = Counter()

    def through(self, module: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Calls a module, with its demands."""
        name = self.names.get(id(module), "")
        if not name:
            return call(*args, **kwargs)
        args, kwargs = self.visit(name, "in", (args, kwargs))
        return self.visit(name, "out", call(*args, **kwargs))

    def visit(self, name: str, side: str, tree: Any) -> Any:
        """The value at one side of a module, after all demands there."""
        use = self.uses[name, side]
        self.uses[name, side] += 1
        before = tree
        for demand in self.demands.get((name, side), ()):
            tree = demand.visit(use, tree)
        if tree is not before:
            copy_masks(before, tree)
        return tree


def copy_masks(old: Any, new: Any) -> None:
    """Gives replaced tensors the masks that layers of Keras have put on the ones that they replace."""
    before = dict(walk(old))
    for path, leaf in walk(new):
        former = before.get(path)
        if former is not leaf and (mask := getattr(former, "_keras_mask", None)) is not None:
            leaf._keras_mask = mask


def owner(kind: type) -> type | None:
    """The class whose ``__call__`` a class uses."""
    return next((cls for cls in kind.__mro__ if "__call__" in vars(cls)), None)


def replacement(cls: type, original: Any) -> Callable[..., Any]:
    """The ``__call__`` that a class has during runs."""

    @functools.wraps(getattr(original, "python_function", original))
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = RUNNING.get()
        bound = original.__get__(self, type(self))
        if run is None or owner(type(self)) is not cls:
            return bound(*args, **kwargs)
        plain = getattr(original, "python_function", None)
        return run.through(self, bound if plain is None else functools.partial(plain, self), args, kwargs)

    return call


def traced_replacement(original: Any) -> Callable[..., Any]:
    """The ``__call__`` that ``tf.function`` has during runs: the Python function itself."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **kwargs) if RUNNING.get() is None else self.python_function(*args, **kwargs)

    return call


FUNCTION: Any = type(tf.function(lambda: None))


@contextmanager
def intercepted(modules: Iterable[Any], run: Run) -> Iterator[None]:
    """A context in which the modules' classes let values pass through the demands of a run."""
    classes = [FUNCTION, *{cls: None for module in modules if (cls := owner(type(module))) is not None}]
    attached: list[type] = []
    before = RUNNING.get()
    try:
        with LOCK:
            for cls in classes:
                attach(cls)
                attached.append(cls)
        RUNNING.set(run)
        yield
    finally:
        RUNNING.set(before)
        with LOCK:
            for cls in attached:
                detach(cls)


def attach(cls: Any) -> None:
    """Replaces the ``__call__`` of a class, if no other run has."""
    count, original, ours = REPLACED.get(cls, (0, None, None))
    if not count:
        original = vars(cls)["__call__"]
        ours = traced_replacement(original) if cls is FUNCTION else replacement(cls, original)
        cls.__call__ = ours
    REPLACED[cls] = count + 1, original, ours


def detach(cls: Any) -> None:
    """Puts the ``__call__`` of a class back, if no other run needs the replacement."""
    count, original, ours = REPLACED[cls]
    if count > 1:
        REPLACED[cls] = count - 1, original, ours
        return
    del REPLACED[cls]
    if vars(cls).get("__call__") is ours:
        cls.__call__ = original
