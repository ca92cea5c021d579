"""Rule books: which rule treats which operation, as ordered pairs; the first pair that fits applies."""

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
"""Kinds of operation that a book can name: layers (dense, convolution), other operations, and ``"linear"`` for those that only add and move
elements."""


class Operation(NamedTuple):
    """An operation as a rule book sees it: its kind, the path of its module and, for a layer, its position among all layers."""

    kind: str
    layer: str
    position: int | None = None
    layers: int = 0


@dataclass(frozen=True, repr=False)
class Where(Value):
    """A condition on operations: their kind, their module, their position. None fits everything.

    *Use it when* a pair of a :class:`RuleBook` needs more than a kind or a path, such as the last dense layer.

    * ``kind``: "dense", "convolution" (also transposed), "activation", "batch_norm", "norm", "pool", "average", "product", "quotient",
      "softmax", "choice", "linear" or "other".
    * ``layer``: dotted path of the module in which the operation ran, or of a module around it; ``*``, ``?`` and ``[ab]`` are wildcards.
    * ``position``: index among dense layers and convolutions in execution order: 0 is the first, -1 the last, ``(0, 3)`` the first three.

    Raises RuleError for an unknown kind, a path that is not text, and an invalid position.
    """

    kind: str | None = None
    layer: str | None = None
    position: int | tuple[int | None, int | None] | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise RuleError("`kind=` is not a known kind of operation", found=f"kind={self.kind!r}", advice=f"one of {', '.join(KINDS)}")
        if not isinstance(self.layer, str | None):
            raise RuleError("The path of a layer must be text", found=f"layer={self.layer!r}", advice='layer="encoder.*"')
        ends = self.position if isinstance(self.position, tuple) and len(self.position) == 2 else (self.position,)
        if not all(end is None or (isinstance(end, int) and not isinstance(end, bool)) for end in ends):
            advice = "0 for the first, -1 for the last, (0, 3) for the first three"
            raise RuleError("A position must be an integer or a pair of integers", found=f"position={self.position!r}", advice=advice)

    def fits(self, operation: Operation) -> bool:
        """Returns True if the condition holds for an operation."""
        if self.kind not in (None, operation.kind):
            return False
        return self.inside(operation.layer) and (self.position is None or self._at(operation))

    def inside(self, layer: str) -> bool:
        """Returns True if a module, or one around it, has the path."""
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
    """Returns a kind, a path or a Where as a Where. Raises RuleError for anything else."""
    if isinstance(place, Where):
        return place
    if isinstance(place, str):
        return Where(place) if place in KINDS else Where(layer=place)
    advice = '"convolution", "features.*", or asc.rules.Where("dense", position=-1)'
    raise RuleError("The first element of a pair in a rule book must be a condition on operations", found=repr(place), advice=advice)


@dataclass(frozen=True, repr=False)
class RuleBook(Unreferenced):
    """Ordered pairs of a condition and a rule: an operation is treated by the first pair that fits, all others by ``otherwise``.

    *Use it when* layers need different rules, as in the composites of Montavon et al. (2019). ``EPSILON_PLUS`` and
    :func:`epsilon_gamma_box` are ready-made books.

    A condition is a :class:`Where`, a kind (``"convolution"``) or a path (``"encoder.*"``). Cost: one forward and one backward pass, plus
    the cost of its rules. A pair that fits no operation is reported in the checks. Raises RuleError for rules that need a reference, and
    for anything but pairs.

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
        """The treatments of operations that no pair fits."""
        return self.otherwise.treats

    def choose(self, operation: Operation) -> int | None:
        """Returns the index of the first pair that fits an operation; None if there is none."""
        return next((i for i, (where, _) in enumerate(self.pairs) if where.fits(operation)), None)


def short(where: Where) -> Where | str:
    """Returns a condition as a kind or a path if that is all it says."""
    for name in (where.kind, where.layer):
        if name is not None and as_where(name) == where:
            return name
    return where


def as_pair(pair: Any) -> tuple[Where, OperationRule]:
    """Returns a pair of a condition and a rule. Raises RuleError for anything else."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        advice = '("convolution", asc.rules.ZPlus())'
        raise RuleError("A rule book must consist of pairs of a condition and a rule", found=repr(pair), advice=advice)
    return as_where(pair[0]), as_operation_rule(pair[1])


def as_operation_rule(rule: Any) -> OperationRule:
    """Returns a rule that a book may contain. Raises RuleError for anything else."""
    if isinstance(rule, OperationRule) and not rule.compares and not isinstance(rule, (type, RuleBook)):
        return rule
    advice = "a rule for operations that needs no reference, such as asc.rules.Epsilon()"
    raise RuleError("A rule book cannot contain this rule", found=repr(rule), advice=advice)


EPSILON_PLUS = RuleBook((("convolution", ZPlus()), ("dense", Epsilon())))
"""Epsilon for dense layers, z+ for convolutions (Montavon et al. 2019)."""

EPSILON_PLUS_FLAT = RuleBook(((Where(position=0), Flat()), *EPSILON_PLUS.pairs))
"""The same, with the flat rule for the first layer."""

EPSILON_ALPHA2_BETA1 = RuleBook((("convolution", AlphaBeta(2, 1)), ("dense", Epsilon())))
"""Epsilon for dense layers, alpha-beta with 2 and 1 for convolutions (Bach et al. 2015; Lapuschkin et al. 2019)."""

EPSILON_ALPHA2_BETA1_FLAT = RuleBook(((Where(position=0), Flat()), *EPSILON_ALPHA2_BETA1.pairs))
"""The same, with the flat rule for the first layer."""

EXCITATION_BACKPROP = RuleBook((("convolution", ZPlus(0.0, bias=False)), ("dense", ZPlus(0.0, bias=False))))
"""Positive contributions only, in every layer, without biases and stabiliser (Zhang et al. 2016)."""


RELATIVE_PROPAGATION = RuleBook(
    ((Where(position=-1), Absolute()), ("convolution", RelativeAttributing()), ("dense", RelativeAttributing()))
)
"""Relative attributing propagation: absolute contributions in the last layer, relative ones in the others (Nam et al. 2020)."""


def epsilon_gamma_box(low: Any, high: Any, gamma: float = 0.25) -> RuleBook:
    """Returns the book with epsilon for dense layers, gamma for convolutions and z^B for the first convolution.

    *Use it when* a convolutional network has bounded inputs, such as pixels: ``low`` and ``high`` are their bounds, as of :class:`ZBox`.
    ``gamma`` is that of :class:`Gamma`, here the generalised rule. Sources: Montavon et al. 2019; Andeol et al. 2021.
    """
    first = (Where("convolution", position=0), ZBox(low, high))
    return RuleBook((first, ("convolution", Gamma(gamma, generalised=True)), ("dense", Epsilon())))
