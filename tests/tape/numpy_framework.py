"""NumPy as the framework of a tape: all that a backend's author writes, apart from filling the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ascribe.backends.numpy.namespace import xp
from ascribe.tape import Entry, Operation, Tape, Var

ROWS = {
    "matmul": Operation("matmul", "product"),
    "multiply": Operation("multiply", "product", pointwise=True, smooth=True, from_zero=True),
    "add": Operation("add", "linear", additive=True, smooth=True),
    "relu": Operation("relu", pointwise=True, from_zero=True),
    "tanh": Operation("tanh", pointwise=True, smooth=True, from_zero=True),
    "sigmoid": Operation("sigmoid", pointwise=True, smooth=True),
    "softmax": Operation("softmax", "softmax"),
    "layer_norm": Operation("layer_norm", "norm", passes=(0,)),
}


class NumpyFramework:
    """See :class:`ascribe.tape.Framework`."""

    name = "NumPy"
    xp = xp

    def __init__(self) -> None:
        self.formulas: dict[Any, Any] = {}
        self.kernels: dict[str, Any] = {}

    def operation(self, call: Any, name: str) -> Operation:
        return ROWS[name]

    def arguments(self, entry: Entry) -> tuple[Any, ...]:
        return (*entry.args, 1) if entry.name == "add" else entry.args

    def again(self, entry: Entry, values: Callable[[Var], np.ndarray]) -> list[np.ndarray]:
        return [entry.call(*[values(a) if isinstance(a, Var) else a for a in entry.args])]

    def pull(self, function: Callable[..., Sequence[Any]], at: Sequence[np.ndarray], back: Sequence[Any]) -> list[np.ndarray]:
        """By central differences, for element-wise functions of one array: nothing else is asked for here."""
        (x,), (g,) = at, back
        slope = sum(w * (function(x + k * 1e-3)[0] - function(x - k * 1e-3)[0]) for k, w in ((1, 45), (2, -9), (3, 1)))
        return [g * slope / 60e-3]

    def layer(self, entry: Entry) -> None:
        return None


NUMPY = NumpyFramework()


def record(tape: Tape, call: Callable[..., np.ndarray], name: str, *args: Any) -> Var:
    """Does an operation and writes it to the tape."""
    entry = Entry(call, name, args, {}, [a for a in args if isinstance(a, Var)], NUMPY)
    (value,) = NUMPY.again(entry, lambda v: v.value)
    out = Var(value, entry)
    out.held, entry.outs = value, [out]
    tape.entries.append(entry)
    return out


def source(tape: Tape, value: np.ndarray) -> Var:
    """A value that the tape starts from."""
    var = Var(value, None, len(tape.sources))
    var.held = value
    tape.sources.append(var)
    return var
