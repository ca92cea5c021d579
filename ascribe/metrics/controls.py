"""Controls: values that know nothing of the model. A metric by which an explanation is no better than these says nothing for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import namespace
from ..calls.call import Call
from ..cuts import INPUT, CutLike
from ..engine.request import request_values
from ..engine.run import explain
from ..methods.base import CallOptions, Method
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution
from ..tree import map_leaves


@dataclass(frozen=True, repr=False)
class RandomValues(Method):
    """Standard normal values in the shapes of the inputs, drawn anew for every call from its seed and not from the model.

    *Use it when* you ask whether a method is better than chance by a metric.

    >>> asc.metrics.RandomValues()(model, x).values.shape
    torch.Size([3, 4])
    """

    source = "no paper: a control"

    def explain_call(
        self, model: object, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        random = np.random.default_rng((options["seed"], 977))
        a = read_inputs(model, call, at, options)

        def draw(_: object, x: object) -> object:
            xp = namespace(x)
            drawn = random.standard_normal(tuple(x.shape))  # type: ignore[attr-defined]
            return xp.asarray(drawn, x) if xp.is_floating(x) else drawn.astype(np.float32)

        return replace(a, values=map_leaves(a.values, draw), method=repr(self))


@dataclass(frozen=True, repr=False)
class ConstantValues(Method):
    """The value 1 for every element of the inputs.

    *Use it when* you ask whether a metric rewards values that say nothing: a ranking of equal values is random.

    >>> asc.metrics.ConstantValues()(model, x).values.shape
    torch.Size([3, 4])
    """

    source = "no paper: a control"

    def explain_call(
        self, model: object, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        a = read_inputs(model, call, at, options)

        def ones(_: object, x: object) -> object:
            xp, made = namespace(x), np.ones(tuple(x.shape))  # type: ignore[attr-defined]
            return xp.asarray(made, x) if xp.is_floating(x) else made.astype(np.float32)

        return replace(a, values=map_leaves(a.values, ones), method=repr(self))


def read_inputs(model: object, call: Call, at: CutLike | Sequence[CutLike] | None, options: CallOptions) -> Attribution:
    """Returns the values at the cuts themselves as a result."""
    request = replace(request_values(INPUT if at is None else at, None), **options)
    return explain(model, call, request)


CONTROLS = (RandomValues(), ConstantValues())
"""The controls that explanations are compared with."""
