"""Letting a facade stand in for the library whose names it has."""

from __future__ import annotations

import pkgutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from ..errors import CompatError

HERE = __name__.rpartition(".")[0]
OWN = frozenset({"__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__", "__builtins__"})
LOCK = threading.RLock()
OPEN: dict[str, Standing] = {}


def facades() -> list[str]:
    """The names of the libraries that there is a facade for."""
    return [found.name for found in pkgutil.iter_modules(import_module(HERE).__path__) if found.ispkg]


def table(name: str) -> dict[str, str]:
    """What a facade stands for: the other library's modules, each with the module of ours that has its names.

    Raises CompatError where there is no such facade.
    """
    if name not in facades():
        raise CompatError(f"no facade for {name!r}", there=", ".join(facades()) or "no facades")
    facade = import_module(f"{HERE}.{name}")
    given: Mapping[str, str] = facade.STANDS_FOR
    return {foreign: f"{facade.__name__}.{own}".rstrip(".") for foreign, own in given.items()}


class Finder(MetaPathFinder, Loader):
    """Finds a facade's modules under the other library's names: a meta path finder and a loader in one.

    Each is a module of its own with everything that the facade's module has, so that neither knows of the other's imports.
    """

    def __init__(self, name: str) -> None:
        self.name, self.table = name, table(name)
        self.roots = frozenset(foreign.partition(".")[0] for foreign in self.table)

    def covers(self, module: str) -> bool:
        """Whether a module belongs to the library that is stood in for."""
        return module.partition(".")[0] in self.roots

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module comes from; None for other libraries. Raises CompatError for modules that the facade lacks."""
        if not self.covers(fullname):
            return None
        if fullname not in self.table:
            there = ", ".join(sorted(m for m in self.table if m.rpartition(".")[0] == fullname.rpartition(".")[0]))
            raise CompatError(f"{HERE}.{self.name} has no {fullname}", there=there, code="E-COMPAT-MODULE", name=fullname)
        package = fullname in self.roots or any(other.startswith(f"{fullname}.") for other in self.table)
        return ModuleSpec(fullname, self, origin=self.table[fullname], is_package=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """None: an empty module of the usual kind."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Give a module the names of the facade's; submodules among them under their foreign names, so that each is there once."""
        foreign = module.__name__
        own = vars(import_module(self.table[foreign]))
        inner = {child.rpartition(".")[2]: child for child in self.table if child.rpartition(".")[0] == foreign}
        below = {key: child for key, child in inner.items() if isinstance(own.get(key), ModuleType)}
        vars(module).update({key: value for key, value in own.items() if key not in OWN and key not in below})
        module.__file__ = own.get("__file__")
        for child in below.values():
            import_module(child)


class Standing:
    """A facade in the place of a library, from the first that asked for it to the last that is done."""

    def __init__(self, name: str) -> None:
        self.finder, self.users = Finder(name), 0
        self.kept: dict[str, ModuleType] = {}

    def enter(self) -> None:
        if not self.users:
            self.kept = self._taken()
            sys.meta_path.insert(0, self.finder)
        self.users += 1

    def leave(self) -> None:
        self.users -= 1
        if not self.users:
            sys.meta_path.remove(self.finder)
            self._taken()
            sys.modules.update(self.kept)

    def _taken(self) -> dict[str, ModuleType]:
        """Take the library's modules, whoever's they are, out of ``sys.modules``."""
        return {module: sys.modules.pop(module) for module in list(sys.modules) if self.finder.covers(module)}


@contextmanager
def standing_in(*names: str) -> Iterator[None]:
    """Inside it, ``import trulens...`` finds ascribe's facade of that library, in code that knows nothing of ascribe.

    >>> with standing_in("trulens"):
    ...     import trulens

    Afterwards the library itself, where it is installed, is what imports find again, with the very modules that were loaded before.
    It may be nested. Python's imports are the whole process's: other threads get the facade too while any of them has it open. What
    was imported inside keeps the facade for good, and so do modules of your own that were first loaded there.

    Raises CompatError (a ModuleNotFoundError) for a library without a facade; so do imports of its modules that the facade lacks.
    """
    with ExitStack() as stack:
        for name in names:
            with LOCK:
                standing = OPEN.get(name) or Standing(name)
                standing.enter()
                OPEN[name] = standing
            stack.callback(_leave, name)
        yield


def _leave(name: str) -> None:
    with LOCK:
        OPEN[name].leave()
        if not OPEN[name].users:
            del OPEN[name]
