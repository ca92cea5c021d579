"""NoiseTunnel: a method at noisy copies of the record, and the mean, mean square or variance of its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ...errors import DistributionError, MethodError
from .base import Attribution
from .translate.inputs import CaptumInputs, parse_inputs, parse_stdevs, repeat_rows

PER_RECORD = ("target", "additional_forward_args", "baselines", "feature_mask", "forward_kwargs")


class NoiseTunnelType(Enum):
    """The statistic over the copies."""

    smoothgrad = 1
    smoothgrad_sq = 2
    vargrad = 3


class NoiseTunnel(
    Attribution,
    init="attribution_method",
    call="inputs nt_type nt_samples nt_samples_batch_size stdevs=1.0 draw_baseline_from_distrib **kwargs",
):
    """A method at noisy copies of the record: mean, mean square or variance of its values."""

    attribution_method: Attribution

    @property
    def multiplies_by_inputs(self) -> bool:
        return self.attribution_method.multiplies_by_inputs

    def has_convergence_delta(self) -> bool:
        return self.attribution_method.has_convergence_delta()

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Runs the copies in batches, one call of the method for each. Raises MethodError for an unknown type."""
        kind, samples = arguments.pop("nt_type"), int(arguments.pop("nt_samples"))
        if kind not in NoiseTunnelType.__members__ or samples < 1:
            advice = f"nt_type={next(iter(NoiseTunnelType.__members__))!r}, nt_samples=5"
            problem = f"`nt_type` must be one of {', '.join(NoiseTunnelType.__members__)}, and `nt_samples` an integer >= 1"
            raise MethodError(problem, found=f"nt_type={kind!r}, nt_samples={samples}", advice=advice)
        batch = arguments.pop("nt_samples_batch_size") or samples
        inputs, drawn = parse_inputs(arguments.pop("inputs")), arguments.pop("draw_baseline_from_distrib")
        scales = parse_stdevs(inputs, arguments.pop("stdevs"))
        options = {name: value for name, value in arguments.items() if name not in ("forward_kwargs", "captum_exact") or value}
        moments: list[Moments] = []
        deltas: list[Tensor] = []
        form: Any = None
        for first in range(0, samples, batch):
            times = min(batch, samples - first)
            noisy = inputs.pack([x + torch.normal(0.0, scale) for x, scale in zip(*repeat_with_scales(inputs, scales, times), strict=True)])
            found = self.attribution_method.attribute(noisy, **copy_options(inputs, options, times, drawn))
            if options.get("return_convergence_delta"):
                found, delta = found
                deltas.append(delta)
            form, leaves = found, flatten_tensors(found)
            moments = moments or [Moments() for _ in leaves]
            for moment, leaf in zip(moments, leaves, strict=True):
                moment.add(leaf.detach().reshape(inputs.records, times, *leaf.shape[1:]))
        result = rebuild_structure(form, iter([m.of(kind) for m in moments]))
        return (result, torch.cat(deltas)) if deltas else result


class Moments:
    """Running sums of values and squares about the first batch's mean, which avoids cancellation."""

    def __init__(self) -> None:
        self.count = 0
        self.middle = self.first = self.second = torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Adds a batch; copies are on axis 1."""
        if not self.count:
            self.middle = x.mean(1, keepdim=True)
            self.first, self.second = (torch.zeros_like(self.middle[:, 0]) for _ in range(2))
        moved = x - self.middle
        self.first, self.second, self.count = self.first + moved.sum(1), self.second + (moved * moved).sum(1), self.count + x.shape[1]

    def of(self, kind: str) -> Tensor:
        """Returns the mean, mean square or variance."""
        shift = self.first / self.count
        mean, variance = self.middle[:, 0] + shift, (self.second / self.count - shift * shift).clamp(min=0)
        return mean if kind == "smoothgrad" else variance if kind == "vargrad" else variance + mean * mean


def repeat_with_scales(inputs: CaptumInputs, scales: Sequence[float], times: int) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the records repeated ``times`` times, and the standard deviation of each element."""
    many = [torch.repeat_interleave(x.detach(), times, 0) for x in inputs.tensors]
    kind = torch.get_default_dtype()  # of captum's draws too, so that one seed gives both the same noise
    return many, [torch.full(x.shape, s, dtype=kind, device=x.device) for x, s in zip(many, scales, strict=True)]


def copy_options(inputs: CaptumInputs, options: dict[str, Any], times: int, drawn: bool) -> dict[str, Any]:
    """Returns the method's arguments for the copies. With ``drawn`` each copy gets a random row of the baselines, the same for all inputs.

    Raises DistributionError for baselines without rows, or with different numbers of rows.
    """
    records = inputs.records
    found = {name: repeat_per_record(value, times, records) if name in PER_RECORD else value for name, value in options.items()}
    if drawn and options.get("baselines") is not None:
        rows = flatten_tensors(options["baselines"])
        if not all(isinstance(row, Tensor) and row.ndim for row in rows) or len({len(row) for row in rows}) > 1:
            shapes = [tuple(row.shape) if isinstance(row, Tensor) else row for row in rows]
            what = "`draw_baseline_from_distrib=True` needs baselines with the same number of rows for each input"
            raise DistributionError(what, found=f"baselines of shapes {shapes}", advice="a tensor [rows, ...] for each input")
        chosen = torch.randint(len(rows[0]), (records * times,), device=rows[0].device)
        found["baselines"] = inputs.pack([row[chosen] for row in rows])
    return found


def repeat_per_record(value: Any, times: int, records: int) -> Any:
    """Returns per-record values repeated with the records, also inside keyword arguments of the model."""
    if isinstance(value, dict):
        return {key: repeat_rows(v, times, records) for key, v in value.items()}
    return repeat_rows(value, times, records)


def flatten_tensors(values: Any) -> list[Tensor]:
    """Returns the tensors in tuples, lists and dictionaries, in order."""
    if not isinstance(values, (tuple, list, dict)):
        return [values]
    return [leaf for part in (values.values() if isinstance(values, dict) else values) for leaf in flatten_tensors(part)]


def rebuild_structure(form: Any, leaves: Any) -> Any:
    """Returns the structure of ``form`` with other tensors."""
    if isinstance(form, Tensor):
        return next(leaves)
    if isinstance(form, dict):
        return {key: rebuild_structure(v, leaves) for key, v in form.items()}
    make: Callable[[Any], Any] = type(form)
    return make([rebuild_structure(v, leaves) for v in form])
