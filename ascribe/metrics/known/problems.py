"""The problems: weights in NumPy, records, and what is true of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import as_numpy
from ...errors import InputError
from ...features import Grid
from ...result.attribution import Attribution
from ...tree import walk
from .models import Operations, build_model, inputs_of

RECORDS = 16


@dataclass(frozen=True, eq=False)
class Agreement:
    """How values agree with the truth, each ``[records]``.

    ``share`` is the part of the absolute values that lies on the features that matter, 1 at best. Where the values themselves are known,
    ``error`` is the length of their difference from the truth as a part of its length, 0 at best, and ``cosine`` is the cosine between the
    two, which does not depend on a unit, 1 at best; otherwise both are None.
    """

    share: np.ndarray
    error: np.ndarray | None
    cosine: np.ndarray | None


@dataclass(frozen=True, eq=False)
class KnownAnswer:
    """A model, records and their true attributions.

    *Use it when* you ask whether a method finds what is there: metrics of faithfulness only say what removal does, this says what is right.

    ``x`` are the records: numbers, ids, or images ``[records, height, width, 1]``. ``matters`` marks the features that the quantity ``of``
    depends on, in the shape of ``x``. ``truth`` has the Shapley values against ``baseline``, where they are the answer of every exact
    method too; None where only the features that matter are known. ``features`` is the grouping for methods that remove features, where
    single elements would show the model pictures of neither class. ``weights`` are NumPy arrays, from which :meth:`build` makes the model
    in a framework.
    """

    name: str
    says: str
    forward: Callable[[Operations, Any], Any]
    weights: Mapping[str, np.ndarray]
    x: np.ndarray
    baseline: float | int
    matters: np.ndarray
    truth: np.ndarray | None = None
    of: int = 0
    features: Any = None

    def build(self, framework: str = "torch") -> Any:
        """Returns the model: "numpy", "torch", "jax", "tensorflow" or "keras". Raises InputError for another name."""
        model = build_model(self.forward, self.weights, framework)
        if framework == "keras":
            model(*self.arguments(framework))  # a Keras model is built by its first call
        return model

    def arguments(self, framework: str = "torch") -> tuple[Any, ...]:
        """Returns the records as the framework's arrays; images have the axes that its convolutions take."""
        return inputs_of(self.x, framework)

    def score(self, explained: Attribution | Any) -> Agreement:
        """Returns how a result, or an array of values, agrees with the truth.

        Values at the embeddings of ids are summed over their last axis. Raises InputError for values of another size.
        """
        held = explained.values if isinstance(explained, Attribution) else explained
        values = np.concatenate([as_numpy(leaf).astype(np.float64).reshape(len(leaf), -1) for _, leaf in walk(held)], 1)
        count = self.matters[0].size
        if len(values) != len(self.x) or values.shape[1] % count:
            there = f"values of shape {values.shape} for records of shape {self.x.shape}"
            raise InputError("The values do not fit the records of the problem", found=there, advice="the values of problem.arguments()")
        values = values.reshape(len(values), count, -1).sum(-1)
        sizes, mask = np.abs(values), self.matters.reshape(len(values), -1)
        total = sizes.sum(1)
        share = np.divide((sizes * mask).sum(1), total, out=np.zeros(len(values)), where=total > 0)
        if self.truth is None:
            return Agreement(share, None, None)
        truth = self.truth.reshape(len(values), -1)
        length, lengths = np.linalg.norm(truth, axis=1), np.linalg.norm(values, axis=1)
        cosine = np.divide((values * truth).sum(1), length * lengths, out=np.zeros(len(values)), where=lengths > 0)
        return Agreement(share, np.linalg.norm(values - truth, axis=1) / length, cosine)


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Returns standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def linear() -> KnownAnswer:
    """f(x) = w x: each feature has w_i x_i."""
    weight, x = drawn(1, 6, 2), drawn(2, RECORDS, 6)
    truth = x * weight[:, 0]
    return KnownAnswer(
        "linear", "w x", lambda ops, v: ops.dense("head", v), {"head": weight}, x, 0.0, np.ones(x.shape, bool), truth
    )  # fmt: skip


def additive() -> KnownAnswer:
    """A sum of a curve of each feature: each has its curve's change."""
    slopes, weight, x = np.abs(drawn(3, 6)) + 0.5, drawn(4, 6, 2), drawn(5, RECORDS, 6)
    truth = np.tanh(slopes * x) * weight[:, 0]

    def forward(ops: Operations, v: Any) -> Any:
        return ops.dense("head", ops.tanh(v * ops.array("slopes")))

    return KnownAnswer("additive", "sum of curves", forward, {"slopes": slopes, "head": weight}, x, 0.0, np.ones(x.shape, bool), truth)


def product(features: int) -> KnownAnswer:
    """The product of some features, of which each has an equal part; another feature does not matter."""
    x = drawn(6 + features, RECORDS, features + 1)
    x = (np.abs(x) + 0.5).astype(np.float32) * np.sign(x)
    matters = np.ones(x.shape, bool)
    matters[:, -1] = False
    truth = np.where(matters, x[:, :features].prod(1, keepdims=True) / features, 0)

    def forward(ops: Operations, v: Any) -> Any:
        found = v[:, 0]
        for i in range(1, features):
            found = found * v[:, i]
        return ops.stack([found, v[:, features]])

    return KnownAnswer(f"product of {features}", f"x1 ... x{features}", forward, {}, x, 0.0, matters, truth)


def shortcut() -> KnownAnswer:
    """Pictures with an object in the middle, and a model that only looks at a mark in the corner."""
    x = np.abs(drawn(11, RECORDS, 8, 8, 1)) * 0.2
    x[:, 2:6, 2:6] += 0.5  # the object
    x[:, :2, :2] += np.abs(drawn(12, RECORDS, 2, 2, 1)) + 0.5  # the mark
    kernel = np.abs(drawn(13, 2, 2, 1, 3)) + 0.1
    head = np.zeros((4 * 4 * 3, 2), np.float32)
    head[:3, 0] = 1.0  # the first place of the map
    matters = np.zeros(x.shape, bool)
    matters[:, :2, :2] = True

    def forward(ops: Operations, v: Any) -> Any:
        return ops.dense("head", ops.flatten(ops.relu(ops.conv("conv", v))))

    return KnownAnswer("shortcut", "a mark in the corner of a picture", forward, {"conv": kernel, "head": head}, x, 0.0, matters)


def mosaic() -> KnownAnswer:
    """Pictures of four tiles, two of upright and two of level stripes, and a model that counts both: the tiles of the class matter."""
    random = np.random.default_rng(14)
    upright = np.tile([1.0, 0.0], (4, 2))
    x, matters = np.zeros((RECORDS, 8, 8, 1), np.float32), np.zeros((RECORDS, 8, 8, 1), bool)
    for record in range(RECORDS):
        for place, is_upright in enumerate(random.permutation([True, True, False, False])):
            row, column = 4 * (place // 2), 4 * (place % 2)
            tile = (upright if is_upright else upright.T) * random.uniform(0.5, 1.5)
            x[record, row : row + 4, column : column + 4, 0] = tile
            matters[record, row : row + 4, column : column + 4] = is_upright
    kernel = np.stack([[[1.0, -1.0], [1.0, -1.0]], [[1.0, 1.0], [-1.0, -1.0]]], -1)[:, :, None].astype(np.float32)

    def forward(ops: Operations, v: Any) -> Any:
        return ops.dense("head", ops.mean_places(ops.relu(ops.conv("conv", v))))

    return KnownAnswer(
        "mosaic", "tiles of two classes", forward, {"conv": kernel, "head": np.eye(2, dtype=np.float32)}, x, 0.0, matters,
        features=Grid(2),
    )  # fmt: skip


def needles() -> KnownAnswer:
    """Sequences of ids with a few that count for or against the class: each has its own number."""
    vocabulary, size = 20, 4
    table = drawn(15, vocabulary, size)
    table[:, 0] = 0
    table[1:4, 0] = [1.0, 2.0, -1.5]  # the needles
    table[0] = 0
    head = np.zeros((size, 2), np.float32)
    head[0, 0], head[1:, 1] = 1.0, 1.0
    random = np.random.default_rng(16)
    x = random.integers(4, vocabulary, (RECORDS, 10))
    for record in x:
        record[random.choice(10, 3, replace=False)] = random.permutation([1, 2, 3])
    truth = table[x, 0].astype(np.float64)

    def forward(ops: Operations, ids: Any) -> Any:
        return ops.dense("head", ops.sum_steps(ops.lookup("table", ids)))

    return KnownAnswer("needles", "ids that count", forward, {"table": table, "head": head}, x, 0, truth != 0, truth)


def copied_step() -> KnownAnswer:
    """A recurrent cell that keeps the value of one step and forgets the others: that step has everything."""
    steps, kept = 6, 2
    x = drawn(17, RECORDS, steps, 2)
    write = np.zeros((steps, 1), np.float32)
    write[kept] = 1.0
    matters = np.zeros(x.shape, bool)
    matters[:, kept, 0] = True
    truth = np.where(matters, np.tanh(x), 0)

    def forward(ops: Operations, v: Any) -> Any:
        state = v[:, 0, :] * 0.0
        for step in range(steps):
            gate = float(write[step, 0])
            state = state * (1.0 - gate) + ops.tanh(v[:, step, :]) * gate
        return state

    return KnownAnswer("copied step", "a recurrent cell that copies one step", forward, {}, x, 0.0, matters, truth)


def unread_column() -> KnownAnswer:
    """A table with a column that follows the others and that the model never reads."""
    x = drawn(18, RECORDS, 5)
    x[:, 3] = x[:, 0] + 0.1 * x[:, 3]
    first = drawn(19, 5, 8)
    first[3] = 0
    matters = np.ones(x.shape, bool)
    matters[:, 3] = False

    def forward(ops: Operations, v: Any) -> Any:
        return ops.dense("head", ops.relu(ops.dense("first", v)))

    return KnownAnswer("unread column", "a column that is not read", forward, {"first": first, "head": drawn(20, 8, 2)}, x, 0.0, matters)


PROBLEMS: dict[str, KnownAnswer] = {
    problem.name: problem
    for problem in (linear(), additive(), product(2), product(3), shortcut(), mosaic(), needles(), copied_step(), unread_column())
}
"""The problems by name."""
