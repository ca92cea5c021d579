"""Compiled programs of a model: one for each form of a job. Weights, points and labels are arguments of them.

In a program the points are mapped over with ``jax.vmap``: what comes before the written values is run once. Gradients are those of
values that are added at the cuts, all zero.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...arrays import Array
from ...tree import Path, follow, map_leaves
from .interpret import Demands, Key, Run, Write
from .quantities import numbers_of
from .spots import Spots, nested
from .traces import Trace

QUANTITIES: ContextVar[Any] = ContextVar("ascribe_jax_quantities")
"""The quantities of the job that is evaluated in this context, for the time that their program is traced."""


class On(NamedTuple):
    """The value that a quantity is computed from: its arrays, and for the model's output the path of its part."""

    keys: tuple[Key, ...]
    part: tuple[int | str, ...] | None = None


@dataclass(frozen=True)
class Form:
    """A job but for its arrays: equal forms share a program. ``points`` is 0 for the records as they are."""

    points: int
    records: int
    written: tuple[Key, ...] = ()
    kept: tuple[bool, ...] = ()
    wrt: tuple[Key, ...] = ()
    read: tuple[Key, ...] = ()
    on: tuple[On, ...] = ()
    quantities: Hashable = None


class Arguments(NamedTuple):
    """The arguments of a program."""

    weights: Any
    consts: tuple[Any, ...]
    leaves: list[Any]
    writes: tuple[Array, ...]
    keeps: tuple[Array | None, ...]


class Program:
    """The functions that are compiled for a form."""

    def __init__(self, spots: Spots, trace: Trace, form: Form) -> None:
        self.trace, self.form = trace, form
        on = [key for group in form.on for key in group.keys]
        self.on = on
        self.axes = {key: spots.axis(key) for key in (*form.written, *form.wrt, *form.read, *on)}
        self.shapes = {key: spots.at(key, trace) for key in form.wrt}

    def point(self, given: Arguments, writes: Sequence[Any], keeps: Sequence[Any], shifts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The values of the quantities' cuts and those read, at one point, in the model's own layout."""
        form, trace = self.form, self.trace
        written = {
            key: Write(self.native(w, key), None if keep is None else self.native(keep, key))
            for key, w, keep in zip(form.written, writes, keeps, strict=True)
        }
        shifted = dict(zip(form.wrt, shifts, strict=True))
        leaves = list(given.leaves)
        for i, path in enumerate(trace.paths):
            key = Key("", "in", 0, path)
            leaves[i] = written[key].over(leaves[i]) if key in written else leaves[i]
            leaves[i] = leaves[i] + shifted[key] if key in shifted else leaves[i]
        arguments = dict(zip(trace.paths, leaves, strict=True))
        run = Run(
            Demands(
                {k: w for k, w in written.items() if k.layer},
                {k: s for k, s in shifted.items() if k.layer},
                frozenset(k for k in (*form.read, *self.on) if k.layer),
                bool(form.wrt),
            )
        )
        results = run.evaluate(trace.jaxpr, given.consts, jax.tree.leaves((given.weights, leaves)))
        output = trace.form.filled(results)

        def value_at(key: Key) -> Any:
            return run.seen[key] if key.layer else arguments[key.path] if key.anchor == "in" else follow(output, key.path)

        return [value_at(k) for k in self.on], [value_at(k) for k in form.read]

    def points(self, given: Arguments, shifts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """:meth:`point` at every point, with the points first."""
        if self.form.points:
            return jax.vmap(lambda w, k, s: self.point(given, w, k, s))(given.writes, given.keeps, list(shifts))
        on, read = self.point(given, (), (), [s[0] for s in shifts])
        return [a[None] for a in on], [a[None] for a in read]

    def native(self, value: Any, key: Key) -> Any:
        """A value ``[records, ...]`` in the model's own layout; of what is the same for all records, the first."""
        axis = self.axes[key]
        return value[0] if axis is None else jnp.moveaxis(value, 0, axis)

    def canonical(self, value: Any, key: Key, leading: int) -> Any:
        """A value in the model's own layout after some leading axes, with its records after these."""
        axis = self.axes[key]
        return jnp.expand_dims(value, leading) if axis is None else jnp.moveaxis(value, leading + axis, leading)

    def rows(self, on: Sequence[Any]) -> list[Any]:
        """The values of the quantities' cuts with one row for each record at each point."""
        found = []
        for key, value in zip(self.on, on, strict=True):
            whole = self.canonical(value, key, 1)
            whole = jnp.broadcast_to(whole, (whole.shape[0], self.form.records, *whole.shape[2:]))
            found.append(whole.reshape(-1, *whole.shape[2:]))
        return found

    def shifts(self) -> list[Any]:
        """Zeros to add at the cuts where gradients are wanted."""
        return [jnp.zeros((max(1, self.form.points), *self.shapes[k].shape), self.shapes[k].dtype) for k in self.form.wrt]

    def reads(self, read: Sequence[Any]) -> list[Any]:
        """The values read, ``[points, records, ...]``."""
        return [self.canonical(value, key, 1) for key, value in zip(self.form.read, read, strict=True)]

    def gradients(self, pulled: Sequence[Any]) -> list[Any]:
        """Gradients ``[quantities, points, ...]`` with their records after the points."""
        return [self.canonical(g, key, 2) for key, g in zip(self.form.wrt, pulled, strict=True)]

    def fused(self, given: Arguments, labels: Any) -> tuple[Any, list[Any], list[Any]]:
        """The quantities, the values read and the gradients, with the quantities inside of the program."""

        def quantity(shifts: Sequence[Any]) -> tuple[Any, list[Any]]:
            on, read = self.points(given, shifts)
            tree = trees(self.form.on, self.rows(on), self.trace)
            return numbers_of(QUANTITIES.get().apply(labels, tree), max(1, self.form.points) * self.form.records), self.reads(read)

        if not self.form.wrt:
            value, read = quantity([])
            return self.by_points(value), read, []
        value, pull, read = jax.vjp(quantity, self.shifts(), has_aux=True)
        if len(value) == 1:
            return self.by_points(value), read, self.gradients([g[None] for g in pull(jnp.ones_like(value))[0]])
        each = jnp.eye(len(value), dtype=value.dtype)
        pulled = jax.vmap(lambda one: pull(jnp.broadcast_to(one[:, None], value.shape))[0])(each)
        return self.by_points(value), read, self.gradients(pulled)

    def by_points(self, value: Any) -> Any:
        """Numbers ``[quantities, rows]`` as ``[quantities, points, records]``."""
        return value.reshape(len(value), max(1, self.form.points), self.form.records)

    def forward(self, given: Arguments) -> tuple[list[Any], list[Any], Any]:
        """The values that quantities outside of the program are computed from, those read, and the way back from the former."""

        def values(shifts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            on, read = self.points(given, shifts)
            return self.rows(on), self.reads(read)

        if not self.form.wrt:
            on, read = values([])
            return on, read, None
        on, pull, read = jax.vjp(values, self.shifts(), has_aux=True)
        return on, read, pull

    def backward(self, pull: Callable[..., Any], cotangents: list[Any]) -> list[Any]:
        """The gradients of quantities outside of the program, from their derivatives ``[quantities, rows, ...]``."""
        return self.gradients(jax.vmap(lambda each: pull(each)[0])(cotangents))


def trees(groups: Sequence[On], rows: Sequence[Any], trace: Trace) -> Any:
    """The value that the quantities are computed from: a tuple of those of several cuts."""
    arrays, values = iter(rows), []
    for group in groups:
        own = {key.path: next(arrays) for key in group.keys}
        values.append(nested(list(own), list(own.values())) if group.part is None else part_of_output(trace, group.part, own))
    return values[0] if len(values) == 1 else tuple(values)


def part_of_output(trace: Trace, part: tuple[int | str, ...], arrays: dict[Path, Any]) -> Any:
    """A part of the output in the model's own containers, with these arrays."""

    def change(path: Path, leaf: Any) -> Any:
        return arrays.get((*part, *path), leaf)

    return map_leaves(follow(trace.output, part), change)
