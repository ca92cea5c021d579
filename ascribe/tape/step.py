"""The input of a formula: one operation, what comes back to its results, and the values of both runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..arrays import Array, Namespace
from .tape import Entry, Var, fold

if TYPE_CHECKING:
    from .formulas.layers import Layer

Back = list[tuple[Var, Array]]
"""The cotangent of each of an operation's inputs."""

HOLD = 1e-9
"""Stabiliser for relevance divided by a value near zero."""


@dataclass
class Step:
    """One operation in the backward pass. ``back`` has a cotangent, or None, for each result.

    Rules for layers also pass on relevance that is no multiple of a value: ``direct_out`` is such relevance of the first result, ``direct``
    that of its inputs, ``absorbed`` the share of biases. ``layer`` is the operation merged with its neighbours, ``records`` the number of
    records in the run.
    """

    entry: Entry
    back: Sequence[Array | None]
    refer: Callable[[Var], Array]
    direct_out: Array | None = None
    layer: Layer | None = None
    direct: Back = field(default_factory=list)
    absorbed: list[Array] = field(default_factory=list)
    records: int = 1

    @property
    def xp(self) -> Namespace:
        """The array functions of the framework."""
        return self.entry.framework.xp

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The operation's arguments as its form takes them. Raises Uncovered where the form does not cover this call."""
        arguments = self.entry.framework.arguments(self.entry)
        if arguments is None:
            raise Uncovered
        return arguments

    @property
    def g(self) -> Array:
        """The first result's cotangent."""
        assert self.back[0] is not None
        return self.back[0]

    @property
    def relevance(self) -> Array:
        """The first result's relevance: multiplier times value, plus the relevance that is no multiple of it."""
        parts = [self.back[0] * self.entry.out().value] if self.back[0] is not None else []
        parts += [self.direct_out] if self.direct_out is not None else []
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    @property
    def multiplier(self) -> Array:
        """The first result's cotangent, with all its relevance made a multiple of the value."""
        if self.direct_out is None:
            return self.g
        y = self.entry.out().value
        m = self.direct_out / self.xp.where(y >= 0, y + HOLD, y - HOLD)
        return m if self.back[0] is None else m + self.back[0]

    def g_or_zero(self, slot: int) -> Array:
        """A result's cotangent; zeros where there is none."""
        g = self.back[slot]
        return self.xp.zeros_like(self.entry.out(slot).value) if g is None else g

    def wants(self, a: Any) -> bool:
        """True if an argument leads to a requested cut."""
        return isinstance(a, Var) and a.wanted

    def value(self, a: Any) -> Any:
        """An argument's value at the record; a constant itself."""
        return a.value if isinstance(a, Var) else a

    def reference(self, a: Any) -> Any:
        """An argument's value at the reference; a constant itself."""
        return self.refer(a) if isinstance(a, Var) else a

    def middle(self, a: Any) -> Any:
        """The mean of both values."""
        if not isinstance(a, Var):
            return a
        x, x0 = a.value, self.refer(a)
        if a.kind == "b":
            x, x0 = self.xp.cast(x, self.g), self.xp.cast(x0, self.g)
        return (x + x0) / 2

    def to(self, *parts: tuple[Any, Callable[[], Array]]) -> Back:
        """Cotangents for the arguments that lead to a requested cut, summed over the axes along which they were broadcast."""
        return [(a, fold(self.xp, make(), a.shape)) for a, make in parts if self.wants(a)]

    def vjp(self, at: Callable[[Var], Array]) -> Back:
        """The operation's own vector-Jacobian product at given values of its inputs."""
        need = [v for v in dict.fromkeys(self.entry.ins) if v.continuous and v.wanted]
        if not need:
            return []

        def function(*values: Array) -> list[Any]:
            here = dict(zip(need, values, strict=True))
            return self.entry.framework.again(self.entry, lambda v: here[v] if v in here else at(v))

        framework = self.entry.framework
        back = framework.pull(function, [framework.xp.broadcast_to(at(v), v.shape) for v in need], self.back)
        return [(v, g) for v, g in zip(need, back, strict=True) if g is not None]


class Uncovered(Exception):
    """A call of an operation that its formula does not cover."""


Formula = Callable[[Step], "Back | None"]
"""How one operation passes cotangents back; None where it does not cover these arguments."""
