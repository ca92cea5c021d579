"""Removal under captum's names where a model answers for the whole batch, in other types, or where inputs have too little in them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import captum.attr as ca
import pytest
import torch
from torch import Tensor

import ascribe.compat.captum.attr as oa
from tests.support.captum_cases import same
from tests.support.small_models import chain, rows

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NET, X = chain(4, 5, 3).float(), rows(3, 4).float()
WAYS: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda y: y.square().sum().item(),
    "int": lambda y: int(100 * y.square().sum()),
    "0-d": lambda y: y.square().sum(),
    "1-d": lambda y: y.square().sum().reshape(1),
    "three": lambda y: torch.stack([y.sum(), y.max(), y.min(), y.mean()]),
}
SAMPLED = {"Lime": 400, "KernelShap": 400, "ShapleyValueSampling": 200}
MASK = torch.tensor([[0, 1, 1, 2]])


def flipped(x: Tensor, mask: Tensor) -> Tensor:
    """A permutation that leaves nothing to chance."""
    return torch.where(mask.bool(), x.flip(0), x)


def both(name: str, model: Callable[..., Any], *args: Any, **call: Any) -> tuple[Any, Any]:
    """What the two libraries give for a call."""
    own = (flipped,) if name == "FeaturePermutation" else ()
    call |= {"n_samples": SAMPLED[name]} if name in SAMPLED else {}
    call |= {"sliding_window_shapes": (2,), "feature_mask": None} if name == "Occlusion" else {}
    if call.get("feature_mask", 0) is None:
        del call["feature_mask"]
    torch.manual_seed(0)
    ours, theirs = (getattr(where, name)(model, *own).attribute(*args, **call) for where in (oa, ca))
    return ours, theirs


def alike(name: str, ours: Any, theirs: Any) -> None:
    """The same form and type; the same numbers, within the error of what captum draws."""
    for one, other in zip(*((v if isinstance(v, tuple) else (v,)) for v in (ours, theirs)), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if name in SAMPLED:
            assert float((one - other).abs().max()) <= 0.25 * float(other.abs().max())
        else:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues", *SAMPLED])
def test_a_number_for_the_whole_batch(name: str, way: str) -> None:
    if way == "three" and name in ("Lime", "KernelShap"):
        with pytest.raises(AssertionError, match="several elements"):
            oa.__dict__[name](lambda x: WAYS[way](NET(x))).attribute(X)
        return
    for mask in (None, MASK):
        alike(name, *both(name, lambda x: WAYS[way](NET(x)), X, feature_mask=mask))
    for where in (oa, ca):
        with pytest.raises((AssertionError, RuntimeError)):
            getattr(where, name)(lambda x: WAYS[way](NET(x))).attribute(X, perturbations_per_eval=2)


def test_windows_over_a_whole_batch() -> None:
    """Each window is taken out of all records at once; a coordinate has the mean of its windows."""
    found = oa.Occlusion(lambda x: NET(x).sum()).attribute(X, sliding_window_shapes=(2,))
    lost = [NET(X).sum() - NET(X * (~((torch.arange(4) >= k) & (torch.arange(4) < k + 2)))).sum() for k in range(3)]
    torch.testing.assert_close(found, torch.stack([lost[0], (lost[0] + lost[1]) / 2, (lost[1] + lost[2]) / 2, lost[2]]).detach()[None])


def test_several_inputs_of_a_whole_batch() -> None:
    z = rows(3, 2, seed=4).float()
    for name in ("FeatureAblation", "ShapleyValues", "Lime"):
        model = lambda a, b, c: (NET(a) * c).sum() + b.prod()  # noqa: E731
        alike(name, *both(name, model, (X, z), feature_mask=(MASK, torch.tensor([[2, 3]])), additional_forward_args=(2.0,)))


def test_masks_of_each_records_own_need_numbers_of_each_record() -> None:
    own = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    with pytest.raises(AssertionError, match="masks must be the same for all records"):
        oa.FeatureAblation(lambda x: NET(x).sum()).attribute(X, feature_mask=own)
    whole = lambda x: (100 * NET(x)[:, 0]).long()  # noqa: E731
    same(*both("FeatureAblation", whole, X, feature_mask=own))


OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "int64": lambda y: (1000 * y).long(),
    "int32": lambda y: (1000 * y).int(),
    "float64": lambda y: y.double(),
    "float16": lambda y: y.half(),
}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues", "Occlusion", *SAMPLED])
def test_the_type_of_a_result(name: str, kind: str) -> None:
    """Differences of outputs have the outputs' type, whatever the inputs have; means are in single precision, as captum's are."""
    for x in (X, X.double()):
        ours, theirs = both(name, lambda x: OUTPUTS[kind](NET(x.float())), x, target=1)
        double = kind == "float64" and x.dtype == torch.float64 and name not in ("FeatureAblation", "FeaturePermutation")
        assert ours.dtype == (torch.float64 if double else theirs.dtype)
        scale = float(theirs.double().abs().max())
        bound = 0.25 * scale if name in SAMPLED else 2e-3 * scale
        assert float((ours.double() - theirs.double()).abs().max()) <= bound
    every, theirs = both("FeatureAblation", lambda x: OUTPUTS[kind](NET(x)), X)
    same(every, theirs, rtol=2e-3, atol=2e-3)


def test_whole_numbers_beside_baselines_between_them() -> None:
    """The baseline is not cut off: a removed 3 is 0.4, not 0."""
    x, z = torch.tensor([[0, 1], [3, 4]]), torch.tensor([[5.0], [7.0]])
    model = lambda a, b: (a * a).sum(1) + b[:, 0]  # noqa: E731
    alike("FeatureAblation", *both("FeatureAblation", model, (x, z), baselines=(0.4, 1)))
    found = oa.ShapleyValues(model).attribute((x, z), baselines=(0.4, 1))  # captum takes 0 for 0.4
    torch.testing.assert_close(found, ((x * x - 0.4 * 0.4) * 1.0, z - 1))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), 1)
    found = oa.DataLoaderAttribution(oa.FeatureAblation(lambda a: (a * a).sum(1))).attribute(loader, baselines=(0.4,))[0]
    torch.testing.assert_close(found, (x * x - 0.4 * 0.4) * 1.0)


# Little in them


def bagged(dense: Tensor, ids: Tensor) -> Tensor:
    """Numbers of all records and a list of ids with a length of its own."""
    return dense.sum() + (ids.max().float() if ids.numel() else 0)


@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues", "Lime"])
@pytest.mark.parametrize("ids", [[], [1, 7, 2, 4, 5]], ids=["empty", "sparse"])
def test_inputs_that_do_not_belong_to_records(name: str, ids: list[int]) -> None:
    given = (X, torch.tensor(ids))
    if not ids and name in ("ShapleyValues", "Lime"):  # captum: IndexError
        ours = getattr(oa, name)(bagged).attribute(given)
        torch.testing.assert_close(ours[0], X.sum(0, keepdim=True), rtol=0.1, atol=0.05)
        assert torch.equal(ours[1], torch.zeros(1))
        return
    alike(name, *both(name, bagged, given))


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValueSampling", "KernelShap"])
def test_inputs_without_numbers(name: str) -> None:
    """An input of no columns beside one that has some, before it and behind it."""
    empty = X[:, :0]
    for at in (0, 1):
        given = (empty, X) if at == 0 else (X, empty)
        ours, theirs = both(name, lambda *parts: NET(torch.cat(parts, 1))[:, 1], given)
        assert ours[at].shape == theirs[at].shape == (3, 0)
        alike(name, ours[1 - at], theirs[1 - at])
    assert oa.FeatureAblation(lambda x: x.sum(1)).attribute(X[:, :0]).shape == (3, 0)


def test_groups_with_too_few_rows_are_left_out() -> None:
    model = lambda a, b: b.sum(-1)  # noqa: E731
    given = (X[:1], rows(2, 3).float())
    masks = (torch.tensor([[0, 0, 1, 1]]), torch.tensor([[1, 2, 3]]))
    ours, theirs = both("FeaturePermutation", model, given, feature_mask=masks)
    same(ours, theirs)
    assert not ours[0].any()
    assert not ours[1][:, 0].any(), "the feature is in the input of one row, too"
    assert ours[1][:, 1:].all()
    alone = oa.FeaturePermutation(lambda x: x.sum(-1))
    assert torch.equal(alone.attribute(X[:1]), torch.zeros(1, 4))
    assert torch.equal(alone.attribute(torch.tensor([])), torch.zeros(1))
    alone._min_examples_per_batch_grouped = 1
    with pytest.raises(AssertionError, match="one record"):
        alone.attribute(X[:1])


def test_a_permutation_of_two_records_exchanges_them() -> None:
    """One that leaves everything in its place says nothing: it is drawn again."""
    for seed in range(8):
        torch.manual_seed(seed)
        ours, theirs = (where.FeaturePermutation(lambda x: x.sum(1)).attribute(X[:2]) for where in (oa, ca))
        torch.testing.assert_close(ours, theirs)


def test_functions_without_arguments() -> None:
    same(*both("FeatureAblation", lambda: torch.ones(3), X))


# Windows


def test_windows_of_no_axes() -> None:
    """Inputs of one number for each record."""
    a, b = torch.tensor([-10.0, 3.0]), torch.tensor([-5.0, 1.0])
    ours, theirs = (
        where.Occlusion(lambda a, b: a * b.relu()).attribute((a, b), sliding_window_shapes=((), ()), baselines=(1.0, 0.0))
        for where in (oa, ca)
    )
    same(ours, theirs)
    assert torch.equal(oa.Occlusion(lambda a: a * a).attribute(a, sliding_window_shapes=()), a * a)


BAD: list[dict[str, Any]] = [
    {"sliding_window_shapes": (1, 2)},
    {"sliding_window_shapes": (1, 1, 1, 2)},
    {"sliding_window_shapes": (1, 2, 2), "strides": (1, 2)},
    {"sliding_window_shapes": (1, 2, 2), "strides": (1, 2, 2, 1)},
    {"sliding_window_shapes": (1, 2, 5)},
    {"sliding_window_shapes": (1, 1, 2), "strides": 2},
    {"sliding_window_shapes": ((1, 2, 2), (1, 2, 2))},
]


@pytest.mark.parametrize("call", BAD, ids=repr)
def test_bad_windows_are_refused(call: dict[str, Any]) -> None:
    for where in (oa, ca):
        with pytest.raises(AssertionError):
            where.Occlusion(lambda x: x.sum((1, 2, 3))).attribute(torch.ones(1, 1, 4, 4), **call)


def test_a_window_over_all_may_have_any_stride() -> None:
    same(*(where.Occlusion(lambda x: x.sum((1, 2, 3))).attribute(torch.ones(1, 1, 4, 4), (1, 4, 2), (3, 9, 2)) for where in (oa, ca)))


# What is shown, and models that answer later


class Written(io.StringIO):
    """A stream that is no terminal."""


@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues", "Occlusion", *SAMPLED])
def test_progress_is_shown_where_it_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for at_once in (1, 2, 3):
        lines = []
        for where in (oa, ca):
            monkeypatch.setattr(sys, "stderr", Written())
            more = {"sliding_window_shapes": (2,)} if name == "Occlusion" else {}
            getattr(where, name)(NET).attribute(X, target=1, perturbations_per_eval=at_once, show_progress=True, **more)
            lines.append(sys.stderr.getvalue())
        ours, theirs = (line.strip("\r").partition(":")[0] for line in lines)
        assert ours == theirs
        assert f"{ours}: 100%|" in lines[0]
    monkeypatch.setattr(sys, "stderr", None)
    more = {"sliding_window_shapes": (2,)} if name == "Occlusion" else {}
    assert getattr(oa, name)(NET).attribute(X, target=1, show_progress=True, **more).shape == X.shape


def test_what_breaks_is_not_shown_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Written())
    with pytest.raises(ZeroDivisionError):
        oa.FeatureAblation(lambda x: NET(x) if (x != 0).all() else 1 / 0).attribute(X, target=1, show_progress=True)
    assert "Feature Ablation attribution:   0%|" in sys.stderr.getvalue()
    assert "100%" not in sys.stderr.getvalue()


def later(model: Callable[..., Any], *args: Any) -> torch.futures.Future[Any]:
    found: torch.futures.Future[Any] = torch.futures.Future()
    found.set_result(model(*args))
    return found


@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues", "ShapleyValueSampling"])
def test_futures_in_the_wrong_place(name: str) -> None:
    for where in (oa, ca):
        with pytest.raises(AssertionError):
            getattr(where, name)(partial(later, NET)).attribute(X, target=1)
        with pytest.raises(AssertionError):
            getattr(where, name)(NET).attribute_future(X, target=1)
    whole = getattr(oa, name)(partial(later, lambda x: NET(x).sum())).attribute_future(X)
    assert whole.wait().shape == (1, 4)


@pytest.mark.parametrize("given", ["no", None, [1.0]], ids=repr)
def test_answers_that_are_no_numbers(given: Any) -> None:
    with pytest.raises(AssertionError):
        oa.FeatureAblation(lambda x: given).attribute(X)
