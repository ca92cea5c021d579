"""Finding places in a TensorFlow model: what there is, the logits, the embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import tensorflow as tf

from ...cuts import EMBEDDINGS, INPUT, OUTPUT, Cut, JointCut
from ...errors import CutError
from ...tree import walk
from ..protocol import Place
from .context import Context
from .demands import Look, floating
from .evaluate import is_input

Report = Callable[[Cut, int, Any], None]
SQUASHING = ("Softmax", "LogSoftmax", "Sigmoid", "softmax", "log_softmax", "sigmoid")


def run_and_report(ctx: Context, report: Report) -> Any:
    """Runs the first record, all where they cannot be apart, and reports every input and output of the layers; the model's output."""
    index = np.arange(ctx.records if ctx.inputs.counted.together or ctx.facts.weights.independent is False else 1)
    args, kwargs = ctx.inputs.tensors(index, 1, {})
    looks = [Look(Cut(name, side), report=report) for name in ctx.runner.layers() for side in ("in", "out")]
    return ctx.run(args, kwargs, looks)


def places(ctx: Context) -> list[Place]:
    """Every cut that the call passes, in execution order, the input first and the output last."""
    found: dict[Cut, Place] = {}
    kinds = ctx.runner.layers()

    def report(cut: Cut, call: int, tree: Any) -> None:
        if cut in found:
            found[cut] = found[cut]._replace(calls=call + 1)
        else:
            found[cut] = Place(cut, kinds[cut.layer], tuple(tuple(t.shape) for _, t in floating(tree)), 1)

    output = run_and_report(ctx, report)
    explained = tuple((1, *ctx.inputs.canonical(p).shape[1:]) for p in ctx.inputs.explained(()))
    first, last = Place(INPUT, ctx.runner.kind, explained, 1), tuple(tuple(t.shape) for _, t in floating(output))
    return [first, *found.values(), Place(OUTPUT, ctx.runner.kind, last, 1)]


def resolve(ctx: Context, cut: Cut, wrt: bool) -> Cut:
    """A cut as a place in the model; with ``wrt`` one that can be explained. Raises CutError."""
    if isinstance(cut, JointCut):
        if wrt:
            what = "A joint cut is for `on=` of a quantity; points and gradients are at a single cut"
            raise CutError(what, found=f"at={cut!r}", advice=f"at={cut.each[0]!r}")
        return JointCut.of(*(resolve(ctx, one, False) for one in cut.each))
    if cut == INPUT and wrt and not ctx.inputs.floating:
        cut = known_place(ctx, EMBEDDINGS)
        ctx.notes.append(f"the inputs are token ids: explained at {cut!r}")
    if cut.symbolic:
        known = known_place(ctx, cut)
        cut = Cut(known.layer, known.anchor, known.accessor if cut.accessor is None else cut.accessor, cut.call or known.call)
    elif cut.layer and (name := ctx.runner.canonical(cut.layer)) != cut.layer:
        cut = Cut(name, cut.anchor, cut.accessor, cut.call)
    if is_input(cut):
        return check_input(ctx, cut, wrt)
    if wrt and not cut.layer:
        what = "The output cannot be explained by itself"
        raise CutError(what, found=f"at={cut!r}", advice="at=asc.INPUT, or a layer before the output", code="E-CUT-OUTPUT")
    if cut.layer and cut.layer not in (layers := ctx.runner.layers()):
        raise unknown_layer(ctx, cut, list(layers))
    ctx.wanted[cut] = None
    return cut


def check_input(ctx: Context, cut: Cut, wrt: bool) -> Cut:
    """The cut, where its arguments are in the call. Raises CutError."""
    if wrt:
        ctx.inputs.differentiable(cut)
    else:
        ctx.inputs.explained((int(isinstance(cut.accessor, str)), cut.accessor) if isinstance(cut.accessor, (int, str)) else ())
    return cut


def unknown_layer(ctx: Context, cut: Cut, layers: list[str]) -> CutError:
    """The error for a layer that the model does not have."""
    if not layers:
        return ctx.runner.without_layers(cut)
    if (inside := ctx.runner.inside_loop(cut)) is not None:
        return inside
    near = get_close_matches(cut.layer, layers, 3, 0.3) or layers[:3]
    there = f"{len(layers)} layers, such as {', '.join(map(repr, near))}"
    return CutError(f"The model has no layer {cut.layer!r}", found=there, advice=f"at={near[0]!r}", code="E-CUT-UNKNOWN")


def known_place(ctx: Context, cut: Cut) -> Cut:
    """The layer behind LOGITS or EMBEDDINGS."""
    known = ctx.facts.shapes.symbolic_cuts.get(cut)
    if known is None:
        known = ctx.runner.embeddings() or embeddings(ctx) if cut.layer == EMBEDDINGS.layer else ctx.runner.logits() or logits(ctx)
        ctx.facts.shapes.symbolic_cuts[cut] = known
    return known


def logits(ctx: Context) -> Cut:
    """A layer called ``logits``; what a final layer of the kind softmax or sigmoid is given; ``logits`` of the output; or the output.

    Raises CutError where the output holds probabilities and no layer says where they come from.
    """
    kinds = ctx.runner.layers()
    if named := [name for name in kinds if name.rpartition(".")[2] == "logits"]:
        return Cut(named[0])
    ends: list[tuple[Cut, Any]] = []

    def report(cut: Cut, call: int, tree: Any) -> None:
        if cut.anchor == "out" and kinds[cut.layer] in SQUASHING and isinstance(tree, tf.Tensor):
            ends.append((Cut(cut.layer, "in", call=call or None), tree))

    output = run_and_report(ctx, report)
    if isinstance(output, Mapping) and "logits" in output:
        return OUTPUT.at("logits")
    leaves = floating(output)
    if len(leaves) != 1:
        what, there = "`LOGITS` was not found: the output is not a tensor", f"an output of type {type(output).__name__}"
        raise CutError(what, found=there, advice='asc.OUTPUT.at("name"), or a layer by its name', code="E-CUT-LOGITS")
    numbers = np.asarray(leaves[0][1])
    for cut, value in ends:
        if value.shape == numbers.shape and np.array_equal(np.asarray(value), numbers):
            return cut
    if numbers.ndim == 2 and numbers.shape[1] > 1 and (numbers >= 0).all() and np.allclose(numbers.sum(1), 1, atol=1e-3):
        what = "`LOGITS` was not found: the output holds probabilities, but no softmax layer computes them"
        raise CutError(what, advice='the layer before the softmax by its name, such as Cut("head")', code="E-CUT-LOGITS")
    return OUTPUT


def embeddings(ctx: Context) -> Cut:
    """The output of the one layer that is given the ids of the call. Raises CutError where there is none, or several."""
    ids = [ctx.inputs.leaves[path] for path in ctx.inputs.ids]
    tables = ctx.runner.tables()
    given: dict[str, None] = {}
    used: dict[str, None] = {}

    def report(cut: Cut, call: int, tree: Any) -> None:
        if cut.anchor == "in":
            leaves = [leaf for _, leaf in walk(tree) if isinstance(leaf, tf.Tensor)]
            tensors = [leaf for leaf in leaves if leaf.dtype.is_integer or (leaf.dtype.is_floating and cut.layer in tables)]
            if any(np.isin(np.asarray(t).reshape(-1)[:64], i.reshape(-1)).all() for t in tensors for i in ids if t.shape.num_elements()):
                given[cut.layer] = None
        elif cut.layer in given and floating(tree):
            used[cut.layer] = None

    run_and_report(ctx, report)
    inner = [name for name in used if not any(other.startswith(f"{name}.") for other in used)]
    if len(inner) == 1 or (not inner and len(tables) == 1):  # a table whose ids the model makes itself, of words
        return Cut((inner or tables)[0])
    if not inner and not ids:
        problem, there = "The inputs are words, which have no gradient", "strings, and no layer of embeddings"
        advice = 'asc.FeatureAblation(by=asc.MaskToken("")), or at="layer" for the layer that looks up their embeddings'
        raise CutError(problem, found=there, advice=advice, code="E-CUT-INTEGER")
    problem = "`EMBEDDINGS` is ambiguous: several layers receive the ids" if inner else "`EMBEDDINGS` was not found: no layer receives ids"
    there = ", ".join(map(repr, inner)) or f"a model of the kind {ctx.runner.kind}"
    raise CutError(problem, found=there, advice='the layer by its name: at="layer"', code="E-CUT-EMBEDDINGS")
