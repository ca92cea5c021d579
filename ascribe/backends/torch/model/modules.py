"""The modules behind whatever the user calls their model."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...behind import models_behind


def is_module(obj: Any) -> bool:
    """True for a module."""
    return isinstance(obj, nn.Module)


def modules_behind(model: Any) -> list[nn.Module]:
    """The outermost modules that a callable runs, as far as they can be found: itself, unwrapped if it was compiled, or those that its
    method, partial, closure, globals or attributes hold.
    """
    found = {id(module): module for m in models_behind(model, is_module, "torch.") for module in [getattr(m, "_orig_mod", m)]}
    if len(found) < 2:
        return list(found.values())
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
