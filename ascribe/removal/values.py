"""Stand-ins that do not look at other records: a value, the picture blurred, a mean, noise, another run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import cast_numbers, namespace
from ..distributions.baselines import gaussian_blur, resolve_baseline, split_by_array, to_float64
from ..errors import FeatureError
from ..values import Value, is_count, is_number
from .base import FixedReplacement, RemovalContext, Replacement


@dataclass(frozen=True, eq=False, repr=False)
class Replace(Value):
    """A value for what is removed: a number, an array, one for each input, a name ("mean", "blur"), or a function of the model's arguments.

    What a baseline can be (see ``baselines``), this can be; but tables have no ``"mean"`` of a row. One model row for each coalition.
    """

    value: Any = 0.0

    def replacement_for(self, context: RemovalContext) -> Replacement:
        for x in context.values:
            whole = namespace(x).numpy(x).dtype.kind in "iub"
            if whole and isinstance(self.value, float) and not self.value.is_integer():
                raise FeatureError(f"{self!r} for whole numbers", try_="a whole number, or x.astype(float)", code="E-FEATURES-TYPE")
        if isinstance(self.value, (str, tuple, list, dict)):
            own = enumerate(split_by_array(self.value, context.here))
            context.check_one_scale([k for k, v in own if isinstance(v, str) and v in ("mean", "uniform")], repr(self))
        return FixedReplacement([a[None] for a in resolve_baseline(self.value, context.here)])


@dataclass(frozen=True, eq=False, repr=False)
class Patch(Value):
    """What the cut holds when the model is called with other arguments: activation patching. ``Patch(asc.Call(other_x))``.

    One model row for each coalition, and one run of the other call.
    """

    call: Any

    def replacement_for(self, context: RemovalContext) -> Replacement:
        return FixedReplacement([a[None] for a in resolve_baseline(self.call, context.here)])


@dataclass(frozen=True, repr=False)
class Blur(Value):
    """The record itself smoothed by a normal curve of ``sigma`` coordinates, along every axis but that of the channels: time of a series,
    wherever the lengths of its axes say that its channels are, and both sides of a grey picture.

    One model row for each coalition. Fong and Vedaldi 2017.
    """

    sigma: float = 4.0

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if not (is_number(self.sigma) and self.sigma > 0):
            raise FeatureError(f"{self!r}", try_="sigma above 0")
        values = context.values_with_axes(2, repr(self))
        smooth = [gaussian_blur(to_float64(x, repr(self)), lambda size: self.sigma, context.here.places(x)) for x in values]
        return FixedReplacement([cast_numbers(a, x)[None] for a, x in zip(smooth, context.values, strict=True)])


@dataclass(frozen=True, repr=False)
class Mean(Value):
    """Each record's own mean over its places, channel by channel; of a layer's vector, the mean of its numbers.

    Tables are refused: a row's columns have no mean in common. ``Replace(x_train.mean(0))`` has the mean of each column.
    """

    def replacement_for(self, context: RemovalContext) -> Replacement:
        context.check_one_scale(range(len(context.values_with_axes(0, repr(self)))), repr(self))
        return FixedReplacement([a[None] for a in resolve_baseline("mean", context.here)])


@dataclass(frozen=True, repr=False)
class Noise(Value):
    """Normal noise around 0, or with ``around`` the record around itself; ``scale`` is its standard deviation.

    ``samples`` draws, the same for all coalitions and records; the quantity is averaged over them. That many rows for each coalition.
    """

    scale: float = 1.0
    samples: int = 8
    around: bool = False

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if not is_count(self.samples) or not is_number(self.scale) or not 0 <= self.scale < np.inf:
            raise FeatureError(f"{self!r}", try_="samples from 1 and scale from 0 up")
        found = []
        for i, x in enumerate(context.values):
            rng = np.random.default_rng((context.here.seed, 5, context.here.first + i))
            noise = rng.standard_normal((self.samples, 1, *x.shape[1:])) * self.scale
            own = to_float64(x, repr(self))
            found.append(cast_numbers(noise + own if self.around else noise, x))
        return FixedReplacement(found, random=True)
