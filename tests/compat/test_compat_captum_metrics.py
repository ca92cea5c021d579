"""captum.metrics and the native metrics: the same numbers as captum's, closed forms, and what cannot be judged."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import captum.metrics as cm
import numpy as np
import pytest
import torch

import ascribe as asc
import ascribe.compat.captum.attr as oa
import ascribe.compat.captum.metrics as om
from ascribe.metrics import Infidelity, Sensitivity
from tests.support.captum_cases import HOMES, fresh, same
from tests.support.small_models import DOUBLE, chain, rows

pytestmark = pytest.mark.filterwarnings("ignore")
X = rows(5, 4)


def counted(inputs: Any, baselines: Any = None) -> Any:
    """Perturbations without chance."""
    if isinstance(inputs, tuple):
        found = [counted(x) for x in inputs]
        return tuple(f[0] for f in found), tuple(f[1] for f in found)
    noise = torch.sin(torch.arange(inputs.numel(), dtype=DOUBLE)).reshape(inputs.shape) * 0.1
    return noise, inputs - noise


def test_infidelity() -> None:
    for home in (HOMES["one record"], HOMES["a class each"], HOMES["two inputs"], HOMES["a position"]):
        values = ca.InputXGradient(home.model).attribute(fresh(home.inputs), home.target, home.more)
        for more in ({}, {"normalize": True}, {"n_perturb_samples": 3}):
            call = {"inputs": home.inputs, "attributions": values, "target": home.target, "additional_forward_args": home.more, **more}
            same(om.infidelity(home.model, counted, **call), cm.infidelity(home.model, counted, **call))
    for relative in (True, False):
        ours, theirs = (w.infidelity_perturb_func_decorator(relative)(lambda x: x * 0.7) for w in (om, cm))
        same(ours(X), theirs(X))
        same(
            om.infidelity(HOMES["a class each"].model, ours, X, X, target=1),
            cm.infidelity(HOMES["a class each"].model, theirs, X, X, target=1),
        )


def moved(inputs: Any, radius: float = 0.02) -> Any:
    return tuple(x + 0.1 * counted(x)[0] for x in inputs) if isinstance(inputs, tuple) else inputs + 0.1 * counted(inputs)[0]


def test_sensitivity() -> None:
    for home in (HOMES["a class each"], HOMES["two inputs"], HOMES["a position"]):
        for more in ({}, {"norm_ord": 1}, {"n_perturb_samples": 4}):
            call = {"inputs": fresh(home.inputs), "target": home.target, "additional_forward_args": home.more, **more}
            ours, theirs = (
                w.sensitivity_max(m.Saliency(home.model).attribute, perturb_func=moved, **call) for w, m in ((om, oa), (cm, ca))
            )
            same(ours, theirs)
    torch.manual_seed(0)
    assert (om.sensitivity_max(oa.Saliency(home.model).attribute, home.inputs, target=home.target, n_perturb_samples=2) < 1).all()


def test_metrics_by_their_own_names() -> None:
    net = chain(4, 3)
    exact = net[0].weight[1].detach().expand(5, 4)
    gradient = asc.Saliency(signed=True)(net, X, of=1)
    assert Infidelity()(gradient, net, X, of=1).values == pytest.approx(np.zeros(5), abs=1e-20), (
        "a linear model is foretold by its gradient"
    )
    half = Infidelity(1.0, 4000)(0.5 * exact, net, X, of=1, seed=1).values
    assert half == pytest.approx(0.25 * float((exact[0] ** 2).sum()) * np.ones(5), rel=0.1)
    assert Infidelity(1.0, 50, normalize=True)(0.5 * exact, net, X, of=1).values == pytest.approx(np.zeros(5), abs=1e-20)
    assert Sensitivity()(asc.Saliency(), net, X, of=1).values == pytest.approx(np.zeros(5), abs=1e-12)
    curved = chain(4, 6, 3)
    largest, mean = (Sensitivity(0.1, 8, reduce)(asc.Saliency(), curved, X, of=1, seed=2).values for reduce in ("max", "mean"))
    assert (largest >= mean).all()
    assert (mean > 0).all()
    assert np.array_equal(largest, Sensitivity(0.1, 8)(asc.Saliency(), curved, X, of=1, seed=2))
    with pytest.raises(asc.AscribeError, match="values of"):
        Infidelity()(exact[:, :2], net, X, of=1)


def test_what_cannot_be_judged() -> None:
    net = chain(4, 3)
    values, nothing = torch.ones(5, 4, dtype=DOUBLE), (lambda x: (x[:1], x), lambda x: (x, x[:1]), lambda x: x)
    for perturb in nothing:
        with pytest.raises(AssertionError, match=r"`perturb_func` must return|`perturb=` must return"):
            om.infidelity(net, perturb, X, values, target=1)
    for perturb in (lambda arrays, random: arrays, lambda arrays, random: (arrays[0], arrays[0]), lambda arrays, random: None):
        with pytest.raises(asc.AscribeError, match="`perturb=` must return two lists of arrays"):
            Infidelity(perturb)(values, net, X, of=1)
    for call, said in (
        (lambda: om.infidelity(net, counted, X, values, target=1, n_perturb_samples=0), "samples=0"),
        (lambda: om.sensitivity_max(oa.Saliency(net).attribute, X, target=1, norm_ord="nuc"), "norm_ord='nuc'"),
        (lambda: Infidelity(-0.1), "perturb=-0.1"),
        (lambda: Sensitivity(samples=0), "samples=0"),
        (lambda: Sensitivity(reduce="median"), "reduce='median'"),
        (lambda: Sensitivity("far"), "radius='far'"),
    ):
        with pytest.raises(asc.AscribeError, match=said):
            call()


@pytest.mark.parametrize("most", [None, 1, 5, 7])
def test_the_largest_change_is_that_of_all_batches(most: int | None) -> None:
    x, sizes = rows(5, 4), iter([0.9, 0.1, 0.4] * 5)

    def larger(inputs: Any, radius: float) -> Any:
        return inputs * torch.cat([torch.full((5, 1), 1 + next(sizes)) for _ in range(len(inputs) // 5)], 1).reshape(-1, 1)

    found = om.sensitivity_max(lambda z: z**2, x, larger, n_perturb_samples=3, max_examples_per_batch=most)
    assert found == pytest.approx(np.full(5, 1.9**2 - 1), rel=1e-6)
