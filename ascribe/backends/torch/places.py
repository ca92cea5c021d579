"""Finding places in a PyTorch model: what there is, the logits, the embeddings, the class names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from ...cuts import EMBEDDINGS, INPUT, OUTPUT, Cut, JointCut
from ...errors import AscribeError, CutError, ModelError
from ...tree import Path, walk
from ..protocol import Place
from .context import Context
from .model.errors import complex_inputs
from .run.call import call_model
from .run.hooks import Run, floating
from .run.independence import independent
from .run.layers import Kind, Visit
from .run.record_axes import note

Tensor = torch.Tensor
NOTHING: Mapping[Path, Tensor] = MappingProxyType({})


def run_and_report(
    ctx: Context,
    kind: Kind,
    report: Visit,
    news: Mapping[Path, Tensor] = NOTHING,
    index: np.ndarray | None = None,
) -> Any:
    """Run the first record once, all where they are dependent, or those of ``index``, and report every input and output of the
    layers of a kind; the model's output. ``news`` are other rows for some arguments.
    """
    if index is None:
        index = np.arange(1) if independent(ctx) else np.arange(ctx.records)
    while True:
        run = Run(ctx.layers, [], stop=False)
        args, kwargs = ctx.inputs.rows(index, 1, news)
        try:
            with ctx.graphs(), run.hooked(), ctx.layers.report(kind, report, run):
                return call_model(ctx, lambda model, args, kwargs: model(*args, **kwargs), args, kwargs)
        except ModelError as wrong:
            if not ctx.needs_graph(wrong):
                raise


def places(ctx: Context) -> list[Place]:
    """Every cut that the call passes, in execution order, the input first and the output last."""
    found: dict[Cut, Place] = {}

    def report(cut: Cut, kind: str, call: int, tree: Any) -> None:
        if cut in found:
            found[cut] = found[cut]._replace(calls=call + 1)
        else:
            found[cut] = Place(cut, kind, tuple(tuple(t.shape) for _, t in floating(tree, ())), 1)

    output = run_and_report(ctx, "any", report)
    name = type(ctx.host).__name__ if ctx.host is not None else "function"
    explained = tuple(ctx.inputs.one_row(p) for p in ctx.inputs.explained)
    first = Place(Cut("", "in"), name, explained, 1)
    last = Place(OUTPUT, name, tuple(tuple(t.shape) for _, t in floating(output, ())), 1)
    return [first, *found.values(), last]


def resolve(ctx: Context, cut: Cut, wrt: bool) -> Cut:
    """A cut as a place in the model, which the call will read. Raises CutError and InputError as :func:`located`."""
    place = located(ctx, cut, wrt)
    if place.layer or place.anchor == "out":
        ctx.wanted.append(place)
    return place


def located(ctx: Context, cut: Cut, wrt: bool) -> Cut:
    """A cut as a place in the model; with ``wrt`` one that the call can be explained at.

    Raises CutError for a place that cannot be explained or written to, and InputError for inputs of complex numbers.
    """
    if isinstance(cut, JointCut):
        if wrt:
            what = "A joint cut is for `on=` of a quantity; points and gradients are at a single cut"
            raise CutError(what, found=f"at={cut!r}", advice=f"at={cut.each[0]!r}")
        return JointCut.of(*(resolve(ctx, one, False) for one in cut.each))
    if not cut.layer and cut.anchor == "in" and not ctx.inputs.explained and ctx.inputs.complex:
        raise complex_inputs(ctx.inputs)
    if cut == INPUT and wrt and not ctx.inputs.explained:
        cut = known_place(ctx, EMBEDDINGS)
        ctx.notes.append(f"the inputs are token ids: explained at {cut!r}")
        return cut
    if wrt and not cut.layer and cut.anchor == "in":
        ctx.inputs.paths_at(cut)
    if cut.layer and not cut.symbolic and (name := ctx.layers.canonical(cut.layer)) != cut.layer:
        cut = Cut(name, cut.anchor, cut.accessor, cut.call)
    if cut.symbolic:
        known = known_place(ctx, cut)
        cut = Cut(known.layer, known.anchor, known.accessor if cut.accessor is None else cut.accessor, cut.call)
    if wrt and not cut.layer and cut.anchor == "out":
        what = "The output cannot be explained by itself"
        raise CutError(what, found=f"at={cut!r}", advice="at=asc.INPUT, or a layer before the output", code="E-CUT-OUTPUT")
    return cut


def known_place(ctx: Context, cut: Cut) -> Cut:
    """The layer behind LOGITS or EMBEDDINGS."""
    known = ctx.facts.shapes.symbolic_cuts.get(cut)
    if known is None:
        known = embeddings(ctx) if cut.layer == EMBEDDINGS.layer else logits(ctx)
        ctx.facts.shapes.symbolic_cuts[cut] = known
    return known


def logits(ctx: Context) -> Cut:
    """A layer called ``logits``; what goes into a final softmax or sigmoid; the ``logits`` of an output object; or the output.

    Raises CutError when the output holds probabilities and nothing says where they come from.
    """
    for name in ctx.layers.names():
        if name.rpartition(".")[2] == "logits":
            return Cut(name)
    ends: list[tuple[Cut, Tensor]] = []

    def report(cut: Cut, kind: str, call: int, tree: Any) -> None:
        if cut.anchor == "out" and isinstance(tree, Tensor):
            ends.append((Cut(cut.layer, "in", call=call or None), tree))

    output = run_and_report(ctx, "squashing", report)
    if isinstance(output, Mapping) and "logits" in output:
        return OUTPUT.at("logits")
    if not isinstance(output, Tensor):
        what, there = "`LOGITS` was not found: the output is not a tensor", f"an output of type {type(output).__name__}"
        raise CutError(what, found=there, advice='asc.OUTPUT.at("name"), or a layer by its name', code="E-CUT-LOGITS")
    for cut, value in ends:
        if value.shape == output.shape and torch.equal(value, output):
            return cut
    if (
        output.ndim == 2
        and output.shape[1] > 1
        and bool(((output >= 0) & (output <= 1)).all())
        and torch.allclose(output.sum(1).float(), torch.ones(len(output), device=output.device), atol=1e-3)
    ):
        raise CutError(
            "`LOGITS` was not found: the output holds probabilities, but no softmax layer computes them",
            advice='the layer before the softmax by its name, such as Cut("fc")',
            code="E-CUT-LOGITS",
        )
    return OUTPUT


def embeddings(ctx: Context) -> Cut:
    """The layer that the model calls its input embeddings, or the one ``nn.Embedding`` that is given the token ids.

    Raises CutError when there is none, or several (then it lists them).
    """
    host = ctx.host
    if host is None:
        what, there = "`EMBEDDINGS` was not found: a function has no layers", f"a {type(ctx.model).__name__}"
        raise CutError(what, found=there, advice="an nn.Module", code="E-CUT-EMBEDDINGS")
    modules, tables = dict(host.named_modules()), ctx.layers.tables()
    tied: set[str] = set()
    own: Any = getattr(host, "get_input_embeddings", None)
    if own is not None:
        try:
            named = own()
        except NotImplementedError:
            named = None
        weight = getattr(named, "weight", None)
        tied = {n for n, m in modules.items() if isinstance(m, nn.Embedding) and m.weight is weight}
        for name, module in modules.items():
            if module is named and name and tied <= {name}:  # of several with one weight, an encoder's and a decoder's, not all run
                return Cut(name)
    used = given_ids(ctx, tied) or moved_by_ids(ctx)
    if len(used) == 1:
        return Cut(next(iter(used)))
    each = f"at=[{', '.join(repr(Cut(name)) for name in used)}] for gradients, one at a time for paths"
    raise CutError(
        "`EMBEDDINGS` is ambiguous: several layers receive the ids"
        if used
        else "`EMBEDDINGS` was not found: no nn.Embedding receives the ids",
        found=", ".join(map(repr, used or tables)) or "a model without nn.Embedding",
        advice=each
        if used
        else 'the layer by its name: at="layer"'
        if tables
        else "x.float(), for integers that are no ids, such as the bytes of an image",
        code="E-CUT-EMBEDDINGS",
    )


def given_ids(ctx: Context, tied: set[str]) -> dict[str, None]:
    """The embeddings that are given the ids of the call, or those ``tied`` together that run.

    Which they are does not depend on other records, so one is run, and what shapes it shows are remembered. It need not be known whether
    records can be run apart, unless one by itself does not run.
    """
    ids = {_first(t) for leaf in ctx.inputs.ids for t in ((leaf[:1], leaf) if leaf.ndim else (leaf,))}
    used: dict[str, None] = {}
    shapes: dict[str, list[tuple[int, ...]]] = {}

    def report(cut: Cut, kind: str, call: int, tree: Any) -> None:
        if cut.anchor == "out":
            shapes.setdefault(cut.layer, []).extend(tuple(t.shape) for _, t in floating(tree, ()))
            return
        given = [leaf for _, leaf in walk(tree) if isinstance(leaf, Tensor)]
        if cut.layer in tied if tied else any(_first(t) in ids for t in given):
            used[cut.layer] = None

    if ctx.inputs.counted.together:
        run_and_report(ctx, "table", report)
        return used
    try:
        output = run_and_report(ctx, "table", report, index=np.arange(1))
    except ModelError:
        used.clear()
        run_and_report(ctx, "table", report)
        return used
    shapes[OUTPUT.layer] = [tuple(t.shape) for _, t in floating(output, ())]
    for layer in (*used, OUTPUT.layer):
        note(ctx, Cut(layer), 1, shapes.get(layer, []))
    return used


def moved_by_ids(ctx: Context) -> dict[str, None]:
    """The embeddings that are given other numbers when the ids are others: columns of them, parts, ids shifted or offset.

    No id is put in but smaller ones, which every table has, and the ids of other records.
    """
    inputs = ctx.inputs
    index = np.arange(1) if independent(ctx) else np.arange(inputs.records)
    paths = [p for p in inputs.tokens if p in inputs.counted.axes or inputs.counted.together]

    def given(change: Callable[[Path, Tensor], Tensor] | None) -> dict[tuple[str, int], Tensor]:
        found: dict[tuple[str, int], Tensor] = {}

        def report(cut: Cut, kind: str, call: int, tree: Any) -> None:
            if cut.anchor == "in":
                found[cut.layer, call] = torch.cat([leaf.reshape(-1).double() for _, leaf in walk(tree) if isinstance(leaf, Tensor)])

        run_and_report(ctx, "table", report, {p: change(p, inputs.own_rows(p, index)) for p in paths} if change is not None else NOTHING)
        return found

    def other_rows(path: Path, leaf: Tensor) -> Tensor:
        return inputs.own_rows(path, (index + 1) % inputs.records)

    plain, used = given(None), dict[str, None]()
    for change in (
        lambda _, leaf: torch.full_like(leaf, int(leaf.min())),
        lambda _, leaf: torch.where(leaf == leaf.min(), leaf + 1, leaf),
        *([] if inputs.counted.together else [other_rows]),
    ):
        with suppress(AscribeError):  # ids that this model does not accept show nothing
            found = given(change)
            used |= {layer: None for (layer, call), value in found.items() if not torch.equal(value, plain.get((layer, call), value[:0]))}
    return {layer: None for layer, _ in plain if layer in used}


def class_names(host: nn.Module | None) -> tuple[str, ...] | None:
    """The names in a Hugging Face config's ``id2label``, in order."""
    table = getattr(getattr(host, "config", None), "id2label", None)
    if not isinstance(table, Mapping) or not table:
        return None
    return tuple(str(table[key]) for key in sorted(table, key=int))


def _first(t: Tensor) -> tuple[float, ...]:
    """The first numbers of a tensor; none of one without any."""
    return () if t.is_meta else tuple(t.reshape(-1)[:64].tolist())
