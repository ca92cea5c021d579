"""PyTorch as the framework of a tape: an operation's arguments in neutral form, the operation again, vector-Jacobian products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ....arrays import Namespace
from ....tape import Entry, Operation, Tape, Var
from ....tape.formulas.layers import Layer, along
from ....tape.tape import substituted
from ..namespace import KINDS, xp
from .autograd import pulled
from .operations import ROWS, operation

Tensor = torch.Tensor
aten = torch.ops.aten

PICKS = {"topk": (2, -1), "sort": (1, -1), "kthvalue": (2, -1), "median": (1, None), "nanmedian": (1, None), "mode": (1, -1)}
"""Operations that move values to places they choose (values first, then places), with the position and the default of ``dim``."""


class TorchFramework:
    """See :class:`ascribe.tape.Framework`."""

    name = "PyTorch"
    xp: Namespace = xp

    def __init__(
        self, formulas: Mapping[tuple[str, str], Mapping[str, Callable[[Any], Any]]], kernels: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.formulas, self.kernels = formulas, kernels

    def operation(self, call: Any, name: str) -> Operation:
        return operation(call, name)

    def arguments(self, entry: Entry) -> tuple[Any, ...] | None:
        read = READERS.get(entry.name)
        return entry.args if read is None else read(entry)

    def again(self, entry: Entry, values: Callable[[Var], Tensor]) -> list[Any]:
        return evaluate_again(entry, values)

    def pull(self, function: Callable[..., Sequence[Any]], at: Sequence[Tensor], back: Sequence[Tensor | None]) -> list[Tensor | None]:
        with torch.enable_grad():
            here = [t.detach().requires_grad_() for t in at]
            try:
                outs = function(*here)
                pairs = [(o, g) for o, g in zip(outs, back, strict=True) if g is not None and isinstance(o, Tensor) and o.requires_grad]
                if not pairs:
                    return [None] * len(here)
                return list(pulled([o for o, _ in pairs], [g.reshape(o.shape) for o, g in pairs], here))
            except RuntimeError as wrong:
                if "is not implemented" not in str(wrong):
                    raise
                raise NotImplementedError(str(wrong)) from wrong

    def layer(self, entry: Entry) -> Layer | None:
        x, weight, bias = entry.args[:3]
        if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var):
            return None
        bias = None if bias is None else bias.reshape(1, -1, *[1] * (len(x.shape) - 2))
        return Convolution(entry=entry, source=x, into=x, out=entry.out(), weight=weight, bias=bias)


class Convolution(Layer):
    """A convolution or a transposed one, of any rank, with groups."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        y: Tensor = aten.convolution(x, weight, None, *self.entry.args[3:])
        return y

    def transpose(self, g: Tensor, weight: Tensor) -> Tensor:
        like = g.new_empty(self.source.shape) if self.source.held is None else self.source.held  # only its shape is used
        back: Tensor = aten.convolution_backward(g, like, weight, None, *self.entry.args[3:], [True, False, False])[0]
        return back

    def per_output(self, scale: Tensor) -> Tensor | None:
        return self._spread(scale, len(self.out.shape), second=bool(self.entry.args[6]))

    def per_input(self, scale: Tensor) -> Tensor | None:
        return self._spread(scale, len(self.source.shape), second=not self.entry.args[6])

    def _spread(self, scale: Tensor, rank: int, second: bool) -> Tensor | None:
        """A number for each channel along the weight's first axis; on the second, each group of channels has its own part."""
        line: Tensor | None = along(xp, scale, 1 - rank, rank)
        if line is None or line.numel() == 1:
            return line
        shape, groups = self.weight.shape, self.entry.args[8]
        if second:
            line = line.reshape(groups, 1, shape[1]).expand(groups, shape[0] // groups, shape[1]).reshape(shape[0], shape[1])
        return line.reshape(*line.shape, *[1] * (self.weight.dim() - line.dim()))


def evaluate_again(entry: Entry, values: Callable[[Var], Tensor]) -> list[Any]:
    """The operation at other values; sorting and top-k that later operations rely on keep their choice."""
    if entry.fixed and entry.name in PICKS and len(entry.outs) == 2:
        position, default = PICKS[entry.name]
        dim = entry.arg(position, "dim", default)
        places = entry.out(1).value
        if dim is not None and places.dim() == len(entry.ins[0].shape):
            return [values(entry.ins[0]).gather(dim, places), places]
    call = entry.call
    if entry.name in ("view", "_unsafe_view") and not isinstance(entry.args[1], torch.dtype):
        call = aten.reshape.default  # what was contiguous in the run need not be so in a replay
    if entry.op.same:  # a detached value depends on the explained inputs as much as any
        return [values(entry.ins[0])]
    out = call(*[substituted(a, values) for a in entry.args], **{k: substituted(a, values) for k, a in entry.kwargs.items()})
    return list(out) if isinstance(out, (list, tuple)) else [out]


def tape_bytes(tape: Tape) -> int:
    """The bytes that a tape holds, counting shared memory once."""
    held = [v.held.untyped_storage() for v in tape.values() if v.held is not None]
    return sum({memory.data_ptr(): memory.nbytes() for memory in held}.values())


def var_of(like: Tensor, entry: Entry | None, slot: int = 0) -> Var:
    """A value on the tape for a tensor."""
    return Var(like, entry, slot, KINDS[like.dtype])


def transposed(entry: Entry) -> tuple[Any, ...]:
    v, a, b = entry.args[:3]
    order = list(range(len(v.shape)))
    order[a], order[b] = order[b], order[a]
    return v, order


def selected(entry: Entry) -> tuple[Any, ...]:
    """``select`` and ``slice`` as an index."""
    v = entry.args[0]
    dim = entry.arg(1, "dim", 0) % max(len(v.shape), 1)
    part = entry.args[2] if entry.name == "select" else slice(*(entry.arg(i, n) for i, n in ((2, "start"), (3, "end"), (4, "step"))))
    return v, (*[slice(None)] * dim, part)


def reduction(entry: Entry) -> tuple[Any, ...]:
    """Values, axes or None, and whether the axes stay."""
    return entry.args[0], entry.arg(1, "dim") or None, entry.arg(2, "keepdim", False)


def deviation(entry: Entry) -> tuple[Any, ...]:
    correction = entry.kwargs.get("correction", 1)
    return entry.args[0], entry.arg(1, "dim") or None, 1 if correction is None else correction


def summed_products(entry: Entry) -> tuple[Any, ...]:
    return (*entry.args[:3], entry.kwargs.get("beta", 1), entry.kwargs.get("alpha", 1))


def length(entry: Entry) -> tuple[Any, ...] | None:
    return (entry.args[0], entry.arg(2, "dim")) if entry.arg(1, "ord", 2) == 2 else None


def layer_norm(entry: Entry) -> tuple[Any, ...]:
    x, shape, weight, bias, eps = entry.args[:5]
    return x, tuple(range(-len(shape), 0)), weight, bias, eps


def rms_norm(entry: Entry) -> tuple[Any, ...]:
    x, shape, weight, eps = entry.args[:4]
    return x, tuple(range(-len(shape), 0)), weight, torch.finfo(x.dtype).eps if eps is None else eps


def group_norm(entry: Entry) -> tuple[Any, ...]:
    x, weight, bias, _, _, _, groups, eps = entry.args
    return x, groups, weight, bias, eps


def batch_norm(entry: Entry) -> tuple[Any, ...]:
    x, weight, bias, mean, variance = entry.args[:5]
    own = entry.name != "_native_batch_norm_legit_no_training" and entry.args[5]
    return (x, weight, bias, None, None, entry.args[-1]) if own else (x, weight, bias, mean, variance, entry.args[-1])


def log_sum(entry: Entry) -> tuple[Any, ...] | None:
    v, dims = entry.args[:2]
    dims = [dims] if isinstance(dims, int) else dims
    return (v, dims[0], entry.arg(2, "keepdim", False)) if len(dims) == 1 else None


def extreme(entry: Entry) -> tuple[Any, ...] | None:
    dims = entry.arg(1, "dim")
    if isinstance(dims, (Var, Tensor)) or len(entry.ins) > 1:
        return None
    return entry.ins[0], [dims] if isinstance(dims, int) else dims or None


def read_first(count: int) -> Callable[[Entry], tuple[Any, ...]]:
    """The first arguments."""
    return lambda entry: entry.args[:count]


def read_axis(position: int, default: int) -> Callable[[Entry], tuple[Any, ...]]:
    """The values and an axis."""
    return lambda entry: (entry.args[0], entry.arg(position, "dim", default))


READERS: dict[str, Callable[[Entry], tuple[Any, ...] | None]] = {
    "transpose": transposed,
    "t": lambda entry: (entry.args[0], list(range(len(entry.args[0].shape)))[::-1]),
    "permute": read_first(2),
    **dict.fromkeys(("select", "slice"), selected),
    **dict.fromkeys(("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "chunk", "unsafe_chunk"), read_axis(2, 0)),
    **dict.fromkeys(("unbind", "cat", "stack"), read_axis(1, 0)),
    "add": lambda entry: (*entry.args[:2], entry.kwargs.get("alpha", 1)),
    "sub": lambda entry: (*entry.args[:2], -entry.kwargs.get("alpha", 1)),
    **dict.fromkeys(("sum", "mean"), reduction),
    **dict.fromkeys(("mm", "bmm", "mv", "_softmax", "_safe_softmax", "_log_softmax"), read_first(2)),
    **dict.fromkeys(("addmm", "baddbmm"), summed_products),
    "div": lambda entry: None if len(entry.args) > 2 or entry.kwargs else entry.args,
    "masked_fill": read_first(3),
    "glu": read_axis(1, -1),
    **dict.fromkeys(("std", "std_mean"), deviation),
    "linalg_vector_norm": length,
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": rms_norm,
    "native_group_norm": group_norm,
    **dict.fromkeys((name for name, row in ROWS.items() if row.form == "batch_norm"), batch_norm),
    "logsumexp": log_sum,
    **dict.fromkeys(("amax", "amin", "max", "min"), extreme),
}
"""How to read the arguments of an operation as its form takes them, where they differ from its own."""
