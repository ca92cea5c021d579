"""A function of ``tf.function``, its quantities and their gradient at the input as one program.

Only for models that their user compiles: they are traced by their user's own choice. The program is kept with the model. Labels are
arguments, so that other labels trace nothing; shapes of other numbers of rows are relaxed after the second.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...cuts import Cut, accessor_path
from ...tree import Path, follow, replace_leaves, walk
from ..protocol import Job
from .context import Context
from .record_axes import axes_of


@dataclass
class Counts:
    """How often programs were traced since the process began."""

    programs: int = 0


counts = Counts()
PROGRAMS: weakref.WeakKeyDictionary[Any, dict[Hashable, Any]] = weakref.WeakKeyDictionary()
"""The programs of models by the arguments' structure, the cut, and the kind of the quantities."""

CONSTANTS = (tf.Tensor, bool, int, float, str, type(None))
"""Arguments that are compiled: tensors as arguments of the program, others as they are."""


class Program:
    """The quantities and their gradients, compiled; ``works`` is False once a trace has failed."""

    def __init__(self) -> None:
        self.works, self.lock = True, threading.Lock()
        self.call: tuple[Any, Any, Job, list[Path], list[Path]] | None = None
        self.traced = tf.function(self._trace, reduce_retracing=True, autograph=False)

    def run(self, ctx: Context, tree: Any, job: Job, wrt: list[Path], arrays: Any) -> tuple[Array, list[Array]] | None:
        """The quantities ``[quantities, rows]`` and the gradients ``[quantities, ...]``; None where they cannot be compiled."""
        paths = [path for path, leaf in walk(tree) if isinstance(leaf, tf.Tensor)]
        with self.lock:
            self.call = ctx.runner.compiled_model(), tree, job, paths, wrt
            try:
                value, grads = self.traced([follow(tree, path) for path in paths], arrays)
            except Exception as wrong:  # what was wrong shows where the model runs by itself
                if ctx.device.out_of_memory(wrong):
                    raise
                self.works = False
                return None
            finally:
                self.call = None
        self.works = value.shape.rank == 2 and value.shape[1] == len(job.rows)
        return (value, list(grads)) if self.works else None

    def _trace(self, leaves: list[Array], arrays: Any) -> tuple[Array, list[Array]]:
        assert self.call is not None
        counts.programs += 1  # runs when TensorFlow traces the function
        model, tree, job, paths, wrt = self.call
        assert job.on is not None
        of: Any = job.of
        given = dict(zip(paths, leaves, strict=True))
        args, kwargs = replace_leaves(tree, given)
        watched = [given[path] for path in wrt]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(watched)
            values = of.apply(arrays, follow(model(*args, **kwargs), accessor_path(job.on)))
        each = [tape.gradient(value, watched, unconnected_gradients="zero") for value in values]
        return tf.stack(list(values)), [tf.stack(list(column)) for column in zip(*each, strict=True)]


def run_compiled(ctx: Context, job: Job, tree: Any, wrt: dict[Cut, list[Path]]) -> tuple[Array, dict[Cut, list[Array]]] | None:
    """The quantities and the gradients at the input; None where the job is no such one, or cannot be compiled."""
    paths = [path for each in wrt.values() for path in each]
    found = program_of(ctx, job, tree, paths, Program)
    if found is None:
        return None
    program, arrays = found
    result = program.run(ctx, tree, job, paths, arrays) if program.works else None
    if result is None:
        return None
    grads = iter(result[1])
    return result[0], {cut: [next(grads) for _ in each] for cut, each in wrt.items()}


Kind = TypeVar("Kind")


def program_of(
    ctx: Context, job: Job, tree: Any, paths: list[Path], make: Callable[[], Kind], more: Hashable = ()
) -> tuple[Kind, Any] | None:
    """The program for a job, made where there is none yet, and the arrays of its quantities; None for a job that cannot have one."""
    of: Any = job.of
    model = ctx.runner.compiled_model()
    if model is None or job.read or job.on is None or job.on.layer or job.on.anchor != "out" or not hasattr(of, "parts"):
        return None
    if job.quantity_key or any(axis.canonical_axis != 0 or axis != type(axis)() for axis in axes_of(ctx, job.on)):
        return None
    key, arrays = of.parts(job.rows)
    if not key or not all(isinstance(leaf, CONSTANTS) for _, leaf in walk(tree)):
        return None
    kinds = tuple((path, leaf.dtype.name if isinstance(leaf, tf.Tensor) else repr(leaf)) for path, leaf in walk(tree))
    programs = PROGRAMS.setdefault(model, {})
    try:
        return programs.setdefault((make, kinds, tuple(paths), job.on, key, more), make()), as_tensors(arrays)
    except TypeError:  # a key that cannot be compared
        return None


def as_tensors(arrays: Sequence[Any]) -> Any:
    """The arrays of quantities as tensors; classes are arrays too, so that another class is no other program."""
    if isinstance(arrays, (tuple, list)):
        return tuple(as_tensors(array) for array in arrays)
    return tf.convert_to_tensor(arrays) if isinstance(arrays, (int, float, np.ndarray, np.generic)) else arrays
