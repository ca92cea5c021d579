"""Decisions that the backward pass takes by numbers, in a program that is compiled before there are any.

Nearly all of a tape is structure. Where a number decides (the branch of a conditional, an infinite constant), the program is traced with
the likely answer and returns the true one in addition to its results. A run whose answers differ is not used: the program for these
answers is compiled, and remembered like the first. Numbers that come from literals of the program are computed while it is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = Any


class Decisions:
    """The decisions of one trace: ``known`` are answers of an earlier run, in order; ``asked`` the traced ones; ``taken`` those used."""

    def __init__(self, known: tuple[int, ...] = ()) -> None:
        self.known = known
        self.asked: list[Array] = []
        self.taken: list[int] = []
        self.doubtful = False

    def take(self, value: Array, likely: int, sure: bool) -> int:
        """The answer to use for a traced number."""
        place = len(self.taken)
        answer = self.known[place] if place < len(self.known) else likely
        self.doubtful |= place >= len(self.known) and not sure
        self.asked.append(jnp.asarray(value, int))
        self.taken.append(answer)
        return answer


OPEN: ContextVar[Decisions | None] = ContextVar("ascribe_jax_decisions", default=None)
"""The decisions of the trace that runs in this context; None where numbers are at hand."""


@contextmanager
def collected(decisions: Decisions | None) -> Iterator[None]:
    """Collects the decisions of a trace."""
    token = OPEN.set(decisions)
    try:
        yield
    finally:
        OPEN.reset(token)


def traced(*values: Any) -> bool:
    """True if one of the values is known only when the program runs."""
    return any(isinstance(v, jax.core.Tracer) for v in jax.tree.leaves(values))


def decide(value: Any, likely: int, sure: bool = True) -> int:
    """An integer that the structure of the program depends on. Without ``sure``, the likely answer is checked before the program is
    compiled."""
    decisions = OPEN.get()
    if decisions is None or not traced(value):
        return int(value)
    return decisions.take(value, likely, sure)


def calculate(framework: Any, make: Callable[[], Array]) -> Array:
    """See :func:`ascribe.tape.kernels.calculate`: computed at once where nothing in it is traced."""
    with jax.ensure_compile_time_eval():
        return make()


def holds(framework: Any, predicate: Callable[[], Array], likely: bool) -> bool:
    """See :func:`ascribe.tape.kernels.holds`."""
    return bool(decide(calculate(framework, lambda: jnp.all(predicate())), int(likely)))


def answers(asked: Array | None) -> tuple[int, ...]:
    """The true answers that a program returned."""
    return () if asked is None else tuple(np.asarray(asked).tolist())
