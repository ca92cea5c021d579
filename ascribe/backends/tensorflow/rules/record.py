"""Writes the tape: every operation that TensorFlow executes while the model runs, where it depends on the explained inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from ....errors import RuleError
from ....tape import Entry, Tape, Var
from ....tape.motifs import Call
from . import operations as ops
from .framework import TENSORFLOW, var_of
from .operations import CHOICES, REFUSED, SHAPES, WRITES, row
from .raw import Node, completed

Array = Any
Results = Sequence[Any]
Writer = Callable[["Recorder", Node, list[Any]], Results]

LAYERS = frozenset({"MatMul", "BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput"})
"""Operations that are layers where they have fixed weights."""


@dataclass
class Recorder:
    """One recorded run. ``known`` has the value on the tape of each tensor that depends on a source, by the identity of the tensor.

    ``writers`` write operations with the arguments of their forms. ``enter`` returns the result of a function that runs as one operation,
    by its name. ``paused`` is True while the recorder itself runs operations.
    """

    writers: dict[str, Writer]
    enter: Callable[[Recorder, str, Sequence[Array]], Sequence[Array] | None]
    tape: Tape = field(default_factory=Tape)
    known: dict[int, tuple[Array, Var]] = field(default_factory=dict)
    narrow: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    paused: bool = False
    error: BaseException | None = None

    def __call__(self, kind: Any, inputs: Any, attributes: Any, outputs: Any, _: Any = None, graph: Any = None, **more: Any) -> None:
        """Notes an operation that was executed."""
        if self.paused or graph is not None:
            return
        with self.pause():
            try:
                name = kind.decode() if isinstance(kind, bytes) else kind
                self.note(Node(name, completed(name, attributes or ()), inputs, outputs))
            except BaseException as wrong:
                self.error = self.error or wrong

    @contextmanager
    def pause(self) -> Iterator[None]:
        """A context in which operations are not noted."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before

    def check(self) -> None:
        """Raises the error of an operation that could not be followed."""
        if self.error is not None:
            raise self.error

    def source(self, value: Array) -> Array:
        """A tensor with a value that the tape starts from."""
        with self.pause():
            value = tf.identity(value)
        var = var_of(value, None, len(self.tape.sources))
        self.tape.sources.append(var)
        self.known[id(value)] = value, var
        return value

    def mark(self, value: Array) -> Array:
        """A tensor whose value is on the tape as one of its own: it starts the tape, if it is not on it yet."""
        var = self.value(value)
        if not isinstance(var, Var):
            return self.source(value)
        with self.pause():
            value = tf.identity(value)
            (marked,) = self.add(ops.MARK, "mark", (var,), [value])
        self.known[id(value)] = value, marked
        return value

    def value(self, tensor: Array) -> Any:
        """The value on the tape of a tensor; the tensor itself if it is a constant."""
        held = self.known.get(id(tensor))
        return tensor if held is None or held[0] is not tensor else held[1]

    def note(self, node: Node) -> None:
        """One operation that was executed."""
        if self.error is not None:
            return
        args = [self.value(t) for t in node.inputs]
        if not any(isinstance(a, Var) for a in args):
            self.constant(node)
        elif node.kind not in SHAPES:
            for tensor, result in zip(node.outputs, self.written(node, args), strict=True):
                if isinstance(result, Var):
                    self.known[id(tensor)] = tensor, result

    def constant(self, node: Node) -> None:
        """An operation on constants: one that repeats elements is remembered without them."""
        self.tape.before += node.kind in LAYERS and not self.tape.entries
        if node.kind == "BroadcastTo" or (node.kind == "Fill" and node.outputs[0].shape.rank):
            given, out = node.inputs[0 if node.kind == "BroadcastTo" else 1], node.outputs[0]
            self.narrow[id(out)] = out, tf.reshape(given, [1] * (len(out.shape) - len(given.shape)) + list(given.shape))

    def written(self, node: Node, args: list[Any]) -> Results:
        """An operation with its form's arguments, as one entry of the tape or as several; its results."""
        kind = node.kind
        if kind in WRITES:
            self.tape.opaque[kind] = self.tape.opaque.get(kind, 0) + 1
            return node.outputs
        if kind in REFUSED:
            raise refused(kind)
        if kind.startswith("__") or kind in ("PartitionedCall", "StatefulPartitionedCall"):
            return self.inner(node)
        if kind in CHOICES or not any(t.dtype.is_floating or t.dtype.is_complex or t.dtype.is_bool for t in node.outputs):
            self.chosen(kind)
            return node.outputs
        write = self.writers.get(kind)
        if write is not None:
            return write(self, node, args)
        return self.add(Call(row(kind), node.raw), kind, args, node.outputs)

    def inner(self, node: Node) -> Results:
        """A function that ran as one operation, operation by operation."""
        found = self.enter(self, node.kind, node.inputs)
        if found is None:
            raise refused(node.kind)
        return [self.value(t) for t in found]

    def add(self, call: Call, name: str, args: Sequence[Any], values: Sequence[Array] | None = None) -> list[Any]:
        """Writes an operation to the tape; without its values it is evaluated. Its results are values on the tape."""
        if call.operation.pointwise or call.operation.additive:
            rank = max(len(a.shape) for a in args if hasattr(a, "shape"))
            args = tuple(self.small(a, rank) for a in args)
        args = tuple(args)
        place = self.places[-1] if self.places else ""
        entry = Entry(call, name, args, {}, list(variables(args)), TENSORFLOW, place=place)
        found = TENSORFLOW.again(entry, lambda v: v.value) if values is None else values
        entry.outs = [var_of(value, entry, slot) for slot, value in enumerate(found)]
        self.tape.entries.append(entry)
        return list(entry.outs)

    def small(self, a: Any, rank: int) -> Any:
        """A constant before it was broadcast, with as many axes as its partner; numbers as such."""
        if isinstance(a, Var) or not hasattr(a, "shape"):
            return a
        if a.shape.rank == 0:
            return float(a) if a.dtype.is_floating else a
        kept = self.narrow.get(id(a))
        a = a if kept is None or kept[0] is not a else kept[1]
        return tf.reshape(a, [1] * (rank - len(a.shape)) + list(a.shape)) if len(a.shape) < rank else a

    def chosen(self, name: str) -> None:
        """Counts an operation whose result stays that of the record."""
        self.tape.choices[name] = self.tape.choices.get(name, 0) + 1

    def close(self) -> None:
        """Ends the model's part. A truth value that no operation uses was read by Python, which chose by it."""
        used = {v for entry in self.tape.entries for v in entry.ins}
        for entry in self.tape.entries:
            if len(entry.outs) == 1 and entry.out().kind == "b" and entry.out() not in used:
                self.chosen(entry.name)
        self.tape.close()


def variables(args: Iterable[Any]) -> Iterator[Var]:
    """The values on the tape among arguments."""
    for a in args:
        if isinstance(a, Var):
            yield a
        elif isinstance(a, (list, tuple)):
            yield from variables(a)


def refused(name: str, found: str = "") -> RuleError:
    """The error for an operation that cannot be followed."""
    return RuleError(
        f"The rule cannot propagate through the operation `{name}` of TensorFlow",
        found=found or f"{name}, whose steps are hidden",
        advice="at= a layer after it; or asc.IntegratedGradients()(model, x)",
    )
