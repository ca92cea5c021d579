"""A traced program run again, with values read, written and shifted at its marks.

A function inside the program that holds no mark in question is run as it is. Others are gone into: calls, remat, scan (the values of all
steps together, steps first) and cond (zeros for a branch that is not taken). Marks inside any other operation cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.extend.core as jax_core
import jax.numpy as jnp

from ...errors import CutError
from ...tree import Path


class Key(NamedTuple):
    """One array at one mark: its module, the side, the number of the call in program order, where it is in the value."""

    layer: str
    anchor: str
    call: int
    path: Path

    @property
    def any_call(self) -> tuple[str, str, Path]:
        """The key without the number of the call."""
        return self.layer, self.anchor, self.path


class Mark(NamedTuple):
    """What is known of a mark without running: the shape of its array, the kind of module, the operations that it is inside of."""

    shape: tuple[int, ...]
    dtype: Any
    kind: str
    inside: tuple[str, ...]


CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
"""Operations that are calls of a program, and the parameter that holds it."""
OWN_DERIVATIVE = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
REMAT = ("remat2", "checkpoint", "remat")


def programs_in(value: Any) -> Iterator[Any]:
    """The programs in a parameter of an operation, without their constants."""
    if hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from programs_in(one)


def mark_of(eqn: Any) -> tuple[str, str, Path] | None:
    """The module, side and path of a mark; None for any other operation."""
    if eqn.primitive.name == "ascribe_cut":
        return eqn.params["layer"], eqn.params["anchor"], eqn.params["path"]
    if eqn.primitive.name == "name":
        return eqn.params["name"], "out", ()
    return None


@lru_cache(maxsize=4096)
def marks_in(jaxpr: Any) -> tuple[tuple[tuple[str, str, Path], Mark], ...]:
    """Every mark of a program in order, those of programs inside of it at their place."""
    marks: list[tuple[tuple[str, str, Path], Mark]] = []
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if (here := mark_of(eqn)) is not None:
            aval = eqn.outvars[0].aval
            marks.append((here, Mark(tuple(aval.shape), aval.dtype, eqn.params.get("kind", "value"), ())))
            continue
        steps = (eqn.params["length"],) if name == "scan" else ()
        for value in eqn.params.values():
            for inner in programs_in(value):
                marks += [(k, Mark((*steps, *m.shape), m.dtype, m.kind, (name, *m.inside))) for k, m in marks_in(inner)]
    return tuple(marks)


def numbered_marks(jaxpr: Any, before: Mapping[tuple[str, str, Path], int] | None = None) -> dict[Key, Mark]:
    """The marks of a program with the numbers of their calls, after some that came before."""
    counts = dict(before or {})
    numbered = {}
    for (layer, anchor, path), mark in marks_in(jaxpr):
        call = counts.get((layer, anchor, path), 0)
        counts[layer, anchor, path] = call + 1
        numbered[Key(layer, anchor, call, path)] = mark
    return numbered


class Write(NamedTuple):
    """A value that replaces one at a mark, and the share of the model's own value that stays."""

    value: Any
    keep: Any = None

    def over(self, own: Any) -> Any:
        """What goes on instead of the model's own value."""
        value = jnp.broadcast_to(self.value, jnp.shape(own)).astype(own.dtype)
        if self.keep is None:
            return value
        if self.keep.dtype == bool:
            return jnp.where(self.keep, own, value)
        keep = self.keep.astype(own.dtype)
        return own * keep + value * (1 - keep)


@dataclass
class Demands:
    """What is done at marks: values written, values added (gradients are taken by these), values read."""

    writes: dict[Key, Write] = field(default_factory=dict)
    shifts: dict[Key, Any] = field(default_factory=dict)
    reads: frozenset[Key] = frozenset()
    differentiated: bool = False

    @property
    def wanted(self) -> set[tuple[str, str, Path]]:
        """The marks, whatever the number of the call."""
        return {key.any_call for key in (*self.writes, *self.shifts, *self.reads)}

    def those_of(self, keys: Mapping[Key, Mark]) -> tuple[dict[Key, Write], dict[Key, Any], frozenset[Key]]:
        """What is done at some of the marks."""
        writes = {k: w for k, w in self.writes.items() if k in keys}
        return writes, {k: s for k, s in self.shifts.items() if k in keys}, self.reads & keys.keys()


class Run:
    """One walk through a program. ``seen`` collects what was read."""

    def __init__(self, demands: Demands, counts: Mapping[tuple[str, str, Path], int] | None = None) -> None:
        self.demands, self.counts = demands, dict(counts or {})
        self.wanted = demands.wanted
        self.seen: dict[Key, Any] = {}

    def evaluate(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """The results of a program for these arguments."""
        values: dict[Any, Any] = {}
        values.update(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(jaxpr.invars, args, strict=True))

        def value_of(v: Any) -> Any:
            return v.val if isinstance(v, jax_core.Literal) else values[v]

        for eqn in jaxpr.eqns:
            values.update(zip(eqn.outvars, self._operation(eqn, [value_of(v) for v in eqn.invars]), strict=True))
        return [value_of(v) for v in jaxpr.outvars]

    def _operation(self, eqn: Any, inputs: list[Any]) -> Sequence[Any]:
        if (here := mark_of(eqn)) is not None:
            return [self._at(here, inputs[0])]
        inner = [p for value in eqn.params.values() for p in programs_in(value)]
        if not any(key in self.wanted for p in inner for key, _ in marks_in(p)):
            return bind(eqn, inputs)
        name = eqn.primitive.name
        if name in CALLS and not (name in OWN_DERIVATIVE and self.demands.differentiated):
            program = eqn.params[CALLS[name]]
            return self.evaluate(getattr(program, "jaxpr", program), getattr(program, "consts", ()), inputs)
        if name in REMAT:
            return self._remat(eqn, inputs)
        if name == "scan":
            return self._scan(eqn, inputs)
        if name == "cond":
            return self._cond(eqn, inputs)
        raise inside_other(name, next(key for p in inner for key, _ in marks_in(p) if key in self.wanted))

    def _at(self, here: tuple[str, str, Path], x: Any) -> Any:
        call = self.counts.get(here, 0)
        self.counts[here] = call + 1
        key = Key(here[0], here[1], call, here[2])
        if key in self.demands.writes:
            x = self.demands.writes[key].over(x)
        if key in self.demands.shifts:
            x = x + self.demands.shifts[key]
        if key in self.demands.reads:
            self.seen[key] = x
        return x

    def _count(self, jaxpr: Any) -> None:
        """Count the marks of a program that another walk has gone through."""
        for key, _ in marks_in(jaxpr):
            self.counts[key] = self.counts.get(key, 0) + 1

    def _inside(self, counts: Mapping[tuple[str, str, Path], int], writes: Any, shifts: Any, reads: frozenset[Key]) -> Run:
        """A walk through a program inside of this one, after some marks."""
        return Run(Demands(writes, shifts, reads, self.demands.differentiated), counts)

    def _remat(self, eqn: Any, inputs: list[Any]) -> Sequence[Any]:
        jaxpr = eqn.params["jaxpr"]
        before = dict(self.counts)
        writes, shifts, reads = self.demands.those_of(numbered_marks(jaxpr, before))

        def body(inputs: Any, writes: Any, shifts: Any) -> Any:
            run = self._inside(before, writes, shifts, reads)
            return run.evaluate(jaxpr, (), inputs), run.seen

        again = jax.checkpoint(body, prevent_cse=eqn.params["prevent_cse"], policy=eqn.params["policy"])
        results, seen = again(inputs, writes, shifts)
        self.seen.update(seen)
        self._count(jaxpr)
        return results

    def _scan(self, eqn: Any, inputs: list[Any]) -> Sequence[Any]:
        params, program = eqn.params, eqn.params["jaxpr"]
        fixed, carried = params["num_consts"], params["num_carry"]
        consts, first, steps = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]
        before = dict(self.counts)
        writes, shifts, reads = self.demands.those_of(numbered_marks(program.jaxpr, before))

        def body(carry: Any, step: Any) -> Any:
            own, writes, shifts = step
            run = self._inside(before, writes, shifts, reads)
            results = run.evaluate(program.jaxpr, program.consts, [*consts, *carry, *own])
            return results[:carried], (results[carried:], run.seen)

        last, (outputs, seen) = jax.lax.scan(
            body, first, (steps, writes, shifts), length=params["length"], reverse=params["reverse"], unroll=params["unroll"]
        )
        self.seen.update(seen)
        self._count(program.jaxpr)
        return [*last, *outputs]

    def _cond(self, eqn: Any, inputs: list[Any]) -> Sequence[Any]:
        which, *operands = inputs
        marks: dict[Key, Mark] = {}
        runs = []
        for branch in eqn.params["branches"]:
            mine = numbered_marks(branch.jaxpr, self.counts)
            demanded = self.demands.those_of(mine)
            runs.append((branch, partial(self._inside, dict(self.counts), *demanded)))
            marks.update({key: mine[key] for key in demanded[2]})
            self._count(branch.jaxpr)

        def taken(branch: Any, begin: Callable[[], Run]) -> Any:
            def body(*operands: Any) -> Any:
                run = begin()
                results = run.evaluate(branch.jaxpr, branch.consts, operands)
                return results, {k: run.seen.get(k, jnp.zeros(m.shape, m.dtype)) for k, m in marks.items()}

            return body

        results, seen = jax.lax.switch(which, [taken(*one) for one in runs], *operands)
        self.seen.update(seen)
        return results


def bind(eqn: Any, inputs: list[Any]) -> Sequence[Any]:
    """Do an operation as it is."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # a pair in versions before 0.10
    result = eqn.primitive.bind(*functions, *inputs, **params)
    return result if eqn.primitive.multiple_results else [result]


def inside_other(name: str, key: tuple[str, str, Path]) -> CutError:
    """The error for a cut inside an operation that is not gone into."""
    what = f"The cut {key[0]!r} is inside an operation of JAX that is differentiated or repeated as a whole"
    advice = "a layer around it, or at=asc.INPUT"
    return CutError(what, found=f"the operation {name}", advice=advice, code="E-CUT-TRANSFORM")
