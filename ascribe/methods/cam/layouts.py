"""Where a class activation map is read: the layer, and how its values lie on the picture.

A layer's value is *spatial* when its numbers belong to places in the input: ``[records, channels, height, width]`` (CNNs,
ConvNeXt), ``[records, height, width, channels]`` (Swin), or ``[records, tokens, channels]`` (ViT), with class, distillation or
register tokens in front that belong to no place. Shapes decide here, and nothing else does but a few layer class names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...arrays import is_array, namespace
from ...cuts import OUTPUT, Cut
from ...errors import MethodError
from ...features import is_channels_last
from ...tree import walk

Array = Any
Shape = tuple[int, ...]
Grid = tuple[int, ...]

MOST_PREFIX = 9  # a class token and eight registers: more tokens than that in front have to be named by the user


class Place(Protocol):
    """What ``cuts_of`` lists."""

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
    """How a layer's values lie on the input: on what ``grid``, with the channels at which axis, counted from the end.

    ``prefix`` is the number of tokens before the grid's own; None says that the value is no sequence of tokens. ``records`` is the
    axis of the records: 1 where the tokens come first, ``words`` the number of tokens behind the grid's.
    """

    grid: Grid
    channels: int
    prefix: int | None = None
    records: int = 0
    words: int = 0

    def maps(self, values: Array) -> Array:
        """``values`` as ``[..., channels, *grid]``, without the tokens that belong to no place."""
        if self.prefix is not None:
            values = namespace(values).moveaxis(values, values.ndim - 3 + self.records, values.ndim - 3)
            values = values[..., self.prefix : self.prefix + math.prod(self.grid), :]  # words may follow
            values = values.reshape((*values.shape[:-2], *self.grid, values.shape[-1]))
        return namespace(values).moveaxis(values, values.ndim + self.channels, values.ndim - len(self.grid) - 1)

    def of(self, shape: Shape) -> Layout | None:
        """This layout, if a value of that shape can lie like that."""
        if self.prefix is not None:
            fits = len(shape) == 3 and self.prefix + math.prod(self.grid) + self.words == shape[1 - self.records]
        else:
            fits = len(shape) == len(self.grid) + 2 and self.grid == (shape[1:-1] if self.channels == -1 else shape[2:])
        return self if fits else None

    def alike(self, shape: Shape) -> Layout | None:
        """This layout with the grid of another use of the layer, which may be smaller."""
        if self.prefix is not None or len(shape) != len(self.grid) + 2:
            return self.of(shape)
        return replace(self, grid=tuple(shape[1:-1] if self.channels == -1 else shape[2:]))

    def __str__(self) -> str:
        size = "x".join(map(str, self.grid))
        if self.prefix is None:
            return f"{size}, channels {'last' if self.channels == -1 else 'first'}"
        return f"{size} tokens after {self.prefix} that belong to no place" if self.prefix else f"{size} tokens"


Choice = tuple[Cut, Layout]


@dataclass(frozen=True)
class Clues:
    """What the layers of a network tell about its values: the grids of its convolutions, in the order in which they come, and the
    shapes (without the records) that layers which fix the axis of the channels return: first for convolutions, last for others.
    """

    grids: tuple[Grid, ...] = ()
    first: frozenset[Shape] = frozenset()
    last: frozenset[Shape] = frozenset()


CONVOLUTION = re.compile(r"Conv\w*?[123]d")
AXES = re.compile(r"(?:Conv|Pool|Norm)([123])d$")
FIRST, LAST = re.compile(r"(Conv|Norm|Pool)\w*?[123]d"), re.compile(r"(Linear|LayerNorm)$")


@dataclass(frozen=True)
class Picture:
    """What the model is given to look at: how many records, of what size (height, width), and the hints about token grids.

    ``texts`` are the lengths of token ids that go in beside it.
    """

    records: int
    size: Grid
    grid: Grid | None = None
    prefix: int | None = None
    texts: frozenset[int] = frozenset()

    def layout(self, shape: Shape, kind: str, clues: Clues) -> Layout | None:
        """How a value of this shape, returned by this kind of layer, lies on the picture; None if it does not.

        Raises MethodError if a sequence of tokens could lie there in several ways.
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

    def pixels(self, shape: Shape, kind: str, clues: Clues) -> Layout | None:
        """Channels first or channels last: as the layer itself, or one that returns the same shape, makes sure.

        Without such a layer, what keeps the picture's aspect ratio better; of a series, what has a length of its convolutions.
        """
        wide = AXES.search(kind)
        if wide is not None and int(wide.group(1)) != len(shape) - 2:  # pictures of a record beside each other: frames, views
            return None
        first, last = Layout(tuple(shape[2:]), 1 - len(shape)), Layout(tuple(shape[1:-1]), -1)
        if math.prod(first.grid) == 1 or math.prod(last.grid) == 1:  # pooled: no places left
            return None
        if self.grid is not None:
            return next((layout for layout in (first, last) if layout.grid == self.grid), None)
        if FIRST.search(kind) or LAST.fullmatch(kind):
            return first if FIRST.search(kind) else last
        if (shape[1:] in clues.first) != (shape[1:] in clues.last):
            return first if shape[1:] in clues.first else last
        if len(self.size) == 1:
            return last if last.grid in clues.grids and first.grid not in clues.grids else first
        return min((first, last), key=lambda layout: self.misfit(layout.grid))

    def misfit(self, grid: Grid) -> tuple[bool, float]:
        """Whether the grid is finer than the picture, and by how much its axes' strides differ."""
        strides = [math.log(whole / part) for whole, part in zip(self.size, grid, strict=True)]
        return min(strides) < 0, round(max(strides) - min(strides), 6)

    def tokens(self, tokens: int, seen: Sequence[Grid]) -> Layout | None:
        """A sequence of tokens: the grid among ``seen``, its halvings, or the picture's own divisions, that the count fits."""
        for grids, most in self.guesses(seen):
            fits = {grid: tokens - math.prod(grid) for grid in grids if math.prod(grid) > 1}
            if self.texts and self.prefix is not None:  # words may stand behind the picture's tokens
                known = {grid: k - self.prefix for grid, k in fits.items() if k >= self.prefix}
                if len(known) == 1:
                    return next(Layout(grid, -1, self.prefix, words=words) for grid, words in known.items())
            if self.prefix is None and (tokens in self.texts or any(0 <= k - n <= most for n in self.texts for k in fits.values())):
                return None  # words among the tokens: no shape says where the picture's are
            fits = {grid: k for grid, k in fits.items() if 0 <= k <= most and self.prefix in (None, k)}
            if len(fits) == 1:
                return next(Layout(grid, -1, prefix) for grid, prefix in fits.items())
            if fits:
                choices = " or ".join(f"grid={grid}, prefix={k}" for grid, k in fits.items())
                raise MethodError(f"{tokens} tokens fit several grids", there=choices, try_="one of them as arguments of the method")
        return None

    def guesses(self, seen: Sequence[Grid]) -> Iterator[tuple[Sequence[Grid], int]]:
        """Grids by how much speaks for them, each with the most tokens that may stand before it."""
        most = MOST_PREFIX if self.prefix is None else self.prefix
        if self.grid is not None:
            yield [self.grid], 10**9
            return
        if seen:
            yield seen, most
            halved = [tuple(-(-n // 2**times) for n in seen[0]) for times in range(1, 7)]
            yield list(dict.fromkeys(halved)), 0  # merged patches (Swin): no class token is known to come with them
            return
        patches = range(2, max(self.size, default=0) + 1)
        exact = [tuple(n // p for n in self.size) for p in patches if all(n % p == 0 for n in self.size)]
        yield exact, most
        yield list(dict.fromkeys(tuple(max(n // p, 1) for n in self.size) for p in patches)), most


def arrays_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Array]:
    """The arrays among a model's arguments, without nested tensors, which have no shape."""
    return [leaf for _, leaf in walk((args, dict(kwargs))) if not getattr(leaf, "is_nested", False) and is_array(leaf)]


def looked_at(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Array | None:
    """The first array of floating numbers or bytes among the model's arguments that has places: a picture, a volume or a series."""
    arrays = [a for a in arrays_of(args, kwargs) if namespace(a).is_floating(a) or str(a.dtype).endswith("uint8")]
    with_places = [leaf for rank in (4, 5, 3) for leaf in arrays if len(leaf.shape) == rank]
    return with_places[0] if with_places else None


def picture_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], grid: Grid | None, prefix: int | None) -> Picture:
    """What the model is given to look at. The size is empty where nothing has places: a table, token ids."""
    array = looked_at(args, kwargs)
    if array is None:
        counts = [int(leaf.shape[0]) for leaf in arrays_of(args, kwargs) if len(leaf.shape) > 0]
        return Picture(counts[0] if counts else 0, (), grid, prefix)
    records, *rest = map(int, array.shape)
    ids = [leaf for _, leaf in walk((args, dict(kwargs))) if is_array(leaf) and len(leaf.shape) == 2]
    texts = frozenset(int(leaf.shape[1]) for leaf in ids if not namespace(leaf).is_floating(leaf) and leaf.shape[1] > 1)
    return Picture(records, tuple(rest[:-1] if is_channels_last(tuple(rest)) else rest[1:]), grid, prefix, texts)


def clues_of(places: Sequence[Place], picture: Picture) -> Clues:
    """What the layers passed tell."""
    out = [(shape, p.kind) for p in places if p.cut.anchor == "out" for shape in p.shapes]
    convolved = [shape for shape, kind in out if CONVOLUTION.search(kind) and len(shape) == len(picture.size) + 2]
    grids = [layout.grid for shape in convolved if (layout := picture.pixels(shape, f"Conv{len(picture.size)}d", Clues())) is not None]
    first = frozenset(shape[1:] for shape, kind in out if FIRST.search(kind))
    return Clues(tuple(dict.fromkeys(grids)), first, frozenset(shape[1:] for shape, kind in out if LAST.fullmatch(kind)))


def spatial_places(places: Sequence[Place], picture: Picture) -> Iterator[list[Choice]]:
    """The places to read a class activation map at, best first; those in one list are worth reading in one pass.

    That is the last spatial place before the network pools or flattens. Where only a class token is read behind it, the last place
    is of no use: no gradient arrives at the others. Then it is the entrance of the last block, where the class token still looks
    at them, and the blocks before it. In a network whose output is itself a map, it is the last place of the coarsest grid.
    """
    within = attention_insides(places)
    inner = [p for p in unpooled(places) if p.cut.layer and p.cut.anchor == "out"]
    # What lies inside attention, and what is returned beside something else (perhaps unused), is taken last; the order is kept.
    inner.sort(key=lambda p: (p.cut.layer not in within, len(p.shapes) == 1))
    clues = clues_of(places, picture)
    shapes = [(p, shape) for p in reversed(inner) for shape in p.shapes]
    found: Iterator[tuple[Place, Shape, Layout]] = (
        (p, shape, layout) for p, shape in shapes if (layout := picture.layout(shape, p.kind, clues)) is not None
    )
    if (channels := dense_channels(places, picture, clues)) is not None:
        maps = [(p, shape, layout) for p, shape, layout in found if channels != shape[layout.channels]]
        found = iter(sorted(maps, key=lambda one: math.prod(one[2].grid)))
    first = next(found, None)
    if first is None:
        return
    place, shape, layout = first
    if not layout.prefix:
        yield from ([(last_use(p), layout)] for p, layout in outermost([(place, layout), *((p, layout) for p, _, layout in found)]))
        return
    blocks = numbered(p for p, other in shapes if other[:-1] == shape[:-1])
    ways_in = [(entrance(p, places), layout) for p, layout in outermost((p, layout) for p in blocks)]
    yield [(last_use(place), layout), *ways_in[:1]]
    yield from ([spot] for spot in ways_in[1:])


def entrance(block: Place, places: Sequence[Place]) -> Cut:
    """What a block's first norm returns, or else what goes into the block.

    Not what goes into the norm: that makes its tokens' lengths the same, so activation x gradient adds up to zero before it.
    """
    inside = (p for p in places if p.cut.layer.startswith(block.cut.layer + ".") and p.cut.anchor == "out")
    norm = next(inside, block)
    if "norm" in norm.kind.lower() and norm is not block:
        return last_use(norm)
    return Cut(block.cut.layer, "in", call=last_use(block).call)


def before(places: Sequence[Place], layer: str) -> Sequence[Place]:
    """The places passed before the model comes to a layer; all of them where the layer is the model itself."""
    start = next((i for i, place in enumerate(places) if layer and place.cut.layer == layer), len(places))
    return places[:start]


def numbered(places: Iterable[Place]) -> list[Place]:
    """The same places, those with a number at the end of their name first: repeated blocks have one."""
    return sorted(places, key=lambda p: not p.cut.layer[-1].isdigit())


def last_use(place: Place) -> Cut:
    """The place in the last use of its layer."""
    return place.cut if place.calls == 1 else Cut(place.cut.layer, place.cut.anchor, place.cut.accessor, place.calls - 1)


def dense_channels(places: Sequence[Place], picture: Picture, clues: Clues) -> int | None:
    """How many channels the model's output has, if that is a map of its own; else None."""
    for place in places:
        for shape in place.shapes[:1] if place.cut == OUTPUT else ():
            layout = picture.pixels(shape, "", clues) if len(shape) == len(picture.size) + 2 > 3 else None
            return None if layout is None else shape[layout.channels]
    return None


def outermost(found: Iterable[tuple[Place, Layout]]) -> Iterator[tuple[Place, Layout]]:
    """Without the layers that lie within a layer that came before."""
    taken: list[str] = []
    for place, layout in found:
        layer = place.cut.layer
        if not any(layer == other or layer.startswith(other + ".") for other in taken):
            taken.append(layer)
            yield place, layout


def unpooled(places: Sequence[Place]) -> Iterator[Place]:
    """The places but for poolings, and for containers that return what their last pooling returned."""
    pooled: Place | None = None
    for place in places:
        wraps = pooled is not None and pooled.cut.layer.startswith(place.cut.layer + ".") and pooled.shapes == place.shapes
        if "pool" in place.kind.lower() or wraps:
            pooled = place
        else:
            pooled = None
            yield place


def attention_insides(places: Sequence[Place]) -> set[str]:
    """The layers inside attention layers: windows, heads and shortened keys look spatial, and are not what goes on from there."""
    roots = [p.cut.layer + "." for p in places if "attention" in p.kind.lower() and p.cut.layer]
    return {p.cut.layer for p in places if any(p.cut.layer.startswith(root) for root in roots)}
