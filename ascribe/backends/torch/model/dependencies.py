"""Everything that a model's result can depend on: the callable, and all objects that it can reach.

What was learnt about a model holds as long as all of this is as it was: settings on modules and on the objects that they hold,
hooks, what a function closes over, its defaults and the globals it names, attributes of classes. Plain values and code are compared by
value, modules and classes by identity, other objects by what they hold. Code of installed packages counts as constant.
"""

from __future__ import annotations

import os
import random
import sys
import sysconfig
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextvars import ContextVar
from functools import lru_cache, partial
from operator import is_
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from torch import nn

from ...behind import contents, in_slots
from .fingerprint import SMALL, contents_of, values_of
from .internals import hooks_of_all_modules

SCALARS = frozenset({bool, int, float, complex, str, bytes, type(None)})
EMPTY = frozenset({dict, OrderedDict, list, tuple, set, frozenset})
"""Containers that say nothing when there is nothing in them: a module has a dozen."""
KEPT_ELSEWHERE = frozenset({"training", "_parameters", "_buffers", "_modules"})
"""Attributes of a module that are kept track of in other ways."""
OWN_STATE = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
"""Random generators: what they hold changes with every draw."""
MOST = 1000
"""Objects that are looked at; the nearest come first."""
LONG = 256
"""A longer container holds data: what is in it is not looked at, plain values but for."""
LONGEST = 1 << 14
"""A container of more plain values counts by its length and its identity."""
SETTINGS = frozenset({"environ", "getenv"})
"""Names by which code reads the environment of the process."""
INSTALLED = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OURS = __file__.rpartition("backends")[0]
NAMES: WeakKeyDictionary[CodeType, tuple[str, ...]] = WeakKeyDictionary()
CLASSES: WeakKeyDictionary[type, tuple[type, ...]] = WeakKeyDictionary()


class DependencyScan:
    """The objects that were seen: ``tokens`` are compared by value, ``objects`` by identity, ``tensors`` by identity and by version.

    ``modules`` are those found in other ways than as children of known ones, ``generators`` the random generators; ``draws`` says
    whether code of the user's names a module that has one.
    """

    def __init__(self, known: Iterable[Any] = ()) -> None:
        self.tokens: list[Any] = []
        self.objects: list[Any] = []
        self.tensors: list[torch.Tensor] = []
        self.modules: list[nn.Module] = []
        self.generators: list[Any] = []
        self.draws = False
        self.seen: dict[int, int] = dict.fromkeys(map(id, known), -1)
        self.known: set[int] = set()
        self.waiting: deque[Any] = deque()

    def of_modules(self, modules: Sequence[nn.Module]) -> None:
        """Look at what hangs on modules, but for their registers and modes."""
        self.seen.update(dict.fromkeys(map(id, modules), -1))
        self.objects += modules
        self.classes({*map(type, modules)})
        self.add([value for module in modules for name, value in module.__dict__.items() if name not in KEPT_ELSEWHERE])

    def finish(self) -> DependencyScan:
        """Look at all that waits, and at what it holds, the nearest first."""
        left = MOST
        while self.waiting and left:
            left -= 1
            self._look(self.waiting.popleft())
        return self

    def add(self, things: Iterable[Any]) -> None:
        """Note plain values; look at other things later, each once."""
        tokens, seen = self.tokens, self.seen
        for thing in things:
            kind = type(thing)
            if kind in SCALARS:
                tokens += (kind, thing)
            elif kind is tuple and SCALARS.issuperset(map(type, thing)):
                tokens += (thing, *map(type, thing))
            elif kind in EMPTY and not thing:
                continue
            elif (number := seen.get(id(thing))) is not None:
                if number >= 0:
                    tokens.append(number)
            elif kind is not ModuleType and kind is not BuiltinFunctionType:
                seen[id(thing)] = len(seen)
                self.waiting.append(thing)

    def _look(self, thing: Any) -> None:
        if isinstance(thing, torch.Tensor):
            self.tensors.append(thing)
            self.tokens += (thing.shape, thing.dtype)
        elif isinstance(thing, nn.Module):
            self.modules.append(thing)
        elif isinstance(thing, (Mapping, list, tuple, Set, deque)):
            self._container(thing)
        elif isinstance(thing, FunctionType):
            self._function(thing)
        elif isinstance(thing, MethodType):
            if not type(thing.__self__).__module__.startswith("ascribe."):  # our own hooks, of a call in another thread
                self.add((thing.__func__, thing.__self__))
        elif isinstance(thing, partial):
            self.add((thing.func, *thing.args, *thing.keywords, *thing.keywords.values()))
        elif isinstance(thing, (np.generic, np.ndarray)):
            self._array(thing)
        elif isinstance(thing, ContextVar):
            self.add((thing.get(None),))
        elif isinstance(thing, OWN_STATE):
            self.generators.append(thing)
        else:
            self._object(thing)

    def _array(self, thing: Any) -> None:
        self.tokens += (thing.shape, str(thing.dtype))
        if not thing.dtype.hasobject:
            self.tokens.append(contents_of(thing))
        elif thing.size <= LONG:
            self.add(thing.flat)
        else:
            self.objects.append(thing)

    def _container(self, thing: Any) -> None:
        self.tokens += (type(thing), len(thing))
        if len(thing) > LONG:
            self._long(thing)
        elif isinstance(thing, Mapping):
            self.add([*thing.keys()])
            self.add([*thing.values()])
        elif isinstance(thing, Set) and all(type(part) in SCALARS for part in thing):
            self.tokens.append(frozenset(thing))
        else:
            self.add([*thing])

    def _long(self, thing: Any) -> None:
        self.tokens.append(id(thing))
        parts = [*thing.values()] if isinstance(thing, Mapping) else thing
        if len(parts) <= LONGEST and SCALARS.issuperset(map(type, parts)):
            self.tokens.append(frozenset(parts) if isinstance(thing, Set) else tuple(parts))
        else:
            self.modules += [part for part in parts if isinstance(part, nn.Module)]

    def _function(self, function: FunctionType) -> None:
        code = function.__code__
        self.tokens.append(code)
        self.add(function.__defaults__ or ())
        self.add((function.__kwdefaults__ or {}).values())
        self.add(function.__dict__.values())
        self.add(contents(function))
        if not installed(code.co_filename):
            self.add(self._globals(function))

    def _globals(self, function: FunctionType) -> Iterator[Any]:
        """The values of the globals that a function names, and of those that it reads off modules of the user's own."""
        code, held = function.__code__, function.__globals__
        names = NAMES.get(code)
        if names is None:
            names = NAMES[code] = tuple(dict.fromkeys(names_in(code)))
        if not SETTINGS.isdisjoint(names):
            self.tokens.append(frozenset(os.environ.items()))
        for name in names:
            value = held.get(name)
            if type(value) is ModuleType:
                self.draws = self.draws or value in (np, random, np.random)
                if not installed(getattr(value, "__file__", None) or "<frozen"):
                    yield from [vars(value)[part] for part in names if part in vars(value)]
            elif value is not None and (not isinstance(value, type) or own_classes(value)):
                yield value

    def _object(self, thing: Any) -> None:
        if isinstance(thing, type):
            self.classes((thing, type(thing)))
            self.objects.append(thing)
            return
        kind = type(thing)
        self.classes((kind,))
        slots, held = in_slots(thing), getattr(thing, "__dict__", None)
        if held is None and not slots and type(thing).__weakrefoffset__ == 0:
            self.tokens.append(thing)  # a type, a device, a range: by value
        else:
            self.objects.append(thing if held is None and not slots else kind)
        if isinstance(thing, array):
            self.tokens.append(thing.tobytes())
        self.add(slots)
        self.add([*(held or {}).values()])

    def classes(self, kinds: Iterable[type]) -> None:
        """Look at the attributes and functions of classes of the user's own."""
        for kind in kinds:
            for part in own_classes(kind) if not kind.__module__.startswith("torch.") else ():
                if id(part) not in self.known:
                    self.known.add(id(part))
                    self.objects.append(part)
                    self.add([v for n, v in vars(part).items() if type(v) is FunctionType or n[:2] != "__"])


def names_in(code: CodeType) -> Iterator[str]:
    """The names that some code uses, and the functions written inside it."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from names_in(part)


def own_classes(kind: type) -> tuple[type, ...]:
    """The classes in a class's line that the user wrote, none of an installed package."""
    found = CLASSES.get(kind)
    if found is None:
        found = CLASSES[kind] = tuple(part for part in kind.__mro__ if not installed(file_of(part)))
    return found


def file_of(kind: type) -> str:
    """The file that a class was written in; of a builtin one, none that is the user's."""
    for value in [*vars(kind).values()]:
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType) and not function.__code__.co_filename.startswith("<string"):  # as dataclasses make them
            return function.__code__.co_filename
    module = sys.modules.get(kind.__module__)
    return getattr(module, "__file__", None) or ("<input>" if kind.__module__ == "__main__" else "<frozen")


@lru_cache(maxsize=4096)
def installed(file: str) -> bool:
    """True if a file is of the standard library, of an installed package, or of this one."""
    return file.startswith(("<frozen", "<string", OURS, *INSTALLED))


def around() -> tuple[Any, ...]:
    """The settings that act on all modules of the process: hooks, and the types that a model computes in."""
    cast = [kind + str(torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    return *hooks_of_all_modules(), *cast, str(torch.get_default_dtype())


class DependencySnapshot:
    """Objects that were seen, to be recognised: only weak references to them are kept."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self.kept = list(map(ref, objects))

    def same(self, objects: Sequence[Any]) -> bool:
        """True if these are the same objects as before: none was replaced."""
        return len(objects) == len(self.kept) and all(map(is_, [kept() for kept in self.kept], objects))


def written(tensors: Sequence[torch.Tensor]) -> tuple[Any, ...]:
    """The addresses, versions and fingerprints of tensors: writing through ``.data`` changes no version."""
    held = values_of(tensors)
    try:
        return [t._version for t in tensors], [t.data_ptr() for t in tensors if t.nbytes > SMALL], held
    except (RuntimeError, NotImplementedError):  # of a lazy layer, made in inference mode, or without memory of its own
        return [None if t.is_inference() else t._version for t in tensors], held
