"""Facts about one cut in one call of a JAX model."""

from __future__ import annotations

from dataclasses import dataclass

from ...cuts import INPUT, Cut, accessor_path, each_of
from ...errors import CutError
from ..arguments import cuts_left_out
from ..protocol import CutInfo
from .families import is_embedding
from .places import resolve
from .spots import Spots


@dataclass(frozen=True, eq=False)
class JaxCutInfo(CutInfo):
    """See :class:`ascribe.backends.protocol.CutInfo`."""

    spots: Spots
    cut: Cut

    def source(self) -> Cut:
        inputs, cut = self.spots.inputs, self.cut
        trace = self.spots.trace(inputs.records)
        marks = [m for k, m in trace.marks.items() if k.layer == cut.layer and k.anchor == cut.anchor]
        embeds = cut.layer and cut.anchor == "out" and any(is_embedding(m.kind) for m in marks)
        if embeds:
            return cut
        if inputs.explained:
            return INPUT
        try:
            return resolve(self.spots, INPUT, True, [])
        except CutError:  # a function that looks ids up by itself: where the user found them is where they begin
            if not cut.layer:
                raise
            return cut

    def elements(self) -> int:
        return sum(self.spots.elements(cut) for cut in each_of(self.cut))

    def is_shared(self, sure: bool = True) -> bool | None:
        inputs, cut = self.spots.inputs, self.cut
        if not cut.layer or inputs.whole:
            return False
        return any(self.spots.axis(k) is None for k in self.spots.keys(cut, self.spots.trace(inputs.records)))

    def replaces_all(self) -> bool:
        inputs, cut = self.spots.inputs, self.cut
        if inputs.whole:
            return False
        return not cut.layer and cut.anchor == "in" and set(inputs.paths_at(cut)) == set(inputs.own)

    def left_out(self) -> tuple[Cut, ...]:
        inputs, cut = self.spots.inputs, self.cut
        if cut.layer or cut.anchor == "out" or inputs.only is not None:
            return ()
        start = accessor_path(cut)
        return cuts_left_out(cut, [p for p in inputs.explained if p[: len(start)] == start], inputs.discrete)
