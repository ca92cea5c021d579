"""Finding places in a JAX model: what there is, the logits, the embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from jax.extend.core import Var

from ...cuts import EMBEDDINGS, INPUT, OUTPUT, Cut, JointCut
from ...errors import CutError
from ..protocol import Place
from .families import is_embedding
from .spots import Spots, floats
from .tags import cut_mark
from .traces import Trace

SQUASHING = frozenset({"softmax", "logsoftmax", "sigmoid"})
"""Layers and functions that give probabilities of scores, or their logarithms: their kinds in small letters."""


def places(spots: Spots) -> list[Place]:
    """Every cut that the call passes, in execution order, the input first and the output last; shapes are those of one record."""
    inputs = spots.inputs
    records = inputs.records if inputs.whole else 1
    trace, name = spots.trace(records), spots.model.name
    found: dict[Cut, Place] = {}
    for key, mark in trace.marks.items():
        cut = Cut(key.layer, "in" if key.anchor == "in" else "out")
        before = found.get(cut, Place(cut, mark.kind, (), 0))
        shape = (mark.shape,) if key.call == 0 and floats(mark.dtype) else ()
        found[cut] = Place(cut, before.kind, before.shapes + shape, max(before.calls, key.call + 1))
    first = Place(INPUT, name, tuple(inputs.shape(p, records) for p in inputs.explained), 1)
    last = Place(OUTPUT, name, tuple(tuple(leaf.shape) for _, leaf in trace.leaves() if floats(leaf.dtype)), 1)
    return [first, *found.values(), last]


def resolve(spots: Spots, cut: Cut, wrt: bool, notes: list[str]) -> Cut:
    """A cut as a place in the model. Raises CutError for one that is not there or cannot be explained."""
    if isinstance(cut, JointCut):
        if wrt:
            what = "A joint cut is for `on=` of a quantity; points and gradients are at a single cut"
            raise CutError(what, found=f"at={cut!r}", advice=f"at={cut.each[0]!r}")
        return JointCut.of(*(resolve(spots, one, False, notes) for one in cut.each))
    if cut == INPUT and wrt and not spots.inputs.explained:
        cut = embeddings(spots)
        notes.append(f"the inputs are token ids: explained at {cut!r}")
        return cut
    if cut.symbolic:
        known = embeddings(spots) if cut.layer == EMBEDDINGS.layer else logits(spots)
        cut = Cut(known.layer, known.anchor, known.accessor if cut.accessor is None else cut.accessor, cut.call)
    if wrt and not cut.layer and cut.anchor == "in":
        spots.inputs.paths_at(cut, whole=False)
    if wrt and not cut.layer and cut.anchor == "out":
        what = "The output cannot be explained by itself"
        raise CutError(what, found=f"at={cut!r}", advice="at=asc.INPUT, or a layer before the output", code="E-CUT-OUTPUT")
    if cut.layer:
        cut = Cut(dotted(spots, cut.layer), cut.anchor, cut.accessor, cut.call)
        spots.keys(cut, spots.trace(spots.inputs.records))
    return cut


def dotted(spots: Spots, layer: str) -> str:
    """A path of layers as the marks have it, where it was written with slashes, or is another path of the same module."""
    parts = layer.replace("/", ".").split(".")
    heads = {".".join(parts[:n]): parts[n:] for n in range(len(parts), 0, -1)}
    known = spots.model.aliases
    path = next((".".join((known[head], *rest)) for head, rest in heads.items() if head in known), ".".join(parts))
    return path if path != layer and any(path == k.layer for k in spots.trace(spots.inputs.records).marks) else layer


def softmax_input(trace: Trace) -> Cut | None:
    """What goes into the layer or activation function of a softmax or sigmoid whose result is the output; None where there is none."""
    made = {eqn.outvars[0]: eqn.params for eqn in trace.jaxpr.eqns if eqn.primitive is cut_mark}
    given = {eqn.outvars[0]: eqn.invars[0] for eqn in trace.jaxpr.eqns if eqn.primitive is cut_mark}
    here = trace.jaxpr.outvars[0] if len(trace.jaxpr.outvars) == 1 else None
    while isinstance(here, Var) and here in made:
        if made[here]["kind"].lower().replace("_", "") in SQUASHING and made[here]["anchor"] == "out":
            layer = made[here]["layer"]
            last = max(k.call for k in trace.marks if k.layer == layer)
            return Cut(layer, "in", call=last or None)
        here = given[here]
    return None


def logits(spots: Spots) -> Cut:
    """A layer called ``logits``; what goes into a final softmax or sigmoid; the ``logits`` of the output; or the output."""
    trace = spots.trace(spots.inputs.records)
    for key in trace.marks:
        if key.layer.rpartition(".")[2] == "logits":
            return Cut(key.layer)
    if (known := softmax_input(trace)) is not None:
        return known
    output = trace.output
    return OUTPUT.at("logits") if isinstance(output, Mapping) and "logits" in output else OUTPUT


def embeddings(spots: Spots) -> Cut:
    """The one embedding layer. Raises CutError where there is none, or where there are several."""
    marks = spots.trace(spots.inputs.records).marks
    names = list(dict.fromkeys(k.layer for k, m in marks.items() if k.anchor == "out" and is_embedding(m.kind)))
    if len(names) == 1:
        return Cut(names[0])
    what = "`EMBEDDINGS` is ambiguous: the model has several embeddings" if names else "`EMBEDDINGS` was not found: the model has none"
    there = ", ".join(map(repr, names)) or f"the {spots.model.name}"
    raise CutError(what, found=there, advice='the layer by its name: at="layer"', code="E-CUT-EMBEDDINGS")
