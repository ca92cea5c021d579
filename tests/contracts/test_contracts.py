"""What every exported quantity, distribution, rule and method keeps to.

A member joins by being in ``__all__`` of ``ascribe`` or of one of its modules.

Members that can be made without arguments need nothing here; the others need one line in EXAMPLES.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError
from ascribe.tree import walk
from tests.support.small_models import Dense, Pictures, Rectified, chain, rows, seeded
from tests.support.snapshots import unchanged

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")


def first(y: torch.Tensor) -> torch.Tensor:
    """A quantity of one's own, where pickle finds it."""
    return y[:, 0]


def summed_up(multipliers: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Another combination than multipliers times differences."""
    return multipliers * values


BACKGROUND = rows(3, 4, seed=9)
EXAMPLES: dict[str, tuple[Any, ...]] = {
    "Unit": (asc.Unit(1), asc.Unit(0, on=asc.LOGITS), asc.Unit(1, on=asc.Cut("0")), asc.Unit(slice(0, 2))),
    "Labels": (asc.Labels((2, 0, 1)), asc.Labels((1,), on=asc.Cut("2"))),
    "Contrast": (asc.Contrast(2, 0), asc.Contrast(0, 1, on=asc.Cut("0"))),
    "Channel": (asc.Channel(1), asc.Channel(1, "mean"), asc.Channel(0, "max", axis=-1)),
    "LogProb": (asc.LogProb(), asc.LogProb(1), asc.LogProb((0, 1, 2))),
    "Threshold": (asc.Threshold(0.2), asc.Threshold(0.2, low_minus_high=True)),
    "Box": (asc.Box(1, (0, 1, 3, 4)),),
    "Region": (asc.Region(1, np.ones((6, 6))), asc.Region(0, rows(3, 6, 6).abs())),
    "Custom": (asc.quantities.Custom(first), asc.quantities.Custom(first, on=asc.Cut("2"))),
    "Point": (asc.Point(), asc.Point(at=asc.Cut("0"))),
    "Line": (
        asc.Line(),
        asc.Line(0.5, 4, "trapezoid"),
        asc.Line("uniform", 4, "random"),
        asc.Line(0.5, 6, tolerance=0.1),
        asc.Line(steps=3, stepwise=True),
        asc.Line(0.5, 4, at=asc.Cut("0")),
        asc.Line(np.linspace(0, 1, 4), 4),
        asc.Line(asc.Call(rows(3, 4, seed=5)), 4),
    ),
    "Gaussian": (asc.Gaussian(), asc.Gaussian(0.3, 3, relative=True), asc.Gaussian(0.3, 3) * asc.Line(steps=3)),
    "Points": (asc.Points(rows(3, 3, 4, seed=2)), asc.Points(rows(3, 3, 6, seed=2), at=asc.Cut("0"))),
    "Background": (
        asc.Background(BACKGROUND),
        asc.Background(BACKGROUND, 5) * asc.Line(steps=1, quadrature="random"),
        asc.Background(BACKGROUND.numpy()) * asc.Uniform(0.1, 2),
    ),
    "Reference": (asc.Reference(), asc.Reference(0.5) * asc.Gaussian(0.1, 2), asc.Reference(0.5, at=asc.Cut("0"))),
    "Exact": (asc.coalitions.Exact(), asc.coalitions.Exact("banzhaf", most=4)),
    "Interactions": (asc.coalitions.Interactions(), asc.coalitions.Interactions(512, "faith")),
    "LeaveOneOut": (asc.coalitions.LeaveOneOut(), asc.coalitions.LeaveOneOut(alone=True)),
    "Permutations": (asc.coalitions.Permutations(), asc.coalitions.Permutations(512, "circles", tolerance=0.1)),
    "ShapleyRegression": (asc.coalitions.ShapleyRegression(), asc.coalitions.ShapleyRegression(512, paired=False)),
    "SmoothMasks": (asc.coalitions.SmoothMasks(), asc.coalitions.SmoothMasks(100, (3, 4))),
    "LinearSurrogate": (asc.coalitions.LinearSurrogate(), asc.coalitions.LinearSurrogate(100, "hamming", lasso=0.1)),
    "Masks": (asc.features.Masks(np.array([0, 1, 0, -1])), asc.features.Masks(np.arange(4).reshape(1, 4))),
    "Hierarchy": (asc.features.Hierarchy(((0, 1), (2, 3))), asc.features.Hierarchy(((0, 1), 2), asc.Columns({"a": [0, 3]}))),
    "Columns": (asc.Columns({"a": (0, 2)}), asc.Columns(names=("a", "b", "c", "d"))),
    "Grid": (asc.Grid(2), asc.Grid((3, 2))),
    "Windows": (asc.Windows(2), asc.Windows((2, 3, 3), (1, 2, 1))),
    "Segments": (asc.Segments(2),),
    "Superpixels": (asc.Superpixels(4), asc.Superpixels(4, "felzenszwalb")),
    "Tokens": (asc.Tokens(), asc.Tokens((0, 0, 1, None))),
    "Replace": (asc.Replace(), asc.Replace(0.5), asc.Replace(np.arange(4.0)), asc.Replace(asc.Call(rows(3, 4, seed=5)))),
    "Patch": (asc.removal.Patch(asc.Call(rows(3, 4, seed=5))),),
    "Noise": (asc.removal.Noise(samples=2), asc.removal.Noise(0.1, 3, around=True)),
    "Resample": (asc.Resample(BACKGROUND), asc.Resample(BACKGROUND.numpy(), 2)),
    "Nearest": (asc.removal.Nearest(BACKGROUND, 2),),
    "MaskToken": (asc.MaskToken(3), asc.MaskToken(3, (0, 1))),
    "Rescale": (asc.rules.Rescale(), asc.rules.Rescale(strict=True), asc.rules.Rescale(points=4)),
    "DeepLift": (
        asc.DeepLift(),
        asc.DeepLift(0.5),
        asc.DeepLift(multiply=False),
        asc.DeepLift(by=asc.rules.RevealCancel()),
        asc.DeepLift(combine=summed_up),
    ),
    "RevealCancel": (asc.rules.RevealCancel(), asc.rules.RevealCancel(strict=True)),
    "DeepLiftShap": (
        asc.DeepLiftShap(BACKGROUND),
        asc.DeepLiftShap(BACKGROUND, 2),
        asc.DeepLiftShap(BACKGROUND, by=asc.rules.RevealCancel()),
    ),
    "RuleBook": (
        asc.rules.RuleBook(),
        asc.rules.EPSILON_PLUS,
        asc.rules.EPSILON_PLUS_FLAT,
        asc.rules.EPSILON_ALPHA2_BETA1,
        asc.rules.EPSILON_ALPHA2_BETA1_FLAT,
        asc.rules.EXCITATION_BACKPROP,
        asc.rules.RELATIVE_PROPAGATION,
        asc.rules.epsilon_gamma_box(-3.0, 3.0),
        asc.rules.RuleBook(
            (("0", asc.rules.Gamma()), (asc.rules.Where("dense", position=-1), asc.rules.Pass())), otherwise=asc.rules.ZPlus()
        ),
    ),
    "Epsilon": (asc.rules.Epsilon(), asc.rules.Epsilon(0.1), asc.rules.Epsilon(bias=False)),
    "Gamma": (asc.rules.Gamma(), asc.rules.Gamma(0.5), asc.rules.Gamma(generalised=True)),
    "ZPlus": (asc.rules.ZPlus(), asc.rules.ZPlus(0.0, bias=False)),
    "ZBox": (asc.rules.ZBox(-3.0, 3.0), asc.rules.ZBox(-np.ones(4), np.ones(4))),
    "BetaSmooth": (asc.rules.BetaSmooth(), asc.rules.BetaSmooth(2.0)),
    "GuidedGradCam": (asc.GuidedGradCam(), asc.GuidedGradCam(prefix=0)),
    "LRP": (asc.LRP(), asc.LRP(asc.rules.EPSILON_PLUS), asc.LRP(asc.rules.Gamma(0.5)), asc.LRP(asc.rules.CPLRP())),
    "IntegratedGradients": (asc.IntegratedGradients(), asc.IntegratedGradients(0.5, 4, "riemann-left"), asc.IntegratedGradients("mean", 4)),
    "ExpectedGradients": (asc.ExpectedGradients(BACKGROUND, 5),),
    "Occlusion": (asc.Occlusion((2, 3, 3)), asc.Occlusion(2, 1, 0.5)),
    "FeatureAblation": (asc.FeatureAblation(), asc.FeatureAblation(0.5, asc.Columns({"a": (0, 1)}))),
    "KernelShap": (asc.KernelShap(), asc.KernelShap(20, tolerance=0.5)),
    "Lime": (asc.Lime(100), asc.Lime(100, lasso=0.01)),
    "Rise": (asc.Rise(60, 3),),
    "SobolIndices": (asc.SobolIndices(60),),
    "Hsic": (asc.Hsic(60),),
    "Partition": (asc.Partition(), asc.Partition(features=asc.features.Hierarchy(((0, 3), (1, 2))))),
    "LayerActivation": (),  # needs a layer: see WITH_A_LAYER
    "TreeShap": (),  # needs trees: tests/methods/test_trees.py holds it to the same contracts
}
PATHS = (asc.Conductance(0.5, 4), asc.InternalInfluence(0.5, 4), asc.IntegratedGradients(0.5, 4))
DEEP = (asc.DeepLift(0.5), asc.DeepLiftShap(BACKGROUND))
NOISY = (asc.SmoothGrad(3), asc.ExpectedGradients(BACKGROUND, 5))
REMOVING = (asc.FeatureAblation(0.5), asc.ShapleyExact(), asc.KernelShap(), asc.FeaturePermutation(2))
WITH_A_LAYER = (asc.LayerActivation(), asc.Saliency(), asc.InputXGradient(), *NOISY, *DEEP, *PATHS, *REMOVING)
HOMES: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "a table": lambda: (chain(4, 6, 3), rows(3, 4)),
    "a table with rectifiers": lambda: (chain(4, 6, 3, activation=nn.ReLU), rows(3, 4)),
    "pictures": lambda: (seeded(Pictures), rows(3, 2, 6, 6)),
    "scores at every pixel": lambda: (seeded(Dense), rows(3, 2, 6, 6)),
    "pictures with rectifiers": lambda: (seeded(Rectified), rows(3, 2, 6, 6)),
    "as many numbers throughout": lambda: (chain(4, 4, 4), rows(3, 4)),
}


def public(name: str) -> Any:
    """The object of a public name, with its module or without one."""
    return reduce(getattr, name.split("."), asc)


def family(name: str) -> str | None:
    """What kind of member a public name is, by what it can do."""
    kind = public(name)
    if not inspect.isclass(kind) or getattr(kind, "_is_protocol", False) or kind in PARTS:
        return None
    if hasattr(kind, "bind"):
        return "quantity"
    if hasattr(kind, "draw"):
        return "distribution"
    if hasattr(kind, "compares"):
        return "rule"
    for method, what in {"game": "coalitions", "groups": "features", "replacement_for": "removal"}.items():
        if hasattr(kind, method):
            return what if kind not in FOR_TOKENS else "removal of tokens"
    takes = inspect.signature(kind.__call__).parameters if "__call__" in dir(kind) and kind.__call__ is not type.__call__ else {}
    return "method" if "model" in takes else None


FOR_TOKENS = (asc.MaskToken, asc.Drop)  # these run in test_removal.py
PARTS = (asc.removal.PerInput, asc.rules.LayerRule)
"""Classes in public modules that members are made of."""
WINGS = ("coalitions", "distributions", "features", "quantities", "removal", "rules")
NAMES = [*asc.__all__, *(f"{wing}.{n}" for wing in WINGS for n in public(wing).__all__ if n not in asc.__all__ or wing == "rules")]
FAMILIES = {name: kind for name in NAMES if (kind := family(name))}


def examples(name: str) -> tuple[Any, ...]:
    """Members to try; none where the class needs arguments that nobody has written down."""
    wing, _, bare = name.rpartition(".")
    if bare in EXAMPLES and not (wing and bare in asc.__all__):
        return EXAMPLES[bare]
    try:
        return (public(name)(),)
    except TypeError:
        return ()


MEMBERS = [pytest.param(kind, member, id=repr(member)) for name, kind in FAMILIES.items() for member in examples(name)]
RUNNABLE = [param for param in MEMBERS if param.values[0] not in ("rule", "removal of tokens")]
METHODS = [param for param in MEMBERS if param.values[0] == "method"]


def run(kind: str, member: Any, model: nn.Module, x: Any, **more: Any) -> asc.Attribution:
    """The simplest call that has a member in it."""
    if kind == "method":
        return member(model, x, **more)
    at = {"at": member.at} if kind == "distribution" and member.at != asc.INPUT else {}
    argument = {"quantity": "of", "distribution": "over", "coalitions": "over", "rule": "by", "removal": "by", "features": "features"}[kind]
    at |= {"over": asc.coalitions.LeaveOneOut()} if kind in ("removal", "features") else {}
    at |= {"features": asc.features.Pixels()} if isinstance(getattr(member, "cells", None), tuple) and kind == "coalitions" else {}
    return asc.attribute(model, x, **{argument: member}, **at, **more)


def home(kind: str, member: Any) -> tuple[nn.Module, torch.Tensor]:
    """The first of the small models that a member applies to."""
    refused = []
    for name, make in HOMES.items():
        try:
            run(kind, member, *make())
        except AscribeError as error:
            refused.append(f"{name}: {error}")
        else:
            return make()
    raise AssertionError(f"{member!r} runs on none of the small models; add one to HOMES.\n" + "\n".join(refused))


def arrays(found: asc.Attribution) -> list[Any]:
    return [leaf for _, leaf in walk(found.values)]


def same(a: asc.Attribution, b: asc.Attribution, **tolerance: float) -> None:
    for left, right in zip(arrays(a), arrays(b), strict=True):
        torch.testing.assert_close(left, right, **(tolerance or {"rtol": 1e-9, "atol": 1e-12}))


def test_there_are_members_of_every_kind():
    counted = {kind: sum(k == kind for k in FAMILIES.values()) for kind in FAMILIES.values()}
    assert counted["quantity"] >= 12
    assert counted["distribution"] >= 5
    assert counted["rule"] >= 1
    assert counted["coalitions"] >= 12
    assert counted["features"] >= 10
    assert counted["removal"] >= 9
    assert counted["method"] >= 10


@pytest.mark.parametrize("name", FAMILIES)
def test_every_member_has_an_example(name):
    if name.rpartition(".")[2] not in EXAMPLES and not examples(name):
        pytest.fail(f"{name} needs arguments: add a line to EXAMPLES in {__name__}.py, such as {name!r}: (asc.{name}(...),)")
    said = inspect.getdoc(public(name))
    assert said, f"{name} says what it computes"
    assert "(" not in said.splitlines()[0].partition(" ")[0], f"{name} has a docstring of its own, not its signature"


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_members_are_values(kind, member):
    assert dataclasses.is_dataclass(member)
    for f in dataclasses.fields(member):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(member, f.name, None)
    assert not any(isinstance(getattr(member, f.name), nn.Module) for f in dataclasses.fields(member))


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_members_travel(kind, member):
    """A copy, and what comes back from a pickle, say the same; they are equal unless a call's arguments are in them."""
    for other in (copy.deepcopy(member), pickle.loads(pickle.dumps(member)), copy.copy(member)):
        assert type(other) is type(member)
        assert repr(other) == repr(member)
        if "Call(" not in repr(member):
            assert other == member
            if "slice" not in repr(member):  # a slice has no hash before Python 3.12
                assert hash(other) == hash(member)
    assert member != object()


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_what_is_shown_can_be_pasted(kind, member):
    shown = repr(member)
    assert len(shown) < 200, "no numbers of arrays"
    if "array>" in shown or "Call(<" in shown:
        return
    assert eval(shown, {**vars(asc), "first": first, "summed_up": summed_up}) == member


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_members_differ_from_those_with_other_arguments(kind, member):
    assert member != type("Other", (), {})()
    others = [param.values[1] for param in MEMBERS if repr(param.values[1]) != repr(member)]
    assert all(member != other for other in others)


@pytest.mark.parametrize(("kind", "member"), [param for param in MEMBERS if param.values[0] != "removal of tokens"])
def test_members_run_and_leave_no_trace(kind, member):
    model, x = home(kind, member)
    with unchanged(model, arguments=(x,)):
        found = run(kind, member, model, x)
    assert isinstance(found, asc.Attribution)
    assert len(found) == len(x)
    assert found.ok or any(check.name == "completeness" for check in found.checks if check.bad)
    for leaf in arrays(found):
        assert isinstance(leaf, torch.Tensor)
        assert leaf.dtype == x.dtype
        assert not leaf.requires_grad
        assert torch.isfinite(leaf).all()
    if isinstance(member, asc.coalitions.Interactions):
        assert found.values.shape == (3, 4, 4)
        return
    if kind != "method" or found.cut == "INPUT":
        expected = [tuple(leaf.shape) for _, leaf in walk(found.record)]
        assert [tuple(leaf.shape) for leaf in arrays(found)] == expected
    if found.cut == "INPUT":
        assert found.values.shape == x.shape


@pytest.mark.parametrize(("kind", "member"), RUNNABLE)
def test_the_method_of_a_result_can_be_pasted(kind, member):
    model, x = home(kind, member)
    found = run(kind, member, model, x)
    if "array>" in found.method or "Call(<" in found.method:
        return
    expression = found.method if "(model" in found.method else f"{found.method}(model, *inputs)"
    same(eval(expression, {**vars(asc), "first": first, "summed_up": summed_up, "model": model, "inputs": (x,)}), found)


@pytest.mark.parametrize(("kind", "member"), RUNNABLE)
def test_chunks_and_neighbours_change_nothing(kind, member):
    model, x = home(kind, member)
    whole = run(kind, member, model, x)
    for chunk in (1, 2):
        same(run(kind, member, model, x, chunk=chunk), whole, rtol=1e-7, atol=1e-9)
    same(run(kind, member, model, x), whole)
    if any(len(leaf) == len(x) for leaf in vars(member).values() if isinstance(leaf, (tuple, torch.Tensor))) or any(
        name in repr(member) for name in ("Call(", "Permut", "Masks(")
    ):
        return  # what is given per record belongs to these records
    alone = run(kind, member, model, x[1:2])
    for left, right in zip(arrays(alone), arrays(whole), strict=True):
        torch.testing.assert_close(left[0], right[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("kind", "member"), RUNNABLE)
def test_arrays_come_back_as_they_came(kind, member):
    """NumPy in, NumPy out; single precision stays single, and is near what double precision gives."""
    model, x = home(kind, member)
    whole = run(kind, member, model, x)
    if "<" not in repr(member):
        for left, right in zip(arrays(run(kind, member, model, x.numpy())), arrays(whole), strict=True):
            assert isinstance(left, np.ndarray)
            np.testing.assert_allclose(left, right.numpy(), rtol=1e-9, atol=1e-12)
    if "Call(" not in repr(member):
        for left, right in zip(arrays(run(kind, member, model.float(), x.float())), arrays(whole), strict=True):
            assert left.dtype == torch.float32
            scale = float(right.abs().max()) or 1.0
            torch.testing.assert_close(left.double(), right, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize("member", WITH_A_LAYER, ids=repr)
def test_methods_at_a_layer(member):
    net, x = chain(4, 6, 3), rows(3, 4)
    held = net[:2](x)
    with unchanged(net, arguments=(x,)):
        found = member(net, x, at="1")
    assert found.values.shape == held.shape
    assert found.cut == "Cut('1')"
    if member not in REMOVING:
        assert member(net, x, at=["1", asc.Cut("2", "in")]).values[1].shape == held.shape
    if "array>" not in found.method:
        same(eval(found.method, {**vars(asc), "model": net, "inputs": (x,)}), found)


@pytest.mark.parametrize(("kind", "member"), METHODS)
def test_methods_take_keywords_of_the_model(kind, member):
    """What is not the method's own goes to the model, under its name."""
    model, x = home(kind, member)

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor, *, scale: float, mask: torch.Tensor | None = None) -> torch.Tensor:
            return self.inner(x) * scale

    whole = member(model, x, of=1)
    same(member(Scaled(), x, of=1, scale=1.0, mask=None), whole, rtol=1e-7, atol=1e-9)


def test_a_layer_may_be_given_by_its_name_wherever_a_cut_may():
    net, x = chain(4, 6, 3), rows(3, 4)
    place = asc.Cut("0")
    same(asc.influence(net, x, of=asc.Unit(2, on="0")), asc.influence(net, x, of=asc.Unit(2, on=place)))
    noisy = lambda at: asc.Gaussian(0.1, 3, at=at) * asc.Line(at=at)  # noqa: E731
    for over in (lambda at: asc.Line(0.0, 3, at=at), lambda at: asc.Gaussian(0.1, 3, at=at), noisy):
        same(asc.attribute(net, x, at="0", over=over("0")), asc.attribute(net, x, at="0", over=over(place)))


def test_methods_with_arrays_are_compared_by_their_numbers():
    for make in (asc.IntegratedGradients, asc.Conductance, asc.InternalInfluence, asc.ExpectedGradients):
        assert make(np.arange(3.0)) == make(np.arange(3.0))
        assert make(np.arange(3.0)) != make(np.arange(4.0))
        assert hash(make(np.arange(3.0))) == hash(make(np.arange(3.0)))
