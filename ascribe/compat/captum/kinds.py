"""The names that captum's users annotate their code with, and the decorator that its methods carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from .signatures import Baselines, Target

TargetType = Target
BaselineType = Baselines
BaselineTupleType = tuple[Tensor | int | float, ...] | None
TensorOrTupleOfTensorsGeneric = TypeVar("TensorOrTupleOfTensorsGeneric", Tensor, tuple[Tensor, ...])
TensorLikeList = list[Any]
ModuleOrModuleList = TypeVar("ModuleOrModuleList", nn.Module, list[nn.Module])
Function = TypeVar("Function", bound=Callable[..., Any])


def log_usage(*args: Any, **kwargs: Any) -> Callable[[Function], Function]:
    """A decorator that leaves a function as it is."""
    return lambda function: function
