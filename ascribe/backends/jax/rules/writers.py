"""Primitives whose arguments are not those of their form: written to the tape as one operation or as several that the formulas know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....tape import Operation, Var
from ....tape.kernels import holds
from ..decisions import traced
from ..interpret import bind
from . import operations as ops
from .framework import JAX
from .operations import Call, elementwise, row
from .values import Recording, plain

Array = Any
Results = Sequence[Any]


def permute(recorder: Recording, a: Any, order: Sequence[int]) -> Any:
    """A value with its axes in another order."""
    order = tuple(order)
    if order == tuple(range(len(order))):
        return a
    if isinstance(a, Var) and a.entry is not None and a.entry.call is ops.PERMUTE and not a.kept:
        return permute(recorder, a.entry.args[0], [a.entry.args[1][d] for d in order])  # mapped functions move axes to and fro
    return recorder.add(ops.PERMUTE, "transpose", (a, order))[0] if isinstance(a, Var) else jnp.transpose(a, order)


def reshape(recorder: Recording, a: Any, shape: Sequence[int]) -> Any:
    """A value in another shape."""
    shape = tuple(shape)
    if tuple(a.shape) == shape:
        return a
    return recorder.add(ops.RESHAPE, "reshape", (a, shape))[0] if isinstance(a, Var) else jnp.reshape(a, shape)


def reshaped(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``reshape``, ``squeeze``, ``expand_dims``."""
    return [reshape(recorder, args[0], eqn.outvars[0].aval.shape)]


def transposed(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``transpose``."""
    return [permute(recorder, args[0], eqn.params["permutation"])]


def broadcast(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``broadcast_in_dim``: new axes, and repeats along them."""
    shape, axes = tuple(eqn.params["shape"]), eqn.params["broadcast_dimensions"]
    narrow = [1] * len(shape)
    for axis, size in zip(axes, args[0].shape, strict=True):
        narrow[axis] = size
    a = reshape(recorder, args[0], narrow)
    return [a if tuple(narrow) == shape else recorder.add(ops.EXPAND, "broadcast_in_dim", (a, shape))[0]]


def sliced(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``slice``."""
    start, stop = eqn.params["start_indices"], eqn.params["limit_indices"]
    step = eqn.params["strides"] or (1,) * len(start)
    index = tuple(slice(*part) for part in zip(start, stop, step, strict=True))
    return recorder.add(ops.GETITEM, "slice", (args[0], index))


def split(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``split``."""
    axis = eqn.params["axis"]
    call = Call(row("split"), lambda x, axis: jax.lax.split(x, eqn.params["sizes"], axis))
    return recorder.add(call, "split", (args[0], axis))


def stacked(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``stack``."""
    return recorder.add(ops.STACK, "stack", (list(args), eqn.params["axis"]))


def unstacked(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``unstack``."""
    axis = eqn.params["axis"]
    call = Call(row("unstack"), lambda x, axis: list(jnp.moveaxis(x, axis, 0)))
    return recorder.add(call, "unstack", (args[0], axis))


def joined(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``concatenate``."""
    return recorder.add(ops.CONCAT, "concatenate", (list(args), eqn.params["dimension"]))


def summed(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``reduce_sum``."""
    axes = tuple(eqn.params["axes"])
    return recorder.add(ops.SUM, "reduce_sum", (args[0], axes, False)) if axes else args[:1]


def extreme(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``reduce_max``, ``reduce_min``."""
    name, axes = eqn.primitive.name, tuple(eqn.params["axes"])
    reduce = jnp.max if name == "reduce_max" else jnp.min
    return recorder.add(Call(row(name), lambda x, axes: reduce(x, axes)), name, (args[0], axes)) if axes else args[:1]


def dot(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``dot_general`` as a matrix product: a fixed factor is the weight on the right, ``x @ w``."""
    (contracted, batch) = eqn.params["dimension_numbers"]
    a, b = args
    free = [[d for d in range(len(x.shape)) if d not in (*c, *k)] for x, c, k in zip(args, contracted, batch, strict=True)]
    if isinstance(b, Var) and not isinstance(a, Var) and not batch[0]:
        y = dense(recorder, (b, contracted[1], free[1]), (a, contracted[0], free[0]), eqn)
        rows, columns = len(free[1]), len(free[0])
        return [permute(recorder, y, [*range(rows, rows + columns), *range(rows)])]
    if isinstance(a, Var) and not isinstance(b, Var) and not batch[0]:
        return [dense(recorder, (a, contracted[0], free[0]), (b, contracted[1], free[1]), eqn)]
    lead = [a.shape[d] for d in batch[0]]
    sizes = [[x.shape[d] for d in f] for x, f in zip(args, free, strict=True)]
    left = permute(recorder, a, (*batch[0], *free[0], *contracted[0]))
    right = permute(recorder, b, (*batch[1], *contracted[1], *free[1]))
    left = reshape(recorder, left, (*lead, prod(sizes[0]), -1 if not contracted[0] else prod(a.shape[d] for d in contracted[0])))
    right = reshape(recorder, right, (*lead, left.shape[-1], prod(sizes[1])))
    y = recorder.add(product_like(eqn), "dot_general", (left, right))[0]
    return [reshape(recorder, y, (*lead, *sizes[0], *sizes[1]))]


def dense(recorder: Recording, value: tuple[Any, Any, Any], fixed: tuple[Any, Any, Any], eqn: Any) -> Any:
    """``x @ w`` with a fixed ``w``: the free axes of the value, then those of the weight."""
    x, over, rows = value
    w, under, columns = fixed
    inner = prod(x.shape[d] for d in over)
    sizes, outputs = [x.shape[d] for d in rows], [w.shape[d] for d in columns]
    left = permute(recorder, x, (*rows, *over))
    left = reshape(recorder, left, (*(sizes or [1]), inner))
    right = jnp.reshape(jnp.transpose(w, (*under, *columns)), (inner, prod(outputs)))
    y = recorder.add(product_like(eqn), "dot_general", (left, right))[0]
    return reshape(recorder, y, (*sizes, *outputs))


def product_like(eqn: Any) -> Call:
    """A matrix product with the precision of an equation."""
    precision, kind = eqn.params.get("precision"), eqn.params.get("preferred_element_type")
    precision = precision if isinstance(precision, (tuple, jax.lax.Precision)) else None
    return Call(ops.ROWS["dot_general"], lambda a, b: jnp.matmul(a, b, precision=precision, preferred_element_type=kind))


def convolved(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``conv_general_dilated``: (x, kernel, bias), which is none yet."""
    return recorder.add(convolution_like(eqn.primitive, eqn.params), "conv_general_dilated", (*args, None))


def convolution_like(primitive: Any, params: Any) -> Call:
    """A convolution with the parameters of an equation."""

    def run(x: Array, kernel: Array, bias: Array) -> Array:
        y = primitive.bind(x, kernel, **params)
        return y if bias is None else y + bias

    return Call(ops.ROWS["conv_general_dilated"], run, (params,))


def subtracted(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``sub`` and ``add``, as ``a + factor b``."""
    factor = -1 if eqn.primitive.name == "sub" else 1
    return recorder.add(Call(ops.ROWS["add"], elementwise(eqn), (factor,)), eqn.primitive.name, args)


def larger(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``max``: a ReLU where the other is zero."""
    name = eqn.primitive.name
    (zero,) = [a for a in args if not isinstance(a, Var)] or [None]
    if name == "max" and zero is not None and holds(JAX, lambda: jnp.asarray(recorder.small(zero)) == 0, False):
        (x,) = [a for a in args if isinstance(a, Var)]
        return recorder.add(Call(row("relu"), lambda x: jnp.maximum(x, jnp.zeros((), x.dtype))), "relu", (x,))
    return recorder.add(Call(row(name), elementwise(eqn)), name, args)


def selected(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``select_n`` as ``where``: (condition, a, b). A condition that is the same everywhere picks one."""
    which, *cases = args
    if not isinstance(which, Var) and len(cases) == 2 and which.size and not traced(which):
        flat = np.asarray(which).reshape(-1)
        if (flat == flat[0]).all():
            return [cases[int(flat[0])]]
    if len(cases) != 2:
        which, cases = plain(which), list(cases)
        call = Call(ops.ROWS["select_rows"], lambda *cases: jax.lax.select_n(which, *cases))
        return recorder.add(call, "select_n", cases)
    kind, order = eqn.outvars[0].aval.dtype, (which, cases[1], cases[0])

    def run(c: Array, a: Array, b: Array) -> Array:
        return jnp.where(jnp.asarray(c) != 0, a, b).astype(kind)

    return recorder.add(Call(row("select_n"), run), "select_n", order)


def clamped(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``clamp``: (low, x, high), between bounds that are fixed."""
    low, x, high = args
    if not isinstance(low, Var) and not isinstance(high, Var):
        return recorder.add(Call(row("clamp"), elementwise(eqn)), "clamp", args)
    pair = [Call(row(name), lambda a, b, f=f: f(a, b)) for name, f in (("max", jnp.maximum), ("min", jnp.minimum))]
    inner = recorder.add(pair[0], "max", (x, low))[0]
    return recorder.add(pair[1], "min", (inner, high))


def cast(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``convert_element_type``."""
    kind = eqn.params["new_dtype"]
    if args[0].dtype == kind:
        return args[:1]
    return recorder.add(Call(row("convert_element_type"), lambda x: x.astype(kind)), "convert_element_type", args[:1])


def powered(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``integer_pow``: (x, exponent)."""
    y = eqn.params["y"]
    return recorder.add(Call(row("integer_pow"), lambda x, y: jax.lax.integer_pow(x, y)), "integer_pow", (args[0], y))


def checked(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """Checks for infinity and NaN; where no element has one, the answer is a constant."""
    name, like = eqn.primitive.name, eqn.outvars[0].aval
    if len(args) == 1 or args[0] is args[1]:
        usual = name != "ne"
        if holds(JAX, lambda: bind(eqn, [plain(a) for a in args])[0] == usual, True):
            return [np.full(like.shape, usual)]
    return recorder.add(Call(row(name), elementwise(eqn)), name, args)


def windows(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """``reduce_window_max``."""
    params = eqn.params
    if any(d != 1 for d in params.get("base_dilation") or ()):
        return recorder.add(Call(Operation("reduce_window_max"), ops.whole(eqn)), eqn.primitive.name, args)
    return recorder.add(Call(row(eqn.primitive.name), ops.whole(eqn), (params,)), eqn.primitive.name, args)


def same(recorder: Recording, eqn: Any, args: list[Any]) -> Results:
    """Identities of any number of values."""
    return [
        recorder.add(Call(row(eqn.primitive.name), lambda x: x), eqn.primitive.name, (a,))[0] if isinstance(a, Var) else a for a in args
    ]


WRITERS: dict[str, Callable[[Recording, Any, list[Any]], Results]] = {
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), reshaped),
    **dict.fromkeys(("add", "add_any", "sub"), subtracted),
    **dict.fromkeys(("max", "min"), larger),
    **dict.fromkeys(("reduce_max", "reduce_min"), extreme),
    **dict.fromkeys(("is_finite", "ne", "eq"), checked),
    **dict.fromkeys(("copy", "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision"), same),
    "transpose": transposed,
    "broadcast_in_dim": broadcast,
    "slice": sliced,
    "split": split,
    "concatenate": joined,
    "stack": stacked,
    "unstack": unstacked,
    "reduce_sum": summed,
    "dot_general": dot,
    "conv_general_dilated": convolved,
    "select_n": selected,
    "clamp": clamped,
    "convert_element_type": cast,
    "integer_pow": powered,
    "reduce_window_max": windows,
}
"""By name. All others are written with the arguments that they have."""
