"""Named methods under rules on operations: DeepLIFT, DeepLIFT-SHAP, LRP, RAP, guided backpropagation and Grad-CAM, deconvolution."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..cuts import Cut
from ..distributions.draws import Distribution
from ..distributions.members import Background, Reference
from ..engine.request import Combine
from ..errors import MethodError, RuleError
from ..result.attribution import Attribution
from ..rules import Deconv, Epsilon, Guided, Rule, treats_operations
from ..rules.books import RELATIVE_PROPAGATION
from ..rules.rescale import Rescale
from ..utils.entry import entry
from ..utils.recipe import Recipe
from .cam.methods import GradCam
from .gradients import Method

RESCALE = Rescale()


def fitting(method: Method, compares: bool, try_: str) -> None:
    """Raise RuleError for a method whose rule treats no operations, or needs a reference where there is none, or has no use for it."""
    by = method.by
    if isinstance(by, type) or not treats_operations(by) or by.compares != compares:
        raise RuleError(f"{type(method).__name__}(by={by!r})", try_=try_)


@dataclass(frozen=True, repr=False, eq=False)
class DeepLift(Method):
    """Multipliers between a baseline and the record, times the difference (Shrikumar et al. 2017, Rescale rule).

    One run of the records, one of the baseline, one reverse pass. ``baseline`` is at the inputs (for token ids: at the
    embeddings), whatever ``at`` is; at a layer, the difference is that of what the layer holds. Adds up to the change of
    the quantity, for every architecture and every record by itself, at the input and at layers that everything passes.
    Without ``multiply`` the values are the multipliers; ``combine`` is a function that makes something else of ``(multipliers,
    values, references)``, or of the first one or two. ``by`` is :class:`~ascribe.rules.Rescale` or :class:`~ascribe.rules.RevealCancel`.
    Raises RuleError for other rules.
    """

    baseline: Any = 0.0
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    def __post_init__(self) -> None:
        fitting(self, compares=True, try_="asc.rules.Rescale() or asc.rules.RevealCancel()")

    def over(self, at: Cut) -> Distribution:
        return Reference(self.baseline)


@dataclass(frozen=True, repr=False, eq=False)
class DeepLiftShap(Method):
    """:class:`DeepLift` averaged over the rows of a background (Lundberg and Lee 2017): approximate Shapley values.

    ``background`` is an array of rows (or a tuple, a dict, a Call); with ``samples`` that many are drawn. One run of the
    records and one of each row, a reverse pass for each row. Adds up to the quantity's difference from its mean over the rows.
    The rest is as there; ``combine`` is called for each row, and what it returns is averaged.
    """

    background: Any
    samples: int | None = None
    multiply: bool = True
    by: Rule = RESCALE
    combine: Combine | None = None

    def __post_init__(self) -> None:
        fitting(self, compares=True, try_="asc.rules.Rescale() or asc.rules.RevealCancel()")

    def over(self, at: Cut) -> Distribution:
        return Background(self.background, self.samples)


@dataclass(frozen=True, repr=False)
class LRP(Method):
    """Layer-wise relevance propagation under a rule: relevance, which is the multiplier times the value (Bach et al. 2015).

    One pass forward, one back. ``by`` is a rule for all layers (:class:`~ascribe.rules.Epsilon`,
    :class:`~ascribe.rules.Gamma`, ...) or a rule book (:data:`~ascribe.rules.EPSILON_PLUS`, :class:`~ascribe.rules.RuleBook`).
    Adds up to the quantity, but for what biases take: the checks
    say how much. Raises RuleError for other rules.
    """

    by: Rule = field(default_factory=Epsilon)

    multiply = True

    def __post_init__(self) -> None:
        fitting(self, compares=False, try_="asc.rules.Epsilon(), asc.rules.EPSILON_PLUS, or another rule for relevance")


@dataclass(frozen=True, repr=False)
class GuidedBackprop(Method):
    """The gradient, through rectifiers only where it and the value are positive (Springenberg et al. 2015). No sum.

    One pass forward, one back. Raises RuleError for networks without a rectifier.
    """

    by = Guided()


@dataclass(frozen=True, repr=False)
class Deconvolution(Method):
    """What is positive on the way back through rectifiers, whatever they did forward (Zeiler and Fergus 2014). No sum.

    One pass forward, one back. Raises RuleError for networks without a rectifier.
    """

    by = Deconv()


@dataclass(frozen=True, repr=False)
class RAP(Method):
    """Relative attributing propagation: what gave less than its share counts against the quantity (Nam et al. 2020).

    One pass forward, one back. :data:`~ascribe.rules.RELATIVE_PROPAGATION` as a method; adds up to the quantity, biases included.
    For networks of layers
    and rectifiers on pictures or tables.
    """

    by = RELATIVE_PROPAGATION
    multiply = True


@dataclass(frozen=True, repr=False)
class GuidedGradCam(Recipe):
    """Guided backpropagation where :class:`~ascribe.GradCam` is positive, times its map (Selvaraju et al. 2017). No sum.

    One pass for each of the two forward and back, one more to find the layer. ``layer``, ``grid`` and ``prefix`` are those of GradCam.
    Raises RuleError for networks without a rectifier, MethodError where no layer has places on a picture.
    """

    layer: Cut | str | None = None
    grid: tuple[int, ...] | None = None
    prefix: int | None = None

    @entry
    def __call__(
        self,
        model: Any,
        *args: Any,
        of: Any = None,
        seed: int = 0,
        chunk: int | None = None,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Attribution:
        """The map of each record. ``of``, ``seed``, ``chunk`` and ``progress`` are those of :func:`ascribe.attribute`."""
        asked: dict[str, Any] = {"of": of, "seed": seed, "chunk": chunk, "progress": progress}
        fine = GuidedBackprop()(model, *args, **asked, **kwargs)
        coarse = GradCam(self.layer, grid=self.grid, prefix=self.prefix)(model, *args, **asked, **kwargs)
        arrays = fine.arrays()
        if len(arrays) != 1 or arrays[0][1].ndim != coarse.values.ndim or coarse.values.ndim - coarse.records_axis != 4:
            there = ", ".join(str(tuple(a.shape)) for _, a in arrays)
            raise MethodError("GuidedGradCam needs one picture", there=f"inputs of shape {there}", try_="asc.GradCam()")
        height, width = arrays[0][1].shape[-2:]
        told = tuple(dict.fromkeys((*fine.checks, *(c for c in coarse.checks if c.name == "layer" or c.bad))))
        cost = fine.cost + coarse.cost if fine.cost and coarse.cost else None
        shown = f"of={fine.quantity}" if fine.quantity else ""
        return replace(
            fine,
            values=fine.values * coarse.resize(int(height), int(width)).values,
            method=f"{self!r}(model, *inputs{', ' * bool(shown)}{shown})",
            checks=told,
            cost=cost,
        )
