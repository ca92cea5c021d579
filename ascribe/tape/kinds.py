"""The kind of an operation on the tape, as a rule book names it."""

from __future__ import annotations

from . import regions
from .formulas.layers import WEIGHTED, is_layer, normalised
from .tape import Entry


def kind_of(entry: Entry) -> str:
    """One of :data:`ascribe.rules.books.KINDS`."""
    out = entry.outs[0]
    if out is not None and out.root is not out:
        return "activation"
    if entry.op.form in WEIGHTED and is_layer(entry):
        return "convolution" if entry.op.form == "convolution" else "dense"
    if normalised(entry) is not None:
        return "batch_norm"
    if regions.pointwise(entry) and regions.linear(entry):
        return "linear"
    return entry.op.kind
