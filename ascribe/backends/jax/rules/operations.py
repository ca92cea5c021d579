"""The table of JAX's primitives: one row per name, with its neutral form and what is known of it whatever its arguments.

A primitive without a row is treated by quadrature of its own vector-Jacobian product, and reported; one in :data:`REFUSED` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ....tape import Operation
from ....tape.motifs import Call
from ..interpret import bind

Array = Any

ROWS: dict[str, Operation] = {}


def rows(names: str, form: str = "", kind: str = "other", **columns: Any) -> None:
    """Rows for several names; without ``form`` each name is its own."""
    for name in names.split():
        ROWS[name] = Operation(form or name, kind, **columns)


# Moves: the same elements elsewhere.
EACH = {"moves": True, "conserves": True}
rows("reshape squeeze expand_dims", "reshape", "linear", rearranges=True, view=True, **EACH)
rows("transpose", "permute", "linear", rearranges=True, **EACH)
rows("broadcast_in_dim", "expand", "linear", **EACH)
rows("slice", "getitem", "linear", rearranges=True, **EACH)
rows("split", "split", "linear", **EACH)
rows("unstack", "unstack", "linear", **EACH)
rows("mark", "identity", "linear", same=True, **EACH)
rows("copy copy_p stop_gradient reduce_precision optimization_barrier", "identity", "linear", same=True, additive=True, **EACH)
rows("convert_element_type", "cast", "linear", additive=True, **EACH)
rows("concatenate", "concat", "linear", moves=True)
rows("stack", "stack", "linear", moves=True)
rows("gather dynamic_slice rev tile pad dynamic_update_slice scatter select_rows", "linear", "linear", moves=True)

# Other linear operations.
rows("add add_any sub", "add", "linear", additive=True, smooth=True)
rows("neg", "negative", "linear", additive=True, smooth=True, conserves=True)
rows("reduce_sum", "sum", "average", conserves=True)
rows("mean", "mean", "average", conserves=True)
rows("reduce_window_sum", "average", "average")
rows("cumsum", "cumulative_sum", "linear")
rows("scatter-add scatter_add fft real imag conj complex symmetric_product", "linear", "linear")
rows("triangular_solve", "partly_linear", "linear", linear_in=(1,))

# Products, quotients.
rows("mul", "multiply", "product", smooth=True, from_zero=True)
rows("dot_general", "matmul", "product")
rows("dense", "addmatmul", "product")
rows("conv_general_dilated", "convolution", "product")
rows("square", "quadratic", "product", pointwise=True, smooth=True, from_zero=True)
rows("div", "divide", "quotient", conserves=True, passes=(0,))

# Norms and softmax, which are recognised by their arithmetic.
rows("layer_norm", "layer_norm", "norm", passes=(0,))
rows("rms_norm", "rms_norm", "norm", passes=(0,))
rows("batch_norm", "batch_norm", "norm", passes=(0,))
rows("softmax", "softmax", "softmax")
rows("log_softmax", "log_softmax", "softmax")
rows("logsumexp", "logsumexp", "softmax")

# Extremes and choices.
rows("reduce_window_max", "window_max", "pool")
rows("reduce_max", "largest", "pool")
rows("reduce_min", "smallest", "pool")
rows("max", "maximum", "choice")
rows("min", "minimum", "choice")
rows("gt lt ge le eq ne", "compare", "choice", passes=())
rows("select_n", "where", "choice", passes=(1, 2))

# Element-wise functions.
rows("relu", from_zero=True)
rows("tanh erf sin tan sinh asin atan asinh atanh expm1 log1p cbrt", from_zero=True, smooth=True)
rows("logistic", "sigmoid", smooth=True)
rows("exp exp2 erfc cos cosh acos acosh log rsqrt sqrt erf_inv lgamma digamma", smooth=True)
rows("abs sign", from_zero=True)
rows("floor ceil round clamp is_finite and or not xor nextafter atan2 rem")
rows("integer_pow pow", "power")


def names(text: str) -> frozenset[str]:
    """Names that are separated by spaces."""
    return frozenset(text.split())


POINTWISE = names(
    "mul div square max min gt lt ge le eq ne select_n relu tanh erf sin tan sinh asin atan asinh atanh expm1 log1p cbrt logistic exp exp2"
    " erfc cos cosh acos acosh log rsqrt sqrt erf_inv lgamma digamma abs sign floor ceil round clamp is_finite and or not xor nextafter"
    " atan2 rem integer_pow pow add add_any sub neg"
)
"""Primitives that work element by element."""

CHOICES = names("argmax argmin sort top_k approx_top_k reduce_and reduce_or cummax cummin")
"""Primitives whose integers or truth values are choices: they stay those of the record."""

REFUSED = names(
    "while pallas_call ffi_call custom_call pure_callback io_callback xla_call shard_map custom_linear_solve linear_solve root eigh"
    " cudnn_fusion triton_call tpu_custom_call xla_pmap custom_partitioning all_gather psum ppermute all_to_all"
)
"""Primitives whose inside cannot be followed."""


def row(name: str) -> Operation:
    """The row of a primitive."""
    known = ROWS.get(name) or Operation(name)
    if name in POINTWISE and not known.pointwise:
        known = Operation(**{**known.__dict__, "pointwise": True})
        ROWS[name] = known
    return known


def elementwise(eqn: Any) -> Callable[..., Any]:
    """An element-wise equation on arrays that broadcast, and on numbers."""
    kinds = [v.aval.dtype for v in eqn.invars]

    def run(*args: Any) -> Any:
        arrays = [jnp.asarray(a, kind) for a, kind in zip(args, kinds, strict=False)]
        return bind(eqn, jnp.broadcast_arrays(*arrays))[0]

    return run


def whole(eqn: Any) -> Callable[..., Any]:
    """An equation with its own arguments."""
    kinds = [getattr(v.aval, "dtype", None) for v in eqn.invars]

    def run(*args: Any) -> Any:
        found = bind(eqn, [jnp.asarray(a, k) if isinstance(a, (int, float)) else a for a, k in zip(args, kinds, strict=True)])
        return found if eqn.primitive.multiple_results else found[0]

    return run


def matrix_product(a: Array, b: Array) -> Array:
    """``a @ b``."""
    return jnp.matmul(a, b)


def added_product(c: Array, a: Array, b: Array) -> Array:
    """``c + a @ b``."""
    return c + jnp.matmul(a, b)


def summed(x: Array, axes: Sequence[int], keep: bool) -> Array:
    """The sum along axes."""
    return jnp.sum(x, tuple(axes), keepdims=keep)


def averaged(x: Array, axes: Sequence[int], keep: bool) -> Array:
    """The mean along axes."""
    return jnp.mean(x, tuple(axes), keepdims=keep)


def joined(parts: Sequence[Array], axis: int) -> Array:
    """Arrays one after the other."""
    return jnp.concatenate(parts, axis)


def normalised(x: Array, axes: Sequence[int], weight: Array, bias: Array, eps: float) -> Array:
    """Layer norm."""
    c = x - jnp.mean(x, axes, keepdims=True)
    y = c * jax.lax.rsqrt(jnp.mean(c * c, axes, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rooted(x: Array, axes: Sequence[int], weight: Array, eps: float) -> Array:
    """RMS norm."""
    y = x * jax.lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + eps)
    return y if weight is None else y * weight


def total(x: Array, axis: int, keep: bool) -> Array:
    """``logsumexp``."""
    return jax.nn.logsumexp(x, axis, keepdims=keep)


MARK = Call(ROWS["mark"], lambda x: x)
RESHAPE = Call(ROWS["reshape"], lambda x, shape: jnp.reshape(x, shape))
PERMUTE = Call(ROWS["transpose"], lambda x, order: jnp.transpose(x, order))
EXPAND = Call(ROWS["broadcast_in_dim"], lambda x, shape: jnp.broadcast_to(x, shape))
GETITEM = Call(ROWS["slice"], lambda x, index: x[index])
CONCAT = Call(ROWS["concatenate"], joined)
STACK = Call(ROWS["stack"], lambda parts, axis: jnp.stack(parts, axis))
MATMUL = Call(ROWS["dot_general"], matrix_product)
DENSE = Call(ROWS["dense"], added_product, (1, 1))
SUM = Call(ROWS["reduce_sum"], summed)
MEAN = Call(ROWS["mean"], averaged)
LAYER_NORM = Call(ROWS["layer_norm"], normalised)
RMS_NORM = Call(ROWS["rms_norm"], rooted)
SOFTMAX = Call(ROWS["softmax"], lambda x, axis: jax.nn.softmax(x, axis))
LOG_SOFTMAX = Call(ROWS["log_softmax"], lambda x, axis: jax.nn.log_softmax(x, axis))
LOGSUMEXP = Call(ROWS["logsumexp"], total)
CALLS = {
    "softmax": SOFTMAX,
    "log_softmax": LOG_SOFTMAX,
    "logsumexp": LOGSUMEXP,
    "mean": MEAN,
    "dense": DENSE,
    "layer_norm": LAYER_NORM,
    "rms_norm": RMS_NORM,
}
"""What is recognised by its arithmetic, by name."""

__all__ = ["Call"]
