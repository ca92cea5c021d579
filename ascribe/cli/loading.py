"""Models and tokenizers of the user, given as ``package.module:name``."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from types import ModuleType
from typing import Any, NamedTuple

from ..utils.hints import is_model
from .output import UsageError


class Loaded(NamedTuple):
    """An object of the user, and the code that makes it, which needs ``import module``."""

    value: Any
    module: str
    code: str


@contextmanager
def folder_on_path() -> Iterator[None]:
    """Makes the modules of the current folder importable."""
    here = os.getcwd()
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def load_object(spec: str, what: str = "model") -> Loaded:
    """Returns what the function at ``package.module:factory`` returns; a model at that place is taken as it is.

    Raises UsageError for a module or a name that does not exist, and for a function that fails, needs arguments or returns nothing.
    """
    module, _, name = spec.partition(":")
    if not module or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise UsageError(f"The {what} is not given as module:factory", found=spec, advice=f"{what}s.py with make(), then {what}s:make")
    home = import_home(module, what)
    value = home
    for part in name.split("."):
        value = read_name(value, part, spec, what)
    if is_ready(value):
        return Loaded(value, module, f"{module}.{name}")
    if not callable(value):
        found = f"{spec} is of the class {type(value).__name__}"
        raise UsageError(
            f"The {what} factory cannot be called", found=found, advice=f"a function without arguments that returns the {what}"
        )
    return Loaded(call_factory(value, spec, what), module, f"{module}.{name}()")


def is_ready(value: Any) -> bool:
    """Returns whether an object is a model or a tokenizer already, and not a function that returns one."""
    return is_model(value) or (not isinstance(value, type) and any(hasattr(value, name) for name in ("predict", "pad_token")))


def import_home(module: str, what: str) -> ModuleType:
    """Returns an imported module. Raises UsageError where it does not exist, or its import fails."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UsageError(
                f"There is no module {error.name}",
                found=f"{module!r} for the {what}, in the folder {os.getcwd()}",
                advice=f"the folder that has {error.name.partition('.')[0]}.py as the current folder, or an installed package",
            ) from error
        raise failed(f"The module {module} cannot be imported", error, "pip install what it imports") from error
    except (Exception, SystemExit) as error:
        raise failed(f"The module {module} cannot be imported", error, f"python -c 'import {module}'") from error


def read_name(owner: Any, name: str, spec: str, what: str) -> Any:
    """Returns an attribute. Raises UsageError where it does not exist, with the similar names."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        public = [one for one in dir(owner) if not one.startswith("_") and callable(getattr(owner, one, None))]
        near = get_close_matches(name, public, 3, 0.6)
        module = spec.partition(":")[0]
        where = getattr(owner, "__name__", type(owner).__name__)
        found = f"{spec}; {where} has {', '.join(public[:8]) or 'no functions'}"
        advice = " or ".join(f"{module}:{one}" for one in near) or f"the name of a function in {module} that returns the {what}"
        raise UsageError(f"{where} has no {name}", found=found, advice=advice) from error


def call_factory(factory: Any, spec: str, what: str) -> Any:
    """Returns what a function without arguments returns. Raises UsageError where it fails or returns None."""
    try:
        value = factory()
    except (Exception, SystemExit) as error:
        advice = f"a function without arguments that returns the {what}"
        raise failed(f"{spec} failed", error, advice) from error
    if value is None:
        raise UsageError(f"{spec} returned nothing", found="None", advice=f"a function that returns the {what}")
    return value


def failed(problem: str, error: BaseException, advice: str) -> UsageError:
    """Returns the error for the user's code that failed, with the last line that ran."""
    last = next(iter(traceback.extract_tb(error.__traceback__)[-1:]), None)
    place = f" ({os.path.basename(last.filename)}, line {last.lineno})" if last else ""
    return UsageError(problem, found=f"{type(error).__name__}: {error}{place}"[:500], advice=advice)
