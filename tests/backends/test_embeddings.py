"""Token ids: which embedding they go to, and paths at an embedding that is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes
from ascribe.errors import CutError, DistributionError, InputError
from tests.support.odd_models import rows, seeded, table

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")


class Mixed(nn.Module):
    """Token ids and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first, self.last = nn.Embedding(10, 4), nn.Linear(7, 6), nn.Linear(6, 3)

    def after(self, words: Tensor, numbers: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(torch.cat([words.mean(1), numbers], 1))))

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        return self.after(self.words(ids), numbers)


IDS, NUMBERS = torch.tensor([[1, 2, 3], [4, 5, 6]]), rows(2, 3)


def by_hand(model: Mixed, start: Tensor, steps: int) -> Tensor:
    end = model.words(IDS).detach()
    total = torch.zeros_like(end)
    for position, weight in zip(*quadrature_nodes("gauss-legendre", steps), strict=True):
        z = (start + position * (end - start)).requires_grad_()
        total += weight * torch.autograd.grad(model.after(z, NUMBERS)[:, 1].sum(), z)[0]
    return total * (end - start)


@pytest.mark.parametrize(("baseline", "ids"), [(asc.Call(0 * IDS, 0 * NUMBERS), 0), (asc.distributions.MaskedTokens(9), 9), (0.0, None)])
def test_ids_of_a_baseline_count_where_numbers_are_beside_them(baseline: Any, ids: int | None) -> None:
    model = seeded(Mixed())
    assert isinstance(model, Mixed)
    start = torch.zeros(2, 3, 4) if ids is None else model.words(torch.full_like(IDS, ids)).detach()
    found = asc.IntegratedGradients(baseline, steps=16)(model, IDS, NUMBERS, of=1, at="words")
    assert torch.allclose(found.values, by_hand(model, start, 16), atol=1e-6)
    change = model(IDS, NUMBERS)[:, 1] - model.after(start, NUMBERS)[:, 1]
    assert torch.allclose(found.values.sum((1, 2)), change.detach(), atol=1e-5)


def test_ids_that_a_path_cannot_move_are_refused() -> None:
    model = seeded(Mixed())
    for method in (asc.IntegratedGradients(asc.Call(0 * IDS, 0 * NUMBERS)), asc.DeepLift(asc.Call(0 * IDS, 0 * NUMBERS))):
        with pytest.raises(DistributionError, match="E-BASELINE-IDS"):
            method(model, IDS, NUMBERS, of=1)
    same = asc.IntegratedGradients(asc.Call(IDS, 0 * NUMBERS))(model, IDS, NUMBERS, of=1)
    assert torch.equal(same.values, asc.IntegratedGradients(0.0)(model, IDS, NUMBERS, of=1).values)


class Columns(nn.Module):
    """A table of categories: an embedding for each column."""

    def __init__(self, columns: int = 3, offset: int = 0) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(10 + 3 * i, 4) for i in range(columns))
        self.last, self.offset = nn.Linear(4 * columns, 3), offset

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(torch.cat([t(x[:, i] + self.offset) for i, t in enumerate(self.tables)], 1)))


METHODS = [asc.IntegratedGradients(steps=16), asc.DeepLift(), asc.Conductance(steps=8), asc.InternalInfluence(steps=4)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("column", range(3))
def test_an_embedding_for_each_column(column: int, method: Any) -> None:
    model, x = seeded(Columns()), torch.tensor([[1, 2, 0], [4, 0, 6]])
    found = method(model, x, of=1, at=f"tables.{column}")
    alone = torch.cat([method(model, x[i : i + 1], of=1, at=f"tables.{column}").values for i in range(2)])
    assert torch.allclose(found.values, alone, atol=1e-6)
    assert bool(found.values.any())
    noise = asc.SmoothGrad(samples=3)(model, x, of=1, at=f"tables.{column}")
    assert noise.values.shape == (2, 4)


def test_several_embeddings_are_named() -> None:
    with pytest.raises(CutError, match=r"several layers receive the ids.*tables\.0.*tables\.2"):
        asc.attribute(seeded(Columns()), torch.tensor([[1, 2, 0], [4, 0, 6]]), of=1)


class Part(nn.Module):
    """The ids without the first and the last, beside positions."""

    def __init__(self, take: slice) -> None:
        super().__init__()
        self.words, self.place, self.last, self.take = nn.Embedding(10, 4), nn.Embedding(8, 4), nn.Linear(4, 3), take

    def forward(self, ids: Tensor) -> Tensor:
        h = self.words(ids[:, self.take])
        return self.last(torch.tanh(h + self.place(torch.arange(h.shape[1]))).mean(1))


@pytest.mark.parametrize("records", [1, 2])
@pytest.mark.parametrize(
    ("model", "at"),
    [
        (Part(slice(1, -1)), "words"),
        (Part(slice(None, -1)), "words"),
        (Part(slice(None, None, 2)), "words"),
        (Columns(1, offset=2), "tables.0"),
    ],
)
def test_ids_are_known_in_part_and_offset(model: nn.Module, at: str, records: int) -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [2, 4, 6, 0, 1]])[:records]
    found = asc.attribute(seeded(model), ids, of=1)
    assert found.cut == repr(asc.Cut(at))


@pytest.mark.parametrize("kind", ["T5", "Bart"])
def test_words_of_an_encoder_and_a_decoder(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    t5 = transformers.T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 1)
    bart = transformers.BartConfig(vocab_size=20, d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, **sizes)
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(t5 if kind == "T5" else bart).eval()
    call = {"input_ids": torch.tensor([[5, 6, 7], [8, 9, 3]]), "decoder_input_ids": torch.tensor([[0, 12], [0, 14]])}
    prefix, of = "" if kind == "T5" else "model.", asc.Unit(1, 7, on=asc.OUTPUT.at("logits"))
    other = asc.Call.of((), {name: torch.ones_like(ids) for name, ids in call.items()})
    for part, ids in (("encoder", "input_ids"), ("decoder", "decoder_input_ids")):
        for method in (asc.IntegratedGradients(steps=8), asc.DeepLift(), asc.IntegratedGradients(other, steps=8)):
            at = f"{prefix}{part}.embed_tokens"
            found = method(model, **call, of=of, at=at)
            assert found.values.shape == (*call[ids].shape, 8)
            assert bool(found.values.any())
            if method != asc.IntegratedGradients(other, steps=8):  # which has two rows
                alone = [method(model, **{k: v[i : i + 1] for k, v in call.items()}, of=of, at=at).values for i in range(2)]
                assert torch.allclose(found.values, torch.cat(alone), atol=1e-4)


def test_complex_inputs() -> None:
    model = seeded(nn.Linear(4, 3))
    z = torch.view_as_complex(rows(2, 2, 2))

    def spectrum(x: Tensor) -> Tensor:
        return model(torch.view_as_real(x).flatten(1))

    for ask in (lambda: asc.attribute(spectrum, z, of=1), lambda: asc.attribute(spectrum, z, of=1, over=asc.coalitions.LeaveOneOut())):
        with pytest.raises(InputError, match=r"complex numbers.*view_as_real") as caught:
            ask()
        assert caught.value.code == "E-INPUT-COMPLEX"
    found = asc.attribute(lambda x: spectrum(torch.view_as_complex(x)), torch.view_as_real(z), of=1)
    assert found.values.shape == (2, 2, 2)


def test_sparse_tensors_ride_along() -> None:
    net, x = table(), rows(4, 4)
    links = (rows(4, 4, seed=2) * (rows(4, 4, seed=3) > 0)).to_sparse()
    for given in (links, links.to_sparse_csr()):
        found = asc.attribute(lambda a, b: net(torch.sparse.mm(b, a)), x, given, of=1)
        truth = asc.attribute(lambda a: net(links.to_dense() @ a), x, of=1)
        assert torch.allclose(found.values, truth.values, atol=1e-6)
    with pytest.raises(InputError, match="E-INPUT-LAYOUT"):
        asc.attribute(lambda a: net(a.to_dense()), links, of=1)
