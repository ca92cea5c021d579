"""Methods with something fixed: the layer that they explain, or the processing of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..arrays import as_numpy
from ..calls.call import Call
from ..cuts import CutLike
from ..errors import MethodError
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution
from ..tree import map_leaves
from ..utils.pooling import convert_like
from .base import CallOptions, Method


@dataclass(frozen=True, repr=False)
class At(Method):
    """A method that explains a given cut: ``At(asc.IntegratedGradients(), asc.EMBEDDINGS)``.

    *Use it when* methods are compared that explain several places, such as the embeddings of token ids for gradients, and the ids for
    removal.

    >>> asc.methods.At(asc.Saliency(), "1")(model, x, of=1).values.shape
    torch.Size([3, 8])
    """

    method: Callable[..., Attribution]
    at: CutLike

    source = "no paper: the method, at a cut"

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        if at is not None and at != self.at:
            raise MethodError("The cut is an argument of the constructor", found=f"at={at!r}", advice=f"At({self.method!r}, {at!r})")
        return self.method(model, call, of=of, at=self.at, **options)


Pooling = Literal[
    "sum",
    "sum positive",
    "sum absolute",
    "l1",
    "max",
    "l2",
    "l2 squared",
    "positive sum",
    "positive max",
    "positive l2",
    "positive l2 squared",
]
POOLINGS: dict[Pooling, Callable[[np.ndarray, int], np.ndarray]] = {
    "sum": lambda a, axis: a.sum(axis),
    "sum positive": lambda a, axis: np.maximum(a.sum(axis), 0),
    "sum absolute": lambda a, axis: np.abs(a.sum(axis)),
    "l1": lambda a, axis: np.abs(a).sum(axis),
    "max": lambda a, axis: np.abs(a).max(axis),
    "l2": lambda a, axis: np.sqrt((a * a).sum(axis)),
    "l2 squared": lambda a, axis: (a * a).sum(axis),
    "positive sum": lambda a, axis: np.maximum(a, 0).sum(axis),
    "positive max": lambda a, axis: np.maximum(a, 0).max(axis),
    "positive l2": lambda a, axis: np.sqrt((np.maximum(a, 0) ** 2).sum(axis)),
    "positive l2 squared": lambda a, axis: (np.maximum(a, 0) ** 2).sum(axis),
}
"""Ways to reduce an axis, such as the channels, to one number. "positive sum" takes the positive values first, "sum positive" the sum."""
NORMALISATIONS = ("none", "minmax", "max")
"""Scales of a record's values: none, to [0, 1], or divided by the largest absolute value. A constant record becomes 0, and never NaN."""


@dataclass(frozen=True, repr=False)
class Processed(Method):
    """A method whose values are pooled over an axis and normalised, whenever they are computed.

    *Use it when* somebody looks at the processed map, so that metrics must judge that and not the raw values. A metric that explains other
    inputs processes these too.

    ``pool`` is one of :data:`POOLINGS`, over ``axis`` counted from the batch dimension (1 for channels first, -1 for embeddings); None
    leaves the axis. ``normalize`` is one of :data:`NORMALISATIONS`. Values of several arrays are each processed by themselves.

    >>> asc.methods.Processed(asc.Saliency(), "l2", normalize="minmax")(cnn, images, of=1).values.shape
    torch.Size([2, 16, 16])
    """

    method: Callable[..., Attribution]
    pool: Pooling | None = None
    axis: int = 1
    normalize: Literal["none", "minmax", "max"] = "none"

    source = 'Arras et al. 2022, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations", table 2'

    def __post_init__(self) -> None:
        if self.pool is not None and self.pool not in POOLINGS:
            raise MethodError("The pooling is not known", found=f"pool={self.pool!r}", advice=f"one of {', '.join(map(repr, POOLINGS))}")
        if self.normalize not in NORMALISATIONS:
            there, advice = f"normalize={self.normalize!r}", f"one of {', '.join(map(repr, NORMALISATIONS))}"
            raise MethodError("The normalisation is not known", found=there, advice=advice)

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        more = {} if at is None else {"at": at}
        return self.process(self.method(model, call, of=of, **more, **options))

    def process(self, a: Attribution) -> Attribution:
        """Returns a result with its values pooled and normalised; it has no gap. Raises MethodError where there is no such axis."""
        values = map_leaves(a.values, lambda _, leaf: None if leaf is None else self.process_array(leaf, a.records_axis))
        method = f"{self!r}(model, *inputs{f', of={a.quantity}' if a.quantity else ''})"
        return replace(a, values=values, gap=None, error=None, features=None, method=method)

    def process_array(self, array: Any, lead: int) -> Any:
        """Returns one array processed; ``lead`` axes come before the records."""
        wide = as_numpy(array).astype(np.float64)
        if self.pool is not None:
            axis = self.axis + lead if self.axis >= 0 else self.axis + wide.ndim
            if not lead < axis < wide.ndim:
                there = f"axis={self.axis} of values of shape {tuple(wide.shape)}"
                raise MethodError("The values have no such axis to pool", found=there, advice="axis=1, or pool=None")
            wide = POOLINGS[self.pool](wide, axis)
        flat = wide.reshape(*wide.shape[: lead + 1], -1)
        if self.normalize == "minmax":
            low, width = flat.min(-1, keepdims=True), np.ptp(flat, -1)[..., None]
            flat = np.where(width > 0, (flat - low) / np.where(width > 0, width, 1.0), 0.0)
        elif self.normalize == "max":
            size = np.abs(flat).max(-1, keepdims=True)
            flat = flat / np.where(size > 0, size, 1.0)
        return convert_like(flat.reshape(wide.shape), array)
