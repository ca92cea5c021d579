"""The modules behind whatever the user calls their model."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice
from types import FunctionType, MethodType, ModuleType
from typing import Any

from torch import nn

DEPTH = 4  # a function around a function around an object with a list of modules
LONG = 64  # of a longer list only modules are looked at further: it holds layers or data
PLAIN = (nn.Module, list, tuple, dict, set, deque, FunctionType, MethodType, partial)


def modules_behind(model: Any, depth: int = DEPTH) -> list[nn.Module]:
    """The outermost modules that a callable runs, as far as they can be found: itself, unwrapped if it was compiled, or those that its
    method, partial, closure, globals or attributes hold.
    """
    if isinstance(model, nn.Module):
        return [getattr(model, "_orig_mod", model)]
    found = {id(m): m for part in _parts(model) for m in modules_behind(part, depth - 1)} if depth else {}
    inner = {id(m) for module in found.values() for m in module.modules() if m is not module}
    return [m for key, m in found.items() if key not in inner]


def host_of(model: Any) -> nn.Module | None:
    """The one module behind a model, whose layers can be named; None where there is none, or several."""
    modules = modules_behind(model)
    return modules[0] if len(modules) == 1 else None


def is_keras(module: Any) -> bool:
    """True for a layer or a model of Keras on PyTorch."""
    return any(kind.__module__ == "keras.src.layers.layer" for kind in type(module).__mro__)


class Parts:
    """Every module and every parameter behind a model, each once, in the model's own order, found in one walk."""

    def __init__(self, hosts: list[nn.Module]) -> None:
        self.modules: list[nn.Module] = []
        self.parameters: list[nn.Parameter] = []
        self.extend(hosts)

    def extend(self, hosts: list[nn.Module]) -> None:
        """Add modules, and all that are registered in them."""
        found = {id(module): module for module in self.modules}
        waiting = hosts[::-1]
        while waiting:
            module = waiting.pop()
            if id(module) not in found:
                found[id(module)] = module
                if children := module._modules:
                    waiting += [child for child in [*children.values()][::-1] if child is not None]
        self.modules = list(found.values())
        self.parameters = list({id(p): p for m in self.modules if m._parameters for p in m._parameters.values() if p is not None}.values())


def _parts(obj: Any) -> list[Any]:
    """The contents of an object that may be modules or hold some; nothing of an object inside an object."""
    if isinstance(obj, (list, tuple, dict, set, deque)):
        return _plain(obj.values() if isinstance(obj, dict) else obj)
    if isinstance(obj, partial):
        return [obj.func, *obj.args, *obj.keywords.values()]
    if isinstance(obj, MethodType):
        return [obj.__self__]
    if isinstance(obj, FunctionType):
        names = () if obj.__module__.startswith("torch.") else obj.__code__.co_names
        return [*contents(obj), *(obj.__globals__[name] for name in names if name in obj.__globals__)]
    if isinstance(obj, (type, ModuleType)):
        return []
    return _plain([*getattr(obj, "__dict__", {}).values(), *in_slots(obj)])


def _plain(values: Any) -> list[Any]:
    """The values that may hold modules; of many, the first ones and all modules."""
    first = [v for v in islice(values, LONG) if isinstance(v, PLAIN)]
    return first if len(values) <= LONG else [*first, *(v for v in islice(values, LONG, None) if isinstance(v, nn.Module))]


def in_slots(obj: Any) -> list[Any]:
    """The values in an object's slots."""
    names: list[str] = []
    for part in type(obj).__mro__:
        slots = vars(part).get("__slots__", ())
        names += (slots,) if isinstance(slots, str) else slots
    return [getattr(obj, name) for name in names if name not in ("__dict__", "__weakref__") and hasattr(obj, name)]


def contents(function: FunctionType) -> list[Any]:
    """The values that a function closes over, except names that are not bound."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # a name that is bound later, or never
            continue
    return found
