"""``trulens.nn.distributions``: over which points, as functions of the value at a cut that can also be called by themselves."""

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
    """The distribution is not for the value that is at the cut (a ValueError)."""

    code = "E-DISTRIBUTION-CUT"


class DoI(ABC):
    """Points around the value at a cut; None is the input. Subclasses say which in ``__call__``.

    It is given the value as a NumPy array, as a list where the cut holds several, and gives a list of points like it (of several, a
    list of points for each). Methods that have a parameter ``model_inputs`` get the model's arguments by that name.
    """

    def __init__(self, cut: Cut | None = None) -> None:
        self._cut = cut

    def __repr__(self) -> str:
        return in_short(self)

    @abstractmethod
    def __call__(self, z: Any) -> Any: ...

    def cut(self) -> Cut | None:
        """Where the points are; None for the model's input."""
        return self._cut

    def get_activation_multiplier(self, activation: Any, *, model_inputs: Any = None) -> Any:
        """What the influence at a value is multiplied by: the value itself, unless the distribution has a start."""
        return activation


class PointDoi(DoI):
    """The record itself: nothing is put anywhere, so that the cut may as well hold token ids."""

    def __call__(self, z: Any, *, model_inputs: Any = None) -> Any:
        return om_of_many([Uniform([value]) for value in many_of_om(z)])


class LinearDoi(DoI):
    """The line from the record to a baseline: ``resolution`` points, evenly spaced, the first is the record and the last the baseline.

    ``baseline`` is None (zeros), a number, an array for all records or with a row for each, one of these for each array at the cut, or a
    function of the value there (and of ``model_inputs``) that gives such.
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
        """The baseline, or what it gives for a value where it is a function."""
        found = called(self.baseline, om_of_many(z), model_inputs) if callable(self.baseline) else self.baseline
        return 0.0 if found is None else om_of_many(found)

    def _line(self, z: Any, b: Any) -> Uniform[Any]:
        steps = max(self.resolution - 1, 1)
        return Uniform((1 - i / steps) * z + (i / steps) * b for i in range(self.resolution))

    def _with_starts(self, z: Any, model_inputs: Any) -> list[tuple[Any, Any]]:
        values, start = many_of_om(z), self.start(z, model_inputs)
        if isinstance(start, Mapping):
            raise DoiCutSupportError(
                f"baselines by name: {', '.join(map(repr, start))}", there="values in a row", try_="a list, in their order"
            )
        starts = start if isinstance(start, (list, tuple)) and len(values) > 1 else [start] * len(values)
        if len(starts) != len(values):
            raise DoiCutSupportError(f"{len(starts)} baselines", there=f"{len(values)} values at the cut", try_="one for each")
        return [(v, like(b, v)) for v, b in zip(values, starts, strict=True)]


class GaussianDoi(DoI):
    """The record with normal noise of variance ``var``, ``resolution`` times, drawn from NumPy's global generator.

    Raises DistributionError for a variance below 0.
    """

    def __init__(self, var: float, resolution: int, cut: Cut | None = None) -> None:
        super().__init__(cut)
        if not var >= 0:
            raise DistributionError(f"var={var}", there="a variance, from 0 up")
        self._var, self._resolution = var, resolution

    def __call__(self, z: Any) -> Any:
        return om_of_many([Uniform(self._noisy(v) for _ in range(self._resolution)) for v in many_of_om(z)])

    def _noisy(self, v: Any) -> Any:
        return v + like(np.random.normal(0.0, np.sqrt(self._var), tuple(v.shape)), v)


def as_doi(doi: Any, cut: Cut) -> DoI:
    """A distribution; ``"point"`` and ``"linear"`` are at a cut. Raises DistributionError for anything else."""
    if isinstance(doi, DoI):
        return doi
    if doi == "point" and isinstance(doi, str):
        return PointDoi(cut)
    if doi == "linear" and isinstance(doi, str):
        return LinearDoi(cut=cut)
    shown = repr(doi) if isinstance(doi, str) else f"a {type(doi).__name__}"
    raise DistributionError(f"doi={shown}", try_='a DoI, "point" or "linear"')


def like(b: Any, v: Any) -> Any:
    """A baseline or a noise in the kind and type of the value it is for; numbers as they are."""
    if not is_array(b) or not is_array(v) or np.isscalar(b):
        return b
    if isinstance(v, np.ndarray):
        return as_numpy(b).astype(v.dtype, copy=False)
    xp = namespace(v)
    return xp.cast(xp.asarray(b, v), v)


def stacked(points: Any) -> Any:
    """What a distribution gave, as :class:`ascribe.Points` takes it: an array ``[points, records, ...]`` for each array at the cut.

    Raises DistributionError for what is no list of arrays of one shape.
    """
    if isinstance(points, Mapping):
        return {key: stacked(part) for key, part in points.items()}
    if is_array(points):
        return points
    parts = list(points) if isinstance(points, Iterable) else []
    if parts and all(isinstance(part, (list, tuple)) for part in parts):
        return stacked(parts[0]) if len(parts) == 1 else tuple(map(stacked, parts))
    if not parts or not all(map(is_array, parts)):
        raise DistributionError("a distribution that gave no points", try_="a list of arrays, each like the value")
    if len(shapes := {tuple(part.shape): None for part in parts}) > 1:
        raise DistributionError(f"points of shapes {', '.join(map(str, shapes))}", there="points of one shape, that of the value")
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.stack(parts)
    return namespace(parts[0]).stack(parts, 0)
