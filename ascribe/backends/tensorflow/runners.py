"""How the kinds of TensorFlow models are run, with demands at places inside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from ...calls.call import Call
from ...cuts import Cut
from ...errors import CutError
from .demands import Demand, nothing_seen
from .intercept import Run, intercepted
from .modules import host_of, named_modules


class Runner(ABC):
    """A model that can be run with demands at its layers."""

    kind: str
    """The name of the kind of model."""

    def named(self, call: Call) -> Call:
        """The call with the arguments as the model takes them."""
        return call

    def canonical(self, name: str) -> str:
        """The name of a layer that a user gave, as :meth:`layers` has it."""
        return name

    @abstractmethod
    def layers(self) -> dict[str, str]:
        """The kind of every layer by its name."""

    @abstractmethod
    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        """The output of the model; the demands at layers have been visited."""

    def logits(self) -> Cut | None:
        """The scores before a final softmax, where the model says where they are without a run."""
        return None

    def embeddings(self) -> Cut | None:
        """The output of the embedding of ids, where the model says where it is without a run."""
        return None

    @abstractmethod
    def without_layers(self, cut: Cut) -> CutError:
        """The error for a cut at a layer of a model that has none."""


class ModuleRunner(Runner):
    """A callable that runs eagerly; its layers are the modules inside the module that it is, or belongs to."""

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model
        self.host = host_of(model)
        self.modules = {} if self.host is None else named_modules(self.host)
        self.names = {id(module): name for name, module in self.modules.items()}
        self.kind = "function" if self.host is None else type(self.host).__name__

    def layers(self) -> dict[str, str]:
        return {name: type(module).__name__ for name, module in self.modules.items()}

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        inner = [demand for demand in demands if demand.cut.layer]
        if not inner:
            return self.model(*args, **kwargs)
        run = Run(self.names, inner)
        with intercepted([self.host, *self.modules.values()], run):
            output = self.model(*args, **kwargs)
        return output

    def without_layers(self, cut: Cut) -> CutError:
        problem, there = f"A function has no layer {cut.layer!r}", f"a model of type {type(self.model).__name__}"
        return CutError(problem, found=there, advice="the tf.Module itself as the model, or at=asc.INPUT", code="E-CUT-FUNCTION")


def runner_of(model: Any) -> Runner:
    """The way in which a model is run."""
    return ModuleRunner(model)


def check_seen(demands: Sequence[Demand]) -> None:
    """Raises CutError for a demand at a layer that has not seen a value."""
    for demand in demands:
        if demand.cut.layer and not demand.seen:
            raise nothing_seen(demand)
