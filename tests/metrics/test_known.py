"""Problems with known answers: the same models in every framework, exact methods exact, controls not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import InputError
from ascribe.metrics.known import FRAMEWORKS, PROBLEMS
from benchmarks import known as bench

EXACT = ("IntegratedGradients", "Conductance", "ShapleyExact", "ShapleySampling", "KernelShap")
RULES = ("DeepLift", "LRP", "AttnLRP", "Partition")
NUMBERS = [name for name, problem in PROBLEMS.items() if problem.truth is not None]


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_model_is_the_same_in_every_framework(name, framework):
    if framework in ("jax", "tensorflow", "keras"):
        pytest.importorskip(framework)
    problem = PROBLEMS[name]
    expected = problem.build("numpy")(problem.x)
    found = problem.build(framework)(*problem.arguments(framework))
    np.testing.assert_allclose(as_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("framework", ["jax", "tensorflow", "keras"])
def test_paths_find_the_truth_in_every_framework(name, framework):
    pytest.importorskip(framework)
    problem = PROBLEMS[name]
    ids = problem.x.dtype.kind == "i"
    layer = {"at": "table"} if ids and framework == "jax" else {"at": asc.EMBEDDINGS} if ids else {}
    method = asc.IntegratedGradients(0.0, steps=64)
    found = problem.score(method(problem.build(framework), *problem.arguments(framework), of=problem.of, **layer))
    assert found.share.min() > 0.999
    assert found.error is None or found.error.max() < 1e-2  # sums over 64 points


@pytest.mark.parametrize("name", NUMBERS)
def test_values_that_are_computed_from_the_formula(name):
    """The truth sums to the change of the quantity from the baseline, and is zero where nothing matters."""
    problem = PROBLEMS[name]
    model = problem.build("numpy")
    change = model(problem.x)[:, problem.of] - model(np.full_like(problem.x, problem.baseline))[:, problem.of]
    np.testing.assert_allclose(problem.truth.reshape(len(change), -1).sum(1), change, rtol=1e-4, atol=1e-4)
    assert not problem.truth[~problem.matters].any()


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_does_not_matter_changes_nothing(name):
    problem = PROBLEMS[name]
    model, random = problem.build("numpy"), np.random.default_rng(0)
    other = problem.x.copy()
    shuffled = random.permutation(problem.x[~problem.matters])
    if name == "mosaic":
        shuffled = problem.x[~problem.matters] * 0.5  # other stripes, still level
    if name == "needles":
        shuffled = random.integers(4, 20, len(shuffled))
    other[~problem.matters] = shuffled
    np.testing.assert_allclose(model(other)[:, problem.of], model(problem.x)[:, problem.of], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("name", PROBLEMS)
def test_exact_methods_are_exact(method, name):
    if method == "ShapleyExact" and name == "shortcut":
        pytest.skip("2^64 coalitions")
    found = PROBLEMS[name].score(bench.explain(method, PROBLEMS[name]))
    assert found.share.min() > 0.999
    assert found.error is None or found.error.max() <= bench.EXACT


@pytest.mark.parametrize("name", ["linear", "additive", "product of 2", "needles", "copied step"])
@pytest.mark.parametrize("method", RULES)
def test_rules_are_exact_without_products_of_three(method, name):
    found = PROBLEMS[name].score(bench.explain(method, PROBLEMS[name]))
    assert found.error is not None
    assert found.error.max() <= bench.EXACT


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("control", bench.OTHERS)
def test_controls_do_not_find_the_truth(control, name):
    found = PROBLEMS[name].score(bench.explain(control, PROBLEMS[name]))
    assert found.error is not None
    assert found.cosine is not None
    assert np.median(found.error) > 0.3
    assert abs(found.cosine.mean()) < 0.6


def test_black_boxes_are_explained():
    problem = PROBLEMS["needles"]
    found = problem.score(asc.ShapleySampling(by=0, budget=256)(problem.build("numpy"), *problem.arguments("numpy"), of=0))
    assert found.error is not None
    assert found.error.max() < 1e-3


def test_values_are_scored_by_hand():
    problem = PROBLEMS["product of 2"]
    values = torch.tensor(problem.truth) * 3.0
    values[:, 2] = values[:, 0].abs()
    found = problem.score(values)
    truth = np.abs(problem.truth[:, 0])
    np.testing.assert_allclose(found.share, 2 / 3, rtol=1e-5)
    np.testing.assert_allclose(found.error, np.sqrt(8 + 9) / np.sqrt(2) * np.ones_like(truth), rtol=1e-5)
    np.testing.assert_allclose(found.cosine, 6 / (np.sqrt(2) * np.sqrt(27)), rtol=1e-5)
    zeros = problem.score(np.zeros(problem.x.shape))
    assert not zeros.share.any()
    assert not zeros.cosine.any()


def test_faults_of_the_caller_are_named():
    with pytest.raises(InputError, match="do not fit"):
        PROBLEMS["linear"].score(np.zeros((16, 5)))
    with pytest.raises(InputError, match="framework"):
        PROBLEMS["linear"].build("theano")


def test_the_report_is_that_of_these_methods():
    """Exact cells are exact; numbers may differ in the last digit between machines."""
    lines = [line for line in bench.PAGE.read_text().splitlines() if line.startswith("| `")]
    committed = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    now = bench.table([row[0].strip("`") for row in committed])
    assert [row[0].strip("`") for row in committed] == [*bench.METHODS, *bench.OTHERS]
    for old, new in zip(committed, now, strict=True):
        for a, b in zip(old[1:], new[1:], strict=True):
            if "exact" in a + b or "–" in a + b:
                assert a == b, (old[0], old, new)
            else:
                assert abs(float(a) - float(b)) < 0.06, (old[0], old, new)
