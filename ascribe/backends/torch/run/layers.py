"""The layers of a model by name: PyTorch's modules, or those of a library built on PyTorch that names them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol

import torch
from torch import nn

from ....cuts import Cut
from ....errors import CutError
from ...protocol import Bias
from ..model.biases import read_biases
from ..model.modules import is_keras
from ..model.removable_hooks import Hooks
from .hooks import RUNNING, Demand, Run, Tap, hook, module_at, module_named, never_ran

Tensor = torch.Tensor
Kind = Literal["any", "squashing", "table"]
"""Which layers: all, those that end in a softmax or sigmoid, or tables of embeddings."""
Visit = Callable[[Cut, str, int, Any], None]
"""Called with a cut, the kind of its layer, the number of the use, and the value."""

KINDS: Mapping[Kind, tuple[type[nn.Module], ...]] = {
    "any": (nn.Module,),
    "squashing": (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.Softmax2d),
    "table": (nn.Embedding, nn.EmbeddingBag),
}


class Layers(Protocol):
    """The layers of a model. All names are dotted paths, and none is empty."""

    def names(self) -> list[str]:
        """The names of the layers, in the order of the model."""

    def tables(self) -> list[str]:
        """The names of the tables of embeddings."""

    def is_table(self, name: str) -> bool:
        """True for the name of a table of embeddings."""

    def canonical(self, name: str) -> str:
        """A name that a user gave, as the layer's path."""

    def listen(self, hooks: Hooks, taps: Mapping[tuple[str, str], Tap]) -> None:
        """See :class:`~.hooks.Listened`."""

    def not_run(self, cut: Cut) -> CutError:
        """See :class:`~.hooks.Listened`."""

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        """The biases of layers with their axes, and the layers that are nonlinear."""

    def report(self, kind: Kind, visit: Visit, run: Run) -> AbstractContextManager[None]:
        """A context in which the inputs and outputs of the layers of a kind are reported as a run passes them."""

    def follow(self, paths: list[str], run: object) -> AbstractContextManager[None]:
        """A context in which the names of the running layers are kept in a list, the innermost last."""


class Look(Demand):
    """A demand that only reports what it sees."""

    looks = True

    def __init__(self, cut: Cut, kind: str, report: Visit) -> None:
        super().__init__(cut)
        self.kind, self.report = kind, report

    def visit(self, call: int, tree: Any) -> dict[Any, Tensor]:
        self.fired = call + 1
        self.report(self.cut, self.kind, call, tree)
        return {}


class Step:
    """The hooks of one module, for a list of the running ones."""

    def __init__(self, paths: list[str], path: str, run: object) -> None:
        self.paths, self.path, self.run = paths, path, run

    def before(self, module: Any, args: Any, kwargs: Any) -> None:
        if RUNNING.get() is self.run:
            self.paths.append(self.path)

    def after(self, module: Any, args: Any, output: Any) -> None:
        if RUNNING.get() is self.run and self.path in self.paths:  # a module that raised never came by here
            while self.paths.pop() != self.path:
                pass


class ModuleLayers:
    """The modules inside one, by their dotted paths; none of a function. See :class:`Layers`."""

    def __init__(self, host: nn.Module | None) -> None:
        self.host = host

    def _modules(self) -> list[tuple[str, nn.Module]]:
        return [(name, module) for name, module in self.host.named_modules() if name] if self.host is not None else []

    def names(self) -> list[str]:
        return [name for name, _ in self._modules()]

    def tables(self) -> list[str]:
        return [name for name, module in self._modules() if isinstance(module, KINDS["table"])]

    def is_table(self, name: str) -> bool:
        found = module_named(self.host, name) if self.host is not None else []
        return bool(found) and isinstance(found[0], KINDS["table"])

    def canonical(self, name: str) -> str:
        return name

    def listen(self, hooks: Hooks, taps: Mapping[tuple[str, str], Tap]) -> None:
        for (layer, anchor), tap in taps.items():
            hook(hooks, module_at(self.host, layer), anchor, tap)

    def not_run(self, cut: Cut) -> CutError:
        return never_ran(cut)

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        biases, nonlinear = read_biases(self.host, layers)
        return dict(biases), nonlinear

    @contextmanager
    def report(self, kind: Kind, visit: Visit, run: Run) -> Iterator[None]:
        hooks = Hooks()
        with hooks.kept():
            for name, module in self._modules():
                for side in ("in", "out") if isinstance(module, KINDS[kind]) else ():
                    look = Look(Cut(name, side), type(module).__name__, visit)
                    hook(hooks, module, side, Tap(run, [look]))
            yield

    @contextmanager
    def follow(self, paths: list[str], run: object) -> Iterator[None]:
        hooks = Hooks()
        with hooks.kept():
            for path, module in self._modules():
                if not isinstance(module, torch.jit.ScriptModule):
                    hooks.place(module, Step(paths, path, run), before=True, after=True)
            yield


def layers_of(modules: Sequence[nn.Module]) -> Layers:
    """The layers of the one module behind a model; of several only where they are models of Keras."""
    if modules and all(map(is_keras, modules)):
        from ...keras.onto_torch import KerasLayers

        return KerasLayers(modules)
    return ModuleLayers(modules[0] if len(modules) == 1 else None)
