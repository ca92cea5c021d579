"""``trulens.nn.slices``: where in a model, by the names that trulens gave to places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ....cuts import Accessor
from ....errors import CutError
from ..utils.typing import om_of_many

Anchor = Literal["in", "out"]


class CutNameError(CutError, ValueError, AssertionError):
    """No such place; what trulens raised for it was a ValueError, or for an anchor an AssertionError."""


class Cut:
    """A layer, or several, by name or by number.

    ``name`` is a layer's path with dots as the framework has it, or joined with ``_`` as trulens had it; a number counts the layers
    that have none inside them, from the front or from the end; a list of these are several layers. ``anchor`` is ``"in"`` or
    ``"out"``, ``accessor`` a function that picks a part of the value. Raises CutNameError for another anchor.
    """

    def __init__(self, name: Any, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        if anchor not in ("in", "out"):
            raise CutNameError(f"anchor={anchor!r}", there='"in" and "out"')
        self.name, self.accessor = name, accessor
        self.anchor: Anchor = anchor

    def __repr__(self) -> str:
        shown = [] if isinstance(self, InputCut | OutputCut | LogitCut) else [repr(self.name)]
        return (
            f"{type(self).__name__}({', '.join([*shown, repr(self.anchor)])}{'' if self.accessor is None else ', ' + repr(self.accessor)})"
        )

    def access_layer(self, layer: Any) -> Any:
        """The part of a value that the cut means: of a list of one its entry, and of that what the accessor picks."""
        return self.access(om_of_many(layer))

    def access(self, value: Any) -> Any:
        """What the accessor picks of a value."""
        return value if self.accessor is None else self.accessor(value)


class InputCut(Cut):
    """What the model is called with."""

    def __init__(self, anchor: Anchor = "in", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class OutputCut(Cut):
    """What the model returns."""

    def __init__(self, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class LogitCut(Cut):
    """The scores before the last softmax: the layer named to the wrapper, one called ``logits``, or what goes into the softmax."""

    def __init__(self, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class Slice:
    """The part of a network from one cut to another."""

    def __init__(self, from_cut: Cut, to_cut: Cut) -> None:
        self._from_cut, self._to_cut = from_cut, to_cut

    @property
    def from_cut(self) -> Cut:
        return self._from_cut

    @property
    def to_cut(self) -> Cut:
        return self._to_cut

    @staticmethod
    def full_network() -> Slice:
        """From the input to the output."""
        return Slice(InputCut(), OutputCut())


def as_slice(cuts: Any) -> Slice:
    """A slice, a place to attribute to, or a pair of places. Raises CutNameError for anything else."""
    if isinstance(cuts, Slice):
        return cuts
    if not isinstance(cuts, (list, tuple)):
        return Slice(as_cut(cuts, InputCut()), OutputCut())
    if len(cuts) != 2:
        raise CutNameError(f"{len(cuts)} cuts", there="a pair of them, from where to where", try_="(InputCut(), LogitCut())")
    return Slice(as_cut(cuts[0], InputCut()), as_cut(cuts[1], OutputCut()))


def as_cut(cut: Any, default: Cut) -> Cut:
    """A cut by its name or number; None is the default, and so is 0 at the start of a slice.

    Raises CutNameError for what is no name.
    """
    if isinstance(cut, Cut):
        return cut
    if cut is None or (isinstance(default, InputCut) and isinstance(cut, int) and cut == 0):
        return default
    if isinstance(cut, bool) or not isinstance(cut, (int, str)):
        raise CutNameError(f"a cut of type {type(cut).__name__}", try_="a Cut, a layer's name or its number")
    return Cut(cut)


class Probe:
    """Stands for a value to learn which part of it an accessor picks."""

    def __init__(self, path: tuple[Any, ...] = ()) -> None:
        self.__path = path

    def __getitem__(self, key: Any) -> Probe:
        return Probe((*self.__path, key))

    def __getattr__(self, name: str) -> Probe:
        if name.startswith("__"):
            raise AttributeError(name)
        return Probe((*self.__path, name))

    @staticmethod
    def path(probe: Any) -> tuple[Any, ...] | None:
        """The way that was gone, where it leads by numbers and names alone."""
        found = probe.__path if isinstance(probe, Probe) else None
        return found if found is not None and all(isinstance(key, int | str) for key in found) else None


def path_of(cut: Cut) -> Accessor | None:
    """The part that a cut's accessor picks, as a path.

    Raises CutNameError where it does more than to pick: at such a part nothing can be written or differentiated.
    """
    if cut.accessor is None:
        return None
    try:
        path = Probe.path(cut.accessor(Probe()))
    except Exception:  # whatever a function raises that was written for arrays
        path = None
    if path is None:
        raise CutNameError(f"the accessor of {cut!r} does more than to pick a part", try_='lambda value: value[0], or value["logits"]')
    return path or None
