"""Keras models on TensorFlow, as the TensorFlow backend runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ...cuts import Cut
from ...errors import CutError
from ..protocol import Bias
from ..tensorflow.demands import Demand
from ..tensorflow.intercept import Run, intercepted
from ..tensorflow.runners import Runner
from .biases import read_biases
from .intercept import Interception
from .names import (
    canonical,
    check_built,
    is_table,
    kind_of,
    name_of,
    named_values,
    native_variable,
    roots_of,
    variables_of,
)  # fmt: skip
from .paths import named_parts


class KerasRunner(Runner):
    """A Keras model, or a function around one; see :class:`ascribe.backends.tensorflow.runners.Runner`."""

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model, self.roots = model, roots_of(model)
        check_built(self.roots)
        self.kind = name_of(model, self.roots)

    def layers(self) -> dict[str, str]:
        return {path: kind_of(layer) for path, layer in named_values(self.roots)}

    def variables(self) -> list[Any]:
        return [native_variable(variable) for variable in variables_of(self.roots)]

    def canonical(self, name: str) -> str:
        return canonical(name)

    def tables(self) -> list[str]:
        return [path for path, layer in named_parts(self.roots) if is_table(layer)]

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        return read_biases(self.roots, layers)

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        wanted: dict[tuple[str, str], list[Demand]] = {}
        for demand in demands:
            if demand.cut.layer:
                wanted.setdefault((demand.cut.layer, demand.cut.anchor), []).append(demand)
        if not wanted:
            return self.model(*args, **kwargs)
        uses: Counter[tuple[str, str]] = Counter()

        def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
            for demand in wanted.get((path, anchor), ()):
                value = demand.visit(uses[path, anchor], value)
            uses[path, anchor] += 1
            return value

        parents = {path.rpartition(".")[0] for path, _ in wanted}
        with intercepted([], Run({}, [])), Interception(self.roots, visit, parents.__contains__):
            return self.model(*args, **kwargs)

    def without_layers(self, cut: Cut) -> CutError:
        problem, there = f"The model has no layer {cut.layer!r}", f"a {self.kind} without layers"
        return CutError(problem, found=there, advice="at=asc.INPUT", code="E-CUT-UNKNOWN")
