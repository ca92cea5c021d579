"""Replaces a library by its facade in imports."""

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
    """Returns the names of the libraries that have a facade."""
    return [module.name for module in pkgutil.iter_modules(import_module(HERE).__path__) if module.ispkg]


def table(name: str) -> dict[str, str]:
    """Returns the modules of a library that a facade replaces, each with the facade's module.

    Raises CompatError if there is no such facade.
    """
    if name not in facades():
        advice = f"one of {', '.join(facades()) or 'no facades'}"
        raise CompatError(f"There is no facade for {name!r}", found=f"the name {name!r}", advice=advice)
    facade = import_module(f"{HERE}.{name}")
    given: Mapping[str, str] = facade.STANDS_FOR
    return {foreign: f"{facade.__name__}.{own}".rstrip(".") for foreign, own in given.items()}


class Finder(MetaPathFinder, Loader):
    """Finds a facade's modules under the other library's names: a meta path finder and loader.

    Each is a new module with the names of the facade's module, so that neither sees the other's imports.
    """

    def __init__(self, name: str) -> None:
        self.name, self.table = name, table(name)
        self.roots = frozenset(foreign.partition(".")[0] for foreign in self.table)

    def covers(self, module: str) -> bool:
        """Returns True if a module belongs to the replaced library."""
        return module.partition(".")[0] in self.roots

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Returns the spec of a module; None for other libraries. Raises CompatError for modules that the facade lacks."""
        if not self.covers(fullname):
            return None
        if fullname not in self.table:
            there = ", ".join(sorted(m for m in self.table if m.rpartition(".")[0] == fullname.rpartition(".")[0]))
            raise CompatError(
                f"`{HERE}.{self.name}` does not have the module `{fullname}`", found=there, code="E-COMPAT-MODULE", name=fullname
            )
        package = fullname in self.roots or any(other.startswith(f"{fullname}.") for other in self.table)
        return ModuleSpec(fullname, self, origin=self.table[fullname], is_package=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Returns None, for an empty module of the default type."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Copies the names of the facade's module; submodules appear under their foreign names, so that each exists once."""
        foreign = module.__name__
        own = vars(import_module(self.table[foreign]))
        inner = {child.rpartition(".")[2]: child for child in self.table if child.rpartition(".")[0] == foreign}
        below = {key: child for key, child in inner.items() if isinstance(own.get(key), ModuleType)}
        vars(module).update({key: value for key, value in own.items() if key not in OWN and key not in below})
        module.__file__ = own.get("__file__")
        for child in below.values():
            import_module(child)


class Standing:
    """A facade in place of a library, until its last user leaves."""

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
        """Removes the library's modules from ``sys.modules`` and returns them."""
        return {module: sys.modules.pop(module) for module in list(sys.modules) if self.finder.covers(module)}


@contextmanager
def standing_in(*names: str) -> Iterator[None]:
    """Makes ``import trulens...`` find ascribe's facade inside its block, also in code that does not know ascribe.

    *Use it when* existing code for another library should run on ascribe without changes.

    >>> with standing_in("trulens"):
    ...     import trulens

    Afterwards imports find the library itself, if installed, with the modules that were loaded before. Blocks may be nested. Imports
    belong to the whole process: other threads see the facade too while any block is open. Modules that were first loaded inside keep the
    facade.

    Raises CompatError (a ModuleNotFoundError) for a library without a facade, and for imports of modules that the facade lacks.
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
