"""Ablation of a number that a whole data set gives: an accuracy, a loss, a correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ...backends.torch.guard import EVALUATE
from ...backends.torch.hosts import Parts, modules_behind
from ...errors import FeatureError, InputError, MethodError
from .asked import start_for
from .base import Attribution
from .classes import FeatureAblation
from .removal import fitted, own_columns


class InputRole:
    """What a part of a loader's batches is for."""

    need_attr = 0
    need_forward = 1
    no_forward = 2


def joined(held: Tensor | None, output: Tensor, inputs: Any) -> Tensor:
    """All outputs below each other: what is measured where nobody says otherwise."""
    return output if held is None else torch.cat([held, output])


class DataLoaderAttribution(
    Attribution,
    init="attr_method",
    call="dataloader input_roles baselines feature_mask reduce to_metric perturbations_per_pass show_progress return_input_shape",
):
    """What a metric of all outputs loses when a feature takes its baseline in every record. The loader is gone through once."""

    attr_method: Attribution

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Run every batch once as it is and once without each feature.

        Raises MethodError for other methods than ablation, InputError where there are no batches.
        """
        if type(self.attr_method) is not FeatureAblation:
            raise MethodError(f"a loader for {type(self.attr_method).__name__}", there="FeatureAblation")
        game = Loaded(self.forward_func, arguments)
        with EVALUATE.off(Parts(modules_behind(self.forward_func)).modules), torch.no_grad():
            for batch in arguments["dataloader"]:
                game.take(batch)
        if not game.held:
            raise InputError("a dataloader without batches", try_="one that has some")
        return game.result(arguments["to_metric"], arguments["return_input_shape"])


class Loaded:
    """What comes of batches, with everything there and without each feature."""

    def __init__(self, model: Any, arguments: dict[str, Any]) -> None:
        self.model, self.roles = model, arguments["input_roles"]
        self.baselines, self.mask = arguments["baselines"], arguments["feature_mask"]
        self.reduce: Callable[..., Any] = arguments["reduce"] or joined
        self.single = True
        self.cells: list[Tensor] = []
        self.features: list[int] = []
        self.held: list[Any] = []

    def take(self, batch: Any) -> None:
        """Another batch. Raises InputError where its parts and their roles differ in number, and for parts that are no tensors."""
        self.single = not isinstance(batch, (tuple, list))
        parts: tuple[Any, ...] = (batch,) if self.single else tuple(batch)
        roles = self.roles or (InputRole.need_attr,) * len(parts)
        if len(roles) != len(parts):
            raise InputError(f"{len(roles)} input_roles", there=f"batches of {len(parts)} parts", try_="one for each")
        explained = [i for i, role in enumerate(roles) if role == InputRole.need_attr]
        odd = [type(parts[i]).__name__ for i in explained if not isinstance(parts[i], Tensor)]
        if odd or not explained:
            there = f"to explain: {', '.join(odd) or 'nothing'}"
            raise InputError("a batch without tensors to explain", there=there, try_="tensors, alone or in a tuple, in the role need_attr")
        if not self.held:
            self.prepare([parts[i] for i in explained])
        begin = self.begin([parts[i] for i in explained])
        for k, changed in enumerate(self.versions([parts[i] for i in explained], begin)):
            now = list(parts)
            for i, x in zip(explained, changed, strict=True):
                now[i] = x
            output = self.model(*(x for x, role in zip(now, roles, strict=True) if role != InputRole.no_forward))
            self.held[k] = self.reduce(self.held[k], output, now[0] if self.single else tuple(now))

    def prepare(self, first: list[Tensor]) -> None:
        """Features, from the first batch. Raises FeatureError for masks that are more or fewer than the inputs."""
        masks = own_columns(tuple(first)) if self.mask is None else self.mask if isinstance(self.mask, tuple) else (self.mask,)
        if len(masks) != len(first):
            raise FeatureError(f"{len(masks)} masks", there=f"{len(first)} inputs", try_="one for each input")
        self.cells = [fitted(m, x) for m, x in zip(masks, first, strict=True)]
        self.features = torch.unique(torch.cat([c.reshape(-1) for c in self.cells])).tolist()
        self.held = [None] * (len(self.features) + 1)

    def begin(self, inputs: list[Tensor]) -> list[Any]:
        """The baseline of each input. Raises InputError where there are more or fewer."""
        given = self.baselines if isinstance(self.baselines, tuple) else (self.baselines,) * len(inputs)
        if len(given) != len(inputs):
            raise InputError(f"{len(given)} baselines", there=f"{len(inputs)} inputs", try_="one for each")
        return [start_for(x, 0 if b is None else b) for b, x in zip(given, inputs, strict=True)]

    def versions(self, inputs: list[Tensor], begin: list[Any]) -> Iterator[list[Tensor]]:
        """The inputs as they are, and without each feature."""
        yield inputs
        for feature in self.features:
            yield [torch.where(c.to(x.device) == feature, b, x) for c, x, b in zip(self.cells, inputs, begin, strict=True)]

    def result(self, to_metric: Callable[[Any], Any] | None, in_shape: bool) -> Any:
        """What the metric loses, ``[numbers of it, ...]`` for each input, or ``[numbers, features]``."""
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
