"""The layers of a Keras model on PyTorch, for the runs of the PyTorch backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from ...cuts import Cut
from ...errors import CutError
from ..protocol import Bias
from ..torch.model.removable_hooks import Hooks
from ..torch.run.hooks import RUNNING, Run, Tap, never_ran, unknown_layer
from .biases import read_biases
from .intercept import Interception
from .names import canonical, check_built, is_table, kind_of, roots_of, squashes
from .paths import named_parts

Report = Callable[[Cut, str, int, Any], None]


class KerasLayers:
    """The layers and operations inside a Keras model, by their paths; see :class:`ascribe.backends.torch.run.layers.Layers`."""

    def __init__(self, hosts: Sequence[Any]) -> None:
        self.roots = roots_of(hosts)
        check_built(self.roots)
        self.host: nn.Module = hosts[0]
        self.seen: dict[str, None] = {}

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in named_parts(self.roots)))

    def tables(self) -> list[str]:
        return [name for name, layer in named_parts(self.roots) if is_table(layer)]

    def is_table(self, name: str) -> bool:
        return any(name == path and is_table(layer) for path, layer in named_parts(self.roots))

    def canonical(self, name: str) -> str:
        return canonical(name)

    def listen(self, hooks: Hooks, taps: Mapping[tuple[str, str], Tap]) -> None:
        self.seen = {}

        def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
            self.seen[path] = None
            tap = taps.get((path, anchor))
            return tap.visit(value) if tap is not None and RUNNING.get() is tap.run else value

        interception = Interception(self.roots, visit, {p.rpartition(".")[0] for p, _ in taps if "activation" in p}.__contains__)
        hooks.handles.append(interception)
        interception.__enter__()

    def not_run(self, cut: Cut) -> CutError:
        known = list(dict.fromkeys([*self.names(), *self.seen]))
        return never_ran(cut) if cut.layer in known else unknown_layer(self.host, cut.layer, known)

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        return read_biases(self.roots, layers)

    @contextmanager
    def report(self, kind: str, visit: Report, run: Run) -> Iterator[None]:
        calls: dict[tuple[str, str], int] = {}
        wanted = {"any": lambda layer: True, "squashing": squashes, "table": is_table}[kind]

        def look(path: str, anchor: Any, layer: Any, value: Any) -> Any:
            if RUNNING.get() is run and wanted(layer):
                number = calls[path, anchor] = calls.get((path, anchor), -1) + 1
                visit(Cut(path, anchor), kind_of(layer), number, value)
            return value

        with self._open(Interception(self.roots, look, lambda path: kind != "table")):
            yield

    @contextmanager
    def follow(self, paths: list[str], run: object) -> Iterator[None]:
        def step(path: str, anchor: str, layer: Any, value: Any) -> Any:
            if RUNNING.get() is run and anchor == "in":
                paths.append(path)
            elif RUNNING.get() is run and path in paths:
                while paths.pop() != path:
                    pass
            return value

        with self._open(Interception(self.roots, step)):
            yield

    @contextmanager
    def _open(self, interception: Interception) -> Iterator[None]:
        hooks = Hooks()
        with hooks.kept():
            hooks.handles.append(interception)
            interception.__enter__()
            yield
