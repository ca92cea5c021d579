"""Operations whose arguments are not those of their form: written to the tape as one operation or as several that the formulas know."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ....tape import Operation, Var
from ....tape.motifs import Call
from . import operations as ops
from .convolutions import convolve
from .operations import row
from .pooling import windows_of
from .products import contracted, multiplied
from .raw import Node
from .record import Recorder, Results, Writer
from .shapes import permute, reshape

Array = Any


def integers(tensor: Array) -> list[int]:
    """The numbers of a tensor of integers."""
    return [int(n) for n in np.asarray(tensor).reshape(-1)]


def same(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """Identities of any number of values: the values themselves."""
    return args[: len(node.outputs)]


def reshaped(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Reshape``, ``ExpandDims``, ``Squeeze``."""
    return [reshape(recorder, args[0], node.outputs[0].shape, node.outputs)]


def transposed(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Transpose``."""
    return [permute(recorder, args[0], integers(node.inputs[1]), node.outputs)]


def expanded(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``BroadcastTo``."""
    shape = tuple(node.outputs[0].shape)
    return [args[0] if tuple(args[0].shape) == shape else recorder.add(ops.EXPAND, node.kind, (args[0], shape), node.outputs)[0]]


def sliced(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``StridedSlice`` and ``Slice``: a reshape where every element stays."""
    if node.inputs[0].shape.num_elements() == node.outputs[0].shape.num_elements() and not reverses(node):
        return reshaped(recorder, node, args)
    return recorder.add(Call(row(node.kind), node.raw), node.kind, args, node.outputs)


def reverses(node: Node) -> bool:
    """True if a slice may go backwards."""
    return node.kind == "StridedSlice" and any(n < 0 for n in integers(node.inputs[3]))


def split(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Split`` and ``SplitV``."""
    value, axis = (args[1], node.inputs[0]) if node.kind == "Split" else (args[0], node.inputs[2])
    along = int(axis) % len(value.shape)
    if len(node.outputs) == 1:
        return [value]
    sizes = [t.shape[along] for t in node.outputs]
    call = Call(row("Split"), lambda x, axis: tf.split(x, sizes, axis))
    return recorder.add(call, node.kind, (value, along), node.outputs)


def unstacked(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Unpack``."""
    axis, number = node.settings["axis"], len(node.outputs)
    call = Call(row("Unpack"), lambda x, axis: tf.unstack(x, number, axis))
    return recorder.add(call, node.kind, (args[0], axis), node.outputs)


def stacked(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Pack``."""
    return recorder.add(ops.STACK, node.kind, (args, node.settings["axis"]), node.outputs)


def joined(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``ConcatV2``."""
    return recorder.add(ops.CONCAT, node.kind, (args[:-1], int(node.inputs[-1])), node.outputs)


def reduced(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Sum`` and ``Mean``."""
    x, rank = args[0], len(args[0].shape)
    axes = tuple(sorted({n % rank for n in integers(node.inputs[1])})) if rank else ()
    if not axes:
        return [x]
    call = ops.SUM if node.kind == "Sum" else ops.MEAN
    return recorder.add(call, node.kind, (x, axes, bool(node.settings["keep_dims"])), node.outputs)


def extreme(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Max`` and ``Min``."""
    x, rank, keep = args[0], len(args[0].shape), bool(node.settings["keep_dims"])
    axes = tuple(sorted({n % rank for n in integers(node.inputs[1])})) if rank else ()
    if not axes:
        return [x]
    reduce = tf.reduce_max if node.kind == "Max" else tf.reduce_min
    return recorder.add(Call(row(node.kind), lambda x, axes: reduce(x, axes, keep)), node.kind, (x, axes), node.outputs)


def added(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``AddV2`` and ``Sub``, as ``a + factor b``."""
    return recorder.add(ops.SUBTRACT if node.kind == "Sub" else ops.ADD, node.kind, args, node.outputs)


def summed(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``AddN``, one after the other."""
    total = args[0]
    for number, a in enumerate(args[1:], 2):
        if isinstance(total, Var) or isinstance(a, Var):
            (total,) = recorder.add(ops.ADD, node.kind, (total, a), node.outputs if number == len(args) else None)
        else:
            total = total + a
    return [total]


def biased(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``BiasAdd``."""
    x, bias = args
    if node.text("data_format") == "NCHW" and len(x.shape) > 2:
        bias = reshape(recorder, bias, (-1, *[1] * (len(x.shape) - 2)))
    return recorder.add(ops.ADD, node.kind, (x, bias), node.outputs)


def squared_difference(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``SquaredDifference``: a difference, and its square."""
    (difference,) = recorder.add(ops.SUBTRACT, "Sub", args)
    return recorder.add(ops.SQUARE, "Square", (difference,), node.outputs)


def larger(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Maximum``: a ReLU where the other is zero."""
    out = node.outputs[0]
    zeros = [a for a in args if not isinstance(a, Var)]
    (x,) = [a for a in args if isinstance(a, Var)] if zeros else [None]
    if x is not None and tuple(x.shape) == tuple(out.shape) and bool(tf.reduce_all(zeros[0] == 0)):
        return recorder.add(ops.RELU, "Relu", (x,), node.outputs)
    return recorder.add(Call(row(node.kind), node.raw), node.kind, args, node.outputs)


def selected(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``SelectV2`` and ``Select``. A condition that is the same everywhere picks one."""
    which, *cases = args
    shape = tuple(node.outputs[0].shape)
    if node.kind == "Select" and len(which.shape) == 1 and len(shape) > 1:
        which = reshape(recorder, which, (-1, *[1] * (len(shape) - 1)))
    if not isinstance(which, Var) and which.shape.num_elements():
        first = bool(tf.reshape(which, [-1])[0])
        picked = cases[0 if first else 1]
        if tuple(picked.shape) == shape and bool(tf.reduce_all(which == first)):
            return [picked]
    return recorder.add(Call(row(node.kind), ops.paired(tf.where)), node.kind, (which, *cases), node.outputs)


def cast(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Cast``."""
    kind = node.outputs[0].dtype
    if node.inputs[0].dtype == kind:
        return args
    return recorder.add(Call(row("Cast"), lambda x: tf.cast(x, kind)), node.kind, args, node.outputs)


def inverted(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Reciprocal``: a power."""
    return recorder.add(ops.POWER, node.kind, (args[0], -1.0), node.outputs)


def probable(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Softmax`` and ``LogSoftmax``."""
    call = ops.SOFTMAX if node.kind == "Softmax" else ops.LOG_SOFTMAX
    return recorder.add(call, node.kind, (args[0], len(args[0].shape) - 1), node.outputs)


def convolved(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """A convolution: (x, kernel, bias), which is none yet. Of a transposed one the first tensor is a shape."""
    _, kernel, x = args if "Backprop" in node.kind else (None, args[1], args[0])

    def run(x: Array, kernel: Array, bias: Array) -> Array:
        y = convolve(node, x, kernel)
        return y if bias is None else y + bias

    return recorder.add(Call(row(node.kind), run, (node,)), node.kind, (x, kernel, None), node.outputs)


def windows(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``MaxPool`` and others."""
    if node.kind == "MaxPoolV2" or node.text("data_format") == "NCHW_VECT_C":
        return recorder.add(Call(Operation(node.kind), node.raw), node.kind, args, node.outputs)
    return recorder.add(Call(row(node.kind), node.raw, (windows_of(node),)), node.kind, args, node.outputs)


def batch_norm(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``FusedBatchNorm``: an affine map by stored statistics, or a norm over all axes but that of the channels."""
    x, scale, offset, mean, variance = args
    training, eps, out = bool(node.settings["is_training"]), float(node.settings["epsilon"]), node.outputs[0]
    rank = len(out.shape)
    channel = 1 if node.text("data_format").startswith("NC") else rank - 1
    if any(isinstance(a, Var) for a in args[1:]) or not isinstance(x, Var):
        return recorder.add(Call(Operation(node.kind), node.raw), node.kind, args, node.outputs)
    shape = [-1 if d == channel else 1 for d in range(rank)]
    if training:
        axes = tuple(d for d in range(rank) if d != channel)
        norm = (x, axes, tf.reshape(scale, shape), tf.reshape(offset, shape), eps)
        return [*recorder.add(ops.LAYER_NORM, node.kind, norm, [out]), *node.outputs[1:]]
    factor = scale * tf.math.rsqrt(variance + eps)
    (y,) = recorder.add(ops.MULTIPLY, node.kind, (x, tf.reshape(factor, shape)))
    return [*recorder.add(ops.ADD, node.kind, (y, tf.reshape(offset - mean * factor, shape)), [out]), *node.outputs[1:]]


def largest(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``TopKV2``: the places are those of the record."""
    recorder.chosen(node.kind)
    places = node.outputs[1]
    call = Call(row("GatherV2"), lambda x: tf.gather(x, places, axis=-1, batch_dims=places.shape.rank - 1))
    return [*recorder.add(call, node.kind, args[:1], node.outputs[:1]), places]


WRITERS: dict[str, Writer] = {
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), reshaped),
    **dict.fromkeys(("StridedSlice", "Slice"), sliced),
    **dict.fromkeys(("Split", "SplitV"), split),
    **dict.fromkeys(("Sum", "Mean"), reduced),
    **dict.fromkeys(("Max", "Min"), extreme),
    **dict.fromkeys(("AddV2", "Add", "Sub"), added),
    **dict.fromkeys(("BiasAdd", "BiasAddV1"), biased),
    **dict.fromkeys(("SelectV2", "Select"), selected),
    **dict.fromkeys(("Reciprocal", "Inv"), inverted),
    **dict.fromkeys(("Softmax", "LogSoftmax"), probable),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), batch_norm),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), multiplied),
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"), convolved),
    **dict.fromkeys(("MaxPool", "MaxPoolV2", "MaxPool3D"), windows),
    **{kind: same for kind, known in ops.ROWS.items() if known.same and kind != "mark"},
    "IdentityN": same,
    "Transpose": transposed,
    "BroadcastTo": expanded,
    "Unpack": unstacked,
    "Pack": stacked,
    "ConcatV2": joined,
    "AddN": summed,
    "SquaredDifference": squared_difference,
    "Maximum": larger,
    "Cast": cast,
    "Einsum": contracted,
    "TopKV2": largest,
}
"""By kind. All others are written with the arguments that they have."""
