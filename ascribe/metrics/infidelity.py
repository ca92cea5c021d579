"""Infidelity: how far the values are from predicting the effect of perturbations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..errors import InputError, warn_user
from ..result.attribution import Attribution, Check
from ..utils.record_layout import ImageLayout, has_channels_last
from ..values import Value
from .base import Evaluation, Metric, check_settings

Perturbed = tuple[Sequence[Array], Sequence[Array]]
Perturb = Callable[[Sequence[Array], np.random.Generator], Perturbed]
"""A function of the explained arrays and a generator that returns the perturbations and the perturbed arrays."""


@dataclass(frozen=True)
class NormalNoise:
    """Normal noise of a standard deviation, subtracted from the inputs."""

    scale: float

    def __call__(self, arrays: Sequence[Array], random: np.random.Generator) -> Perturbed:
        noise = [namespace(x).asarray(random.standard_normal(tuple(x.shape)) * self.scale, x) for x in arrays]
        return noise, [x - e for x, e in zip(arrays, noise, strict=True)]


@dataclass(frozen=True, repr=False)
class Squares(Value):
    """Removes a random square of each image: ``perturb=Squares(size)`` of :class:`Infidelity`.

    *Use it when* noise of single pixels is too small a change for your images. A square of ``size`` x ``size`` pixels, the same for all
    channels, becomes ``value``; each record has a place of its own. ``layout`` as in ``asc.Grid``. Raises InputError for a size that is
    no positive whole number, for records that are no images, and for images smaller than the square. Source: Yeh et al. 2019, section 3.3.
    """

    size: int = 3
    value: float = 0.0
    layout: ImageLayout | None = None

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise InputError("`size=` of `Squares` must be a positive whole number", found=f"size={self.size!r}", advice="Squares(3)")

    def __call__(self, arrays: Sequence[Array], random: np.random.Generator) -> Perturbed:
        moved = [self.change(x, random) for x in arrays]
        return moved, [x - e for x, e in zip(arrays, moved, strict=True)]

    def change(self, x: Array, random: np.random.Generator) -> Array:
        """Returns what is subtracted from one array: the distance to ``value`` inside the squares, 0 elsewhere."""
        shape = tuple(x.shape)
        if len(shape) not in (3, 4):
            raise InputError("`Squares` removes parts of images", found=f"an array of shape {shape}", advice="perturb=0.02, normal noise")
        last = len(shape) == 4 and has_channels_last(shape[1:], self.layout)
        height, width = shape[1:3] if last else shape[-2:]
        if self.size > min(height, width):
            there = f"squares of {self.size} for images of {height} x {width}"
            raise InputError("`Squares` must fit into the images", found=there, advice=f"Squares({min(height, width)}) or smaller")
        top, left = (random.integers(0, n - self.size + 1, shape[0])[:, None, None] for n in (height, width))
        down, across = np.arange(height)[:, None], np.arange(width)
        inside = (down >= top) & (down < top + self.size) & (across >= left) & (across < left + self.size)
        axis = None if len(shape) == 3 else 3 if last else 1
        inside = inside if axis is None else np.expand_dims(inside, axis)
        return (x - self.value) * namespace(x).asarray(inside.astype(np.float64), x)


DISTANCE = (
    "these values add up to a change, so they hold the distance to a baseline, and noise of one size for all inputs does not "
    "fit them; compare such methods among themselves, or with normalize=True, or with a relative perturb= (docs/metrics.md)"
)


def holds_distance(a: Attribution) -> bool:
    """Returns whether values are influences times a distance, as those are that add up to a change of the quantity."""
    return a.gap is not None or a.method.startswith("attribute(")


@dataclass(frozen=True, repr=False)
class Infidelity(Metric):
    """The mean of ``(sum I a - (f(x) - f(x - I)))^2`` over perturbations I of the input: 0 is best, in squared units of the quantity.

    *Use it when* you ask whether values predict the effect of small changes of the input. Values that hold a distance (those that add up to
    a change) want perturbations relative to the input, or ``normalize``; noise of one size warns for them.

    ``perturb`` is the standard deviation of normal noise, or a function of the explained arrays (each record ``samples`` times in a row)
    and a NumPy generator that returns the perturbations and the perturbed arrays. ``normalize`` scales the values of each record by the
    best factor. For images, ``perturb=metrics.Squares(8)`` removes a square at a time. Cost: one forward pass for each of ``samples``.
    Raises InputError for fewer than one sample.
    """

    perturb: float | Perturb = 0.02
    samples: int = 10
    normalize: bool = False

    formula = "E[(I . a - (f(x) - f(x - I)))^2], with the factor that fits best on a if normalize"
    cost = "samples + 2 forward passes"
    weakness = "In squared units of the quantity; values that hold a distance need perturbations in proportion to it, or normalize."
    source = 'Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392, definition 2.1'
    unit_free = False

    def without_units(self) -> Infidelity:
        return replace(self, normalize=True)

    def __post_init__(self) -> None:
        check_settings(self, samples=1, **({} if callable(self.perturb) else {"perturb": 0}))

    def score(self, evaluation: Evaluation) -> np.ndarray:
        values = evaluation.values
        if not (callable(self.perturb) or self.normalize or not judges_attribution(evaluation)) and holds_distance(evaluation.attribution):
            warn_user(f"infidelity: {DISTANCE}")
            evaluation.checks.append(Check("units", "warn", DISTANCE))
        perturb = self.perturb if callable(self.perturb) else NormalNoise(float(self.perturb))
        products, drops = [], []
        with evaluation.open_records() as records:
            if [tuple(v.shape) for v in values] != [tuple(x.shape) for x in records.x]:
                shapes = [[tuple(a.shape) for a in arrays] for arrays in (values, records.x)]
                there = f"values of shape {shapes[0]} for inputs of shape {shapes[1]}"
                raise InputError("The values must have the shapes of the inputs", found=there, advice="an attribution at asc.INPUT")
            size = records.points_at_once(evaluation.chunk)
            for first in range(0, self.samples, size):
                times = min(size, self.samples - first)
                here = [repeat_records(x, times) for x in records.x]
                moved, perturbed = check_perturbed(perturb(here, evaluation.random), here)
                products.append(sum(product(v, split_copies(m, times)) for v, m in zip(values, moved, strict=True)))
                quantity = records.quantity_at([points_first(p, times) for p in perturbed])
                drops.append(records.value[:, None] - quantity.T)
        return mean_squared_error(np.concatenate(products, 1), np.concatenate(drops, 1), self.normalize)


def judges_attribution(evaluation: Evaluation) -> bool:
    """Returns whether an attribution or a method is judged, and not bare arrays, which do not say what they are."""
    return callable(evaluation.explained) or isinstance(evaluation.explained, Attribution)


def check_perturbed(given: Any, here: Sequence[Array]) -> Perturbed:
    """Returns what a perturbation function returned. Raises InputError unless it is perturbations and perturbed arrays of their shapes."""
    parts = given if isinstance(given, (tuple, list)) else ()
    both = [[getattr(a, "shape", None) for a in part] if isinstance(part, (tuple, list)) else None for part in parts]
    wanted = [x.shape for x in here]
    if both != [wanted, wanted]:
        problem = "`perturb=` must return two lists of arrays with the shapes of the inputs: perturbations and perturbed inputs"
        shapes = [[None if s is None else tuple(s) for s in part or ()] for part in both]
        returned = f"arrays of shape {shapes}" if parts else f"a {type(given).__name__}"
        there = f"{returned} for inputs of shape {[tuple(s) for s in wanted]}"
        raise InputError(problem, found=there, advice="return [noise], [x - noise]")
    moved, perturbed = given
    return moved, perturbed


def mean_squared_error(products: np.ndarray, drops: np.ndarray, normalize: bool) -> np.ndarray:
    """Returns the mean squared difference of prediction and outcome, ``[records, samples]`` each, as ``[records]``."""
    if normalize:
        size = (products * products).mean(1)
        products = products * ((products * drops).mean(1) / np.where(size > 0, size, 1.0))[:, None]
    error: np.ndarray = ((products - drops) ** 2).mean(1)
    return error


def repeat_records(x: Array, times: int) -> Array:
    """Returns every record ``times`` times in a row."""
    return x[np.repeat(np.arange(len(x)), times)]


def split_copies(x: Array, times: int) -> Array:
    """Returns ``[records x times, ...]`` as ``[records, times, ...]``."""
    return x.reshape(-1, times, *x.shape[1:])


def points_first(x: Array, times: int) -> Array:
    """Returns ``[records x times, ...]`` as ``[times, records, ...]``."""
    return namespace(x).moveaxis(split_copies(x, times), 1, 0)


def product(values: Array, moved: Array) -> np.ndarray:
    """Returns values times perturbations, summed for each copy: ``[records, times]``."""
    return namespace(values).sums(values[:, None] * moved, 2)
