"""Transformers as they come: small random BERT, GPT-2, Llama and ViT, called as their users call them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes
from ascribe.errors import CutError, InputError, QuantityError
from tests.support.odd_models import rows
from tests.support.snapshots import unchanged

transformers = pytest.importorskip("transformers")

Tensor = torch.Tensor
STEPS = 4
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
MASK = (IDS > 0).long()
SIZES: dict[str, int] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}

pytestmark = [pytest.mark.filterwarnings("ignore:completeness"), pytest.mark.filterwarnings("ignore::DeprecationWarning"),
              pytest.mark.filterwarnings("ignore::FutureWarning")]  # fmt: skip


def made(kind: str, **more: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            config = transformers.BertConfig(vocab_size=30, max_position_embeddings=16, num_labels=3, **SIZES, **more)
            model = transformers.BertForSequenceClassification(config)
        elif kind == "gpt2":
            config = transformers.GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2, **more)
            model = transformers.GPT2LMHeadModel(config)
        elif kind == "llama":
            config = transformers.LlamaConfig(vocab_size=30, max_position_embeddings=32, num_key_value_heads=1, **SIZES, **more)
            model = transformers.LlamaForCausalLM(config)
        else:
            config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=3, **SIZES, **more)
            model = transformers.ViTForImageClassification(config)
        for p in model.parameters():
            nn.init.normal_(p, std=0.3)
    return model.eval()


def by_hand(model: nn.Module, layer: str, read: Callable[[Any], Tensor], part: int | None, **call: Any) -> Tensor:
    """Integrated gradients from zero at a layer's output (or part of it), a point and a run at a time."""
    place, seen = model.get_submodule(layer), []
    handle = place.register_forward_hook(lambda m, a, y: seen.append((y if part is None else y[part]).detach().clone()))
    with torch.no_grad():
        model(**call)
    handle.remove()
    total = torch.zeros_like(seen[0])
    for position, weight in zip(*quadrature_nodes("gauss-legendre", STEPS), strict=True):
        z = (position * seen[0]).requires_grad_()
        put = lambda m, a, y, z=z: z if part is None else (*y[:part], z, *y[part + 1 :])  # noqa: E731
        handle = place.register_forward_hook(put)
        total += weight * torch.autograd.grad(read(model(**call)).sum(), z)[0]
        handle.remove()
    return total * seen[0]


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=0, atol=1e-5 * max(1.0, float(b.abs().max()))))


def over(cut: asc.Cut) -> asc.Line:
    return asc.Line(0.0, steps=STEPS, at=cut)


BERT = [("bert.embeddings.word_embeddings", None), ("bert.embeddings", None), ("bert.encoder.layer.0", None),
        ("bert.encoder.layer.1.attention.self", 0), ("bert.encoder.layer.0.intermediate", None), ("bert.pooler", None)]  # fmt: skip


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("layer", "part"), BERT)
def test_bert(layer: str, part: int | None, attention: str) -> None:
    model = made("bert", attn_implementation=attention)
    call = {"input_ids": IDS, "attention_mask": MASK}
    cut = asc.Cut(layer, accessor=part)
    truth = by_hand(model, layer, lambda y: y.logits[:, 1], part, **call)
    for chunk in (None, None, 3):
        with unchanged(model, arguments=call):
            found = asc.attribute(model, of=1, at=cut, over=over(cut), chunk=chunk, **call)
        assert close(found.values, truth)


def test_bert_in_every_form_of_output_and_call() -> None:
    truth = by_hand(made("bert"), "bert.embeddings.word_embeddings", lambda y: y.logits[:, 1], None, input_ids=IDS, attention_mask=MASK)
    more: list[dict[str, Any]] = [{}, {"return_dict": False}, {"output_hidden_states": True}, {"output_attentions": True},
                                  {"token_type_ids": torch.zeros_like(IDS)}, {"position_ids": None, "labels": None}]  # fmt: skip
    for extra in more:
        model = made("bert", attn_implementation="eager")
        found = asc.attribute(model, input_ids=IDS, attention_mask=MASK, of=1, over=over(asc.EMBEDDINGS), at=asc.EMBEDDINGS, **extra)
        assert close(found.values, truth), extra
    model = made("bert")
    embedded = model.bert.embeddings.word_embeddings(IDS).detach()
    found = asc.attribute(model, inputs_embeds=embedded, attention_mask=MASK, of=1, over=asc.Line(0.0, steps=STEPS))
    assert close(found.values, truth)
    found = asc.attribute(model, IDS, MASK, of="LABEL_1", at=asc.EMBEDDINGS, over=over(asc.EMBEDDINGS))
    assert close(found.values, truth)
    assert found.class_names == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert asc.attribute(model, IDS, MASK).values.shape == (2, 5, 16)  # ids go to their embeddings by themselves
    with pytest.raises(QuantityError, match="LABEL_2"):
        asc.attribute(model, IDS, MASK, of="POSITIVE")


def test_bert_with_its_labels_and_loss() -> None:
    model, labels = made("bert"), torch.tensor([1, 0])
    found = asc.attribute(model, input_ids=IDS, labels=labels, of=labels, at=asc.EMBEDDINGS, over=over(asc.EMBEDDINGS))
    alone = asc.attribute(model, input_ids=IDS, of=labels, at=asc.EMBEDDINGS, over=over(asc.EMBEDDINGS))
    assert close(found.values, alone.values)


def test_baselines_of_mask_tokens_keep_what_is_kept() -> None:
    model = made("bert")
    line = asc.Line(asc.distributions.MaskedTokens(5, keep=[2, 3, 0]), steps=16, at=asc.EMBEDDINGS)
    found = asc.attribute(model, input_ids=IDS, attention_mask=MASK, of=asc.Contrast(1, 0, on=asc.LOGITS), at=asc.EMBEDDINGS, over=line)
    kept = torch.isin(IDS, torch.tensor([0, 2, 3]))
    assert not bool(found.values[kept].any())
    assert bool(found.values[~kept].any())
    inner = asc.attribute(model, input_ids=IDS, attention_mask=MASK, of=1, at="bert.encoder.layer.0", over=line)
    assert inner.values.shape == (2, 5, 16)


LANGUAGE = [("gpt2", "transformer.wte", None), ("gpt2", "transformer.h.0", None), ("gpt2", "transformer.h.1.attn", 0),
            ("llama", "model.embed_tokens", None), ("llama", "model.layers.0", None), ("llama", "model.layers.1.self_attn", 0),
            ("llama", "model.layers.0.mlp", None)]  # fmt: skip


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(("kind", "layer", "part"), LANGUAGE)
def test_language_models(kind: str, layer: str, part: int | None, cache: bool) -> None:
    model = made(kind, use_cache=cache)
    call = {"input_ids": IDS, "attention_mask": MASK}
    probe: list[Any] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, a, y: probe.append(y))
    model(**call)
    handle.remove()
    part = None if isinstance(probe[0], Tensor) else part
    cut = asc.Cut(layer, accessor=part)
    truth = by_hand(model, layer, lambda y: y.logits[:, 2, 7], part, **call)
    for _ in range(2):
        with unchanged(model, arguments=call):
            found = asc.attribute(model, of=(2, 7), at=cut, over=over(cut), **call)
        assert close(found.values, truth)


def test_a_layer_that_is_called_by_keyword_with_a_cache() -> None:
    model = made("llama")
    found = asc.influence(model, input_ids=IDS, of=(4, 3), at=asc.Cut("model.layers.1.self_attn", "in"))
    plain = asc.influence(model, input_ids=IDS, of=(4, 3), at="model.layers.1.input_layernorm")
    values = found.values["hidden_states"] if isinstance(found.values, dict) else found.values
    assert close(values, plain.values)


def test_a_sequence_of_scores_asks_which() -> None:
    with pytest.raises(QuantityError, match=r"Found: a value of shape.*of=asc\.Unit\(4, token_id\) for one position"):
        asc.attribute(made("gpt2"), input_ids=IDS)


def test_a_cache_of_the_user_is_used_and_not_grown() -> None:
    for kind in ("gpt2", "llama"):
        model = made(kind)
        with torch.no_grad():
            cache = model(input_ids=IDS[:, :3], use_cache=True).past_key_values
        words = model.get_input_embeddings()
        rest = words(IDS[:, 3:]).detach()

        def slope(share: float, rest: Tensor = rest, cache: Any = cache, model: nn.Module = model) -> Tensor:
            z = (share * rest).requires_grad_()
            logits = model(inputs_embeds=z, past_key_values=copy.deepcopy(cache)).logits
            return torch.autograd.grad(logits[:, 1, 7].sum(), z)[0]

        truth = rest * sum(w * slope(p) for p, w in zip(*quadrature_nodes("gauss-legendre", STEPS), strict=True))
        found = asc.influence(model, inputs_embeds=rest, past_key_values=cache, of=(1, 7))
        assert close(found.values, slope(1.0))
        for _ in range(2):
            line = asc.attribute(model, inputs_embeds=rest, past_key_values=cache, of=(1, 7), over=asc.Line(0.0, steps=STEPS))
            assert close(line.values, truth)
        assert cache.get_seq_length() == 3
        with pytest.raises(InputError, match="no_grad"):
            asc.influence(model, inputs_embeds=rest, past_key_values=model(input_ids=IDS[:, :3]).past_key_values, of=(1, 7))


def test_pictures() -> None:
    model, x = made("vit"), rows(2, 3, 8, 8)
    for layer, part in (("vit.embeddings", None), ("vit.encoder.layer.0" if hasattr(model.vit, "encoder") else "vit.layers.0", None)):
        cut = asc.Cut(layer, accessor=part)
        truth = by_hand(model, layer, lambda y: y.logits[:, 1], part, pixel_values=x)
        for _ in range(2):
            assert close(asc.attribute(model, pixel_values=x, of=1, at=cut, over=over(cut)).values, truth)
    positional, named = asc.attribute(model, x, of=1), asc.attribute(model, pixel_values=x.numpy(), of=1)
    assert close(torch.as_tensor(named.values), positional.values)
    assert positional.values.shape == x.shape


def test_training_mode_and_checkpointing_of_transformers() -> None:
    model = made("bert", hidden_dropout_prob=0.5)
    truth = asc.attribute(model, IDS, MASK, of=1, at=asc.EMBEDDINGS, over=over(asc.EMBEDDINGS)).values
    model.train()
    model.gradient_checkpointing_enable()
    with pytest.warns(asc.AscribeWarning, match="training mode"), unchanged(model):
        found = asc.attribute(model, IDS, MASK, of=1, at=asc.EMBEDDINGS, over=over(asc.EMBEDDINGS))
    assert close(found.values, truth)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precision(dtype: torch.dtype) -> None:
    model = made("bert")
    truth = asc.attribute(model, IDS, MASK, of=1, at=asc.EMBEDDINGS).values
    low = asc.attribute(model.to(dtype), IDS, MASK, of=1, at=asc.EMBEDDINGS).values
    assert low.dtype == dtype
    assert torch.allclose(low.float(), truth, atol=0.15 * float(truth.abs().max()))


def test_places_of_a_transformer() -> None:
    model = made("llama")
    places = {repr(p.cut): p for p in asc.cuts_of(model, input_ids=IDS, attention_mask=MASK)}
    order = list(places)
    assert order.index("Cut('model.embed_tokens')") < order.index("Cut('model.layers.0')") < order.index("Cut('model.layers.1')")
    assert places["Cut('lm_head')"].shape == (1, 5, 30)


def test_embeddings_of_an_encoder_and_a_decoder_with_one_weight() -> None:
    """The module that holds the weight never runs; both that do are named, with what to write."""
    from transformers import BartConfig, BartForSequenceClassification

    torch.manual_seed(0)
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 1)
    model = BartForSequenceClassification(BartConfig(vocab_size=20, d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, **sizes)).eval()
    ids = torch.tensor([[5, 6, 7, 2]])
    both = [asc.Cut("model.encoder.embed_tokens"), asc.Cut("model.decoder.embed_tokens")]
    with pytest.raises(CutError, match="several layers receive the ids") as told:
        asc.attribute(model, input_ids=ids, of=1)
    assert f"at={both!r}" in str(told.value)
    found = asc.attribute(model, input_ids=ids, of=1, at=both)
    assert all(torch.isfinite(v).all() and (v != 0).any() for v in found.values)
