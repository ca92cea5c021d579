"""Models of transformers whose rows or parts of an output are not records: choices, router logits, hidden states of images."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ascribe as asc
from tests.support.odd_models import rows

transformers = pytest.importorskip("transformers")
Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore")
METHODS = [asc.InputXGradient(), asc.IntegratedGradients(steps=4), asc.AttnLRP()]
SIZES = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def by_itself(model: Any, method: Any, call: dict[str, Tensor], of: list[Any], at: Any) -> Tensor:
    """Each record's values when it is explained alone."""
    found = [method(model, **{k: v[i : i + 1] for k, v in call.items()}, of=q, at=at).values for i, q in enumerate(of)]
    return torch.cat(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", ["INPUT", "bert.encoder.layer.0", "bert.pooler"])
def test_choices_are_rows_of_one_question(at: str, method: Any) -> None:
    torch.manual_seed(0)
    model = transformers.BertForMultipleChoice(transformers.BertConfig(**SIZES, max_position_embeddings=20)).eval()
    ids = torch.randint(3, 40, (3, 4, 6))
    call = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = method(model, **call, of=[0, 1, 2], at=at)
    assert found.values.shape[:2] == (3, 4)
    truth = by_itself(model, method, call, [0, 1, 2], at)
    assert torch.allclose(found.values, truth, atol=1e-4 * float(truth.abs().max()) + 1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", ["INPUT", "model.layers.0.mlp"])
def test_router_logits_beside_the_logits(at: str, method: Any) -> None:
    torch.manual_seed(0)
    sizes = {**SIZES, "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": True}
    model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**sizes)).eval()
    call, of = {"input_ids": torch.randint(0, 40, (3, 5))}, asc.Unit(4, 3)
    found = method(model, **call, of=of, at=at)
    truth = by_itself(model, method, call, [of] * 3, at)
    assert torch.allclose(found.values, truth, atol=1e-3 * float(truth.abs().max()) + 1e-7)
    router = asc.attribute(model, **call, of=lambda out: out.router_logits[1][:, 4, 2])
    assert router.values.shape == (3, 5, 16)


@pytest.mark.parametrize("method", METHODS)
def test_hidden_states_of_pictures_beside_the_logits(method: Any) -> None:
    torch.manual_seed(0)
    seen = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = transformers.CLIPVisionConfig(**seen, image_size=16, patch_size=8)
    text = transformers.LlamaConfig(**{**SIZES, "num_hidden_layers": 1}, num_key_value_heads=2)
    model = transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_id=39))
    call = {"input_ids": torch.tensor([[1, 39, 39, 39, 39, 5], [2, 39, 39, 39, 39, 7]]), "pixel_values": rows(2, 3, 16, 16)}
    of = asc.Unit(5, 3)
    found = method(model.eval(), **call, of=of)
    truth = by_itself(model, method, call, [of] * 2, "INPUT")
    assert torch.allclose(found.values, truth, atol=1e-3 * float(truth.abs().max()) + 1e-7)


@pytest.mark.parametrize("records", [1, 4])
def test_what_a_first_call_of_a_language_model_runs(records: int) -> None:
    """One row beside the records, none beside a single one; then nothing."""
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=2)).eval()
    ids, runs = torch.randint(0, 40, (records, 6)), []
    seen: list[int] = []
    forward = model.forward
    model.__dict__["forward"] = lambda *args, **kwargs: (seen.append(len(kwargs["input_ids"])), forward(*args, **kwargs))[1]
    for _ in range(2):
        seen.clear()
        asc.AttnLRP()(model, input_ids=ids, of=asc.Unit(5, 3))
        runs.append(sorted(seen))
    assert runs == [[1, 4] if records > 1 else [1], [records]]
