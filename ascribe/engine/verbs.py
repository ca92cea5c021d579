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
from .chunks import ProgressOption
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
    progress: ProgressOption = None,
    **kwargs: Any,
) -> Attribution:
    """Attributes a quantity (target) to the parts of the value at a cut (layer): the mean influence times the distance from the start.

    >>> g = asc.attribute(model, x, of=1)                                          # gradient times input
    >>> ig = asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=64))           # integrated gradients
    >>> out = asc.attribute(model, x, of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.0))  # Shapley values

    The model is called as you call it: ``args`` and ``kwargs`` are passed to it. If it has an argument with the name of one below, give
    its call as one: ``attribute(model, asc.Call(x, at=3))``.

    * ``of``: the quantity. A class, a class for each record, a quantity such as ``asc.Contrast(3, 5)``, a function of the output, or a
      list of quantities. Default: the predicted class.
    * ``at``: the cut, or a list of cuts. Default: the input. A string is the output of a layer.
    * ``over``: the points over which influence is averaged: a distribution (``asc.Line``, ``asc.Gaussian``, ...), or the coalitions
      (feature subsets) of a perturbation method. Default: the records themselves.
    * ``by``: the backward rule (``asc.rules``). Over coalitions, the replacement of a removed feature (``asc.removal``).
    * ``features``: over coalitions only, which coordinates form one feature (``asc.features``). Default: chosen by the shape.
    * ``seed``: fixes every random draw. The same seed gives the same values, whatever the chunk size.
    * ``chunk``: how many rows (records x points) run at once. Default: measured.
    * ``progress``: True or False for a line on stderr. Default: for long work on a terminal.

    The values have the shape of the value at the cut, records first. Along a line from a baseline they add up to the change of the
    quantity; ``gap`` is the completeness error. Over coalitions a value is that of a whole feature, at each of its coordinates.
    Cost: one forward pass for the records, one forward and one backward for each point, one forward for the baseline; over coalitions
    one forward pass for each coalition.

    Raises InputError, CutError, QuantityError, DistributionError, FeatureError, RuleError, ModelError or MemoryLimitError. Model and
    arguments are left as they were. An error in the middle has the result of what was computed before in ``partial``.
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
    progress: ProgressOption = None,
    **kwargs: Any,
) -> Attribution:
    """Computes the mean influence: how strongly the quantity reacts to each part of the value at a cut.

    The arguments are those of :func:`attribute`. Influence is not multiplied by a distance, so that no sum is promised.
    """
    request = make_request(of, at, over, by, multiply=False, seed=seed, chunk=chunk, progress=progress)
    return explain(model, as_call(args, kwargs), request)


@entry
def activation(model: Any, *args: Any, at: CutLike | Sequence[CutLike], over: Points | None = None, **kwargs: Any) -> Attribution:
    """Returns the value at a cut, or at a list of cuts, for every record. One forward pass that goes no further than it must.

    ``over=Points(values, at=cut)`` writes other values at another cut, and returns the mean over them.
    """
    return explain(model, as_call(args, kwargs), request_values(at, over))


@entry
def cuts_of(model: Any, *args: Any, **kwargs: Any) -> list[Place]:
    """Returns every cut that this call of the model passes, in execution order, with the kind of layer and the shapes there.

    Shapes are those of a single record. One forward pass.
    """
    return list_cuts(model, as_call(args, kwargs))[0]
