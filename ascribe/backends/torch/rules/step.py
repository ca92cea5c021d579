"""What a formula for one operation is given: the operation, what comes back to its outputs, and both runs' values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .autograd import pulled
from .tape import Entry, Tensor, Var, again, fold

if TYPE_CHECKING:
    from .layers import Layer

Back = list[tuple[Var, Tensor]]
"""What goes on to each of an operation's inputs."""

HOLD = 1e-9
"""What keeps relevance finite that is made a multiplier of a value near zero."""


@dataclass
class Step:
    """One operation on the way back. ``back`` has a cotangent, or None, for each output.

    Under rules for layers there may be relevance beside them that is no multiple of the outputs' values: ``beside`` is what came to the
    first output, ``direct`` what goes on to inputs, ``absorbed`` what biases took. ``layer`` is the operation with its neighbours merged,
    ``records`` how many there are in the run.
    """

    entry: Entry
    back: Sequence[Tensor | None]
    refer: Callable[[Var], Tensor]
    beside: Tensor | None = None
    layer: Layer | None = None
    direct: Back = field(default_factory=list)
    absorbed: list[Tensor] = field(default_factory=list)
    records: int = 1

    @property
    def g(self) -> Tensor:
        """The first output's cotangent."""
        assert self.back[0] is not None
        return self.back[0]

    @property
    def relevance(self) -> Tensor:
        """The first output's relevance: the multiplier times the value, and what is beside it."""
        parts = [self.back[0] * self.entry.out().value] if self.back[0] is not None else []
        parts += [self.beside] if self.beside is not None else []
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    @property
    def multiplier(self) -> Tensor:
        """The first output's cotangent, with what is beside it made a multiple of the value."""
        if self.beside is None:
            return self.g
        y = self.entry.out().value
        m = self.beside / torch.where(y >= 0, y + HOLD, y - HOLD)
        return m if self.back[0] is None else m + self.back[0]

    def g_or_zero(self, slot: int) -> Tensor:
        """An output's cotangent; nothing where none came."""
        g = self.back[slot]
        return torch.zeros_like(self.entry.out(slot).value) if g is None else g

    def wants(self, a: Any) -> bool:
        """Whether an argument leads to a place that is asked for."""
        return isinstance(a, Var) and a.wanted

    def value(self, a: Any) -> Any:
        """An argument's value at the record; a constant's own."""
        return a.value if isinstance(a, Var) else a

    def reference(self, a: Any) -> Any:
        """An argument's value at the reference; a constant's own."""
        return self.refer(a) if isinstance(a, Var) else a

    def middle(self, a: Any) -> Any:
        """The mean of the two."""
        if not isinstance(a, Var):
            return a
        x, x0 = a.value, self.refer(a)
        if x.dtype is torch.bool:
            x, x0 = x.to(self.g.dtype), x0.to(self.g.dtype)
        return (x + x0) / 2

    def to(self, *parts: tuple[Any, Callable[[], Tensor]]) -> Back:
        """Cotangents for the arguments that want one, summed over the axes along which they were broadcast."""
        return [(a, fold(make(), a.shape)) for a, make in parts if self.wants(a)]

    def vjp(self, at: Callable[[Var], Tensor]) -> Back:
        """The operation's own vector-Jacobian product at given values of its inputs."""
        need = [v for v in dict.fromkeys(self.entry.ins) if v.continuous and v.wanted]
        with torch.enable_grad():
            here = {v: at(v).expand(v.shape).detach().requires_grad_() for v in need}
            outs = again(self.entry, lambda v: here[v] if v in here else at(v))
            pairs = [
                (o, g.reshape(o.shape))
                for o, g in zip(outs, self.back, strict=True)
                if g is not None and isinstance(o, torch.Tensor) and o.requires_grad
            ]
            if not pairs or not need:
                return []
            found = pulled([o for o, _ in pairs], [g for _, g in pairs], [here[v] for v in need])
        return [(v, g) for v, g in zip(need, found, strict=True) if g is not None]


Formula = Callable[[Step], "Back | None"]
"""How one operation sends influence back; None where it has no answer for these arguments."""
