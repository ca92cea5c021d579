"""Traced models: the program of a model for a number of records, with its marks, and the compiled programs made of it.

A trace is kept for every definition of a model and every signature of a call, so that models that differ in their weights only share
it. A function is traced anew where anything that it uses may have changed, and shares the compiled programs of an equal trace.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ...errors import AscribeError, ModelError
from ...tree import Path, walk
from ...utils.hints import unexpected_hint
from .arguments import Inputs
from .interpret import Key, Mark, numbered_marks, programs_in
from .models import Model
from .outputs import OutputForm, split_output
from .tags import TRACING

LARGEST, LARGEST_FUNCTIONS = 256, 16
"""Traces that are kept; of functions fewer, because the arrays that they close over are kept with them."""
LOCK = threading.RLock()


@dataclass
class Counts:
    """How often models were traced and programs compiled since the process began."""

    traces: int = 0
    programs: int = 0


counts = Counts()


@dataclass(eq=False)
class Trace:
    """A model as a program of ``(weights, arrays among the arguments)`` for a number of records."""

    jaxpr: Any
    output: Any
    """The output as a tree of shapes."""
    paths: tuple[Path, ...]
    """Where each array is among the arguments."""
    records: int
    marks: dict[Key, Mark]
    form: OutputForm
    axes: dict[Key, int | None] = field(default_factory=dict)
    """The axes that run over the records, of arrays whose axis was found out."""
    sizes: dict[Hashable, set[int]] = field(default_factory=dict)
    """How many points are run at once, by what is run."""
    programs: dict[Hashable, Any] = field(default_factory=dict)
    """The compiled programs, by what they do."""

    def leaves(self) -> list[tuple[Path, Any]]:
        """The arrays of the output, as shapes with their paths."""
        return [(path, leaf) for path, leaf in walk(self.output) if hasattr(leaf, "shape")]


@dataclass(frozen=True)
class Bound:
    """A trace with the arrays that the model closes over."""

    trace: Trace
    consts: tuple[Any, ...]


class Store(OrderedDict[Hashable, Bound]):
    """Traces by their keys, in the order of their last use."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def find(self, key: Hashable) -> Bound | None:
        """A trace by its key, which was then used last."""
        with LOCK:
            if key in self:
                self.move_to_end(key)
            return self.get(key)

    def keep(self, key: Hashable, bound: Bound) -> Bound:
        """Keep a trace, and forget the one that was not used for longest."""
        with LOCK:
            self[key] = bound
            while len(self) > self.largest:
                self.popitem(last=False)
        return bound


KEPT, FUNCTIONS = Store(LARGEST), Store(LARGEST_FUNCTIONS)


def settings() -> Hashable:
    """The settings of JAX that change what is traced."""
    config: Any = jax.config
    return config.jax_enable_x64, config.jax_default_matmul_precision, config.jax_numpy_dtype_promotion


def trace_model(model: Model, inputs: Inputs, records: int) -> Bound:
    """The trace of a model for a number of records. Raises ModelError for what the model raises."""
    key = (model.definition, model.weights_key, inputs.signature, records, settings())
    lasting = model.definition is not None and inputs.lasting
    store = KEPT if model.code is None else FUNCTIONS
    if lasting and (bound := store.find(key)) is not None:
        return bound
    bound = trace_anew(model, inputs, records)
    if model.code is not None or not lasting:
        closed = tuple(constant_key(c) for c in inner_constants(bound.trace.jaxpr))
        model_key = model.definition if model.code is None else model.code
        equal = (model_key, key[1:], str(bound.trace.jaxpr), str(bound.trace.output), closed)
        first = KEPT.find(equal) or KEPT.keep(equal, bound)
        bound = Bound(first.trace, bound.consts)
    return store.keep(key, bound) if lasting else bound


def trace_anew(model: Model, inputs: Inputs, records: int) -> Bound:
    """Trace a model: its code runs once, on shapes instead of numbers."""
    counts.traces += 1
    paths = tuple(inputs.leaves)
    shapes = [jax.ShapeDtypeStruct(inputs.shape(p, records), leaf.dtype) for p, leaf in inputs.leaves.items()]

    forms: list[OutputForm] = []

    def fn(weights: Any, leaves: Any) -> Any:
        args, kwargs = inputs.filled(dict(zip(paths, leaves, strict=True)))
        arrays, form = split_output(model.fn(weights, args, kwargs))
        forms.append(form)
        return arrays

    try:
        with TRACING(object()):
            closed, results = jax.make_jaxpr(fn, return_shape=True)(model.weights, shapes)
    except AscribeError:
        raise
    except Exception as wrong:
        raise failed(model.name, inputs, records, wrong) from wrong
    form = forms[-1]
    return Bound(Trace(closed.jaxpr, form.filled(results), paths, records, numbered_marks(closed.jaxpr), form), tuple(closed.consts))


def failed(name: str, inputs: Inputs, records: int, wrong: Exception) -> ModelError:
    """The error for what a model raised."""
    first = (str(wrong).strip().splitlines() or [type(wrong).__name__])[0]
    given = ", ".join(f"{inputs.shape(p, records)} {leaf.dtype}" for p, leaf in inputs.leaves.items())
    advice = unexpected_hint(first, inputs.tree[1]) or "model(x), which must run by itself under jax.jit"
    what = f"The model raised {type(wrong).__name__}: {first}"
    return ModelError(what, found=f"{name}, called with {given}", advice=advice, code="E-MODEL-RUN")


def inner_constants(jaxpr: Any) -> list[Any]:
    """The arrays that functions inside a program close over, which its text does not show."""
    found: list[Any] = []
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            closed = [one for one in (value if isinstance(value, (tuple, list)) else (value,)) if hasattr(one, "consts")]
            found += [c for one in closed for c in one.consts]
            for inner in programs_in(value):
                found += inner_constants(inner)
    return found


def constant_key(array: Any) -> Hashable:
    """A key of an array: JAX's do not change, and are held by the program that uses them."""
    return (array.tobytes(), array.shape) if isinstance(array, np.ndarray) else id(array)


def compiled(trace: Trace, key: Hashable, build: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """The compiled program of a trace for a key; ``build`` makes the function to compile. Each compilation is counted."""
    program = trace.programs.get(key)
    if program is None:
        made = build()

        def counted(*args: Any) -> Any:
            counts.programs += 1  # runs when JAX traces the function, which it does for every program that it compiles
            return made(*args)

        with LOCK:
            program = trace.programs.setdefault(key, jax.jit(counted))
    return program
