"""Ablation of a metric of a whole data set: an accuracy, a loss, a correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ...backends.torch.adapters import EVALUATE, Parts, modules_behind
from ...errors import FeatureError, InputError, MethodError
from .base import Attribution
from .methods import FeatureAblation
from .recipes.skipped_inputs import promote_input
from .translate.call import make_baseline
from .translate.errors import raise_as_captum
from .translate.masks import fit_mask, mask_each_element


class InputRole:
    """The role of a part of a loader's batches."""

    need_attr = 0
    need_forward = 1
    no_forward = 2


def concatenate_outputs(held: Tensor | None, output: Tensor, inputs: Any) -> Tensor:
    """Returns all outputs concatenated: the default reduction."""
    return output if held is None else torch.cat([held, output])


class DataLoaderAttribution(
    Attribution,
    call="dataloader input_roles baselines feature_mask reduce to_metric perturbations_per_pass show_progress return_input_shape",
):
    """The decrease of a metric of all outputs when a feature takes its baseline in every record.

    As in captum, the loader is read once for the first batch, once with all features present, and once for every ``perturbations_per_pass``
    features. An iterator is read only once, with all features together, which keeps one accumulated state for each feature.
    """

    attr_method: Attribution

    def __init__(self, attr_method: Attribution) -> None:
        with raise_as_captum():
            if type(attr_method) is not FeatureAblation:
                there = type(attr_method).__name__
                raise MethodError(
                    "`DataLoaderAttribution` supports `FeatureAblation` only",
                    found=there,
                    advice="DataLoaderAttribution(FeatureAblation(model))",
                )
        super().__init__(attr_method.forward_func)
        self.attr_method = attr_method

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Runs every batch unchanged and without each feature. Raises InputError if there are no batches."""
        loader, game = arguments["dataloader"], LoaderAblation(self.forward_func, arguments)
        batches = iter(loader)
        with EVALUATE.off(Parts(modules_behind(self.forward_func)).modules), torch.no_grad():
            if batches is loader:
                game.once(batches)
            else:
                game.passes(loader, next(batches, None), int(arguments["perturbations_per_pass"]))
        return game.result(arguments["to_metric"], arguments["return_input_shape"])


class LoaderAblation:
    """The accumulated outputs of a loader, with all features present and without each."""

    def __init__(self, model: Any, arguments: dict[str, Any]) -> None:
        self.model, self.roles = model, arguments["input_roles"]
        self.baselines, self.mask = arguments["baselines"], arguments["feature_mask"]
        self.reduce: Callable[..., Any] = arguments["reduce"] or concatenate_outputs
        self.single = True
        self.cells: list[Tensor] = []
        self.features: list[int] = []
        self.held: list[Any] = []

    def once(self, batches: Iterator[Any]) -> None:
        """Reads an iterator: every batch, unchanged and without each feature. Raises InputError if there are no batches."""
        for batch in batches:
            if not self.held:
                self.prepare(batch)
            self.take(batch, range(len(self.held)))
        if not self.held:
            raise no_batches_error()

    def passes(self, loader: Any, first: Any, each: int) -> None:
        """Reads a loader unchanged, then again without ``each`` features at a time. Raises InputError if there are no batches."""
        if first is None:
            raise no_batches_error()
        self.prepare(first)
        for versions in ([0], *(range(k, min(k + each, len(self.held))) for k in range(1, len(self.held), each))):
            for batch in loader:
                self.take(batch, versions)

    def parts_of(self, batch: Any) -> tuple[list[Any], Sequence[int], list[int]]:
        """Returns a batch's parts, their roles and the indices to explain. Raises InputError for invalid roles or parts."""
        parts = list(batch) if isinstance(batch, (tuple, list)) else [batch]
        roles = self.roles or (InputRole.need_attr,) * len(parts)
        if len(roles) != len(parts):
            there = f"{len(roles)} input_roles for batches of {len(parts)} parts"
            raise InputError(
                "The number of `input_roles` differs from the number of parts of a batch", found=there, advice="one role for each part"
            )
        explained = [i for i, role in enumerate(roles) if role == InputRole.need_attr]
        odd = [type(parts[i]).__name__ for i in explained if not isinstance(parts[i], Tensor)]
        if odd or not explained:
            there = f"to explain: {', '.join(odd) or 'nothing'}"
            raise InputError(
                "A batch needs tensors to explain", found=there, advice="a tensor, or a tuple of tensors with the role need_attr"
            )
        return parts, roles, explained

    def prepare(self, batch: Any) -> None:
        """Reads the features from the first batch. Raises FeatureError for a wrong number of masks, or for masks per record."""
        parts, _, explained = self.parts_of(batch)
        self.single = not isinstance(batch, (tuple, list))
        first = tuple(parts[i] for i in explained)
        masks = mask_each_element(first) if self.mask is None else self.mask if isinstance(self.mask, tuple) else (self.mask,)
        if len(masks) != len(first):
            there = f"{len(masks)} masks for {len(first)} inputs"
            raise FeatureError("The number of masks differs from the number of inputs", found=there, advice="one mask for each input")
        self.cells = [fit_mask(m, x) for m, x in zip(masks, first, strict=True)]
        if own := [tuple(c.shape) for c in self.cells if len(c) != 1]:
            there = f"a mask of shape {own[0]}"
            raise FeatureError("The batches of a loader must share one mask", found=there, advice="a mask whose first axis is 1")
        self.features = torch.unique(torch.cat([c.reshape(-1) for c in self.cells])).tolist()
        self.held = [None] * (len(self.features) + 1)

    def take(self, batch: Any, versions: Sequence[int]) -> None:
        """Adds a batch: unchanged for version 0, without feature k - 1 for version k."""
        parts, roles, explained = self.parts_of(batch)
        inputs, begin = self.begin([parts[i] for i in explained])
        for k in versions:
            now = list(parts)
            for i, x in zip(explained, self.without(k, inputs, begin) if k else [parts[i] for i in explained], strict=True):
                now[i] = x
            output = self.model(*(x for x, role in zip(now, roles, strict=True) if role != InputRole.no_forward))
            self.held[k] = self.reduce(self.held[k], output, now[0] if self.single else tuple(now))

    def begin(self, inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the inputs and their baselines. Raises InputError for a wrong number of baselines, or baselines per record."""
        given = self.baselines if isinstance(self.baselines, tuple) else (self.baselines,) * len(inputs)
        if len(given) != len(inputs):
            there = f"{len(given)} baselines for {len(inputs)} inputs"
            raise InputError("The number of baselines differs from the number of inputs", found=there, advice="one for each input")
        promoted = [promote_input(x, b) for x, b in zip(inputs, given, strict=True)]
        begin = [make_baseline(x, 0 if b is None else b) for x, b in zip(promoted, given, strict=True)]
        if rows := [tuple(b.shape) for b in begin if len(b) != 1]:
            there = f"a baseline of shape {rows[0]}"
            raise InputError("The batches of a loader must share one baseline", found=there, advice="a baseline whose first axis is 1")
        return promoted, begin

    def without(self, k: int, inputs: list[Tensor], begin: list[Tensor]) -> list[Tensor]:
        """Returns the inputs without a feature."""
        gone = self.features[k - 1]
        return [torch.where(c.to(x.device) == gone, b, x) for c, x, b in zip(self.cells, inputs, begin, strict=True)]

    def result(self, to_metric: Callable[[Any], Any] | None, in_shape: bool) -> Any:
        """Returns the decrease of the metric, ``[metric elements, ...]`` for each input, or ``[metric elements, features]``."""
        found = [torch.as_tensor(to_metric(h) if to_metric else h).reshape(-1) for h in self.held]
        lost = torch.stack([found[0] - other for other in found[1:]], 1)
        if not in_shape:
            return lost
        place = {feature: k for k, feature in enumerate(self.features)}
        each = []
        for cells in self.cells:
            where = torch.tensor([place[i] for i in cells[0].reshape(-1).tolist()], device=lost.device)
            each.append(lost[:, where].reshape(-1, *cells.shape[1:]))
        return each[0] if self.single else tuple(each)


def no_batches_error() -> InputError:
    """Returns the error for a loader without batches."""
    return InputError("The dataloader has no batches", found="0 batches", advice="a dataloader with at least one batch")
