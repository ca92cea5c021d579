"""What a tape is made of: values, operations, and how to do one again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

Tensor = torch.Tensor
aten = torch.ops.aten

SAME = frozenset({"clone", "detach", "alias", "lift_fresh", "contiguous", "mark"})
"""Operations whose output is their input."""

PICKS = {"topk": (2, -1), "sort": (1, -1), "kthvalue": (2, -1), "median": (1, None), "nanmedian": (1, None), "mode": (1, -1)}
"""Operations that move values to places they choose (values first, then places), with the position and the default of ``dim``."""


class Var:
    """A value on the tape that depends on what is explained.

    ``root`` is the value that it is an element-wise function of (itself where none is), ``linear`` the one of which it is a linear
    step (itself where it is none); ``rank`` says how far influence can pass to a place that is asked for (:mod:`.gates`),
    ``settled`` that it has been looked into. ``kept`` says that it is such a place itself. ``held`` are its numbers, where the tape
    has them.
    """

    __slots__ = ("dtype", "entry", "held", "kept", "linear", "rank", "root", "settled", "shape", "slot")

    def __init__(self, like: Tensor | Var, entry: Entry | None, slot: int = 0) -> None:
        self.shape: torch.Size = like.shape
        self.dtype: torch.dtype = like.dtype
        self.held: Tensor | None = None
        self.entry, self.slot = entry, slot
        self.root: Var = self
        self.linear: Var = self
        self.rank = 0
        self.settled = self.kept = False

    @property
    def value(self) -> Tensor:
        """Its numbers; those that the tape does not have are computed again."""
        return self.held if self.held is not None else computed(self)

    @property
    def wanted(self) -> bool:
        return self.rank > 0

    @property
    def continuous(self) -> bool:
        return self.dtype.is_floating_point or self.dtype.is_complex


@dataclass(eq=False)
class Entry:
    """One operation: what was called with which arguments (values on the tape as ``Var``), and what came out.

    ``place`` is the path of the module in which it ran; ``fixed`` says that others rely on what it chose, which stays as it is for the
    record.
    """

    call: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    ins: list[Var]
    outs: list[Var | None] = field(default_factory=list)
    place: str = ""
    fixed: bool = False

    def out(self, slot: int = 0) -> Var:
        """An output that is a tensor."""
        found = self.outs[slot]
        assert found is not None
        return found

    def arg(self, position: int, name: str = "", default: Any = None) -> Any:
        """An argument by position, or by name, or what it is when left out."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


@dataclass
class Tape:
    """A run: operations in order; what the run started from; ops that hide what they do, and choices that depend on the record.

    ``end`` is where the model's part ends, ``routed`` whether there were choices in it. ``before`` is how many layers ran before
    anything was on the tape.
    """

    entries: list[Entry] = field(default_factory=list)
    sources: list[Var] = field(default_factory=list)
    opaque: dict[str, int] = field(default_factory=dict)
    choices: dict[str, int] = field(default_factory=dict)
    end: int = 0
    routed: bool = False
    before: int = 0

    def close(self) -> None:
        """The model's part ends here; what follows reads the quantity off it."""
        self.end, self.routed = len(self.entries), bool(self.choices)

    def bytes(self) -> int:
        """What the recorded values hold, counting shared memory once."""
        held = [v.held.untyped_storage() for v in self.values() if v.held is not None]
        return sum({memory.data_ptr(): memory.nbytes() for memory in held}.values())

    def forget(self) -> None:
        """Let go of everything: values and operations hold each other, and would stay until Python looks for such circles."""
        for var in self.values():
            var.held = None
        for entry in self.entries:
            entry.args, entry.kwargs, entry.ins, entry.outs = (), {}, [], []
        self.entries, self.sources = [], []

    def values(self) -> Iterator[Var]:
        """Every value, what the run started from first."""
        yield from self.sources
        for entry in self.entries:
            yield from (v for v in entry.outs if v is not None)


def computed(var: Var) -> Tensor:
    """A value's numbers, from those that the tape holds."""
    found: dict[Var, Tensor] = {}

    def known(v: Var) -> Tensor | None:
        return found.get(v) if v.held is None else v.held

    waiting = [var]
    while waiting:
        last = waiting[-1]
        assert last.entry is not None
        missing = [v for v in last.entry.ins if known(v) is None]
        if not missing:
            waiting.pop()
            with torch.no_grad():
                found[last] = again(last.entry, lambda v: found[v] if v.held is None else v.held)[last.slot]
        waiting += missing
    return found[var]


def substituted(argument: Any, change: Callable[[Var], Any]) -> Any:
    """An argument with the values on the tape replaced."""
    if isinstance(argument, Var):
        return change(argument)
    if isinstance(argument, (list, tuple)):
        return [substituted(part, change) for part in argument]
    return argument


def again(entry: Entry, values: Callable[[Var], Tensor]) -> list[Any]:
    """The operation done with other values, choices that others rely on (sorting, top-k) and its numbers as they were."""
    if entry.fixed and entry.name in PICKS and len(entry.outs) == 2:
        position, default = PICKS[entry.name]
        dim = entry.arg(position, "dim", default)
        places = entry.out(1).value
        if dim is not None and places.dim() == len(entry.ins[0].shape):
            return [values(entry.ins[0]).gather(dim, places), places]
    call = entry.call
    if entry.name in ("view", "_unsafe_view") and not isinstance(entry.args[1], torch.dtype):
        call = aten.reshape.default  # what was contiguous in the run need not be so in a replay
    if entry.name in SAME:  # a detached value depends on what is explained as much as any
        return [values(entry.ins[0])]
    out = call(*[substituted(a, values) for a in entry.args], **{k: substituted(a, values) for k, a in entry.kwargs.items()})
    return list(out) if isinstance(out, (list, tuple)) else [out]


def fold(g: Tensor, shape: torch.Size) -> Tensor:
    """``g`` summed over the axes along which a value of this shape was broadcast."""
    if g.shape == shape:
        return g
    if g.dim() > len(shape):
        g = g.sum(tuple(range(g.dim() - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axes, keepdim=True) if axes else g


def weighed(g: Tensor, constant: Tensor | float) -> Tensor:
    """The sum of a cotangent times a constant that was broadcast."""
    return (fold(g, constant.shape) * constant).sum() if isinstance(constant, torch.Tensor) else g.sum() * constant


def turned(factor: Any) -> Any:
    """What the other factor's cotangent is multiplied with: of complex numbers the conjugate."""
    if isinstance(factor, complex):
        return factor.conjugate()
    return factor.conj() if isinstance(factor, torch.Tensor) and factor.is_complex() else factor
