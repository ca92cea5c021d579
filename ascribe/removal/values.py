"""Removal without other records: a value, a blurred record, a mean, noise, or the values of another call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import cast_numbers, namespace
from ..distributions.baselines import gaussian_blur, resolve_baseline, split_by_array, to_float64
from ..errors import DistributionError, FeatureError
from ..features.base import check_layout
from ..utils.record_layout import ImageLayout
from ..values import Value, is_count, is_number
from .base import FixedReplacement, RemovalContext, Replacement


@dataclass(frozen=True, eq=False, repr=False)
class Replace(Value):
    """Replaces removed features with a fixed value, the baseline.

    *Use it when* one value means "absent", such as 0 or the training mean. This is the default for numeric inputs.

    ``value`` is a number, an array in the shape of a record or of the records, a name ("mean", "blur", ...), a function of the model's
    arguments, or one of these for each input in a tuple or a dict. A table has no ``"mean"`` of a row: use ``Replace(x_train.mean(0))``
    for the mean of each column. Cost: one model row for each coalition.

    Raises FeatureError for a fractional number in an integer array, and for ``"mean"`` of a table.
    """

    value: Any = 0.0

    def replacement_for(self, context: RemovalContext) -> Replacement:
        for x in context.values:
            is_integer = namespace(x).numpy(x).dtype.kind in "iub"
            if is_integer and isinstance(self.value, float) and not self.value.is_integer():
                advice = f"by={round(self.value)}, or x.astype(float) if the model takes it"
                there = f"value={self.value!r}, an array of type {x.dtype}"
                raise FeatureError(
                    "An integer array cannot hold a fractional replacement", found=there, advice=advice, code="E-FEATURES-TYPE"
                )
        if isinstance(self.value, (str, tuple, list, dict)):
            own = enumerate(split_by_array(self.value, context.here))
            context.check_one_scale([k for k, v in own if isinstance(v, str) and v in ("mean", "uniform")], repr(self))
        try:
            return FixedReplacement([a[None] for a in resolve_baseline(self.value, context.here)])
        except DistributionError as error:  # the value is given as by=, not as baseline=
            rows = "by=asc.Resample(rows) for rows of data, " if error.code == "E-BASELINE-SHAPE" else ""
            advice = rows + error.advice.replace("baseline=", "by=")
            raise DistributionError(error.problem, found=error.found, advice=advice, code=error.code) from error


@dataclass(frozen=True, eq=False, repr=False)
class Patch(Value):
    """Replaces removed features with the values at the cut in another call of the model (activation patching).

    *Use it when* you compare two inputs, such as a clean and a corrupted prompt: ``by=Patch(asc.Call(other_x))``. Cost: one model row
    for each coalition, and one forward pass of the other call.
    """

    call: Any

    def replacement_for(self, context: RemovalContext) -> Replacement:
        return FixedReplacement([a[None] for a in resolve_baseline(self.call, context.here)])


@dataclass(frozen=True, repr=False)
class Blur(Value):
    """Replaces removed features with the record itself, blurred by a Gaussian filter.

    *Use it when* records are images or series, and a constant value would add artificial edges.

    ``sigma`` is the standard deviation of the filter in pixels or steps. The filter runs along the spatial axes of images, along time of
    a series, and along both sides of a greyscale image. ``layout`` says where the channels of images are: "NCHW" (first) or "NHWC" (last);
    None finds it from the lengths. Cost: one model row for each coalition.

    Raises FeatureError for ``sigma`` <= 0, for tables, and for an unknown layout. Source: Fong and Vedaldi 2017.
    """

    sigma: float = 4.0
    layout: ImageLayout | None = None

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if not (is_number(self.sigma) and self.sigma > 0):
            raise FeatureError("`sigma=` of asc.Blur must be a number > 0", found=f"sigma={self.sigma!r}", advice="by=asc.Blur(4.0)")
        check_layout(self.layout, repr(self))
        values = context.values_with_axes(2, repr(self))
        smooth = [gaussian_blur(to_float64(x, repr(self)), lambda size: self.sigma, context.here.places(x, self.layout)) for x in values]
        return FixedReplacement([cast_numbers(a, x)[None] for a, x in zip(smooth, context.values, strict=True)])


@dataclass(frozen=True, repr=False)
class Mean(Value):
    """Replaces removed features with the record's own mean over its spatial positions, for each channel.

    *Use it when* records are images or series, and the mean of a channel means "no information". At a layer that is a vector, it is the
    mean of the vector's elements. Cost: one model row for each coalition.

    Raises FeatureError for tables, whose columns have no common mean: use ``Replace(x_train.mean(0))`` for the mean of each column.
    """

    def replacement_for(self, context: RemovalContext) -> Replacement:
        context.check_one_scale(range(len(context.values_with_axes(0, repr(self)))), repr(self))
        return FixedReplacement([a[None] for a in resolve_baseline("mean", context.here)])


@dataclass(frozen=True, repr=False)
class Noise(Value):
    """Replaces removed features with Gaussian noise, and averages the quantity over ``samples`` draws.

    *Use it when* no single value means "absent". ``scale`` is the standard deviation in the unit of the input. The mean is 0, or the
    record itself if ``around`` is True. All coalitions and records share the draws. Cost: ``samples`` model rows for each coalition.

    Raises FeatureError for ``samples`` below 1, and for a negative or non-finite ``scale``.
    """

    scale: float = 1.0
    samples: int = 8
    around: bool = False

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if not is_count(self.samples) or not is_number(self.scale) or not 0 <= self.scale < np.inf:
            there, advice = f"samples={self.samples!r}, scale={self.scale!r}", "by=asc.removal.Noise(scale=1.0, samples=8)"
            raise FeatureError("Noise needs an integer `samples=` >= 1 and a finite `scale=` >= 0", found=there, advice=advice)
        arrays = []
        for i, x in enumerate(context.values):
            rng = np.random.default_rng((context.here.seed, 5, context.here.first + i))
            noise = rng.standard_normal((self.samples, 1, *x.shape[1:])) * self.scale
            own = to_float64(x, repr(self))
            arrays.append(cast_numbers(noise + own if self.around else noise, x))
        return FixedReplacement(arrays, random=True)
