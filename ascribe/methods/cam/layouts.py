"""Finds the layer of a class activation map, and the layout of its values on the image.

A layer's value is *spatial* when its elements belong to positions of the input: ``[records, channels, height, width]`` (CNNs,
ConvNeXt), ``[records, height, width, channels]`` (Swin), or ``[records, tokens, channels]`` (ViT), with class, distillation or
register tokens in front that belong to no position. Shapes decide, and a few class names of layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ...arrays import Array, is_array, namespace
from ...calls.call import Call
from ...cuts import OUTPUT, Cut
from ...errors import MethodError
from ...features import is_channels_last
from ...tree import walk

Shape = tuple[int, ...]
Grid = tuple[int, ...]

MOST_PREFIX = 9
"""A class token and eight registers; the user names more tokens in front by ``prefix=``."""


class Place(Protocol):
    """An entry of ``cuts_of``: a cut, the class name of its layer, the shapes of its values, and its number of uses."""

    @property
    def cut(self) -> Cut: ...
    @property
    def kind(self) -> str: ...
    @property
    def shapes(self) -> Sequence[Shape]: ...
    @property
    def calls(self) -> int: ...


@dataclass(frozen=True)
class Layout:
    """The layout of a layer's values: their ``grid`` of positions, and the axis of the channels, counted from the end.

    ``prefix`` is the number of tokens before those of the grid; None is a value that is no sequence of tokens. ``records`` is the
    axis of the records: 1 where the tokens come first. ``words`` is the number of tokens after those of the grid.
    """

    grid: Grid
    channels: int
    prefix: int | None = None
    records: int = 0
    words: int = 0

    def maps(self, values: Array) -> Array:
        """Returns values as ``[..., channels, *grid]``, without the tokens that belong to no position."""
        if self.prefix is not None:
            values = namespace(values).moveaxis(values, values.ndim - 3 + self.records, values.ndim - 3)
            values = values[..., self.prefix : self.prefix + math.prod(self.grid), :]  # words may follow
            values = values.reshape((*values.shape[:-2], *self.grid, values.shape[-1]))
        return namespace(values).moveaxis(values, values.ndim + self.channels, values.ndim - len(self.grid) - 1)

    def of(self, shape: Shape) -> Layout | None:
        """Returns this layout if a value of that shape can have it."""
        if self.prefix is not None:
            fits = len(shape) == 3 and self.prefix + math.prod(self.grid) + self.words == shape[1 - self.records]
        else:
            fits = len(shape) == len(self.grid) + 2 and self.grid == (shape[1:-1] if self.channels == -1 else shape[2:])
        return self if fits else None

    def alike(self, shape: Shape) -> Layout | None:
        """Returns this layout with the grid of another use of the layer, which may be smaller."""
        if self.prefix is not None or len(shape) != len(self.grid) + 2:
            return self.of(shape)
        return replace(self, grid=tuple(shape[1:-1] if self.channels == -1 else shape[2:]))

    def __str__(self) -> str:
        size = "x".join(map(str, self.grid))
        if self.prefix is None:
            return f"{size}, channels {'last' if self.channels == -1 else 'first'}"
        return f"{size} tokens after {self.prefix} without a position" if self.prefix else f"{size} tokens"


Choice = tuple[Cut, Layout]


@dataclass(frozen=True)
class LayerClues:
    """Properties of a network's layers that decide layouts.

    ``grids`` are those of the convolutions in execution order. ``first`` and ``last`` are the output shapes (without the records) of
    layers that fix the axis of the channels: the first for convolutions, the last for linear layers.
    """

    grids: tuple[Grid, ...] = ()
    first: frozenset[Shape] = frozenset()
    last: frozenset[Shape] = frozenset()


CONVOLUTION = re.compile(r"Conv\w*?[123][dD]|Conv\w*, channels last$")
AXES = re.compile(r"(?:Conv|Pool|Pooling|Norm)([123])[dD](?:Transpose)?(?:, channels first)?$")
FIRST = re.compile(r"(Conv|Norm|Pool)\w*?[123]d|, channels first$")
LAST = re.compile(r"(Linear|LayerNorm|LayerNormalization|Dense|\w*(Conv|Pooling|Sampling)[123]D\w*|\w+, channels last)$")
"""Kinds of layers whose channels are first or last; Keras writes a capital D, and has channels last unless the kind says otherwise."""


@dataclass(frozen=True)
class ImageInput:
    """The image among the arguments: its number of records, its size (height, width), and the user's hints about token grids.

    ``texts`` are the lengths of token ids among the arguments. ``last`` says that the image itself has its channels last.
    """

    records: int
    size: Grid
    grid: Grid | None = None
    prefix: int | None = None
    texts: frozenset[int] = frozenset()
    last: bool = False

    def layout(self, shape: Shape, kind: str, clues: LayerClues) -> Layout | None:
        """Returns the layout of a value of this shape from a layer of this class; None if it is not spatial.

        Raises MethodError if a sequence of tokens fits several grids.
        """
        rows = (1, self.records)  # cuts_of runs a single record where it can
        if len(shape) == 3 and shape[0] not in rows and shape[1] in rows:
            layout = self.layout((shape[1], shape[0], shape[2]), kind, clues)
            return layout if layout is None or layout.prefix is None else replace(layout, records=1)
        if len(shape) < 3 or shape[0] not in rows:
            return None
        series = len(self.size) == 1
        if len(shape) == len(self.size) + 2 and (clues.grids or not series):
            return self.pixels(shape, kind, clues)
        if len(shape) == 3 and shape[2] > 1 and (self.grid or not series):
            return self.tokens(shape[1], clues.grids)
        return None

    def pixels(self, shape: Shape, kind: str, clues: LayerClues) -> Layout | None:
        """Returns channels first or channels last: as fixed by the layer, or by a layer that returns the same shape.

        Without such a layer, it is the layout that keeps the aspect ratio of the image better, of equals that of the image itself; for a
        series, the one with a length of its convolutions.
        """
        wide = AXES.search(kind)
        if wide is not None and int(wide.group(1)) != len(shape) - 2:  # several images in a record: frames, views
            return None
        first, last = Layout(tuple(shape[2:]), 1 - len(shape)), Layout(tuple(shape[1:-1]), -1)
        if math.prod(first.grid) == 1 or math.prod(last.grid) == 1:  # pooled: no positions left
            return None
        if self.grid is not None:
            return next((layout for layout in (first, last) if layout.grid == self.grid), None)
        if FIRST.search(kind) or LAST.fullmatch(kind):
            return first if FIRST.search(kind) else last
        if (shape[1:] in clues.first) != (shape[1:] in clues.last):
            return first if shape[1:] in clues.first else last
        if len(self.size) == 1:
            return last if last.grid in clues.grids and first.grid not in clues.grids else first
        return min((last, first) if self.last else (first, last), key=lambda layout: self.stride_mismatch(layout.grid))

    def stride_mismatch(self, grid: Grid) -> tuple[bool, float]:
        """Returns whether the grid is finer than the image, and the difference between the strides of its axes."""
        strides = [math.log(whole / part) for whole, part in zip(self.size, grid, strict=True)]
        return min(strides) < 0, round(max(strides) - min(strides), 6)

    def tokens(self, tokens: int, seen: Sequence[Grid]) -> Layout | None:
        """Returns the layout of a sequence of tokens: a grid in ``seen``, a halving of one, or a division of the image of that size."""
        for grids, most in self.candidate_grids(seen):
            fits = {grid: tokens - math.prod(grid) for grid in grids if math.prod(grid) > 1}
            if self.texts and self.prefix is not None:  # words may come after the tokens of the image
                known = {grid: k - self.prefix for grid, k in fits.items() if k >= self.prefix}
                if len(known) == 1:
                    return next(Layout(grid, -1, self.prefix, words=words) for grid, words in known.items())
            if self.prefix is None and (tokens in self.texts or any(0 <= k - n <= most for n in self.texts for k in fits.values())):
                return None  # words among the tokens: no shape shows which are the image's
            fits = {grid: k for grid, k in fits.items() if 0 <= k <= most and self.prefix in (None, k)}
            if len(fits) == 1:
                return next(Layout(grid, -1, prefix) for grid, prefix in fits.items())
            if fits:
                choices = [f"grid={grid}, prefix={k}" for grid, k in fits.items()]
                problem = f"The {tokens} tokens of the layer fit several grids of positions"
                raise MethodError(
                    problem, found=" or ".join(choices), advice=f"asc.GradCam({choices[0]}), the grid as arguments of the method"
                )
        return None

    def candidate_grids(self, seen: Sequence[Grid]) -> Iterator[tuple[Sequence[Grid], int]]:
        """Yields grids, the likeliest first, each with the largest number of tokens before it."""
        most = MOST_PREFIX if self.prefix is None else self.prefix
        if self.grid is not None:
            yield [self.grid], 10**9
            return
        if seen:
            yield seen, most
            halved = [tuple(-(-n // 2**times) for n in seen[0]) for times in range(1, 7)]
            yield list(dict.fromkeys(halved)), 0  # merged patches (Swin) come without a class token
            return
        patches = range(2, max(self.size, default=0) + 1)
        exact = [tuple(n // p for n in self.size) for p in patches if all(n % p == 0 for n in self.size)]
        yield exact, most
        yield list(dict.fromkeys(tuple(max(n // p, 1) for n in self.size) for p in patches)), most


def arrays_of(call: Call) -> list[Array]:
    """Returns the arrays among a model's arguments, without nested tensors, which have no shape."""
    return [leaf for _, leaf in walk((call.args, call.kwargs)) if not getattr(leaf, "is_nested", False) and is_array(leaf)]


def find_image(call: Call) -> Array | None:
    """Returns the image, volume or series among the model's arguments: the first array of floats or bytes with spatial positions."""
    arrays = [a for a in arrays_of(call) if namespace(a).is_floating(a) or str(a.dtype).endswith("uint8")]
    spatial = [leaf for rank in (4, 5, 3) for leaf in arrays if len(leaf.shape) == rank]
    return spatial[0] if spatial else None


def image_input(call: Call, grid: Grid | None, prefix: int | None) -> ImageInput:
    """Returns the description of the image. The size is empty where no argument has spatial positions: a table, token ids."""
    array = find_image(call)
    if array is None:
        counts = [int(leaf.shape[0]) for leaf in arrays_of(call) if len(leaf.shape) > 0]
        return ImageInput(counts[0] if counts else 0, (), grid, prefix)
    records, *rest = map(int, array.shape)
    ids = [leaf for _, leaf in walk((call.args, call.kwargs)) if is_array(leaf) and len(leaf.shape) == 2]
    texts = frozenset(int(leaf.shape[1]) for leaf in ids if not namespace(leaf).is_floating(leaf) and leaf.shape[1] > 1)
    last = is_channels_last(tuple(rest))
    return ImageInput(records, tuple(rest[:-1] if last else rest[1:]), grid, prefix, texts, last)


def collect_clues(places: Sequence[Place], image: ImageInput) -> LayerClues:
    """Returns the properties of the layers that decide layouts."""
    out = [(shape, p.kind) for p in places if p.cut.anchor == "out" for shape in p.shapes]
    convolved = [(shape, kind) for shape, kind in out if CONVOLUTION.search(kind) and len(shape) == len(image.size) + 2]
    grids = [layout.grid for shape, kind in convolved if (layout := image.pixels(shape, kind, LayerClues())) is not None]
    first = frozenset(shape[1:] for shape, kind in out if FIRST.search(kind))
    return LayerClues(tuple(dict.fromkeys(grids)), first, frozenset(shape[1:] for shape, kind in out if LAST.fullmatch(kind)))


def spatial_cuts(places: Sequence[Place], image: ImageInput) -> Iterator[list[Choice]]:
    """Yields the cuts to read a class activation map at, the best first; those in one list are read in one pass.

    The best is the last spatial layer before the network pools or flattens. Where only a class token is read after it, that layer gets no
    gradient at the other tokens: then the input of the last block follows, where the class token still attends to them, and that of the
    blocks before it. In a network whose output is a map, it is the last layer on the coarsest grid.
    """
    within = layers_inside_attention(places)
    inner = [p for p in drop_pooling(places) if p.cut.layer and p.cut.anchor == "out"]
    # Layers inside attention, and layers with several outputs (some perhaps unused), come last; the order is kept.
    inner.sort(key=lambda p: (p.cut.layer not in within, len(p.shapes) == 1))
    clues = collect_clues(places, image)
    shapes = [(p, shape) for p in reversed(inner) for shape in p.shapes]
    found: Iterator[tuple[Place, Shape, Layout]] = (
        (p, shape, layout) for p, shape in shapes if (layout := image.layout(shape, p.kind, clues)) is not None
    )
    if (channels := output_channels(places, image, clues)) is not None:
        maps = [(p, shape, layout) for p, shape, layout in found if channels != shape[layout.channels]]
        found = iter(sorted(maps, key=lambda one: math.prod(one[2].grid)))
    first = next(found, None)
    if first is None:
        return
    place, shape, layout = first
    if not layout.prefix:
        yield from (
            [(cut_of_last_use(p), layout)] for p, layout in drop_nested([(place, layout), *((p, layout) for p, _, layout in found)])
        )
        return
    blocks = order_numbered_first(p for p, other in shapes if other[:-1] == shape[:-1])
    ways_in = [(block_entrance(p, places), layout) for p, layout in drop_nested((p, layout) for p in blocks)]
    yield [(cut_of_last_use(place), layout), *ways_in[:1]]
    yield from ([spot] for spot in ways_in[1:])


def block_entrance(block: Place, places: Sequence[Place]) -> Cut:
    """Returns the output of a block's first norm, or the input of the block if it has none.

    Not the input of the norm: a norm makes the lengths of tokens equal, so activation x gradient adds up to zero before it.
    """
    inside = (p for p in places if p.cut.layer.startswith(block.cut.layer + ".") and p.cut.anchor == "out")
    norm = next(inside, block)
    if "norm" in norm.kind.lower() and norm is not block:
        return cut_of_last_use(norm)
    return Cut(block.cut.layer, "in", call=cut_of_last_use(block).call)


def places_before(places: Sequence[Place], layer: str) -> Sequence[Place]:
    """Returns the places before a layer in execution order; all of them where the layer is the model itself."""
    start = next((i for i, place in enumerate(places) if layer and place.cut.layer == layer), len(places))
    return places[:start]


def order_numbered_first(places: Iterable[Place]) -> list[Place]:
    """Returns the places, those with a number at the end of their name first: repeated blocks have one."""
    return sorted(places, key=lambda p: not p.cut.layer[-1].isdigit())


def cut_of_last_use(place: Place) -> Cut:
    """Returns the cut of a place in the last use of its layer."""
    return place.cut if place.calls == 1 else Cut(place.cut.layer, place.cut.anchor, place.cut.accessor, place.calls - 1)


def output_channels(places: Sequence[Place], image: ImageInput, clues: LayerClues) -> int | None:
    """Returns the number of channels of the model's output if that is a map; else None."""
    for place in places:
        for shape in place.shapes[:1] if place.cut == OUTPUT else ():
            layout = image.pixels(shape, "", clues) if len(shape) == len(image.size) + 2 > 3 else None
            return None if layout is None else shape[layout.channels]
    return None


def drop_nested(found: Iterable[tuple[Place, Layout]]) -> Iterator[tuple[Place, Layout]]:
    """Yields the places without those inside a layer that came before."""
    taken: list[str] = []
    for place, layout in found:
        layer = place.cut.layer
        if not any(layer == other or layer.startswith(other + ".") for other in taken):
            taken.append(layer)
            yield place, layout


def drop_pooling(places: Sequence[Place]) -> Iterator[Place]:
    """Yields the places without poolings, and without containers that return the output of their last pooling."""
    pooled: Place | None = None
    for place in places:
        wraps = pooled is not None and pooled.cut.layer.startswith(place.cut.layer + ".") and pooled.shapes == place.shapes
        if "pool" in place.kind.lower() or wraps:
            pooled = place
        else:
            pooled = None
            yield place


def layers_inside_attention(places: Sequence[Place]) -> set[str]:
    """Returns the layers inside attention layers: their windows, heads and keys look spatial and are not passed on."""
    roots = [p.cut.layer + "." for p in places if "attention" in p.kind.lower() and p.cut.layer]
    return {p.cut.layer for p in places if any(p.cut.layer.startswith(root) for root in roots)}
