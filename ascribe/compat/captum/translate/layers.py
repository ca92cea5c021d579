"""Translates captum's ``layer``: a module, its dotted name, or a cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ....backends.torch.adapters import module_named, modules_behind
from ....cuts import Cut
from ....errors import CutError


class LayerHost(nn.Module):
    """A module around a function, in which the layers that the function uses have names."""

    def __init__(self, run: Callable[..., Any], modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules)
        self.__dict__["run"] = run  # a module among them would be registered twice

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["run"](*args, **kwargs)


@dataclass
class LayerNames:
    """The names of layers and the hosts made for a method object, kept from call to call."""

    hosts: dict[Any, LayerHost] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def list_names(self, host: nn.Module, modules: Sequence[nn.Module]) -> dict[int, str]:
        """Returns the names of a host's modules by their ``id``; the stored ones if they still lead to the same modules."""
        if not all(id(m) in self.names and module_named(host, self.names[id(m)]) == [m] for m in modules):
            self.names = {id(m): name for name, m in host.named_modules()}
        return self.names


def locate_layers(model: Any, layers: Sequence[Any], known: LayerNames) -> tuple[Any, list[Cut]]:
    """Returns a model in which all layers have a name, and their cuts. Raises CutError for anything but a layer.

    ``known`` keeps a host that had to be made, so that the facts learnt about it serve later calls.
    """
    modules = [getattr(layer, "_orig_mod", layer) for layer in layers if isinstance(layer, nn.Module)]
    behind = modules_behind(model)
    names = known.list_names(behind[0], modules) if len(behind) == 1 else {}
    if not all(names.get(id(m)) for m in modules):
        key = tuple(map(id, (model, *modules)))
        if key not in known.hosts:
            known.hosts[key] = LayerHost(model, list(dict.fromkeys((*behind, *modules))))
        model = known.hosts[key]
        names = {id(m): name for name, m in model.named_modules()}
    return model, [as_layer_cut(layer, names) for layer in layers]


def as_layer_cut(layer: Any, names: Mapping[int, str]) -> Cut:
    """Returns a module, a dotted name or a cut as a cut. Raises CutError for anything else."""
    if isinstance(layer, Cut):
        return layer
    if isinstance(layer, str):
        return Cut(layer)
    if isinstance(layer, nn.Module):
        return Cut(names[id(getattr(layer, "_orig_mod", layer))])
    there, advice = f"a {type(layer).__name__}", 'layer=model.layer3, or its dotted name "layer3"'
    raise CutError("A layer must be a module of the model or its name", found=there, advice=advice)
