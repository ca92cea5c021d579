"""Run by itself: relevance as lxt has it, which patches the process it runs in. `lxt_peer.py FAMILY FILE` writes it as safetensors."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch
import transformers.pytorch_utils
from safetensors.torch import save_file

MISSING = ("find_pruneable_heads_and_indices", "prune_linear_layer", "apply_chunking_to_forward")
PICTURES = ("torchvision", "torchvision.models", "torchvision.models.vision_transformer")


class Registry(dict[str, Any]):
    """The patched table of attention functions, with the one method that newer releases ask it for."""

    def get_interface(self, name: str, default: Any) -> Any:
        return self.get(name, default)


def built(family: str) -> torch.nn.Module:
    """The model, the same in this process and in the one that compares."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    config = getattr(transformers, f"{family}Config")(vocab_size=50, **sizes, **({"head_dim": 8} if family == "Qwen3" else {}))
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    model: torch.nn.Module = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for p in model.parameters():
        p.requires_grad_(False)
        if p.dim() > 1:
            p.normal_(std=0.25)
    return model


def patched(family: str) -> ModuleType:
    """The family's module under lxt's own patch; what it imports for other families need not be there."""
    for name in MISSING:
        setattr(transformers.pytorch_utils, name, getattr(transformers.pytorch_utils, name, None))
    module = importlib.import_module(f"transformers.models.{family.lower()}.modeling_{family.lower()}")
    built(family)  # before there seems to be a torchvision
    sys.modules.update({name: MagicMock() for name in PICTURES})
    importlib.import_module("lxt.efficient").monkey_patch(module, verbose=False)
    module.ALL_ATTENTION_FUNCTIONS = Registry(module.ALL_ATTENTION_FUNCTIONS)  # type: ignore[attr-defined]
    return module


def main(family: str, file: str) -> None:
    patched(family)
    model = built(family)
    words = model.get_input_embeddings()(torch.arange(1, 10)[None]).requires_grad_()  # type: ignore[operator]
    model(inputs_embeds=words, use_cache=False).logits[0, -1, 5].backward()
    save_file({"relevance": words.grad * words.detach()}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
