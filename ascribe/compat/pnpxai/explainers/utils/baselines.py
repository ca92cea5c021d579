"""Baselines of inputs by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .base import UtilFunction


class BaselineFunction(UtilFunction):
    """A function of the inputs that returns their baseline."""

    @classmethod
    def from_method(cls, method: str, **kwargs: Any) -> Any:
        """Returns the baseline function of a name. Raises ValueError for an unknown one."""
        if method not in BASELINE_FUNCTIONS:
            raise ValueError(f"There is no baseline function {method!r}. Found: {', '.join(BASELINE_FUNCTIONS)}. Try: 'zeros'")
        return BASELINE_FUNCTIONS[method](**kwargs)

    def __call__(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError


class TokenBaselineFunction(BaselineFunction):
    """One token id everywhere."""

    def __init__(self, token_id: int, **kwargs: Any) -> None:
        self.token_id = token_id

    def __call__(self, inputs: Tensor) -> Tensor:
        return torch.full_like(inputs, self.token_id, dtype=torch.long)


class ZeroBaselineFunction(BaselineFunction):
    """Zeros."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, inputs: Tensor) -> Tensor:
        return torch.zeros_like(inputs)


class MeanBaselineFunction(BaselineFunction):
    """The mean over an axis, at every place of it; negative axes count from the end."""

    def __init__(self, dim: int = 1, **kwargs: Any) -> None:
        self.dim = dim

    def __call__(self, inputs: Tensor) -> Tensor:
        return inputs.mean(self.dim, keepdim=True).expand_as(inputs).clone()


class InvertBaselineFunction(BaselineFunction):
    """The inverted image: 1 - x, and 255 - x for bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, inputs: Tensor) -> Tensor:
        return (1.0 if inputs.is_floating_point() else 255) - inputs


class GaussianBlurBaselineFunction(BaselineFunction):
    """The image, blurred by a Gaussian filter with reflected edges."""

    def __init__(self, kernel_size_x: int = 3, kernel_size_y: int = 3, sigma_x: float = 0.5, sigma_y: float = 0.5, **kwargs: Any) -> None:
        self.kernel_size_x, self.kernel_size_y = kernel_size_x, kernel_size_y
        self.sigma_x, self.sigma_y = sigma_x, sigma_y

    def __call__(self, inputs: Tensor) -> Tensor:
        row, column = (weights(n, s, inputs) for n, s in ((self.kernel_size_x, self.sigma_x), (self.kernel_size_y, self.sigma_y)))
        channels = inputs.shape[1]
        kernel = (column[:, None] * row[None]).expand(channels, 1, -1, -1)
        sides = (len(row) // 2, (len(row) - 1) // 2, len(column) // 2, (len(column) - 1) // 2)
        return functional.conv2d(functional.pad(inputs, sides, mode="reflect"), kernel, groups=channels)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        size, width = {"low": 1, "high": 11, "step": 2}, {"low": 0.05, "high": 2.0, "step": 0.05}
        return {"kernel_size_x": (int, size), "kernel_size_y": (int, size), "sigma_x": (float, width), "sigma_y": (float, width)}


def weights(size: int, sigma: float, like: Tensor) -> Tensor:
    """Returns the weights of a Gaussian filter."""
    places = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    found = torch.exp(-0.5 * (places / sigma) ** 2)
    return found / found.sum()


BASELINE_FUNCTIONS_FOR_IMAGE: dict[str, Any] = {
    "zeros": ZeroBaselineFunction,
    "mean": MeanBaselineFunction,
    "invert": InvertBaselineFunction,
    "gaussian_blur": GaussianBlurBaselineFunction,
}
BASELINE_FUNCTIONS_FOR_TEXT: dict[str, Any] = {"token": TokenBaselineFunction}
BASELINE_FUNCTIONS_FOR_TIME_SERIES: dict[str, Any] = {"zeros": ZeroBaselineFunction, "mean": MeanBaselineFunction}
BASELINE_FUNCTIONS_FOR_TABULAR: dict[str, Any] = {"zeros": ZeroBaselineFunction}
BASELINE_FUNCTIONS: dict[str, Any] = {
    **BASELINE_FUNCTIONS_FOR_IMAGE,
    **BASELINE_FUNCTIONS_FOR_TEXT,
    **BASELINE_FUNCTIONS_FOR_TIME_SERIES,
}
