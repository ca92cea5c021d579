"""Removal under captum's names: the same numbers where captum's are exact or the draws are given, the same expectation elsewhere."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression, SkLearnRidge
from captum.attr._core.dataloader_attr import InputRole
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch.utils.data import DataLoader, TensorDataset

import ascribe.compat.captum.attr as oa
from ascribe.compat.captum import lime, linear
from tests.support.captum_cases import HOMES, Home, fresh, same
from tests.support.small_models import chain, rows

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SINGLE = 1e-6
"""Captum keeps what its sampling methods find in single precision, whatever the model's."""

MASKS: dict[str, list[Any]] = {
    "one record": [None, torch.tensor([[0, 0, 1, 2]])],
    "a class": [None, torch.tensor([[3, 0, 0, 1]]), torch.arange(5)[:, None].expand(5, 4) % 3],
    "a class each": [torch.tensor([[1, 0, 1, 0]])],
    "two inputs": [None, (torch.tensor([[0, 1, 1, 2]]), torch.tensor([[2, 3, 0]]))],
    "a tuple of one": [None, (torch.tensor([[0, 1, 1, 0]]),)],
    "a position": [torch.arange(36).reshape(1, 1, 6, 6) // 9, torch.arange(2).reshape(1, 2, 1, 1).expand(1, 2, 6, 6).contiguous()],
    "a position each": [torch.arange(36).reshape(1, 1, 6, 6) // 12],
}
PAIRS = [(home, mask) for name, home in HOMES.items() for mask in MASKS[name]]


def close(ours: Any, theirs: Any, atol: float = SINGLE) -> None:
    """The same but for the precision."""
    same(ours, theirs, atol=atol, check_dtype=False)


def call(home: Home, **more: Any) -> dict[str, Any]:
    return {"inputs": fresh(home.inputs), "additional_forward_args": home.more, **more}


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(("home", "mask"), PAIRS, ids=[f"{home.name} {i}" for i, (home, _) in enumerate(PAIRS)])
def test_feature_ablation(home: Home, mask: Any, at_once: int) -> None:
    given = call(home, target=home.target, baselines=home.start, feature_mask=mask, perturbations_per_eval=at_once)
    close(oa.FeatureAblation(home.model).attribute(**given), ca.FeatureAblation(home.model).attribute(**given), 1e-12)


@pytest.mark.parametrize(("home", "mask"), PAIRS[1:], ids=[f"{home.name} {i}" for i, (home, _) in enumerate(PAIRS[1:])])
def test_shapley_values(home: Home, mask: Any) -> None:
    if mask is None and home.name == "two inputs":
        return  # 7! orders: captum takes minutes
    given = call(home, target=home.target, baselines=home.start, feature_mask=mask)
    theirs = ca.ShapleyValues(home.model).attribute(**given)
    close(oa.ShapleyValues(home.model).attribute(**given), theirs)
    close(oa.ShapleyValueSampling(home.model).attribute(**given, n_samples=200), theirs, 0.2)
    exact = oa.KernelShap(home.model).attribute(**given, n_samples=300)
    close(exact, theirs)  # all coalitions are looked at


@pytest.mark.parametrize("side", [False, True])
@pytest.mark.parametrize("home", HOMES.values(), ids=lambda home: home.name)
def test_layers_and_neurons(home: Home, side: bool) -> None:
    given = call(home, target=home.target, attribute_to_layer_input=side)
    theirs = ca.LayerFeatureAblation(home.model, home.module).attribute(**given)
    close(oa.LayerFeatureAblation(home.model, home.module).attribute(**given), theirs, 1e-12)
    given |= {
        "layer_baselines": 0.3,
        "layer_mask": torch.zeros(1, *[1] * (theirs.ndim - 1), dtype=torch.long).expand(1, *theirs.shape[1:]).contiguous(),
    }
    theirs = ca.LayerFeatureAblation(home.model, home.module).attribute(**given)
    close(oa.LayerFeatureAblation(home.model, home.module).attribute(**given), theirs, 1e-12)
    for neuron in home.neurons:
        given = call(home, neuron_selector=neuron, baselines=home.start, feature_mask=MASKS[home.name][-1], attribute_to_neuron_input=side)
        theirs = ca.NeuronFeatureAblation(home.model, home.module).attribute(**given)
        close(oa.NeuronFeatureAblation(home.model, home.module).attribute(**given), theirs, 1e-12)


@pytest.mark.parametrize(("shape", "strides"), [((2, 3, 3), (2, 2, 2)), ((1, 2, 2), None), ((2, 4, 5), 1), ((1, 6, 6), (1, 3, 2))])
def test_occlusion(shape: Any, strides: Any) -> None:
    for name in ("a position", "a position each"):
        home = HOMES[name]
        given = call(home, target=home.target, sliding_window_shapes=shape, strides=strides, baselines=home.start)
        close(oa.Occlusion(home.model).attribute(**given), ca.Occlusion(home.model).attribute(**given))


def test_occlusion_of_two_inputs() -> None:
    home = HOMES["two inputs"]
    for strides in (None, (2, 1), ((2,), (1,))):
        given = call(home, target=home.target, sliding_window_shapes=((2,), (1,)), strides=strides, baselines=home.start)
        close(oa.Occlusion(home.model).attribute(**given), ca.Occlusion(home.model).attribute(**given))


def rolled(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A permutation that leaves nothing to chance."""
    return torch.where(mask.bool(), x.roll(1, 0), x)


def test_feature_permutation_by_a_function() -> None:
    for name in ("a class", "two inputs", "a position"):
        home = HOMES[name]
        for mask in MASKS[name][:2]:
            given = call(home, target=home.target, feature_mask=mask)
            theirs = ca.FeaturePermutation(home.model, rolled).attribute(**given)
            close(oa.FeaturePermutation(home.model, rolled).attribute(**given), theirs, 1e-12)


def test_feature_permutation_by_chance() -> None:
    home = HOMES["a class"]
    given = call(home, target=home.target)
    torch.manual_seed(0)
    theirs = torch.stack([ca.FeaturePermutation(home.model).attribute(**given).detach() for _ in range(400)])
    ours = torch.stack([oa.FeaturePermutation(home.model).attribute(**given) for _ in range(400)])
    error = (theirs.var(0) / 400 + ours.var(0) / 400).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 4.5 * error + 1e-12).all()
    layer = oa.LayerFeaturePermutation(home.model, home.module).attribute(**given)
    assert layer.shape == home.model.second(torch.zeros(5, 6, dtype=torch.float64)).shape


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValueSampling", "ShapleyValues", "Occlusion", "KernelShap", "Lime"])
def test_models_that_answer_otherwise(name: str) -> None:
    """Several numbers without a target; some for all records at once; plain numbers."""
    net, x = chain(4, 5, 3), rows(5, 4)
    models = [net, lambda x: net(x).sum(), lambda x: net(x).sum().item(), lambda x: net(x).sum(0), lambda x: net(x)[:, :1]]
    more = {"sliding_window_shapes": (1,)} if name == "Occlusion" else {}
    for model in models:
        if name in ("KernelShap", "Lime") and model in (models[0], models[3]):
            continue  # refused by captum
        if name == "Occlusion" and model is not net:
            continue
        theirs, ours = (getattr(where, name)(model).attribute(x.clone(), **more) for where in (ca, oa))
        assert ours.shape == theirs.shape
        if name != "Lime":
            close(ours, theirs, 0.2 if "Sampling" in name or name == "KernelShap" else 1e-5)


def codes_for(count: int, features: int) -> Any:
    """A generator of fixed codes, the same for both."""
    drawn = torch.randint(0, 2, (count, features), generator=torch.Generator().manual_seed(5)).double()

    def give(original: Any, **kwargs: Any) -> Any:
        yield from (code[None].clone() for code in drawn)

    return give


MODELS = [
    (SkLearnLasso(alpha=0.01), linear.SkLearnLasso(alpha=0.01)),
    (SkLearnRidge(alpha=0.1), linear.SkLearnRidge(alpha=0.1)),
    (SkLearnLinearRegression(), linear.SkLearnLinearRegression()),
]


@pytest.mark.parametrize("distance", [("cosine", 1.0), ("euclidean", 0.7), None])
@pytest.mark.parametrize("number", range(3))
def test_lime_with_the_same_draws(number: int, distance: Any) -> None:
    for name in ("one record", "a class each", "two inputs"):
        home, mask = HOMES[name], MASKS[name][-1]
        count = int(max(m.max() for m in (mask if isinstance(mask, tuple) else (mask,)))) + 1
        given = call(home, target=home.target, baselines=home.start, feature_mask=mask, n_samples=30)
        theirs = ca.Lime(home.model, MODELS[number][0], distance and get_exp_kernel_similarity_function(*distance), codes_for(30, count))
        ours = oa.Lime(home.model, MODELS[number][1], distance and lime.get_exp_kernel_similarity_function(*distance), codes_for(30, count))
        close(ours.attribute(**given), theirs.attribute(**given), 1e-5)
        flat = {**given, "return_input_shape": False}
        close(ours.attribute(**flat), theirs.attribute(**flat), 1e-5)


def test_lime_with_a_similarity_of_ones_own() -> None:
    home = HOMES["a class"]

    def near(original: Any, moved: Any, code: Any, **kwargs: Any) -> torch.Tensor:
        assert {"baselines", "feature_mask", "num_interp_features"} <= kwargs.keys()
        return torch.exp(-(original - moved).abs().sum()) + code.sum()

    given = call(home, target=home.target, baselines=home.start, n_samples=20)
    theirs = ca.Lime(home.model, MODELS[1][0], near, codes_for(20, 4)).attribute(**given)
    close(oa.Lime(home.model, MODELS[1][1], near, codes_for(20, 4)).attribute(**given), theirs, 1e-5)


def test_lime_by_chance_has_the_same_expectation() -> None:
    net, x = chain(4, 5, 3), rows(2, 4)
    torch.manual_seed(0)
    theirs = torch.stack([ca.Lime(net).attribute(x, target=1, n_samples=40).double() for _ in range(60)])
    ours = torch.stack([oa.Lime(net).attribute(x, target=1, n_samples=40) for _ in range(60)])
    error = (theirs.var(0) / 60 + ours.var(0) / 60).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 4.5 * error + 1e-6).all()


def test_lime_base_with_all_parts_of_ones_own() -> None:
    net, x = chain(4, 5, 3), rows(1, 4)
    noise = rows(25, 1, 4, seed=3)

    def parts() -> tuple[Any, ...]:
        drawn = iter(noise)
        return (
            lambda original, moved, code, **kwargs: torch.exp(-(original - moved).norm()),
            lambda original, **kwargs: original + next(drawn),
            False,
            None,
            lambda moved, original, **kwargs: (moved - original).reshape(1, -1) * kwargs["by"],
        )

    theirs = ca.LimeBase(net, MODELS[1][0], *parts()).attribute(x, target=1, n_samples=25, by=2.0)
    ours = oa.LimeBase(net, MODELS[1][1], *parts()).attribute(x, target=1, n_samples=25, by=2.0)
    close(ours, theirs, 1e-5)


def test_lime_base_with_samples_of_all_lengths() -> None:
    """Words left out of a sentence: captum's own example of the class."""
    words, head = torch.nn.EmbeddingBag(20, 6), torch.nn.Linear(6, 3)
    net = lambda ids, shift: head(words(ids)) + shift  # noqa: E731
    ids, drawn = torch.arange(1, 8)[None], torch.randint(0, 2, (40, 7), generator=torch.Generator().manual_seed(1))
    drawn[:, 0] = 1  # no sentence is empty

    def kept(original: torch.Tensor, **kwargs: Any) -> Any:
        yield from (code[None] for code in drawn)

    parts = (
        lambda original, moved, code, **kwargs: torch.exp(torch.tensor(moved.shape[1] / 7.0)),
        kept,
        True,
        lambda code, original, **kwargs: original[code.bool()][None],
        None,
    )
    call = {"target": 1, "n_samples": 40, "additional_forward_args": (torch.tensor([[0.5]]),)}
    theirs = ca.LimeBase(net, MODELS[1][0], *parts).attribute(ids, **call)
    for at_once in (1, 4):
        close(oa.LimeBase(net, MODELS[1][1], *parts).attribute(ids, **call, perturbations_per_eval=at_once), theirs, 1e-5)


def test_linear_models_fit_what_captums_do() -> None:
    x, y, w = rows(40, 3), rows(40, 1, seed=1), rows(40, seed=2).abs()
    loader = DataLoader(TensorDataset(x, y, w), batch_size=10)
    for theirs, ours in MODELS:
        theirs.fit(loader)
        ours.fit(loader)
        torch.testing.assert_close(ours.representation().reshape(-1), theirs.representation().double().reshape(-1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours(x).reshape(-1), theirs(x.to(theirs.linear.weight.dtype)).double().reshape(-1), rtol=1e-5, atol=1e-5)
    weights = w / w.sum()
    plain = linear.SGDLinearRegression()
    plain.fit(loader)
    left = ((plain(x) - y)[:, 0] * weights).detach()
    assert float((left @ x).abs().max()) < 1e-12, "nothing is left to explain"
    for kind in (linear.SGDRidge, linear.SGDLasso):
        small = kind(alpha=10.0)
        small.fit(loader)
        assert small.representation().norm() < plain.representation().norm()


def test_kernel_shap_has_the_same_expectation() -> None:
    net, x = chain(6, 5, 3), rows(2, 6)
    exact = ca.ShapleyValues(net).attribute(x, target=1).double()
    torch.manual_seed(1)
    ours = torch.stack([oa.KernelShap(net).attribute(x, target=1, n_samples=30) for _ in range(40)])
    close(ours.mean(0), exact, 1e-3)
    sums = (net(x) - net(torch.zeros_like(x)))[:, 1].detach()
    torch.testing.assert_close(ours.sum(-1), sums.expand(40, 2), rtol=1e-9, atol=1e-12)


def test_shapley_sampling_errs_less_than_captums_at_the_same_cost() -> None:
    net, x = chain(14, 6, 3), rows(1, 14)
    exact = oa.ShapleyValues(net).attribute(x, target=1)
    torch.manual_seed(2)
    errors = {
        where: torch.stack([(m.attribute(x, target=1, n_samples=20).double() - exact).square().mean() for _ in range(20)]).mean()
        for where, m in (("captum", ca.ShapleyValueSampling(net)), ("ascribe", oa.ShapleyValueSampling(net)))
    }
    assert errors["ascribe"] < errors["captum"]


# Loaders


def test_a_loader() -> None:
    net, x, y = chain(4, 5, 3), rows(7, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0])

    def total(held: Any, output: torch.Tensor, inputs: Any) -> torch.Tensor:
        hits = (output.argmax(1) == inputs[1]).double().sum() + output.sum()
        return hits if held is None else held + hits

    one, labelled = DataLoader(TensorDataset(x), 3), DataLoader(TensorDataset(x, y), 3)
    roles, mask = (InputRole.need_attr, InputRole.no_forward), torch.tensor([[0, 0, 2, 1]])
    for given in [
        {"dataloader": one},
        {"dataloader": labelled, "input_roles": roles, "reduce": total},
        {"dataloader": labelled, "input_roles": roles, "reduce": total, "to_metric": lambda h: h / 7, "feature_mask": mask},
        {"dataloader": labelled, "input_roles": roles, "feature_mask": mask, "return_input_shape": False, "perturbations_per_pass": 2},
    ]:  # fmt: skip
        close(oa.DataLoaderAttribution(oa.FeatureAblation(net)).attribute(**given),
              ca.DataLoaderAttribution(ca.FeatureAblation(net)).attribute(**given), 1e-12)  # fmt: skip
    both = DataLoader(TensorDataset(x, x + 1, y), 3)
    add = lambda a, b: net(a + b)  # noqa: E731
    for roles in ((0, 0, 2), (0, 1, 2)):
        close(oa.DataLoaderAttribution(oa.FeatureAblation(add)).attribute(both, roles),
              ca.DataLoaderAttribution(ca.FeatureAblation(add)).attribute(both, roles), 1e-12)  # fmt: skip
    with pytest.raises(AssertionError, match="FeatureAblation"):
        oa.DataLoaderAttribution(oa.ShapleyValues(net))


@pytest.mark.parametrize("each", [1, 2, 3, 4, 9])
def test_passes_through_a_loader(each: int) -> None:
    """One for a look, one with everything there, one for so many features; what can be gone through only once is."""
    net, x = chain(4, 5, 3), rows(7, 4)
    begun = []

    class Counted:
        def __iter__(self) -> Any:
            begun.append(1)
            return iter([[x[:4]], [x[4:]]])  # captum takes no tuples here

    counts = []
    for where in (oa, ca):
        found = where.DataLoaderAttribution(where.FeatureAblation(net)).attribute(Counted(), perturbations_per_pass=each)[0]
        counts.append(len(begun))
        begun.clear()
    assert counts == [2 + -(-4 // each)] * 2
    once = oa.DataLoaderAttribution(oa.FeatureAblation(net)).attribute(iter([(x[:4],), (x[4:],)]), perturbations_per_pass=each)[0]
    close(once, found)


def test_parts_of_a_loader_that_do_not_fit() -> None:
    x, method = rows(4, 4), oa.DataLoaderAttribution(oa.FeatureAblation(chain(4, 5, 3)))
    for call in ({"baselines": rows(2, 4)}, {"feature_mask": torch.zeros(2, 4, dtype=torch.long)}, {"input_roles": (1,)}):
        with pytest.raises(AssertionError):
            method.attribute(DataLoader(TensorDataset(x), 2), **call)
    for batches in ([], iter([])):
        with pytest.raises(AssertionError, match="has no batches"):
            method.attribute(batches)


def test_a_loader_of_plain_tensors() -> None:
    """Captum takes the rows of such a batch for its parts, and runs only the first."""
    net, x = chain(4, 5, 3), rows(7, 4)
    ours = oa.DataLoaderAttribution(oa.FeatureAblation(net)).attribute(DataLoader(x, 3))
    close(ours, oa.DataLoaderAttribution(oa.FeatureAblation(net)).attribute(DataLoader(TensorDataset(x), 3))[0], 1e-12)
    assert ca.DataLoaderAttribution(ca.FeatureAblation(net)).attribute(DataLoader(x, 3)).shape[0] == 9


# Models that answer later


def test_models_that_answer_later() -> None:
    net, x = chain(4, 5, 3), rows(5, 4)

    def later(x: torch.Tensor) -> torch.futures.Future[torch.Tensor]:
        found: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        found.set_result(net(x))
        return found

    for name in ("FeatureAblation", "FeaturePermutation", "ShapleyValues", "ShapleyValueSampling"):
        found = getattr(oa, name)(later).attribute_future(x, target=1)
        assert isinstance(found, torch.futures.Future)
        assert found.wait().shape == x.shape
    close(
        oa.FeatureAblation(later).attribute_future(x, target=1).wait(),
        ca.FeatureAblation(later).attribute_future(x, target=1).wait(),
        1e-12,
    )
    broken = oa.FeatureAblation(later).attribute_future(x, target=9)
    with pytest.raises(Exception, match="out of range"):
        broken.wait()
    for name in ("Saliency", "IntegratedGradients", "KernelShap", "Occlusion"):
        with pytest.raises(NotImplementedError):
            getattr(oa, name)(net).attribute_future()
    assert np.isfinite(float(found.wait().sum()))
