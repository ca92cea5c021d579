"""The same numbers as shap 0.51, where both are exact: coalitions of ones against zeros, looked up in a table."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from ascribe.coalitions import Exact, Interactions, Owen, Permutations, Players, ShapleyRegression
from tests.support.coalition_games import looked_up, play, polynomial, table

shap = pytest.importorskip("shap")
logging.getLogger("shap").setLevel(logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")


def model(worth):
    """What shap calls: rows in which a feature is there or not, to one output each, or to one for every record."""
    return lambda rows: np.moveaxis(worth(np.asarray(rows) > 0.5), 1, 0).reshape(len(rows), -1).squeeze(-1)


def ones(features: int) -> np.ndarray:
    return np.ones((1, features))


def zeros(features: int):
    return shap.maskers.Independent(np.zeros((1, features)))


@pytest.mark.parametrize("features", [2, 5, 9])
def test_exact(features):
    game = looked_up(table(features, 1))
    theirs = shap.explainers.Exact(model(game), zeros(features))(ones(features)).values
    np.testing.assert_allclose(play(Exact(), features, game).values[0], theirs, atol=1e-9)


@pytest.mark.parametrize("features", [3, 6])
def test_interactions(features):
    """What shap's exact explainer calls interactions are Shapley-Taylor indices."""
    game = looked_up(table(features, 2))
    theirs = shap.explainers.Exact(model(game), zeros(features))(ones(features), interactions=2).values
    np.testing.assert_allclose(play(Interactions(index="taylor"), features, game).values[0], theirs, atol=1e-9)


def test_kernel_with_all_coalitions():
    game = looked_up(table(7, 3))
    theirs = shap.KernelExplainer(model(game), np.zeros((1, 7))).shap_values(ones(7), nsamples=2**7, l1_reg=False, silent=True)
    np.testing.assert_allclose(play(ShapleyRegression(2**7), 7, game).values[0], theirs, atol=1e-6)


def test_permutations_of_pairs_of_features():
    """An order and its reverse are exact where features act by twos at most: for both libraries, at any budget."""
    game = polynomial(8, {(0,): 1.0, (5,): -2.0, (0, 1): 2.0, (1, 6): -4.0, (3, 4): 0.5})
    theirs = shap.PermutationExplainer(model(game), zeros(8), seed=0)(ones(8), max_evals=40, silent=True).values
    np.testing.assert_allclose(play(Permutations(40), 8, game).values[0], theirs, atol=1e-9)


def test_interactions_of_trees():
    """What its tree explainer calls interactions are Shapley indices: on one tree, against its own background rows."""
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    tree = DecisionTreeRegressor(max_depth=4, random_state=0).fit(x, x[:, 0] * x[:, 1] + (x[:, 2] > 0) * x[:, 0])
    theirs = shap.TreeExplainer(tree).shap_interaction_values(x[:3])

    def expectation(there, row, node=0):
        """The tree's mean where features are missing, weighted by the training rows that went each way."""
        t = tree.tree_
        if t.children_left[node] < 0:
            return t.value[node, 0, 0]
        left, right, feature = t.children_left[node], t.children_right[node], t.feature[node]
        if there[feature]:
            return expectation(there, row, left if np.float32(row[feature]) <= t.threshold[node] else right)
        share = t.weighted_n_node_samples[left] / t.weighted_n_node_samples[node]
        return share * expectation(there, row, left) + (1 - share) * expectation(there, row, right)

    game = lambda there: np.array([[[expectation(c, row) for row in x[:3]] for c in there]])  # noqa: E731
    np.testing.assert_allclose(play(Interactions(), 4, game).values[0], theirs, atol=1e-5)


TREES = {
    6: (((0, 1), (2, 3)), (4, 5)),
    7: ((((0, 6), 2), 3), ((4, 5), 1)),
}


def linkage(tree, features: int) -> np.ndarray:
    """A tree of twos as SciPy writes clusterings: rows of two nodes, a height and a size; new nodes are numbered as they come."""
    rows: list[list[float]] = []

    def put(node) -> tuple[int, int]:
        if isinstance(node, int):
            return node, 1
        (left, size), (right, more) = map(put, node)
        rows.append([left, right, len(rows) + 1.0, size + more])
        return features + len(rows) - 1, size + more

    put(tree)
    return np.array(rows)


@pytest.mark.parametrize("features", TREES)
def test_partition(features):
    game = looked_up(table(features, 4))
    masker = shap.maskers.Partition(np.zeros((1, features)), clustering=linkage(TREES[features], features))
    theirs = shap.PartitionExplainer(model(game), masker)(ones(features), max_evals=10_000, silent=True).values
    np.testing.assert_allclose(play(Owen(), Players(features, TREES[features]), game).values[0], theirs, atol=1e-9)
