"""The base of explainers: the inputs of a batch, the layers that are explained, and the call of the native method."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ....calls.call import Call
from ....cuts import INPUT, Cut
from ....errors import CutError
from ....quantities import Labels
from ....result.attribution import Attribution
from ..tuples import as_labels, check_tensors, evaluation_mode, format_into_tuple, format_out_tuple_if_single
from .utils.baselines import BaselineFunction
from .utils.feature_masks import FeatureMaskFunction

Extractor = Callable[[Any], Any]
NOT_SHOWN = ("model", "forward_arg_extractor", "additional_forward_arg_extractor", "n_classes", "zennit_composite")


class Explainer:
    """The base of PnPXAI's explainers: ``explainer.attribute(inputs, targets)`` returns tensors.

    ``forward_arg_extractor`` picks from the inputs of a batch the tensors that are explained, ``additional_forward_arg_extractor`` those
    that are only passed on. The model is in evaluation mode while it is explained, and as it was afterwards.
    """

    EXPLANATION_TYPE = "attribution"
    SUPPORTED_MODULES: ClassVar[tuple[Any, ...]] = ()
    TUNABLES: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        model: nn.Module,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.forward_arg_extractor = forward_arg_extractor
        self.additional_forward_arg_extractor = additional_forward_arg_extractor

    @property
    def device(self) -> torch.device:
        """The device of the first parameter; the processor for models without parameters."""
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in vars(self).items() if k not in NOT_SHOWN and v is not None)
        return f"{type(self).__name__}({shown})"

    def copy(self) -> Any:
        """Returns a copy with the same model."""
        return copy.copy(self)

    def set_kwargs(self, **kwargs: Any) -> Any:
        """Returns a copy with other settings. They take effect, because methods are made when they are called."""
        clone = self.copy()
        for key, value in kwargs.items():
            setattr(clone, key, value)
        return clone

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Returns the settings that can be tuned, each with its type and range."""
        return {}

    def attribute(self, inputs: Tensor | tuple[Tensor, ...], targets: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns the attributions of the class of each record, one tensor for each explained input or layer."""
        forward_args, additional = self._extract_forward_args(inputs)
        explained, more = format_into_tuple(forward_args), format_into_tuple(additional)
        check_tensors(explained)
        call = Call(*explained, *more).only(*range(len(explained)))
        with evaluation_mode(self.model):
            return self.run(call, as_labels(targets), explained)

    def run(self, call: Call, of: Labels, explained: tuple[Tensor, ...]) -> Any:
        """Returns the attributions by the native method."""
        cuts = self.cuts(explained)
        found: Attribution = self.method(explained)(self.model, call, of=of, **({} if cuts is None else {"at": cuts}))
        return as_tensors(found)

    def method(self, explained: tuple[Tensor, ...]) -> Any:
        """Returns the native method with the explainer's settings."""
        raise NotImplementedError

    def cuts(self, explained: tuple[Tensor, ...]) -> Any:
        """Returns the cuts of the explainer's layers: arguments by name, modules of the model, or a list of them; None for the inputs."""
        layer = getattr(self, "layer", None)
        if layer is None:
            return None
        every = list(layer) if isinstance(layer, (list, tuple)) else [layer]
        found = [self.cut_of(one) for one in every]
        return found if len(found) > 1 else found[0]

    def cut_of(self, layer: Any) -> Cut:
        """Returns the cut of a module or of an argument. Raises CutError for a module that is not in the model."""
        if isinstance(layer, str):
            names = list(inspect.signature(self.model.forward).parameters)
            return INPUT.at(names.index(layer)) if layer in names else Cut(layer)
        for name, module in self.model.named_modules():
            if module is layer:
                return Cut(name)
        there = f"a {type(layer).__name__} that is no module of the model"
        raise CutError("The layer is not in the model", found=there, advice="layer=model.layer, a module of this model")

    def _extract_forward_args(self, inputs: Any) -> tuple[Any, Any]:
        forward_args = self.forward_arg_extractor(inputs) if self.forward_arg_extractor else inputs
        additional = self.additional_forward_arg_extractor(inputs) if self.additional_forward_arg_extractor else None
        return forward_args, additional

    def baselines(self, explained: Sequence[Tensor]) -> Any:
        """Returns the baseline of each explained input by ``baseline_fn``: a name, a function, or one for each input."""
        functions = [
            BaselineFunction.from_method(f) if isinstance(f, str) else f for f in format_into_tuple(getattr(self, "baseline_fn", None))
        ]
        if not functions:
            return None
        functions = functions * len(explained) if len(functions) == 1 else functions
        return format_out_tuple_if_single(tuple(f(x) for f, x in zip(functions, explained, strict=True)))

    def feature_masks(self, explained: Sequence[Tensor]) -> Any:
        """Returns the feature mask of each explained input by ``feature_mask_fn``, counted on from input to input."""
        functions = [
            FeatureMaskFunction.from_method(f) if isinstance(f, str) else f
            for f in format_into_tuple(getattr(self, "feature_mask_fn", None))
        ]
        if not functions:
            return None
        functions = functions * len(explained) if len(functions) == 1 else functions
        masks, first = [], 0
        for function, x in zip(functions, explained, strict=True):
            mask = function(x)
            masks.append(None if mask is None else mask + first)
            first += 0 if mask is None else int(mask.max()) + 1
        return format_out_tuple_if_single(tuple(masks))


def as_tensors(a: Attribution) -> Any:
    """Returns the values as tensors: one alone, several as a tuple."""
    return format_out_tuple_if_single(tuple(torch.as_tensor(leaf) for _, leaf in a.arrays()))
