"""Class activation maps as values: ``GradCam()(model, x, of=labels)``. The layer is found, ViT and Swin need no reshaping.

The maps are ``[records, 1, height, width]`` at the layer's own resolution; ``a.resize(224, 224)`` brings them to the picture's.
``record`` holds the pictures, so that ``a.plot()`` lays the map over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, ClassVar

import numpy as np

from ...arrays import as_numpy, copy_array, is_array, namespace
from ...cuts import OUTPUT, Cut, as_cut
from ...engine.request import as_call
from ...engine.run import list_cuts
from ...engine.verbs import activation, attribute, influence
from ...errors import CutError, MethodError, warn_user
from ...result.attribution import Attribution, Check, Cost
from ...tree import follow, walk
from ...utils.entry import entry
from ...utils.pooling import describe_shapes
from ...utils.recipe import Recipe
from . import formulas as cam_maps
from .layouts import Layout, Picture, Place, Shape, before, clues_of, looked_at, picture_of, spatial_places

Array = Any
Explain = Callable[..., Attribution]
ROUNDING = 1e-5  # a map of that share of its terms is what is left of them after they cancelled, in single precision
OWN = ("zero", "finite")  # asked again of the maps, and of their places alone
TRIES = 4  # layers to look at before it is taken for true that no gradient arrives


@dataclass(frozen=True, repr=False)
class Cam(Recipe):
    """A formula over the activations and gradients of one layer.

    ``layer`` is a cut or a name; None takes the last layer that still has places (see :mod:`ascribe.methods.cam.layouts`); ``at=`` in the
    call overrides it. ``relu`` keeps what speaks for the quantity. ``grid`` and ``prefix`` say how tokens lie on the picture where
    their number leaves that open: the (height, width) of the grid, and how many tokens stand before it.
    """

    layer: Cut | str | None = None
    relu: bool = True
    grid: tuple[int, ...] | None = None
    prefix: int | None = None

    by_sums: ClassVar[bool] = False  # divides by the sum of a channel's activations
    by_gradient: ClassVar[bool] = True
    telling: ClassVar[bool] = True  # whether what is read tells of a place that nothing reads after it

    @staticmethod
    def formula(activation: Array, gradient: Array) -> Array:
        """What the method is (see :mod:`ascribe.methods.cam.formulas`)."""
        raise NotImplementedError

    @entry
    def __call__(
        self,
        model: Any,
        *args: Any,
        of: Any = None,
        at: Any = None,
        seed: int = 0,
        chunk: int | None = None,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Attribution:
        """The map of each record. Raises MethodError where no layer has places, or where tokens could lie in several ways."""
        picture = picture_of(args, kwargs, self.grid, self.prefix)
        asked = {"of": of, "seed": seed, "chunk": chunk, "progress": progress}
        read = partial(influence, model, *args, **kwargs, **asked) if self.by_gradient else partial(activation, model, *args, **kwargs)
        at = self.layer if at is None else at

        def found(anew: bool) -> Found | None:
            places, looked = list_cuts(model, as_call(args, kwargs), anew)
            try:
                if at is not None:
                    return named(read, places, picture, as_cut(at)).dearer(looked)
                some = before(places, as_cut(getattr(of, "on", OUTPUT)).layer)
                return chosen(read, some, picture, self.telling).dearer(looked)
            except (CutError, MethodError):  # a model that takes another way through its layers than the last time
                if looked.forward:
                    raise
            return None

        pictures = looked_at(args, kwargs)
        place = found(anew=False) or found(anew=True)
        assert place is not None
        return self.mapped(self.weighted(place, partial(attribute, model, *args, **kwargs, **asked), pictures), pictures)

    def weighted(self, found: Found, explain: Explain, pictures: Array | None) -> Found:
        """What was read, with what is to be put in the place of gradients; ``explain`` is the verb with the call filled in."""
        return found

    def mapped(self, found: Found, pictures: Array | None) -> Attribution:
        """The maps, with what is to be said about them."""
        values = cam_maps.cam_map(self.formula, found.activation, found.gradient)
        checks = [Check("layer", "ok", f"{found.raw.cut}: {found.layout}")]
        checks += found.checks(values, self.by_sums) if self.by_gradient else ()
        if self.relu:
            values = namespace(values).maximum(values, 0.0)
            checks.append(positive(values, ahead=found.ahead))
        checks.append(finite(values, found))
        checks += [check for check in found.raw.checks if check.name not in OWN]
        shown = [*([f"of={found.raw.quantity}"] if found.raw.quantity else []), f"at={found.raw.cut}"]
        method = f"{self!r}(model, *inputs, {', '.join(shown)})"
        record = None if pictures is None else copy_array(pictures)
        return replace(found.raw, values=values, record=record, method=method, gap=None, checks=tuple(checks))


class GradCam(Cam):
    """How much each place's activations speak for the quantity, channels weighted by their mean gradient.

    One pass forward, one backward. The standard choice; exact up to a constant where the map is only averaged and weighted (global
    average pooling, a linear layer). Selvaraju et al. 2017.
    """

    formula = staticmethod(cam_maps.grad_cam)


class GradCamPlusPlus(Cam):
    """GradCam with weights from the positive gradients only, shared so that several objects of a class all show.

    One pass forward, one backward. Meant for activations after a ReLU, and for a logit. Chattopadhay et al. 2018.
    """

    formula = staticmethod(cam_maps.grad_cam_plus_plus)
    by_sums = True


class XGradCam(Cam):
    """GradCam with each channel's gradient averaged where the channel is active.

    One pass forward, one backward. Without ``relu`` each channel's map sums to its activation x gradient. Meant for activations
    after a ReLU. Fu et al. 2020.
    """

    formula = staticmethod(cam_maps.x_grad_cam)
    by_sums = True


class HiResCam(Cam):
    """Activation x gradient at each place, summed over the channels.

    One pass forward, one backward. Shows only places that the quantity was computed from; with one linear layer behind, the maps
    without ``relu`` sum to the logit less its bias. Draelos and Carin 2020.
    """

    formula = staticmethod(cam_maps.hires_cam)


class LayerCam(Cam):
    """Activation x positive gradient at each place, summed over the channels.

    One pass forward, one backward. Made for early layers with fine grids too, where averaged gradients say little. Jiang et al. 2021.
    """

    formula = staticmethod(cam_maps.layer_cam)


@dataclass(frozen=True, repr=False)
class EigenCam(Cam):
    """The activations along their strongest common direction: where the layer is most active, whatever the quantity.

    One pass forward. No gradient is used, so the class does not matter. Muhammad and Yeasin 2020.
    """

    relu: bool = False
    formula = staticmethod(cam_maps.eigen_cam)
    by_gradient = False
    telling = False


@dataclass(frozen=True)
class Found:
    """The activations and gradients at a layer, ``[records, channels, *grid]`` (several quantities before the records)."""

    cut: Cut
    raw: Attribution
    layout: Layout
    activation: Array
    gradient: Array

    def dearer(self, cost: Cost) -> Found:
        """The same, with what was spent before it."""
        return replace(self, raw=replace(self.raw, cost=cost + self.raw.cost if self.raw.cost else cost))

    @property
    def alive(self) -> bool:
        """Whether any gradient arrives at any place."""
        return bool((self.gradient != 0).any())

    @property
    def ahead(self) -> int:
        """How many axes come before the records: one where there are several quantities."""
        return int(self.gradient.ndim - self.activation.ndim)

    def checks(self, maps: Array, by_sums: bool) -> Iterator[Check]:
        """What is to be said about them, and about the maps made of them."""
        strength = largest(self.gradient, self.ahead)
        told = "no gradient at any place: the quantity does not depend on them from this layer on; try an earlier layer"
        yield noted("gradient", told, strength == 0)
        products = cam_maps.widened(self.activation) * cam_maps.widened(self.gradient)
        terms = largest(abs(products).sum(-1 - len(self.layout.grid)), self.ahead)
        told = "the channels cancel, and what is left is rounding: the next layer normalises; read what that layer returns"
        yield noted("cancelling", told, largest(maps, self.ahead) < ROUNDING * terms)
        if by_sums:
            told = "some are negative: channels that sum to nearly zero count too much"
            yield noted("activations", told, largest(-self.activation, 0, sign=True) > 0)


def chosen(read: Callable[..., Attribution], places: Sequence[Place], picture: Picture, telling: bool) -> Found:
    """The best spatial place where a gradient arrives; the best one if there is none at any of them.

    Where values are not ``telling`` whether the last place is read at all, the way into the last block is taken.

    Raises MethodError where nothing is spatial.
    """
    tried: list[Found] = []
    cost = Cost(0, 0, 0, 0.0)
    for spots in islice(spatial_places(places, picture), TRIES):
        spots = spots if telling else spots[-1:]
        raw = read(at=[cut for cut, _ in spots])
        cost = cost + raw.cost if raw.cost else cost
        for i, (cut, layout) in enumerate(spots):
            held = one_of(raw, i, cut)  # a layer used several times may hold other shapes than when it was first passed
            tried += islice(chain(parts(cut, held, layout.of), parts(cut, held, layout.alike)), 1)
        best = next((found for found in tried if found.alive), None)
        if best is not None:
            return replace(best, raw=replace(best.raw, cost=cost))
    if not tried:
        size = "x".join(map(str, picture.size))
        there = f"a picture of {size}, {len(places)} places in the model" if size else "no picture, volume or series in the arguments"
        raise MethodError("no layer has places on a picture", there=there, try_="layer=..., with grid=(height, width) for tokens")
    return replace(tried[0], raw=replace(tried[0].raw, cost=cost))


def one_of(raw: Attribution, i: int, cut: Cut) -> Attribution:
    """The result at one of several cuts."""
    return replace(raw, values=raw.values[i], record=None if raw.record is None else raw.record[i], cut=repr(cut))


def named(read: Callable[..., Attribution], places: Sequence[Place], picture: Picture, cut: Cut) -> Found:
    """The layer that the user names, in its last use if nothing else is said. Raises MethodError where it is not spatial."""
    place = next((place for place in places if (place.cut.layer, place.cut.anchor) == (cut.layer, cut.anchor)), None)
    layout_of: Callable[[Shape], Layout | None]
    layout_of = partial(picture.layout, kind=place.kind if place else "", clues=clues_of(places, picture))
    if place is not None and place.calls > 1:  # only the first use is in the list
        cut = cut if cut.call is not None else replace(cut, call=place.calls - 1)
        layout_of = next((layout.alike for shape in place.shapes if (layout := layout_of(shape))), layout_of)
    raw = read(at=cut)
    found = next(parts(cut, raw, layout_of), None)
    if found is None:
        held = describe_shapes(raw.values if raw.record is None else raw.record)
        there = f"{held} under a picture of {'x'.join(map(str, picture.size)) or 'no size'}"
        raise MethodError(f"no map at {raw.cut}", there=there, try_="a layer with places, grid=(height, width) for tokens, or layer=None")
    return replace(found, raw=raw)


def parts(cut: Cut, raw: Attribution, layout_of: Callable[[Shape], Layout | None]) -> Iterator[Found]:
    """The arrays at a cut that have places. Where only activations were read, they stand for the gradients too."""
    record = raw.values if raw.record is None else raw.record
    for path, leaf in walk(record):
        layout = layout_of(tuple(leaf.shape)) if is_array(leaf) else None
        if layout is not None:
            yield Found(cut, raw, layout, layout.maps(leaf), layout.maps(follow(raw.values, path)))


def finite(maps: Array, found: Found) -> Check:
    """Whether the maps hold NaN or infinity; warns where the gradients did not already."""
    known = next((check for check in found.raw.checks if check.name == "finite" and check.bad), None)
    records = tuple(int(i) for i in np.flatnonzero(~np.isfinite(largest(maps, found.ahead))))
    if known is not None or not records:
        return known or Check("finite", "ok")
    warn_user("finite: NaN or infinity in the maps")
    return Check("finite", "fail", "NaN or infinity in the maps", records)


def positive(maps: Array, ahead: int) -> Check:
    """Whether anything is left in each map after negative values were dropped."""
    return noted("positive", "nothing speaks for the quantity: relu=False shows what speaks against it", largest(maps, ahead) == 0)


def largest(values: Array, ahead: int, sign: bool = False) -> np.ndarray:
    """The largest size (or number, with its sign) in each record; ``ahead`` axes come before the records."""
    axes = tuple(i for i in range(values.ndim) if i != ahead)
    return as_numpy(namespace(values).amax(values if sign else abs(values), axes))


def noted(name: str, told: str, of: np.ndarray) -> Check:
    """A warning about some records, if there are any."""
    records = tuple(int(i) for i in np.flatnonzero(of))
    return Check(name, "warn", told, records) if records else Check(name, "ok")
