"""The books of a reverse pass: how much relevance came to each operation, went on, was taken up by constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ....rules.trace import Flow, RuleTrace
from .layers import WEIGHTED
from .norms import NORM
from .pooling import POOL
from .regions import FROM_ZERO
from .softmax import SOFTMAX
from .step import Back, Step
from .tape import Entry, Tensor, Var, turned, weighed

EXACT = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "transpose", "t", "permute", "unsqueeze", "squeeze", "expand", "clone", "detach"}
    | {"alias", "contiguous", "_to_copy", "select", "slice", "split", "split_with_sizes", "unsafe_split", "unbind", "chunk"}
    | {"div", "sum", "mean", "neg", "index", "mark"}
)
"""Operations that pass on all that comes where one value goes in and nothing else is on the tape."""

PRODUCTS = frozenset({"mul", "mm", "bmm"})
BIASED = frozenset({"addmm", "baddbmm"})
TOLD = frozenset({"native_layer_norm", "_fused_rms_norm"})
"""Operations whose formulas tell what their constants take."""

JOINS = frozenset({"add", "cat", "stack"})
"""Operations that do so where all that goes in is on the tape."""

ADDS = frozenset({"add", "sub", "rsub", "cat", "stack", "masked_fill", "copy", "where", *WEIGHTED, *NORM, *SOFTMAX})


@dataclass
class Page:
    """One operation's sums (out, passed, absorbed, size), still on the device."""

    entry: Entry
    row: Tensor
    beside: bool


@dataclass
class Ledger:
    """Sums over all records, at the operations that may not pass on all that came."""

    pages: dict[int, Page] = field(default_factory=dict)
    quantity: list[Tensor] = field(default_factory=list)

    def begin(self, out: Var, g: Tensor) -> None:
        self.quantity.append(sums(out, g, True))

    def note(self, number: int, step: Step, passed: Back, layered: bool) -> None:
        """One operation, by its place on the tape: the multipliers that it passed on, and what its step tells of the rest."""
        entry, plain = step.entry, not layered and not step.direct
        if plain and exact(entry, passed):
            return
        kept = constants(step) if plain else None
        row = opened(step, passed, layered) if kept is None else torch.stack([kept, kept * 0, kept, kept * 0])
        old = self.pages.get(number)
        beside = any(v.continuous and not v.wanted for v in entry.ins)
        self.pages[number] = Page(entry, row if old is None else old.row + row, beside)

    def trace(self) -> RuleTrace:
        """All pages as numbers: two transfers from the device."""
        if not self.pages:
            return RuleTrace()
        quantity, size = torch.stack(self.quantity).sum(0).tolist()
        table = torch.stack([page.row for page in self.pages.values()]).tolist()
        flows = {
            number: Flow(page.entry.name, page.entry.place, row[0], row[1], row[2], row[3], page.beside)
            for (number, page), row in zip(self.pages.items(), table, strict=True)
        }
        return RuleTrace(flows=flows, quantity=quantity, size=size)


def opened(step: Step, passed: Back, layered: bool) -> Tensor:
    """The row of an operation whose sums have to be found out."""
    entry = step.entry
    came = [sums(v, g, True) for v, g in zip(entry.outs, step.back, strict=True) if v is not None and g is not None]
    came += [sums(entry.out(), step.beside, False)] if step.beside is not None else []
    went = [sums(v, c, scaled) for pairs, scaled in ((passed, True), (step.direct, False)) for v, c in pairs if v.wanted]
    out, nothing = together(came)[0], torch.zeros_like(came[0])
    moved, size = together([*went, nothing])
    kept = together([*(t.to(out.dtype) for t in step.absorbed), nothing[0]])
    if not layered and all(v.wanted or not v.continuous for v in entry.ins) and summands(entry):
        kept = out - moved
    return torch.stack([out, moved, kept, size])


def together(found: Sequence[Tensor]) -> Tensor:
    """The sum of several."""
    return sum(found[1:], found[0])


def exact(entry: Entry, passed: Back) -> bool:
    """Whether there is nothing to find out: the sums over long texts would cost a third of the way back.

    A product of two passes on what came, in equal shares or all to one (:mod:`.product_shares`).
    """
    out = entry.outs[0]
    parts = {v for v, _ in passed if v.wanted}
    if out is None or not parts or len(parts) < len(passed):
        return False
    if out.root is not out:
        return entry.name in FROM_ZERO and out.root in entry.ins and len(set(entry.ins)) == 1
    if entry.name in PRODUCTS:
        return len(set(entry.ins)) == len(entry.ins)
    if not all(v.wanted and v.continuous for v in entry.ins):
        return False
    if entry.name in POOL:
        return True
    if entry.name in JOINS:
        given = entry.args[0] if isinstance(entry.args[0], (list, tuple)) else entry.args[:2]
        return all(isinstance(part, Var) for part in given) and len(set(entry.ins)) == len(given) == len(parts) and not entry.kwargs
    return len(set(entry.ins)) == 1 and entry.name in EXACT and (entry.name != "div" or entry.args[0] is entry.ins[0])


def constants(step: Step) -> Tensor | None:
    """What the constant in a sum takes, all else passed on; None where that is not known without looking at what was passed on."""
    entry, g = step.entry, step.back[0]
    if entry.name in TOLD and step.absorbed:
        return together(step.absorbed)
    if g is None or step.beside is not None or len(entry.ins) != 1 or entry.out().root is not entry.out():
        return None
    if entry.name in BIASED and not isinstance(entry.args[0], Var):
        return weighed(g, entry.args[0]) * entry.kwargs.get("beta", 1)
    if entry.name in ("add", "sub"):
        first, second = entry.args[:2]
        sign = entry.kwargs.get("alpha", 1) * (1 if entry.name == "add" else -1)
        return weighed(g, second) * sign if isinstance(first, Var) else weighed(g, first)
    return None


def summands(entry: Entry) -> bool:
    """Whether what an operation does not pass on went to something that it adds: a constant, a bias, an activation's value at 0, and
    what a derivative times the value misses of a softmax (the bias of its expansion).
    """
    out = entry.outs[0]
    return entry.name in ADDS or (out is not None and out.root is not out)


def sums(v: Var, c: Tensor, scaled: bool) -> Tensor:
    """The sum of the relevance at a value, and that of its sizes."""
    relevance = turned(c) * v.value if scaled else c
    relevance = relevance.real if relevance.is_complex() else relevance
    kind = torch.float64 if relevance.dtype is torch.float64 else torch.float32
    return torch.stack([relevance.sum(dtype=kind), torch.linalg.vector_norm(relevance, 1, dtype=kind)])
