"""Follows the layers and operations of a Keras model while it runs, in the same way in both packages and on every Keras back end.

``keras.layers.Layer.__call__`` and ``keras.Operation.__call__`` (in Keras 2 only the first) are replaced while at least one
:class:`Interception` is open, and put back afterwards. The replacements do nothing unless the context variable :data:`OPEN` is set, so
other threads and other calls do not notice them. The path of a layer is its own name after the names of the layers that call it, with
dots: ``encoder.attention.query``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cached_property, wraps
from typing import Any, Literal

from ...errors import AscribeError
from ...tree import walk
from .package import KerasPackage, package_called, package_name, package_of
from .paths import named_parts

Anchor = Literal["in", "out"]
Visit = Callable[[str, Anchor, Any, Any], Any]
"""Called with a layer's path, the side, the layer, and the value there; returns the value to go on with."""

ACTIVATIONS = ("activation", "recurrent_activation")
"""Attributes of layers with functions that they apply to a value of their own."""

LOCK = threading.RLock()
OPEN: ContextVar[Interception | None] = ContextVar("ascribe_keras_interception", default=None)
ORIGINAL: dict[type, Any] = {}
PLACED: dict[int, list[Interception]] = {}
"""The interceptions that are open, by the id of the class or layer that is changed for them."""


class Interception:
    """Reports every value that goes into and comes out of a layer of a model, or of several by their paths, and can replace it.

    ``visit`` is called as described at :data:`Visit`. ``activations`` decides, by a layer's path, if what goes into its activation
    function and what comes out is reported too, under the path with ``.activation`` appended. Without models the outermost layers of
    a function have paths of their own names.
    """

    def __init__(self, root: Any, visit: Visit, activations: Callable[[str], bool] = lambda path: False) -> None:
        roots = root if isinstance(root, Mapping) else {} if root is None else {"": root}
        self.roots = {id(layer): path for path, layer in roots.items()}
        self.visit, self.activations = visit, activations
        self.named = roots
        self.packages = {id(p): p for p in map(package_of, roots.values())} if roots else {0: package_called("keras")}
        self.running: list[tuple[str, Any]] = []
        self.before: Interception | None = None

    def __enter__(self) -> Interception:
        self.before = OPEN.get()
        try:
            with LOCK:
                for kind, package in self.followed():
                    PLACED.setdefault(id(kind), []).append(self)
                    if kind not in ORIGINAL:
                        ORIGINAL[kind] = kind.__call__
                        replace_call(kind, followed(kind.__call__, None if kind is package.layer else package.layer))
            OPEN.set(self)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    @cached_property
    def inner(self) -> dict[int, str]:
        """The paths of the layers inside the models, for those that are called without the models around them: ``model.encode(x)``."""
        return {id(part): path for path, part in reversed([*named_parts(self.named)])}

    def followed(self) -> list[tuple[Any, KerasPackage]]:
        """The classes whose ``__call__`` is replaced, with their packages."""
        return [(kind, package) for package in self.packages.values() for kind in package.followed]

    def remove(self) -> None:
        """Put everything back, as far as no other interception needs it. It may be called again."""
        if OPEN.get() is self:
            OPEN.set(self.before)
        with LOCK:
            for kind, _ in self.followed():
                if let_go(id(kind), self) and kind in ORIGINAL:
                    replace_call(kind, ORIGINAL.pop(kind))

    def call(self, original: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        """One call of a layer or an operation."""
        original = through(self.before, original)
        if package_of(layer).only_shapes((args, kwargs)):
            return original(layer, *args, **kwargs)
        if not self.running and self.roots:
            path = self.roots[id(layer)] if id(layer) in self.roots else self.inner.get(id(layer))
            if not path:
                return original(layer, *args, **kwargs) if path is None else self._inside("", layer, original, args, kwargs)
        else:
            parent = self.running[-1][0] if self.running else ""
            path = f"{parent}.{layer.name}" if parent else layer.name
        args, kwargs = self.report(path, "in", layer, (args, kwargs))
        with activations_followed(layer, self) if self.activations(path) else nullcontext():
            output = self._inside(path, layer, original, args, kwargs)
        return self.report(path, "out", layer, output)

    def _inside(self, path: str, layer: Any, original: Any, args: Any, kwargs: Any) -> Any:
        depth = len(self.running)
        self.running.append((path, layer))
        try:
            return original(layer, *args, **kwargs)
        except AscribeError as wrong:
            wrong._keras_call_info_injected = True  # type: ignore[attr-defined]  # Keras makes another error of it otherwise
            raise
        finally:
            del self.running[depth:]

    def report(self, path: str, anchor: Anchor, layer: Any, value: Any) -> Any:
        """Report a value; the one to go on with has the masks of the first."""
        new = self.visit(path, anchor, layer, value)
        if new is not value:
            copy_masks(self.packages.values(), value, new)
        return new


def let_go(key: int, interception: Interception) -> bool:
    """Forget that an interception needs a class or a layer; True if no other does."""
    holders = PLACED.get(key, [])
    holders[:] = [holder for holder in holders if holder is not interception]
    if not holders:
        PLACED.pop(key, None)
    return not holders


def replace_call(kind: Any, call: Any) -> None:
    """Gives a class another ``__call__``."""
    kind.__call__ = call


def followed(original: Any, apart: type | None) -> Any:
    """A ``__call__`` that reports to the interception of this context, but for objects of the class ``apart``, which report elsewhere."""

    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        interception = OPEN.get()
        if interception is None or (apart is not None and isinstance(self, apart)):
            return original(self, *args, **kwargs)
        return interception.call(original, self, args, kwargs)

    return call


def through(interception: Interception | None, original: Any) -> Any:
    """A ``__call__`` that an interception is opened inside of: the outer one reports too."""
    if interception is None:
        return original
    return lambda layer, *args, **kwargs: interception.call(original, layer, args, kwargs)


def copy_masks(packages: Iterable[KerasPackage], old: Any, new: Any) -> None:
    """Give replaced arrays the Keras masks of the ones that they replace."""
    before = dict(walk(old))
    for path, leaf in walk(new):
        former = before.get(path)
        if former is not leaf and hasattr(leaf, "dtype"):
            for package in packages:
                if (mask := package.mask(former)) is not None:
                    package.set_mask(leaf, mask)


class FollowedActivation:
    """An activation function that reports its argument and its result to the interception of this context."""

    def __init__(self, layer: Any, name: str, function: Any) -> None:
        self.layer, self.name, self.function = layer, name, function

    def __call__(self, x: Any) -> Any:
        return self.call(OPEN.get(), x)

    def call(self, interception: Interception | None, x: Any) -> Any:
        """The result, reported to an interception and to those that it is inside of."""
        if interception is None:
            return self.function(x)
        path, layer = interception.running[-1] if interception.running else ("", None)
        if layer is not self.layer or not interception.activations(path):
            return self.call(interception.before, x)
        path = f"{path}.{self.name}"
        ((x,), _) = interception.report(path, "in", self.function, ((x,), {}))
        return interception.report(path, "out", self.function, self.call(interception.before, x))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def own_activations(layer: Any) -> dict[str, Any]:
    """The activation functions of a layer by attribute; none that are layers themselves."""
    held, linear = vars(layer), package_of(layer).linear
    found = {name: held[name] for name in ACTIVATIONS if callable(held.get(name))}
    return {k: f for k, f in found.items() if f is not linear and package_name(f) is None}


@contextmanager
def activations_followed(layer: Any, interception: Interception) -> Iterator[None]:
    """Replace a layer's activation functions while it runs; other threads call the functions as before."""
    held = vars(layer)
    try:
        with LOCK:
            PLACED.setdefault(id(layer), []).append(interception)
            for name, function in own_activations(layer).items():
                if not isinstance(function, FollowedActivation):
                    held[name] = FollowedActivation(layer, name, function)
        yield
    finally:
        with LOCK:
            if let_go(id(layer), interception):
                held.update({n: f.function for n in ACTIVATIONS if isinstance(f := held.get(n), FollowedActivation)})
