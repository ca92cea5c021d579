"""Models of modules, taken apart: their arrays, a key of everything else, and how to build a marked copy of them.

A module may be inside other code: a transformed function (``jax.vmap(model)``), a partial application, a bound method, an object of the
user's own, or a function that uses it. Each of those is copied with a marked copy of the module inside.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import jax

from ..behind import content, names_in
from .biases import KnownLayer
from .models import as_key, can_be_traced, changeable, in_library

DEEP = 20
"""Objects within objects that are looked into, at most."""


@dataclass(frozen=True, eq=False)
class Opened:
    """An object taken apart.

    ``build(weights)`` makes a copy of the object with other arrays. ``key`` is equal for objects that differ in their arrays only;
    without ``lasting`` it does not hold everything that the object depends on, so that it has to be traced anew.
    """

    weights: Any
    key: Hashable
    build: Callable[[Any], Any]
    lasting: bool
    name: str
    training: tuple[str, ...] = ()
    """The kinds of layers in training mode."""
    layers: Callable[[], Mapping[str, KnownLayer]] = dict
    """The layers inside by their paths."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """See :class:`~.models.Model`."""


def hashable(key: Hashable, obj: Any, fixed: Iterable[Any] = ()) -> tuple[Hashable, bool]:
    """A key and True if it holds everything that an object depends on; otherwise the type of the object, and False.

    ``fixed`` are the parts of the object that are no arrays.
    """
    try:
        hash(key)
    except TypeError:
        return as_key(type(obj)), False
    return (as_key(type(obj)), False) if any(map(changeable, fixed)) else (key, True)


class Library(Protocol):
    """A library of modules, as this package knows it."""

    def owns(self, obj: Any) -> bool:
        """True for the objects of the library that hold arrays."""

    def open_object(self, obj: Any, name: str, opening: Opening) -> Opened | None:
        """Such an object, taken apart."""


def open_model(model: Any, libraries: Sequence[Library]) -> Opened | None:
    """A model taken apart; None where it holds no modules. Where it holds several, the paths of each begin with its name."""
    first = Opening(libraries, several=False)
    opened = first.open(model)
    return Opening(libraries, several=True).open(model) if len(first.modules) > 1 else opened


class Opening:
    """One model being taken apart. ``modules`` are those that were met."""

    def __init__(self, libraries: Sequence[Library], several: bool) -> None:
        self.libraries, self.several = libraries, several
        self.modules: dict[int, Any] = {}
        self.inside: list[int] = []
        self.without: dict[int, Any] = {}

    def open(self, obj: Any, name: str = "") -> Opened | None:
        """An object apart from the arrays of the modules in it; None where there are no modules. ``name`` is where it was found."""
        if obj is None or id(obj) in self.inside or id(obj) in self.without or len(self.inside) > DEEP:
            return None
        self.inside.append(id(obj))
        try:
            opened = self._open(obj, name)
        finally:
            self.inside.pop()
        if opened is None:
            self.without[id(obj)] = obj
        return opened

    def _open(self, obj: Any, name: str) -> Opened | None:
        for library in self.libraries:
            if library.owns(obj):
                return library.open_object(obj, name, self)
        kind = type(obj)
        if kind is functools.partial:
            return self.parts(kind, bound_parts(obj), lambda parts: bound_again(parts), name)
        if kind is types.MethodType:
            return self.method(obj.__self__, obj.__func__, name)
        if kind.__name__ == "PjitFunction":
            return self.open(obj.__wrapped__, name)
        if kind is types.FunctionType:
            return self._function(obj, name)
        if kind in (list, tuple, dict):
            named = {str(k): v for k, v in (obj.items() if kind is dict else enumerate(obj))}
            keys = list(obj) if kind is dict else []
            again = (lambda p: dict(zip(keys, p.values(), strict=True))) if kind is dict else lambda p: kind(p.values())
            return self.parts(kind, named, again, name) if len(named) < DEEP else None
        return self._holder(obj, name)

    def prefix(self, module: Any, name: str) -> str:
        """The beginning of the paths in a module; notes the module."""
        self.modules[id(module)] = module
        return name if self.several else ""

    def method(self, owner: Any, function: Any, name: str) -> Opened | None:
        """A bound method of an object with modules."""
        opened = self.open(owner, name)
        if opened is None:
            return None

        def build(weights: Any) -> Any:
            return types.MethodType(function, opened.build(weights))

        return replace(opened, key=("method", as_key(function), opened.key), build=build)

    def parts(
        self, kind: Any, parts: Mapping[str, Any], build: Callable[[dict[str, Any]], Any], name: str, lasting: bool = True
    ) -> Opened | None:
        """An object of several parts, of which some hold modules; arrays that a ``functools.partial`` binds are weights too."""
        opened = {k: self.open(p, part_name(k) or name) for k, p in parts.items()}
        inner = {k: o for k, o in opened.items() if o is not None}
        if not inner:
            return None
        title = next(iter(inner.values())).name
        if kind is functools.partial:
            inner |= {k: open_tree(p) for k, p in parts.items() if k not in inner}
        others = tuple((k, as_key(p)) for k, p in parts.items() if k not in inner)
        key = (as_key(kind), tuple((k, o.key) for k, o in inner.items()), others)

        def built(weights: Any) -> Any:
            return build({k: inner[k].build(weights[k]) if k in inner else p for k, p in parts.items()})

        training = tuple(sorted({t for o in inner.values() for t in o.training}))
        lasting = lasting and all(o.lasting for o in inner.values())
        aliases = {alias: path for o in inner.values() for alias, path in o.aliases.items()}

        def layers() -> dict[str, KnownLayer]:
            return {path: layer for o in inner.values() for path, layer in o.layers().items()}

        return Opened({k: o.weights for k, o in inner.items()}, key, built, lasting, title, training, layers, aliases)

    def _function(self, function: Any, name: str) -> Opened | None:
        """A function that closes over modules, or uses global ones: a function of the same code with copies of them."""
        code, ours = function.__code__, in_library(function.__globals__.get("__name__"))
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        closed = {n: value for n, cell in cells.items() if (value := content(cell)) is not None}
        variables = {} if ours else {n: function.__globals__[n] for n in names_in(code) if n not in cells and n in function.__globals__}

        def build(parts: dict[str, Any]) -> Any:
            changed = {n: parts[n] for n in variables}
            inner = tuple(types.CellType(parts[n]) if n in closed else cell for n, cell in cells.items())
            spaces = {**function.__globals__, **changed} if changed else function.__globals__
            copy = types.FunctionType(code, spaces, function.__name__, function.__defaults__, inner)
            copy.__kwdefaults__ = function.__kwdefaults__
            return copy

        return self.parts(code, {**closed, **variables}, build, name, lasting=ours)

    def _holder(self, obj: Any, name: str) -> Opened | None:
        """An object of a class of the user's own that holds modules, such as a dataclass with ``__call__``."""
        if not hasattr(obj, "__dict__") or isinstance(obj, (type, types.ModuleType)) or in_library(type(obj).__module__):
            return None

        def build(parts: dict[str, Any]) -> Any:
            copy = object.__new__(type(obj))
            copy.__dict__.update(parts)
            return copy

        return self.parts(type(obj), dict(vars(obj)), build, name, lasting=False)


def open_tree(value: Any) -> Opened:
    """A value of arrays and other things in containers that JAX knows."""
    leaves, tree = jax.tree.flatten(value)
    others = [None if can_be_traced(leaf) else (leaf,) for leaf in leaves]
    key, lasting = hashable((tree, tuple(map(as_key, others))), value, [other[0] for other in others if other is not None])

    def build(weights: Any) -> Any:
        arrays = iter(weights)
        return jax.tree.unflatten(tree, [next(arrays) if other is None else other[0] for other in others])

    return Opened([leaf for leaf in leaves if can_be_traced(leaf)], key, build, lasting, type(value).__name__)


def bound_parts(bound: Any) -> dict[str, Any]:
    """The parts of a partial application: its function, its positional arguments by the names of the parameters, its named ones."""
    names = getattr(getattr(bound.func, "__code__", None), "co_varnames", ())[int(isinstance(bound.func, types.MethodType)) :]
    given = {f"*{names[i] if i < len(names) else i}": a for i, a in enumerate(bound.args)}
    return {"*": bound.func} | given | dict(bound.keywords)


def bound_again(parts: Mapping[str, Any]) -> Any:
    """A partial application of such parts."""
    given = [p for k, p in parts.items() if k[0] == "*" and k != "*"]
    return functools.partial(parts["*"], *given, **{k: p for k, p in parts.items() if k[0] != "*"})


def part_name(key: str) -> str:
    """The name of a part of an object, as the paths of the modules in it begin with it; empty without one."""
    return key.lstrip("*")
