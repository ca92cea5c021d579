"""The tape: values, operations, and the protocol through which they ask the framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

from ..arrays import Array, Namespace


@dataclass(frozen=True)
class Operation:
    """A row of a framework's table of operations: what is known of an operation whatever its arguments.

    ``form`` is its neutral name, by which formulas are found; several operations of a framework may share one. ``kind`` is one of
    :data:`ascribe.rules.books.KINDS`, or ``"other"``.
    """

    form: str
    kind: str = "other"
    pointwise: bool = False
    """Works element by element and returns one array."""
    additive: bool = False
    """Element-wise, and linear in all its inputs together."""
    smooth: bool = False
    """Element-wise, without kinks and steps."""
    from_zero: bool = False
    """Element-wise, and zero at zero."""
    same: bool = False
    """Returns its input."""
    view: bool = False
    """Reshapes: the same elements in the same order."""
    rearranges: bool = False
    """The same elements in another order, unless it leaves some out."""
    moves: bool = False
    """Moves or repeats elements and does not change them, so that relevance moves back unchanged."""
    conserves: bool = False
    """With one input on the tape, the relevance that it passes on is the relevance that it received."""
    passes: tuple[int, ...] | None = None
    """Positions of the arguments that relevance can pass to; None for all."""
    linear_in: tuple[int, ...] | None = None
    """Positions of the arguments in which it is linear together, where not in all."""


class Framework(Protocol):
    """What a framework implements so that rules run on its models, in addition to writing the tape."""

    name: str
    """The name of the framework in messages."""
    xp: Namespace
    """Its array functions."""
    formulas: Mapping[tuple[str, str], Mapping[str, Callable[[Any], Any]]]
    """Formulas of its own by kind and treatment, then by form. They replace the neutral ones."""
    kernels: Mapping[str, Callable[..., Any]]
    """Faster versions of neutral functions, by name (:mod:`ascribe.tape.kernels`). May be empty."""

    def __hash__(self) -> int: ...

    def operation(self, call: Any, name: str) -> Operation:
        """The row of an operation in the framework's table."""

    def arguments(self, entry: Entry) -> tuple[Any, ...] | None:
        """An entry's arguments as its form takes them (:mod:`ascribe.tape.formulas`); None where the form does not cover this call."""

    def again(self, entry: Entry, values: Callable[[Var], Array]) -> list[Any]:
        """The results of the operation at other values; choices (sorting, top-k) marked ``fixed`` are those of the record."""

    def pull(self, function: Callable[..., Sequence[Any]], at: Sequence[Array], back: Sequence[Array | None]) -> list[Array | None]:
        """The vector-Jacobian product of a function of arrays; None for inputs that it does not depend on.

        Raises NotImplementedError for an operation without a derivative.
        """

    def layer(self, entry: Entry) -> Any:
        """A convolution with a fixed kernel as a :class:`ascribe.tape.formulas.layers.Layer`; None for anything else."""


class Var:
    """A value on the tape: an array that depends on the explained inputs.

    ``kind`` is the NumPy letter of its type: f(loat), c(omplex), i(nteger), b(oolean). ``root`` is the value that it is an element-wise
    function of, ``linear`` the value that it is a linear step of (itself where there is none). ``rank`` says how relevance reaches a
    requested cut from here (:mod:`.gates`), ``settled`` that the rank is final; ``kept`` that it is requested itself. ``held`` is the
    array, where the tape keeps it.
    """

    __slots__ = ("dtype", "entry", "held", "kept", "kind", "linear", "rank", "root", "settled", "shape", "slot")

    def __init__(self, like: Any, entry: Entry | None, slot: int = 0, kind: str = "f") -> None:
        self.shape: tuple[int, ...] = like.shape
        self.dtype: Any = like.dtype
        self.kind = kind
        self.held: Array | None = None
        self.entry, self.slot = entry, slot
        self.root: Var = self
        self.linear: Var = self
        self.rank = 0
        self.settled = self.kept = False

    @property
    def value(self) -> Array:
        """Its array; computed again if the tape does not keep it."""
        return self.held if self.held is not None else computed(self)

    @property
    def wanted(self) -> bool:
        """True if it leads to a requested cut."""
        return self.rank > 0

    @property
    def continuous(self) -> bool:
        """True for real and complex numbers."""
        return self.kind in "fc"

    @property
    def size(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


@dataclass(eq=False)
class Entry:
    """One operation: the call with its arguments (values on the tape as :class:`Var`), and its results.

    ``place`` is the path of the module in which it ran; ``fixed`` says that later operations rely on what it chose, which then stays as
    it is for the record.
    """

    call: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    ins: list[Var]
    framework: Framework
    outs: list[Var | None] = field(default_factory=list)
    place: str = ""
    fixed: bool = False

    def __post_init__(self) -> None:
        self.op = self.framework.operation(self.call, self.name)

    def become(self, call: Any, name: str, args: tuple[Any, ...], ins: list[Var]) -> None:
        """Turn it into another operation with the same result."""
        self.call, self.name, self.args, self.kwargs, self.ins = call, name, args, {}, ins
        self.op = self.framework.operation(call, name)

    def out(self, slot: int = 0) -> Var:
        """A result that is an array."""
        var = self.outs[slot]
        assert var is not None
        return var

    def arg(self, position: int, name: str = "", default: Any = None) -> Any:
        """An argument by position or by name, or its default."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    @property
    def where(self) -> str:
        """Its name and the module that it ran in."""
        return f"{self.name} in {self.place}" if self.place else self.name


@dataclass
class Tape:
    """The operations of one run in order, and the values that the run started from.

    ``opaque`` counts operations whose effect is hidden, ``choices`` those that depend on the record. ``end`` is where the model ends and
    the reading of the quantity begins, ``routed`` says that the model made choices. ``before`` counts the layers that ran before anything
    was on the tape.
    """

    entries: list[Entry] = field(default_factory=list)
    sources: list[Var] = field(default_factory=list)
    opaque: dict[str, int] = field(default_factory=dict)
    choices: dict[str, int] = field(default_factory=dict)
    end: int = 0
    routed: bool = False
    before: int = 0

    def close(self) -> None:
        """End the model's part; what follows reads the quantity."""
        self.end, self.routed = len(self.entries), bool(self.choices)

    def forget(self) -> None:
        """Release everything: values and operations refer to each other, and would stay until the garbage collector runs."""
        for var in self.values():
            var.held = None
        for entry in self.entries:
            entry.args, entry.kwargs, entry.ins, entry.outs = (), {}, [], []
        self.entries, self.sources = [], []

    def values(self) -> Iterator[Var]:
        """Every value, the sources first."""
        yield from self.sources
        for entry in self.entries:
            yield from (v for v in entry.outs if v is not None)


def computed(var: Var) -> Array:
    """A value's array, from those that the tape keeps."""
    known: dict[Var, Array] = {}

    def value(v: Var) -> Array:
        return known.get(v) if v.held is None else v.held

    waiting = [var]
    while waiting:
        last = waiting[-1]
        assert last.entry is not None
        missing = [v for v in last.entry.ins if value(v) is None]
        if not missing:
            waiting.pop()
            framework = last.entry.framework
            known[last] = framework.xp.stop(framework.again(last.entry, value)[last.slot])
        waiting += missing
    return known[var]


def substituted(argument: Any, change: Callable[[Var], Any]) -> Any:
    """An argument with the values on the tape replaced."""
    if isinstance(argument, Var):
        return change(argument)
    if isinstance(argument, list):
        return [substituted(part, change) for part in argument]
    return tuple(substituted(part, change) for part in argument) if isinstance(argument, tuple) else argument


def fold(xp: Namespace, g: Array, shape: Sequence[int]) -> Array:
    """``g`` summed over the axes along which a value of this shape was broadcast."""
    if g.shape == shape:
        return g
    if len(g.shape) > len(shape):
        g = xp.sum(g, tuple(range(len(g.shape) - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return xp.sum(g, axes, True) if axes else g


def weighed(xp: Namespace, g: Array, constant: Any) -> Array:
    """The sum of a cotangent times a constant that was broadcast."""
    return xp.sum(fold(xp, g, constant.shape) * constant) if hasattr(constant, "shape") else xp.sum(g) * constant


def turned(xp: Namespace, factor: Any) -> Any:
    """The factor of the other factor's cotangent: the conjugate of complex numbers."""
    if isinstance(factor, complex):
        return factor.conjugate()
    return xp.conj(factor) if hasattr(factor, "shape") and xp.kind(factor) == "c" else factor
