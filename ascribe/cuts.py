"""Cuts: positions in a model, given by a layer's dotted path, its input or output, and a part of that value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import CutError

__all__ = ["EMBEDDINGS", "INPUT", "LOGITS", "OUTPUT", "Cut", "JointCut"]

Accessor = int | str | tuple[int | str, ...]
"""Selects a part of a value: an index, a key or attribute, or a tuple of those."""
Anchor = Literal["in", "out"]
"""The input or the output of a layer."""


@dataclass(frozen=True)
class Cut:
    """A position in a model (other libraries: layer) where a value can be read, replaced and differentiated.

    *Use it when* a layer's name is not enough: for the input of a layer, for one of several outputs, for one use of a shared layer.

    >>> Cut("encoder.layer.2")                 # the output of that layer
    Cut('encoder.layer.2')
    >>> Cut("lstm", "out", 0)                  # the first of its outputs
    Cut('lstm', accessor=0)
    >>> Cut("relu", call=1)                    # a layer that is called several times: its second call
    Cut('relu', call=1)

    ``layer`` is the dotted path of the framework; ``""`` is the model itself. ``anchor`` is ``"in"`` for the arguments of the layer and
    ``"out"`` for its output. ``accessor`` selects a part of that value: an int an element of a tuple, a str a key or an attribute, a
    tuple a path of those. ``call`` selects one call of a layer that is called several times, counted from 0; None selects all of them.
    ``op`` is reserved for operations inside a layer; no backend supports it.

    A call that uses the cut raises CutError if the layer, the part or the call does not exist.
    """

    layer: str
    anchor: Anchor = "out"
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
        """Returns the part of this cut that ``accessor`` selects: ``OUTPUT.at("logits")``."""
        return Cut(self.layer, self.anchor, accessor, self.call, self.op)

    @property
    def symbolic(self) -> bool:
        """True if the backend finds the layer (LOGITS, EMBEDDINGS)."""
        return self.layer.startswith("<")


@dataclass(frozen=True, repr=False)
class JointCut(Cut):
    """Several cuts for one quantity, which receives the tuple of their values.

    *Use it when* a quantity depends on more than one layer: ``on=JointCut.of("conv1", "conv2")``.
    """

    others: tuple[Cut, ...] = ()

    @staticmethod
    def of(first: CutLike, *others: CutLike) -> Cut:
        """Returns the joint cut of cuts or layer names; of a single one, that cut."""
        cut = as_cut(first)
        return JointCut(cut.layer, cut.anchor, cut.accessor, cut.call, cut.op, tuple(map(as_cut, others))) if others else cut

    @property
    def each(self) -> tuple[Cut, ...]:
        """The cuts, in order."""
        return (Cut(self.layer, self.anchor, self.accessor, self.call, self.op), *self.others)

    def __repr__(self) -> str:
        return f"cuts.JointCut.of({', '.join(map(repr, self.each))})"


CutLike = Cut | str
"""Accepted by ``at=`` and ``on=``: a cut, or a layer's dotted path, which means the output of that layer."""

INPUT = Cut("", "in")
"""The model's inputs: every floating-point array among its arguments."""
OUTPUT = Cut("", "out")
"""The model's output; its ``logits`` if it is a dictionary or an object that has them."""
LOGITS = Cut("<logits>")
"""The scores before a final softmax or sigmoid."""
EMBEDDINGS = Cut("<embeddings>")
"""The output of the token embedding."""

BY_NAME = {"INPUT": INPUT, "OUTPUT": OUTPUT, "LOGITS": LOGITS, "EMBEDDINGS": EMBEDDINGS}
NAMES: dict[Any, str] = {cut: name for name, cut in BY_NAME.items()}


def each_of(cut: Cut) -> tuple[Cut, ...]:
    """Returns the cuts that a quantity reads: one, or those of a :class:`JointCut`."""
    return cut.each if isinstance(cut, JointCut) else (cut,)


def accessor_path(cut: Cut) -> tuple[int | str, ...]:
    """Returns the accessor of a cut as a path. Paths of arguments begin with 0 (positional) or 1 (keyword)."""
    accessor = cut.accessor
    path: tuple[int | str, ...] = () if accessor is None else accessor if isinstance(accessor, tuple) else (accessor,)
    return (int(isinstance(path[0], str)), *path) if path and cut.anchor == "in" else path


def input_at(path: tuple[int | str, ...]) -> Cut:
    """Returns the cut of one model argument, given its path: (0 positional or 1 keyword, which one, ...)."""
    return INPUT.at(path[1] if len(path) == 2 else path[1:])


def as_cut(at: CutLike | Any) -> Cut:
    """Returns ``at=`` as a cut; a string is the output of that layer.

    Raises CutError for other types and for cuts with invalid fields.
    """
    if at is INPUT or at is OUTPUT:
        return at
    if isinstance(at, Cut):
        if at.op is not None:
            raise CutError("Cuts at operations are not supported", found=f"{at!r}", advice=f"Cut({at.layer!r})", code="E-CUT-OP")
        if at.anchor not in ("in", "out"):
            raise CutError('`anchor=` must be "in" or "out"', found=f"anchor={at.anchor!r}", advice=f"Cut({at.layer!r}, 'in')")
        if not isinstance(at.layer, str):
            raise CutError("`layer` must be the dotted path of a layer", found=f"{at.layer!r}", advice='Cut("encoder.layer.2")')
        if at.call is not None and (isinstance(at.call, bool) or not isinstance(at.call, int)):
            raise CutError("`call=` must be an integer, counted from 0", found=f"call={at.call!r}", advice=f"Cut({at.layer!r}, call=0)")
        steps = at.accessor if isinstance(at.accessor, tuple) else () if at.accessor is None else (at.accessor,)
        if not all(isinstance(step, (int, str)) for step in steps):
            problem, there = "`accessor=` must be an integer, a string, or a tuple of those", f"accessor={at.accessor!r}"
            raise CutError(problem, found=there, advice=f"Cut({at.layer!r}, accessor=0)")
        return at
    if isinstance(at, str):
        return BY_NAME.get(at, Cut(at))
    raise CutError(
        "A cut must be a layer's dotted path or a Cut",
        found=f"an object of type {type(at).__name__}",
        advice="at=next(name for name, module in model.named_modules() if module is layer)"
        if hasattr(at, "forward")
        else 'at="encoder.layer.2", or at=asc.Cut("encoder.layer.2", "in")',
    )
