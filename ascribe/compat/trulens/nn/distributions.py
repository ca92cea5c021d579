"""``trulens.nn.distributions``: distributions of points, as functions of the value at a cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ....arrays import as_numpy, is_array, namespace
from ....errors import DistributionError
from ..utils.typing import Uniform, called, in_short, many_of_om, om_of_many
from .slices import Cut


class DoiCutSupportError(DistributionError):
    """The distribution does not support the value at the cut (a ValueError)."""

    code = "E-DISTRIBUTION-CUT"


class DoI(ABC):
    """A distribution of points around the value at a cut; the default cut is the input. Subclasses define ``__call__``.

    ``__call__`` takes the value as a NumPy array (a list if the cut has several) and returns a list of points of the same shape (a list of
    points for each). Methods with a parameter ``model_inputs`` get the model's arguments by that name.
    """

    def __init__(self, cut: Cut | None = None) -> None:
        self._cut = cut

    def __repr__(self) -> str:
        return in_short(self)

    @abstractmethod
    def __call__(self, z: Any) -> Any: ...

    def cut(self) -> Cut | None:
        """The cut of the points; None for the model's input."""
        return self._cut

    def get_activation_multiplier(self, activation: Any, *, model_inputs: Any = None) -> Any:
        """Returns the factor of the influence at a value: the value itself, unless the distribution has a start."""
        return activation


class PointDoi(DoI):
    """The record itself. Nothing is replaced, so that the cut may also hold token ids."""

    def __call__(self, z: Any, *, model_inputs: Any = None) -> Any:
        return om_of_many([Uniform([value]) for value in many_of_om(z)])


class LinearDoi(DoI):
    """The line from the record to a baseline: ``resolution`` evenly spaced points, from the record to the baseline.

    ``baseline`` is None (zeros), a number, an array for all records or with one row for each, one of these for each array at the cut, or a
    function of the value (and of ``model_inputs``) that returns one of these.
    """

    def __init__(self, baseline: Any = None, resolution: int = 10, *, cut: Cut | None = None) -> None:
        super().__init__(cut)
        self._baseline, self._resolution = baseline, resolution

    @property
    def baseline(self) -> Any:
        return self._baseline

    @property
    def resolution(self) -> int:
        return self._resolution

    def __call__(self, z: Any, *, model_inputs: Any = None) -> Any:
        if isinstance(z, Mapping):
            starts = self.start(z, model_inputs)
            return {key: self._line(z[key], starts[key] if isinstance(starts, Mapping) else starts) for key in z}
        return om_of_many([self._line(v, b) for v, b in self._with_starts(z, model_inputs)])

    def get_activation_multiplier(self, activation: Any, *, model_inputs: Any = None) -> Any:
        return om_of_many([v - b for v, b in self._with_starts(activation, model_inputs)])

    def start(self, z: Any, model_inputs: Any = None) -> Any:
        """Returns the baseline, or the result of the function for a value."""
        found = called(self.baseline, om_of_many(z), model_inputs) if callable(self.baseline) else self.baseline
        return 0.0 if found is None else om_of_many(found)

    def _line(self, z: Any, b: Any) -> Uniform[Any]:
        steps = max(self.resolution - 1, 1)
        return Uniform((1 - i / steps) * z + (i / steps) * b for i in range(self.resolution))

    def _with_starts(self, z: Any, model_inputs: Any) -> list[tuple[Any, Any]]:
        values, start = many_of_om(z), self.start(z, model_inputs)
        if isinstance(start, Mapping):
            raise DoiCutSupportError(
                "Baselines by name need values by name",
                found=f"baselines {', '.join(map(repr, start))}, for values in a list",
                advice="a list of baselines in the order of the values",
            )
        starts = start if isinstance(start, (list, tuple)) and len(values) > 1 else [start] * len(values)
        if len(starts) != len(values):
            there = f"{len(starts)} baselines for {len(values)} values"
            raise DoiCutSupportError("The cut needs one baseline for each of its values", found=there, advice="one baseline for each value")
        return [(v, convert_like(b, v)) for v, b in zip(values, starts, strict=True)]


class GaussianDoi(DoI):
    """``resolution`` copies of the record with normal noise of variance ``var``, drawn from NumPy's global generator.

    Raises DistributionError for a negative variance.
    """

    def __init__(self, var: float, resolution: int, cut: Cut | None = None) -> None:
        super().__init__(cut)
        if not var >= 0:
            raise DistributionError("A variance must be >= 0", found=f"var={var}", advice="var=1.0")
        self._var, self._resolution = var, resolution

    def __call__(self, z: Any) -> Any:
        return om_of_many([Uniform(self._noisy(v) for _ in range(self._resolution)) for v in many_of_om(z)])

    def _noisy(self, v: Any) -> Any:
        return v + convert_like(np.random.normal(0.0, np.sqrt(self._var), tuple(v.shape)), v)


def as_doi(doi: Any, cut: Cut) -> DoI:
    """Returns a distribution; ``"point"`` and ``"linear"`` are distributions at the cut. Raises DistributionError for anything else."""
    if isinstance(doi, DoI):
        return doi
    if doi == "point" and isinstance(doi, str):
        return PointDoi(cut)
    if doi == "linear" and isinstance(doi, str):
        return LinearDoi(cut=cut)
    shown = repr(doi) if isinstance(doi, str) else f"a {type(doi).__name__}"
    raise DistributionError("`doi` is not a distribution", found=f"doi={shown}", advice='a DoI, "point" or "linear"')


def convert_like(b: Any, v: Any) -> Any:
    """Returns a baseline or noise in the framework and dtype of a value; numbers unchanged."""
    if not is_array(b) or not is_array(v) or np.isscalar(b):
        return b
    if isinstance(v, np.ndarray):
        return as_numpy(b).astype(v.dtype, copy=False)
    xp = namespace(v)
    return xp.cast(xp.asarray(b, v), v)


def stack_points(points: Any) -> Any:
    """Returns points as :class:`ascribe.Points` takes them: an array ``[points, records, ...]`` for each array at the cut.

    Raises DistributionError for anything but a list of arrays of one shape.
    """
    if isinstance(points, Mapping):
        return {key: stack_points(part) for key, part in points.items()}
    if is_array(points):
        return points
    parts = list(points) if isinstance(points, Iterable) else []
    if parts and all(isinstance(part, (list, tuple)) for part in parts):
        return stack_points(parts[0]) if len(parts) == 1 else tuple(map(stack_points, parts))
    if not parts or not all(map(is_array, parts)):
        what, there = "A distribution must return a list of arrays", f"a {type(points).__name__} without arrays"
        raise DistributionError(what, found=there, advice="[z, 0.5 * z]: arrays of the shape of the value")
    if len(shapes := {tuple(part.shape): None for part in parts}) > 1:
        there = f"points of shapes {', '.join(map(str, shapes))}"
        raise DistributionError("All points must have the shape of the value", found=there, advice="arrays of one shape")
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.stack(parts)
    return namespace(parts[0]).stack(parts, 0)
