"""Linear operations, by name: their pull-backs by hand where they are frequent, their own vector-Jacobian product otherwise.

The list is explicit, so that an operation nobody has looked at is never taken for linear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .step import Back, Formula, Step
from .tape import Var, aten, fold


def reshaped(s: Step) -> Back:
    v = s.entry.ins[0]
    return [(v, s.g.reshape(v.shape))]


def passed(s: Step) -> Back:
    return [(s.entry.ins[0], s.g)]


def cast(s: Step) -> Back:
    v = s.entry.ins[0]
    return [(v, s.g.to(v.dtype) if v.continuous else s.g)]


def transposed(s: Step) -> Back:
    v, a, b = s.entry.args[:3]
    return [(v, s.g.transpose(a, b))]


def matrix_transposed(s: Step) -> Back:
    return [(s.entry.ins[0], s.g.t())]


def permuted(s: Step) -> Back:
    v, order = s.entry.args[:2]
    back = [0] * len(order)
    for i, d in enumerate(order):
        back[d % len(order)] = i
    return [(v, s.g.permute(back))]


def expanded(s: Step) -> Back:
    v = s.entry.ins[0]
    return [(v, fold(s.g, v.shape))]


def copied(s: Step) -> Back:
    source = s.entry.args[1]
    return s.to((source, lambda: s.g))


def nothing(s: Step) -> Back:
    """The result does not depend on what was there before."""
    return []


def negated(s: Step) -> Back:
    return [(s.entry.ins[0], -s.g)]


def added(s: Step, sign: int = 1) -> Back:
    a, b = s.entry.args[:2]
    factor = sign * s.entry.kwargs.get("alpha", 1)
    return s.to((a, lambda: s.g), (b, lambda: s.g if factor == 1 else s.g * factor))


def subtracted(s: Step) -> Back:
    return added(s, -1)


def summed(s: Step) -> Back:
    v = s.entry.ins[0]
    dims = s.entry.arg(1, "dim") or list(range(len(v.shape)))
    g = s.g
    if not s.entry.arg(2, "keepdim", False) and len(v.shape):
        for d in sorted(d % len(v.shape) for d in dims):
            g = g.unsqueeze(d)
    return [(v, g.expand(v.shape))]


def averaged(s: Step) -> Back:
    v = s.entry.ins[0]
    count = v.shape.numel() // max(1, s.entry.out().shape.numel())
    return [(v, summed(s)[0][1] / count)]


def joined(s: Step) -> Back:
    parts, dim = s.entry.args[0], s.entry.arg(1, "dim", 0)
    found: Back = []
    start = 0
    for part in parts:
        size = part.shape[dim] if part.shape.numel() else 0  # an empty vector joins anything: caches start as one
        if s.wants(part):
            found.append((part, s.g.narrow(dim, start, size)))
        start += size
    return found


def stacked(s: Step) -> Back:
    parts, dim = s.entry.args[0], s.entry.arg(1, "dim", 0)
    return [(part, s.g.select(dim, i)) for i, part in enumerate(parts) if s.wants(part)]


def part_of(view: Callable[[Any, Any], Any]) -> Formula:
    """A view of a part: nothing for the rest."""

    def formula(s: Step) -> Back:
        v = s.entry.ins[0]
        z = s.g.new_zeros(v.shape)
        view(z, s.entry).copy_(s.g)
        return [(v, z)]

    return formula


def split(s: Step) -> Back:
    """Pieces along an axis: put together again."""
    v = s.entry.ins[0]
    dim = s.entry.arg(2, "dim", 0)
    parts = [s.g_or_zero(k) for k in range(len(s.entry.outs))]
    return [(v, torch.cat(parts, dim))]


def unbound(s: Step) -> Back:
    v = s.entry.ins[0]
    return [(v, torch.stack([s.g_or_zero(k) for k in range(len(s.entry.outs))], s.entry.arg(1, "dim", 0)))]


def scattered(s: Step) -> Back:
    """``as_strided_scatter``: autograd's own leaks where the source is not contiguous."""
    flat, v, size, stride, offset = s.entry.args
    g = s.g.contiguous()
    found: Back = []
    if s.wants(v):
        found.append((v, g.as_strided(size, stride, offset).clone()))
    if s.wants(flat):
        rest = g.clone()
        rest.as_strided(size, stride, offset).zero_()
        found.append((flat, rest))
    return found


def convolved(s: Step) -> Back | None:
    x, w, _, stride, pad, dilation, transposed_, out_pad, groups = s.entry.args
    if isinstance(w, Var) or not isinstance(x, Var):
        return None
    g = s.g.to(x.dtype)
    needs = [True, False, False]
    like = g.new_empty(x.shape) if x.held is None else x.held  # only looked at for its shape
    back = aten.convolution_backward(g, like, w, None, stride, pad, dilation, transposed_, out_pad, groups, needs)
    return [(x, back[0])]


def masked(s: Step) -> Back:
    """Numbers and one that replaces them where a mask says: a product with the mask, where that depends on the record too."""
    v, mask, fill = s.entry.args[:3]
    if not isinstance(mask, Var):
        return s.to((v, lambda: s.g.masked_fill(mask, 0)), (fill, lambda: s.g * mask))
    c, c0 = s.value(mask), s.reference(mask)
    share = (c.to(s.g.dtype) + c0.to(s.g.dtype)) / 2
    return s.to(
        (v, lambda: s.g * (1 - share)),
        (fill, lambda: s.g * share),
        (mask, lambda: torch.where(c == c0, 0.0, s.g * (s.middle(fill) - s.middle(v)))),
    )


def own(s: Step) -> Back:
    """A linear operation's own vector-Jacobian product."""
    return s.vjp(lambda v: v.value)


def only(*positions: int) -> Formula:
    """Linear in these arguments, as long as no other is on the tape."""

    def formula(s: Step) -> Back | None:
        others = [a for i, a in enumerate(s.entry.args) if i not in positions and isinstance(a, Var)]
        return None if others or any(isinstance(a, Var) for a in s.entry.kwargs.values()) else own(s)

    return formula


# fmt: off
OWN = (
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d",
    "adaptive_avg_pool1d", "roll", "flip", "gather", "cumsum", "repeat", "repeat_interleave", "tril", "triu",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
    "upsample_bicubic2d", "upsample_trilinear3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
    "_upsample_bilinear2d_aa", "select_scatter", "slice_scatter", "diagonal_scatter", "as_strided", "diagonal",
    "diag_embed", "im2col", "col2im", "unfold", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
    "replication_pad2d", "replication_pad3d", "_fft_r2c", "_fft_c2r", "_fft_c2c", "view_as_complex", "view_as_real",
    "real", "imag", "_conj", "_conj_physical", "conj_physical", "rot90", "index_add", "index_put", "_index_put_impl",
    "masked_scatter", "scatter", "scatter_add", "trace", "nansum", "as_strided_copy", "lift", "mode",
    "constant_pad_nd", "index_select", "index", "embedding", "take", "take_along_dim", "mean_dim",
    "movedim", "unfold_copy", "resolve_conj", "segment_reduce", "_unsafe_index", "_unsafe_index_put", "slice_copy",
    "bernoulli", "_pack_padded_sequence", "affine_grid_generator",
)
# fmt: on

LINEAR: dict[str, Formula] = {
    **dict.fromkeys(OWN, own),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "flatten", "view_copy"), reshaped),
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh", "contiguous", "positive", "mark"), passed),
    **dict.fromkeys(("fill", "zero", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "empty_like"), nothing),
    **dict.fromkeys(("new_empty", "new_full", "rand_like", "randn_like", "scalar_tensor", "new_empty_strided"), nothing),
    **dict.fromkeys(("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "chunk", "unsafe_chunk"), split),
    "_to_copy": cast,
    "transpose": transposed,
    "t": matrix_transposed,
    "permute": permuted,
    "expand": expanded,
    "copy": copied,
    "neg": negated,
    "add": added,
    "sub": subtracted,
    "sum": summed,
    "mean": averaged,
    "cat": joined,
    "stack": stacked,
    "select": part_of(lambda z, e: z.select(e.args[1], e.args[2])),
    "slice": part_of(lambda z, e: aten.slice.Tensor(z, *e.args[1:], **e.kwargs)),
    "unbind": unbound,
    "as_strided_scatter": scattered,
    "_convolution": only(0),
    "_grouped_mm": only(0),
    "masked_fill": masked,
    "grid_sampler_2d": only(0),
    "grid_sampler_3d": only(0),
    "lerp": only(0, 1),
    "rsub": own,
}
