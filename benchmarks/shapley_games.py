"""Games with known Shapley values: trained models of tables with 12 features, at some of their records, as tables of all 2^12 coalitions;
and sums of products of features.

A removed feature takes its mean over the training set. Looking a coalition up stands for one evaluation of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ascribe.coalitions import Exact, Players

FEATURES = 12
PLAYERS = Players(FEATURES)


@dataclass(frozen=True, eq=False)
class Table:
    """A game and its exact values."""

    name: str
    values: Callable[[np.ndarray], np.ndarray]
    exact: np.ndarray

    @property
    def features(self) -> int:
        return len(self.exact)

    def look(self, there: Any) -> np.ndarray:
        """Returns v(S) for coalitions ``[rows, features]``."""
        return self.values(np.asarray(there) > 0.5)

    def error(self, values: np.ndarray) -> float:
        """The mean squared error, as a share of the mean square of the exact values."""
        return float(((np.asarray(values).reshape(-1) - self.exact) ** 2).mean() / (self.exact**2).mean())


def table(name: str, values: np.ndarray) -> Table:
    """Returns a game from v(S) of every coalition, in the order of their binary numbers."""

    def look(there: np.ndarray) -> np.ndarray:
        return values[there @ (1 << np.arange(FEATURES))]

    run = Exact().game(PLAYERS, 0)
    while (there := run.ask(4096)) is not None:
        run.tell(there, look(there)[None, :, None])
    return Table(name, look, run.estimate().values.reshape(-1))


def products(features: int, number: int) -> Table:
    """A sum of products of features that are drawn at random; each product is shared alike by its features."""
    rng = np.random.default_rng(5)
    terms = [(rng.choice(features, rng.integers(1, 7), replace=False), rng.normal()) for _ in range(number)]
    exact = np.zeros(features)
    for members, values in terms:
        exact[members] += values / len(members)
    return Table(f"{number} products of {features} features", lambda z: sum(c * z[:, m].all(axis=1) for m, c in terms), exact)


def data() -> Iterator[tuple[str, np.ndarray, np.ndarray, bool]]:
    """Three tables that scikit-learn has: features, targets, and whether those are classes."""
    from sklearn.datasets import load_breast_cancer, load_wine, make_friedman1

    for name, load in (("cancer", load_breast_cancer), ("wine", load_wine)):
        x, y = load(return_X_y=True)
        yield name, x[:, :FEATURES], y, True
    yield "friedman", *make_friedman1(600, FEATURES, noise=0.5, random_state=0), False


def trained(kind: str, classes: bool) -> Any:
    """A model to be trained: two layers of 64, or 100 trees."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if kind == "net":
        return (MLPClassifier if classes else MLPRegressor)(hidden_layer_sizes=(64, 64), max_iter=500, random_state=0)
    return (RandomForestClassifier if classes else RandomForestRegressor)(100, random_state=0)


def tables(records: int) -> list[Table]:
    """Every model at so many of its records: a class's probability, or the prediction."""
    from sklearn.preprocessing import StandardScaler

    every = (np.arange(2**FEATURES)[:, None] >> np.arange(FEATURES)) & 1 > 0
    found = []
    for (name, x, y, classes), kind in product(data(), ("net", "forest")):
        x = StandardScaler().fit_transform(x)
        model = trained(kind, classes).fit(x, y)
        for record in x[:: len(x) // records][:records]:
            rows = np.where(every, record, 0.0)
            values = model.predict_proba(rows)[:, 1] if classes else model.predict(rows)
            found.append(table(f"{name} {kind}", values))
    return found
