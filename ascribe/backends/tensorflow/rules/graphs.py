"""The graph of a function, evaluated for a recorder with demands at its operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..demands import Demand
from ..graph import FrozenGraph
from .interpret import Interpreter
from .marks import Follow


def run_graph(graph: FrozenGraph, args: Any, kwargs: Any, demands: Sequence[Demand], recorder: Any) -> Any:
    """The output for some arguments; the demands have been visited, and the recorder has noted every operation."""
    names = {operation: name for name, operation in graph.operations.items()}
    wanted: dict[tuple[str, str], list[Demand]] = {}
    for demand in demands:
        if demand.cut.layer and not isinstance(demand, Follow):
            wanted.setdefault((demand.cut.layer, demand.cut.anchor), []).append(demand)

    def visit(operation: Any, side: str, values: Any) -> Any:
        name = names.get(operation)
        recorder.places[:] = [name] if side == "in" and name is not None else []
        for demand in wanted.get((name, side), ()) if name is not None else ():
            shown = graph.active_only(values, operation.inputs if side == "in" else operation.outputs)
            if side == "in":
                new = demand.visit(0, (tuple(shown), {}))[0]
            else:
                new = [demand.visit(0, shown[0])] if len(shown) == 1 else demand.visit(0, tuple(shown))
            values = [old if value is None else value for old, value in zip(values, new, strict=True)]
        return values

    leaves = [t for t in tf.nest.flatten((args, kwargs), expand_composites=True) if isinstance(t, tf.Tensor)]
    library = {function.signature.name: function for function in graph.definition.library.function}
    with recorder.pause():
        interpreter = Interpreter(recorder, library, graph.frozen.graph, visit)
        outputs = interpreter.run(graph.frozen.inputs, graph.outputs, leaves)
    return tf.nest.pack_sequence_as(graph.structure, outputs, expand_composites=True)
