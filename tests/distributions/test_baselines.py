"""Where paths start: every form a baseline can be given in comes to the same arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ascribe as asc
from ascribe.distributions.baselines import CutValues, FromInput, blur, resolve_background, resolve_baseline
from ascribe.errors import DistributionError
from tests.support.small_models import Quadratic, TwoInputs, Words, chain, rows, seeded, sums

X = rows(5, 4)
PICTURES = rows(3, 2, 6, 5, seed=2)


def here(*values, index=None, call=None, seed=0) -> CutValues:
    """Some records of those at hand, as a baseline is fitted to them."""
    index = np.arange(len(values[0])) if index is None else np.asarray(index)
    part = [v[index] for v in values]
    names = [f"input {i}" for i in range(len(values))]
    return CutValues(part, names, index, len(values[0]), call or asc.Call(*values), lambda c: [a + 100 for a in c.args], seed)


def start(baseline, *values, **more):
    return resolve_baseline(baseline, here(*values, **more))


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (None, torch.zeros(1, 4)),
        (0.0, torch.zeros(1, 4)),
        (2, torch.full((1, 4), 2.0)),
        ("zeros", torch.zeros(1, 4)),
        (np.arange(4), torch.arange(4.0)[None]),
        (np.arange(4.0), torch.arange(4.0)[None]),
        ([0, 1, 2, 3], torch.arange(4.0)[None]),
        (torch.arange(4), torch.arange(4.0)[None]),
        (torch.arange(4.0)[None], torch.arange(4.0)[None]),
        (rows(5, 4, seed=9), rows(5, 4, seed=9)),
        (rows(5, 1, seed=9), rows(5, 1, seed=9).expand(5, 4)),
        ((1.0,), torch.ones(1, 4)),
        ({"input 0": 1.0}, torch.ones(1, 4)),
        ({0: 1.0}, torch.ones(1, 4)),
        (lambda x: x.mean(0), X.mean(0, keepdim=True)),
        (lambda x: "zeros", torch.zeros(1, 4)),
        (asc.Call(X), X + 100),
        ("mean", X.mean(1, keepdim=True).expand(5, 4)),
    ],
    ids=lambda value: str(value)[:20].replace("\n", " "),
)
def test_forms_of_a_baseline(baseline, expected):
    (found,) = start(baseline, X)
    torch.testing.assert_close(found, expected.double())


def test_the_users_own_baseline_is_not_written_to():
    own = rows(5, 4, seed=9)
    kept = own.clone()
    asc.attribute(Quadratic(), X, of=0, over=asc.Line(own, 3))
    assert torch.equal(own, kept)
    assert not own.requires_grad


def test_named_baselines_of_pictures():
    (mean,) = start("mean", PICTURES)
    torch.testing.assert_close(mean, PICTURES.mean((2, 3), keepdim=True).expand_as(PICTURES))
    (blurred,) = start("blur", PICTURES)
    torch.testing.assert_close(blurred, torch.from_numpy(blur(PICTURES.numpy())))
    (noise,) = start("uniform", PICTURES)
    assert (noise.amin((1, 2, 3)) >= PICTURES.amin((1, 2, 3))).all()
    assert (noise.amax((1, 2, 3)) <= PICTURES.amax((1, 2, 3))).all()
    assert not torch.equal(noise, start("uniform", PICTURES, seed=1)[0])
    torch.testing.assert_close(noise[1:2], start("uniform", PICTURES, index=[1])[0])


def test_a_blur_keeps_a_constant_and_goes_towards_the_middle():
    np.testing.assert_allclose(blur(np.full((2, 1, 7, 5), 3.0)), 3.0)
    point = np.zeros((1, 1, 9, 9))
    point[0, 0, 4, 4] = 1.0
    spread = blur(point)
    np.testing.assert_allclose(spread, spread[..., ::-1, :])
    np.testing.assert_allclose(spread, np.swapaxes(spread, 2, 3))
    assert spread[0, 0, 4, 4] == spread.max() < 1
    with pytest.raises(DistributionError):
        blur(np.ones((3, 4)))


def test_a_block_of_records_gets_its_own_rows():
    own = rows(5, 4, seed=9)
    torch.testing.assert_close(start(own, X, index=[1, 2])[0], own[1:3])
    torch.testing.assert_close(start(lambda x: x * 2, X, index=[1, 2])[0], X[1:3] * 2)
    torch.testing.assert_close(start(asc.Call(X), X, index=[3])[0], X[3:4] + 100)


def test_several_inputs():
    a, b = rows(5, 4), rows(5, 3, seed=1)
    for baseline in ((1.0, b * 0), {"input 0": 1.0, "input 1": b * 0}, {0: 1.0, 1: 0.0}, [1.0, "zeros"], lambda a, b: (1.0, 0.0)):
        found = start(baseline, a, b)
        torch.testing.assert_close(found[0].expand(5, 4), torch.ones(5, 4).double())
        torch.testing.assert_close(found[1].expand(5, 3), torch.zeros(5, 3).double())
    assert [v.shape[1] for v in start(0.5, a, b)] == [4, 3]


@pytest.mark.parametrize(
    "baseline",
    [
        rows(2, 4),
        rows(4, 4),
        rows(3),
        rows(5, 3),
        rows(1, 1, 4),
        "middle",
        (1.0, 2.0),
        {"input 7": 0.0},
        {},
        asc.Call(rows(2, 4)),
        lambda x: rows(5, 3),
        "blur",
    ],
    ids=lambda value: str(value)[:20].replace("\n", " "),
)
def test_what_fits_no_record_is_refused(baseline):
    with pytest.raises(DistributionError):
        start(baseline, X)


def test_as_many_rows_as_a_block_are_not_a_row_per_record():
    """Five records two at a time: two rows fit the block and not the call."""
    with pytest.raises(DistributionError, match=r"\(5, 4\)"):
        start(rows(2, 4), X, index=[0, 1])
    with pytest.raises(DistributionError):
        asc.attribute(Quadratic(), X, of=0, over=asc.Line(rows(2, 4), 3), chunk=2)


def test_a_background_keeps_its_rows_together():
    a, b = rows(5, 4), rows(5, 3, seed=1)
    left, right = resolve_background((a[:2], b[:2]), here(a, b))
    assert torch.equal(left, a[:2])
    assert torch.equal(right, b[:2])
    assert torch.equal(resolve_background(lambda a, b: {0: a[:1], 1: b[:1]}, here(a, b))[1], b[:1])
    assert torch.equal(resolve_background(asc.Call(a, b), here(a, b))[0], a + 100)
    with pytest.raises(DistributionError, match="same number of rows"):
        resolve_background((a[:2], b[:3]), here(a, b))
    with pytest.raises(DistributionError):
        resolve_background((b, a), here(a, b))
    with pytest.raises(DistributionError):
        resolve_background(a[:0], here(a))


# In a call of the verb


def test_every_form_gives_the_same_attribution():
    net, base = Quadratic(), rows(4, seed=7)
    each = base.expand(5, 4)
    forms = [base, base[None], each, base.numpy(), base.tolist(), (base,), {"input 0": base}, lambda x: base, asc.Call(each)]
    first = asc.attribute(net, X, of=1, over=asc.Line(base, 3)).values
    for form in forms[1:]:
        torch.testing.assert_close(asc.attribute(net, X, of=1, over=asc.Line(form, 3)).values, first)


def test_whole_numbers_are_taken_for_what_they_are_worth():
    net, base = Quadratic(), torch.tensor([1, 0, 2, -1])
    expected = asc.attribute(net, X, of=1, over=asc.Line(base.double(), 3)).values
    for whole in (base, base.numpy(), base.numpy().astype(np.int8), base.tolist()):
        torch.testing.assert_close(asc.attribute(net, X, of=1, over=asc.Line(whole, 3)).values, expected)
    many = torch.stack([base, base + 1])
    found = asc.attribute(net, X, of=1, over=asc.Background(many) * asc.Line(steps=2))
    torch.testing.assert_close(found.values, asc.attribute(net, X, of=1, over=asc.Background(many.double()) * asc.Line(steps=2)).values)


def test_baselines_by_the_names_of_the_arguments():
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    start = {"b": rows(3, seed=5), "input 0": 0.5}
    found = asc.attribute(net, a, b=b, of=1, over=asc.Line(start, 12))
    ordered = asc.attribute(net, a, b, of=1, over=asc.Line((0.5, start["b"]), 12))
    torch.testing.assert_close(found.values["b"] if isinstance(found.values, dict) else found.values[1], ordered.values[1])
    np.testing.assert_allclose(sums(found.values), sums(ordered.values))


def test_token_baselines():
    ids = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    mask = asc.distributions.MaskedTokens(9, keep=(0, 1, 2))
    assert mask(ids).args[0].tolist() == [[1, 9, 9, 2], [1, 9, 2, 0]]
    assert mask(attention_mask=ids * 0, input_ids=ids).kwargs["input_ids"].tolist() == [[1, 9, 9, 2], [1, 9, 2, 0]]
    assert mask(X, ids).args[0] is X
    assert ids[0, 1] == 5
    with pytest.raises(DistributionError, match="needs token ids"):
        mask(X)
    np.testing.assert_array_equal(mask(ids.numpy()).args[0], mask(ids).args[0])


def test_a_baseline_of_tokens_is_what_the_embedding_holds_for_them():
    net, ids = seeded(Words), torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    mask = asc.distributions.MaskedTokens(9, keep=(0, 1, 2))
    found = asc.attribute(net, ids, of=1, at=asc.EMBEDDINGS, over=asc.Line(mask, 24, at=asc.EMBEDDINGS))
    written = asc.attribute(net, ids, of=1, at=asc.EMBEDDINGS, over=asc.Line(net.embed(mask(ids).args[0]).detach(), 24, at=asc.EMBEDDINGS))
    torch.testing.assert_close(found.values, written.values)
    kept = torch.isin(ids, torch.tensor([0, 1, 2]))
    assert (found.values[kept] == 0).all()
    assert (found.values[~kept] != 0).any()


def test_a_layers_baseline_from_the_inputs():
    net, base = chain(4, 6, 3), rows(5, 4, seed=8)
    held = net[0](base).detach()
    expected = asc.attribute(net, X, of=1, at="0", over=asc.Line(held, 9, at=asc.Cut("0"))).values
    for form in (base, lambda x: base):
        for baseline in (FromInput(form), asc.Call(base)):
            torch.testing.assert_close(asc.attribute(net, X, of=1, at="0", over=asc.Line(baseline, 9, at=asc.Cut("0"))).values, expected)
    assert FromInput(base.numpy()) == FromInput(base.numpy().copy())
    assert repr(FromInput(0.5)) == "distributions.FromInput(0.5)"


def test_a_call_or_tokens_as_the_baseline_of_a_method_at_a_layer():
    net, base = chain(4, 6, 3), rows(5, 4, seed=8)
    expected = asc.IntegratedGradients(base, 9)(net, X, of=1, at="0").values
    torch.testing.assert_close(asc.IntegratedGradients(asc.Call(base), 9)(net, X, of=1, at="0").values, expected)
    words, ids = seeded(Words), torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    masked = asc.distributions.MaskedTokens(9, keep=(0, 1, 2))
    held = words.mix(words.embed(masked(ids).args[0])).detach()
    expected = asc.attribute(words, ids, of=1, at="mix", over=asc.Line(held, 9, at=asc.Cut("mix"))).values
    torch.testing.assert_close(asc.IntegratedGradients(masked, 9)(words, ids, of=1, at="mix").values, expected)
