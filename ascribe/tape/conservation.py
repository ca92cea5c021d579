"""Relevance conservation: for each operation the relevance that came to it, was passed on, and was absorbed by constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Array, Namespace
from ..rules.trace import Flow, RuleTrace
from .formulas.layers import WEIGHTED
from .step import Back, Step
from .tape import Entry, Var, turned, weighed

ADDS = frozenset({"add", "reverse_subtract", "concat", "stack", "masked_fill", "copy", "where", *WEIGHTED})
"""Forms that add something: what they do not pass on went to a constant or a bias."""

SCALES = frozenset({"layer_norm", "rms_norm"})
"""Forms whose formulas report what their constants absorb."""


@dataclass
class Page:
    """One operation's sums (out, passed, absorbed, size), still on the device."""

    entry: Entry
    row: Array
    off_path: bool


@dataclass
class Ledger:
    """Sums over all records, at the operations that may not pass on all that came."""

    pages: dict[int, Page] = field(default_factory=dict)
    quantity: list[Array] = field(default_factory=list)

    def begin(self, xp: Namespace, out: Var, g: Array) -> None:
        self.quantity.append(sums(xp, out, g, True))

    def note(self, number: int, step: Step, passed: Back, layered: bool) -> None:
        """One operation, by its place on the tape: the multipliers that it passed on, and what its step tells of the rest."""
        entry, plain = step.entry, not layered and not step.direct
        if plain and exact(entry, passed):
            return
        kept = constants(step) if plain else None
        row = opened(step, passed, layered) if kept is None else step.xp.stack([kept, kept * 0, kept, kept * 0], 0)
        old = self.pages.get(number)
        off_path = any(v.continuous and not v.wanted for v in entry.ins)
        self.pages[number] = Page(entry, row if old is None else old.row + row, off_path)

    def trace(self) -> RuleTrace:
        """All pages as numbers: two transfers from the device."""
        sums = self.sums()
        if sums is None:
            return RuleTrace()
        xp = next(iter(self.pages.values())).entry.framework.xp
        return trace_of(self.names(), *map(xp.numpy, sums))

    def names(self) -> dict[int, tuple[str, str, bool]]:
        """Each page's operation, its module, and whether it has inputs off the path, by its place on the tape."""
        return {number: (page.entry.name, page.entry.place, page.off_path) for number, page in self.pages.items()}

    def sums(self) -> tuple[Array, Array] | None:
        """The sums of the quantity and of its sizes, and a row of sums for each page; None without pages."""
        if not self.pages:
            return None
        pages = list(self.pages.values())
        xp = pages[0].entry.framework.xp
        return xp.sum(xp.stack(self.quantity, 0), (0,)), xp.stack([page.row for page in pages], 0)


def trace_of(names: Mapping[int, tuple[str, str, bool]], quantity: np.ndarray, table: np.ndarray) -> RuleTrace:
    """The trace of pages with these names and sums."""
    total, size = quantity.tolist()
    flows = {
        number: Flow(name, place, row[0], row[1], row[2], row[3], off_path)
        for (number, (name, place, off_path)), row in zip(names.items(), table.tolist(), strict=True)
    }
    return RuleTrace(flows=flows, quantity=total, size=size)


def opened(step: Step, passed: Back, layered: bool) -> Array:
    """The row of an operation whose sums have to be computed."""
    entry = step.entry
    xp = step.xp
    came = [sums(xp, v, g, True) for v, g in zip(entry.outs, step.back, strict=True) if v is not None and g is not None]
    came += [sums(xp, entry.out(), step.direct_out, False)] if step.direct_out is not None else []
    went = [sums(xp, v, c, scaled) for pairs, scaled in ((passed, True), (step.direct, False)) for v, c in pairs if v.wanted]
    out, nothing = together(came)[0], xp.zeros_like(came[0])
    moved, size = together([*went, nothing])
    kept = together([*(xp.cast(t, out) for t in step.absorbed), nothing[0]])
    if not layered and all(v.wanted or not v.continuous for v in entry.ins) and summands(entry):
        kept = out - moved
    return xp.stack([out, moved, kept, size], 0)


def together(parts: Sequence[Array]) -> Array:
    """The sum of several."""
    return sum(parts[1:], parts[0])


def exact(entry: Entry, passed: Back) -> bool:
    """Whether there is nothing to find out: the sums over long texts would cost a third of the way back.

    A product of two passes on what came, in equal shares or all to one (:mod:`.product_shares`).
    """
    out = entry.outs[0]
    parts = {v for v, _ in passed if v.wanted}
    if out is None or not parts or len(parts) < len(passed):
        return False
    if out.root is not out:
        return entry.op.from_zero and out.root in entry.ins and len(set(entry.ins)) == 1
    form = entry.op.form
    if form in ("multiply", "matmul"):
        return len(set(entry.ins)) == len(entry.ins)
    if not all(v.wanted and v.continuous for v in entry.ins):
        return False
    if entry.op.kind == "pool":
        return True
    if form in ("add", "concat", "stack"):
        given = entry.args[0] if isinstance(entry.args[0], (list, tuple)) else entry.args[:2]
        return all(isinstance(part, Var) for part in given) and len(set(entry.ins)) == len(given) == len(parts) and not entry.kwargs
    return len(set(entry.ins)) == 1 and entry.op.conserves and (form != "divide" or entry.args[0] is entry.ins[0])


def constants(step: Step) -> Array | None:
    """What the constant in a sum takes, all else passed on; None where that is not known without looking at what was passed on."""
    xp, entry, g, form = step.xp, step.entry, step.back[0], step.entry.op.form
    if form in SCALES and step.absorbed:
        return together(step.absorbed)
    if g is None or step.direct_out is not None or len(entry.ins) != 1 or entry.out().root is not entry.out():
        return None
    if form == "addmatmul":
        c, _, _, beta, _ = step.arguments
        return None if isinstance(c, Var) else weighed(xp, g, c) * beta
    if form == "add":
        first, second, factor = step.arguments
        return weighed(xp, g, second) * factor if isinstance(first, Var) else weighed(xp, g, first)
    return None


def summands(entry: Entry) -> bool:
    """Whether what an operation does not pass on went to something that it adds: a constant, a bias, an activation's value at 0, and
    what a derivative times the value misses of a softmax (the bias of its expansion).
    """
    out = entry.outs[0]
    return entry.op.form in ADDS or entry.op.kind in ("norm", "softmax") or (out is not None and out.root is not out)


def sums(xp: Namespace, v: Var, c: Array, scaled: bool) -> Array:
    """The sum of the relevance at a value, and that of its sizes."""
    relevance = turned(xp, c) * v.value if scaled else c
    return xp.stack(xp.sum_and_size(xp.real(relevance) if xp.kind(relevance) == "c" else relevance), 0)
