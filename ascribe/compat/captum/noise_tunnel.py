"""NoiseTunnel: any method at noisy copies of the record, and the mean, mean square or variance of what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ...errors import DistributionError, MethodError
from .base import Attribution
from .conventions import Given, deviations, given, repeated

PER_RECORD = ("target", "additional_forward_args", "baselines", "feature_mask", "forward_kwargs")


class NoiseTunnelType(Enum):
    """What is made of the copies."""

    smoothgrad = 1
    smoothgrad_sq = 2
    vargrad = 3


class NoiseTunnel(
    Attribution,
    init="attribution_method",
    call="inputs nt_type nt_samples nt_samples_batch_size stdevs=1.0 draw_baseline_from_distrib **kwargs",
):
    """A method at noisy copies of the record: their mean, mean square, or variance."""

    attribution_method: Attribution

    @property
    def multiplies_by_inputs(self) -> bool:
        return self.attribution_method.multiplies_by_inputs

    def has_convergence_delta(self) -> bool:
        return self.attribution_method.has_convergence_delta()

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Run the copies in batches, each a call of the method. Raises MethodError for a type that there is none of."""
        kind, samples = arguments.pop("nt_type"), int(arguments.pop("nt_samples"))
        if kind not in NoiseTunnelType.__members__ or samples < 1:
            there = ", ".join(NoiseTunnelType.__members__)
            raise MethodError(f"nt_type={kind!r}, nt_samples={samples}", there=there, try_="one of these, and samples from 1 up")
        batch = arguments.pop("nt_samples_batch_size") or samples
        inputs, drawn = given(arguments.pop("inputs")), arguments.pop("draw_baseline_from_distrib")
        scales = deviations(inputs, arguments.pop("stdevs"))
        options = {name: value for name, value in arguments.items() if name not in ("forward_kwargs", "captum_exact") or value}
        moments: list[Moments] = []
        deltas: list[Tensor] = []
        form: Any = None
        for first in range(0, samples, batch):
            times = min(batch, samples - first)
            noisy = inputs.of([x + torch.normal(0.0, scale) for x, scale in zip(*spread(inputs, scales, times), strict=True)])
            found = self.attribution_method.attribute(noisy, **copied(inputs, options, times, drawn))
            if options.get("return_convergence_delta"):
                found, delta = found
                deltas.append(delta)
            form, leaves = found, flat(found)
            moments = moments or [Moments() for _ in leaves]
            for moment, leaf in zip(moments, leaves, strict=True):
                moment.add(leaf.detach().reshape(inputs.records, times, *leaf.shape[1:]))
        result = rebuilt(form, iter([m.of(kind) for m in moments]))
        return (result, torch.cat(deltas)) if deltas else result


class Moments:
    """Sums of numbers and of their squares about the first batch's mean, so that nothing cancels."""

    def __init__(self) -> None:
        self.count = 0
        self.middle = self.first = self.second = torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Copies on axis 1."""
        if not self.count:
            self.middle = x.mean(1, keepdim=True)
            self.first, self.second = (torch.zeros_like(self.middle[:, 0]) for _ in range(2))
        moved = x - self.middle
        self.first, self.second, self.count = self.first + moved.sum(1), self.second + (moved * moved).sum(1), self.count + x.shape[1]

    def of(self, kind: str) -> Tensor:
        """Their mean, mean square or variance."""
        shift = self.first / self.count
        mean, variance = self.middle[:, 0] + shift, (self.second / self.count - shift * shift).clamp(min=0)
        return mean if kind == "smoothgrad" else variance if kind == "vargrad" else variance + mean * mean


def spread(inputs: Given, scales: Sequence[float], times: int) -> tuple[list[Tensor], list[Tensor]]:
    """Every record several times in a row, and the deviation of each of its numbers."""
    many = [torch.repeat_interleave(x.detach(), times, 0) for x in inputs.tensors]
    kind = torch.get_default_dtype()  # of captum's draws too, so that one seed gives both the same noise
    return many, [torch.full(x.shape, s, dtype=kind, device=x.device) for x, s in zip(many, scales, strict=True)]


def copied(inputs: Given, options: dict[str, Any], times: int, drawn: bool) -> dict[str, Any]:
    """The method's arguments for the copies. With ``drawn`` each copy has a random row of the baselines, the same one for all inputs.

    Raises DistributionError for baselines that have no rows to draw from, or different numbers of them.
    """
    records = inputs.records
    found = {name: copies(value, times, records) if name in PER_RECORD else value for name, value in options.items()}
    if drawn and options.get("baselines") is not None:
        rows = flat(options["baselines"])
        if not all(isinstance(row, Tensor) and row.ndim for row in rows) or len({len(row) for row in rows}) > 1:
            try_ = "a tensor of rows for each input, as many for each"
            raise DistributionError("draw_baseline_from_distrib", there="baselines that have no rows in common", try_=try_)
        chosen = torch.randint(len(rows[0]), (records * times,), device=rows[0].device)
        found["baselines"] = inputs.of([row[chosen] for row in rows])
    return found


def copies(value: Any, times: int, records: int) -> Any:
    """What belongs to records, repeated with them; arguments of the model by name too."""
    if isinstance(value, dict):
        return {key: repeated(v, times, records) for key, v in value.items()}
    return repeated(value, times, records)


def flat(values: Any) -> list[Tensor]:
    """The tensors in tuples, lists and dictionaries, in order."""
    if not isinstance(values, (tuple, list, dict)):
        return [values]
    return [leaf for part in (values.values() if isinstance(values, dict) else values) for leaf in flat(part)]


def rebuilt(form: Any, leaves: Any) -> Any:
    """The same tuples, lists and dictionaries around other tensors."""
    if isinstance(form, Tensor):
        return next(leaves)
    if isinstance(form, dict):
        return {key: rebuilt(v, leaves) for key, v in form.items()}
    make: Callable[[Any], Any] = type(form)
    return make([rebuilt(v, leaves) for v in form])
