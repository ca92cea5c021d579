"""Any family of ``transformers`` in small: its own default configuration with the sizes turned down."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

WIDE, HEADS, WORDS, LAYERS, LAST = 32, 4, 72, 2, 1
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "n_embed", "embedding_size", "emb_dim", "embed_dim",
                     "d_embed", "word_embed_proj_dim", "hidden_dim", "lru_width", "attention_hidden_size",
                     "embedding_dim", "true_hidden_size", "pooler_hidden_size"), WIDE),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
                     "num_encoder_layers", "num_decoder_layers", "num_hidden_groups", "num_blocks"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads",
                     "decoder_attention_heads", "num_encoder_attention_heads", "num_decoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "n_kv_heads", "num_kv_heads", "kv_n_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim",
                     "ffn_hidden_size", "d_inner", "d_hidden", "moe_d_ff", "dense_intermediate_size"), 2 * WIDE),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size",
                     "moe_shared_expert_intermediate_size", "shared_intermediate_size", "moe_ffn_hidden_size"), WIDE),
    **dict.fromkeys(("head_dim", "d_head", "attention_head_size", "d_kv", "qk_rope_head_dim", "qk_nope_head_dim",
                     "v_head_dim", "kv_lora_rank", "q_lora_rank", "attention_head_dim", "kv_channels", "global_head_dim",
                     "mamba_d_head", "mamba_head_dim", "linear_key_head_dim", "linear_value_head_dim",
                     "swa_head_dim", "index_head_dim", "rotary_dim"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"), 1),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("state_size", "ssm_state_size", "mamba_d_state", "mamba_d_conv", "conv_kernel", "time_step_rank",
                     "d_state"), 4),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_n_groups", "n_groups"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "seq_length", "n_ctx", "max_seq_len",
                     "max_sequence_length", "max_encoder_position_embeddings", "max_decoder_position_embeddings"), 64),
    **dict.fromkeys(("pad_token_id", "decoder_start_token_id", "sep_token_id"), 0),
    **dict.fromkeys(("bos_token_id", "eos_token_id"), LAST),
    **dict.fromkeys(("vocab_size", "n_vocab", "n_words", "vocab_size_per_layer_input"), WORDS),
    **dict.fromkeys(("hidden_size_per_layer_input", "axial_pos_embds_dim"), 8),
    **dict.fromkeys(("dropout", "attention_dropout", "hidden_dropout", "attention_probs_dropout_prob",
                     "hidden_dropout_prob", "layerdrop", "classifier_dropout", "classifier_dropout_prob"), 0.0),
}  # fmt: skip
"""What sizes are called, and what they are here."""

LISTS = ("layer_types", "attention_types", "mlp_layer_types", "layers_block_type", "block_types", "no_rope_layers",
         "layer_type", "moe_layers_enum", "hybrid_override_pattern", "layers_type")  # fmt: skip
"""Something for every layer: as many as there are layers, of as many kinds as fit."""


@dataclass(frozen=True)
class Family:
    """A kind of model in a role: causal language model, or sequence classifier."""

    kind: str
    role: str

    def __str__(self) -> str:
        return f"{self.kind} {self.role}"


def families() -> Iterator[Family]:
    """Every family that ``transformers`` has in either role."""
    from transformers.models.auto import modeling_auto as auto

    for role, known in (("lm", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES), ("cls", auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)):
        yield from (Family(kind, role) for kind in sorted(known))


def shrunk(value: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a configuration, turned down."""
    found = {key: SIZES[key] for key, old in value.items() if key in SIZES and not isinstance(old, (list, dict))}
    for key in LISTS:
        if isinstance(value.get(key), (list, tuple)) and value[key] and isinstance(value[key][0], (str, int)):
            kinds = list(dict.fromkeys(value[key]))
            found[key] = [kinds[i % len(kinds)] for i in range(LAYERS)]
    return found


VARIANTS: tuple[dict[str, Any], ...] = ({}, {"num_key_value_heads": HEADS}, {"head_dim": 16}, {"layer_types": ["full_attention"] * LAYERS})
"""What is tried where the sizes do not fit each other: no grouped heads, wider ones, layers of one kind."""


def config_of(family: Family, other: Mapping[str, Any]) -> Any:
    """A small configuration of a family."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[family.kind]
    plain = made().to_dict()
    wanted = {**shrunk(plain), **{key: value for key, value in other.items() if key in plain}}
    for key, value in plain.items():
        if isinstance(value, dict) and key.endswith("text_config"):
            wanted[key] = {**value, **shrunk(value)}
    config = made(**wanted)
    config._attn_implementation = "eager"
    if family.role == "cls":
        config.num_labels = 3
    config.use_cache = False
    return config


def words(records: int = 1) -> torch.Tensor:
    """Nine words, the last of which ends the text."""
    ids = torch.randint(2, 60, (records, 9), generator=torch.Generator().manual_seed(1))
    ids[:, -1] = LAST
    return ids


def model_of(family: Family) -> nn.Module:
    """A small model of a family that runs, randomly weighted, in evaluation mode. Raises what the first attempt raised."""
    first: Exception | None = None
    for other in VARIANTS:
        try:
            model = attempt(family, other)
            with torch.no_grad():
                model(input_ids=words())
            return model
        except TimeoutError:
            raise
        except Exception as wrong:
            first = first or wrong
    assert first is not None
    raise first


def attempt(family: Family, other: Mapping[str, Any], largest: int = 20_000_000) -> nn.Module:
    """One model. Raises ValueError for one that stays too large."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForCausalLM if family.role == "lm" else AutoModelForSequenceClassification
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = config_of(family, other)
        with torch.device("meta"):
            size = sum(p.numel() for p in kind.from_config(config).parameters())
        if size > largest:
            raise ValueError(f"{size} parameters in its smallest form")
        torch.manual_seed(0)
        model: nn.Module = kind.from_config(config).eval()
    return model


def scaled_up(model: nn.Module, deviation: float = 0.15) -> nn.Module:
    """Matrices as random as that, so that what is not linear shows; vectors as they are."""
    draw = torch.Generator().manual_seed(3)
    for p in model.parameters():
        if p.dim() > 1:
            p.data.copy_(torch.randn(p.shape, generator=draw) * deviation)
    return model


def unbiased(model: nn.Module) -> nn.Module:
    """Nothing added that does not come from the words: no biases, no positions, no types."""
    words = model.get_input_embeddings()  # type: ignore[operator]
    for key, p in model.named_parameters():
        if key.endswith("bias") or key.endswith("_b"):
            p.data.zero_()
    for module in model.modules():
        if "Embedding" in type(module).__name__ and getattr(module, "weight", words.weight) is not words.weight:
            module.weight.data.zero_()  # type: ignore[operator, union-attr]
    for module in model.modules():
        for name in ("weights", "pos_encoding"):  # positions that are computed, not learnt
            if isinstance(getattr(module, name, None), torch.Tensor) and ("Position" in type(module).__name__ or name == "pos_encoding"):
                getattr(module, name).zero_()
    return model
