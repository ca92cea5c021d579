"""Class activation maps from activations and gradients of one layer. The layer is found; ViT and Swin need no reshaping.

Maps are ``[records, 1, height, width]`` at the layer's resolution, or ``[records, height, width, 1]`` for images with channels last;
``a.resize(224, 224)`` brings them to the size of the image. ``record`` holds the images, so that ``a.plot()`` draws the map over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from ...arrays import Array, copy_array, is_array, namespace
from ...calls.call import Call
from ...cuts import OUTPUT, Cut, CutLike, as_cut
from ...engine.run import list_cuts
from ...engine.verbs import activation, attribute, influence
from ...errors import CutError, MethodError
from ...features import is_channels_last
from ...quantities.parse import QuantityLike
from ...result.attribution import Attribution, Check
from ...tree import walk
from ..base import CallOptions, Method
from ..facts import Need, Passes
from . import formulas
from .layouts import find_image, image_input, places_before
from .reading import LayerReading, check_finite, check_gradients, check_positive, read_best_layer, read_layer

Explain = Callable[..., Attribution]
"""A verb with the model, its arguments, the quantity and the options filled in."""
RECOMPUTED = ("zero", "finite")
"""The checks of the gradients that are made again for the map, and for its positions alone."""


@dataclass(frozen=True, repr=False)
class Cam(Method):
    """A formula of the activations and gradients of one layer: the base of class activation maps.

    A class that extends it sets ``formula``, a function of :mod:`ascribe.methods.cam.formulas`. Raises MethodError where no layer has
    spatial positions, or where tokens fit several grids.
    """

    layer: Cut | str | None = None
    relu: bool = True
    grid: tuple[int, ...] | None = None
    prefix: int | None = None

    cost: ClassVar[Passes] = Passes("1", "1")
    needs: ClassVar[tuple[Need, ...]] = ("gradient", "spatial layers", "images")

    divides_by_sums: ClassVar[bool] = False
    """The formula divides by the sum of a channel's activations."""
    uses_gradient: ClassVar[bool] = True
    shows_unused_layers: ClassVar[bool] = True
    """A value of zero at a layer proves that no later layer uses its positions."""

    @staticmethod
    def formula(activation: Array, gradient: Array) -> Array:
        """Returns the map ``[records, positions]`` of arrays ``[records, channels, positions]``."""
        raise NotImplementedError

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        where = self.layer if at is None else as_cut(at)
        read = partial(influence, model, call, of=of, **options) if self.uses_gradient else partial(activation, model, call)
        reading = self.read(read, model, call, of, where, known=True) or self.read(read, model, call, of, where, known=False)
        assert reading is not None
        images = find_image(call)
        reading = self.weigh_channels(reading, partial(attribute, model, call, of=of, **options), images)
        return self.build_map(reading, images)

    def read(self, read: Explain, model: Any, call: Call, of: Any, where: Cut | str | None, known: bool) -> LayerReading | None:
        """Returns the activations and gradients of the layer.

        With ``known`` the layers are those of an earlier call of such a shape; None if they do not fit, because the model takes another way
        through its layers than the last time.
        """
        image = image_input(call, self.grid, self.prefix)
        places, cost = list_cuts(model, call, fresh=not known)
        try:
            if where is not None:
                return read_layer(read, places, image, as_cut(where)).with_cost(cost)
            before = places_before(places, as_cut(getattr(of, "on", OUTPUT)).layer)
            return read_best_layer(read, before, image, self.shows_unused_layers, type(self).__name__).with_cost(cost)
        except (CutError, MethodError):
            if cost.forward:
                raise
        return None

    def weigh_channels(self, reading: LayerReading, explain: Explain, images: Array | None) -> LayerReading:
        """Returns the reading with channel weights in place of gradients, for maps that are not weighted by gradients."""
        return reading

    def build_map(self, reading: LayerReading, images: Array | None) -> Attribution:
        """Returns the map of each record with its checks."""
        raw = reading.raw
        values = formulas.compute_map(self.formula, reading.activation, reading.gradient)
        checks = [Check("layer", "ok", f"{raw.cut}: {reading.layout}")]
        checks += check_gradients(reading, values, self.divides_by_sums) if self.uses_gradient else ()
        if self.relu:
            values = namespace(values).maximum(values, 0.0)
            checks.append(check_positive(values, reading.lead))
        checks.append(check_finite(values, reading))
        if images is not None and len(reading.layout.grid) > 1 and is_channels_last(tuple(images.shape[1:])):
            values = namespace(values).moveaxis(values, reading.lead + 1, -1)
        values = in_kind_of(values, raw)
        checks += [check for check in raw.checks if check.name not in RECOMPUTED]
        shown = [*([f"of={raw.quantity}"] if raw.quantity else []), f"at={raw.cut}"]
        method = f"{self!r}(model, *inputs, {', '.join(shown)})"
        record = None if images is None else copy_array(images)
        return replace(raw, values=values, record=record, method=method, gap=None, checks=tuple(checks))


def in_kind_of(values: Array, raw: Attribution) -> Array:
    """Returns a map in the framework of the arrays at the layer."""
    leaf = next(leaf for _, leaf in walk(raw.values) if is_array(leaf))
    return values if hasattr(leaf, "reshape") else namespace(leaf).asarray(values, leaf)


class GradCam(Cam):
    """The activations of a layer, each channel weighted by its mean gradient: where the layer supports the quantity.

    *Use it when* you want the standard first look at an image classifier. Exact up to a constant where the map is averaged and weighted by
    one linear layer (global average pooling).

    >>> asc.GradCam()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    formula = staticmethod(formulas.grad_cam)

    source = 'Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", arXiv:1610.02391'


class GradCamPlusPlus(Cam):
    """Grad-CAM with weights from positive gradients only, normalised over the positions.

    *Use it when* an image holds several objects of one class. Meant for a logit, and for activations after a ReLU.

    >>> asc.GradCamPlusPlus()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    formula = staticmethod(formulas.grad_cam_plus_plus)
    divides_by_sums = True

    source = 'Chattopadhay et al. 2018, "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", arXiv:1710.11063'


class XGradCam(Cam):
    """Grad-CAM with each channel's gradient averaged where the channel is active.

    *Use it when* maps are to sum to activation x gradient: without ``relu`` each channel's map does. Meant for activations after a ReLU.

    >>> asc.XGradCam()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    formula = staticmethod(formulas.x_grad_cam)
    divides_by_sums = True

    source = 'Fu et al. 2020, "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs", arXiv:2008.02312'


class HiResCam(Cam):
    """Activation x gradient at each position, summed over the channels.

    *Use it when* the map must show only positions that the quantity was computed from. Before one linear layer, maps without ``relu`` sum
    to the logit less its bias.

    >>> asc.HiResCam()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    formula = staticmethod(formulas.hires_cam)

    source = (
        'Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", '
        "arXiv:2011.08891"
    )


class LayerCam(Cam):
    """Activation x positive gradient at each position, summed over the channels.

    *Use it when* you want finer maps from earlier layers, where averaged gradients carry little information.

    >>> asc.LayerCam(layer="0")(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    formula = staticmethod(formulas.layer_cam)

    source = 'Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 30'


@dataclass(frozen=True, repr=False)
class EigenCam(Cam):
    """The projection of the activations on their first principal direction: where the layer is most active, whatever the quantity.

    *Use it when* no gradient is available and you want to see what the network looks at, not why it decides.

    >>> asc.EigenCam()(cnn, images).values.shape
    torch.Size([2, 1, 14, 14])
    """

    relu: bool = False

    formula = staticmethod(formulas.eigen_cam)
    uses_gradient = False
    shows_unused_layers = False

    cost = Passes("1")
    needs = ("spatial layers", "images")
    source = 'Muhammad and Yeasin 2020, "Eigen-CAM: Class Activation Map using Principal Components", arXiv:2008.00299'
