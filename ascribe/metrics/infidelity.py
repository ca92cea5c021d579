"""Infidelity: how badly values foretell what perturbations do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..engine.request import as_call
from ..errors import AscribeWarning, InputError
from ..result.attribution import Attribution
from ..tree import walk
from ..utils.entry import entry
from ..utils.recipe import Recipe
from .perturbed import at_least, open_records

Perturbed = tuple[Sequence[Array], Sequence[Array]]
Perturb = Callable[[Sequence[Array], np.random.Generator], Perturbed]


@dataclass(frozen=True)
class Jitter:
    """Normal noise of a standard deviation, taken away from the inputs."""

    scale: float

    def __call__(self, arrays: Sequence[Array], random: np.random.Generator) -> Perturbed:
        noise = [namespace(x).asarray(random.standard_normal(tuple(x.shape)) * self.scale, x) for x in arrays]
        return noise, [x - e for x, e in zip(arrays, noise, strict=True)]


DISTANCE = (
    "infidelity: these values add up to a change, so they hold the distance to a baseline, and noise of one size for all inputs does not "
    "fit them; compare such methods among themselves, or with normalize=True, or with a relative perturb= (docs/metrics.md)"
)


def holds_distance(a: Attribution) -> bool:
    """Whether values are influences times a distance, as those are that add up to a change of the quantity."""
    return a.gap is not None or a.method.startswith("attribute(")


@dataclass(frozen=True, repr=False)
class Infidelity(Recipe):
    """The mean of ``(sum I a - (f(x) - f(x - I)))^2`` over perturbations I of the input: one number for each record, 0 is best.

    In squared units of the quantity. ``perturb`` is the size of normal noise, or a function of the explained arrays (each record's
    ``samples`` copies in a row) and a NumPy generator, which gives the perturbations and the perturbed arrays: attributions that
    hold a distance want relative ones, and noise of one size warns. With ``normalize`` the values count up to a factor that is best for
    each record.
    A pass forward for each sample. Raises InputError for fewer than one. Yeh et al. 2019, definition 2.1.
    """

    perturb: float | Perturb = 0.02
    samples: int = 10
    normalize: bool = False

    def __post_init__(self) -> None:
        at_least(self, samples=1, **({} if callable(self.perturb) else {"perturb": 0}))

    @entry
    def __call__(
        self, attribution: Attribution | Any, model: Any, *args: Any, of: Any = None, seed: int = 0, most: int | None = None, **kwargs: Any
    ) -> np.ndarray:
        """Judge values at the inputs of a call, ``most`` rows at once.

        Raises InputError where they, or what ``perturb`` gives, are not shaped as the inputs.
        """
        if not (callable(self.perturb) or self.normalize) and isinstance(attribution, Attribution) and holds_distance(attribution):
            warnings.warn(DISTANCE, AscribeWarning, stacklevel=3)
        values = [a for _, a in walk(attribution.values if isinstance(attribution, Attribution) else attribution)]
        perturb = self.perturb if callable(self.perturb) else Jitter(float(self.perturb))
        random = np.random.default_rng(seed)
        products, drops = [], []
        with open_records(model, as_call(args, kwargs), of) as records:
            if [tuple(v.shape) for v in values] != [tuple(x.shape) for x in records.x]:
                there = f"inputs of {[tuple(x.shape) for x in records.x]}"
                raise InputError(f"values of {[tuple(v.shape) for v in values]}", there=there, try_="an attribution at asc.INPUT")
            size = records.points(most)
            for first in range(0, self.samples, size):
                times = min(size, self.samples - first)
                here = [copies(x, times) for x in records.x]
                moved, there_ = checked(perturb(here, random), here)
                products.append(sum(product(v, grouped(m, times)) for v, m in zip(values, moved, strict=True)))
                found = records.quantity_at([points_first(p, times) for p in there_])
                drops.append(records.value[:, None] - found.T)
        return infidelity(np.concatenate(products, 1), np.concatenate(drops, 1), self.normalize)


def checked(found: Any, here: Sequence[Array]) -> Perturbed:
    """What a function gave for some arrays. Raises InputError for anything but perturbations and perturbed arrays of their shapes."""
    parts = found if isinstance(found, (tuple, list)) else ()
    both = [[getattr(a, "shape", None) for a in part] if isinstance(part, (tuple, list)) else None for part in parts]
    wanted = [x.shape for x in here]
    if both != [wanted, wanted]:
        there, try_ = f"arrays of {[tuple(s) for s in wanted]}", "(perturbations, perturbed), each a list of arrays shaped as those given"
        raise InputError("what perturb gives", there=there, try_=try_)
    moved, there_ = found
    return moved, there_


def infidelity(products: np.ndarray, drops: np.ndarray, normalize: bool) -> np.ndarray:
    """The mean squared difference of prediction and outcome, ``[records, samples]`` each, to ``[records]``."""
    if normalize:
        size = (products * products).mean(1)
        products = products * ((products * drops).mean(1) / np.where(size > 0, size, 1.0))[:, None]
    found: np.ndarray = ((products - drops) ** 2).mean(1)
    return found


def copies(x: Array, times: int) -> Array:
    """Every record ``times`` times in a row."""
    return x[np.repeat(np.arange(len(x)), times)]


def grouped(x: Array, times: int) -> Array:
    """``[records x times, ...]`` as ``[records, times, ...]``."""
    return x.reshape(-1, times, *x.shape[1:])


def points_first(x: Array, times: int) -> Array:
    """``[records x times, ...]`` as ``[times, records, ...]``."""
    return namespace(x).moveaxis(grouped(x, times), 1, 0)


def product(values: Array, moved: Array) -> np.ndarray:
    """Values times perturbations, summed for each copy: ``[records, times]``."""
    return namespace(values).sums(values[:, None] * moved, 2)
