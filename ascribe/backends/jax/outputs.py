"""The output of a traced model: its arrays are results of the program, everything else stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from .models import can_be_traced


@dataclass(frozen=True, eq=False)
class OutputForm:
    """An output without its arrays."""

    tree: Any
    others: tuple[Any, ...]
    """For each leaf None if it is an array, or a tuple of the leaf."""

    def filled(self, arrays: Sequence[Any]) -> Any:
        """The output with these arrays."""
        results = iter(arrays)
        return jax.tree.unflatten(self.tree, [next(results) if other is None else other[0] for other in self.others])


def split_output(output: Any) -> tuple[list[Any], OutputForm]:
    """The arrays of an output, and the rest of it. What may hold arrays that are not seen is left for JAX to refuse."""
    leaves, tree = jax.tree.flatten(output)
    others = [None if can_be_traced(leaf) or holds_traced(leaf) else (leaf,) for leaf in leaves]
    return [leaf for leaf, other in zip(leaves, others, strict=True) if other is None], OutputForm(tree, tuple(others))


def holds_traced(leaf: Any) -> bool:
    """True for an object, not known to JAX, with an array that is traced among its attributes."""
    return any(isinstance(value, jax.core.Tracer) for value in getattr(leaf, "__dict__", {}).values())
