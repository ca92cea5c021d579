"""Values of a recorded run, and what the parts of the recorder ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from ....errors import RuleError
from ....tape import Var
from .operations import Call

Array = Any


class Recording(Protocol):
    """What writes the tape: see :class:`.record.Recorder`."""

    def add(self, call: Call, name: str, args: Sequence[Any], values: Sequence[Array] | None = None) -> list[Any]:
        """Evaluates an operation and writes it to the tape; its results are values on the tape."""

    def small(self, a: Any) -> Any:
        """A constant before it was broadcast; numbers as such."""

    def run(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """The results of a program."""

    def chosen(self, name: str) -> None:
        """Counts an operation whose result stays that of the record."""

    def pass_over(self, program: Any) -> None:
        """Counts the marks of a program that is not run."""

    def wants(self, program: Any) -> bool:
        """True if a program holds a mark in question."""


def variables(args: Iterable[Any]) -> Iterator[Var]:
    """The values on the tape among arguments."""
    for a in args:
        if isinstance(a, Var):
            yield a
        elif isinstance(a, (list, tuple)):
            yield from variables(a)


def plain(a: Any) -> Any:
    """The array of a value."""
    return a.value if isinstance(a, Var) else a


def refused(name: str, found: str = "") -> RuleError:
    """The error for an operation that cannot be followed."""
    return RuleError(
        f"The rule cannot propagate through the operation `{name}` of JAX",
        found=found or f"{name}, whose steps are hidden, or are not known before it runs",
        advice="at= a layer after it; a loop of fixed length, jax.lax.scan; or asc.IntegratedGradients()(model, x)",
    )
