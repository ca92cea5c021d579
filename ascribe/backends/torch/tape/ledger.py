"""The books of a reverse pass: how much relevance came to each operation, went on, was taken up by constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ....rules.told import Flow, Told
from .entries import Entry, Tensor, Var, fold
from .layers import WEIGHTED
from .norms import NORM
from .pools import POOL
from .regions import FROM_ZERO
from .softmaxes import SOFTMAX
from .step import Back

EXACT = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "transpose", "t", "permute", "unsqueeze", "squeeze", "expand", "clone", "detach"}
    | {"alias", "contiguous", "_to_copy", "select", "slice", "split", "split_with_sizes", "unsafe_split", "unbind", "chunk"}
    | {"div", "sum", "mean", "neg", "index", "mark"}
)
"""Operations that pass on all that comes where one value goes in and nothing else is on the tape."""

PRODUCTS = frozenset({"mul", "mm", "bmm"})
BIASED = frozenset({"addmm", "baddbmm"})
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
    """Sums over all records. What came to a value is added up as it comes, so that each cotangent is looked at once."""

    held: dict[Var, Tensor] = field(default_factory=dict)
    pages: dict[int, Page] = field(default_factory=dict)
    quantity: list[Tensor] = field(default_factory=list)

    def begin(self, out: Var, g: Tensor) -> None:
        self.held = {}
        self.quantity.append(sums(out, g, True))
        self.held[out] = self.quantity[-1][0]

    def note(self, number: int, entry: Entry, multipliers: Back, direct: Back, absorbed: list[Tensor] | None) -> None:
        """One operation, by its place on the tape; ``absorbed`` is None where its rule does not tell."""
        came = [self.held.pop(v) for v in entry.outs if v is not None and v in self.held]
        if not came:
            return
        parts = {v: c for v, c in multipliers if v.wanted}
        if absorbed is None and not direct and len(parts) == len(multipliers) and exact(entry, len(parts)):
            self._shared(sum(came[1:], came[0]), parts, entry.name in JOINS)
            return
        out = sum(came[1:], came[0])
        total = torch.zeros(2, dtype=out.dtype, device=out.device)
        for v, c, scaled in (*((v, c, True) for v, c in multipliers), *((v, c, False) for v, c in direct)):
            if v.wanted:
                moved = rest(out, absorbed) if absorbed and biased(entry) else sums(v, c, scaled)
                self.held[v] = self.held[v] + moved[0] if v in self.held else moved[0]
                total = total + moved
        beside = any(v.continuous and not v.wanted for v in entry.ins)
        kept = sum(absorbed or (), torch.zeros_like(out))
        if not beside and absorbed is None and summands(entry):
            kept = out - total[0]
        row = torch.stack([out, total[0], kept.to(total.dtype), total[1]])
        old = self.pages.get(number)
        self.pages[number] = Page(entry, row if old is None else old.row + row, beside)

    def _shared(self, came: Tensor, parts: dict[Var, Tensor], apart: bool) -> None:
        """What came goes on whole: in equal shares, or, where parts are put together, to the last what the others have not.

        The last is one whose numbers the tape does not hold, if there is one.
        """
        ordered = sorted(parts.items(), key=lambda pair: pair[0].held is None)
        for i, (v, c) in enumerate(ordered):
            moved = came / len(parts) if not apart else came if i == len(parts) - 1 else total(v, c)
            came = came - moved if apart else came
            self.held[v] = self.held[v] + moved if v in self.held else moved

    def told(self) -> Told:
        """All pages as numbers: two transfers from the device."""
        if not self.pages:
            return Told()
        quantity, size = torch.stack(self.quantity).sum(0).tolist()
        table = torch.stack([page.row for page in self.pages.values()]).tolist()
        flows = {
            number: Flow(page.entry.name, page.entry.place, row[0], row[1], row[2], row[3], page.beside)
            for (number, page), row in zip(self.pages.items(), table, strict=True)
        }
        return Told(flows=flows, quantity=quantity, size=size)


def exact(entry: Entry, parts: int) -> bool:
    """Whether there is nothing to find out: the sums over long texts would cost a third of the way back.

    A product of two passes on what came, in equal shares or all to one (:mod:`.factors`).
    """
    out = entry.outs[0]
    if out is None or not parts:
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
        return all(isinstance(part, Var) for part in given) and len(set(entry.ins)) == len(given) == parts and not entry.kwargs
    return len(set(entry.ins)) == 1 and entry.name in EXACT and (entry.name != "div" or entry.args[0] is entry.ins[0])


def biased(entry: Entry) -> bool:
    """Whether an operation is one value's product with fixed weights, and a bias."""
    return entry.name in BIASED and len(entry.ins) == 1 and not isinstance(entry.args[0], Var)


def taken(entry: Entry, back: Sequence[Tensor | None]) -> list[Tensor] | None:
    """What the bias of a linear operation that passes on its derivative takes; None for other operations."""
    g = back[0]
    if g is None or not biased(entry):
        return None
    bias = entry.args[0]
    return [(fold(g, bias.shape) * bias).sum() * entry.kwargs.get("beta", 1)]


def rest(out: Tensor, absorbed: list[Tensor]) -> Tensor:
    """What is left of relevance, twice: as it is and its size."""
    left = out - sum(absorbed[1:], absorbed[0])
    return torch.stack([left, left.abs()])


def summands(entry: Entry) -> bool:
    """Whether what an operation does not pass on went to something that it adds: a constant, a bias, an activation's value at 0, and
    what a derivative times the value misses of a softmax (the bias of its expansion).
    """
    out = entry.outs[0]
    return entry.name in ADDS or (out is not None and out.root is not out)


def total(v: Var, c: Tensor) -> Tensor:
    """The sum of the relevance at a value, in one go where it can be."""
    plain = c.dtype is v.dtype and c.dtype in (torch.float32, torch.float64) and c.shape == v.shape
    return torch.dot(c.reshape(-1), v.value.reshape(-1)) if plain else sums(v, c, True)[0]


def sums(v: Var, c: Tensor, scaled: bool) -> Tensor:
    """The sum of the relevance at a value, and that of its sizes."""
    relevance = c * v.value if scaled else c
    relevance = relevance.real if relevance.is_complex() else relevance
    kind = torch.float64 if relevance.dtype is torch.float64 else torch.float32
    return torch.stack([relevance.sum(dtype=kind), torch.linalg.vector_norm(relevance, 1, dtype=kind)])
