"""Methods that change the backward pass of ReLU: guided backpropagation, deconvolution, Guided Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..calls.call import Call
from ..cuts import INPUT, Cut, CutLike
from ..errors import MethodError
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution
from ..rules import Deconv, Guided
from .base import CallOptions, GradientMethod, Method
from .cam.methods import GradCam
from .facts import Passes


@dataclass(frozen=True, repr=False)
class GuidedBackprop(GradientMethod):
    """The gradient, passed through a ReLU only where both the gradient and the ReLU's input are positive.

    *Use it when* you want sharp pictures of the patterns that a network detects. Do not use it to compare classes: the maps depend little
    on the class. Raises RuleError for networks without a ReLU.

    >>> asc.GuidedBackprop()(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    by = Guided()

    cost = Passes("1", "1")
    needs = ("gradient", "ReLU")
    source = 'Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net", arXiv:1412.6806'


@dataclass(frozen=True, repr=False)
class Deconvolution(GradientMethod):
    """The gradient, passed through a ReLU only where the gradient is positive, whatever the ReLU's input is.

    *Use it when* you reproduce the figures of the paper; :class:`GuidedBackprop` is its successor. Raises RuleError for networks without a
    ReLU.

    >>> asc.Deconvolution()(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    by = Deconv()

    cost = Passes("1", "1")
    needs = ("gradient", "ReLU")
    source = 'Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901'


@dataclass(frozen=True, repr=False)
class GuidedGradCam(Method):
    """Guided backpropagation times the map of :class:`~ascribe.GradCam`: fine detail where the map is positive.

    *Use it when* you want the resolution of the input and the class discrimination of Grad-CAM. Raises RuleError for networks without a
    ReLU, MethodError where no layer has spatial positions, and for ``at``: the map's layer is ``layer``.

    >>> asc.GuidedGradCam()(cnn, images, of=1).values.shape
    torch.Size([2, 3, 16, 16])
    """

    layer: Cut | str | None = None
    grid: tuple[int, ...] | None = None
    prefix: int | None = None

    cost = Passes("2", "2")
    needs = ("gradient", "ReLU", "spatial layers", "images")
    source = 'Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", arXiv:1610.02391'

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        if at is not None and at != INPUT:
            raise MethodError(
                "GuidedGradCam explains the input; the layer of its map is an argument of the constructor",
                found=f"at={at!r}",
                advice=f"asc.GuidedGradCam(layer={at!r})",
            )
        fine = GuidedBackprop()(model, call, of=of, **options)
        coarse = GradCam(self.layer, grid=self.grid, prefix=self.prefix)(model, call, of=of, **options)
        arrays = fine.arrays()
        if len(arrays) != 1 or arrays[0][1].ndim != coarse.values.ndim or coarse.values.ndim - coarse.records_axis != 4:
            shapes = ", ".join(str(tuple(a.shape)) for _, a in arrays)
            raise MethodError("GuidedGradCam needs one image as input", found=f"inputs of shape {shapes}", advice="asc.GradCam()")
        first = coarse.values.shape[coarse.records_axis + 1] == 1  # of maps [records, 1, h, w] and [records, h, w, 1]
        height, width = arrays[0][1].shape[-2:] if first else arrays[0][1].shape[-3:-1]
        checks = tuple(dict.fromkeys((*fine.checks, *(c for c in coarse.checks if c.name == "layer" or c.bad))))
        cost = fine.cost + coarse.cost if fine.cost and coarse.cost else None
        shown = f", of={fine.quantity}" if fine.quantity else ""
        return replace(
            fine,
            values=fine.values * coarse.resize(int(height), int(width)).values,
            method=f"{self!r}(model, *inputs{shown})",
            checks=checks,
            cost=cost,
        )
