"""Where the arrays at a cut are: their keys, and the axes that run over the records, by abstract evaluation."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any

import jax.numpy as jnp

from ...cuts import Cut, accessor_path
from ...errors import CutError, ModelError
from ...tree import Path
from .arguments import Inputs
from .interpret import Key, Mark
from .models import Model
from .traces import Bound, Trace, trace_model


class Spots:
    """The marks of a model in one call. No number is computed: everything is known from traces for one and for two sizes of batch."""

    def __init__(self, model: Model, inputs: Inputs) -> None:
        self.model, self.inputs = model, inputs
        self.traces: dict[int, Bound] = {}

    def bound(self, records: int) -> Bound:
        """The model's trace for a number of records."""
        if records not in self.traces:
            self.traces[records] = trace_model(self.model, self.inputs, records)
        return self.traces[records]

    def trace(self, records: int) -> Trace:
        """See :meth:`bound`."""
        return self.bound(records).trace

    def keys(self, cut: Cut, trace: Trace) -> tuple[Key, ...]:
        """The floating arrays at a cut, in order; ids where the inputs hold nothing else. Raises CutError where there are none."""
        if not cut.layer and cut.anchor == "in":
            return tuple(Key("", "in", 0, p) for p in self.inputs.paths_at(cut))
        start = accessor_path(cut)
        if not cut.layer:
            found = [Key("", "out", 0, p) for p, leaf in trace.leaves() if p[: len(start)] == start and floats(leaf.dtype)]
            if not found:
                what, there = f"The output has no floating-point array at {cut!r}", describe_output(trace)
                raise CutError(what, found=there, advice="asc.OUTPUT, or one of its parts: asc.OUTPUT.at(0)")
            return tuple(found)
        here = [k for k in trace.marks if k.layer == cut.layer and k.anchor == cut.anchor]
        if not here:
            raise self.unknown(cut, trace)
        calls = sorted({k.call for k in here})
        if cut.call is not None and not -len(calls) <= cut.call < len(calls):
            there = f"{len(calls)} uses in this call"
            raise CutError(f"There is no such use of {cut.layer!r}", found=there, advice=f"Cut({cut.layer!r}, call=0)", code="E-CUT-CALLS")
        wanted = None if cut.call is None else calls[cut.call]
        under = [k for k in here if k.path[: len(start)] == start and wanted in (None, k.call)]
        found = [k for k in under if floats(trace.marks[k].dtype)]
        if not found and under:
            what = f"`{cut!r}` holds integers only, such as token ids"
            raise CutError(
                what, found=str(trace.marks[under[0]].dtype), advice=f"the output of the layer, {cut.layer!r}", code="E-CUT-INTEGER"
            )
        if not found:
            there = ", ".join(repr(k.path) for k in here)
            raise CutError(f"`{cut!r}` has no part {cut.accessor!r}", found=f"the parts {there}", advice="the cut without accessor=")
        return tuple(sorted(found, key=lambda k: k.call))

    def unknown(self, cut: Cut, trace: Trace) -> CutError:
        """The error for a layer that this call does not pass."""
        names = list(dict.fromkeys(k.layer for k in trace.marks))
        if not names:
            what = f"The function {self.model.name!r} has no cut {cut.layer!r}: its values have no names"
            advice = f"jax.ad_checkpoint.checkpoint_name(value, {cut.layer!r}) in the function, or at=asc.INPUT"
            return CutError(what, found="a function without named values", advice=advice, code="E-CUT-FUNCTION")
        near = get_close_matches(cut.layer, names, 3, 0.4) or names[:8]
        what = f"This call passes no layer {cut.layer!r}"
        return CutError(what, found=", ".join(map(repr, near)), advice=f"Cut({near[0]!r})", code="E-CUT-UNKNOWN")

    def shape(self, key: Key, records: int) -> tuple[int, ...]:
        """The shape of an array for a number of records."""
        if not key.layer and key.anchor == "in":
            return self.inputs.shape(key.path, records)
        return self.at(key, self.trace(records)).shape

    def at(self, key: Key, trace: Trace) -> Mark:
        """Shape and type of an array of a trace."""
        if key.layer:
            return trace.marks[key]
        leaf = dict(trace.leaves())[key.path] if key.anchor == "out" else None
        if leaf is None:
            return Mark(self.inputs.shape(key.path, trace.records), self.inputs.leaves[key.path].dtype, "", ())
        return Mark(tuple(leaf.shape), leaf.dtype, "", ())

    def axis(self, key: Key) -> int | None:
        """The axis of an array that runs over the records, found by tracing the call and one with twice as many; None without one.

        Raises CutError where an axis holds several rows for each record.
        """
        if not key.layer and key.anchor == "in":
            return self.inputs.axis(key.path)
        if self.inputs.whole:
            return None
        axes = self.trace(self.inputs.records).axes
        if key not in axes:
            axes[key] = self._axis(key)
        return axes[key]

    def _axis(self, key: Key) -> int | None:
        records = self.inputs.records
        one = self.shape(key, records)
        try:
            two = self.shape(key, 2 * records)
        except ModelError:  # a model for one size of batch
            return 0 if one[:1] == (records,) else None
        axis = next((i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b), None)
        if axis is not None and one[axis] != records:
            what = f"The value at {key.layer or 'the output'!r} has several rows for each record in one axis"
            there = f"shape {one} for {records} records"
            raise CutError(what, found=there, advice="a layer around it whose value has one row for each record", code="E-CUT-FOLDED")
        return axis

    def elements(self, cut: Cut) -> int:
        """How many numbers one record has at a cut."""
        records = self.inputs.records
        shapes = [(self.shape(k, records), self.axis(k)) for k in self.keys(cut, self.trace(records))]
        return sum(math.prod(shape) // (records if axis is not None else 1) for shape, axis in shapes)


def floats(dtype: Any) -> bool:
    """True for floating-point types."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def describe_output(trace: Trace) -> str:
    """The arrays of the output in words."""
    return ", ".join(f"{'.'.join(map(str, p)) or 'an array'} {tuple(leaf.shape)} {leaf.dtype}" for p, leaf in trace.leaves()) or "no arrays"


def nested(paths: list[Path], values: list[Any]) -> Any:
    """Values by their paths as tuples and dictionaries: the value itself where there is one."""
    if len(values) == 1:
        return values[0]
    heads = list(dict.fromkeys(p[0] for p in paths))
    parts = {h: nested([p[1:] for p in paths if p[0] == h], [v for p, v in zip(paths, values, strict=True) if p[0] == h]) for h in heads}
    return parts if any(isinstance(h, str) for h in heads) else tuple(parts.values())
