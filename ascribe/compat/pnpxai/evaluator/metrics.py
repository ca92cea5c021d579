"""PnPXAI's metrics of explanations, each one number for a record. ``ascribe.metrics`` has these and thirty more, with intervals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .... import metrics
from ....arrays import as_numpy
from ....calls.call import Call
from ....errors import InputError
from ....features import Grid
from ..explainers import Explainer
from ..explainers.utils.baselines import ZeroBaselineFunction
from ..tuples import as_labels, evaluation_mode, format_into_tuple, format_out_tuple_if_single

NOT_SHOWN = ("model", "explainer", "prob_fn", "pred_fn")


class Metric:
    """The base of PnPXAI's metrics: ``metric.evaluate(inputs, targets, attributions)`` returns ``[records]``.

    ``set_explainer`` and ``set_kwargs`` return copies. Without attributions they are computed by the explainer.
    """

    SUPPORTED_EXPLANATION_TYPE = "attribution"
    HIGHER_IS_BETTER: ClassVar[bool] = True

    def __init__(self, model: nn.Module, explainer: Explainer | None = None, **kwargs: Any) -> None:
        self.model, self.explainer = model, explainer
        self.postprocessor: Callable[[Tensor], Tensor] | None = None

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

    def set_explainer(self, explainer: Explainer) -> Any:
        """Returns a copy for an explainer. Raises InputError for an explainer of another model."""
        if getattr(explainer, "model", self.model) is not self.model:
            raise InputError("The explainer has another model than the metric", found=type(explainer.model).__name__, advice="one model")
        clone = self.copy()
        clone.explainer = explainer
        return clone

    def set_kwargs(self, **kwargs: Any) -> Any:
        """Returns a copy with other settings."""
        clone = self.copy()
        for key, value in kwargs.items():
            setattr(clone, key, value)
        return clone

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None) -> Any:
        """Returns one number for each record."""
        raise NotImplementedError

    def explain(self, inputs: Any, targets: Tensor) -> Any:
        """Returns attributions of the explainer, processed as those that are judged. Raises InputError without an explainer."""
        if self.explainer is None:
            there = "no explainer and no attributions"
            raise InputError(f"{type(self).__name__} needs an explainer", found=there, advice="metric.set_explainer(explainer)")
        call = self.explainer.attribute if isinstance(self.explainer, Explainer) else self.explainer
        found = call(inputs, targets)
        processors = format_into_tuple(self.postprocessor)
        if not processors:
            return found
        return format_out_tuple_if_single(tuple(p(a) for p, a in zip(processors, format_into_tuple(found), strict=True)))

    def given_or_explained(self, inputs: Any, targets: Tensor, attributions: Any) -> Any:
        """Returns the attributions, or those of the explainer."""
        return self.explain(inputs, targets) if attributions is None else attributions

    def _get_attributions(self, inputs: Any, targets: Tensor, attributions: Any = None) -> Any:
        return self.given_or_explained(inputs, targets, attributions)

    def split(self, inputs: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Returns the explained inputs and those that are only passed on."""
        owner = self.explainer if isinstance(self.explainer, Explainer) else self
        first, more = (getattr(owner, name, None) for name in ("forward_arg_extractor", "additional_forward_arg_extractor"))
        return format_into_tuple(first(inputs) if first else inputs), format_into_tuple(more(inputs) if more else None)


class MuFidelity(Metric):
    """Rank correlation between the summed values of random cells and what removing them changes: ``ascribe.metrics.MuFidelity``.

    ``noise_scale`` is the share of the cells of the grid that are set to ``baseline`` together, ``n_perturb`` times. PnPXAI also adds noise
    that can only lower the input, which the paper (Bhatt et al. 2020) does not have and neither does this. Tables and series have their
    elements in place of cells; token ids and several inputs work.
    """

    def __init__(
        self, model: nn.Module, explainer: Explainer | None = None, n_perturb: int = 150, noise_scale: float = 0.2, batch_size: int = 32,
        grid_size: int = 9, baseline: Any = 0.0, mask_agg_dim: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, explainer)
        self.n_perturb, self.noise_scale, self.batch_size = n_perturb, noise_scale, batch_size
        self.grid_size, self.baseline, self.mask_agg_dim = grid_size, baseline, mask_agg_dim

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None) -> Tensor:
        """Returns a correlation for each record; NaN for records whose values are constant."""
        explained, more = self.split(inputs)
        values = format_into_tuple(self.given_or_explained(inputs, targets, attributions))
        images = len(explained) == 1 and explained[0].ndim == 4
        metric = metrics.MuFidelity(
            by=self.baseline, features=Grid(self.grid_size) if images else None, share=self.noise_scale, samples=self.n_perturb
        )
        call = Call(*explained, *more).only(*range(len(explained)))
        with evaluation_mode(self.model):
            found = metric([as_numpy(v) for v in values], self.model, call, of=as_labels(targets))
        return torch.as_tensor(found.values)


class PixelFlipping(Metric):
    """The probabilities while features are replaced by the baseline in the order of their values: ``evaluate`` returns the curves.

    There are ``n_steps`` points: the input as it is, then floor(features / n_steps) features more at each, and all features at the last.
    Values without the axis ``channel_dim`` flip all channels together. For several inputs, one curve each.
    """

    def __init__(
        self,
        model: nn.Module,
        explainer: Explainer | None = None,
        channel_dim: Any = 1,
        n_steps: int = 10,
        baseline_fn: Any = None,
        prob_fn: Callable[[Tensor], Tensor] | None = None,
        pred_fn: Callable[[Tensor], Tensor] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(model, explainer)
        self.channel_dim, self.n_steps = channel_dim, n_steps
        self.baseline_fn = ZeroBaselineFunction() if baseline_fn is None else baseline_fn
        self.prob_fn = probabilities if prob_fn is None else prob_fn
        self.pred_fn = classes if pred_fn is None else pred_fn
        self.forward_arg_extractor, self.additional_forward_arg_extractor = forward_arg_extractor, additional_forward_arg_extractor

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None, attention_mask: Any = None, descending: bool = True) -> Any:
        """Returns ``{"probs": [records, n_steps], "preds": [records, n_steps]}``, one for each input."""
        return format_out_tuple_if_single(self.curves(inputs, targets, attributions, attention_mask, descending))

    def curves(self, inputs: Any, targets: Tensor, attributions: Any, attention_mask: Any, descending: bool) -> tuple[Any, ...]:
        """Returns the curves of each input."""
        explained, more = self.split(inputs)
        values = format_into_tuple(self.given_or_explained(inputs, targets, attributions))
        if len(values) != len(explained):
            there = f"{len(values)} for {len(explained)} inputs"
            raise InputError("There must be one tensor of attributions for each input", found=there, advice="forward_arg_extractor=...")
        channels, baselines, ignored = (format_into_tuple(one) or (None,) for one in (self.channel_dim, self.baseline_fn, attention_mask))
        found = []
        with torch.no_grad(), evaluation_mode(self.model):
            for place, (x, value) in enumerate(zip(explained, values, strict=True)):
                channel, make_baseline, mask = (one[place % len(one)] for one in (channels, baselines, ignored))
                removed, probs, preds = make_baseline(x), [], []
                for flipped in self.steps(value.to(x.device), mask, descending):
                    shown = torch.where(spread(flipped, channel, x.shape), removed.to(x.dtype), x)
                    output = self.model(*explained[:place], shown, *explained[place + 1 :], *more)
                    scores = getattr(output, "logits", output)
                    at = targets.reshape(-1, 1).to(device=scores.device, dtype=torch.long)
                    probs.append(self.prob_fn(scores).gather(1, at)[:, 0])
                    preds.append(self.pred_fn(scores))
                found.append({"probs": torch.stack(probs, 1), "preds": torch.stack(preds, 1)})
        return tuple(found)

    def steps(self, value: Tensor, mask: Tensor | None, descending: bool) -> list[Tensor]:
        """Returns for each point which features are flipped, in the shape of the values."""
        flat = value.flatten(1).nan_to_num(0.0)
        valid = torch.ones_like(flat, dtype=torch.bool) if mask is None else mask.flatten(1).to(flat.device) == 1
        flat = flat.masked_fill(~valid, -torch.inf if descending else torch.inf)
        rank = torch.argsort(flat, dim=-1, descending=descending, stable=True).argsort(-1)
        count = valid.sum(-1, keepdim=True)
        each = (count // self.n_steps).clamp(min=1)
        counts = [torch.minimum(each * step, count) for step in range(self.n_steps - 1)] + [count]
        return [(rank < n).view(value.shape) for n in counts]


class MoRF(PixelFlipping):
    """The mean probability while the features with the largest values go first. Lower is better."""

    HIGHER_IS_BETTER = False

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None, attention_mask: Any = None) -> Any:  # type: ignore[override]
        """Returns ``[records]``, one for each input."""
        return format_out_tuple_if_single(
            tuple(c["probs"].mean(-1) for c in self.curves(inputs, targets, attributions, attention_mask, True))
        )


class LeRF(PixelFlipping):
    """The mean probability while the features with the smallest values go first. Higher is better."""

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None, attention_mask: Any = None) -> Any:  # type: ignore[override]
        """Returns ``[records]``, one for each input."""
        return format_out_tuple_if_single(
            tuple(c["probs"].mean(-1) for c in self.curves(inputs, targets, attributions, attention_mask, False))
        )


class AbPC(PixelFlipping):
    """The mean difference of the two curves, LeRF - MoRF, at least ``lb`` at each point. Higher is better."""

    def __init__(
        self,
        model: nn.Module,
        explainer: Explainer | None = None,
        channel_dim: Any = 1,
        n_steps: int = 10,
        baseline_fn: Any = None,
        prob_fn: Callable[[Tensor], Tensor] | None = None,
        pred_fn: Callable[[Tensor], Tensor] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        lb: float = -1.0,
    ) -> None:
        extractors = (forward_arg_extractor, additional_forward_arg_extractor)
        super().__init__(model, explainer, channel_dim, n_steps, baseline_fn, prob_fn, pred_fn, *extractors)
        self.lb = lb

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None, attention_mask: Any = None, return_pf: bool = False) -> Any:
        """Returns ``[records]``, one for each input; with ``return_pf`` also the curves, most relevant first and least relevant first."""
        values = self.given_or_explained(inputs, targets, attributions)
        least, most = (self.curves(inputs, targets, values, attention_mask, order) for order in (False, True))
        areas = [(up["probs"] - down["probs"]).clamp(min=self.lb).mean(-1) for up, down in zip(least, most, strict=True)]
        if return_pf:
            return format_out_tuple_if_single(tuple(zip(areas, most, least, strict=True)))
        return format_out_tuple_if_single(tuple(areas))


class Sensitivity(Metric):
    """The largest relative change of the attributions over ``n_iter`` inputs with uniform noise up to ``epsilon``. Lower is better.

    The attributions of noisy inputs are processed as those that are judged; PnPXAI compares processed with raw ones. Token ids, which have
    no noise, stay as they are. Source: Yeh et al. 2019.
    """

    HIGHER_IS_BETTER = False

    def __init__(self, model: nn.Module, explainer: Any = None, n_iter: int = 8, epsilon: float = 0.2) -> None:
        super().__init__(model, explainer)
        self.n_iter, self.epsilon = n_iter, epsilon

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None) -> Tensor:
        """Returns ``[records]``: 0 where both attributions are zero, and infinity where only those of the input are."""
        given = flatten(self.given_or_explained(inputs, targets, attributions))
        size, worst = given.norm(dim=1), torch.zeros(len(given), dtype=given.dtype)
        for _ in range(self.n_iter):
            noisy = format_out_tuple_if_single(tuple(self.noisy(x) for x in format_into_tuple(inputs)))
            change = (flatten(self.explain(noisy, targets)) - given).norm(dim=1)
            relative = torch.where(
                size > 0, change / size.clamp(min=torch.finfo(size.dtype).tiny), change.masked_fill(change > 0, torch.inf)
            )
            worst = torch.maximum(worst, relative)
        return worst

    def noisy(self, x: Tensor) -> Tensor:
        """Returns an input with uniform noise."""
        if not x.is_floating_point():
            return x
        return x + (torch.rand_like(x) * 2 - 1) * self.epsilon


class Complexity(Metric):
    """The entropy of a histogram of the values, in nats. Lower is better.

    Images of three channels are weighted as colours, as PnPXAI does, and others averaged over their channels. ``ascribe.metrics.Entropy``
    is the measure of the paper (Bhatt et al. 2020), which is not a histogram.
    """

    HIGHER_IS_BETTER = False

    def __init__(self, model: nn.Module, explainer: Explainer | None = None, n_bins: int = 10) -> None:
        super().__init__(model, explainer)
        self.n_bins = n_bins

    def evaluate(self, inputs: Any, targets: Tensor, attributions: Any = None) -> Tensor:
        """Returns ``[records]``; NaN for records with values that are not finite."""
        values = [grey(v.detach()) for v in format_into_tuple(self.given_or_explained(inputs, targets, attributions))]
        return torch.tensor([self.entropy(row) for row in as_numpy(flatten(tuple(values)))])

    def entropy(self, row: np.ndarray) -> float:
        """Returns the entropy of the histogram of one record."""
        if not np.isfinite(row).all():
            return float("nan")
        counts = np.histogram(row, bins=self.n_bins)[0]
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())


PIXEL_FLIPPING_METRICS = [MoRF, LeRF, AbPC]
AVAILABLE_METRICS: list[type[Metric]] = [MuFidelity, *PIXEL_FLIPPING_METRICS, Sensitivity, Complexity]
COLOURS = (0.2989, 0.587, 0.114)


def probabilities(outputs: Tensor) -> Tensor:
    """Returns the probabilities of logits."""
    return functional.softmax(outputs, -1)


def classes(outputs: Tensor) -> Tensor:
    """Returns the predicted classes."""
    return outputs.argmax(-1)


def spread(flipped: Tensor, channel: int | None, shape: torch.Size) -> Tensor:
    """Returns a mask in the shape of the input. Raises InputError for one that does not fit."""
    if flipped.ndim == len(shape) - 1 and channel is not None:
        flipped = flipped.unsqueeze(channel)
    try:
        return flipped.expand(shape)
    except RuntimeError:
        there = f"attributions of shape {tuple(flipped.shape)} for inputs of shape {tuple(shape)}"
        raise InputError(
            "The attributions do not fit the inputs", found=there, advice="channel_dim=, or a pooling of the channels"
        ) from None


def flatten(values: Any) -> Tensor:
    """Returns attributions next to each other, ``[records, elements]``."""
    return torch.cat([v.detach().cpu().flatten(1) for v in format_into_tuple(values)], 1)


def grey(values: Tensor) -> Tensor:
    """Returns images without channels."""
    if values.ndim != 4:
        return values
    if values.shape[1] == len(COLOURS):
        return torch.einsum("nchw,c->nhw", values, values.new_tensor(COLOURS))
    return values.mean(1)
