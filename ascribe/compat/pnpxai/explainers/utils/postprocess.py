"""Poolings and normalisations by name: those of ``ascribe.methods.Processed``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .....methods.processed import Pooling, Processed
from .base import UtilFunction

NATIVE: dict[str, Pooling] = {
    "sumpos": "sum positive",
    "sumabs": "sum absolute",
    "l1norm": "l1",
    "maxnorm": "max",
    "l2norm": "l2",
    "l2normsq": "l2 squared",
    "possum": "positive sum",
    "posmaxnorm": "positive max",
    "posl2norm": "positive l2",
    "posl2normsq": "positive l2 squared",
}
"""The poolings of PnPXAI by the name that ascribe has for them."""


class PoolingFunction(UtilFunction):
    """A reduction of the channels of values ``[records, ...]``."""

    name = ""

    def __init__(self, channel_dim: int) -> None:
        self.channel_dim = channel_dim

    def __call__(self, attrs: Tensor) -> Tensor:
        pooled: Tensor = Processed(None, NATIVE[self.name], self.channel_dim).process_array(attrs, 0)  # type: ignore[arg-type]
        return pooled


class SumPos(PoolingFunction):
    """The positive part of the sum."""

    name = "sumpos"


class SumAbs(PoolingFunction):
    """The absolute value of the sum."""

    name = "sumabs"


class L1Norm(PoolingFunction):
    """The sum of the absolute values."""

    name = "l1norm"


class MaxNorm(PoolingFunction):
    """The largest absolute value."""

    name = "maxnorm"


class L2Norm(PoolingFunction):
    """The Euclidean norm."""

    name = "l2norm"


class L2NormSquare(PoolingFunction):
    """The sum of the squares."""

    name = "l2normsq"


class PosSum(PoolingFunction):
    """The sum of the positive values."""

    name = "possum"


class PosMaxNorm(PoolingFunction):
    """The largest positive value."""

    name = "posmaxnorm"


class PosL2Norm(PoolingFunction):
    """The Euclidean norm of the positive values."""

    name = "posl2norm"


class PosL2NormSquare(PoolingFunction):
    """The sum of the squares of the positive values."""

    name = "posl2normsq"


def sumpos(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the positive part of the sum over the channels."""
    return SumPos(channel_dim)(attrs)


def sumabs(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the absolute value of the sum over the channels."""
    return SumAbs(channel_dim)(attrs)


def l1norm(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the sum of the absolute values over the channels."""
    return L1Norm(channel_dim)(attrs)


def maxnorm(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the largest absolute value over the channels."""
    return MaxNorm(channel_dim)(attrs)


def l2norm(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the Euclidean norm over the channels."""
    return L2Norm(channel_dim)(attrs)


def l2normsq(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the sum of the squares over the channels."""
    return L2NormSquare(channel_dim)(attrs)


def possum(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the sum of the positive values over the channels."""
    return PosSum(channel_dim)(attrs)


def posmaxnorm(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the largest positive value over the channels."""
    return PosMaxNorm(channel_dim)(attrs)


def posl2norm(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the Euclidean norm of the positive values over the channels."""
    return PosL2Norm(channel_dim)(attrs)


def posl2normsq(attrs: Tensor, channel_dim: int) -> Tensor:
    """Returns the sum of the squares of the positive values over the channels."""
    return PosL2NormSquare(channel_dim)(attrs)


class NormalizationFunction(UtilFunction):
    """A scale of the values of each record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, attrs: Tensor) -> Tensor:
        raise NotImplementedError


class Identity(NormalizationFunction, PoolingFunction):
    """The values as they are."""

    def __call__(self, attrs: Tensor) -> Tensor:
        return attrs


class MinMax(NormalizationFunction):
    """Each record scaled to [0, 1]; a constant record becomes 0."""

    def __call__(self, attrs: Tensor) -> Tensor:
        scaled: Tensor = Processed(None, normalize="minmax").process_array(attrs, 0)  # type: ignore[arg-type]
        return scaled


def identity(attrs: Tensor) -> Tensor:
    """Returns the values as they are."""
    return attrs


def minmax(attrs: Tensor) -> Tensor:
    """Returns each record scaled to [0, 1]; a constant record becomes 0."""
    return MinMax()(attrs)


POOLING_FUNCTIONS_FOR_IMAGE: dict[str, Any] = {
    cls.name: cls for cls in (SumPos, SumAbs, L1Norm, MaxNorm, L2Norm, L2NormSquare, PosSum, PosMaxNorm, PosL2Norm, PosL2NormSquare)
}
POOLING_FUNCTIONS_FOR_TEXT = POOLING_FUNCTIONS_FOR_IMAGE
POOLING_FUNCTIONS_FOR_TIME_SERIES: dict[str, Any] = {"identity": Identity}
POOLING_FUNCTIONS_FOR_TABULAR = POOLING_FUNCTIONS_FOR_TIME_SERIES
POOLING_FUNCTIONS: dict[str, Any] = {**POOLING_FUNCTIONS_FOR_IMAGE, **POOLING_FUNCTIONS_FOR_TIME_SERIES}
NORMALIZATION_FUNCTIONS_FOR_IMAGE: dict[str, Any] = {"minmax": MinMax, "identity": Identity}
NORMALIZATION_FUNCTIONS_FOR_TEXT = NORMALIZATION_FUNCTIONS_FOR_IMAGE
NORMALIZATION_FUNCTIONS_FOR_TIME_SERIES: dict[str, Any] = {"identity": Identity}
NORMALIZATION_FUNCTIONS_FOR_TABULAR = NORMALIZATION_FUNCTIONS_FOR_TIME_SERIES
NORMALIZATION_FUNCTIONS = NORMALIZATION_FUNCTIONS_FOR_IMAGE


class PostProcessor(UtilFunction):
    """A pooling, and then a normalisation."""

    def __init__(self, pooling_fn: Any, normalization_fn: Any) -> None:
        self.pooling_fn, self.normalization_fn = pooling_fn, normalization_fn

    @classmethod
    def from_name(cls, pooling_method: str, normalization_method: str, channel_dim: int) -> PostProcessor:
        """Returns the postprocessor of two names."""
        return cls(POOLING_FUNCTIONS[pooling_method](channel_dim), NORMALIZATION_FUNCTIONS[normalization_method]())

    def __call__(self, attrs: Tensor) -> Tensor:
        processed: Tensor = self.normalization_fn(self.pooling_fn(attrs))
        return processed

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"pooling_fn": (PoolingFunction, {}), "normalization_fn": (NormalizationFunction, {})}
