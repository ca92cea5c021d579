"""Facts about one cut in one call of a PyTorch model."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

from ...cuts import INPUT, Cut
from ...errors import CutError
from ..arguments import cuts_left_out
from ..protocol import CutInfo
from .context import Context
from .places import resolve
from .run.axes import ones
from .run.record_axes import axes_of, shapes_of


@dataclass(frozen=True, eq=False)
class TorchCutInfo(CutInfo):
    """See :class:`ascribe.backends.protocol.CutInfo`."""

    ctx: Context
    cut: Cut

    def source(self) -> Cut:
        ctx, cut = self.ctx, self.cut
        if cut.anchor != "out" or not ctx.layers.is_table(cut.layer):
            return resolve(ctx, INPUT, True)
        if ctx.inputs.explained:
            return cut  # what is given to it are integers: nothing that moves at the inputs reaches it
        with suppress(CutError):
            return resolve(ctx, INPUT, True)
        return cut

    def elements(self) -> int:
        ctx, cut = self.ctx, self.cut
        if not cut.layer:
            return sum(ctx.inputs.leaves[p].numel() for p in ctx.inputs.paths_at(cut, whole=True)) // ctx.records
        return sum(map(math.prod, shapes_of(ctx, cut, ctx.records if ctx.inputs.counted.together else 1) or []))

    def is_shared(self, sure: bool = True) -> bool | None:
        ctx, cut = self.ctx, self.cut
        if not cut.layer:
            return False
        known = sure or cut in ctx.axes or cut in ctx.facts.shapes.record_axes
        if not known and all(map(ones, shapes_of(ctx, cut, 1) or [()])):
            return None
        return None in [axis.canonical_axis for axis in axes_of(ctx, cut)]

    def replaces_all(self) -> bool:
        inputs, cut = self.ctx.inputs, self.cut
        if inputs.counted.together:
            return False
        return not cut.layer and cut.anchor == "in" and set(inputs.paths_at(cut)) == set(inputs.own)

    def left_out(self) -> tuple[Cut, ...]:
        inputs, cut = self.ctx.inputs, self.cut
        if cut.layer or cut.anchor == "out" or inputs.only is not None:
            return ()
        return cuts_left_out(cut, inputs.explained, inputs.discrete)
