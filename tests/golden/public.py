"""The public names of ascribe and of its facades, with the facades' signatures."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import pkgutil
import re
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import ascribe
from ascribe import compat

FILE = Path(__file__).with_name("public.json")
Names = dict[str, Any]


def signature(thing: Any) -> str:
    """A function's or class's signature, with addresses and the places of our own classes left out."""
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return type(thing).__name__ if not callable(thing) else "no signature"
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"\bascribe(\.\w+)+\.(?=\w)", "", text))


HELPERS = frozenset({
    "ascribe.compat.trulens.nn.attribution", "ascribe.compat.trulens.nn.distributions", "ascribe.compat.trulens.nn.models",
    "ascribe.compat.trulens.nn.models.base", "ascribe.compat.trulens.nn.models.keras", "ascribe.compat.trulens.nn.models.others",
    "ascribe.compat.trulens.nn.models.pytorch", "ascribe.compat.trulens.nn.models.tensorflow",
    "ascribe.compat.trulens.nn.quantities", "ascribe.compat.trulens.nn.slices",
})  # fmt: skip
"""Modules whose functions are this package's own, but for those in ENTRIES: what trulens had there are classes."""
FRAMEWORKS = frozenset({
    "ascribe.compat.trulens.nn.backend.keras", "ascribe.compat.trulens.nn.backend.tensorflow", "ascribe.compat.trulens.nn.backend.tf_keras",
})  # fmt: skip
"""Modules that import a framework which need not be installed: only their names are recorded."""
ENTRIES = ("get_model_wrapper", "discern_backend")
OURS = (
    "AttributionCall",
    "BoundMaxClass",
    "QuantityAdapter",
    "BoundBatchMax",
    "OutOfMemory",
    "AccessorProbe",
    "STANDS_FOR",
    "LOADED",
    "FAMILIES",
    "FUNCTIONS",
    "NAMES",
    "PACKAGES",
    "VARIABLE",
    "CHOICE",
    "Choice",
    "use_backend",
    "kept_on_failure",
    "PackageError",
    "TensorflowModuleWrapper",
)


def names_of(module: ModuleType) -> list[str]:
    """The names in ``__all__``; without one, those that the module or its facade defines, without an underscore in front."""
    told = getattr(module, "__all__", None)
    if told is not None:
        return sorted(told)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in OURS
        and not isinstance(value, ModuleType)
        and name not in ("annotations", "TYPE_CHECKING")
        and str(getattr(value, "__module__", module.__name__)).startswith("ascribe.compat")
        and not (module.__name__ in HELPERS and name not in ENTRIES and not inspect.isclass(value))
    )


def described(module: ModuleType, theirs: list[ModuleType] | None = None) -> Names:
    """Each public name with its signature; a class also with those of its public methods and properties.

    Where the library that the module stands for is at hand, of a module without ``__all__`` only the names that it has too, and of
    classes only its members: the rest are helpers of our own.
    """
    found: Names = {}
    for name in names_of(module):
        real = [getattr(other, name) for other in theirs or () if hasattr(other, name)]
        if theirs and not real and not hasattr(module, "__all__"):
            continue
        thing = getattr(module, name)
        found[name] = members(thing) if inspect.isclass(thing) and issubclass(thing, Enum) else signature(thing)
        if inspect.isclass(thing):
            for member in sorted(m for m in dir(thing) if not m.startswith("_") and m not in dir(object)):
                value = inspect.getattr_static(thing, member)
                home = next(c for c in thing.__mro__ if member in vars(c))
                if home.__module__.startswith("ascribe") and (not real or any(hasattr(r, member) for r in real)):
                    found[f"{name}.{member}"] = "property" if isinstance(value, property) else signature(getattr(thing, member))
    return found


def members(kind: type[Enum]) -> str:
    """The names and values of an enumeration: its signature is not the same in every version of Python."""
    return ", ".join(f"{one.name}={one.value!r}" for one in kind)


def captum_of(ours: str, stands: dict[str, str]) -> list[ModuleType]:
    """captum's own modules that one of ours stands for; none for trulens, which cannot be installed beside us."""
    found = []
    for theirs, here in stands.items():
        if here == ours and theirs.startswith("captum"):
            with contextlib.suppress(ImportError):
                found.append(importlib.import_module(theirs))
    return found


def facade_modules() -> dict[str, str]:
    """The other libraries' module names, and which of our modules stands for each."""
    found = {}
    for facade in ("captum", "trulens"):
        package = importlib.import_module(f"ascribe.compat.{facade}")
        for theirs, ours in package.STANDS_FOR.items():
            found[theirs] = f"ascribe.compat.{facade}" + (f".{ours}" if ours else "")
    return found


def modules() -> list[str]:
    """All modules of the facades that can be imported."""
    return sorted(m.name for m in pkgutil.walk_packages(compat.__path__, "ascribe.compat.") if not m.name.endswith("__main__"))


def read() -> Names:
    """What there is now."""
    stands = facade_modules()
    ours = {"ascribe.compat", *stands.values()}
    return {
        "ascribe": sorted(ascribe.__all__),
        "stands for": dict(sorted(stands.items())),
        "facades": {name: described(importlib.import_module(name), captum_of(name, stands)) for name in sorted(ours - FRAMEWORKS)},
        "behind the facades": {name: names_of(importlib.import_module(name)) for name in modules() if name not in ours | FRAMEWORKS},
    }


def write() -> None:
    """Record what there is now."""
    FILE.write_text(json.dumps(read(), indent=1) + "\n", encoding="utf-8")
