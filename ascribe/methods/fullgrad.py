"""FullGrad: what the input and every layer's bias contribute, and a map of it (Srinivas and Fleuret 2019).

A network of linear layers, ReLUs and poolings is, around each record, a linear function of its input and its biases. So the
quantity *is* the sum of input x gradient and of every bias x gradient: nothing is left over, whatever the depth.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import as_numpy, copy_array, namespace
from ..backends import opened
from ..calls.call import Call
from ..cuts import INPUT, Cut
from ..engine.checks.general import compute_gap, judge
from ..engine.request import as_call
from ..engine.run import list_cuts
from ..engine.verbs import influence
from ..errors import MethodError, warn_user
from ..result.attribution import Attribution, Check, Gap
from ..tree import map_leaves, walk
from ..utils.completeness import Limits, describe_gaps
from ..utils.entry import entry
from ..utils.pooling import resize_maps
from ..utils.recipe import Recipe
from .cam.formulas import rescaled
from .cam.layouts import Clues, Picture, Place, clues_of, looked_at, picture_of

Array = Any
LIMITS = Limits(0.001, 0.05)  # of what the parts may miss before they are called incomplete


@dataclass(frozen=True, repr=False)
class Decomposing(Recipe):
    """What :class:`FullGradDecomposition` and :class:`FullGrad` share: the call divides the quantity among all layers."""

    @entry
    def __call__(
        self,
        model: Any,
        *args: Any,
        of: Any = None,
        at: Any = INPUT,
        seed: int = 0,
        chunk: int | None = None,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Attribution:
        """Explain a call of the model; ``seed``, ``chunk`` and ``progress`` are those of :func:`ascribe.attribute`.

        Raises MethodError for models whose layers' biases cannot be read, and, for a map, where no picture is among the arguments.
        """
        found = self.of_call(model, as_call(args, kwargs), of, at, {"seed": seed, "chunk": chunk, "progress": progress})
        return replace(found, method=f"{self!r}(model, *inputs, of={found.quantity})")

    @abstractmethod
    def of_call(self, model: Any, call: Call, of: Any, at: Any, asked: dict[str, Any]) -> Attribution:
        """The parts of one call, or what is made of them."""


@dataclass(frozen=True, repr=False)
class FullGradDecomposition(Decomposing):
    """Input x gradient, and bias x gradient at every layer that has a bias: parts that add up to the quantity itself.

    ``values`` is a dict: ``"INPUT"``, then each layer by name in the order in which they run. Batch normalisation counts with its
    implicit bias. The gap is measured against the quantity; a check names the layers that may be the reason. One pass forward,
    one backward, with the gradients of all those layers in memory.
    """

    def of_call(self, model: Any, call: Call, of: Any, at: Any, asked: dict[str, Any]) -> Attribution:
        return decomposed(model, call, of, at, asked)[0]


@dataclass(frozen=True, repr=False)
class FullGrad(Decomposing):
    """A map of :class:`FullGradDecomposition`: every part's size, scaled to [0, 1] in each record, brought to the picture's size, added up.

    ``values`` are ``[records, 1, height, width]``, without sign. Each layer's part is scaled as a whole, as the authors' program
    does. Parts without places (linear layers at the end) are not in the map; a check names them. Gap and checks are those of
    the parts. One pass forward, one backward.
    """

    def of_call(self, model: Any, call: Call, of: Any, at: Any, asked: dict[str, Any]) -> Attribution:
        picture = picture_of(call.args, call.kwargs, None, None)
        if len(picture.size) != 2:
            raise MethodError(
                "FullGrad draws a map on a picture", there="none among the arguments", try_="FullGradDecomposition() for the parts"
            )
        full, places = decomposed(model, call, of, at, asked)
        clues = clues_of(places, picture)
        maps = {name: map_of(part, kind_of(name, places), picture, clues, full.records_axis) for name, part in full.values.items()}
        without = [name for name, drawn in maps.items() if drawn is None]
        checks = (*full.checks, Check("parts", "ok", f"{', '.join(without)}: no places, not in the map" if without else ""))
        total = sum(drawn for drawn in maps.values() if drawn is not None)
        return replace(full, values=total, record=copy_array(looked_at(call.args, call.kwargs)), checks=checks)


def decomposed(model: Any, call: Call, of: Any, at: Any, asked: dict[str, Any]) -> tuple[Attribution, Sequence[Place]]:
    """The parts by name, with the gap between their sum and the quantity; and the places of the model."""
    if at != INPUT:
        raise MethodError("FullGrad is a sum over the input and all layers", there=f"at={at!r}", try_="LayerCam() for one layer")
    places, looked = list_cuts(model, call)  # a layer that it misses would be missing in the sum
    cuts = uses(places)
    biases, bends = biases_of(model, call, list(dict.fromkeys(cut.layer for cut in cuts)))
    cuts = [cut for cut in cuts if cut.layer in biases]
    raw = influence(model, call, of=of, at=[INPUT, *cuts], **asked)
    inputs, *outputs = raw.values
    parts = {"INPUT": product(inputs, raw.record[0])}
    parts |= {name_of(cut): biased(gradient, *biases[cut.layer], raw) for cut, gradient in zip(cuts, outputs, strict=True)}
    gap = gap_of(parts, raw)
    sums = complete(gap, bends)
    if sums.status == "fail":
        warn_user(f"{sums.name}: {sums.detail}")
    checks = (sums, *(check for check in raw.checks if check.name != "completeness"))
    return replace(raw, values=parts, record=None, gap=gap, checks=checks, cost=looked + raw.cost if raw.cost else looked), places


def uses(places: Sequence[Place]) -> list[Cut]:
    """What each layer returns, each use of a shared layer by itself."""
    cuts = []
    for place in places:
        if place.cut.layer and place.cut.anchor == "out":
            cuts += [Cut(place.cut.layer, call=call if place.calls > 1 else None) for call in range(place.calls)]
    return cuts


def name_of(cut: Cut) -> str:
    """A part's name: the layer's, with the number of the use where there are several."""
    return cut.layer if cut.call is None else f"{cut.layer}, use {cut.call}"


def biases_of(model: Any, call: Call, layers: list[str]) -> tuple[dict[str, tuple[Array, int]], list[str]]:
    """Each layer's bias with the axis that its numbers run along, and the layers that are not linear plus a bias.

    Raises MethodError where the model's framework has no way to tell.
    """
    with opened(model, call) as door, door as session:
        return session.biases(layers)


def product(gradients: Any, records: Any) -> Any:
    """Record x gradient, in the structure of the input."""
    held = dict(walk(records))
    return map_leaves(gradients, lambda path, leaf: None if leaf is None else leaf * held[path])


def biased(gradient: Array, bias: Array, axis: int, raw: Attribution) -> Array:
    """Bias x gradient: ``axis`` is that of the channels in ``[records, ...]``."""
    shape = [1] * gradient.ndim
    shape[axis + raw.records_axis if axis >= 0 else axis] = -1
    return gradient * namespace(gradient).asarray(as_numpy(bias), gradient).reshape(shape)


def gap_of(parts: dict[str, Any], raw: Attribution) -> Gap:
    """What the parts' sum misses of the quantity, and that as a share of it."""
    assert raw.explained is not None
    lead = raw.records_axis + 1
    arrays = [as_numpy(leaf).astype(np.float64) for _, leaf in walk(parts) if leaf is not None]
    flat = np.concatenate([array.reshape(*array.shape[:lead], -1) for array in arrays], -1)
    eps = max(namespace(leaf).eps(leaf) for _, leaf in walk(parts) if leaf is not None)
    return compute_gap(flat.sum(-1), np.abs(flat).sum(-1), raw.explained, raw.explained, eps)


def complete(gap: Gap, bends: list[str]) -> Check:
    """Whether the parts add up to the quantity, and which layers may be the reason if they do not."""
    status, records = judge(gap, LIMITS)
    text = f"gap {describe_gaps(gap.relative)}"
    if status in ("ok", "skipped"):
        return Check("completeness", status, text)
    reasons = ", ".join(bends) or "functions, parameters or constants outside layers"
    return Check("completeness", status, f"{text}; neither linear nor a known bias: {reasons}", records)


def kind_of(name: str, places: Sequence[Place]) -> str:
    """The class name of the layer that a part belongs to."""
    return next((place.kind for place in places if place.cut.layer == name.partition(",")[0]), "")


def map_of(part: Any, kind: str, picture: Picture, clues: Clues, ahead: int) -> Array | None:
    """One part as ``[..., records, 1, height, width]``, with ``ahead`` axes before the records; None where it has no places."""
    drawn = None
    for leaf in (leaf for _, leaf in walk(part) if leaf is not None):
        layout = picture.layout(tuple(leaf.shape[ahead:]), kind, clues)
        if layout is not None:
            maps = layout.maps(leaf)
            flat = rescaled(maps.reshape((-1, *maps.shape[-3:]))).sum(1)
            sized = resize_maps(flat, *picture.size).reshape((*maps.shape[:-3], 1, *picture.size))
            drawn = sized if drawn is None else drawn + sized
    return drawn
