"""One call of ``attribute`` with every argument as the noun it stands for, and the native verb called with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...calls.call import Call
from ...cuts import INPUT, OUTPUT, Cut
from ...distributions.draws import Distribution
from ...engine.chunks import Wanted
from ...engine.request import Combine, make_request
from ...engine.run import explain
from ...engine.verbs import activation
from ...errors import InputError
from ...quantities import Bound, Part, Quantity, scores
from ...result.attribution import Attribution as Result
from ...rules import Rule
from ...tree import walk
from .bar import Bar
from .conventions import Given, repeated, spread

HARMLESS = ("allow_unused", "materialize_grads", "retain_graph")
"""What ``grad_kwargs`` may say without a difference: inputs that play no part always come back as zeros."""


@dataclass(frozen=True)
class Asked:
    """What is explained (``of``), where (``at``: a cut, or a list of them), in which call of which model, with which options.

    ``kind`` is the type of the model's output where it is not the one that a quantity sees.
    """

    model: Any
    inputs: Given
    more: tuple[Any, ...]
    named: Mapping[str, Any]
    of: Any
    at: Any
    multiply: bool
    options: Mapping[str, Any]
    kind: torch.dtype | None = None

    def __getitem__(self, option: str) -> Any:
        """An option as the caller gave it, None where the class has no such option."""
        return self.options.get(option)

    @property
    def call(self) -> Call:
        """The model's call."""
        return self.inputs.call(self.more, self.named)

    @property
    def progress(self) -> Wanted:
        """How far along the work is, shown where it is asked for."""
        return partial(Bar, f"{self['name']} attribution") if self["show_progress"] else False

    @property
    def within(self) -> bool:
        """Whether the attribution is at a layer."""
        return self.at is not INPUT

    def explained(
        self,
        over: Distribution | None = None,
        by: Rule | None = None,
        *,
        multiply: bool | None = None,
        of: Quantity | None = None,
        at: Any = None,
        seed: int = 0,
        combine: Combine | None = None,
    ) -> Result:
        """The native verb, with what was asked filled in."""
        request = make_request(
            self.of if of is None else of,
            self.at if at is None else at,
            over,
            by,
            multiply=self.multiply if multiply is None else multiply,
            seed=seed,
            progress=self.progress,
            combine=combine,
            most=self["internal_batch_size"],
            bare=not self["return_convergence_delta"],
        )
        return explain(self.model, self.call, request)

    def removed(self, over: Any, by: Any, features: Any, *, at: Any = None, seed: int = 0) -> tuple[Result, torch.dtype]:
        """The verb over coalitions of features, and the type of the output; ``perturbations_per_eval`` above 1 bounds the rows at once."""
        many = isinstance(self.of, list)
        seen = [Watched(of) for of in (self.of if many else [self.of])]
        each = self["perturbations_per_eval"] or 1
        most = each * self.inputs.records if each > 1 else None
        of, at = seen if many else seen[0], self.at if at is None else at
        request = make_request(of, at, over, by, features, seed=seed, progress=self.progress, most=most)
        return explain(self.model, self.call, request), self.kind or seen[0].kinds[-1]

    def result(self, values: Any) -> Any:
        """Native values in captum's form: that of the inputs, of the layer's value, or a list of those for several layers.

        Raises InputError where an input has no attribution: whole numbers beside numbers that can be explained.
        """
        if isinstance(self.at, list):
            return [tuples(v) for v in values]
        if self.at is not INPUT:
            return tuples(values)
        arrays = [leaf for _, leaf in walk(values)]
        if not any(t.is_floating_point() for t in self.inputs.tensors):  # token ids: explained at their embeddings
            return arrays[0] if self.inputs.single else tuple(arrays)
        if len(arrays) != len(self.inputs.tensors):
            there = ", ".join(f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in self.inputs.tensors)
            raise InputError("inputs without an attribution", there=there, try_="whole numbers as additional_forward_args")
        return self.inputs.like(arrays)

    def spread(self, times: int) -> Asked:
        """The same with every record ``times`` times in a row."""
        n = self.inputs.records
        inputs = replace(self.inputs, tensors=repeated(self.inputs.tensors, times, n))
        named = {key: repeated(value, times, n) for key, value in self.named.items()}
        return replace(self, inputs=inputs, more=repeated(self.more, times, n), named=named, of=spread(self.of, times))

    def with_options(self, **options: Any) -> Asked:
        """The same with other options."""
        return replace(self, options={**self.options, **options})

    def on(self, tensors: Sequence[Tensor]) -> Asked:
        """The same for other inputs of that many rows."""
        return replace(self, inputs=replace(self.inputs, tensors=tuple(tensors)))


class Watched:
    """A quantity that remembers the type of what it was read from."""

    def __init__(self, of: Quantity) -> None:
        self.of, self.kinds = of, [torch.get_default_dtype()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def __repr__(self) -> str:
        return repr(self.of)

    @property
    def on(self) -> Cut:
        """Where the quantity is read."""
        return self.of.on

    @property
    def kind(self) -> Any:
        """What quantities share that treat rows alike."""
        return getattr(self.of, "kind", type(self.of))

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        """That of the quantity."""
        kind = getattr(y, "dtype", None)
        self.kinds += [kind] if isinstance(kind, torch.dtype) else []
        return self.of.bind(y, names, part)


def tuples(value: Any) -> Any:
    """What a layer holds, with tuples for whatever container it has, as captum returns it."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return tuple(tuples(v) for v in value)
    return value


def change(asked: Asked, start: Sequence[Tensor], end: Sequence[Tensor]) -> Tensor:
    """How much more the quantity is at some inputs than at others, for every record: a run for each."""
    return at_inputs(asked.on(end)) - at_inputs(asked.on(start))


def at_inputs(asked: Asked) -> Tensor:
    """The quantity for every record: one run, no gradient."""
    y = scores(activation(asked.model, asked.call, at=OUTPUT).values, asked.of)
    found = asked.of.bind(y)(y)
    assert isinstance(found, Tensor)
    return found


def totals(values: Any) -> Tensor:
    """What each record's values add up to."""
    parts = [leaf.reshape(len(leaf), -1).sum(1) for _, leaf in walk(values)]
    return torch.stack(parts).sum(0)


def starts(asked: Asked, baselines: Any) -> list[Tensor]:
    """``baselines`` as one tensor ``[1 or records, ...]`` for each input. Raises InputError where there are more or fewer."""
    if isinstance(baselines, Mapping):
        baselines = tuple(baselines[name] for name in asked.inputs.names)
    many = 1 if isinstance(baselines, Tensor) else len(asked.inputs.tensors)
    each = baselines if isinstance(baselines, (tuple, list)) else (baselines,) * many
    if len(each) != len(asked.inputs.tensors):
        raise InputError(f"{len(each)} baselines", there=f"{len(asked.inputs.tensors)} inputs", try_="one for each")
    return [start_for(x, 0 if b is None else b) for x, b in zip(asked.inputs.tensors, each, strict=True)]


def start_for(x: Tensor, baseline: Any) -> Tensor:
    """One baseline beside its input: a number fills a row, a row without the records' axis gets one. Raises InputError for others."""
    try:
        start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"a baseline of type {type(baseline).__name__}", try_="a number or a tensor") from error
    if not start.ndim:
        return torch.full_like(x[:1], start.item())
    return start[None] if start.ndim == x.ndim - 1 else start
