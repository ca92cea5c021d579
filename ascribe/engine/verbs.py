"""The verbs: the attribution of a quantity, at a cut, over a distribution of points, by a rule, in a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends.protocol import Place
from ..coalitions.base import Coalitions
from ..cuts import INPUT, CutLike
from ..distributions.members import DistributionLike, Points
from ..features.coordinates import FeaturesLike
from ..quantities.parse import QuantityLike
from ..removal.base import RemovalLike
from ..result.attribution import Attribution
from ..rules import RuleLike
from ..utils.entry import entry
from .chunks import Wanted
from .request import as_call, make_request, request_values
from .run import explain, list_cuts


@entry
def attribute(
    model: Any,
    *args: Any,
    of: QuantityLike = None,
    at: CutLike | Sequence[CutLike] = INPUT,
    over: DistributionLike | Coalitions = None,
    by: RuleLike | RemovalLike = None,
    features: FeaturesLike = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: Wanted = None,
    **kwargs: Any,
) -> Attribution:
    """Mean influence times the distance travelled: what each part of the value at a cut adds to a quantity.

    >>> g = asc.attribute(model, x, of=1)                                          # gradient times input
    >>> ig = asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=64))           # integrated gradients
    >>> out = asc.attribute(model, x, of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.0))  # Shapley values

    The model is called as you call it: ``args`` and ``kwargs`` are its own. ``of`` is what is explained (default: the predicted
    class, :class:`~ascribe.PredictedClass`), ``at`` the cut or cuts, ``over`` the points (default: the record itself), ``by`` the backward
    rule. ``seed`` decides every draw; the same seed gives the same numbers whatever the chunking. ``chunk`` is how many rows run
    at once (default: measured). ``progress`` shows a line on stderr: None for long work on a terminal.

    If the model has an argument of one of these names, pass its call as one: ``attribute(model, Call(x, at=3))``.

    Where ``over`` is coalitions of features, ``by`` is what stands in for a removed feature and ``features`` which coordinates are one;
    then only forward passes are made, and a value is what a whole feature adds, given to each of its coordinates.

    Along a line from a baseline the values add up to the change of the quantity; the result's ``gap`` says how nearly.
    Costs one forward pass for the records, one forward and backward for each point, and one forward for the baseline.

    Raises InputError, CutError, QuantityError, DistributionError, FeatureError, RuleError, ModelError or MemoryLimitError; whatever
    happens, model and arguments are as they were. An error in the middle of a game has what was found so far in ``partial``.
    """
    request = make_request(of, at, over, by, features, seed=seed, chunk=chunk, progress=progress)
    return explain(model, as_call(args, kwargs), request)


@entry
def influence(
    model: Any,
    *args: Any,
    of: QuantityLike = None,
    at: CutLike | Sequence[CutLike] = INPUT,
    over: DistributionLike = None,
    by: RuleLike = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: Wanted = None,
    **kwargs: Any,
) -> Attribution:
    """Mean influence alone: how strongly the quantity reacts to each part of the value at a cut.

    The arguments are those of :func:`attribute`. Influence has no distance in it, so it has no sum to be complete to.
    """
    request = make_request(of, at, over, by, multiply=False, seed=seed, chunk=chunk, progress=progress)
    return explain(model, as_call(args, kwargs), request)


@entry
def activation(model: Any, *args: Any, at: CutLike | Sequence[CutLike], over: Points | None = None, **kwargs: Any) -> Attribution:
    """The value at a cut (or at several), for every record. One forward pass that goes no further than it must.

    ``over=Points(values, at=cut)`` puts other values at another cut, and gives the mean over them.
    """
    return explain(model, as_call(args, kwargs), request_values(at, over))


@entry
def cuts_of(model: Any, *args: Any, **kwargs: Any) -> list[Place]:
    """Every place that this call of the model passes, in execution order, with the kind of layer and the shapes there.

    Shapes are those of a single record. One forward pass.
    """
    return list_cuts(model, as_call(args, kwargs))[0]
