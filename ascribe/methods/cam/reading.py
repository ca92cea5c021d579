"""Reads the activations and gradients of the layer of a class activation map, and checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

import numpy as np

from ...arrays import Array, as_numpy, is_array, namespace, with_methods
from ...cuts import Cut
from ...errors import MethodError, warn_user
from ...result.attribution import Attribution, Check, Cost
from ...tree import follow, walk
from ...utils.pooling import describe_shapes
from .formulas import as_single_or_wider
from .layouts import ImageInput, Layout, Place, Shape, collect_clues, spatial_cuts

Read = Callable[..., Attribution]
"""A function of ``at`` that reads gradients or activations."""
ROUNDING = 1e-5
"""A map of less than this share of its terms is what rounding in single precision leaves after they cancel."""
MOST_LAYERS = 4
"""The layers that are tried before a network is taken to have no gradient at any."""


@dataclass(frozen=True)
class LayerReading:
    """The activations and gradients at a layer, ``[records, channels, *grid]`` (several quantities before the records)."""

    cut: Cut
    raw: Attribution
    layout: Layout
    activation: Array
    gradient: Array

    def with_cost(self, cost: Cost) -> LayerReading:
        """Returns the reading with the cost of earlier work added."""
        return replace(self, raw=replace(self.raw, cost=cost + self.raw.cost if self.raw.cost else cost))

    @property
    def has_gradient(self) -> bool:
        """True if the gradient is not zero at some position."""
        return bool((self.gradient != 0).any())

    @property
    def lead(self) -> int:
        """The number of axes before the records: one for several quantities, else zero."""
        return int(self.gradient.ndim - self.activation.ndim)


def read_best_layer(read: Read, places: Sequence[Place], image: ImageInput, shows_unused_layers: bool, method: str) -> LayerReading:
    """Returns the reading of the best spatial layer with a gradient, or of the best spatial layer if none has a gradient.

    Without ``shows_unused_layers`` a reading cannot show that the last layer is unused; then the input of the last block is read.

    Raises MethodError, with the name of the ``method``, where no layer has spatial positions.
    """
    tried: list[LayerReading] = []
    cost = Cost(0, 0, 0, 0.0)
    for cuts in islice(spatial_cuts(places, image), MOST_LAYERS):
        cuts = cuts if shows_unused_layers else cuts[-1:]
        raw = read(at=[cut for cut, _ in cuts])
        cost = cost + raw.cost if raw.cost else cost
        for i, (cut, layout) in enumerate(cuts):
            at_cut = result_at(raw, i, cut)  # a layer used several times may hold other shapes than in its first use
            tried += islice(chain(spatial_readings(cut, at_cut, layout.of), spatial_readings(cut, at_cut, layout.alike)), 1)
        best = next((reading for reading in tried if reading.has_gradient), None)
        if best is not None:
            return replace(best, raw=replace(best.raw, cost=cost))
    if not tried:
        size = "x".join(map(str, image.size))
        there = f"an image of {size}, {len(places)} cuts in the model" if size else "no image, volume or series in the arguments"
        kernel = "asc.KernelShap()(model, x), which needs no layer"
        tokens = "layer=..., with grid=(height, width) for tokens of an image"
        advice = f"{kernel}, or {tokens}" if any(place.cut.layer for place in places) else kernel
        raise MethodError(f"`{method}` needs a layer with spatial positions", found=there, advice=advice)
    return replace(tried[0], raw=replace(tried[0].raw, cost=cost))


def result_at(raw: Attribution, i: int, cut: Cut) -> Attribution:
    """Returns the result at one of several cuts."""
    return replace(raw, values=raw.values[i], record=None if raw.record is None else raw.record[i], cut=repr(cut))


def read_layer(read: Read, places: Sequence[Place], image: ImageInput, cut: Cut) -> LayerReading:
    """Returns the reading of a layer, in its last use unless the cut says otherwise. Raises MethodError if it is not spatial."""
    place = next((place for place in places if (place.cut.layer, place.cut.anchor) == (cut.layer, cut.anchor)), None)
    layout_of: Callable[[Shape], Layout | None]
    layout_of = partial(image.layout, kind=place.kind if place else "", clues=collect_clues(places, image))
    if place is not None and place.calls > 1:  # only the first use is in the list
        cut = cut if cut.call is not None else replace(cut, call=place.calls - 1)
        layout_of = next((layout.alike for shape in place.shapes if (layout := layout_of(shape))), layout_of)
    raw = read(at=cut)
    reading = next(spatial_readings(cut, raw, layout_of), None)
    if reading is None:
        held = describe_shapes(raw.values if raw.record is None else raw.record)
        there = f"{held} for an image of {'x'.join(map(str, image.size)) or 'no size'}"
        advice = "a layer with spatial positions, grid=(height, width) for tokens, or layer=None"
        raise MethodError(f"The value at {raw.cut} has no spatial positions, so there is no map of it", found=there, advice=advice)
    return replace(reading, raw=raw)


def spatial_readings(cut: Cut, raw: Attribution, layout_of: Callable[[Shape], Layout | None]) -> Iterator[LayerReading]:
    """Yields a reading of each array at a cut that has spatial positions. Activations read alone also serve as gradients."""
    record = raw.values if raw.record is None else raw.record
    for path, leaf in walk(record):
        layout = layout_of(tuple(leaf.shape)) if is_array(leaf) else None
        if layout is not None:
            yield LayerReading(cut, raw, layout, layout.maps(with_methods(leaf)), layout.maps(with_methods(follow(raw.values, path))))


def check_gradients(reading: LayerReading, maps: Array, divides_by_sums: bool) -> Iterator[Check]:
    """Yields the checks of the gradients, of cancelling channels, and of negative activations where a formula divides by their sums."""
    strength = largest_by_record(reading.gradient, reading.lead)
    detail = "no gradient at any position: the quantity does not depend on this layer from here on; try an earlier layer"
    yield warn_records("gradient", detail, strength == 0)
    products = as_single_or_wider(reading.activation) * as_single_or_wider(reading.gradient)
    terms = largest_by_record(abs(products).sum(-1 - len(reading.layout.grid)), reading.lead)
    detail = "the channels cancel, and only rounding is left: the next layer normalises; read the output of that layer"
    yield warn_records("cancelling", detail, largest_by_record(maps, reading.lead) < ROUNDING * terms)
    if divides_by_sums:
        detail = "some are negative: channels that sum to nearly zero get too much weight"
        yield warn_records("activations", detail, largest_by_record(-reading.activation, 0, signed=True) > 0)


def check_finite(maps: Array, reading: LayerReading) -> Check:
    """Returns the check for NaN and infinity in the maps; warns unless the gradients' own check did."""
    known = next((check for check in reading.raw.checks if check.name == "finite" and check.bad), None)
    records = tuple(int(i) for i in np.flatnonzero(~np.isfinite(largest_by_record(maps, reading.lead))))
    if known is not None or not records:
        return known or Check("finite", "ok")
    warn_user("finite: NaN or infinity in the maps")
    return Check("finite", "fail", "NaN or infinity in the maps", records)


def check_positive(maps: Array, lead: int) -> Check:
    """Returns the check that something is left in each map after negative values were set to 0."""
    detail = "no position supports the quantity: relu=False shows those against it"
    return warn_records("positive", detail, largest_by_record(maps, lead) == 0)


def largest_by_record(values: Array, lead: int, signed: bool = False) -> np.ndarray:
    """Returns the largest absolute value (or value, if ``signed``) of each record; ``lead`` axes come before the records."""
    axes = tuple(i for i in range(values.ndim) if i != lead)
    return as_numpy(namespace(values).amax(values if signed else abs(values), axes))


def warn_records(name: str, detail: str, bad: np.ndarray) -> Check:
    """Returns a check that warns about the records where ``bad`` is true."""
    records = tuple(int(i) for i in np.flatnonzero(bad))
    return Check(name, "warn", detail, records) if records else Check(name, "ok")
