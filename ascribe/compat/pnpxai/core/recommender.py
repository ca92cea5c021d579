"""The explainers that apply to a model and a modality. ``asc.recommend`` also measures which one to trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....choose.tables import as_text, write
from ..explainers import AVAILABLE_EXPLAINERS, CAM_BASED_EXPLAINERS, Explainer
from ..explainers.attention import AttentionRollout
from ..tuples import format_into_tuple
from .detector import detect_model_architecture
from .types import Attention, Convolution, Kind, Linear


@dataclass
class RecommenderOutput:
    """The kinds of modules found, and the explainers for them."""

    detected_architectures: set[Kind]
    explainers: list[type[Explainer]]

    def print_tabular(self) -> None:
        """Prints both as a table."""
        kinds = ", ".join(sorted(kind.__name__ for kind in self.detected_architectures)) or "none"
        rows = [["detected_architectures", kinds], ["explainers", ", ".join(e.__name__ for e in self.explainers)]]
        write(as_text(("", ""), rows), None)


class RecommendationMap:
    """A table of kinds of modules and the explainers for them."""

    def __init__(self, data: dict[Any, set[Any]], headers: Sequence[str]) -> None:
        self.data, self.headers = data, headers

    def print_tabular(self) -> None:
        """Prints the table."""
        rows = [[getattr(k, "__name__", str(k)), ", ".join(sorted(v.__name__ for v in vs))] for k, vs in self.data.items()]
        write(as_text(tuple(self.headers), rows), None)


class XaiRecommender:
    """Finds the explainers that suit a model and a modality, by the kinds of its modules.

    A model without modules that are known gets the explainers that need no module: those by gradients of any operation and by removal.
    """

    def __init__(self) -> None:
        data: dict[Any, set[Any]] = {}
        for explainer in AVAILABLE_EXPLAINERS:
            for kind in explainer.SUPPORTED_MODULES:
                data.setdefault(kind, set()).add(explainer)
        self.architecture_to_explainers_map = RecommendationMap(data, ["architecture", "explainers"])

    def recommend(self, modality: Any, model: Any) -> RecommenderOutput:
        """Returns what the model is made of and the explainers for it, by name; for several modalities those that suit all."""
        kinds = detect_model_architecture(model)
        table = self.architecture_to_explainers_map.data
        known = [table[kind] for kind in kinds if kind in table] or [table[Linear] & table[Attention]]
        found: set[type[Explainer]] = set().union(*known)
        for one in format_into_tuple(modality):
            found &= set(one.EXPLAINERS)
        if kinds - {Convolution, Linear}:
            found -= set(CAM_BASED_EXPLAINERS)
        if Convolution not in kinds:
            found -= {e for e in found if issubclass(e, AttentionRollout)}  # the patches of images come from a convolution
        return RecommenderOutput(kinds, sorted(found, key=lambda explainer: explainer.__name__))
