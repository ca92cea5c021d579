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


@Kernel
def calculate(framework: Any, make: Callable[[], Any]) -> Any:
    """Returns the array that ``make`` returns. A framework that traces programs computes it at once where it depends on constants only."""
    return make()


@Kernel
def holds(framework: Any, predicate: Callable[[], Any], likely: bool) -> bool:
    """Returns True if all elements of an array of booleans are true.

    A framework that traces programs goes on with the answer ``likely`` where the elements are not known, and checks it when it runs.
    """
    return bool(framework.xp.all(predicate()))


@Kernel
def recall(framework: Any, results: Callable[[], Any], find: Callable[[], Any]) -> Any:
    """Returns what ``find`` returns, which is a property of the operations that lead to ``results`` whatever unknown constants are.

    A framework that traces programs remembers it for equal operations."""
    return find()


@Kernel
def measure(framework: Any, function: Callable[..., Any], like: Any, *points: Any) -> list[float]:
    """Returns the numbers that a function of arrays returns at these points, which are arrays of NumPy."""
    xp = framework.xp
    numbers: list[float] = xp.numpy(function(*[xp.asarray(point, like) for point in points])).tolist()
    return numbers


@Kernel
def sample(framework: Any, entry: Any, values: Callable[[Any], Any], draw: int) -> Any:
    """Returns the results of an operation at other values. A framework that traces programs replaces constants that it does not know by
    arbitrary ones, others for another ``draw``. Raises Uncovered where it cannot."""
    return framework.again(entry, values)
