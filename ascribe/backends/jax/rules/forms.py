"""The form of a job under a rule: everything about it but its arrays. Equal forms share a program."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.extend.core as jax_core
import jax.numpy as jnp
import numpy as np

from ....cuts import each_of
from ....rules import OperationRule, RuleBook
from ...protocol import ArrayAt, Job
from ..evaluate import on_cut, parts_of
from ..interpret import Key
from ..models import as_key
from ..programs import On, trees
from ..quantities import numbers_of
from ..spots import Spots
from ..traces import Trace, constant_key, inner_constants

Array = Any


@dataclass(frozen=True)
class RuleForm:
    """A job under a rule but for its arrays. ``references`` is how many the program takes, 0 if the rule compares with none."""

    records: int
    rule: Hashable
    spots: tuple[Key, ...]
    starts: bool
    """True if the tape starts at ``spots``."""
    written: bool
    wrt: tuple[tuple[Key, ...], ...]
    """By cut."""
    read: tuple[tuple[Key, ...], ...]
    on: tuple[On, ...]
    quantities: Hashable
    references: int
    multipliers_only: bool

    @property
    def keys_on(self) -> list[Key]:
        """The arrays that the quantities are computed from."""
        return [key for group in self.on for key in group.keys]

    def all_keys(self) -> set[Key]:
        """Every array of the form."""
        return {*self.spots, *self.keys_on, *(key for keys in (*self.wrt, *self.read) for key in keys)}


class RuleArguments(NamedTuple):
    """The arguments of a program: one value is written at each spot, and there is a row of references for each."""

    weights: Any
    consts: tuple[Any, ...]
    leaves: list[Any]
    writes: tuple[Array, ...]
    references: tuple[Array, ...]
    labels: Any


@dataclass
class Plan:
    """What a program knows of the model: its trace, and the axes of arrays that run over the records."""

    trace: Trace
    form: RuleForm
    rule: OperationRule
    axes: Mapping[Key, int | None]
    explained: tuple[Key, ...]
    """The explained arrays among the arguments."""
    modules: tuple[str, ...]

    def canonical(self, key: Key, value: Array) -> Array:
        """A value in the model's own layout as ``[1 or records, ...]``."""
        axis = self.axes[key]
        return jnp.expand_dims(value, 0) if axis is None else jnp.moveaxis(value, axis, 0)

    def native(self, key: Key, value: Array) -> Array:
        """A value ``[1 or records, ...]`` in the model's own layout."""
        axis = self.axes[key]
        if axis is None:
            return value[0]
        return jnp.moveaxis(jnp.broadcast_to(value, (self.form.records, *value.shape[1:])), 0, axis)

    def rows(self, arrays: Sequence[Array]) -> list[Array]:
        """The values at the quantities' cuts with the records first."""
        wide = []
        for key, a in zip(self.form.keys_on, arrays, strict=True):
            axis = self.axes[key]
            wide.append(jnp.moveaxis(a, axis, 0) if axis is not None else jnp.broadcast_to(a, (self.form.records, *a.shape)))
        return wide


@dataclass(frozen=True)
class Quantity:
    """The quantities as a function of their arrays and of the values at their cuts, ``[quantities, rows]``."""

    key: Hashable
    labels: Any
    numbers: Callable[[Any, Sequence[Array]], Array]
    held: Any = None
    """What has to stay alive as long as the key is used."""


def key_at(spot: ArrayAt) -> Key:
    """The key of an array at a cut."""
    return Key(spot.cut.layer, spot.cut.anchor, spot.call, spot.path)


def form_of(spots: Spots, job: Job, quantities: Hashable, references: int) -> RuleForm:
    """The form of a job."""
    trace = spots.trace(job.records)
    assert job.on is not None
    return RuleForm(
        job.records,
        rule_key(job.by),
        tuple(key_at(spot) for spot in job.spots),
        job.at is not None,
        bool(job.write),
        tuple(spots.keys(cut, trace) for cut in job.wrt),
        tuple(spots.keys(cut, trace) for cut in job.read),
        tuple(on_cut(spots, trace, cut) for cut in each_of(job.on)),
        quantities,
        references,
        job.multipliers_only,
    )


def plan_of(spots: Spots, form: RuleForm, rule: OperationRule) -> Plan:
    """What a program of a form knows of the model."""
    trace = spots.trace(form.records)
    explained = tuple(Key("", "in", 0, path) for path in spots.inputs.explained)
    modules = tuple(dict.fromkeys(key.layer for key in trace.marks))
    axes = {key: spots.axis(key) for key in form.all_keys()}
    return Plan(trace, form, rule, axes, explained, modules)


def rule_key(rule: Any) -> Hashable:
    """A rule as a key: its class and the values of its attributes, so that a rule that was changed is another one."""
    if isinstance(rule, RuleBook):
        return RuleBook, tuple((as_key(where), rule_key(page)) for where, page in rule.pairs), rule_key(rule.otherwise), rule.strict
    return type(rule), tuple((name, value_key(value)) for name, value in sorted(getattr(rule, "__dict__", {}).items()))


def value_key(value: Any) -> Hashable:
    """An attribute of a rule as a key; arrays by their elements."""
    if isinstance(value, (np.ndarray, jax.Array)):
        return np.asarray(value).tobytes(), value.shape, str(value.dtype)
    return as_key(value)


def keyed_quantity(job: Job, on: Sequence[On], trace: Trace) -> Quantity | None:
    """Quantities of this package, with labels and the like as arguments; None for those of a user and for those not bound yet."""
    of, rows = job.of, job.rows
    key, labels = parts_of(of, rows)
    if not key:
        return None
    return Quantity(key, labels, lambda given, values: numbers_of(of.apply(given, trees(on, values, trace)), len(rows)))  # type: ignore[union-attr]


def traced_quantity(job: Job, on: Sequence[On], trace: Trace, values: Sequence[Array]) -> Quantity:
    """A user's quantities, traced: equal programs of operations share a compiled program, and what they close over are arguments."""
    of, rows = job.of, job.rows
    assert of is not None
    closed = jax.make_jaxpr(lambda *arrays: numbers_of(of(trees(on, arrays, trace), rows), len(rows)))(*values)
    inner = tuple(constant_key(c) for c in inner_constants(closed.jaxpr))
    key = ("traced", str(closed.jaxpr), inner)
    program = closed.jaxpr

    def numbers(consts: Any, arrays: Sequence[Array]) -> Array:
        return jax_core.jaxpr_as_fun(jax_core.ClosedJaxpr(program, consts))(*arrays)[0]

    return Quantity(key, list(closed.consts), numbers, program)
