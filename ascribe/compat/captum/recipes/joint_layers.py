"""Several layers as the inputs of a model, so that one path goes through all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ....backends.torch.adapters import host_of
from ....cuts import INPUT, Cut
from ....engine.verbs import activation
from ....tree import map_leaves, walk
from ..translate.call import CaptumCall, make_baselines, to_tuples
from ..translate.inputs import CaptumInputs


class LayersAsInputs(nn.Module):
    """A model that takes the values of some of its layers as its first arguments, ``counts[i]`` tensors for layer ``i``."""

    def __init__(self, model: Any, cuts: Sequence[Cut], counts: Sequence[int]) -> None:
        super().__init__()
        host = host_of(model)
        assert host is not None, "cuts have names in it"
        self.host, self.cuts, self.counts = host, tuple(cuts), tuple(counts)
        self.__dict__["run"] = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = iter(args[: sum(self.counts)])
        values = [list(islice(given, count)) for count in self.counts]
        handles = [replace_values(self.host.get_submodule(cut.layer), cut, held) for cut, held in zip(self.cuts, values, strict=True)]
        try:
            return self.__dict__["run"](*args[sum(self.counts) :], **kwargs)
        finally:
            for handle in handles:
                handle.remove()


def replace_values(module: nn.Module, cut: Cut, values: Sequence[Tensor]) -> RemovableHandle:
    """Registers a hook that replaces the input or the output of a module."""
    if cut.anchor == "in":
        return module.register_forward_pre_hook(lambda module, args, kwargs: exchange_tensors((args, kwargs), values), with_kwargs=True)
    return module.register_forward_hook(lambda module, args, output: exchange_tensors(output, values))


def exchange_tensors(tree: Any, values: Sequence[Tensor]) -> Any:
    """Returns a structure with its floating-point tensors replaced in order."""
    left = iter(values)

    def change(_: Any, leaf: Any) -> Any:
        return next(left, leaf) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return map_leaves(tree, change)


def run_at_layers(call: CaptumCall, recipe: Callable[[CaptumCall], Any]) -> Any:
    """Runs a recipe at several layers together. Returns a list with the values of each layer."""
    begin = [b.expand_as(x) for b, x in zip(make_baselines(call, call["baselines"]), call.inputs.tensors, strict=True)]
    held, first = (activation(call.model, one.model_call, at=call.at).values for one in (call, call.with_inputs(begin)))
    leaves, from_there = ([leaf for value in side for _, leaf in walk(value)] for side in (held, first))
    inputs = CaptumInputs(tuple(leaves), tuple(range(len(leaves))), False)
    model = LayersAsInputs(call.model, call.at, [sum(1 for _ in walk(value)) for value in held])
    opened = replace(call, model=model, inputs=inputs, extra_args=(*call.inputs.tensors, *call.extra_args), at=INPUT)
    found = recipe(opened.with_options(baselines=tuple(from_there)))
    parts = iter(found[0] if call["return_convergence_delta"] else found)
    values = [to_tuples(map_leaves(value, lambda _, leaf: next(parts))) for value in held]
    return (values, found[1]) if call["return_convergence_delta"] else values
