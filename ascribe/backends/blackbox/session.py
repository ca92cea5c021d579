"""Black boxes: a function of arrays bound to one call of it. No gradients, no layers; removal is all there is, and all it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...calls.call import Call
from ...cuts import INPUT, OUTPUT, Cut, accessor_path
from ...errors import AscribeError, CutError, InputError, ModelError, QuantityError, RuleError
from ...tree import Path, follow, walk
from ...utils.hints import unexpected_hint
from ..arguments import cuts_left_out
from ..facts import Facts
from ..numpy.namespace import xp
from ..protocol import ArrayAt, CutInfo, Evidence, Job, Place, Reading, Session, Traits
from .arguments import Inputs
from .runners import Outputs, as_arrays, runner_for


@dataclass(frozen=True)
class BlackBoxCutInfo(CutInfo):
    """The input of a black box, or what it returns."""

    inputs: Inputs
    cut: Cut
    model: Any

    def source(self) -> Cut:
        raise without_gradients(self.model)

    def elements(self) -> int:
        return sum(math.prod(self.inputs.canonical(p).shape[1:]) for p in self.inputs.explained(accessor_path(self.cut)))

    def replaces_all(self) -> bool:
        return not self.inputs.counted.together and set(self.inputs.explained(accessor_path(self.cut))) == set(self.inputs.own)

    def left_out(self) -> tuple[Cut, ...]:
        if self.cut.layer or self.cut.anchor == "out" or self.inputs.only is not None:
            return ()
        return cuts_left_out(self.cut, self.inputs.explained(accessor_path(self.cut)), self.inputs.discrete)


class BlackBoxSession(Session):
    """See :class:`ascribe.backends.protocol.Session`. Rows are taken to be independent of each other."""

    xp = xp

    def __init__(self, model: Any, call: Call) -> None:
        self.model, self.call = model, call
        self.runner = runner = runner_for(model)
        self.inputs = Inputs(call)
        self.records = self.inputs.records
        self.notes, self.facts = [runner.note] if runner.note else [], Facts()
        self.traits = Traits(runner.class_names, runner.regresses, runner.ids)

    def another(self, call: Call) -> BlackBoxSession:
        return BlackBoxSession(self.model, call)

    def cut_info(self, cut: Cut) -> BlackBoxCutInfo:
        return BlackBoxCutInfo(self.inputs, cut, self.model)

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        if wrt:
            raise without_gradients(self.model)
        if cut.layer:
            raise CutError(f"A black box has no layer {cut!r}", found="a function with an input and an output", advice="at=asc.INPUT")
        if cut.anchor == "in":
            self.inputs.explained(accessor_path(cut))
        return cut

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
            raise QuantityError("A quantity of a black box is read at its output only", found=f"on={job.on!r}", advice="on=asc.OUTPUT")
        output = self._run(job, news)
        reads |= {cut: self._returned(cut, output, job) for cut in outputs}
        value = None
        if job.of is not None and job.on is not None:
            value = explained(job, only_row(part_of(output, job.on), len(job.rows)))
        return Evidence(value, {}, reads, forward=1)

    def _given(self, cut: Cut, job: Job, news: dict[Path, np.ndarray]) -> Reading:
        reading = Reading()
        for path in self.inputs.explained(accessor_path(cut)):
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
            self.traits.returns_integers = whole or self.runner.ids
            return found
        except (AscribeError, MemoryError):
            raise
        except Exception as wrong:
            first = (str(wrong).splitlines() or [""])[0]
            error = ModelError(
                f"The model raised {type(wrong).__name__}: {first}",
                found=f"a call with {len(job.rows)} rows, of records {span(job.index)}",
                advice=self._advice(first, kwargs, len(job.rows)),
                code="E-MODEL-RAISED",
            )
            error.call, error.rows = Call.of(args, kwargs), job.rows
            raise error from wrong

    def _advice(self, message: str, kwargs: dict[str, Any], rows: int) -> str:
        """Returns what to do after an error of the model: another argument, a record axis, or how to see the call."""
        if (hint := unexpected_hint(message, kwargs)) is not None:
            return hint
        flat = all(self.inputs.canonical(path).ndim == 1 for path in self.inputs.explained(()))
        if flat and any(part in message for part in ("1D array", "dimension", "shape", "axis", "too many indices", "scalar")):
            return "x[None] if the input has no batch dimension"
        shapes = any(part in message.lower() for part in ("shape", "dimension", "axis", "broadcast"))
        if rows > self.records and shapes and len(self.inputs.own) < len(self.inputs.leaves):  # arguments that are not repeated
            return "asc.Call(x, state, records={1: 1}) if argument 1 has its records on axis 1; chunk=1 if the model takes one row only"
        return "error.call for the arguments of this call, error.partial for the result so far"

    def independence_trial(self) -> bool:
        return not self.inputs.counted.together

    def may_vary(self) -> bool:
        return True

    def places(self) -> list[Place]:
        shapes = tuple((1, *self.inputs.canonical(p).shape[1:]) for p in self.inputs.explained(()))
        index = np.arange(1 if not self.inputs.counted.together else self.records)
        output = self.evaluate(Job(index, read=(OUTPUT,))).reads[OUTPUT].arrays
        kind = type(self.model).__name__
        return [Place(INPUT, kind, shapes, 1), Place(OUTPUT, kind, tuple(tuple(a.shape[1:]) for a in output), 1)]


def without_gradients(model: Any) -> RuleError:
    """Why a black box cannot be differentiated, and what can be done instead."""
    return RuleError(
        "A black box has no gradients",
        found=f"a model of type {type(model).__name__}, called as a function of arrays",
        advice="coalitions, such as over=asc.coalitions.Permutations(), or the model in a framework that has gradients",
        code="E-RULE-GRADIENT",
    )


def flat(write: np.ndarray) -> np.ndarray:
    """``[points, records, ...]`` as rows."""
    return write.reshape(write.shape[0] * write.shape[1], *write.shape[2:])


def only_row(value: Any, rows: int) -> Any:
    """The output of a model for a single row, with a batch dimension where it has none."""
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
    """The part of the output that an accessor picks. Raises CutError where there is nothing."""
    if isinstance(output, Outputs) and cut.accessor is None:
        return output[output.main]
    try:
        return follow(output, accessor_path(cut))
    except (LookupError, AttributeError, TypeError) as wrong:
        what, there = f"The output of the model has no part {cut.accessor!r}", f"an output of type {type(output).__name__}"
        there = f"the outputs {', '.join(output)}" if isinstance(output, Outputs) else there
        part = next(iter(output)) if isinstance(output, Mapping) else 0
        raise CutError(what, found=there, advice=f"asc.OUTPUT, or one of its parts: asc.OUTPUT.at({part!r})") from wrong


def explained(job: Job, tree: Any) -> np.ndarray:
    """The quantities, ``[quantities, points, records]``. Raises QuantityError and InputError where there is not a number for each row."""
    assert job.of is not None
    rows = len(job.rows)
    if isinstance(tree, np.ndarray) and (not tree.ndim or len(tree) != rows):
        what, there = "The model must return one row for each row of its input", f"an output of shape {tree.shape} for {rows} rows"
        advice = "asc.Call(..., records=1) if the whole call is one record"
        raise InputError(what, found=there, advice=advice, code="E-RECORDS")
    try:
        values = [np.asarray(v, dtype=np.float64) for v in job.of(tree, job.rows)]
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        raise QuantityError(f"The quantity raised {type(wrong).__name__}: {first}", code="E-QUANTITY-RAISED") from wrong
    if wrong_shapes := [v.shape for v in values if v.reshape(-1).shape != (rows,)]:
        what, there = "The quantity must have one number for each row", f"a quantity of shape {wrong_shapes[0]} for {rows} rows"
        raise InputError(what, found=there, advice="of=lambda y: y[:, 0]", code="E-RECORDS")
    return np.stack(values).reshape(len(values), job.points, job.records)


def span(index: np.ndarray) -> str:
    """Record numbers in short."""
    return str(index[0]) if len(index) == 1 else f"{index[0]} to {index[-1]}"
