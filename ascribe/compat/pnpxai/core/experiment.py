"""Explainers, post-processing and metrics over a data set: ``Experiment``, and ``AutoExplanation`` with recommended ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ....errors import CompatError
from ..evaluator.metrics import AbPC, Complexity, LeRF, Metric, MoRF, MuFidelity, Sensitivity
from ..evaluator.optimizer import Objective, OptimizationOutput, Sampler, optimize
from ..explainers import Explainer, KernelShap
from ..explainers.utils.postprocess import Identity
from ..tuples import evaluation_mode, format_into_tuple, format_out_tuple_if_single
from .manager import ExperimentManager, batch, digest
from .modality import ImageModality, Modality, TabularModality, TextModality, TimeSeriesModality
from .recommender import XaiRecommender

Extractor = Callable[[Any], Any]
DEFAULT_METRICS: tuple[type[Metric], ...] = (MuFidelity, AbPC, Sensitivity, Complexity)
DEFAULT_METRICS_FOR_TEXT: tuple[type[Metric], ...] = (MoRF, LeRF, AbPC)


def default_input_extractor(x: Any) -> Any:
    """Returns the first element of a batch."""
    return x[0]


def default_label_extractor(x: Any) -> Any:
    """Returns the last element of a batch."""
    return x[-1]


def default_target_extractor(y: Tensor) -> Tensor:
    """Returns the predicted classes."""
    return y.argmax(-1)


class Experiment:
    """A model, its data, and explainers, postprocessors and metrics by number.

    Records are run in batches of the size of the data loader. Results are kept by content and settings, so that a changed explainer under
    the same number is computed anew; ``cache_dir`` keeps them on disk. ``errors`` has what failed in :meth:`run_all`.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        modality: Any,
        explainers: Sequence[Explainer],
        postprocessors: Sequence[Any],
        metrics: Sequence[Metric],
        input_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        cache_device: torch.device | str | None = None,
        target_labels: bool = False,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.model, self.modality, self.target_labels = model, modality, target_labels
        first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        self.model_device = torch.device("cpu") if first is None else first.device
        self.manager = ExperimentManager(data, cache_device, cache_dir, model)
        for explainer in explainers:
            self.manager.add_explainer(explainer)
        for postprocessor in postprocessors:
            self.manager.add_postprocessor(postprocessor)
        for metric in metrics:
            self.manager.add_metric(metric)
        self.input_extractor = input_extractor or default_input_extractor
        self.label_extractor = label_extractor or default_label_extractor
        self.target_extractor = target_extractor or default_target_extractor
        self.reset_errors()

    def reset_errors(self) -> None:
        """Forgets the errors."""
        self.errors: list[BaseException] = []

    def to_device(self, x: Any) -> Any:
        """Returns the tensors of a batch on the model's device."""
        if isinstance(x, Tensor):
            return x.to(self.model_device)
        if isinstance(x, dict):
            return {key: self.to_device(value) for key, value in x.items()}
        return type(x)(self.to_device(one) for one in x) if isinstance(x, (tuple, list)) else x

    def run_batch(self, explainer_id: int, postprocessor_id: int, metric_id: int, data_ids: Sequence[int] | None = None) -> dict[str, Any]:
        """Returns everything of an explainer, a postprocessor and a metric on records: ten entries, each a batch of all of them."""
        ids = self.manager.get_data_ids(data_ids)
        evaluation = self.evaluate_batch(ids, explainer_id, postprocessor_id, metric_id)
        data = self.manager.batch_data_by_ids(ids)
        return {
            "inputs": self.input_extractor(data),
            "labels": self.label_extractor(data),
            "outputs": self.predict_batch(ids),
            "targets": self._get_targets(ids),
            "explainer": self.manager.get_explainer_by_id(explainer_id),
            "explanation": self.explain_batch(ids, explainer_id),
            "postprocessor": self.manager.get_postprocessor_by_id(postprocessor_id),
            "postprocessed": self.postprocess_batch(ids, explainer_id, postprocessor_id),
            "metric": self.manager.get_metric_by_id(metric_id),
            "evaluation": evaluation,
        }

    def run_all(self, data_ids: Sequence[int] | None = None) -> None:
        """Evaluates every explainer with every postprocessor by every metric; what fails is in ``errors``, and the others go on."""
        ids, own = self.manager.get_data_ids(data_ids), self.manager
        counts = (range(len(one)) for one in (own.explainers, own.postprocessors, own.metrics))
        for explainer_id, postprocessor_id, metric_id in itertools.product(*counts):
            try:
                self.evaluate_batch(ids, explainer_id, postprocessor_id, metric_id)
            except Exception as error:
                self.errors.append(error)

    def predict_batch(self, data_ids: Sequence[int]) -> Any:
        """Returns the outputs of records, without graphs."""

        def predict(ids: list[int]) -> Any:
            with torch.no_grad(), evaluation_mode(self.model):
                output = self.model(*format_into_tuple(self._inputs(ids)))
            return getattr(output, "logits", output)

        return self._computed(data_ids, predict, "output")

    def explain_batch(self, data_ids: Sequence[int], explainer_id: int) -> Any:
        """Returns the attributions of records."""
        explainer = self.manager.get_explainer_by_id(explainer_id)
        return self._computed(
            data_ids, lambda ids: explainer.attribute(self._inputs(ids), self._get_targets(ids)), *self._explained_by(explainer)
        )

    def postprocess_batch(self, data_ids: Sequence[int], explainer_id: int, postprocessor_id: int) -> Any:
        """Returns the processed attributions of records. Raises ValueError for pooled values of tokens, which have no channels."""
        explanations = format_into_tuple(self.explain_batch(data_ids, explainer_id))
        explainer = self.manager.get_explainer_by_id(explainer_id)
        processors = format_into_tuple(self.manager.get_postprocessor_by_id(postprocessor_id))
        found = []
        for modality, values, process in zip(format_into_tuple(self.modality), explanations, processors, strict=True):
            pools = not isinstance(getattr(process, "pooling_fn", None), (Identity, type(None)))
            if isinstance(explainer, KernelShap) and isinstance(modality, TextModality) and pools:
                raise ValueError(f"postprocessor {postprocessor_id} does not support explainer {explainer_id}.")
            found.append(process(values))
        return format_out_tuple_if_single(tuple(found))

    def evaluate_batch(self, data_ids: Sequence[int], explainer_id: int, postprocessor_id: int, metric_id: int) -> Any:
        """Returns the scores of records, by the metric on processed attributions."""
        explainer, metric, processor = self._chosen(explainer_id, postprocessor_id, metric_id)

        def evaluate(ids: list[int]) -> Any:
            processed = self.postprocess_batch(ids, explainer_id, postprocessor_id)
            judged = metric.set_explainer(explainer).set_kwargs(postprocessor=processor)
            return judged.evaluate(self._inputs(ids), self._get_targets(ids), processed)

        return self._computed(data_ids, evaluate, *self._explained_by(explainer), "evaluation", processor, metric)

    def _chosen(self, explainer_id: int, postprocessor_id: int, metric_id: int) -> tuple[Any, Any, Any]:
        own = self.manager
        return own.get_explainer_by_id(explainer_id), own.get_metric_by_id(metric_id), own.get_postprocessor_by_id(postprocessor_id)

    def _explained_by(self, explainer: Any) -> tuple[Any, ...]:
        return "explanation", explainer, self.target_labels, self.target_extractor, self.input_extractor

    def _computed(self, data_ids: Sequence[int], compute: Callable[[list[int]], Any], *parts: Any) -> Any:
        """Returns results of records: those that are known, and the others computed batch by batch."""
        ids, own = self.manager.get_data_ids(data_ids), self.manager
        fixed = tuple(digest(part) for part in parts)
        missing = [i for i, found in zip(ids, own.known(ids, *fixed), strict=True) if found is None]
        for chunk in own.chunks(list(dict.fromkeys(missing))):
            own.keep(chunk, compute(chunk), *fixed)
        return batch([found for found in own.known(ids, *fixed) if found is not None])

    def _inputs(self, data_ids: Sequence[int]) -> Any:
        return self.to_device(self.input_extractor(self.manager.batch_data_by_ids(data_ids)))

    def _get_targets(self, data_ids: Sequence[int]) -> Tensor:
        if self.target_labels:
            return torch.as_tensor(self.label_extractor(self.manager.batch_data_by_ids(data_ids))).to(self.model_device)
        targets: Tensor = self.target_extractor(self.predict_batch(data_ids))
        return targets

    def optimize(
        self,
        data_ids: int | Sequence[int],
        explainer_id: int,
        metric_id: int,
        direction: Literal["minimize", "maximize"] = "maximize",
        sampler: Sampler = "tpe",
        n_trials: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> OptimizationOutput:
        """Returns the best settings of an explainer and of the post-processing by the mean of a metric, by a search with Optuna."""
        ids = self.manager.get_data_ids([data_ids] if isinstance(data_ids, int) else data_ids)
        explainer, metric, processor = self._chosen(explainer_id, 0, metric_id)
        objective = Objective(explainer, processor, metric, self.modality, self._inputs(ids), self._get_targets(ids))
        study = optimize(objective, direction, sampler, n_trials, timeout, **kwargs)
        best = study.best_trial.user_attrs
        return OptimizationOutput(best["explainer"], best["postprocessor"], study)

    def get_inputs_flattened(self, data_ids: Sequence[int] | None = None) -> list[Any]:
        """Returns the inputs, one entry for each record."""
        return rows(self.input_extractor(self.manager.batch_data_by_ids(self.manager.get_data_ids(data_ids))))

    def get_all_inputs_flattened(self) -> list[Any]:
        """Returns the inputs of all records."""
        return self.get_inputs_flattened()

    def get_labels_flattened(self, data_ids: Sequence[int] | None = None) -> list[Any]:
        """Returns the labels, one for each record."""
        return rows(self.label_extractor(self.manager.batch_data_by_ids(self.manager.get_data_ids(data_ids))))

    def get_targets_flattened(self, data_ids: Sequence[int] | None = None) -> list[Any]:
        """Returns the targets, one for each record."""
        return rows(self._get_targets(self.manager.get_data_ids(data_ids)))

    def get_outputs_flattened(self, data_ids: Sequence[int] | None = None) -> list[Any]:
        """Returns the outputs that are known, one for each record, None where there is none."""
        return [single(found) for found in self.manager.known(self.manager.get_data_ids(data_ids), digest("output"))]

    def get_explanations_flattened(self, data_ids: Sequence[int] | None = None) -> list[list[Any]]:
        """Returns the explanations that are known, ``[explainers][records]``, None where there is none."""
        ids = self.manager.get_data_ids(data_ids)
        parts = [tuple(digest(part) for part in self._explained_by(e)) for e in self.manager.explainers]
        return [[single(found) for found in self.manager.known(ids, *fixed)] for fixed in parts]

    def get_evaluations_flattened(self, data_ids: Sequence[int] | None = None) -> list[list[list[list[Any]]]]:
        """Returns the scores that are known, ``[explainers][postprocessors][metrics][records]``, None where there is none."""
        ids, own = self.manager.get_data_ids(data_ids), self.manager

        def known(explainer: Any, processor: Any, metric: Any) -> list[Any]:
            parts = (*self._explained_by(explainer), "evaluation", processor, metric)
            return [single(found) for found in own.known(ids, *(digest(part) for part in parts))]

        return [[[known(e, p, m) for m in own.metrics] for p in own.postprocessors] for e in own.explainers]

    def get_explainers_ranks(self) -> list[list[int]] | None:
        """Returns the rank of each explainer for each record, ``[explainers][records]``, 0 for the best; None before any evaluation.

        For each metric the explainers are ranked by their best postprocessor, and the ranks of the metrics added up; an explainer without
        a score is last. ``asc.recommend`` says which differences are more than chance.
        """
        found = self.get_evaluations_flattened()
        numbers = np.array(
            [[[[np.nan if s is None else mean_score(s) for s in m] for m in p] for p in e] for e in found], dtype=float
        )  # [explainers, postprocessors, metrics, records]
        if numbers.size == 0 or np.isnan(numbers).all():
            return None
        signs = np.array([1.0 if metric.HIGHER_IS_BETTER else -1.0 for metric in self.manager.metrics])
        best = np.where(np.isnan(numbers), -np.inf, numbers * signs[:, None]).max(1)  # [explainers, metrics, records]
        places = (best[None] > best[:, None]).sum(1)  # how many explainers are better
        total = places.sum(1)
        ranks: list[list[int]] = (total[None] < total[:, None]).sum(1).tolist()
        return ranks

    @property
    def has_explanations(self) -> bool:
        """True if any explanation is known."""
        return any(one is not None for explainer in self.get_explanations_flattened() for one in explainer)


def mean_score(score: Any) -> float:
    """Returns the score of a record; the mean over its inputs where there are several."""
    return float(np.mean([float(one) for one in format_into_tuple(score)]))


def rows(values: Any) -> list[Any]:
    """Returns a batch as a list of records."""
    if isinstance(values, (tuple, list)) and values and isinstance(values[0], Tensor):
        return list(zip(*values, strict=True))
    return list(values)


def single(found: tuple[Tensor, ...] | None) -> Any:
    """Returns a result without its tuple, if it is one tensor."""
    return None if found is None else format_out_tuple_if_single(found)


class AutoExplanation(Experiment):
    """An experiment with the explainers that apply to the model, and the postprocessors and metrics of the modality."""

    METRICS: ClassVar[tuple[type[Metric], ...]] = DEFAULT_METRICS

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        modality: Modality | tuple[Modality, ...],
        input_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        target_labels: bool = False,
        **kwargs: Any,
    ) -> None:
        self.recommended = XaiRecommender().recommend(modality=modality, model=model)
        self.modality = modality
        explained, judged = self._generate_default_kwargs_for_explainer(), self._generate_default_kwargs_for_metric()
        if not self.recommended.explainers:
            there = type(model).__name__
            raise CompatError("No explainer suits this model and modality", found=there, advice="Experiment(..., explainers=[...])")
        super().__init__(
            model,
            data,
            modality,
            [with_settings(explainer(model), explained) for explainer in self.recommended.explainers],
            self._load_default_postprocessors(),
            [with_settings(metric(model), judged) for metric in self.METRICS],
            input_extractor,
            label_extractor,
            target_extractor,
            target_labels=target_labels,
            **kwargs,
        )

    def _load_default_postprocessors(self) -> list[Any]:
        each = [modality.get_default_postprocessors() for modality in format_into_tuple(self.modality)]
        return each[0] if len(each) == 1 else list(itertools.product(*each))

    def _of_each(self, ask: Callable[[Modality], Any]) -> Any:
        return format_out_tuple_if_single(tuple(ask(modality) for modality in format_into_tuple(self.modality)))

    def _generate_default_kwargs_for_explainer(self) -> dict[str, Any]:
        return {
            "layer": getattr(self, "layer", None),
            "forward_arg_extractor": getattr(self, "forward_arg_extractor", None),
            "additional_forward_arg_extractor": getattr(self, "additional_forward_arg_extractor", None),
            "feature_mask_fn": self._of_each(lambda modality: modality.get_default_feature_mask_fn()),
            "baseline_fn": self._of_each(lambda modality: modality.get_default_baseline_fn()),
        }

    def _generate_default_kwargs_for_metric(self) -> dict[str, Any]:
        return {
            "baseline_fn": self._of_each(lambda modality: modality.get_default_baseline_fn()),
            "channel_dim": self._of_each(lambda modality: modality.channel_dim),
            "mask_agg_dim": getattr(self, "mask_agg_dim", None),
        }


def with_settings(value: Any, settings: dict[str, Any]) -> Any:
    """Returns a copy with those of the settings that it has."""
    return value.set_kwargs(**{k: v for k, v in settings.items() if hasattr(value, k)})


class AutoExplanationForImageClassification(AutoExplanation):
    """Recommended explanations of a classifier of images."""

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        input_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        target_labels: bool = False,
        channel_dim: int = 1,
        **kwargs: Any,
    ) -> None:
        modality = ImageModality(channel_dim)
        super().__init__(model, data, modality, input_extractor, label_extractor, target_extractor, target_labels, **kwargs)


class AutoExplanationForTextClassification(AutoExplanation):
    """Recommended explanations of a classifier of token ids, at ``layer``: its embeddings."""

    METRICS = DEFAULT_METRICS_FOR_TEXT

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        layer: Any,
        mask_token_id: int,
        input_extractor: Extractor | None = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        target_labels: bool = False,
        channel_dim: int = -1,
        **kwargs: Any,
    ) -> None:
        self.layer, self.mask_token_id = layer, mask_token_id
        self.forward_arg_extractor, self.additional_forward_arg_extractor = forward_arg_extractor, additional_forward_arg_extractor
        modality = TextModality(channel_dim, mask_token_id)
        super().__init__(model, data, modality, input_extractor, label_extractor, target_extractor, target_labels, **kwargs)


class AutoExplanationForVisualQuestionAnswering(AutoExplanation):
    """Recommended explanations of a model of an image and a text, at two layers or arguments."""

    METRICS = DEFAULT_METRICS_FOR_TEXT

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        layer: list[Any],
        mask_token_id: int,
        input_extractor: Extractor | None = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        target_labels: bool = False,
        channel_dim: tuple[int, int] = (1, -1),
        **kwargs: Any,
    ) -> None:
        self.layer, self.mask_token_id = layer, mask_token_id
        self.forward_arg_extractor, self.additional_forward_arg_extractor = forward_arg_extractor, additional_forward_arg_extractor
        modalities = (ImageModality(channel_dim[0]), TextModality(channel_dim[1], mask_token_id))
        super().__init__(model, data, modalities, input_extractor, label_extractor, target_extractor, target_labels, **kwargs)


class AutoExplanationForTSClassification(AutoExplanation):
    """Recommended explanations of a classifier of series."""

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        input_extractor: Extractor | None = None,
        label_extractor: Extractor | None = None,
        target_extractor: Extractor | None = None,
        target_labels: bool = False,
        sequence_dim: int = -1,
        mask_agg_dim: int = -2,
        **kwargs: Any,
    ) -> None:
        self.mask_agg_dim = mask_agg_dim
        modality = TimeSeriesModality(sequence_dim)
        super().__init__(model, data, modality, input_extractor, label_extractor, target_extractor, target_labels, **kwargs)


class AutoExplanationForTabularClassification(AutoExplanation):
    """Recommended explanations of a classifier of tables, which PnPXAI promises and does not have."""

    def __init__(self, model: nn.Module, data: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, data, TabularModality(), *args, **kwargs)
