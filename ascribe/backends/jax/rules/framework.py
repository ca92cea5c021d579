"""JAX as the framework of a tape: the operation again, vector-Jacobian products, convolutions as layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core as jax_core
import jax.numpy as jnp
import numpy as np

from ....arrays import Namespace
from ....tape import Entry, Operation, Var
from ....tape.formulas.layers import Layer, along
from ....tape.step import Formula, Uncovered
from ....tape.tape import substituted
from ..decisions import calculate, holds, traced
from ..namespace import xp
from .operations import CALLS, Call
from .pooling import POOL

Array = Any

RECALLED: dict[Any, Any] = {}
"""Properties of operations, by their traced programs."""
MOST = 256


class JaxFramework:
    """See :class:`ascribe.tape.Framework`."""

    name = "JAX"
    xp: Namespace = xp
    calls: Mapping[str, Call] = CALLS
    """The operations that :mod:`ascribe.tape.motifs` makes of what is written out."""

    def __init__(self, formulas: Mapping[tuple[str, str], Mapping[str, Formula]]) -> None:
        self.formulas = formulas
        self.kernels: Mapping[str, Callable[..., Any]] = {
            "calculate": calculate,
            "holds": holds,
            "measure": measure,
            "recall": recall,
            "sample": sample,
        }

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
        asked = [i for i, g in enumerate(back) if g is not None]

        def outs(*values: Array) -> list[Array]:
            found = function(*values)
            return [found[i] for i in asked if jnp.issubdtype(found[i].dtype, jnp.inexact)]

        here, transpose = jax.vjp(outs, *map(jnp.asarray, at))
        if not here:
            return [None] * len(at)
        asked_back = [back[i] for i in asked]
        pairs = zip(here, asked_back, strict=True)
        found = transpose([jnp.reshape(g, o.shape).astype(o.dtype) for o, g in pairs if g is not None])
        return [None if g.dtype == jax.dtypes.float0 else g for g in found]

    def channel_axis(self, entry: Entry) -> int:
        """The axis of the channels in the result of a convolution."""
        axis: int = entry.call.extra[0]["dimension_numbers"].out_spec[1]
        return axis

    def layer(self, entry: Entry) -> Layer | None:
        x, weight, bias = entry.args[:3]
        params: Mapping[str, Any] = entry.call.extra[0]
        if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var) or params["batch_group_count"] != 1:
            return None
        return Convolution(entry=entry, source=x, into=x, out=entry.out(), weight=weight, bias=bias, params=params)


@dataclass(kw_only=True)
class Convolution(Layer):
    """A convolution in any layout, with strides, dilations and groups."""

    params: Mapping[str, Any]

    def product(self, x: Array, weight: Array) -> Array:
        return jax.lax.conv_general_dilated_p.bind(x, weight, **self.params)

    def transpose(self, g: Array, weight: Array) -> Array:
        like = jax.ShapeDtypeStruct(self.source.shape, weight.dtype)
        return jax.linear_transpose(lambda x: self.product(x, weight), like)(g.astype(weight.dtype))[0]

    def per_output(self, scale: Array) -> Array | None:
        numbers = self.params["dimension_numbers"]
        return self._spread(scale, len(self.out.shape), numbers.out_spec[1], numbers.rhs_spec[0], 1)

    def per_input(self, scale: Array) -> Array | None:
        numbers = self.params["dimension_numbers"]
        return self._spread(scale, len(self.source.shape), numbers.lhs_spec[1], numbers.rhs_spec[1], self.params["feature_group_count"])

    def _spread(self, scale: Array, rank: int, channel: int, axis: int, groups: int) -> Array | None:
        """A number for each channel along an axis of the weight; with groups each has its own part of the outputs."""
        line = along(xp, scale, channel - rank, rank)
        if line is None or line.size == 1:
            return line
        shape: list[int] = [1] * rank
        shape[axis] = -1
        if groups == 1:
            return jnp.reshape(line, shape)
        outputs = self.params["dimension_numbers"].rhs_spec[0]
        parts = jnp.repeat(jnp.reshape(line, (groups, -1)), self.weight.shape[outputs] // groups, 0)  # [outputs, inputs of a group]
        shape = [1] * rank
        shape[outputs], shape[axis] = parts.shape
        return jnp.reshape(parts if outputs < axis else parts.T, shape)


def recall(framework: JaxFramework, results: Callable[[], Sequence[Array]], find: Callable[[], Any]) -> Any:
    """See :func:`ascribe.tape.kernels.recall`: operations are equal where their traced programs are, known constants included."""
    closed = jax.make_jaxpr(results)()
    if any(not traced(c) and not isinstance(c, np.ndarray | jax.Array) for c in closed.consts):
        return find()
    known = tuple(None if traced(c) else np.asarray(c).tobytes() for c in closed.consts)
    key = (str(closed.jaxpr), known)
    if key not in RECALLED:
        if len(RECALLED) > MOST:
            RECALLED.clear()
        RECALLED[key] = find()
    return RECALLED[key]


def sample(framework: JaxFramework, entry: Entry, values: Callable[[Var], Array], draw: int) -> list[Any]:
    """See :func:`ascribe.tape.kernels.sample`."""
    out = entry.call.run(*[sampled(a, values, draw) for a in entry.args])
    return list(out) if isinstance(out, (list, tuple)) else [out]


def measure(framework: JaxFramework, function: Callable[..., Array], like: Array, *points: np.ndarray) -> list[float]:
    """See :func:`ascribe.tape.kernels.measure`: one small program, which runs at once."""
    given = [np.asarray(point, like.dtype) for point in points]
    closed = jax.make_jaxpr(function)(*given)
    if traced(*closed.consts):  # a constant that is hidden in an operation
        raise Uncovered
    with jax.ensure_compile_time_eval():
        (found,) = jax.jit(jax_core.jaxpr_as_fun(closed))(*given)
    numbers: list[float] = np.asarray(found, np.float64).tolist()
    return numbers


def sampled(a: Any, values: Callable[[Var], Array], draw: int) -> Any:
    """An argument at other values, with arbitrary numbers, always the same ones, for a constant that is not known."""
    if isinstance(a, Var):
        return values(a)
    if isinstance(a, (list, tuple)):
        return type(a)(sampled(part, values, draw) for part in a)
    if not traced(a):
        return a
    if kind_of(a.dtype) != "f":
        return np.zeros(a.shape, a.dtype)
    return np.random.default_rng((id(a), draw)).uniform(0.5, 1.5, a.shape).astype(a.dtype)


def kind_of(dtype: Any) -> str:
    """The NumPy letter of a type."""
    if jnp.issubdtype(dtype, jnp.floating):
        return "f"
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return "c"
    return "b" if np.dtype(dtype) == np.bool_ else "i"


def var_of(like: Array, entry: Entry | None, slot: int = 0) -> Var:
    """A value on the tape for an array."""
    var = Var(like, entry, slot, kind_of(like.dtype))
    var.held = like
    return var


JAX = JaxFramework({("pool", "winner"): POOL})
"""JAX, with its own formulas."""

__all__ = ["JAX", "Call", "Convolution", "JaxFramework", "kind_of", "var_of"]
