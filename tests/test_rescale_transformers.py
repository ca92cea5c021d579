"""Rescale is complete on architectures as ``transformers`` builds them, with random weights, eager and in fused attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ascribe as asc

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WORDS = {**SMALL, "vocab_size": 50}
GROUPED = {**WORDS, "num_key_value_heads": 2}
STAGES = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 2, 1], "num_labels": 3}
TEXTS = {
    "Bert": ("ForSequenceClassification", {**WORDS, "num_labels": 3}),
    "Roberta": ("ForSequenceClassification", {**WORDS, "num_labels": 3}),
    "DistilBert": ("ForSequenceClassification", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 50}),
    "DebertaV2": (
        "ForSequenceClassification",
        {**WORDS, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "GPT2": (
        "LMHeadModel",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1},
    ),
    "Llama": ("ForCausalLM", GROUPED),
    "Mistral": ("ForCausalLM", GROUPED),
    "Qwen3": ("ForCausalLM", {**GROUPED, "head_dim": 8}),
    "Gemma": ("ForCausalLM", {**GROUPED, "head_dim": 8}),
    "Mamba": ("ForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4}),
}
IMAGES = {
    "ViT": {**SMALL, "image_size": 32, "patch_size": 8, "num_labels": 3},
    "ConvNext": {**STAGES, "layer_scale_init_value": 1.0},
    "Swin": {
        "embed_dim": 8,
        "depths": [2, 2],
        "num_heads": [2, 2],
        "window_size": 4,
        "image_size": 32,
        "patch_size": 2,
        "num_labels": 3,
    },
    "ResNet": {**STAGES, "embedding_size": 8},
    "RegNet": {**STAGES, "embedding_size": 8, "groups_width": 4},
}
FUSED = {"Bert", "Roberta", "DistilBert", "GPT2", "Llama", "Mistral", "Qwen3", "Gemma", "ViT", "Swin"}
CASES = [(name, kind) for name in (*TEXTS, *IMAGES) for kind in ("eager", *(("sdpa",) if name in FUSED else ()))]

IN_SINGLE = {"Llama", "Mistral", "Qwen3", "Gemma", "Mamba", "ViT", "Swin"}
"""Models that go through single precision inside, whatever the type of their parameters: norms, eager softmax, scans."""


def built(name: str, kind: str, dtype: torch.dtype) -> nn.Module:
    head, options = TEXTS.get(name, ("ForImageClassification", IMAGES.get(name)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, f"{name}Config")(**options)
        config._attn_implementation = kind
        model = getattr(transformers, f"{name}{head}")(config).eval()
        for p in model.parameters():
            if p.dim() > 1:
                p.data.mul_(1.5)
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2)
    return model.to(dtype)


def explained(name: str, kind: str, dtype: torch.dtype, part: slice = slice(None)) -> asc.Attribution:
    model = built(name, kind, dtype)
    draw = torch.Generator().manual_seed(1)
    if name in IMAGES:
        return asc.attribute(model, torch.randn(3, 3, 32, 32, generator=draw).to(dtype)[part], of=1, by=asc.Rescale())
    ids = torch.randint(1, 50, (3, 9), generator=draw)
    mask = torch.ones_like(ids)
    if "Sequence" in TEXTS[name][0]:
        mask[1, 6:] = 0
    of = asc.Unit(1) if "Sequence" in TEXTS[name][0] else asc.Unit(8, 1)
    over = asc.Reference(0.0, at=asc.EMBEDDINGS)
    return asc.attribute(
        model, input_ids=ids[part], attention_mask=mask[part], of=of, at=asc.EMBEDDINGS, over=over, by=asc.Rescale()
    )


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_complete(name, kind):
    single = explained(name, kind, torch.float32)
    assert single.gap.relative.max() < 1e-4
    double = explained(name, kind, torch.float64)
    assert double.gap.relative.max() < (1e-5 if name in IN_SINGLE else 1e-8)
    for found in (single, double):
        assert next(c for c in found.checks if c.name == "rule").status == "ok"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_record_is_explained_by_itself(name, kind):
    whole = explained(name, kind, torch.float64).values
    alone = explained(name, kind, torch.float64, slice(1, 2)).values
    torch.testing.assert_close(alone[0], whole[1], rtol=0, atol=(1e-6 if name in IN_SINGLE else 1e-9) * float(whole.abs().max()))


@pytest.mark.parametrize("name", ["Bert", "Llama", "ViT"])
def test_attention_by_one_kernel_and_by_several_agree(name):
    eager, fused = (explained(name, kind, torch.float64).values for kind in ("eager", "sdpa"))
    torch.testing.assert_close(fused, eager, rtol=0, atol=1e-5 * float(eager.abs().max()))


def test_a_mixture_of_experts_names_its_routing():
    options = {**GROUPED, "num_local_experts": 4, "vocab_size": 50}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**options)).eval()
    found = asc.attribute(
        model, input_ids=torch.arange(1, 9)[None], of=asc.Unit(7, 1), at=asc.EMBEDDINGS,
        over=asc.Reference(0.1, at=asc.EMBEDDINGS), by=asc.Rescale(),
    )  # fmt: skip
    assert "topk" in next(c for c in found.checks if c.name == "rule").detail


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[0] in {"Bert", "Llama", "Qwen3", "GPT2", "Mistral"}])
def test_cp_lrp_conserves_without_biases(name, kind):
    model = built(name, kind, torch.float64)
    for key, p in model.named_parameters():
        if key.endswith("bias"):
            p.data.zero_()
    ids = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(1))
    of = asc.Unit(1) if "Sequence" in TEXTS[name][0] else asc.Unit(8, 1)
    where = {"Bert": "bert.embeddings", "GPT2": "transformer.drop"}.get(name, asc.EMBEDDINGS)  # where positions are in
    found = asc.attribute(model, input_ids=ids, of=of, at=where, by=asc.CpLrp())
    torch.testing.assert_close(found.values.sum((1, 2)), torch.as_tensor(found.explained), rtol=1e-3, atol=1e-6)
    assert next(c for c in found.checks if c.name == "rule").status == "ok"
