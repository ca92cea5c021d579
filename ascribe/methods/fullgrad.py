"""FullGrad: the contributions of the input and of every layer's bias, and a map of them (Srinivas and Fleuret 2019).

A network of linear layers, ReLUs and poolings is, near each record, a linear function of its input and its biases. So the quantity
equals the sum of input x gradient and of every bias x gradient, whatever the depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, copy_array, namespace, with_methods
from ..backends import guard_session
from ..backends.protocol import Bias
from ..calls.call import Call
from ..cuts import INPUT, Cut, CutLike
from ..engine.checks.general import compute_gap, judge
from ..engine.run import list_cuts
from ..engine.verbs import influence
from ..errors import MethodError, warn_user
from ..features import is_channels_last
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution, Check, Gap
from ..tree import map_leaves, walk
from ..utils.completeness import Limits, describe_gaps
from ..utils.pooling import resize_maps
from .base import CallOptions, Method
from .cam.formulas import rescale_sizes
from .cam.layouts import ImageInput, LayerClues, Place, collect_clues, find_image, image_input
from .facts import Passes

LIMITS = Limits(0.001, 0.05)
"""The gaps, as shares of the quantity, up to which the sum of the parts is ok and above which it fails."""


@dataclass(frozen=True, repr=False)
class FullGradDecomposition(Method):
    """Input x gradient, and bias x gradient at every layer with a bias: parts that add up to the quantity itself.

    *Use it when* you want an exact account of the output of a network of linear layers, ReLUs and poolings, biases included. ``values`` is
    a dict: ``"INPUT"``, then each layer by name in execution order. Batch normalisation counts with its implicit bias. The gap is measured
    against the quantity; a check names the layers that may cause it. The gradients of all layers with a bias are in memory. Raises
    MethodError for models whose layers' biases cannot be read, and for ``at``.

    >>> list(asc.FullGradDecomposition()(cnn, images, of=1).values)
    ['INPUT', '0', '4']
    """

    cost = Passes("2", "1")
    needs = ("gradient", "layers", "biases")
    claims = ("conservation", "linearity")
    source = 'Srinivas and Fleuret 2019, "Full-Gradient Representation for Neural Network Visualization", arXiv:1905.00780'

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        a = decompose(model, call, of, at, options)[0]
        return replace(a, method=f"{self!r}(model, *inputs, of={a.quantity})")


@dataclass(frozen=True, repr=False)
class FullGrad(Method):
    """The map of :class:`FullGradDecomposition`: the size of every part, scaled to [0, 1] in each record, resized to the image and summed.

    *Use it when* you want a fine map of an image that uses all layers. ``values`` are [records, 1, height, width], or
    [records, height, width, 1] for images with channels last, without sign. Each layer's part is scaled as a whole, as in the authors'
    program. Parts without spatial positions (linear layers at the end) are not in the map; a check names them. Gap and checks are those
    of the parts. Raises MethodError where no image is among the arguments.

    >>> asc.FullGrad()(cnn, images, of=1).values.shape
    torch.Size([2, 1, 16, 16])
    """

    cost = Passes("2", "1")
    needs = ("gradient", "layers", "biases", "images")
    source = 'Srinivas and Fleuret 2019, "Full-Gradient Representation for Neural Network Visualization", arXiv:1905.00780'

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        image = image_input(call, None, None)
        if len(image.size) != 2:
            raise MethodError(
                "FullGrad computes a map of an image",
                found="no image among the arguments",
                advice="asc.FullGradDecomposition() for the parts",
            )
        full, places, axes = decompose(model, call, of, at, options)
        clues, lead = collect_clues(places, image), full.records_axis
        maps = {name: map_of_part(part, layer_kind(name, places), image, clues, lead, axes.get(name)) for name, part in full.values.items()}
        without = [name for name, drawn in maps.items() if drawn is None]
        record, total = copy_array(find_image(call)), sum(drawn for drawn in maps.values() if drawn is not None)
        if is_channels_last(tuple(record.shape[1:])):
            total = namespace(total).moveaxis(total, -3, -1)
        detail = f"{', '.join(without)}: no spatial positions, not in the map" if without else ""
        return replace(
            full,
            values=total if hasattr(record, "reshape") else namespace(record).asarray(total, record),
            record=record,
            checks=(*full.checks, Check("parts", "ok", detail)),
            method=f"{self!r}(model, *inputs, of={full.quantity})",
        )


def decompose(
    model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
) -> tuple[Attribution, Sequence[Place], dict[str, int]]:
    """Returns the parts by name, with the gap between their sum and the quantity; the cuts of the model; the channel axes of the parts."""
    if at is not None and at != INPUT:
        raise MethodError("FullGrad is a sum over the input and all layers", found=f"at={at!r}", advice="asc.LayerCam() for one layer")
    places, looked = list_cuts(model, call)  # a layer that it misses would be missing in the sum
    layers = layer_outputs(places)
    biases, nonlinear = biases_of(model, call, list(dict.fromkeys(layer.layer for layer in layers)))
    layers = [layer for layer in layers if layer.layer in biases]
    cuts = [replace(biases[layer.layer].at or layer, call=layer.call) for layer in layers]
    raw = influence(model, call, of=of, at=[INPUT, *cuts], **options)
    inputs, *gradients = raw.values
    parts = {"INPUT": multiply_trees(inputs, raw.record[0])}
    shapes = {place.cut.layer: place.shapes[0] for place in places if place.cut.anchor == "out" and place.shapes}
    for layer, g in zip(layers, gradients, strict=True):
        parts[part_name(layer)] = records_first(bias_part(g, biases[layer.layer], raw), shapes.get(layer.layer, ()), raw)
    gap = gap_of_parts(parts, raw)
    sums = check_sum(gap, nonlinear)
    if sums.status == "fail":
        warn_user(f"{sums.name}: {sums.detail}")
    checks = (sums, *(check for check in raw.checks if check.name != "completeness"))
    axes = {part_name(layer): biases[layer.layer].axis for layer in layers}
    return replace(raw, values=parts, record=None, gap=gap, checks=checks, cost=looked + raw.cost if raw.cost else looked), places, axes


def layer_outputs(places: Sequence[Place]) -> list[Cut]:
    """Returns the output of each layer as a cut, each use of a shared layer by itself."""
    cuts = []
    for place in places:
        if place.cut.layer and place.cut.anchor == "out":
            cuts += [Cut(place.cut.layer, call=call if place.calls > 1 else None) for call in range(place.calls)]
    return cuts


def part_name(cut: Cut) -> str:
    """Returns the name of a part: the layer's, with the number of the use where there are several."""
    return cut.layer if cut.call is None else f"{cut.layer}, use {cut.call}"


def biases_of(model: Any, call: Call, layers: list[str]) -> tuple[dict[str, Bias], list[str]]:
    """Returns each layer's bias, and the layers that are not linear plus a bias.

    Raises MethodError for a framework that cannot read the biases of layers.
    """
    with guard_session(model, call) as guarded, guarded as session:
        return session.biases(layers)


def multiply_trees(gradients: Any, records: Any) -> Any:
    """Returns record x gradient, in the structure of the input."""
    held = dict(walk(records))
    return map_leaves(gradients, lambda path, leaf: None if leaf is None else leaf * held[path])


def bias_part(gradient: Array, bias: Bias, raw: Attribution) -> Array:
    """Returns bias x gradient."""
    shape = [1] * gradient.ndim
    shape[bias.axis + raw.records_axis if bias.axis >= 0 else bias.axis] = -1
    return gradient * namespace(gradient).asarray(as_numpy(bias.values).reshape(shape), gradient)


def records_first(part: Array, single: Sequence[int], raw: Attribution) -> Array:
    """Returns a part with its records before the steps of a loop; ``single`` is the shape of the layer's value for one record."""
    lead, count = raw.records_axis, len(raw)
    pairs = zip(single, part.shape[lead:], strict=False)
    axis = next((k for k, (one, every) in enumerate(pairs) if one == 1 and every == count > 1), 0)
    return namespace(part).moveaxis(part, lead + axis, lead) if axis else part


def gap_of_parts(parts: dict[str, Any], raw: Attribution) -> Gap:
    """Returns the difference between the sum of the parts and the quantity, and its share of the quantity."""
    assert raw.explained is not None
    lead = raw.records_axis + 1
    arrays = [as_numpy(leaf).astype(np.float64) for _, leaf in walk(parts) if leaf is not None]
    flat = np.concatenate([array.reshape(*array.shape[:lead], -1) for array in arrays], -1)
    eps = max(namespace(leaf).eps(leaf) for _, leaf in walk(parts) if leaf is not None)
    return compute_gap(flat.sum(-1), np.abs(flat).sum(-1), raw.explained, raw.explained, eps)


def check_sum(gap: Gap, nonlinear: list[str]) -> Check:
    """Returns the check that the parts add up to the quantity; it names the layers that may cause a gap."""
    status, records = judge(gap, LIMITS)
    text = f"gap {describe_gaps(gap.relative)}"
    if status in ("ok", "skipped"):
        return Check("completeness", status, text)
    reasons = ", ".join(nonlinear) or "functions, parameters or constants outside layers"
    return Check("completeness", status, f"{text}; neither linear nor a known bias: {reasons}", records)


def layer_kind(name: str, places: Sequence[Place]) -> str:
    """Returns the class name of the layer that a part belongs to."""
    return next((place.kind for place in places if place.cut.layer == name.partition(",")[0]), "")


def map_of_part(part: Any, kind: str, image: ImageInput, clues: LayerClues, lead: int, axis: int | None) -> Array | None:
    """Returns one part as ``[..., records, 1, height, width]``, with ``lead`` axes before the records; None without spatial positions.

    ``axis`` is that of the channels of a layer, as its bias has it: shapes alone do not show it where there are as many channels as rows.
    """
    total = None
    for leaf in (leaf for _, leaf in walk(part) if leaf is not None):
        layout = image.layout(tuple(leaf.shape[lead:]), kind, clues)
        if layout is not None and layout.prefix is None and axis is not None and leaf.ndim - lead == len(image.size) + 2:
            sides = [int(n) for n in leaf.shape[lead + 1 :]]
            del sides[axis - 1 if axis > 0 else axis]
            layout = replace(layout, grid=tuple(sides), channels=axis if axis < 0 else axis - leaf.ndim + lead)
        if layout is not None:
            maps = layout.maps(with_methods(leaf))
            flat = rescale_sizes(maps.reshape((-1, *maps.shape[-3:]))).sum(1)
            sized = resize_maps(flat, *image.size).reshape((*maps.shape[:-3], 1, *image.size))
            total = sized if total is None else total + sized
    return total
