"""Several layers of a model as its inputs, so that a path can go through all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...backends.torch.adapters import host_of
from ...cuts import INPUT, Cut
from ...engine.verbs import activation
from ...tree import map_leaves, walk
from .asked import Asked, starts, tuples
from .conventions import Given


class Opened(nn.Module):
    """A model that is given what some of its layers hold, so many tensors for each, and then its own arguments."""

    def __init__(self, model: Any, cuts: Sequence[Cut], counts: Sequence[int]) -> None:
        super().__init__()
        host = host_of(model)
        assert host is not None, "cuts have names in it"
        self.host, self.cuts, self.counts = host, tuple(cuts), tuple(counts)
        self.__dict__["run"] = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = iter(args[: sum(self.counts)])
        values = [list(islice(given, count)) for count in self.counts]
        handles = [written(self.host.get_submodule(cut.layer), cut, held) for cut, held in zip(self.cuts, values, strict=True)]
        try:
            return self.__dict__["run"](*args[sum(self.counts) :], **kwargs)
        finally:
            for handle in handles:
                handle.remove()


def written(module: nn.Module, cut: Cut, values: Sequence[Tensor]) -> RemovableHandle:
    """Put values in the place of the tensors that go into a module, or of those that it returns."""
    if cut.anchor == "in":
        return module.register_forward_pre_hook(lambda module, args, kwargs: exchanged((args, kwargs), values), with_kwargs=True)
    return module.register_forward_hook(lambda module, args, output: exchanged(output, values))


def exchanged(tree: Any, values: Sequence[Tensor]) -> Any:
    """Other tensors in the place of the floating ones, in their order."""
    left = iter(values)

    def change(_: Any, leaf: Any) -> Any:
        return next(left, leaf) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return map_leaves(tree, change)


def together(asked: Asked, recipe: Callable[[Asked], Any]) -> Any:
    """A recipe at several layers at once, as inputs of the opened model: a list with what each layer's tensors get."""
    begin = [b.expand_as(x) for b, x in zip(starts(asked, asked["baselines"]), asked.inputs.tensors, strict=True)]
    held, first = (activation(asked.model, one.call, at=asked.at).values for one in (asked, asked.on(begin)))
    leaves, from_there = ([leaf for value in side for _, leaf in walk(value)] for side in (held, first))
    inputs = Given(tuple(leaves), tuple(range(len(leaves))), False)
    model = Opened(asked.model, asked.at, [sum(1 for _ in walk(value)) for value in held])
    opened = replace(asked, model=model, inputs=inputs, more=(*asked.inputs.tensors, *asked.more), at=INPUT)
    found = recipe(opened.with_options(baselines=tuple(from_there)))
    parts = iter(found[0] if asked["return_convergence_delta"] else found)
    values = [tuples(map_leaves(value, lambda _, leaf: next(parts))) for value in held]
    return (values, found[1]) if asked["return_convergence_delta"] else values
