"""Control flow on the tape: a loop of fixed length step by step, of a conditional the branch that the record takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ....tape import Var
from ..decisions import decide
from . import operations as ops
from .values import Recording, plain, refused


def loop(recorder: Recording, eqn: Any, args: list[Any]) -> Sequence[Any]:
    """``scan``, unrolled."""
    params, program = eqn.params, eqn.params["jaxpr"]
    fixed, carried = params["num_consts"], params["num_carry"]
    consts, carry, over = args[:fixed], list(args[fixed : fixed + carried]), args[fixed + carried :]
    if recorder.wants(program.jaxpr) and params["length"] != 1:
        raise refused("scan", "a cut inside a loop: one layer that is used at every step")
    steps = range(params["length"])
    found: list[tuple[int, list[Any]]] = []
    for t in reversed(steps) if params["reverse"] else steps:
        here = [picked(recorder, a, t) for a in over]
        results = recorder.run(program.jaxpr, program.consts, [*consts, *carry, *here])
        carry = results[:carried]
        found.append((t, results[carried:]))
    rows = [row for _, row in sorted(found, key=lambda pair: pair[0])]
    outputs = [stacked(recorder, list(parts)) for parts in zip(*rows, strict=True)]
    return [*carry, *outputs]


def picked(recorder: Recording, a: Any, step: int) -> Any:
    """One step of a value."""
    return recorder.add(ops.GETITEM, "slice", (a, (step,)))[0] if isinstance(a, Var) else a[step]


def stacked(recorder: Recording, parts: list[Any]) -> Any:
    """The steps as one value."""
    return recorder.add(ops.STACK, "stack", (parts, 0))[0] if any(isinstance(a, Var) for a in parts) else jnp.stack(parts)


def branch(recorder: Recording, eqn: Any, args: list[Any]) -> Sequence[Any]:
    """``cond`` and ``switch``: the branch that the record takes. It stays that of the record where it depends on what is explained."""
    which, *operands = args
    branches = eqn.params["branches"]
    if isinstance(which, Var):
        recorder.chosen("cond")
    taken = decide(jnp.clip(plain(which).astype(int), 0, len(branches) - 1), 0, sure=False)
    results: list[Any] = []
    for number, program in enumerate(branches):
        if number == taken:
            results = recorder.run(program.jaxpr, program.consts, operands)
        else:
            recorder.pass_over(program.jaxpr)
    return results


FOLLOWED: dict[str, Callable[[Recording, Any, list[Any]], Sequence[Any]]] = {"scan": loop, "cond": branch}
"""By name."""
