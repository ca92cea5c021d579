"""Ablation of a number that a whole data set gives: an accuracy, a loss, a correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ...backends.torch.adapters import EVALUATE, Parts, modules_behind
from ...errors import FeatureError, InputError, MethodError
from .asked import start_for
from .base import Attribution
from .cells import fitted, own_columns
from .classes import FeatureAblation
from .errors import also_theirs
from .pared import between


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
    call="dataloader input_roles baselines feature_mask reduce to_metric perturbations_per_pass show_progress return_input_shape",
):
    """What a metric of all outputs loses when a feature takes its baseline in every record.

    As in captum, the loader is gone through once for a look at the first batch, once with everything there, and once for every
    ``perturbations_per_pass`` features: so many accumulated states are held at a time. What can be gone through only once (an iterator)
    is, with all of them.
    """

    attr_method: Attribution

    def __init__(self, attr_method: Attribution) -> None:
        with also_theirs():
            if type(attr_method) is not FeatureAblation:
                raise MethodError(f"a loader for {type(attr_method).__name__}", there="FeatureAblation")
        super().__init__(attr_method.forward_func)
        self.attr_method = attr_method

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Run every batch as it is and without each feature. Raises InputError where there are no batches."""
        loader, game = arguments["dataloader"], Loaded(self.forward_func, arguments)
        batches = iter(loader)
        with EVALUATE.off(Parts(modules_behind(self.forward_func)).modules), torch.no_grad():
            if batches is loader:
                game.once(batches)
            else:
                game.passes(loader, next(batches, None), int(arguments["perturbations_per_pass"]))
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

    def once(self, batches: Iterator[Any]) -> None:
        """Every batch, as it is and without each feature. Raises InputError where there are none."""
        for batch in batches:
            if not self.held:
                self.prepare(batch)
            self.take(batch, range(len(self.held)))
        if not self.held:
            raise empty()

    def passes(self, loader: Any, first: Any, each: int) -> None:
        """The loader as it is, and again without each of some features at a time. Raises InputError where there are no batches."""
        if first is None:
            raise empty()
        self.prepare(first)
        for versions in ([0], *(range(k, min(k + each, len(self.held))) for k in range(1, len(self.held), each))):
            for batch in loader:
                self.take(batch, versions)

    def parts_of(self, batch: Any) -> tuple[list[Any], Sequence[int], list[int]]:
        """A batch's parts, their roles, and which are explained. Raises InputError for other numbers of roles, and for no tensors."""
        parts = list(batch) if isinstance(batch, (tuple, list)) else [batch]
        roles = self.roles or (InputRole.need_attr,) * len(parts)
        if len(roles) != len(parts):
            raise InputError(f"{len(roles)} input_roles", there=f"batches of {len(parts)} parts", try_="one for each")
        explained = [i for i, role in enumerate(roles) if role == InputRole.need_attr]
        odd = [type(parts[i]).__name__ for i in explained if not isinstance(parts[i], Tensor)]
        if odd or not explained:
            there = f"to explain: {', '.join(odd) or 'nothing'}"
            raise InputError("a batch without tensors to explain", there=there, try_="tensors, alone or in a tuple, in the role need_attr")
        return parts, roles, explained

    def prepare(self, batch: Any) -> None:
        """Features, from a first batch. Raises FeatureError for more or fewer masks than inputs, and for masks of each record's own."""
        parts, _, explained = self.parts_of(batch)
        self.single = not isinstance(batch, (tuple, list))
        first = tuple(parts[i] for i in explained)
        masks = own_columns(first) if self.mask is None else self.mask if isinstance(self.mask, tuple) else (self.mask,)
        if len(masks) != len(first):
            raise FeatureError(f"{len(masks)} masks", there=f"{len(first)} inputs", try_="one for each input")
        self.cells = [fitted(m, x) for m, x in zip(masks, first, strict=True)]
        if own := [tuple(c.shape) for c in self.cells if len(c) != 1]:
            raise FeatureError(f"a mask of shape {own[0]}", there="batches of any number of records", try_="a mask whose first axis is 1")
        self.features = torch.unique(torch.cat([c.reshape(-1) for c in self.cells])).tolist()
        self.held = [None] * (len(self.features) + 1)

    def take(self, batch: Any, versions: Sequence[int]) -> None:
        """Another batch: as it is for version 0, without feature k - 1 for version k."""
        parts, roles, explained = self.parts_of(batch)
        inputs, begin = self.begin([parts[i] for i in explained])
        for k in versions:
            now = list(parts)
            for i, x in zip(explained, self.without(k, inputs, begin) if k else [parts[i] for i in explained], strict=True):
                now[i] = x
            output = self.model(*(x for x, role in zip(now, roles, strict=True) if role != InputRole.no_forward))
            self.held[k] = self.reduce(self.held[k], output, now[0] if self.single else tuple(now))

    def begin(self, inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The inputs and the baseline of each. Raises InputError where there are more or fewer, or one for each record."""
        given = self.baselines if isinstance(self.baselines, tuple) else (self.baselines,) * len(inputs)
        if len(given) != len(inputs):
            raise InputError(f"{len(given)} baselines", there=f"{len(inputs)} inputs", try_="one for each")
        beside = [between(x, b) for x, b in zip(inputs, given, strict=True)]
        found = [start_for(x, 0 if b is None else b) for x, b in zip(beside, given, strict=True)]
        if rows := [tuple(b.shape) for b in found if len(b) != 1]:
            raise InputError(f"a baseline of shape {rows[0]}", there="batches of any number of records", try_="one whose first axis is 1")
        return beside, found

    def without(self, k: int, inputs: list[Tensor], begin: list[Tensor]) -> list[Tensor]:
        """The inputs without a feature."""
        gone = self.features[k - 1]
        return [torch.where(c.to(x.device) == gone, b, x) for c, x, b in zip(self.cells, inputs, begin, strict=True)]

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


def empty() -> InputError:
    """What is raised where there are no batches."""
    return InputError("a dataloader without batches", try_="one that has some")
