"""The type names of ``captum._utils.typing``, and the decorator of captum's methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from .translate.signatures import Baselines, Target

TargetType = Target
BaselineType = Baselines
BaselineTupleType = tuple[Tensor | int | float, ...] | None
TensorOrTupleOfTensorsGeneric = TypeVar("TensorOrTupleOfTensorsGeneric", Tensor, tuple[Tensor, ...])
TensorLikeList = list[Any]
ModuleOrModuleList = TypeVar("ModuleOrModuleList", nn.Module, list[nn.Module])
Function = TypeVar("Function", bound=Callable[..., Any])


def log_usage(*args: Any, **kwargs: Any) -> Callable[[Function], Function]:
    """Returns a decorator that leaves a function unchanged."""
    return lambda function: function
