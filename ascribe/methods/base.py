"""The base classes of the named methods: one call for all, and the two families, gradients and perturbations.

A method is a value: frozen, comparable, with a repr that can be pasted back and no model inside. Calling it is calling
:func:`ascribe.attribute` with its arguments filled in. For a method of your own, extend :class:`GradientMethod` or
:class:`PerturbationMethod`, which explain by one request, or :class:`Method`, which explains in any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

from ..calls.call import Call
from ..coalitions.base import Coalitions
from ..cuts import INPUT, Cut, CutLike, as_cut
from ..distributions.draws import Distribution
from ..distributions.members import Point
from ..engine.chunks import ProgressOption
from ..engine.request import Combine, Reduce, as_call, make_request
from ..engine.run import explain
from ..errors import RuleError
from ..features.coordinates import FeaturesLike
from ..quantities.parse import QuantityLike
from ..removal.base import RemovalLike
from ..result.attribution import Attribution
from ..rules import Rule, treats_operations
from ..utils.entry import entry
from ..utils.recipe import Recipe
from .facts import Claim, Need, Passes, describe_method

RECORD = Point()


class CallOptions(TypedDict):
    """The arguments of a call that say how it is run."""

    seed: int
    chunk: int | None
    progress: ProgressOption


class Method(Recipe):
    """A method that explains a call of a model.

    A class that extends it is a frozen dataclass with ``explain_call``. The class attributes ``cost``, ``needs``, ``claims`` and
    ``source`` are the facts for choosing it; ``help()`` shows them with the parameters of the constructor and of the call.
    """

    cost: ClassVar[Passes | None] = None
    needs: ClassVar[tuple[Need, ...]] = ()
    claims: ClassVar[tuple[Claim, ...]] = ()
    source: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.cost is not None and vars(cls).get("__doc__"):
            cls.__doc__ = describe_method(cls)

    @entry
    def __call__(
        self,
        model: Any,
        *args: Any,
        of: QuantityLike = None,
        at: CutLike | Sequence[CutLike] | None = None,
        seed: int = 0,
        chunk: int | None = None,
        progress: ProgressOption = None,
        **kwargs: Any,
    ) -> Attribution:
        """Explain one call of the model, ``model(*args, **kwargs)``.

        Parameters of the call:
            model: a PyTorch module, a function of arrays, an estimator of scikit-learn, an ONNX session, ... It is left unchanged.
            *args, **kwargs: the model's own arguments. Keywords that are not listed here go to the model; a model with an argument of one
                of these names is called by asc.Call(x, of=...).
            of: the quantity to explain (target): a class by number or name, one class per record, a quantity such as asc.Prob(1), a
                function of the output, or a list of quantities. None is the predicted class.
            at: the cut to explain (layer): a name, a Cut or a list of them. None is the input; for class activation maps it is the
                layer of the method.
            seed: a non-negative integer that decides every random draw.
            chunk: the number of rows per model call. None measures which number is fastest and fits in memory.
            progress: True or False shows or hides a line of progress. None shows it for long work on a terminal.

        Returns:
            An Attribution. ``values`` has the shape of the value at ``at``, [records, ...], in the framework of the inputs; with a list of
            quantities it is [quantities, records, ...]. ``gap``, ``checks`` and ``cost`` describe the result.

        Raises:
            ArgumentError, MethodError and the errors of asc.attribute. Model and arguments are left unchanged after an error.
        """
        return self.explain_call(model, as_call(args, kwargs), of, at, {"seed": seed, "chunk": chunk, "progress": progress})

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        """Returns the explanation of a call; the arguments are those of :meth:`__call__`."""
        raise NotImplementedError


class GradientMethod(Method):
    """A method that averages gradients, or multipliers of a rule, over a distribution of points.

    ``by`` is the rule (None is the gradient), ``multiply`` multiplies by the distance, ``reduce`` is the statistic over the points ("mean",
    "square" or "variance"), ``combine`` replaces multipliers times differences. They are class attributes or fields.

    >>> from dataclasses import dataclass
    >>> from ascribe.methods import GradientMethod
    >>> @dataclass(frozen=True, repr=False)
    ... class NoisyVariance(GradientMethod):
    ...     scale: float = 0.1
    ...     reduce = "variance"
    ...     def over(self, at):
    ...         return asc.Gaussian(self.scale, 8)
    >>> NoisyVariance()(model, x, of=1)
    <Attribution NoisyVariance()(model, *inputs, of=Unit(1)) at INPUT: float32[3, 4]>
    """

    by: Rule | None = None
    multiply: bool = False
    reduce: Reduce = "mean"
    combine: Combine | None = None

    def over(self, at: Cut) -> Distribution:
        """Returns the points for an attribution at a cut: the record alone, if a method does not override it."""
        return RECORD

    def rule(self) -> Rule | None:
        """Returns the rule of the backward pass; None is the gradient."""
        return self.by

    def finish(self, a: Attribution) -> Attribution:
        """Returns the result, changed where a method computes something from the values."""
        return a

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        at = INPUT if at is None else at
        over = self.over(INPUT if at is INPUT or isinstance(at, (list, tuple)) else as_cut(at))
        more: Any = {"multiply": self.multiply, "reduce": self.reduce, "combine": self.combine, "title": repr(self), **options}
        return self.finish(explain(model, call, make_request(of, at, over, self.rule(), **more)))


class PerturbationMethod(Method):
    """A method that removes features and evaluates the model: for any model that can be called, at the input or at a layer.

    ``by`` is the replacement for removed features, ``features`` the feature groups; None leaves them to :func:`ascribe.attribute`.
    """

    by: RemovalLike = None
    features: FeaturesLike = None

    needs: ClassVar[tuple[Need, ...]] = ("replacement",)

    def coalitions(self) -> Coalitions:
        """Returns the coalitions that are evaluated, and the estimator."""
        raise NotImplementedError

    def replacement(self) -> RemovalLike:
        """Returns the replacement for removed features."""
        return self.by

    def grouping(self) -> FeaturesLike:
        """Returns the feature groups."""
        return self.features

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        where, over = INPUT if at is None else at, self.coalitions()
        return explain(model, call, make_request(of, where, over, self.replacement(), self.grouping(), title=repr(self), **options))


def check_rule(method: GradientMethod, compares: bool, advice: str) -> None:
    """Raises RuleError for a rule that does not treat operations, or that compares with a reference where the method does not."""
    by = method.by
    if isinstance(by, type) or not treats_operations(by) or by.compares != compares:
        kind = "compares each record with a reference" if compares else "propagates relevance without a reference"
        there = f"the class {by.__name__}" if isinstance(by, type) else f"by={by!r}"
        raise RuleError(f"`{type(method).__name__}` needs a rule that {kind}", found=there, advice=f"by={advice}")
