"""The request of a call: every argument as its noun, checked once, with the family of passes settled.

A :class:`Request` is plain data without model or session. ``explain(model, call, make_request(of, at, over, by, ...))`` of
:mod:`ascribe.engine.run` is the extension point for methods of your own: it accepts the options that the verbs do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from ..calls.call import Call
from ..coalitions.base import Coalitions, are_coalitions
from ..cuts import INPUT, OUTPUT, Cut, CutLike, JointCut, as_cut
from ..distributions.draws import Distribution
from ..distributions.members import DistributionLike, Point, Points, Reference
from ..distributions.parse import as_distribution
from ..errors import CutError, DistributionError, FeatureError, InputError, QuantityError, RuleError
from ..features import Automatic, Features, as_features
from ..features.coordinates import FeaturesLike
from ..quantities import Quantity, as_quantities
from ..quantities.parse import QuantityLike
from ..removal import PerInput, Removal, as_removal
from ..removal.base import RemovalLike
from ..rules import Gradient, Rule, RuleLike, as_rule
from .chunks import ProgressOption

Family = Literal["point", "path", "reference", "coalition", "values"]
"""The pass that computes a request: gradients at the records, gradients along paths, a comparison with references, coalitions of
features, or only the values at cuts."""
Reduce = Literal["mean", "square", "variance"]
"""The statistic of the influence over all points: its mean, the mean of its square, or its variance."""
Combine = Callable[..., Any]
"""A function of multipliers, values and reference values that replaces multipliers times differences: see :func:`.reference.combined`."""


GRADIENT = Gradient()


class Options(TypedDict, total=False):
    """The optional fields of a :class:`Request`."""

    seed: int
    chunk: int | None
    progress: ProgressOption
    reduce: Reduce
    combine: Combine | None
    bare: bool
    most: int | None
    title: str


@dataclass(frozen=True)
class Request:
    """The arguments of a call, normalised: everything but the model and its own arguments.

    ``quantities`` are read at the cut ``on``; ``several`` says that a list of them was given. ``cuts`` are the attribution cuts, ``many``
    that a list was given. The points of ``over`` are at the cut ``points_at``. ``by`` is the rule of gradients, ``removal`` and
    ``features`` belong to coalitions. ``multiply`` says that influence is multiplied by distance.
    """

    family: Family
    quantities: tuple[Quantity, ...]
    several: bool
    on: Cut
    cuts: tuple[Cut, ...]
    many: bool
    over: Distribution | Coalitions
    points_at: Cut
    by: Rule
    multiply: bool
    removal: Removal | None = None
    features: Features | None = None
    tolerance: float | None = None
    """The completeness gap up to which points are added to a line; None for a fixed number of points."""
    seed: int = 0
    chunk: int | None = None
    progress: ProgressOption = None
    reduce: Reduce = "mean"
    """The statistic over the points. "square" and "variance" are for influence, without distance."""
    combine: Combine | None = None
    """Of rules that compare with references: replaces multipliers times differences, see :func:`.reference.combined`."""
    bare: bool = False
    """Only the values are wanted: no prediction, no gap. The first call of its kind computes both all the same, to check the records."""
    most: int | None = None
    """An upper bound for the rows in one chunk, where ``chunk`` leaves their number to be measured."""
    title: str = ""
    """The named method that the request is of, as code: it replaces ``over``, ``by`` and ``features`` in the text of the call."""

    def __str__(self) -> str:
        return self.code(text_of(self.cuts, self.many), self.removal)

    def code(self, at: str, removal: Removal | None, quantity: str | None = None) -> str:
        """Returns the call as code, with the cuts, the removal and the quantity as they are given here."""
        shown = [f"of={quantity or text_of(self.quantities, self.several)}"] if self.quantities else []
        shown += [f"at={at}"] if at != "INPUT" else []
        if self.title:
            shown += [f"seed={self.seed}"] if self.seed else []
            return f"{self.title}(model, *inputs, {', '.join(shown)})"
        shown += [] if self.family == "point" else [f"over={self.over!r}"]
        by = self.by if removal is None else removal
        shown += [f"by={by!r}"] if by != Gradient() else []
        shown += [f"features={self.features!r}"] if self.features is not None and self.features != Automatic() else []
        shown += [f"seed={self.seed}"] if self.seed else []
        return f"{'attribute' if self.multiply else 'influence'}(model, *inputs, {', '.join(shown)})"


def make_request(
    of: QuantityLike,
    at: CutLike | Sequence[CutLike],
    over: DistributionLike | Coalitions,
    by: RuleLike | RemovalLike,
    features: FeaturesLike = None,
    *,
    multiply: bool = True,
    **options: Unpack[Options],
) -> Request:
    """Returns the request with every argument as its noun.

    Raises CutError, QuantityError, DistributionError, FeatureError, RuleError or InputError for arguments that do not fit.
    """
    quantities, several = as_quantities(of)
    on = shared_cut(quantities)
    cuts, many = ((INPUT,), False) if at is INPUT else attribution_cuts(at)
    seed = options.get("seed", 0)
    if type(seed) is not int or seed < 0 or options.get("chunk") is not None:
        options["seed"] = check_options(seed, options.get("chunk"))
    if are_coalitions(over):
        if not multiply:
            problem = "`asc.influence` is a mean gradient; coalitions of features have no gradient"
            raise FeatureError(problem, found=f"over={over!r}", advice="asc.attribute(...)")
        removal, grouping = removal_of(by, many), Automatic() if features is None else as_features(features)
        return Request("coalition", quantities, several, on, cuts, many, over, INPUT, Gradient(), True, removal, grouping, **options)
    rule = GRADIENT if by is None else as_rule(by)
    points = Reference() if over is None and rule.compares else as_distribution(over)
    if features is not None:
        raise FeatureError(
            "`features=` applies to perturbation methods only, but this call uses gradients",
            found=f"features={features!r}, over={points!r}",
            advice="over=asc.coalitions.LeaveOneOut(), or other coalitions",
        )
    family: Family = "reference" if rule.compares else "point" if isinstance(points, Point) else "path"
    tolerance = getattr(points, "tolerance", None) if family == "path" else None
    points_at = INPUT if family == "point" else as_cut(points.at)
    multiply = multiply and options.get("combine") is None
    return Request(family, quantities, several, on, cuts, many, points, points_at, rule, multiply, tolerance=tolerance, **options)


def request_values(at: CutLike | Sequence[CutLike], over: Points | None) -> Request:
    """Returns the request of the values at cuts. Raises CutError, and DistributionError for other points than one's own."""
    cuts, many = attribution_cuts(at)
    points = as_distribution(over)
    if not isinstance(points, (Point, Points)):
        raise DistributionError(
            "`asc.activation` takes points of your own only", found=f"over={over!r}", advice="over=asc.Points(values, at=cut), or no over="
        )
    return Request("values", (), False, INPUT, cuts, many, points, as_cut(points.at), Gradient(), False)


def shared_cut(quantities: Sequence[Quantity]) -> Cut:
    """Returns the cut that the quantities are read at. Raises QuantityError for several cuts."""
    on = quantities[0].on
    on = on if on is OUTPUT else as_cut(on)
    if len(quantities) > 1 and any(as_cut(q.on) != on for q in quantities[1:]):
        there = ", ".join(sorted({repr(q.on) for q in quantities}))
        raise QuantityError("All quantities of one call must be read at the same cut", found=there, advice="one call for each cut")
    return on


def attribution_cuts(at: CutLike | Sequence[CutLike]) -> tuple[tuple[Cut, ...], bool]:
    """Returns ``at=`` as cuts, and whether several were asked for. Raises CutError for none, and for several as one."""
    many = isinstance(at, (list, tuple))
    every: Any = at if many else (at,)
    cuts = tuple(map(as_cut, every))
    if not cuts:
        raise CutError("`at=` names no cut", found="at=[]", advice="at=asc.INPUT")
    for cut in cuts:
        if isinstance(cut, JointCut):
            raise CutError("A joint cut is for `on=` of a quantity, not for `at=`", found=f"at={cut!r}", advice=f"at={list(cut.each)!r}")
    return cuts, many


def check_options(seed: int, chunk: int | None) -> int:
    """Returns the seed. Raises InputError for a chunk that is no count, and for a seed that is negative or no integer."""
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)) or chunk < 1):
        raise InputError(
            "`chunk=` must be an integer >= 1, or None",
            found=f"chunk={chunk!r}",
            advice="chunk=64, or chunk=None to have it measured",
            code="E-CHUNK",
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError("`seed=` must be an integer >= 0", found=f"seed={seed!r}", advice="seed=0", code="E-SEED")
    return int(seed)


def removal_of(by: Any, many: bool) -> Removal | None:
    """Returns ``by=`` of coalitions; a list or a dict is one for each of several cuts. Raises RuleError for rules of gradients."""
    if isinstance(getattr(by, "compares", None), bool):
        problem = "`by=` is a rule for gradients, which does not apply to coalitions of features"
        there = f"by={by.__name__ if isinstance(by, type) else repr(by)}"
        raise RuleError(problem, found=there, advice="by=asc.Replace(0.0)")
    if many and isinstance(by, (list, tuple, dict)):
        return PerInput(by if isinstance(by, dict) else tuple(by))
    return None if by is None else as_removal(by)


def as_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Returns the call to explain: the arguments as they came, or the only Call among them."""
    return args[0] if len(args) == 1 and isinstance(args[0], Call) and not kwargs else Call.of(args, kwargs)


def text_of(items: Sequence[Any], many: bool) -> str:
    """Returns cuts or quantities as code: a single one alone, several as a list."""
    return repr(list(items)) if many else repr(items[0]) if items else ""
