"""The table of TensorFlow's operations: one row per kind, with its neutral form and what is known of it whatever its arguments.

An operation without a row is treated by quadrature of its own vector-Jacobian product, and reported; one in :data:`REFUSED` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from ....tape import Operation
from ....tape.motifs import Call

Array = Any

ROWS: dict[str, Operation] = {}


def rows(names: str, form: str = "", kind: str = "other", **columns: Any) -> None:
    """Rows for several kinds; without ``form`` each has its own."""
    for name in names.split():
        ROWS[name] = Operation(form or name, kind, **columns)


def names(text: str) -> frozenset[str]:
    """Names that are separated by spaces."""
    return frozenset(text.split())


# Moves: the same elements elsewhere.
EACH = {"moves": True, "conserves": True}
rows("Reshape ExpandDims Squeeze", "reshape", "linear", rearranges=True, view=True, **EACH)
rows("Transpose", "permute", "linear", rearranges=True, **EACH)
rows("BroadcastTo", "expand", "linear", **EACH)
rows("Split SplitV", "split", "linear", **EACH)
rows("Unpack", "unstack", "linear", **EACH)
rows("mark", "identity", "linear", same=True, **EACH)
rows("Identity StopGradient PreventGradient Snapshot CheckNumerics CheckNumericsV2 EnsureShape PlaceholderWithDefault DeepCopy",
     "identity", "linear", same=True, additive=True, **EACH)  # fmt: skip
rows("Cast", "cast", "linear", additive=True, **EACH)
rows("ConcatV2 Concat", "concat", "linear", moves=True)
rows("Pack", "stack", "linear", moves=True)
rows(
    "StridedSlice Slice GatherV2 Gather GatherNd ReverseV2 ReverseSequence Tile Pad PadV2 MirrorPad Roll SpaceToBatchND BatchToSpaceND"
    " DepthToSpace SpaceToDepth ResizeNearestNeighbor MatrixDiagV3 MatrixDiagPartV3 MatrixBandPart MatrixSetDiagV3 TensorScatterUpdate"
    " DynamicStitch ParallelDynamicStitch ExtractImagePatches DiagPart Diag",
    "linear", "linear", moves=True,
)  # fmt: skip

# Other linear operations.
rows("AddV2 Add Sub AddN BiasAdd BiasAddV1", "add", "linear", additive=True, smooth=True)
rows("Neg", "negative", "linear", additive=True, smooth=True, conserves=True)
rows("Sum", "sum", "average", conserves=True)
rows("Mean", "mean", "average", conserves=True)
rows("AvgPool AvgPool3D", "average", "average")
rows("Cumsum", "cumulative_sum", "linear")
rows(
    "ScatterNd TensorScatterAdd TensorScatterSub UnsortedSegmentSum SegmentSum SegmentMean ResizeBilinear ResizeBicubic"
    " ScaleAndTranslate FFT IFFT FFT2D IFFT2D FFT3D IFFT3D RFFT IRFFT RFFT2D IRFFT2D Real Imag Conj Complex",
    "linear", "linear",
)  # fmt: skip
rows("MatrixTriangularSolve MatrixSolve", "partly_linear", "linear", linear_in=(1,))

# Products, quotients.
rows("Mul", "multiply", "product", smooth=True, from_zero=True)
rows("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum", "matmul", "product")
rows("dense", "addmatmul", "product")
rows("bilinear", "bilinear", "product")
rows("Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2", "convolution", "product")
rows("Square", "quadratic", "product", pointwise=True, smooth=True, from_zero=True)
rows("L2Loss", "quadratic", "product")
rows("RealDiv Div", "divide", "quotient", conserves=True, passes=(0,))

# Norms and softmax.
rows("layer_norm", "layer_norm", "norm", passes=(0,))
rows("rms_norm", "rms_norm", "norm", passes=(0,))
rows("Softmax", "softmax", "softmax")
rows("LogSoftmax", "log_softmax", "softmax")
rows("logsumexp", "logsumexp", "softmax")

# Extremes and choices.
rows("MaxPool MaxPoolV2 MaxPool3D", "window_max", "pool")
rows("Max", "largest", "pool")
rows("Min", "smallest", "pool")
rows("Maximum", "maximum", "choice")
rows("Minimum", "minimum", "choice")
rows("Greater Less GreaterEqual LessEqual Equal NotEqual", "compare", "choice", passes=())
rows("SelectV2 Select", "where", "choice", passes=(1, 2))

# Element-wise functions.
rows("Relu", "relu", from_zero=True)
rows("Relu6 LeakyRelu Elu Selu Softsign", from_zero=True)
rows("Tanh Erf Sin Tan Sinh Asin Atan Asinh Atanh Expm1 Log1p", from_zero=True, smooth=True)
rows("Sigmoid", "sigmoid", smooth=True)
rows("Exp", "exp", smooth=True)
rows("Log", "log", smooth=True)
rows("Rsqrt", "rsqrt", smooth=True)
rows("Sqrt", "sqrt", smooth=True)
rows("Softplus Erfc Cos Cosh Acos Acosh Erfinv Ndtri Lgamma Digamma", smooth=True)
rows("Abs", "abs", from_zero=True)
rows("Sign", from_zero=True)
rows("Floor Ceil Round Rint ClipByValue IsFinite IsNan IsInf LogicalAnd LogicalOr LogicalNot Atan2 Mod FloorMod FloorDiv TruncateDiv"
     " DivNoNan MulNoNan Xlogy Xlog1py Xdivy NextAfter")  # fmt: skip
rows("Pow Reciprocal Inv", "power")

POINTWISE = names(
    "Mul RealDiv Div Square Maximum Minimum Greater Less GreaterEqual LessEqual Equal NotEqual SelectV2 Select Relu Relu6"
    " LeakyRelu Elu Selu Softsign Tanh Erf Sin Tan Sinh Asin Atan Asinh Atanh Expm1 Log1p Sigmoid Exp Log Rsqrt Sqrt Softplus"
    " Erfc Cos Cosh Acos Acosh Erfinv Ndtri Lgamma Digamma Abs Sign Floor Ceil Round Rint ClipByValue IsFinite IsNan IsInf"
    " LogicalAnd LogicalOr LogicalNot Atan2 Mod FloorMod FloorDiv TruncateDiv DivNoNan MulNoNan Xlogy Xlog1py Xdivy NextAfter"
    " Pow Reciprocal Inv AddV2 Add Sub Neg"
)
"""Operations that work element by element."""

for _name in POINTWISE:
    ROWS[_name] = replace(ROWS[_name], pointwise=True)

SHAPES = names("Shape ShapeN Size Rank ZerosLike OnesLike BroadcastGradientArgs BroadcastArgs Assert NoOp VariableShape")
"""Operations whose results do not depend on the elements."""

CHOICES = names("ArgMax ArgMin All Any Where Bucketize InTopKV2 UniqueV2 Unique")
"""Operations whose integers or truth values are choices: they stay those of the record."""

WRITES = names("AssignVariableOp AssignAddVariableOp AssignSubVariableOp ResourceScatterUpdate ResourceScatterAdd ResourceScatterNdUpdate")
"""Operations that write what is explained into the model's state, from where it may come back unseen."""

REFUSED = names(
    "PyFunc PyFuncStateless EagerPyFunc XlaLaunch XlaCallModule TPUPartitionedCall TPUExecute SymbolicGradient RemoteCall MapDefun"
    " CudnnRNN CudnnRNNV2 CudnnRNNV3 FakeParam While StatelessWhile If StatelessIf Case StatelessCase"
)
"""Operations whose inside cannot be followed."""


def row(kind: str) -> Operation:
    """The row of an operation."""
    return ROWS.get(kind) or Operation(kind)


def matrix_product(a: Array, b: Array) -> Array:
    """``a @ b``."""
    return tf.matmul(a, b)


def added_product(c: Array, a: Array, b: Array) -> Array:
    """``c + a @ b``."""
    return c + tf.matmul(a, b)


def summed(x: Array, axes: Sequence[int], keep: bool) -> Array:
    """The sum along axes."""
    return tf.reduce_sum(x, axes, keep)


def averaged(x: Array, axes: Sequence[int], keep: bool) -> Array:
    """The mean along axes."""
    return tf.reduce_mean(x, axes, keep)


def normalised(x: Array, axes: Sequence[int], weight: Array, bias: Array, eps: float) -> Array:
    """Layer norm."""
    c = x - tf.reduce_mean(x, axes, True)
    y = c * tf.math.rsqrt(tf.reduce_mean(c * c, axes, True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rooted(x: Array, axes: Sequence[int], weight: Array, eps: float) -> Array:
    """RMS norm."""
    y = x * tf.math.rsqrt(tf.reduce_mean(x * x, axes, True) + eps)
    return y if weight is None else y * weight


def paired(function: Callable[..., Any]) -> Callable[..., Any]:
    """An element-wise function of arrays and numbers, which get the type of the arrays."""

    def run(*args: Any) -> Any:
        kind = next(a.dtype for a in args[::-1] if hasattr(a, "dtype"))
        return function(*(a if hasattr(a, "dtype") else tf.convert_to_tensor(a, kind) for a in args))

    return run


def identical(x: Array) -> Array:
    """The value itself."""
    return x


MARK = Call(ROWS["mark"], identical)
RESHAPE = Call(ROWS["Reshape"], tf.reshape)
PERMUTE = Call(ROWS["Transpose"], tf.transpose)
EXPAND = Call(ROWS["BroadcastTo"], tf.broadcast_to)
CONCAT = Call(ROWS["ConcatV2"], tf.concat)
STACK = Call(ROWS["Pack"], tf.stack)
ADD = Call(ROWS["AddV2"], paired(tf.add), (1,))
SUBTRACT = Call(ROWS["Sub"], paired(tf.subtract), (-1,))
MULTIPLY = Call(ROWS["Mul"], paired(tf.multiply))
SQUARE = Call(ROWS["Square"], tf.square)
RELU = Call(ROWS["Relu"], tf.nn.relu)
POWER = Call(ROWS["Pow"], paired(tf.pow))
MATMUL = Call(ROWS["MatMul"], matrix_product)
SUM = Call(ROWS["Sum"], summed)
MEAN = Call(ROWS["Mean"], averaged)
LAYER_NORM = Call(ROWS["layer_norm"], normalised)
SOFTMAX = Call(ROWS["Softmax"], tf.nn.softmax)
LOG_SOFTMAX = Call(ROWS["LogSoftmax"], tf.nn.log_softmax)

CALLS = {
    "softmax": SOFTMAX,
    "log_softmax": LOG_SOFTMAX,
    "logsumexp": Call(ROWS["logsumexp"], tf.reduce_logsumexp),
    "mean": MEAN,
    "dense": Call(ROWS["dense"], added_product, (1, 1)),
    "layer_norm": LAYER_NORM,
    "rms_norm": Call(ROWS["rms_norm"], rooted),
}
"""The operations that are recognised by their arithmetic, by name."""
