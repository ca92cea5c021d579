"""The frozen graph of a function: its operations by name, run with values read, written and differentiated at them.

Functions that the graph calls are inlined, and variables are constants: a graph belongs to the variables' numbers at one time. Cuts are
operations. What is written or differentiated at one replaces its tensor in an imported copy of the graph.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import context
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ...arrays import Array
from ...cuts import Cut, accessor_path
from ...errors import CutError
from ...tree import Path, map_leaves, walk
from .demands import Demand, Look, Read, Watch, Write, floating

CALL = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")
PLUMBING = re.compile(r"(^|/)Identity(_\d+)?$|^Func/")
"""Names of the copies of inputs and outputs that TensorFlow adds to functions."""
CONSTANT = ("Const", "Placeholder", "NoOp")
SQUASHING = ("Softmax", "LogSoftmax", "Sigmoid")
GATHERS = ("GatherV2", "ResourceGather", "Gather")


@dataclass(frozen=True)
class Tap:
    """One tensor that is replaced: its demand, where it is in the value at the cut, its name, and when it is computed."""

    demand: int
    path: Path
    tensor: str
    order: float
    watches: bool
    keeps: bool
    """True if a share of the model's own value stays."""


class FrozenGraph:
    """The graph of a function, with arguments of one structure."""

    def __init__(self, function: Any, args: Any, kwargs: Any) -> None:
        concrete = tf.function(function).get_concrete_function(*args, **kwargs)
        self.structure = tf.nest.map_structure(
            lambda t: tf.type_spec_from_value(t) if isinstance(t, tf.Tensor) else t, concrete.structured_outputs
        )
        self.variables = [weakref.ref(v) for v in concrete.graph.variables]
        self.digest = self._digest()
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)
        self.definition = with_plain_swish(frozen.graph.as_graph_def())
        self.inputs, self.outputs = [t.name for t in frozen.inputs], list(frozen.outputs)
        self.active = active_tensors(frozen.graph.get_operations())
        self.operations = named_operations(frozen.graph.get_operations(), self.active)
        self.order = {op.name: k for k, op in enumerate(frozen.graph.get_operations())}
        self.frozen = frozen
        self.programs: dict[Any, Program] = {}

    def _digest(self) -> bytes:
        """A digest of the numbers of the variables."""
        found = hashlib.blake2b(digest_size=16)
        for reference in self.variables:
            if (variable := reference()) is not None:
                found.update(np.ascontiguousarray(variable.numpy()).tobytes())
        return found.digest()

    def is_current(self) -> bool:
        """True if the variables still have the numbers that the graph has as constants."""
        return self.digest == self._digest()

    def layers(self) -> dict[str, str]:
        """The type of every operation with a floating output that depends on the inputs, in execution order."""
        return {name: op.type for name, op in self.operations.items()}

    def tree(self, cut: Cut) -> Any:
        """The symbolic value at a cut; None for what does not depend on the inputs, such as a weight."""
        op = self.operations[cut.layer]
        if cut.anchor == "in":
            return (tuple(self.active_only(op.inputs, op.inputs)), {})
        return op.outputs[0] if len(op.outputs) == 1 else tuple(self.active_only(op.outputs, op.outputs))

    def active_only(self, values: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
        """Values of tensors, None for tensors that do not depend on the inputs."""
        return [value if tensor.name in self.active else None for value, tensor in zip(values, tensors, strict=True)]

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        """The output for some arguments; the demands have been visited."""
        key = tuple((type(d).__name__, d.cut, isinstance(d, Write) and any(k is not None for k in d.kept)) for d in demands)
        if key not in self.programs:
            self.programs[key] = Program(self, demands)
        return self.programs[key].run(args, kwargs, demands)

    def logits(self) -> Cut | None:
        """What the last operation is given, where it is a softmax or sigmoid; None for other graphs."""
        ends = [t.op for t in self.outputs if t.dtype.is_floating]
        if len(ends) != 1:
            return None
        end = ends[0]
        while end.type == "Identity":
            end = end.inputs[0].op
        shown = next((name for name, op in self.operations.items() if op is end), None)
        return Cut(shown, "in", 0) if shown is not None and end.type in SQUASHING else None

    def embeddings(self) -> Cut | None:
        """The one operation that looks up rows of a table; None where there are none or several."""
        found = [name for name, op in self.operations.items() if op.type in GATHERS and op.outputs[0].dtype.is_floating]
        return Cut(found[0]) if len(found) == 1 else None


def active_tensors(operations: Sequence[Any]) -> frozenset[str]:
    """The names of the tensors that depend on the inputs."""
    active: set[str] = set()
    for op in operations:
        if op.type == "IdentityN":
            active |= {out.name for out, given in zip(op.outputs, op.inputs, strict=True) if given.name in active}
        elif op.type == "Placeholder" or any(t.name in active for t in op.inputs):
            active |= {t.name for t in op.outputs}
    return frozenset(active)


def with_plain_swish(definition: Any) -> Any:
    """A graph in which the derivative of swish (SiLU) is that of its operations.

    TensorFlow gives it a derivative of its own, the same in less memory, which belongs to the graph that the function was traced in. The
    derivatives that users write may be others on purpose: they stay, and a gradient through them at an operation is an error.
    """
    nodes = {node.name: node for node in definition.node}
    for node in definition.node:
        if node.op == "IdentityN" and "_gradient_op_type" in node.attr:
            product = nodes[producer(node.input[0])]
            if product.op == "Mul" and any(nodes[producer(name)].op == "Sigmoid" for name in product.input):
                del node.attr["_gradient_op_type"]
    return definition


def producer(tensor: str) -> str:
    """The name of the operation that computes a tensor."""
    return tensor.removeprefix("^").partition(":")[0]


def named_operations(operations: Sequence[Any], active: frozenset[str]) -> dict[str, Any]:
    """The operations that depend on the inputs and have a floating output, by their names without those of the calls around them."""
    found: list[Any] = []
    for op in operations:
        plumbing = op.type in CONSTANT or (op.type == "Identity" and PLUMBING.search(op.name))
        if not plumbing and any(t.dtype.is_floating and t.name in active for t in op.outputs):
            found.append(op)
    short = [CALL.sub("", op.name) for op in found]
    return {name if short.count(name) == 1 else op.name: op for name, op in zip(short, found, strict=True)}


COPIES = itertools.count()


def with_own_functions(definition: Any) -> Any:
    """A graph whose functions (the bodies of its loops and branches) have names of their own.

    TensorFlow writes functions anew for the gradient of a loop, under names that two imports of one graph would share.
    """
    if not definition.library.function:
        return definition
    copy = type(definition)()
    copy.CopyFrom(definition)
    copy.library.ClearField("gradient")
    number = next(COPIES)
    names = {function.signature.name: f"{function.signature.name}_{number}" for function in copy.library.function}
    for function in copy.library.function:
        function.signature.name = names[function.signature.name]
    for node in itertools.chain(copy.node, *(function.node_def for function in copy.library.function)):
        for attribute in node.attr.values():
            kind = attribute.WhichOneof("value")
            for called in [attribute.func] if kind == "func" else attribute.list.func if kind == "list" else ():
                called.name = names.get(called.name, called.name)
    for function in copy.library.function:
        context().add_function_def(function)
    return copy


class Program:
    """A function of the arguments, of what is written and of what is added where gradients are taken."""

    def __init__(self, graph: FrozenGraph, demands: Sequence[Demand]) -> None:
        self.graph = graph
        self.definition = type(graph.definition)()
        self.definition.CopyFrom(graph.definition)
        self.nodes = {node.name: node for node in self.definition.node}
        self.edges: dict[tuple[str, int], str] = {}
        self.trees = [self._names(demand.cut) for demand in demands]
        taps = [tap for k, demand in enumerate(demands) if not isinstance(demand, (Read, Look)) for tap in self._taps(k, demand)]
        self.taps = sorted(taps, key=lambda tap: tap.order)
        self.shapes: dict[Any, list[tuple[int, ...]]] = {}

    @cached_property
    def inputs(self) -> list[Any]:
        """The shapes and types of the arguments."""
        return [tf.TensorSpec(t.shape, t.dtype) for t in self.graph.frozen.inputs]

    @cached_property
    def traced(self) -> Any:
        """The program, traced once for any number of rows."""
        given = [self._spec(tap) for tap in self.taps]
        shares = [spec for spec, tap in zip(given, self.taps, strict=True) if tap.keeps]
        return tf.function(self._trace, autograph=False).get_concrete_function(self.inputs, given, shares)

    @cached_property
    def valued(self) -> Any:
        """The values of the taps where nothing is replaced, traced once."""
        return tf.function(self._values, autograph=False).get_concrete_function(self.inputs)

    def _names(self, cut: Cut) -> Any:
        """The names of the tensors at a cut. Each input of an operation is an operation of its own, so that only it is replaced."""
        op = self.graph.operations[cut.layer]
        if cut.anchor == "out":
            return map_leaves(self.graph.tree(cut), lambda _, t: None if t is None else t.name)
        return (tuple(None if t is None else self._edge(op, i) for i, t in enumerate(self.graph.tree(cut)[0])), {})

    def _edge(self, op: Any, i: int) -> str:
        if (op.name, i) not in self.edges:
            name, source = f"{op.name}/ascribe_input_{i}", op.inputs[i]
            added = self.definition.node.add(name=name, op="Identity", input=[source.name])
            added.attr["T"].type = source.dtype.as_datatype_enum
            self.nodes[op.name].input[i] = name
            self.edges[op.name, i] = f"{name}:0"
        return self.edges[op.name, i]

    def _taps(self, k: int, demand: Demand) -> list[Tap]:
        cut = demand.cut
        if cut.call not in (None, 0):
            return []
        try:
            found = floating(self.graph.tree(cut), accessor_path(cut))
        except (KeyError, IndexError, AttributeError, TypeError) as wrong:
            problem, there = f"`{cut!r}` has no part {cut.accessor!r}", f"an operation {self.graph.operations[cut.layer].type}"
            raise CutError(problem, found=there, advice="the cut without accessor=, or with the number of one of its tensors") from wrong
        names = dict(walk(self.trees[k]))
        order = self.graph.order[self.graph.operations[cut.layer].name] - 0.5 * (cut.anchor == "in")
        watches, kept = isinstance(demand, Watch), demand.kept if isinstance(demand, Write) else ()
        return [
            Tap(k, path, names[path], order, watches, i < len(kept) and kept[i] is not None) for i, (path, _) in enumerate(found)
        ]  # fmt: skip

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        """The output for some arguments; the demands have been visited."""
        leaves = [t for t in tf.nest.flatten((args, kwargs), expand_composites=True) if isinstance(t, tf.Tensor)]
        given, shares = self._given(leaves, demands)
        outputs, trees = self.traced(leaves, given, shares)
        for k, demand in enumerate(demands):
            demand.calls = 1
            if isinstance(demand, (Read, Look)):
                demand.visit(0, trees[str(k)])
            else:
                mine = [(tap, array) for tap, array in zip(self.taps, given, strict=True) if tap.demand == k]
                demand.seen += [(0, tap.path, array) for tap, array in mine]
        return tf.nest.pack_sequence_as(self.graph.structure, outputs, expand_composites=True)

    def _given(self, leaves: list[Array], demands: Sequence[Demand]) -> tuple[list[Array], list[Array]]:
        """What is written, zeros that are added where gradients are taken, and the shares of the model's own values that stay."""
        given, shares = [], []
        shapes = self._shapes(leaves) if any(tap.watches for tap in self.taps) else []
        for i, tap in enumerate(self.taps):
            demand: Any = demands[tap.demand]
            kind = self._spec(tap).dtype
            mine = [t for t in self.taps if t.demand == tap.demand].index(tap)
            array = tf.zeros(shapes[i], kind) if tap.watches else tf.cast(tf.convert_to_tensor(demand.values[mine]), kind)
            if demand.tape is not None:
                demand.tape.watch(array)
            given.append(array)
            if tap.keeps:
                shares.append(tf.cast(tf.convert_to_tensor(demand.kept[mine]), kind))
        return given, shares

    def _spec(self, tap: Tap) -> Any:
        """The shape and the type of a tensor that is replaced, with any number of rows."""
        graph = self.graph.frozen.graph
        source = next((graph.get_operation_by_name(name).inputs[i] for (name, i), edge in self.edges.items() if edge == tap.tensor), None)
        tensor = graph.get_tensor_by_name(tap.tensor) if source is None else source
        return tf.TensorSpec(tensor.shape, tensor.dtype)

    def _shapes(self, leaves: list[Array]) -> list[tuple[int, ...]]:
        """The shapes of the taps for these arguments, found out in a run without them."""
        key = tuple(tuple(leaf.shape) for leaf in leaves)
        if key not in self.shapes:
            self.shapes[key] = [tuple(value.shape) for value in self.valued(leaves)]
        return self.shapes[key]

    def _values(self, leaves: list[Array]) -> list[Array]:
        """The values of the taps where nothing is replaced."""
        return self._imported(dict(zip(self.graph.inputs, leaves, strict=True)), [tap.tensor for tap in self.taps])

    def _imported(self, replaced: dict[str, Array], wanted: list[str]) -> list[Array]:
        """The values of tensors where others are replaced."""
        definition = with_own_functions(self.definition)
        return list(tf.graph_util.import_graph_def(definition, input_map=replaced, return_elements=wanted, name="")) if wanted else []

    def _trace(self, leaves: list[Array], given: list[Array], shares: list[Array]) -> tuple[list[Array], dict[str, Any]]:
        """The program itself: replaces tensors in execution order, and returns the outputs and what is read."""
        replaced, rest = dict(zip(self.graph.inputs, leaves, strict=True)), list(shares)
        for tap, array in zip(self.taps, given, strict=True):
            if tap.watches:
                (own,) = self._imported(replaced, [tap.tensor])
                array = own + array
            elif tap.keeps:
                (own,), share = self._imported(replaced, [tap.tensor]), rest.pop(0)
                array = tf.stop_gradient(own) * share + array * (1 - share)
            replaced[tap.tensor] = array
        names = [name for tree in self.trees for _, name in walk(tree) if name is not None] + [t.name for t in self.graph.outputs]
        wanted = [name for name in dict.fromkeys(names) if name not in replaced]
        values = {**replaced, **dict(zip(wanted, self._imported(replaced, wanted), strict=True))}
        trees = {
            str(k): map_leaves(tree, lambda _, name: None if name is None else tf.identity(values[name]))
            for k, tree in enumerate(self.trees)
        }
        return [tf.identity(values[t.name]) for t in self.graph.outputs], trees
