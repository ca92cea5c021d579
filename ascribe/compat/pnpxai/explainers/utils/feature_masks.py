"""Feature masks by name: an integer for each element, the same for elements of one feature."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .base import UtilFunction


class FeatureMaskFunction(UtilFunction):
    """A function of the inputs that returns their feature masks."""

    @classmethod
    def from_method(cls, method: str, **kwargs: Any) -> Any:
        """Returns the feature mask function of a name. Raises ValueError for an unknown one."""
        if method not in FEATURE_MASK_FUNCTIONS:
            known = ", ".join(FEATURE_MASK_FUNCTIONS)
            raise ValueError(f"There is no feature mask function {method!r}. Found: {known}. Try: 'felzenszwalb'")
        return FEATURE_MASK_FUNCTIONS[method](**kwargs)

    def __call__(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError


def segment(name: str, inputs: Tensor, **kwargs: Any) -> Tensor:
    """Returns the segments of each image by a function of scikit-image, ``[records, height, width]``, counted from 0."""
    function = getattr(import_module("skimage.segmentation"), name)
    images = [image.permute(1, 2, 0).detach().cpu().double().numpy() for image in inputs]
    masks = [torch.as_tensor(function(image, **kwargs)).long() for image in images]
    return torch.stack([mask - mask.min() for mask in masks]).to(inputs.device)


class Felzenszwalb(FeatureMaskFunction):
    """Segments by Felzenszwalb and Huttenlocher."""

    def __init__(self, scale: float = 250.0, sigma: float = 1.0, min_size: int = 50) -> None:
        self.scale, self.sigma, self.min_size = scale, sigma, min_size

    def __call__(self, inputs: Tensor) -> Tensor:
        return segment("felzenszwalb", inputs, scale=self.scale, sigma=self.sigma, min_size=self.min_size)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"scale": (float, {"low": 1.0, "high": 1e3, "log": True}), "sigma": (float, {"low": 0.0, "high": 2.0, "step": 0.05})}


class Quickshift(FeatureMaskFunction):
    """Segments by quick shift."""

    def __init__(self, ratio: float = 1.0, kernel_size: float = 5, max_dist: float = 10.0, sigma: float = 0.0) -> None:
        self.ratio, self.kernel_size, self.max_dist, self.sigma = ratio, kernel_size, max_dist, sigma

    def __call__(self, inputs: Tensor) -> Tensor:
        images = inputs.tile(1, 3, 1, 1) if inputs.shape[1] == 1 else inputs
        settings = {"ratio": self.ratio, "kernel_size": self.kernel_size, "max_dist": self.max_dist, "sigma": self.sigma}
        return segment("quickshift", images, convert2lab=images.shape[1] == 3, **settings)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "ratio": (float, {"low": 0.0, "high": 1.0, "step": 0.1}),
            "kernel_size": (float, {"low": 1.0, "high": 10.0, "step": 1.0}),
            "max_dist": (int, {"low": 1, "high": 20, "step": 1}),
            "sigma": (float, {"low": 0.0, "high": 2.0, "step": 0.1}),
        }


class Slic(FeatureMaskFunction):
    """Segments by SLIC."""

    def __init__(self, n_segments: int = 150, compactness: float = 1.0, sigma: float = 0.0) -> None:
        self.n_segments, self.compactness, self.sigma = n_segments, compactness, sigma

    def __call__(self, inputs: Tensor) -> Tensor:
        return segment("slic", inputs, n_segments=int(self.n_segments), compactness=self.compactness, sigma=self.sigma, start_label=0)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "n_segments": (int, {"low": 100, "high": 500, "step": 10}),
            "compactness": (float, {"low": 1e-2, "high": 1e2, "log": True}),
            "sigma": (float, {"low": 0.0, "high": 2.0, "step": 0.1}),
        }


class Watershed(FeatureMaskFunction):
    """Segments by watersheds."""

    def __init__(self, markers: int = 49, compactness: float = 0.001) -> None:
        self.markers, self.compactness = markers, compactness

    def __call__(self, inputs: Tensor) -> Tensor:
        return segment("watershed", inputs.mean(1, keepdim=True), markers=self.markers, compactness=self.compactness)[..., 0]

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "markers": (int, {"low": 10, "high": 200, "step": 10}),
            "compactness": (float, {"low": 1e-6, "high": 1.0, "log": True}),
        }


class NoMask1d(FeatureMaskFunction):
    """A feature for each step of ``[records, steps]``."""

    def __call__(self, inputs: Tensor) -> Tensor:
        return torch.arange(inputs.shape[1], device=inputs.device).expand(inputs.shape[0], -1).clone()


class NoMask2d(FeatureMaskFunction):
    """A feature for each step of ``[records, channels, steps]``, all channels of a step together."""

    def __call__(self, inputs: Tensor) -> Tensor:
        return torch.arange(inputs.shape[-1], device=inputs.device).expand(inputs.shape).clone()


class NoMaskAdaptive(FeatureMaskFunction):
    """A feature for each step, with or without channels. Raises ValueError for more axes."""

    def __call__(self, inputs: Tensor) -> Tensor:
        if inputs.ndim not in (2, 3):
            raise ValueError(
                f"A series has two or three axes. Found: {tuple(inputs.shape)}. Try: feature_mask_fn='felzenszwalb' for images"
            )
        return NoMask1d()(inputs) if inputs.ndim == 2 else NoMask2d()(inputs)


FEATURE_MASK_FUNCTIONS_FOR_IMAGE: dict[str, Any] = {"felzenszwalb": Felzenszwalb, "quickshift": Quickshift, "slic": Slic}
FEATURE_MASK_FUNCTIONS_FOR_TEXT: dict[str, Any] = {"no_mask_1d": NoMask1d}
FEATURE_MASK_FUNCTIONS_FOR_TIME_SERIES: dict[str, Any] = {"no_mask_2d": NoMaskAdaptive}
FEATURE_MASK_FUNCTIONS_FOR_TABULAR: dict[str, Any] = {"no_mask_1d": NoMask1d}
FEATURE_MASK_FUNCTIONS: dict[str, Any] = {
    **FEATURE_MASK_FUNCTIONS_FOR_IMAGE,
    "watershed": Watershed,
    **FEATURE_MASK_FUNCTIONS_FOR_TEXT,
    **FEATURE_MASK_FUNCTIONS_FOR_TIME_SERIES,
}
