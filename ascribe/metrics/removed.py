"""The quantity of records with some of their features removed, each record with features of its own: the ground of most metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..backends import guard_session
from ..calls.call import Call
from ..coalitions import LeaveOneOut
from ..cuts import INPUT, CutLike
from ..engine.chunks import iterate_blocks
from ..engine.passes.coalition import CoalitionPass, prepare_coalitions
from ..engine.plan import Plan, make_plan
from ..engine.request import make_request
from ..errors import InputError, QuantityError
from ..features import FeatureContext, Features, Groups, Pixels, Tokens, as_features
from ..features.coordinates import EachElement, FeaturesLike
from ..quantities.parse import QuantityLike
from ..removal.base import RemovalLike
from ..utils.pooling import resize_single_maps
from ..values import Value

Present = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A function of the positions of some records and of some points that returns which features are present: ``[points, records,
features]``, bool, or the share from 0 to 1 that is present."""


@dataclass(frozen=True, repr=False)
class Positions(Value):
    """Makes each position of an image, each token, and each element of other records a feature: the default features of metrics.

    *Use it when* you judge values of single pixels; the channels of a pixel are removed together. ``layout`` as in ``asc.Grid``.
    """

    layout: Any = None

    def groups(self, context: FeatureContext) -> Groups:
        image = len(context.shapes) == 1 and len(context.shapes[0]) == 3
        ids = not image and all(len(s) == 1 for s in context.shapes) and not any(namespace(v).is_floating(v) for v in context.values)
        chosen: Features = Pixels(layout=self.layout) if image else Tokens() if ids else EachElement()
        return chosen.groups(context)


@dataclass(eq=False)
class RemovedFeatures:
    """The records of a call and their features, with the quantity where some of these are removed.

    ``explained`` is the quantity ``[records]`` with all features present, ``count`` the number of features.
    """

    plan: Plan
    groups: Groups
    blocks: list[tuple[np.ndarray, CoalitionPass]] = field(default_factory=list)

    def __len__(self) -> int:
        return int(self.plan.session.records)

    @property
    def count(self) -> int:
        return self.groups.count

    @property
    def explained(self) -> np.ndarray:
        return np.concatenate([block.records.batch.explained[0] for _, block in self.blocks])

    @property
    def target(self) -> np.ndarray | None:
        """The class of each record that the quantity explains, None for other quantities."""
        classes = [block.records.batch.classes for _, block in self.blocks]
        return None if any(c is None for c in classes) else np.concatenate([np.asarray(c)[0] for c in classes])

    @property
    def evaluations(self) -> int:
        """The number of rows that the model was run on."""
        return sum(block.records.batch.rows for _, block in self.blocks)

    def quantity(self, points: int, present: Present) -> np.ndarray:
        """Returns the quantity ``[points, records]``; ``present`` says which features of each record are present at each point.

        One forward pass of a record for each point, and for each value of a replacement that has several, over which the mean is taken.
        """
        return self.quantity_of_draws(points, present).mean(1)

    def quantity_of_draws(self, points: int, present: Present) -> np.ndarray:
        """Returns :meth:`quantity` for each value of a replacement that has several, ``[points, draws, records]``."""
        found = [
            block.values.of_own(points, lambda places, index=index: present(index, places))[0]  # type: ignore[misc]
            for index, block in self.blocks
        ]
        return np.concatenate(found, 2)

    def per_feature(self, values: Sequence[Array]) -> np.ndarray:
        """Returns values of elements as values of features, ``[records, features]``: the sum over the elements of each.

        A value that several elements share, such as one for all channels of a pixel, is divided among them. Raises InputError for values
        that do not have the shapes of the inputs.
        """
        shapes = [tuple(x.shape) for _, block in self.blocks[:1] for _, arrays in block.held for x in arrays]
        shapes = [(len(self), *shape[1:]) for shape in shapes]
        if len(values) != len(shapes):
            raise wrong_shapes(values, shapes)
        total = np.zeros((len(self), self.groups.cell_count + 1))
        for value, shape, cells in zip(values, shapes, self.groups.cells, strict=True):
            spread = spread_values(value, shape)
            if spread is None:
                raise wrong_shapes(values, shapes)
            own = np.broadcast_to(np.where(cells < 0, self.groups.cell_count, cells), shape).reshape(len(self), -1)
            flat = own + np.arange(len(self))[:, None] * total.shape[1]
            total += np.bincount(flat.reshape(-1), spread.reshape(-1), total.size).reshape(total.shape)
        cells_only = total[:, :-1]
        return cells_only if self.groups.membership is None else cells_only @ self.groups.membership.astype(float)


def spread_values(value: Array, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns values for each element of an array of ``shape``: those of embeddings are summed, those of pooled axes are divided.

    None where they do not fit.
    """
    array = resized_map(as_numpy(value).astype(np.float64), shape)
    if array.ndim > len(shape) and array.shape[: len(shape)] == shape:  # values at the embeddings of ids
        return array.reshape(*shape, -1).sum(-1)
    if array.ndim == len(shape) - 1 and array.ndim >= 2:  # one axis was pooled away: the channels
        for axis in (1, len(shape) - 1):
            if array.shape == shape[:axis] + shape[axis + 1 :]:
                array = np.expand_dims(array, axis)
                break
    if array.ndim != len(shape) or any(n not in (1, size) for n, size in zip(array.shape, shape, strict=True)):
        return None
    if array.shape[0] != shape[0]:
        return None
    share = np.prod([size for n, size in zip(array.shape, shape, strict=True) if n != size], initial=1.0)
    return np.broadcast_to(array / share, shape)


def resized_map(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a class activation map ``[records, 1, h, w]`` or ``[records, h, w, 1]`` at the size of the images; other arrays as is."""
    if array.ndim != 4 or len(shape) != 4:
        return array
    last = array.shape[-1] == 1 and array.shape[1] != 1
    single, sides = (array.shape[-1], shape[1:3]) if last else (array.shape[1], shape[2:])
    if single != 1 or array.shape[1:3] == sides or array.shape[2:] == sides:
        return array
    return np.asarray(resize_single_maps(array, *sides, 0))


def wrong_shapes(values: Sequence[Array], shapes: Sequence[tuple[int, ...]]) -> InputError:
    """The error for values that are not those of the inputs."""
    there = f"values of shape {', '.join(str(tuple(v.shape)) for v in values)} for inputs of shape {', '.join(map(str, shapes))}"
    return InputError("The values must have the shapes of the inputs", found=there, advice="an attribution at asc.INPUT")


@contextmanager
def open_features(
    model: Any,
    call: Call,
    of: QuantityLike,
    *,
    by: RemovalLike = None,
    features: FeaturesLike = None,
    at: CutLike = INPUT,
    seed: int = 0,
    chunk: int | None = None,
) -> Iterator[RemovedFeatures]:
    """Opens a model for a metric that removes features: the :class:`RemovedFeatures` of a call, run once.

    ``by`` is the replacement and ``features`` the grouping, as in perturbation methods; without ``features`` these are the positions of
    images, tokens, and the elements of other records. ``at`` is where they are removed. The model is restored when the ``with`` block
    ends. Raises QuantityError for several quantities, and FeatureError where the features do not fit.
    """
    grouping = Positions() if features is None else as_features(features)
    request = make_request(of, at, LeaveOneOut(), by, grouping, seed=seed, chunk=chunk, progress=False)
    if request.several:
        raise QuantityError("A metric judges one quantity", found=f"{len(request.quantities)} quantities", advice="a call for each")
    with guard_session(model, call) as guarded, guarded as session:
        plan = make_plan(session, request)
        assert plan.features is not None
        yield RemovedFeatures(plan, plan.features.groups, prepare_blocks(plan))
        plan.remember()  # a metric is short: what one has found out of the size of chunks serves the next


def prepare_blocks(plan: Plan) -> list[tuple[np.ndarray, CoalitionPass]]:
    """Returns the records in blocks that run together; one by one where a replacement does not accept features of each record's own."""
    records = plan.session.records
    whole = records > plan.chunker.size and not plan.independent
    blocks: list[tuple[np.ndarray, CoalitionPass]] = []
    for index in iterate_blocks(records, plan.chunker, whole, False):
        block = prepare_coalitions(plan, index)
        if not block.values.takes_own and len(index) > 1:
            if whole or not plan.independent:
                raise InputError(
                    "This replacement does not accept features of each record's own, so that records must run one by one",
                    found="a model whose records depend on each other",
                    advice="by=asc.Blur(), or records one by one",
                )
            return [(one, prepare_coalitions(plan, one)) for one in np.arange(records)[:, None]]
        blocks.append((index, block))
    return blocks
