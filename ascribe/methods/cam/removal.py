"""Class activation maps weighted by perturbation instead of gradients: for models without gradients, or where they vanish."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...coalitions import LeaveOneOut
from ...errors import MethodError
from ...features import Channels, FeatureContext, Groups, is_channels_last
from ...removal import RemovalContext, Replacement, as_removal
from ...removal.base import RemovalLike
from ...result.attribution import Attribution
from ...utils.pooling import resize_maps
from ..facts import Passes
from . import formulas
from .methods import Cam, Explain
from .reading import LayerReading


@dataclass(frozen=True, repr=False)
class RemovalCam(Cam):
    """The activations of a layer, each channel weighted by its value v(S) in a perturbation method."""

    formula = staticmethod(formulas.hires_cam)
    uses_gradient = False
    shows_unused_layers = True

    def explain_channels(self, reading: LayerReading, explain: Explain, images: Array | None) -> Attribution:
        """Returns an explanation whose features are the channels in their order."""
        raise NotImplementedError

    def weigh_channels(self, reading: LayerReading, explain: Explain, images: Array | None) -> LayerReading:
        channels = self.explain_channels(reading, explain, images)
        assert channels.features is not None
        weights = channels.features.values
        spread = weights.reshape(*weights.shape, *[1] * len(reading.layout.grid))
        gradient = np.broadcast_to(spread, (*weights.shape, *reading.activation.shape[2:]))
        checks = tuple(check for check in channels.checks if check.name in ("model", "calls"))
        known = reading.raw
        cost = channels.cost + known.cost if channels.cost and known.cost else channels.cost
        raw = replace(channels, cut=known.cut, values=known.values, checks=checks, cost=cost, error=None, features=None)
        xp = namespace(reading.activation)
        return replace(reading, raw=raw, gradient=xp.asarray(np.array(gradient), reading.activation))


@dataclass(frozen=True, repr=False)
class AblationCam(RemovalCam):
    """The activations of a layer, each channel weighted by the decrease of the quantity when the channel is set to 0.

    *Use it when* gradients vanish or are missing. Later layers alone are run for each channel where the model allows it. The authors'
    division by the quantity is left out: it only scales a map, and flips its sign where the quantity is negative.

    >>> asc.AblationCam()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    cost = Passes("channels + 2")
    needs = ("spatial layers", "images")
    source = (
        'Desai and Ramaswamy 2020, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization", WACV'
    )

    def explain_channels(self, reading: LayerReading, explain: Explain, images: Array | None) -> Attribution:
        held = reading.raw.values if reading.raw.record is None else reading.raw.record
        if not hasattr(held, "ndim"):
            raise MethodError(
                f"`{self!r}` needs a layer with a single array",
                found=f"several arrays at {reading.raw.cut}",
                advice="layer=asc.Cut(layer, accessor=0), one of the arrays",
            )
        return explain(at=reading.cut, over=LeaveOneOut(), by=0.0, features=Channels(held.ndim + reading.layout.channels))


@dataclass(frozen=True, repr=False)
class ScoreCam(RemovalCam):
    """The activations of a layer, each channel weighted by the quantity when the image is shown only where the channel is active.

    *Use it when* gradients vanish or are missing, and the model is run on the whole image. Each channel's activations, resized to the image
    and scaled to [0, 1], are a mask; its weight is the quantity of the masked image less that of an image of ``by`` alone.

    >>> asc.ScoreCam()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 14, 14])
    """

    by: RemovalLike = 0.0

    cost = Passes("channels + 3")
    needs = ("spatial layers", "images", "replacement")
    source = 'Wang et al. 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", arXiv:1910.01279'

    def explain_channels(self, reading: LayerReading, explain: Explain, images: Array | None) -> Attribution:
        if images is None or images.ndim != 4 or reading.activation.ndim != 4:
            there = "no array [records, channels, height, width] among the arguments"
            raise MethodError(f"`{self!r}` needs an image as input", found=there, advice="asc.AblationCam()")
        last = is_channels_last(tuple(images.shape[1:]))
        masks = resize_maps(as_numpy(reading.activation).astype(np.float64), *(images.shape[1:3] if last else images.shape[2:]))
        low, high = (edge(masks, (2, 3), keepdims=True) for edge in (np.min, np.max))
        masks = (masks - low) / np.where(high > low, high - low, 1.0)
        masks = masks[..., None] if last else masks[:, :, None]
        return explain(over=LeaveOneOut(alone=True), by=MaskedInput(masks, self.by), features=ChannelMasks(masks.shape[1]))


@dataclass(frozen=True)
class ChannelMasks:
    """Features that are masks instead of coordinates. The input is complete only where all are present."""

    count: int

    def groups(self, context: FeatureContext) -> Groups:
        cover = np.concatenate([np.eye(self.count, dtype=bool), np.ones((1, self.count), bool)])
        cells = tuple(np.full((1,) * (len(s) + 1), self.count) for s in context.shapes)
        return Groups(cells, self.count, f"{self.count} masks", cover)


@dataclass(frozen=True, eq=False)
class MaskedInput:
    """Shows the input through the masks ``[records, masks, ...]`` in a coalition, over a background that is another removal."""

    masks: np.ndarray
    background: RemovalLike

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if len(context.values) != 1:
            there, advice = (
                f"{len(context.values)} inputs: {', '.join(context.here.names)}",
                "asc.Call(...).only(0), with the image as the only input",
            )
            raise MethodError("`asc.ScoreCam` masks a single image and does not apply to several inputs", found=there, advice=advice)
        (x,) = context.values
        background = as_removal(self.background).replacement_for(context)
        return MaskedReplacement(x, namespace(x).asarray(self.masks[context.here.index], x), background)


@dataclass(frozen=True, eq=False)
class MaskedReplacement:
    """The replacement of :class:`MaskedInput` for some records."""

    x: Array
    masks: Array
    background: Replacement
    draws: int = 1
    random: bool = False

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> list[Array]:
        (background,) = self.background(presence, draw)
        rows = []
        for present in presence[:, : self.masks.shape[1]]:
            mask = self.masks[:, np.flatnonzero(present)].sum(1)
            rows.append(mask * self.x + (1 - mask) * background[0])
        return [namespace(self.x).stack(rows, 0)]
