"""Explain held-out records by every method of the demo, and measure each explanation where it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

import ascribe as asc

from .data import Task
from .removal import Drop, measure_removal, spread_out

RECORDS = 48
"""How many held-out records are explained: the first ones of the split."""
BACKGROUND = 100
"""How many training rows stand for "no information" in expected gradients."""
BUDGET = 400
"""Coalitions of features, pixels or columns, that are run for each record to estimate Shapley values."""


@dataclass(frozen=True)
class Recipe:
    """A named method, and the layer that it explains; None is the method's own place."""

    name: str
    method: Any
    layer: str | None = None


@dataclass(frozen=True, eq=False)
class Explained:
    """One recipe's attributions, and what removing what they put first does to the score.

    ``ranks`` says what that is: pixels, features, or units of a layer.
    """

    recipe: Recipe
    result: asc.Attribution
    drop: Drop
    ranks: str


def recipes(task: Task, seed: int) -> list[Recipe]:
    """The methods of the demo; a table has no class activation maps."""
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
    """Every recipe on the first held-out records, each for the class that the model finds most likely."""
    x = torch.as_tensor(task.held_out[:RECORDS])
    for recipe in recipes(task, seed):
        where = {} if recipe.layer is None else {"at": recipe.layer}
        a = replace(recipe.method(model, x, seed=seed, **where), class_names=task.class_names)
        yield Explained(recipe, a, *measure_drop(model, task, a, recipe.layer, seed))


def measure_drop(model: nn.Sequential, task: Task, a: asc.Attribution, layer: str | None, seed: int) -> tuple[Drop, str]:
    """Remove what the attribution ranks: the units of the layer that it explains, or else features of the record.

    What is removed becomes what it is for the baseline: 0 in a record, and in a layer the activation of an all-zero record.
    """
    x = task.held_out[:RECORDS]
    values = np.asarray(a.to_numpy())
    rng = np.random.default_rng(seed)
    if layer is not None:
        before, after = cut_behind(model, layer)
        units, none = (run(before, part) for part in (x, np.zeros_like(x[:1])))
        return measure_removal(score(after, a.target), units, none, values, rng), f"units of {layer}"
    if values.shape != x.shape:
        values = spread_out(values, x.shape)
    return measure_removal(score(model, a.target), x, np.zeros_like(x[:1]), values, rng), "features" if task.feature_names else "pixels"


def score(model: nn.Module, classes: np.ndarray | None) -> Any:
    """Records -> the model's output for each record's own class."""
    assert classes is not None
    return lambda records: run(model, records)[np.arange(len(records)), classes]


def run(model: nn.Module, records: np.ndarray) -> np.ndarray:
    """What a model makes of records, as NumPy."""
    with torch.no_grad():
        return model(torch.as_tensor(records)).numpy()


def cut_behind(model: nn.Sequential, layer: str) -> tuple[nn.Module, nn.Module]:
    """The network up to and with a layer, and what comes after it."""
    place = [name for name, _ in model.named_children()].index(layer) + 1
    return model[:place], model[place:]
