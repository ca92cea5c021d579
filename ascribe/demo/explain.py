"""Explains held-out records by every method of the demo and measures each explanation at its own cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

import ascribe as asc

from .data import Task
from .removal import Drop, measure_removal, upsample_map

RECORDS = 48
"""The number of held-out records that are explained, the first ones of the split."""
BACKGROUND = 100
"""The number of training rows that are the background of expected gradients."""
BUDGET = 400
"""The number of coalitions (feature subsets) evaluated per record to estimate Shapley values."""


@dataclass(frozen=True)
class Recipe:
    """A named method, and the layer that it explains; None is the default of the method."""

    name: str
    method: Any
    layer: str | None = None


@dataclass(frozen=True, eq=False)
class Explained:
    """The attributions of one recipe, and the drop of the score when the highest-ranked elements are removed.

    ``ranks`` names these elements: pixels, features, or units of a layer.
    """

    recipe: Recipe
    result: asc.Attribution
    drop: Drop
    ranks: str


def list_recipes(task: Task, seed: int) -> list[Recipe]:
    """Returns the methods of the demo; tables have no class activation maps."""
    rows = np.random.default_rng(seed).choice(len(task.train), BACKGROUND, replace=False)
    table = bool(task.feature_names)
    return [
        Recipe("Saliency", asc.Saliency()),
        Recipe("InputXGradient", asc.InputXGradient()),
        Recipe("IntegratedGradients", asc.IntegratedGradients(tolerance=1e-3)),
        Recipe("SmoothGrad", asc.SmoothGrad()),
        Recipe("ExpectedGradients", asc.ExpectedGradients(torch.as_tensor(task.train[rows]), samples=128)),
        Recipe("DeepLift", asc.DeepLift()),
        Recipe("LRP", asc.LRP(asc.rules.EPSILON_PLUS_FLAT)),
        *([] if table else [Recipe("GradCam", asc.GradCam()), Recipe("LayerCam", asc.LayerCam())]),
        Recipe("Conductance", asc.Conductance(), "act2" if table else "relu3"),
        *([] if table else [Recipe("Occlusion", asc.Occlusion((1, 2, 2), (1, 1, 1), by=0.0))]),
        Recipe("KernelShap", asc.KernelShap(BUDGET, by=0.0)),
        *([Recipe("ShapleySampling", asc.ShapleySampling(BUDGET, by=0.0))] if table else []),
    ]


def explain_task(model: nn.Sequential, task: Task, seed: int) -> Iterator[Explained]:
    """Yields the result of every recipe on the first held-out records, for the predicted class."""
    x = torch.as_tensor(task.held_out[:RECORDS])
    for recipe in list_recipes(task, seed):
        where = {} if recipe.layer is None else {"at": recipe.layer}
        a = replace(recipe.method(model, x, seed=seed, **where), class_names=task.class_names)
        yield Explained(recipe, a, *measure_drop(model, task, a, recipe.layer, seed))


def measure_drop(model: nn.Sequential, task: Task, a: asc.Attribution, layer: str | None, seed: int) -> tuple[Drop, str]:
    """Returns the drop of the score when the highest-ranked units of the layer or features of the record are removed, and their name.

    Removed elements take the value of the baseline: 0 in a record, in a layer its activation for an all-zero record.
    """
    x = task.held_out[:RECORDS]
    values = np.asarray(a.to_numpy())
    rng = np.random.default_rng(seed)
    if layer is not None:
        before, after = split_model(model, layer)
        units, none = (run_model(before, part) for part in (x, np.zeros_like(x[:1])))
        return measure_removal(make_score(after, a.target), units, none, values, rng), f"units of {layer}"
    if values.shape != x.shape:
        values = upsample_map(values, x.shape)
    return measure_removal(
        make_score(model, a.target), x, np.zeros_like(x[:1]), values, rng
    ), "features" if task.feature_names else "pixels"


def make_score(model: nn.Module, classes: np.ndarray | None) -> Any:
    """Returns a function from records to the model's output for the class of each record."""
    assert classes is not None
    return lambda records: run_model(model, records)[np.arange(len(records)), classes]


def run_model(model: nn.Module, records: np.ndarray) -> np.ndarray:
    """Returns the model's output for records as NumPy."""
    with torch.no_grad():
        return model(torch.as_tensor(records)).numpy()


def split_model(model: nn.Sequential, layer: str) -> tuple[nn.Module, nn.Module]:
    """Returns the network up to and including a layer, and the network after it."""
    place = [name for name, _ in model.named_children()].index(layer) + 1
    return model[:place], model[place:]
