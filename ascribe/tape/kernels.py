"""Functions on arrays that a framework may replace by faster versions of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Kernel(Generic[R]):
    """A neutral function whose first argument is the framework: calls the version in ``framework.kernels`` of its name, if there is one."""

    def __init__(self, neutral: Callable[..., R]) -> None:
        self.neutral = neutral
        self.name = neutral.__name__
        self.__doc__ = neutral.__doc__

    def __call__(self, framework: Any, *args: Any) -> R:
        result: R = framework.kernels.get(self.name, self.neutral)(framework, *args)
        return result
