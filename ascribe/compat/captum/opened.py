"""Several layers of a model as its inputs, so that a path can go through all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...backends.torch.hosts import host_of
from ...cuts import INPUT, Cut
from ...engine import activation
from ...errors import CutError
from .asked import Asked, starts
from .conventions import Given


class Opened(nn.Module):
    """A model that is given what some of its layers hold, and then its own arguments."""

    def __init__(self, model: Any, cuts: Sequence[Cut]) -> None:
        super().__init__()
        host = host_of(model)
        assert host is not None, "cuts have names in it"
        self.host, self.cuts = host, tuple(cuts)
        self.__dict__["run"] = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        count = len(self.cuts)
        handles = [written(self.host.get_submodule(cut.layer), cut, value) for cut, value in zip(self.cuts, args[:count], strict=True)]
        try:
            return self.__dict__["run"](*args[count:], **kwargs)
        finally:
            for handle in handles:
                handle.remove()


def written(module: nn.Module, cut: Cut, value: Tensor) -> RemovableHandle:
    """Put a value in the place of what goes into a module, or of what it returns."""
    if cut.anchor == "in":
        return module.register_forward_pre_hook(lambda module, args: (value, *args[1:]))
    return module.register_forward_hook(lambda module, args, output: value)


def together(asked: Asked, recipe: Callable[[Asked], Any]) -> Any:
    """A recipe at several layers at once, as inputs of the opened model. Raises CutError for layers that hold several tensors."""
    begin = [b.expand_as(x) for b, x in zip(starts(asked, asked["baselines"]), asked.inputs.tensors, strict=True)]
    held, first = (activation(asked.model, one.call, at=asked.at).values for one in (asked, asked.on(begin)))
    if not all(isinstance(value, Tensor) for value in held):
        raise CutError("several layers, one of which holds several tensors", try_="a call for each layer")
    inputs = Given(tuple(held), tuple(range(len(held))), False)
    model = Opened(asked.model, asked.at)
    opened = replace(asked, model=model, inputs=inputs, more=(*asked.inputs.tensors, *asked.more), at=INPUT)
    found = recipe(opened.with_options(baselines=tuple(first)))
    return (list(found[0]), found[1]) if asked["return_convergence_delta"] else list(found)
