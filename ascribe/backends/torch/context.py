"""A PyTorch model and one call of it, with what is known about both: what every helper of a session works with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from ...calls.call import Call
from ...cuts import Cut
from ...errors import InputError, ModelError
from ..facts import Facts
from .device import TorchDevice
from .model.arguments import Inputs
from .model.dependencies import DependencyScan, around
from .model.errors import differentiates_inside
from .model.facts import ModelFacts, load_model_facts, weight_facts
from .model.modules import Parts, modules_behind
from .model.state import State
from .run.axes import Axis
from .run.layers import layers_of

is_meta = attrgetter("is_meta")


def floating_type(weights: Sequence[torch.Tensor]) -> torch.dtype | None:
    """The type of the first floating weight."""
    for weight in weights:
        if weight.is_floating_point():
            return weight.dtype
    return None


class Context:
    """A model, the arguments of one call, and what was learnt about both.

    ``runs`` is what is called, ``host`` the one module behind it, ``layers`` its layers by name, ``parts`` all its modules and parameters.
    ``axes`` are the record axes found in this call, ``wanted`` the cuts that the call will read. Raises InputError or ModelError for a
    model and arguments that cannot be run together.
    """

    sight: DependencyScan
    number: int

    def __init__(self, model: Any, call: Call, memory: ModelFacts | None = None) -> None:
        self.model, self.call = model, call
        self.runs = getattr(model, "_orig_mod", model)  # compiled code does not see hooks added later
        self.modules = modules_behind(model)
        self.host = self.modules[0] if len(self.modules) == 1 else None
        self.layers = layers_of(self.modules)
        self.parts = Parts(self.modules)
        self.memory = memory or load_model_facts(self.host if self.host is not None else model)
        weights = self.parts.parameters if self.host is not None else []
        self.dtype = floating_type(weights)
        self.inputs = Inputs(call, self.dtype)
        self.device = TorchDevice(self.inputs.leaves.values())
        if weights and not weights[0].is_meta and True in map(is_meta, self.inputs.leaves.values()):
            home = str(weights[0].device)  # an embedding would read numbers that are not there
            there = f"the model on {home}, the inputs on meta"
            raise InputError("The model and its inputs must be on the same device", found=there, advice=f'x.to("{home}")', code="E-DEVICE")
        if any(map(is_lazy, dict(zip(map(type, weights), weights, strict=True)).values())):
            advice = "model(x) once before, which creates the weights of lazy layers"
            raise ModelError("A layer of the model has no weights yet", found="a lazy layer", advice=advice, code="E-MODEL-LAZY")
        self.records = self.inputs.records
        self.notes: list[str] = []
        self.facts = Facts()
        self.wanted: list[Cut] = []
        self.axes: dict[Cut, tuple[Axis, ...]] = {}
        self.state: State | None = None

    def look(self) -> tuple[Any, ...]:
        """Look at everything that the way the model runs can depend on; returns the signature of the call."""
        signature, others = self.inputs.signature()
        self.sight = sight = DependencyScan(self.modules)
        sight.of_modules(self.parts.modules)
        sight.add((None if self.model is self.host else self.model, *around(), *others))
        while sight.finish().modules:  # they are not registered in others: in plain lists, in objects, in what the function can see
            known = len(self.parts.modules)
            self.parts.extend(sight.modules)
            sight.modules = []
            sight.of_modules(self.parts.modules[known:])
        return signature

    def recall(self, signature: tuple[Any, ...]) -> None:
        """Load the facts about calls of a signature, of the model in its present state."""
        known = self.memory.of((self.number, *signature))
        self.facts.load(known.shapes, partial(weight_facts, known, self.parts, self.state, self.sight))

    def cast(self) -> None:
        """Cast the inputs to the model's own floating type."""
        assert self.dtype is not None
        self.inputs.cast(self.dtype)
        self.axes.clear()
        self.recall(self.look())
        self.notes.append(f"the inputs were cast to the model's {str(self.dtype).removeprefix('torch.')}")

    def last_use(self, cut: Cut) -> int | None:
        """The number of a layer's last use in such a call, if it has been seen."""
        return self.facts.weights.last_uses.get((cut.layer, cut.anchor)) if cut.layer else None

    @property
    def differentiates(self) -> bool:
        """True if the model is known to take gradients of its own, as for forces: it cannot do without a graph."""
        return self.facts.shapes.differentiates

    def graphs(self, wanted: object = False) -> torch.set_grad_enabled:
        """A context with gradients if they are wanted, or if the model takes some itself."""
        return torch.set_grad_enabled(bool(wanted) or self.facts.shapes.differentiates)

    def needs_graph(self, wrong: BaseException) -> bool:
        """True if a run failed for want of gradients and may now be made again with them."""
        if self.differentiates or not differentiates_inside(wrong.__cause__ or wrong):
            return False
        self.facts.shapes.differentiates = True
        return True
