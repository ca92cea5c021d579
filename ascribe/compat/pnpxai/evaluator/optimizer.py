"""The search of settings of explainers and post-processing with Optuna. ``asc.tune`` also scores records that the search never saw."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ....choose.tuning import import_optuna, quiet
from ....errors import CompatError
from ..core.modality import Modality, TextModality
from ..explainers import Explainer, KernelShap
from ..explainers.utils.base import UtilFunction
from ..explainers.utils.postprocess import Identity
from ..tuples import format_into_tuple, format_out_tuple_if_single, generate_param_key
from .metrics import Metric

Sampler = Literal["grid", "random", "tpe"]
AVAILABLE_SAMPLERS = {"grid": "BruteForceSampler", "random": "RandomSampler", "tpe": "TPESampler"}
DEFAULT_N_TRIALS: dict[str, int | None] = {"grid": None, "random": 50, "tpe": 50}
POINTS = 7
"""The values of a range without steps that a grid tries."""


@dataclass
class OptimizationOutput:
    """The best explainer and postprocessor, and the Optuna study with all trials."""

    explainer: Explainer
    postprocessor: Any
    study: Any


def load_sampler(sampler: Sampler = "tpe", **kwargs: Any) -> Any:
    """Returns a sampler of Optuna; "grid" tries every combination once, or ``search_space`` if it is given."""
    optuna = import_optuna()
    if sampler not in AVAILABLE_SAMPLERS:
        raise CompatError("There is no such sampler", found=repr(sampler), advice=f"one of {', '.join(AVAILABLE_SAMPLERS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the sampler that tries everything
        name = "GridSampler" if sampler == "grid" and "search_space" in kwargs else AVAILABLE_SAMPLERS[sampler]
        kind = getattr(optuna.samplers, name)
        known = inspect.signature(kind).parameters
        unknown = [one for one in kwargs if one not in known]
        if unknown:
            advice = "n_trials= for the number of trials"
            raise CompatError(f"The sampler {sampler!r} has no argument {unknown[0]!r}", found=", ".join(known), advice=advice)
        return kind(**kwargs)


def get_default_n_trials(sampler: Sampler) -> int | None:
    """Returns the number of trials where none is given; None is all of a grid."""
    return DEFAULT_N_TRIALS[sampler]


def nest_params(flattened_params: dict[str, Any]) -> dict[str, Any]:
    """Returns settings by dotted names as nested dictionaries."""
    nested: dict[str, Any] = {}
    for key, value in flattened_params.items():
        *outer, last = key.split(".")
        place = nested
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return nested


def suggest(trial: Any, obj: Any, modality: Any, key: str | None = None, force_params: dict[str, Any] | None = None) -> Any:
    """Returns a copy of an object with the settings that a trial suggests, those of functions in them too."""
    forced, modalities = force_params or {}, format_into_tuple(modality)
    for name, (kind, space) in obj.get_tunables().items():
        if name in forced:
            value = forced[name]
        elif kind in (list, int, float):
            value = draw(trial, kind, generate_param_key(key, name), space)
        else:
            value = format_out_tuple_if_single(
                tuple(suggest_function(trial, kind, one, key, name, len(modalities) > 1) for one in modalities)
            )
        obj = obj.set_kwargs(**{name: value})
    return obj


def suggest_function(trial: Any, kind: type[UtilFunction], modality: Modality, key: str | None, name: str, several: bool) -> Any:
    """Returns one of the modality's functions of a kind, with settings of its own."""
    selector = modality.map_fn_selector(kind)
    place = generate_param_key(key, name, type(modality).__name__ if several else None)
    assert selector is not None
    ((method, (choice, space)),) = selector.get_tunables().items()
    function = selector.select(draw(trial, choice, f"{place}.{method}", space))
    return suggest(trial, function, modality, key=place) if hasattr(function, "get_tunables") else function


def draw(trial: Any, kind: type, name: str, space: dict[str, Any]) -> Any:
    """Returns a setting that a trial suggests. A grid needs steps: a range without any has ``POINTS`` values there."""
    if kind is list:
        return trial.suggest_categorical(name, **space)
    if kind is float and "step" not in space and type(trial.study.sampler).__name__ == AVAILABLE_SAMPLERS["grid"]:
        points = (np.geomspace if space.get("log") else np.linspace)(space["low"], space["high"], POINTS)
        return trial.suggest_categorical(name, [float(p) for p in points])
    return (trial.suggest_int if kind is int else trial.suggest_float)(name, **space)


class Objective:
    """The mean score of an explainer with a postprocessor, as a function of an Optuna trial.

    Settings that were tried before have their score from there. Maps that are not finite have the score NaN, which fails the trial.
    """

    EXPLAINER_KEY = "explainer"
    POSTPROCESSOR_KEY = "postprocessor"

    def __init__(
        self, explainer: Explainer, postprocessor: Any, metric: Metric, modality: Any, inputs: Any = None, targets: Any = None
    ) -> None:
        self.explainer, self.postprocessor, self.metric, self.modality = explainer, postprocessor, metric, modality
        self.inputs, self.targets = inputs, targets

    def set_inputs(self, inputs: Any) -> Objective:
        """Sets the inputs and returns the objective."""
        self.inputs = inputs
        return self

    def set_targets(self, targets: Any) -> Objective:
        """Sets the targets and returns the objective."""
        self.targets = targets
        return self

    def set_data(self, inputs: Any, targets: Any) -> Objective:
        """Sets the inputs and the targets and returns the objective."""
        return self.set_inputs(inputs).set_targets(targets)

    def __call__(self, trial: Any) -> float:
        explainer = suggest(trial, self.explainer, self.modality, key=self.EXPLAINER_KEY)
        modalities = format_into_tuple(self.modality)
        processors = tuple(
            suggest(
                trial,
                processor,
                modality,
                key=generate_param_key(self.POSTPROCESSOR_KEY, type(modality).__name__ if len(modalities) > 1 else None),
                force_params={"pooling_fn": Identity()} if isinstance(explainer, KernelShap) and isinstance(modality, TextModality) else {},
            )
            for processor, modality in zip(format_into_tuple(self.postprocessor), modalities, strict=True)
        )
        trial.set_user_attr("explainer", explainer)
        trial.set_user_attr("postprocessor", format_out_tuple_if_single(processors))
        complete = import_optuna().trial.TrialState.COMPLETE
        for other in reversed(trial.study.get_trials(deepcopy=False, states=(complete,))):
            if other.params == trial.params:
                return float(other.value)
        return self.score(explainer, processors)

    def score(self, explainer: Explainer, processors: tuple[Any, ...]) -> float:
        """Returns the mean score over the records, and over the inputs where there are several."""
        raw = format_into_tuple(explainer.attribute(self.inputs, self.targets))
        maps = tuple(process(values) for process, values in zip(processors, raw, strict=True))
        if not all(bool(torch.isfinite(one).all()) for one in maps):
            return float("nan")
        metric = self.metric.set_explainer(explainer).set_kwargs(postprocessor=format_out_tuple_if_single(processors))
        found = format_into_tuple(metric.evaluate(self.inputs, self.targets, format_out_tuple_if_single(maps)))
        return float(np.mean([float(torch.as_tensor(one).double().mean()) for one in found]))


def optimize(
    objective: Objective,
    direction: Literal["maximize", "minimize"] = "maximize",
    sampler: Sampler = "random",
    n_trials: int | None = None,
    timeout: float | None = None,
    **kwargs: Any,
) -> Any:
    """Returns the Optuna study of a search, which has the best trial in ``best_trial``.

    A trial that fails is kept in the study and the others go on. ``kwargs`` are the sampler's. Raises CompatError if no trial succeeds, and
    MethodError without Optuna.
    """
    optuna = import_optuna()
    with quiet(optuna):
        study = optuna.create_study(sampler=load_sampler(sampler, **kwargs), direction=direction)
        count = n_trials if n_trials is not None or timeout is not None else get_default_n_trials(sampler)
        errors: list[str] = []

        def run(trial: Any) -> float:
            try:
                return objective(trial)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                trial.set_user_attr("error", errors[-1])
                raise

        study.optimize(run, n_trials=count, timeout=timeout, n_jobs=1, catch=(Exception,))
    if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
        there = errors[-1] if errors else "only maps that are not finite"
        raise CompatError("No trial of the search succeeded", found=there, advice="another explainer, or postprocessor")
    return study
