"""Rule books: which operation is treated by which rule, as ordered pairs of which the first that fits holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..errors import RuleError
from ..values import Value
from .base import OperationRule
from .layers import Absolute, AlphaBeta, Epsilon, Flat, Gamma, RelativeAttributing, ZBox, ZPlus
from .treatments import Unreferenced

KINDS = (
    "dense",
    "convolution",
    "activation",
    "batch_norm",
    "norm",
    "pool",
    "average",
    "product",
    "quotient",
    "softmax",
    "choice",
    "linear",
    "other",
)
"""Kinds of operation that a book can name: layers (dense, convolution), the other operations that a network is made of, and
``"linear"`` for those that only add and move numbers."""


class Operation(NamedTuple):
    """What a book looks at: the kind of an operation, the path of the module it ran in, and, for a layer, its position."""

    kind: str
    layer: str
    position: int | None = None
    layers: int = 0


@dataclass(frozen=True, repr=False)
class Where(Value):
    """Operations of some kind, inside some module, at some position; what is None fits everything.

    ``kind`` is one of "dense", "convolution" (transposed ones too), "activation", "batch_norm", "norm", "pool", "average", "product",
    "quotient", "softmax", "choice", "linear", "other". ``layer`` is the dotted path of the module in which the operation ran, or of one
    around it; ``*``, ``?`` and ``[ab]`` are wildcards. ``position`` counts dense layers and convolutions together as they run: 0 is the
    first, -1 the last, ``(0, 3)`` the first three. Only layers have one.

    Raises RuleError for a kind that there is none of, a path that is no text, a position that is none.
    """

    kind: str | None = None
    layer: str | None = None
    position: int | tuple[int | None, int | None] | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise RuleError(f"kind={self.kind!r}", there=", ".join(KINDS), try_="one of these")
        if not isinstance(self.layer, str | None):
            raise RuleError(f"layer={self.layer!r}", try_='a path, such as "encoder.*"')
        ends = self.position if isinstance(self.position, tuple) and len(self.position) == 2 else (self.position,)
        if not all(end is None or (isinstance(end, int) and not isinstance(end, bool)) for end in ends):
            raise RuleError(f"position={self.position!r}", try_="0 for the first, -1 for the last, (0, 3) for the first three")

    def fits(self, operation: Operation) -> bool:
        """Whether an operation is meant."""
        if self.kind not in (None, operation.kind):
            return False
        return self.inside(operation.layer) and (self.position is None or self._at(operation))

    def inside(self, layer: str) -> bool:
        """Whether a module, or one around it, has the path."""
        if self.layer is None:
            return True
        names = layer.split(".")
        return any(fnmatchcase(".".join(names[:end]), self.layer) for end in range(1, len(names) + 1))

    def _at(self, operation: Operation) -> bool:
        if operation.position is None:
            return False
        if isinstance(self.position, tuple):
            return operation.position in range(operation.layers)[slice(*self.position)]
        assert self.position is not None
        return operation.position == (self.position if self.position >= 0 else operation.layers + self.position)


def as_where(place: Any) -> Where:
    """A kind or a layer's path by its name, or a Where as it is. Raises RuleError for anything else."""
    if isinstance(place, Where):
        return place
    if isinstance(place, str):
        return Where(place) if place in KINDS else Where(layer=place)
    raise RuleError(f"{place!r} says no place", try_='"convolution", "features.*", or asc.rules.Where("dense", position=-1)')


@dataclass(frozen=True, repr=False)
class RuleBook(Unreferenced):
    """Pairs of a place and a rule; each operation is treated by the first pair that fits it, the rest by ``otherwise``.

    A place is a :class:`Where`, or in short a kind (``"convolution"``) or a path (``"encoder.*"``). The same pass forward and back
    as for its rules; a pair that fits nothing is told in the checks. Raises RuleError for rules that need a reference, and for what
    is no pair.

    >>> book = asc.rules.RuleBook((("convolution", asc.rules.ZPlus()), (asc.rules.Where("dense", position=-1), asc.rules.Epsilon(1e-3))))
    """

    pairs: tuple[tuple[Any, OperationRule], ...] = ()
    otherwise: OperationRule = field(default_factory=Epsilon)
    strict: bool = False

    def __post_init__(self) -> None:
        pairs = self.pairs if isinstance(self.pairs, (tuple, list)) else (self.pairs,)
        object.__setattr__(self, "pairs", tuple(map(as_pair, pairs)))
        as_operation_rule(self.otherwise)

    def __repr__(self) -> str:
        shown = "".join(f"({short(where)!r}, {rule!r}), " for where, rule in self.pairs)
        rest = "" if self.otherwise == Epsilon() else f", otherwise={self.otherwise!r}"
        return f"rules.RuleBook(({shown.rstrip(' ')}){rest}{', strict=True' if self.strict else ''})"

    @property
    def treats(self) -> Mapping[str, str]:
        """How operations are treated that no pair fits."""
        return self.otherwise.treats

    def choose(self, operation: Operation) -> int | None:
        """Which pair an operation falls to; None for none of them."""
        return next((i for i, (where, _) in enumerate(self.pairs) if where.fits(operation)), None)


def short(where: Where) -> Where | str:
    """A place as its name where that says all."""
    for name in (where.kind, where.layer):
        if name is not None and as_where(name) == where:
            return name
    return where


def as_pair(pair: Any) -> tuple[Where, OperationRule]:
    """A place and a rule. Raises RuleError for anything else."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise RuleError(f"{pair!r} in a rule book", try_='pairs of a place and a rule: ("convolution", asc.rules.ZPlus())')
    return as_where(pair[0]), as_operation_rule(pair[1])


def as_operation_rule(rule: Any) -> OperationRule:
    """A rule for the pages of a book. Raises RuleError for anything else."""
    if isinstance(rule, OperationRule) and not rule.compares and not isinstance(rule, (type, RuleBook)):
        return rule
    raise RuleError(f"{rule!r} in a rule book", try_="a rule for operations that needs no reference, such as asc.rules.Epsilon()")


EPSILON_PLUS = RuleBook((("convolution", ZPlus()), ("dense", Epsilon())))
"""Epsilon for dense layers, z+ for convolutions (Montavon et al. 2019)."""

EPSILON_PLUS_FLAT = RuleBook(((Where(position=0), Flat()), *EPSILON_PLUS.pairs))
"""The same with the first layer's relevance spread evenly."""

EPSILON_ALPHA2_BETA1 = RuleBook((("convolution", AlphaBeta(2, 1)), ("dense", Epsilon())))
"""Epsilon for dense layers, alpha-beta with 2 and 1 for convolutions (Bach et al. 2015; Lapuschkin et al. 2019)."""

EPSILON_ALPHA2_BETA1_FLAT = RuleBook(((Where(position=0), Flat()), *EPSILON_ALPHA2_BETA1.pairs))
"""The same with the first layer's relevance spread evenly."""

EXCITATION_BACKPROP = RuleBook((("convolution", ZPlus(0.0, bias=False)), ("dense", ZPlus(0.0, bias=False))))
"""Shares of the positive contributions only, in every layer, without biases and stabiliser (Zhang et al. 2016)."""


RELATIVE_PROPAGATION = RuleBook(
    ((Where(position=-1), Absolute()), ("convolution", RelativeAttributing()), ("dense", RelativeAttributing()))
)
"""Relative attributing propagation: sizes of contributions in the last layer, what is above the mean in the others (Nam et al. 2020)."""


def epsilon_gamma_box(low: Any, high: Any, gamma: float = 0.25) -> RuleBook:
    """Epsilon for dense layers, gamma for convolutions, z^B for the first of them, whose inputs lie between ``low`` and ``high``.

    Bounds are those of :class:`ZBox`. Montavon et al. 2019; the generalised gamma of Andeol et al. 2021.
    """
    first = (Where("convolution", position=0), ZBox(low, high))
    return RuleBook((first, ("convolution", Gamma(gamma, generalised=True)), ("dense", Epsilon())))
