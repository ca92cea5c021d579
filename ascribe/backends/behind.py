"""The objects behind whatever the user calls their model: what a method, partial application or function is bound to, closes over or names.

Nothing is imported, called or changed for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

DEPTH = 4  # a function around a function around an object with a list of models
LONG = 64  # of a longer list only models are looked at further: it holds layers or data
CONTAINERS = (list, tuple, dict, set, deque)
PLAIN = (*CONTAINERS, FunctionType, MethodType, partial)


def models_behind(model: Any, is_model: Callable[[Any], bool], ignored: str = "", depth: int = DEPTH) -> list[Any]:
    """The models that a callable runs, as far as they can be found: itself, or those that its method, partial, closure, globals or
    attributes hold, each once.

    ``is_model`` says which objects are models; the global names of functions in the package ``ignored`` are not looked at.
    """
    if is_model(model):
        return [model]
    found: dict[int, Any] = {}
    for part in parts(model, is_model, ignored) if depth else ():
        found.update((id(one), one) for one in models_behind(part, is_model, ignored, depth - 1))
    return list(found.values())


def parts(obj: Any, is_model: Callable[[Any], bool], ignored: str = "") -> list[Any]:
    """The contents of an object that may be models or hold some; nothing of an object inside an object."""
    if isinstance(obj, CONTAINERS):
        return plain(obj.values() if isinstance(obj, dict) else obj, is_model)
    if isinstance(obj, partial):
        return [obj.func, *obj.args, *obj.keywords.values()]
    if isinstance(obj, MethodType):
        return [obj.__self__]
    if isinstance(obj, FunctionType):
        names = () if ignored and obj.__module__.startswith(ignored) else names_in(obj.__code__)
        return [*contents(obj), *(obj.__globals__[name] for name in names if name in obj.__globals__)]
    if isinstance(obj, (type, ModuleType)):
        return []
    return plain([*getattr(obj, "__dict__", {}).values(), *in_slots(obj)], is_model)


def plain(values: Any, is_model: Callable[[Any], bool]) -> list[Any]:
    """The values that may hold models; of many, the first ones and all models."""
    first = [v for v in islice(values, LONG) if isinstance(v, PLAIN) or is_model(v)]
    return first if len(values) <= LONG else [*first, *(v for v in islice(values, LONG, None) if is_model(v))]


def in_slots(obj: Any) -> list[Any]:
    """The values in an object's slots."""
    names: list[str] = []
    for part in type(obj).__mro__:
        slots = vars(part).get("__slots__", ())
        names += (slots,) if isinstance(slots, str) else slots
    return [getattr(obj, name) for name in names if name not in ("__dict__", "__weakref__") and hasattr(obj, name)]


def contents(function: FunctionType) -> list[Any]:
    """The values that a function closes over, except None and names that are not bound."""
    return [value for cell in function.__closure__ or () if (value := content(cell)) is not None]


def content(cell: CellType) -> Any:
    """The value of a variable of an enclosing function; None for a name that is bound later, or never."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def names_in(code: CodeType) -> Iterator[str]:
    """The global names and attributes in a function's code, and in that of the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def names_used(model: Any) -> set[str]:
    """The names in the code of a callable: of a method or an object also those in the methods of its class that the code names."""
    model = model.func if isinstance(model, partial) else model
    owner = None if isinstance(model, FunctionType) else getattr(model, "__self__", model)
    function = getattr(model, "__func__", model) if isinstance(model, (MethodType, FunctionType)) else vars(type(model)).get("__call__")
    waiting, found = [function], set[str]()
    while waiting:
        code = getattr(waiting.pop(), "__code__", None)
        new = set(names_in(code)) - found if isinstance(code, CodeType) else set()
        found |= new
        waiting += [getattr(type(owner), name, None) for name in new] if owner is not None else []
    return found
