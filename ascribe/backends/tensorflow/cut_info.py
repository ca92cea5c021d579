"""Facts about one cut in one call of a TensorFlow model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...cuts import INPUT, Cut, accessor_path
from ...errors import CutError
from ..arguments import cuts_left_out
from ..protocol import CutInfo
from .context import Context
from .evaluate import is_input
from .places import resolve
from .record_axes import axes_of, look


@dataclass(frozen=True, eq=False)
class TensorflowCutInfo(CutInfo):
    """See :class:`ascribe.backends.protocol.CutInfo`."""

    ctx: Context
    cut: Cut

    def source(self) -> Cut:
        inputs = self.ctx.inputs
        if self.cut.layer and not inputs.floating and not inputs.ids:  # words, from which the model makes ids itself
            return self.cut
        try:
            return resolve(self.ctx, INPUT, True)
        except CutError:  # a model that looks ids up by itself: where the user found them is where they begin
            if not self.cut.layer or inputs.floating:
                raise
            return self.cut

    def elements(self) -> int:
        inputs, ctx = self.ctx.inputs, self.ctx
        if is_input(self.cut):
            return sum(math.prod(inputs.canonical(p).shape[1:]) for p in inputs.explained(accessor_path(self.cut)))
        index = np.arange(ctx.records if inputs.counted.together else 1)
        return sum(math.prod(a.shape) for a in look(ctx, [self.cut], index)[self.cut])

    def is_shared(self, sure: bool = True) -> bool | None:
        return not is_input(self.cut) and None in [axis.canonical_axis for axis in axes_of(self.ctx, self.cut)]

    def replaces_all(self) -> bool:
        inputs, cut = self.ctx.inputs, self.cut
        return not inputs.counted.together and is_input(cut) and set(inputs.explained(accessor_path(cut))) == set(inputs.own)

    def left_out(self) -> tuple[Cut, ...]:
        inputs = self.ctx.inputs
        if not is_input(self.cut) or inputs.only is not None:
            return ()
        return cuts_left_out(self.cut, inputs.explained(accessor_path(self.cut)), inputs.discrete)
