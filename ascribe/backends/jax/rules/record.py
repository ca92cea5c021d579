"""Writes the tape: a walk of a traced program with given values, every operation on values that depend on the explained inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.extend.core as jax_core
import jax.numpy as jnp

from ....tape import Entry, Tape, Var
from ..decisions import traced
from ..interpret import CALLS, REMAT, Key, bind, mark_of, marks_in, programs_in
from . import operations as ops
from .follow import FOLLOWED
from .framework import JAX, var_of
from .operations import CHOICES, REFUSED, Call, row
from .values import plain, refused, variables
from .writers import WRITERS

Array = Any

SMALL = 1 << 14
"""Elements of a constant that is computed while a program is traced."""

LAYERS = frozenset({"dot_general", "conv_general_dilated"})
"""Operations that are layers where they have fixed weights."""


@dataclass
class Recorder:
    """One recorded run. ``sources`` are the marks where the tape starts with the value written there, or with the model's own for None.

    ``targets`` are the marks that relevance is passed back to, ``reads`` those whose value is asked for; ``values`` has those that were
    met. Values that do not depend on a source are arrays, and operations on them are evaluated and not recorded.
    """

    sources: Mapping[Key, Array | None] = field(default_factory=dict)
    targets: frozenset[Key] = frozenset()
    reads: frozenset[Key] = frozenset()
    tape: Tape = field(default_factory=Tape)
    values: dict[Key, Any] = field(default_factory=dict)
    narrow: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    counts: dict[Any, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def source(self, value: Array) -> Var:
        """A value that the tape starts from."""
        var = var_of(value, None, len(self.tape.sources))
        self.tape.sources.append(var)
        return var

    def add(self, call: Call, name: str, args: Sequence[Any], values: Sequence[Array] | None = None) -> list[Any]:
        """Evaluates an operation and writes it to the tape; its results are values on the tape."""
        args = tuple(self.small(a) for a in args) if call.operation.pointwise or call.operation.additive else tuple(args)
        place = self.places[-1] if self.places else ""
        entry = Entry(call, name, args, {}, list(variables(args)), JAX, place=place)
        found = JAX.again(entry, lambda v: v.value) if values is None else values
        entry.outs = [var_of(value, entry, slot) for slot, value in enumerate(found)]
        self.tape.entries.append(entry)
        return list(entry.outs)

    def small(self, a: Any) -> Any:
        """A constant before it was broadcast; numbers as such."""
        if isinstance(a, Var) or not hasattr(a, "shape"):
            return a
        if a.shape == () and not traced(a) and jnp.issubdtype(a.dtype, jnp.floating):
            return float(a)
        kept = self.narrow.get(id(a))
        return a if kept is None or kept[0] is not a else kept[1]

    def run(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """The results of a program: values on the tape, or arrays."""
        env: dict[Any, Any] = {}
        env.update(zip(jaxpr.constvars, consts, strict=True))
        env.update(zip(jaxpr.invars, args, strict=True))

        def read(v: Any) -> Any:
            return v.val if isinstance(v, jax_core.Literal) else env[v]

        for eqn in jaxpr.eqns:
            env.update(zip(eqn.outvars, self.operation(eqn, [read(v) for v in eqn.invars]), strict=True))
        return [read(v) for v in jaxpr.outvars]

    def operation(self, eqn: Any, args: list[Any]) -> Sequence[Any]:
        """The results of one equation."""
        here = mark_of(eqn)
        if here is not None:
            call = self.counts.get(here, 0)
            self.counts[here] = call + 1
            self.enter(here[0], here[1], eqn.primitive.name)
            return [self.at(Key(here[0], here[1], call, here[2]), args[0])]
        name, inner = eqn.primitive.name, [p for value in eqn.params.values() for p in programs_in(value)]
        marked = any(self.wants(p) for p in inner)
        if not marked and not any(isinstance(a, Var) for a in args):
            for program in inner:
                self.pass_over(program)
            return self.constant(eqn, args)
        if name in CALLS or name in REMAT or name == "composite":
            program = eqn.params[CALLS.get(name, "jaxpr")]
            return self.run(getattr(program, "jaxpr", program), getattr(program, "consts", ()), args)
        if name in FOLLOWED:
            return FOLLOWED[name](self, eqn, args)
        if (inner and (marked or name in REFUSED)) or name in REFUSED:
            raise refused(name)
        return self.recorded(eqn, name, args)

    def constant(self, eqn: Any, args: list[Any]) -> Sequence[Any]:
        """An operation on constants. Small ones are computed while a program is traced, so that the writers can look at them."""
        small = not traced(args) and all(v.aval.size <= SMALL for v in eqn.outvars if hasattr(v.aval, "size"))
        with jax.ensure_compile_time_eval() if small else nullcontext():
            found = bind(eqn, args)
        self.tape.before += eqn.primitive.name in LAYERS and not self.tape.entries
        if eqn.primitive.name == "broadcast_in_dim":
            shape = [1] * len(eqn.params["shape"])
            for axis, size in zip(eqn.params["broadcast_dimensions"], jnp.shape(args[0]), strict=True):
                shape[axis] = size
            with nullcontext() if traced(args) else jax.ensure_compile_time_eval():
                self.narrow[id(found[0])] = (found[0], jnp.reshape(args[0], shape))
        return found

    def recorded(self, eqn: Any, name: str, args: list[Any]) -> Sequence[Any]:
        """An operation with its formula's arguments, as one entry of the tape or as several."""
        if name in CHOICES:
            return choose(self, eqn, name, args)
        if not any(jnp.issubdtype(v.aval.dtype, jnp.inexact) or v.aval.dtype == bool for v in eqn.outvars):
            if not eqn.outvars:
                return bind(eqn, [plain(a) for a in args])
            self.chosen(name)
            return bind(eqn, [plain(a) for a in args])
        written = WRITERS.get(name)
        if written is not None:
            return written(self, eqn, args)
        known = row(name)
        run = ops.elementwise(eqn) if known.pointwise or known.additive else ops.whole(eqn)
        return self.add(Call(known, run), name, args)

    def chosen(self, name: str) -> None:
        """Counts an operation whose result stays that of the record."""
        self.tape.choices[name] = self.tape.choices.get(name, 0) + 1

    def at(self, key: Key, value: Any) -> Any:
        """A value at a mark: replaced, noted, or unchanged."""
        if key in self.sources:
            own = plain(value)
            written = self.sources[key]
            value = self.source(own if written is None else jnp.broadcast_to(written, own.shape).astype(own.dtype))
        elif key in self.targets:
            kind = plain(value).dtype
            if isinstance(value, Var):
                (value,) = self.add(ops.MARK, "mark", (value,), [value.value])
            elif jnp.issubdtype(kind, jnp.floating):
                value = self.source(value)
        elif key not in self.reads:
            return value
        self.values[key] = value
        return value

    def enter(self, layer: str, anchor: str, name: str) -> None:
        """Follows which module the operations are in: its arguments are marked before them, its results after."""
        if name != "ascribe_cut":
            return
        if anchor == "in" and self.places[-1:] != [layer]:
            self.places.append(layer)
        elif anchor == "out" and layer in self.places:
            del self.places[self.places.index(layer) :]

    def wants(self, program: Any) -> bool:
        """True if a program holds a mark in question."""
        wanted = {(k.layer, k.anchor, k.path) for k in (*self.sources, *self.targets, *self.reads)}
        return any(key in wanted for key, _ in marks_in(program))

    def pass_over(self, program: Any) -> None:
        """Counts the marks of a program that is evaluated as a whole."""
        for key, _ in marks_in(program):
            self.counts[key] = self.counts.get(key, 0) + 1


def choose(recorder: Recorder, eqn: Any, name: str, args: list[Any]) -> Sequence[Any]:
    """Operations that choose: places are those of the record, and values are taken from them."""
    recorder.chosen(name)
    found = bind(eqn, [plain(a) for a in args])
    if name == "top_k":
        axis, places = len(args[0].shape) - 1, found[1]
        call = Call(ops.ROWS["gather"], lambda x: jnp.take_along_axis(x, places, axis))
        return [*recorder.add(call, name, args[:1]), places]
    if name == "sort":
        axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
        order = jnp.lexsort([plain(a) for a in args[:keys]][::-1], axis) if keys > 1 else jnp.argsort(plain(args[0]), axis, stable=True)
        call = Call(ops.ROWS["gather"], lambda x: jnp.take_along_axis(x, order, axis))
        return [recorder.add(call, name, (a,))[0] if isinstance(a, Var) else v for a, v in zip(args, found, strict=True)]
    if any(jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in eqn.outvars):
        raise refused(name)
    return found
