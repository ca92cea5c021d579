"""Black boxes: a function of arrays bound to one call of it. No gradients, no layers; removal is all there is, and all it needs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...arrays import Array
from ...calls.call import Call, named
from ...cuts import INPUT, OUTPUT, Cut, input_at
from ...errors import AscribeError, CutError, InputError, ModelError, QuantityError, RuleError
from ...tree import Path, follow, walk
from ...utils.hints import unexpected_hint
from ..numpy.namespace import xp
from ..protocol import ArrayAt, Evidence, Job, Place, Reading
from .arguments import Inputs
from .runners import as_arrays, runner_for


class BlackBoxSession:
    """See :class:`ascribe.backends.protocol.Session`. Rows are taken to be independent of each other."""

    xp = xp

    def __init__(self, model: Any, call: Call) -> None:
        self.model, self.call = model, call
        self.runner = runner_for(model)
        self.inputs = Inputs(call)
        self.records = self.inputs.records
        self.class_names = self.runner.class_names
        self.notes = [self.runner.note] if self.runner.note else []
        self.integers, self.regresses = self.runner.ids, self.runner.regresses

    def __enter__(self) -> BlackBoxSession:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def close(self) -> None:
        """There is nothing to put back."""

    def another(self, call: Call) -> BlackBoxSession:
        return BlackBoxSession(self.model, call)

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        if wrt:
            raise RuleError(
                "gradients of a black box",
                there=f"{type(self.model).__name__}: a function of arrays",
                try_="coalitions, such as over=asc.Permutations(), or the model in a framework that has gradients",
                code="E-RULE-GRADIENT",
            )
        if cut.layer:
            raise CutError(f"no place {cut!r} in a black box", there="its arguments and what it returns", try_="at=asc.INPUT")
        if cut.anchor == "in":
            self.inputs.explained(start_of(cut))
        return cut

    def source(self, at: Cut) -> Cut:
        return self.resolve(INPUT, True)

    def evaluate(self, job: Job) -> Evidence:
        if job.wrt:
            self.resolve(INPUT, True)
        if self.inputs.counted.together and job.points > 1:
            each = (replace(job, points=1, write=tuple(w[k : k + 1] for w in job.write)) for k in range(job.points))
            return joined([self.evaluate(one) for one in each])
        news = {s.path: flat(w) for s, w in zip(job.spots, job.write, strict=True)}
        reads = {cut: self._given(cut, job, news) for cut in job.read if cut.anchor == "in"}
        outputs = [cut for cut in job.read if cut.anchor == "out"]
        if job.of is None and not outputs:
            return Evidence(None, {}, reads)
        if job.on is not None and job.on.anchor == "in":
            raise QuantityError(f"a quantity of the input of a black box: {job.on!r}", there="what it returns", try_="on=asc.OUTPUT")
        output = self._run(job, news)
        reads |= {cut: self._returned(cut, output, job) for cut in outputs}
        value = None
        if job.of is not None and job.on is not None:
            value = explained(job, only_row(part_of(output, job.on), len(job.rows)))
        return Evidence(value, {}, reads, forward=1)

    def _given(self, cut: Cut, job: Job, news: dict[Path, np.ndarray]) -> Reading:
        reading = Reading()
        for path in self.inputs.explained(start_of(cut)):
            rows = news[path] if path in news else self.inputs.canonical(path)[job.index]
            reading.spots.append(ArrayAt(cut, 0, path, self.inputs.axis(path)))
            reading.arrays.append(np.array(rows).reshape(len(rows) // job.records, job.records, *rows.shape[1:]))
        return reading

    def _returned(self, cut: Cut, output: Any, job: Job) -> Reading:
        reading = Reading()
        for path, leaf in walk(part_of(output, cut)):
            leaf = only_row(leaf, job.points * job.records)
            if isinstance(leaf, np.ndarray) and leaf.ndim and len(leaf) == job.points * job.records:
                reading.spots.append(ArrayAt(cut, 0, path, 0))
                reading.arrays.append(leaf.reshape(job.points, job.records, *leaf.shape[1:]))
        return reading

    def _run(self, job: Job, news: dict[Path, np.ndarray]) -> Any:
        args, kwargs = self.inputs.rows(job.index, job.points, news)
        try:
            found, whole = as_arrays(self.runner.call(*args, **kwargs))
            self.integers = whole or self.runner.ids
            return found
        except (AscribeError, MemoryError):
            raise
        except Exception as wrong:
            first = (str(wrong).splitlines() or [""])[0]
            error = ModelError(
                f"the model raised {type(wrong).__name__}: {first}",
                there=f"a call with {len(job.rows)} rows, of records {span(job.index)}",
                try_=unexpected_hint(first) or "error.call for the arguments, error.partial for what was found before",
                code="E-MODEL-RAISED",
            )
            error.call, error.rows = Call.of(args, kwargs), job.rows
            raise error from wrong

    def splits(self) -> bool:
        return not self.inputs.counted.together or self.records == 1

    def remembered(self, what: str, key: Any) -> Any:
        return None

    def remember(self, what: str, key: Any, value: Any, lasting: bool = True) -> None:
        return None

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return [named(s.path) if s.cut.anchor == "in" else repr(s.cut) for s in spots]

    def given(self, array: Array) -> Any:
        return array

    def places(self) -> list[Place]:
        shapes = tuple((1, *self.inputs.canonical(p).shape[1:]) for p in self.inputs.explained(()))
        index = np.arange(1 if self.splits() else self.records)
        output = self.evaluate(Job(index, read=(OUTPUT,))).reads[OUTPUT].arrays
        kind = type(self.model).__name__
        return [Place(INPUT, kind, shapes, 1), Place(OUTPUT, kind, tuple(tuple(a.shape[1:]) for a in output), 1)]

    def weights(self) -> int:
        return 0

    def shared(self, cut: Cut, sure: bool = True) -> bool:
        return False

    def doubtful(self) -> bool:
        return True

    def left_out(self, cut: Cut) -> tuple[Cut, ...]:
        if cut.layer or cut.anchor == "out" or self.inputs.only is not None:
            return ()
        start = start_of(cut)
        there = set(self.inputs.explained(start))
        return tuple(input_at(p) for p in self.inputs.beside if p[: len(start)] == start and p not in there)

    def replaces_all(self, cut: Cut) -> bool:
        return not self.inputs.counted.together and set(self.inputs.explained(start_of(cut))) == set(self.inputs.own)

    def row_numbers(self, cut: Cut) -> int:
        return sum(math.prod(self.inputs.canonical(p).shape[1:]) for p in self.inputs.explained(start_of(cut)))

    def wait(self) -> None:
        return None

    def out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)

    def spare_memory(self) -> int:
        known = "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", ())  # not on macOS
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.5) if known else 1 << 33

    def held(self, job: Job) -> tuple[Evidence, int]:
        return self.evaluate(job), 0


def flat(write: np.ndarray) -> np.ndarray:
    """``[points, records, ...]`` as rows."""
    return write.reshape(write.shape[0] * write.shape[1], *write.shape[2:])


def start_of(cut: Cut) -> Path:
    """An accessor of the input as a path among (positional, keyword)."""
    accessor = cut.accessor
    path: Path = () if accessor is None else accessor if isinstance(accessor, tuple) else (accessor,)
    return (int(isinstance(path[0], str)), *path) if path else ()


def only_row(value: Any, rows: int) -> Any:
    """What a model returned for a single row, with an axis for it where it has none."""
    value = np.asarray(value) if rows == 1 and isinstance(value, (int, float)) and not isinstance(value, bool) else value
    return value[None] if rows == 1 and isinstance(value, np.ndarray) and (not value.ndim or len(value) != 1) else value


def joined(runs: list[Evidence]) -> Evidence:
    """Evidence of several points, from one run for each."""
    reads = {
        cut: Reading(reading.spots, [np.concatenate([run.reads[cut].arrays[i] for run in runs]) for i in range(len(reading.arrays))])
        for cut, reading in runs[0].reads.items()
    }
    value = None if runs[0].value is None else np.concatenate([run.value for run in runs], 1)
    return Evidence(value, {}, reads, forward=sum(run.forward for run in runs))


def part_of(output: Any, cut: Cut) -> Any:
    """What an accessor of the output picks. Raises CutError where there is nothing."""
    accessor = cut.accessor
    path: Path = () if accessor is None else accessor if isinstance(accessor, tuple) else (accessor,)
    try:
        return follow(output, path)
    except (LookupError, AttributeError, TypeError) as wrong:
        raise CutError(f"{cut!r} has no part {accessor!r}", there=type(output).__name__) from wrong


def explained(job: Job, tree: Any) -> np.ndarray:
    """The quantities, ``[quantities, points, records]``. Raises QuantityError and InputError where there is not a number for each row."""
    assert job.of is not None
    rows = len(job.rows)
    if isinstance(tree, np.ndarray) and (not tree.ndim or len(tree) != rows):
        try_ = "one row for each, or asc.Call(..., records=1) if the whole call is one record"
        raise InputError(f"the model returned shape {tree.shape}", there=f"{rows} rows", try_=try_, code="E-RECORDS")
    try:
        values = [np.asarray(v, dtype=np.float64) for v in job.of(tree, job.rows)]
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        raise QuantityError(f"the quantity raised {type(wrong).__name__}: {first}", code="E-QUANTITY-RAISED") from wrong
    if wrong_shapes := [v.shape for v in values if v.reshape(-1).shape != (rows,)]:
        raise InputError(f"the quantity has shape {wrong_shapes[0]}", there=f"{rows} rows", try_="one number for each", code="E-RECORDS")
    return np.stack(values).reshape(len(values), job.points, job.records)


def span(index: np.ndarray) -> str:
    """Record numbers in short."""
    return str(index[0]) if len(index) == 1 else f"{index[0]} to {index[-1]}"
