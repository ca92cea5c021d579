"""Explainers by gradients: gradients, paths, class activation maps."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .... import methods
from ....calls.call import Call
from ....quantities import Labels
from ..core.types import LSTM, RNN, Attention, Convolution, Linear
from ..tuples import format_into_tuple, format_out_tuple_if_single
from .base import Explainer, Extractor, as_tensors

Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]


class Gradient(Explainer):
    """The gradient at the inputs, or at one or several layers or named arguments."""

    SUPPORTED_MODULES = (Linear, Convolution, LSTM, RNN, Attention)

    def __init__(
        self,
        model: nn.Module,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.layer, self.n_classes = layer, n_classes

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.Saliency(signed=True)


class GradientXInput(Gradient):
    """The gradient times the value, at the inputs or at layers."""

    def __init__(
        self,
        model: nn.Module,
        layer: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor, layer, n_classes)

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.InputXGradient()


class SmoothGrad(Gradient):
    """The mean gradient over noisy inputs, or noisy values of layers."""

    def __init__(
        self,
        model: nn.Module,
        noise_level: float = 0.1,
        n_iter: int = 20,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor, layer, n_classes)
        self.noise_level, self.n_iter = noise_level, n_iter

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.SmoothGrad(self.n_iter, self.noise_level)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "noise_level": (float, {"low": 0.05, "high": 0.95, "step": 0.05}),
            "n_iter": (int, {"low": 10, "high": 100, "step": 10}),
        }


class VarGrad(SmoothGrad):
    """The variance of the gradient over noisy inputs, which is never negative."""

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.VarGrad(self.n_iter, self.noise_level)


class IntegratedGradients(Explainer):
    """Integrated gradients from a baseline, at the inputs or at layers, each of several on a path of its own."""

    SUPPORTED_MODULES = (Linear, Convolution, Attention)

    def __init__(
        self,
        model: nn.Module,
        n_steps: int = 20,
        baseline_fn: Any = "zeros",
        layer: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.n_steps, self.baseline_fn, self.layer, self.n_classes = n_steps, baseline_fn, layer, n_classes

    def run(self, call: Call, of: Labels, explained: tuple[Tensor, ...]) -> Any:
        given, cuts = self.baselines(explained), self.cuts(explained)
        if cuts is None:
            return as_tensors(self.at(0.0 if given is None else given)(self.model, call, of=of))
        found = []
        for cut in cuts if isinstance(cuts, list) else [cuts]:
            start: Any = 0.0
            own = call if cut.layer else call.only(cut.accessor)
            if given is not None and cut.layer:  # a layer starts at its value at the baseline of the inputs
                start = call.like((*format_into_tuple(given), *call.args[len(explained) :]), call.kwargs)
            elif given is not None:
                start = format_into_tuple(given)[cut.accessor]
            found.append(as_tensors(self.at(start)(self.model, own, of=of, at=cut)))
        return format_out_tuple_if_single(tuple(found))

    def at(self, start: Any) -> methods.IntegratedGradients:
        """Returns the native method from a baseline."""
        return methods.IntegratedGradients(start, steps=self.n_steps)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        from .utils.baselines import BaselineFunction

        return {"n_steps": (int, {"low": 10, "high": 100, "step": 10}), "baseline_fn": (BaselineFunction, {})}


class DeepLiftShap(Explainer):
    """DeepLIFT against every row of a background, in the shape of the inputs."""

    SUPPORTED_MODULES = (Convolution,)

    def __init__(self, model: nn.Module, background_data: Tensor, dtype: torch.dtype | None = None) -> None:
        super().__init__(model)
        self.background_data, self.dtype = background_data, dtype

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.DeepLiftShap(self.background_data)


class GuidedBackprop(Explainer):
    """The gradient in which ReLUs pass positive gradients of positive values only."""

    SUPPORTED_MODULES = (Convolution,)

    def __init__(
        self,
        model: nn.Module,
        stabilizer: float = 1e-6,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.stabilizer, self.layer, self.n_classes = stabilizer, layer, n_classes

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.GuidedBackprop()


class GradCam(Explainer):
    """Grad-CAM without the final ReLU, ``[records, 1, height, width]`` at the size of the images."""

    SUPPORTED_MODULES = (Convolution,)

    def __init__(self, model: nn.Module, interpolate_mode: Interpolation = "bilinear", layer: Any = None, **kwargs: Any) -> None:
        super().__init__(model)
        self.interpolate_mode, self.layer = interpolate_mode, layer

    def set_target_layer(self, layer: Any) -> GradCam:
        """Sets the layer of the map: a module of the model, or its name."""
        self.layer = layer
        return self

    def run(self, call: Call, of: Labels, explained: tuple[Tensor, ...]) -> Any:
        layer = None if self.layer is None else self.cut_of(self.layer).layer
        found = as_tensors(methods.GradCam(layer, relu=False)(self.model, call, of=of))
        return resized(found, explained[0].shape, self.interpolate_mode)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"interpolate_mode": (list, {"choices": ["bilinear", "bicubic"]})}


class GuidedGradCam(GradCam):
    """Guided backpropagation times Grad-CAM, in the shape of the images."""

    def __init__(self, model: nn.Module, layer: Any = None, interpolate_mode: Interpolation = "nearest") -> None:
        super().__init__(model, interpolate_mode, layer)

    def run(self, call: Call, of: Labels, explained: tuple[Tensor, ...]) -> Any:
        layer = None if self.layer is None else self.cut_of(self.layer).layer
        coarse = as_tensors(methods.GradCam(layer)(self.model, call, of=of))
        fine = as_tensors(methods.GuidedBackprop()(self.model, call, of=of))
        return fine * resized(coarse, explained[0].shape, self.interpolate_mode)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {"interpolate_mode": (list, {"choices": ["nearest", "area"]})}


def resized(maps: Tensor, shape: Any, mode: Interpolation) -> Tensor:
    """Returns maps ``[records, 1, ...]`` at the size of inputs of a shape: images, and series, which have linear interpolation."""
    if len(shape) == 3 and mode in ("bilinear", "bicubic"):
        return functional.interpolate(maps, size=tuple(shape[2:]), mode="linear", align_corners=False)
    corners = {"align_corners": False} if mode in ("bilinear", "bicubic") else {}
    return functional.interpolate(maps, size=tuple(shape[2:]), mode=mode, **corners)


class FullGrad(Explainer):
    """Full-gradient maps, ``[records, 1, height, width]``."""

    SUPPORTED_MODULES = (Convolution,)

    def __init__(
        self, model: nn.Module, pooling_method: str = "abssum", interpolate_mode: str = "bilinear", n_classes: int | None = None
    ) -> None:
        super().__init__(model)
        self.pooling_method, self.interpolate_mode, self.n_classes = pooling_method, interpolate_mode, n_classes

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        return methods.FullGrad()
