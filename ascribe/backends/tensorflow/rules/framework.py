"""TensorFlow as the framework of a tape: the operation again, vector-Jacobian products, convolutions as layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ....arrays import Namespace
from ....tape import Entry, Operation, Var
from ....tape.formulas.layers import Layer
from ....tape.motifs import Call
from ....tape.step import Formula
from ....tape.tape import substituted
from ..namespace import xp
from .convolutions import Convolution
from .operations import CALLS
from .pooling import POOL
from .raw import Node

Array = Any


class TensorflowFramework:
    """See :class:`ascribe.tape.Framework`."""

    name = "TensorFlow"
    xp: Namespace = xp
    calls: Mapping[str, Call] = CALLS
    """The operations that :mod:`ascribe.tape.motifs` makes of what is written out."""

    def __init__(self, formulas: Mapping[tuple[str, str], Mapping[str, Formula]]) -> None:
        self.formulas = formulas
        self.kernels: Mapping[str, Callable[..., Any]] = {}

    def operation(self, call: Any, name: str) -> Operation:
        operation: Operation = call.operation
        return operation

    def arguments(self, entry: Entry) -> tuple[Any, ...] | None:
        return (*entry.args, *entry.call.extra)

    def again(self, entry: Entry, values: Callable[[Var], Array]) -> list[Any]:
        if entry.op.same:
            return [values(entry.ins[0])]
        out = entry.call.run(*[substituted(a, values) for a in entry.args])
        return list(out) if isinstance(out, (list, tuple)) else [out]

    def pull(self, function: Callable[..., Sequence[Any]], at: Sequence[Array], back: Sequence[Array | None]) -> list[Array | None]:
        here = [tf.identity(a) for a in at]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(here)
            outs = function(*here)
        pairs = [(o, g) for o, g in zip(outs, back, strict=True) if g is not None and (o.dtype.is_floating or o.dtype.is_complex)]
        if not pairs:
            return [None] * len(here)
        try:
            found = tape.gradient([o for o, _ in pairs], here, [tf.cast(tf.reshape(g, o.shape), o.dtype) for o, g in pairs])
        except LookupError as wrong:
            raise NotImplementedError(str(wrong)) from wrong
        return [None if g is None else tf.convert_to_tensor(g) for g in found]

    def channel_axis(self, entry: Entry) -> int:
        """The axis of the channels in the result of a convolution."""
        node: Node = entry.call.extra[0]
        return 1 if node.text("data_format").startswith("NC") else len(entry.out().shape) - 1

    def layer(self, entry: Entry) -> Layer | None:
        x, weight, bias = entry.args[:3]
        if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var):
            return None
        node: Node = entry.call.extra[0]
        return Convolution(entry=entry, source=x, into=x, out=entry.out(), weight=weight, bias=bias, node=node)


def var_of(like: Array, entry: Entry | None, slot: int = 0) -> Var:
    """A value on the tape for a tensor."""
    var = Var(like, entry, slot, xp.kind(like))
    var.shape, var.held = tuple(like.shape), like
    return var


TENSORFLOW = TensorflowFramework({("pool", "winner"): POOL})
"""TensorFlow, with its own formulas."""
