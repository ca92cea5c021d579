"""Class activation maps weighted by removal instead of gradients: for models without them, and for layers where they vanish."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...coalitions import LeaveOneOut
from ...errors import MethodError
from ...features import Channels, FeatureContext, Groups, is_channels_last
from ...removal import RemovalContext, Replacement, as_removal
from ...result.attribution import Attribution
from ...utils.pooling import resize_maps
from . import formulas as cam_maps
from .methods import Cam, Explain, Found


@dataclass(frozen=True, repr=False)
class RemovalCam(Cam):
    """A map of channels weighted by what they are worth."""

    formula = staticmethod(cam_maps.hires_cam)
    by_gradient: ClassVar[bool] = False

    def worth(self, found: Found, explain: Explain, x: Array) -> Attribution:
        """What each channel is worth: features in the order of the channels."""
        raise NotImplementedError

    def weighted(self, found: Found, explain: Explain, pictures: Array | None) -> Found:
        """The activations, with each channel's worth at all its places."""
        worth = self.worth(found, explain, pictures)
        assert worth.features is not None
        weights = worth.features.values
        spread = weights.reshape(*weights.shape, *[1] * len(found.layout.grid))
        gradient = np.broadcast_to(spread, (*weights.shape, *found.activation.shape[2:]))
        kept = [check for check in worth.checks if check.name in ("model", "calls")]
        cost = worth.cost + found.raw.cost if worth.cost and found.raw.cost else worth.cost
        raw = replace(worth, cut=found.raw.cut, values=found.raw.values, checks=tuple(kept), cost=cost, error=None, features=None)
        xp = namespace(found.activation)
        return replace(found, raw=raw, gradient=xp.asarray(np.array(gradient), found.activation))


@dataclass(frozen=True, repr=False)
class AblationCam(RemovalCam):
    """The activations of a layer, each channel weighted by what the quantity loses when it is set to 0.

    One pass forward for each channel, from the layer on where the model allows. No gradients. Ramaswamy and Desai 2020, without the
    division by the quantity, which only scales a map (and turns it round where the quantity is negative).
    """

    def worth(self, found: Found, explain: Explain, x: Array) -> Attribution:
        held = found.raw.values if found.raw.record is None else found.raw.record
        if not hasattr(held, "ndim"):
            raise MethodError(f"{self!r} at a layer of several arrays", there=found.raw.cut, try_="one of them: Cut(layer, accessor=0)")
        return explain(at=found.cut, over=LeaveOneOut(), by=0.0, features=Channels(held.ndim + found.layout.channels))


@dataclass(frozen=True, repr=False)
class ScoreCam(RemovalCam):
    """The activations of a layer, each channel weighted by the quantity when the picture shows only through that channel.

    Each channel's activations, brought to the picture's size and to 0 to 1, light the picture up; what it is worth is the quantity
    then, less that of the picture in the dark (``dark`` is what is there instead: 0). One pass forward for each channel. Wang et al. 2020.
    """

    dark: Any = 0.0

    def worth(self, found: Found, explain: Explain, x: Array) -> Attribution:
        if x is None or x.ndim != 4 or found.activation.ndim != 4:
            raise MethodError(f"{self!r} without a picture", there="no array [records, channels, height, width] among the arguments")
        last = is_channels_last(tuple(x.shape[1:]))
        masks = resize_maps(as_numpy(found.activation).astype(np.float64), *(x.shape[1:3] if last else x.shape[2:]))
        low, high = (edge(masks, (2, 3), keepdims=True) for edge in (np.min, np.max))
        masks = (masks - low) / np.where(high > low, high - low, 1.0)
        masks = masks[..., None] if last else masks[:, :, None]
        return explain(over=LeaveOneOut(alone=True), by=Lit(masks, self.dark), features=Lamps(masks.shape[1]))


@dataclass(frozen=True)
class Lamps:
    """Features that are no coordinates but masks: a picture is whole only where all are there, and else what its stand-in says."""

    count: int

    def groups(self, context: FeatureContext) -> Groups:
        cover = np.concatenate([np.eye(self.count, dtype=bool), np.ones((1, self.count), bool)])
        cells = tuple(np.full((1,) * (len(s) + 1), self.count) for s in context.shapes)
        return Groups(cells, self.count, f"{self.count} masks", cover)


@dataclass(frozen=True, eq=False)
class Lit:
    """A picture lit by those of its masks ``[records, masks, ...]`` that are there; 1 is the size of its channels' axis."""

    masks: np.ndarray
    dark: Any

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if len(context.values) != 1:
            there, try_ = ", ".join(context.here.names), "asc.Call(...).only(the picture)"
            raise MethodError("a map of masks for several inputs", there=there, try_=try_)
        (x,) = context.values
        dark = as_removal(self.dark).replacement_for(context)
        return Light(x, namespace(x).asarray(self.masks[context.here.index], x), dark)


@dataclass(frozen=True, eq=False)
class Light:
    """The stand-in of :class:`Lit`."""

    x: Array
    masks: Array
    dark: Replacement
    draws: int = 1
    random: bool = False

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> list[Array]:
        (dark,) = self.dark(presence, draw)
        rows = []
        for there in presence[:, : self.masks.shape[1]]:
            lit = self.masks[:, np.flatnonzero(there)].sum(1)
            rows.append(lit * self.x + (1 - lit) * dark[0])
        return [namespace(self.x).stack(rows, 0)]
