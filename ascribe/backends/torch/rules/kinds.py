"""What kind of operation an entry on the tape is."""

from __future__ import annotations

from . import choices, linear, norms, order_statistics, pooling, products, regions, softmax
from .layers import WEIGHTED, layer_of, normalised
from .tape import Entry

AVERAGES = frozenset({"mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"})

TABLES = (
    (AVERAGES, "average"),
    (linear.LINEAR, "linear"),
    (norms.NORM, "norm"),
    (pooling.POOL, "pool"),
    (softmax.SOFTMAX, "softmax"),
    (choices.CHOICE, "choice"),
    (order_statistics.ORDER, "choice"),
    (products.LEIBNIZ, "quotient"),
    (products.MIDPOINT, "product"),
)

VIEWS = ("view", "_unsafe_view", "reshape", "_reshape_alias")
TURNS = frozenset({*VIEWS, "transpose", "t", "permute", "unsqueeze", "squeeze", "select", "slice"})
"""Operations that lay the same numbers out in another way, if they leave none out."""

MOVES = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "flatten", "view_copy"}
    | {"clone", "detach", "alias", "lift_fresh", "contiguous", "positive", "mark", "_to_copy", "copy"}
    | {"transpose", "t", "permute", "expand", "cat", "stack", "select", "slice", "as_strided", "as_strided_scatter"}
    | {"split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "chunk", "unbind"}
    | {"constant_pad_nd", "index_select", "index", "gather", "roll", "flip", "repeat", "tril", "triu", "diagonal", "movedim"}
    | {"slice_scatter", "select_scatter", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "masked_fill", "im2col", "unfold"}
    | {"upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "reflection_pad1d", "reflection_pad2d", "replication_pad2d"}
)
"""Operations that put numbers elsewhere, or repeat them, and leave them as they are: relevance goes back the same way."""


def kind_of(entry: Entry) -> str:
    """One of :data:`ascribe.rules.books.KINDS`."""
    out = entry.outs[0]
    if out is not None and out.root is not out:
        return "activation"
    if entry.name in WEIGHTED and layer_of(entry) is not None:
        return "convolution" if entry.name == "convolution" else "dense"
    if normalised(entry) is not None:
        return "batch_norm"
    if regions.pointwise(entry) and regions.linear(entry):
        return "linear"
    return next((kind for names, kind in TABLES if entry.name in names), "other")
