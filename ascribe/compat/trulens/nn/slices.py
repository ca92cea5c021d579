"""``trulens.nn.slices``: cuts by trulens' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ....cuts import Accessor
from ....errors import CutError
from ..utils.typing import om_of_many

Anchor = Literal["in", "out"]


class CutNameError(CutError, ValueError, AssertionError):
    """There is no such cut (a ValueError; for an anchor an AssertionError, as in trulens)."""


class Cut:
    """A layer, or several, by name or number.

    ``name`` is a dotted path, a path joined with ``_``, a number that counts the layers without children (negative from the end), or a
    list of these. ``anchor`` is ``"in"`` or ``"out"``. ``accessor`` is a function that selects a part of the value. Raises CutNameError
    for other anchors.
    """

    def __init__(self, name: Any, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        if anchor not in ("in", "out"):
            raise CutNameError("The anchor of a cut must be `in` or `out`", found=f"anchor={anchor!r}", advice='"in" or "out"')
        self.name, self.accessor = name, accessor
        self.anchor: Anchor = anchor

    def __repr__(self) -> str:
        shown = [] if isinstance(self, InputCut | OutputCut | LogitCut) else [repr(self.name)]
        return (
            f"{type(self).__name__}({', '.join([*shown, repr(self.anchor)])}{'' if self.accessor is None else ', ' + repr(self.accessor)})"
        )

    def access_layer(self, layer: Any) -> Any:
        """Returns the part of a value that the cut means: the only entry of a list, then the accessor's part."""
        return self.access(om_of_many(layer))

    def access(self, value: Any) -> Any:
        """Returns the part of a value that the accessor selects."""
        return value if self.accessor is None else self.accessor(value)


class InputCut(Cut):
    """The model's input."""

    def __init__(self, anchor: Anchor = "in", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class OutputCut(Cut):
    """The model's output."""

    def __init__(self, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class LogitCut(Cut):
    """The scores before the last softmax: the wrapper's logit layer, a layer called ``logits``, or the input of the softmax."""

    def __init__(self, anchor: Anchor = "out", accessor: Callable[[Any], Any] | None = None) -> None:
        super().__init__(None, anchor, accessor)


class Slice:
    """The part of a network between two cuts."""

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
    """Returns a slice from a slice, a cut or a pair of cuts. Raises CutNameError for anything else."""
    if isinstance(cuts, Slice):
        return cuts
    if not isinstance(cuts, (list, tuple)):
        return Slice(as_cut(cuts, InputCut()), OutputCut())
    if len(cuts) != 2:
        raise CutNameError("A slice is a pair of cuts", found=f"{len(cuts)} cuts", advice="(InputCut(), LogitCut())")
    return Slice(as_cut(cuts[0], InputCut()), as_cut(cuts[1], OutputCut()))


def as_cut(cut: Any, default: Cut) -> Cut:
    """Returns a cut from its name or number; None, and 0 at the start of a slice, are the default.

    Raises CutNameError for anything else.
    """
    if isinstance(cut, Cut):
        return cut
    if cut is None or (isinstance(default, InputCut) and isinstance(cut, int) and cut == 0):
        return default
    if isinstance(cut, bool) or not isinstance(cut, (int, str)):
        raise CutNameError("A cut is a Cut, or a layer's name or number", found=f"a {type(cut).__name__}", advice='Cut("layer3")')
    return Cut(cut)


class AccessorProbe:
    """Records the path that an accessor selects."""

    def __init__(self, path: tuple[Any, ...] = ()) -> None:
        self.__path = path

    def __getitem__(self, key: Any) -> AccessorProbe:
        return AccessorProbe((*self.__path, key))

    def __getattr__(self, name: str) -> AccessorProbe:
        if name.startswith("__"):
            raise AttributeError(name)
        return AccessorProbe((*self.__path, name))

    @staticmethod
    def path(probe: Any) -> tuple[Any, ...] | None:
        """Returns the recorded path; None if it is not made of integers and names."""
        found = probe.__path if isinstance(probe, AccessorProbe) else None
        return found if found is not None and all(isinstance(key, int | str) for key in found) else None


def accessor_path(cut: Cut) -> Accessor | None:
    """Returns the part that a cut's accessor selects, as a path.

    Raises CutNameError if it does more than select a part: such a part cannot be set or differentiated.
    """
    if cut.accessor is None:
        return None
    try:
        path = AccessorProbe.path(cut.accessor(AccessorProbe()))
    except Exception:  # whatever a function raises that was written for arrays
        path = None
    if path is None:
        what, advice = "An accessor may only select a part of the value", 'lambda value: value[0], or value["logits"]'
        raise CutNameError(what, found=f"the accessor of {cut!r}", advice=advice)
    return path or None
