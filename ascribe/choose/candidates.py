"""Which methods apply to a model and its inputs, and why others do not, from the facts on the classes of the methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..cuts import EMBEDDINGS
from ..methods import METHODS
from ..methods.base import Method
from ..methods.processed import At
from .describing import Description

FEW_FEATURES = 10
"""With so many features, all their subsets are evaluated."""
FEW_RECORDS = 8
"""Permutation among fewer records says little."""


@dataclass(frozen=True)
class Candidate:
    """A method by name: its value where it applies, else the reason why it does not."""

    name: str
    method: Any = None
    reason: str = ""


@dataclass(frozen=True)
class Given:
    """What the user has besides the model: background records, a replacement, and the number of features of a record."""

    description: Description
    background: Any = None
    by: Any = None
    features: int | None = None

    @property
    def image(self) -> bool:
        return self.description.modality == "image"

    @property
    def ids(self) -> bool:
        return any(one.kind == "tokens" for one in self.description.inputs)


ASKS_FOR_LAYER = frozenset({"LayerActivation", "Conductance", "InternalInfluence"})
PARTS = frozenset({"FullGradDecomposition"})
ATTENTION = frozenset({"AttnLRP", "CPLRP", "GIM", "LibraGrad", "RelP"})
"""Rules for transformers, whose gates, norms and attention they treat."""
RELUS = frozenset({"GuidedBackprop", "Deconvolution", "GuidedGradCam"})
BACKGROUND = frozenset({"ExpectedGradients", "DeepLiftShap"})
MAPS = frozenset({"AblationCam", "ScoreCam", "EigenCam"})

Reason = Callable[[Given], str]


def no_gradient(given: Given) -> str:
    if given.description.differentiable:
        return ""
    return "the output has no gradient at the inputs" if given.description.framework != "blackbox" else "the model is a black box"


def no_image(given: Given) -> str:
    return "" if given.image else f"it needs images, and the input is: {given.description.modality}"


def no_convolution(given: Given) -> str:
    return no_image(given) or ("" if given.description.has("convolution") else "no layer has spatial positions")


def no_relu(given: Given) -> str:
    return "" if "relu" in given.description.activations else "the model has no ReLU"


def no_background(given: Given) -> str:
    return "" if given.background is not None else "it needs background=, records to compare with"


def no_attention(given: Given) -> str:
    return "" if given.description.has("attention", "gating", "state-space scan") else "the model has no attention and no gates"


def no_recurrence(given: Given) -> str:
    return "" if given.description.has("recurrence") else "the model has no recurrence"


def no_trees(given: Given) -> str:
    if not given.description.trees:
        return "the model is no ensemble of trees that can be read"
    return "" if find_spec("shap") is not None else "it needs pip install 'ascribe[trees]'"


NEEDS: Mapping[str, Reason] = {
    "gradient": no_gradient,
    "images": no_image,
    "spatial layers": no_convolution,
    "ReLU": no_relu,
    "biases": lambda given: "" if given.description.framework in ("torch", "keras", "jax") else "its biases cannot be read",
    "background": no_background,
    "trees": no_trees,
}
"""For each need of a method, the reason why a model or a call does not have it; an empty text where it does."""


def list_candidates(description: Description, *, background: Any = None, by: Any = None, features: int | None = None) -> list[Candidate]:
    """Returns every named method: with arguments that suit the inputs, or with the reason why it does not apply.

    *Use it when* you want the list that :func:`recommend` starts from. ``background`` are records to compare with, ``by`` is the
    replacement of removed features, ``features`` the number of elements of a record.
    """
    given = Given(description, background, by, features)
    return [candidate(name, cls, given) for name, cls in METHODS.items()]


def candidate(name: str, cls: type[Method], given: Given) -> Candidate:
    """Returns one method with arguments that suit the inputs, or with the reason why it does not apply."""
    if name in ASKS_FOR_LAYER:
        return Candidate(name, None, "it explains a layer, and not the input")
    if name in PARTS:
        return Candidate(name, None, "its parts are those of all layers")
    reasons = [NEEDS[need](given) for need in cls.needs if need in NEEDS]
    if name in ATTENTION:
        reasons.append(no_attention(given))
    if name == "LstmLRP":
        reasons.append(no_recurrence(given))
    if name == "FeaturePermutation" and given.description.records < FEW_RECORDS:
        reasons.append(f"it permutes values among records, and there are {given.description.records}")
    if name == "ShapleyExact" and (given.features is None or given.features > FEW_FEATURES):
        reasons.append(f"more than {FEW_FEATURES} features have too many subsets")
    if given.ids and "gradient" in cls.needs and name in MAPS:
        reasons.append("the input has no spatial positions")
    if reason := next((text for text in reasons if text), ""):
        return Candidate(name, None, reason)
    return Candidate(name, with_arguments(name, cls, given))


BUDGETS: Mapping[str, int] = {"samples": 16, "steps": 32}
"""Moderate numbers of draws and points: a ranking needs no more."""
EVALUATIONS: Mapping[str, int] = {"Rise": 256, "Hsic": 256, "SobolIndices": 1024, "Partition": 512}
"""Budgets of methods whose default has thousands of evaluations."""


def with_arguments(name: str, cls: type[Method], given: Given) -> Any:
    """Returns a method with arguments that suit the inputs; gradients of token ids are taken at their embeddings."""
    fields: Mapping[str, Any] = cls.__dataclass_fields__  # type: ignore[attr-defined]
    made: dict[str, Any] = {field: value for field, value in BUDGETS.items() if field in fields}
    if name in BACKGROUND:
        made["background"] = given.background
        made.pop("samples", None)
    if name in EVALUATIONS:
        made["budget"] = EVALUATIONS[name]
    if name == "TreeShap":
        made["background"] = given.background
    if "by" in fields and given.by is not None and "gradient" not in cls.needs:
        made["by"] = given.by
    method = cls(**made)
    return At(method, EMBEDDINGS) if given.ids and "gradient" in cls.needs else method
