"""Functions and graphs of TensorFlow, evaluated eagerly operation by operation, so that each is recorded.

Lists of tensors are lists of Python, of conditionals the branch runs that the record takes, and loops run step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import function_def_to_graph

from ....tape import Var
from .lists import LISTS, TensorList
from .operations import REFUSED
from .raw import Node, Raw, attributes_of
from .record import Recorder, refused

Array = Any
Visit = Callable[[Any, str, Any], Any]
"""Called with an operation, the side, and its value there; returns the value to go on with."""

STEPS = 100_000
"""The most steps of a loop."""


def unchanged(operation: Any, side: str, value: Any) -> Any:
    """Visits nothing."""
    return value


@dataclass
class Interpreter:
    """Evaluates graphs for a recorder. ``library`` has the definitions of the functions that they call."""

    recorder: Recorder
    library: Mapping[str, Any] = field(default_factory=dict)
    around: Any = None
    visit: Visit = unchanged
    graphs: dict[str, Any] = field(default_factory=dict)
    """The graphs of functions that were called."""

    def run(self, inputs: Sequence[Any], outputs: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """The values of symbolic outputs for values of symbolic inputs."""
        known = {t.ref(): value for t, value in zip(inputs, values, strict=True)}
        for operation in needed([t.op for t in outputs], {t.op for t in inputs}):
            found = self.operation(operation, [known[t.ref()] for t in operation.inputs])
            known.update({t.ref(): value for t, value in zip(operation.outputs, found, strict=True)})
        return [known[t.ref()] for t in outputs]

    def operation(self, operation: Any, args: list[Any]) -> Sequence[Any]:
        """The results of one operation."""
        if operation.type == "Const":
            return [tf.constant(tf.make_ndarray(operation.get_attr("value")))]
        args = list(self.visit(operation, "in", args))
        if operation.type in FOLLOWED:
            found = FOLLOWED[operation.type](self, operation, args)
        elif operation.type == "Identity" and isinstance(args[0], TensorList):
            found = args
        elif operation.type in LISTS:
            found = LISTS[operation.type](self.execute, operation, args)
        else:
            found = self.execute(operation.type, attributes_of(operation), len(operation.outputs), args)
        return list(self.visit(operation, "out", found))

    def execute(self, kind: str, attributes: tuple[Any, ...], number: int, args: Sequence[Array]) -> Sequence[Array]:
        """Executes an operation, and records it."""
        if kind in REFUSED and any(isinstance(self.recorder.value(a), Var) for a in args):
            raise refused(kind)
        found = Raw(kind, attributes, number, tuple(a.dtype for a in args))(*args)
        outputs = [found] if number == 1 else list(found)
        self.recorder.note(Node(kind, attributes, args, outputs))
        self.recorder.check()
        return outputs

    def call(self, name: str, values: Sequence[Any]) -> list[Any]:
        """The results of a function by its name."""
        if name not in self.graphs:
            self.graphs[name] = self.graph(name)
        graph = self.graphs[name]
        return Interpreter(self.recorder, self.library, self.around, graphs=self.graphs).run(graph.inputs, graph.outputs, values)

    def graph(self, name: str) -> Any:
        """The graph of a function by its name."""
        definition = self.library.get(name)
        if definition is None:
            definition = context.context().get_function_def(name)
        with nullcontext() if self.around is None else self.around.as_default():
            return function_def_to_graph.function_def_to_graph(definition)


def needed(ends: Sequence[Any], starts: set[Any]) -> list[Any]:
    """The operations that lead to others, in order; those that the run starts from are left out."""
    order: dict[Any, None] = {}
    waiting = [(op, False) for op in ends][::-1]
    while waiting:
        operation, ready = waiting.pop()
        if operation in order or operation in starts:
            continue
        if ready:
            order[operation] = None
        else:
            before = [t.op for t in operation.inputs]
            waiting += [(operation, True), *((op, False) for op in before[::-1] if op not in order)]
    return list(order)


def called(interpreter: Interpreter, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``PartitionedCall``."""
    return interpreter.call(operation.get_attr("f").name, args)


def branch(interpreter: Interpreter, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``If`` and ``Case``: the branch that the record takes. It stays that of the record where it depends on what is explained."""
    which, *values = args
    if isinstance(interpreter.recorder.value(which), Var):
        interpreter.recorder.chosen(operation.type)
    if "If" in operation.type:
        name = operation.get_attr("then_branch" if bool(tf.cast(which, tf.bool)) else "else_branch").name
    else:
        branches = operation.get_attr("branches")
        number = int(which)
        name = branches[number if 0 <= number < len(branches) else -1].name
    return interpreter.call(name, values)


def loop(interpreter: Interpreter, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``While``, step by step. The number of steps stays that of the record where it depends on what is explained."""
    goes_on, body = (operation.get_attr(name).name for name in ("cond", "body"))
    values, counted = args, False
    for _ in range(STEPS):
        (again,) = interpreter.call(goes_on, values)
        if isinstance(interpreter.recorder.value(again), Var) and not counted:
            interpreter.recorder.chosen(operation.type)
            counted = True
        if not bool(again):
            return values
        values = interpreter.call(body, values)
    raise refused(operation.type, f"a loop of more than {STEPS} steps")


def entered(recorder: Recorder, name: str, values: Sequence[Array]) -> list[Array] | None:
    """The results of a function of this process that ran as one operation; None where its definition is not known."""
    return Interpreter(recorder).call(name, values) if context.context().has_function(name) else None


FOLLOWED: dict[str, Callable[[Interpreter, Any, list[Any]], Sequence[Any]]] = {
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), called),
    **dict.fromkeys(("If", "StatelessIf", "Case", "StatelessCase"), branch),
    **dict.fromkeys(("While", "StatelessWhile"), loop),
}
"""Operations that call functions."""
