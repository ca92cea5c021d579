"""Where in a model: a layer by its dotted path, its input or its output, and which part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import CutError

__all__ = ["EMBEDDINGS", "INPUT", "LOGITS", "OUTPUT", "Cut", "JointCut"]

Accessor = int | str | tuple[int | str, ...]


@dataclass(frozen=True)
class Cut:
    """A place in a model where a value can be read, written and differentiated.

    >>> Cut("encoder.layer.2")                 # what that layer returns
    Cut('encoder.layer.2')
    >>> Cut("lstm", "out", 0)                  # the first of the things it returns
    Cut('lstm', accessor=0)
    >>> Cut("relu", call=1)                    # a layer used several times: its second use
    Cut('relu', call=1)

    ``layer`` is the dotted path that the framework itself uses (``""`` is the model). ``anchor`` is ``"in"`` for what the
    layer is called with and ``"out"`` for what it returns. ``accessor`` picks from a tuple (int), a dict or an object
    (str), or goes down a path of those (tuple). ``call`` picks one use of a layer that is used several times; ``None``
    takes them all. ``op`` will name an operation inside the layer; no backend has it yet.
    """

    layer: str
    anchor: Literal["in", "out"] = "out"
    accessor: Accessor | None = None
    call: int | None = None
    op: str | None = None

    def __repr__(self) -> str:
        if self in NAMES:
            return NAMES[self]
        parts = [repr(self.layer)]
        parts += [repr(self.anchor)] if self.anchor != "out" else []
        parts += [f"{name}={value!r}" for name in ("accessor", "call", "op") if (value := getattr(self, name)) is not None]
        return f"Cut({', '.join(parts)})"

    def at(self, accessor: Accessor) -> Cut:
        """The part of this cut that ``accessor`` picks: ``OUTPUT.at("logits")``."""
        return Cut(self.layer, self.anchor, accessor, self.call, self.op)

    @property
    def symbolic(self) -> bool:
        """Whether the backend has to find the layer (LOGITS, EMBEDDINGS)."""
        return self.layer.startswith("<")


@dataclass(frozen=True, repr=False)
class JointCut(Cut):
    """Several places for one quantity, which is given the tuple of their values: ``JointCut.of("conv1", "conv2")`` as its ``on=``."""

    others: tuple[Cut, ...] = ()

    @staticmethod
    def of(first: Any, *others: Any) -> Cut:
        """The places given; one alone is itself."""
        cut = as_cut(first)
        return JointCut(cut.layer, cut.anchor, cut.accessor, cut.call, cut.op, tuple(map(as_cut, others))) if others else cut

    @property
    def each(self) -> tuple[Cut, ...]:
        return (Cut(self.layer, self.anchor, self.accessor, self.call, self.op), *self.others)

    def __repr__(self) -> str:
        return f"cuts.JointCut.of({', '.join(map(repr, self.each))})"


CutLike = Cut | str
"""What ``at=`` and ``on=`` accept: a cut, or the dotted name of a layer for its output."""

INPUT = Cut("", "in")
"""What the model is called with: every floating tensor among its arguments."""
OUTPUT = Cut("", "out")
"""What the model returns; of a dictionary or an object with ``logits``, those."""
LOGITS = Cut("<logits>")
"""The scores before a final softmax or sigmoid."""
EMBEDDINGS = Cut("<embeddings>")
"""What the token embedding returns."""

BY_NAME = {"INPUT": INPUT, "OUTPUT": OUTPUT, "LOGITS": LOGITS, "EMBEDDINGS": EMBEDDINGS}
NAMES: dict[Any, str] = {cut: name for name, cut in BY_NAME.items()}


def each_of(cut: Cut) -> tuple[Cut, ...]:
    """The places that a quantity looks at: one, or several together."""
    return cut.each if isinstance(cut, JointCut) else (cut,)


def accessor_path(cut: Cut) -> tuple[int | str, ...]:
    """A cut's accessor as a path; an argument of a layer or the model begins with 0 if it is positional, with 1 if it is a keyword."""
    accessor = cut.accessor
    path: tuple[int | str, ...] = () if accessor is None else accessor if isinstance(accessor, tuple) else (accessor,)
    return (int(isinstance(path[0], str)), *path) if path and cut.anchor == "in" else path


def input_at(path: tuple[int | str, ...]) -> Cut:
    """One of the model's arguments as a cut, from its path: (positional or keyword, which one, ...)."""
    return INPUT.at(path[1] if len(path) == 2 else path[1:])


def as_cut(at: Any) -> Cut:
    """``at=`` as a cut: a string is a layer's output. Raises CutError for anything else that is not one."""
    if at is INPUT or at is OUTPUT:
        return at
    if isinstance(at, Cut):
        if at.op is not None:
            raise CutError(f"{at!r} names an operation", there="cuts at layers", try_="the layer around it", code="E-CUT-OP")
        if at.anchor not in ("in", "out"):
            raise CutError(f"anchor {at.anchor!r}", there='"in" and "out"')
        if not isinstance(at.layer, str):
            raise CutError(f"layer {at.layer!r}", try_='its dotted name, such as "encoder.layer.2"')
        if at.call is not None and (isinstance(at.call, bool) or not isinstance(at.call, int)):
            raise CutError(f"call={at.call!r}", try_="which use of the layer, counted from 0")
        steps = at.accessor if isinstance(at.accessor, tuple) else () if at.accessor is None else (at.accessor,)
        if not all(isinstance(step, (int, str)) for step in steps):
            raise CutError(f"accessor={at.accessor!r}", try_="a number, a name, or a tuple of those")
        return at
    if isinstance(at, str):
        return BY_NAME.get(at, Cut(at))
    raise CutError(
        f"at={type(at).__name__} is not a place",
        try_="the layer's name: next(name for name, module in model.named_modules() if module is layer)"
        if hasattr(at, "forward")
        else 'a layer by its dotted name, such as "encoder.layer.2", or a Cut',
    )
