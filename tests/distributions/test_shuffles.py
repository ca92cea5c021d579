"""Shuffled sequences: what they keep, that every arrangement is as likely, and how they serve as a background."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

import ascribe as asc
from ascribe.distributions.shuffles import shuffle
from ascribe.errors import DistributionError
from tests.support.snapshots import unchanged


def counts(letters: np.ndarray, k: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(letters[i : i + k].tolist()) for i in range(len(letters) - k + 1))


def dna(records: int, length: int, seed: int = 0) -> torch.Tensor:
    """One-hot sequences ``[records, 4, length]``."""
    ids = torch.randint(0, 4, (records, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(ids, 4).transpose(1, 2).double()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 10**6))
def test_runs_of_k_letters_are_as_frequent_as_before(letters, k, seed):
    ids = np.array(letters)
    order = shuffle(ids, k, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(ids))), "every letter once"
    new = ids[order]
    for shorter in range(1, k + 1):
        assert counts(new, shorter) == counts(ids, shorter)
    assert new[: k - 1].tolist() == ids[: k - 1].tolist()
    assert new[len(ids) - k + 1 :].tolist() == ids[len(ids) - k + 1 :].tolist()


@pytest.mark.parametrize(("word", "k"), [("AABACBABC", 2), ("ABCABACBB", 2), ("AAABBAABAB", 3), ("AABBC", 1)])
def test_every_arrangement_is_as_likely(word, k):
    ids = np.array([ord(letter) for letter in word])
    there = {p for p in set(permutations(ids.tolist())) if counts(np.array(p), k) == counts(ids, k) and p[: k - 1] == tuple(ids[: k - 1])}
    rng = np.random.default_rng(3)
    drawn = 60 * len(there)
    found = Counter(tuple(ids[shuffle(ids, k, rng)].tolist()) for _ in range(drawn))
    assert len(there) > 2
    assert set(found) == there
    assert chisquare([found[p] for p in there]).pvalue > 1e-4


def test_rows_belong_to_the_seed_and_the_sample_and_to_nothing_else():
    x = dna(3, 30)
    maker = asc.distributions.Shuffled(k=2)
    first = maker.rows(x, 0, 7, 1)
    assert torch.equal(first, maker.rows(x, 0, 7, 1))
    assert torch.equal(first[1:], maker.rows(x[1:], 0, 7, 1)), "not to the place among the records"
    assert not torch.equal(first, maker.rows(x, 0, 7, 2))
    assert not torch.equal(first, maker.rows(x, 0, 8, 1))
    assert first.dtype == x.dtype


def test_letters_on_either_axis():
    x = dna(2, 25)
    lying = asc.distributions.Shuffled().rows(x, 0, 0, 0)
    standing = asc.distributions.Shuffled(axis=2).rows(x.transpose(1, 2).contiguous(), 0, 0, 0)
    assert torch.equal(lying, standing.transpose(1, 2))
    for row, new in zip(x, lying, strict=True):
        assert counts(row.argmax(0).numpy(), 2) == counts(new.argmax(0).numpy(), 2)
    with pytest.raises(DistributionError, match="axis=1") as wrong:
        asc.distributions.Shuffled(axis=2).rows(x, 0, 0, 0)
    assert wrong.value.code == "E-BASELINE-AXIS"
    with pytest.raises(DistributionError, match="sequences"):
        asc.distributions.Shuffled().rows(torch.zeros(2, 3, 4, 5), 0, 0, 0)
    for k in (0, 1.5, True):
        with pytest.raises(DistributionError):
            asc.distributions.Shuffled(k=k)


@pytest.mark.parametrize("keep", ["a", (0, "b"), 1.5, None], ids=repr)
def test_ids_to_keep_are_ids(keep):
    with pytest.raises(DistributionError, match="keep"):
        asc.distributions.Shuffled(keep=keep)
    assert asc.distributions.Shuffled(keep=3) == asc.distributions.Shuffled(keep=np.array([3]))


def test_unknown_letters_are_a_letter_of_their_own():
    x = dna(1, 40)
    x[0, :, 5:9] = 0
    new = asc.distributions.Shuffled().rows(x, 0, 0, 0)
    assert (new.sum(1) == 0).sum() == 4
    letters = [torch.where(row.sum(0) == 0, 4, row.argmax(0)).numpy() for row in (x[0], new[0])]
    assert counts(letters[0], 2) == counts(letters[1], 2)


class Motifs(nn.Module):
    """Convolution, overlapping max-pools, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.pool = nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(4, 2)
        self.out = nn.Linear(6 * 9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.pool(self.act(self.conv(x))).flatten(1))


def motifs() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Motifs().double().eval()


def test_each_record_has_shuffles_of_its_own():
    model, x = motifs(), dna(3, 24)
    with unchanged(model, arguments=(x,)):
        found = asc.DeepLiftShap(asc.distributions.Shuffled(), samples=6)(model, x, of=1, seed=5)
    rows = [asc.distributions.Shuffled().rows(x, 0, 5, i) for i in range(6)]
    each = [asc.DeepLift(row)(model, x, of=1).values for row in rows]
    torch.testing.assert_close(found.values, torch.stack(each).mean(0))
    assert found.gap.relative.max() < 1e-9
    assert asc.DeepLiftShap(asc.distributions.Shuffled())(model, x, of=1).settings["steps"] == 20
    for part in (slice(0, 1), slice(2, 3)):
        alone = asc.DeepLiftShap(asc.distributions.Shuffled(), samples=6)(model, x[part], of=1, seed=5)
        torch.testing.assert_close(alone.values, found.values[part])
    for chunk in (1, 2, 7):
        again = asc.DeepLiftShap(asc.distributions.Shuffled(), samples=6)(model, x, of=1, seed=5, chunk=chunk)
        torch.testing.assert_close(again.values, found.values)


def test_expected_gradients_from_shuffles():
    model, x = motifs(), dna(3, 24)
    found = asc.ExpectedGradients(asc.distributions.Shuffled(), samples=400)(model, x, of=1)
    rows = torch.stack([asc.distributions.Shuffled().rows(x, 0, 0, i) for i in range(400)])
    mean = torch.stack([model(row)[:, 1] for row in rows]).mean(0).detach()
    torch.testing.assert_close(found.values.flatten(1).sum(1), model(x)[:, 1].detach() - mean, rtol=0.1, atol=0.02)
    at_layer = asc.DeepLiftShap(asc.distributions.Shuffled(), samples=4)(model, x, of=1, at="conv")
    assert at_layer.values.shape == model.conv(x).shape
    assert at_layer.gap.relative.max() < 1e-9
    path = asc.attribute(
        model, x, of=1, at="conv", over=asc.Background(asc.distributions.Shuffled(), 4, at=asc.Cut("conv")), by=asc.rules.Rescale()
    )
    torch.testing.assert_close(path.values, at_layer.values, rtol=1e-6, atol=1e-9)


class Words(nn.Module):
    """A classifier of ids, with padding under id 0."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.out = nn.Embedding(6, 5), nn.Conv1d(5, 7, 3), nn.Linear(7, 2)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        h = self.mix(self.embed(input_ids).transpose(1, 2)).relu()
        return self.out(h.amax(2))


def test_token_ids_are_shuffled_and_explained_at_their_embeddings():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Words().double().eval()
    ids = torch.randint(1, 6, (3, 18), generator=torch.Generator().manual_seed(0))
    ids[1, 12:] = 0
    maker = asc.distributions.Shuffled(k=2, keep=(0,))
    found = asc.DeepLiftShap(maker, samples=5)(model, input_ids=ids, of=1, seed=2)
    assert found.values.shape == (3, 18, 5)
    assert found.gap.relative.max() < 1e-9
    rows = [maker.rows(ids, 0, 2, i) for i in range(5)]
    assert all(torch.equal(row[1, 12:], ids[1, 12:]) for row in rows), "padding stays"
    parted = ids[:1].clone()
    parted[0, [4, 11]] = 0
    assert all(((maker.rows(parted, 0, seed, 0) == 0) == (parted == 0)).all() for seed in range(20)), "and what stands between words"
    mean = torch.stack([model(row)[:, 1] for row in rows]).mean(0)
    np.testing.assert_allclose(found.explained - found.values.sum((1, 2)).numpy(), mean.detach().numpy(), rtol=1e-9)
    with pytest.raises(DistributionError, match="`Shuffled` needs token ids"):
        maker.call(asc.Call(torch.zeros(2, 3)), 0, 0)
