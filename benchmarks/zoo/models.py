"""Small networks of all architectures, with random weights and the call that explains each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc

Tensor = torch.Tensor
KINDS = ("eager", "sdpa")


@dataclass(frozen=True)
class Subject:
    """A network and how it is explained. ``make`` gets the kind of attention; ``kinds`` are those that it knows.

    ``call`` gives the model's arguments, ``at`` is where it is explained and ``of`` what; ``reference`` is compared with there.
    """

    name: str
    make: Callable[[str], nn.Module]
    call: Callable[[torch.dtype], Mapping[str, Any]]
    of: Any = 1
    at: Any = asc.INPUT
    reference: float = 0.0
    kinds: tuple[str, ...] = ("eager",)

    def model(self, kind: str, dtype: torch.dtype) -> nn.Module:
        """The network in evaluation mode, its numbers the same every time and large enough that what is not linear shows."""
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            return randomised(self.make(kind).eval()).to(dtype)


def randomised(model: nn.Module) -> nn.Module:
    """Matrices that keep the size of what goes through them, embeddings of size one, biases and statistics unlike a fresh network's."""
    draw = torch.Generator().manual_seed(2)
    for module in model.modules():
        for key, p in module.named_parameters(recurse=False):
            if "bias" in key and p.dim() == 1:
                p.data.copy_(torch.randn(p.shape, generator=draw) * 0.2)
            elif p.dim() > 1:
                fan = 1 if isinstance(module, nn.Embedding) else p[0].numel()
                p.data.copy_(torch.randn(p.shape, generator=draw) * (1.4 if fan > 1 else 1.0) / fan**0.5)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=draw)
            module.running_var = torch.rand(module.num_features, generator=draw) + 0.5
            module.weight.data.fill_(1.0)  # EfficientNet begins near 0: what a record changes would be lost in rounding
    return model


POSITIONS = ("position_embedding", "cls_token", "distillation_token", "absolute_position", "mask_token", "pos_emb")


def unbiased(model: nn.Module) -> nn.Module:
    """The same with nothing added that does not come from the record: biases, positions, types, means of batch norms."""
    words = embeddings(model)
    for key, p in model.named_parameters():
        if "bias" in key.rsplit(".", 1)[-1] or any(word in key for word in POSITIONS):
            p.data.zero_()
    for module in model.modules():
        if words is not None and isinstance(module, nn.Embedding) and module.weight is not words.weight:
            module.weight.data.zero_()
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()  # type: ignore[union-attr, operator]
    return model


def embeddings(model: nn.Module) -> nn.Embedding | None:
    """Where a model of ``transformers`` looks its words up, if it does."""
    try:
        found = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, nn.Embedding) else None


# ---- language

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WORDS = {**SMALL, "vocab_size": 50}
GROUPED = {**WORDS, "num_key_value_heads": 2}
RELATIVE_PROPAGATION = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
CLASSES = {"num_labels": 3}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}
TEXTS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "BERT": ("Bert", "ForSequenceClassification", {**WORDS, **CLASSES}, True),
    "DistilBERT": ("DistilBert", "ForSequenceClassification",
                   {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 50, **CLASSES}, True),
    "RoBERTa": ("Roberta", "ForSequenceClassification", {**WORDS, **CLASSES}, True),
    "DeBERTa": ("Deberta", "ForSequenceClassification", {**WORDS, **RELATIVE_PROPAGATION, "max_relative_positions": 16, **CLASSES}, False),
    "DeBERTa v2": ("DebertaV2", "ForSequenceClassification", {**WORDS, **RELATIVE_PROPAGATION, **CLASSES}, False),
    "GPT-2": ("GPT2", "LMHeadModel", GPT, True),
    "Llama": ("Llama", "ForCausalLM", GROUPED, True),
    "Qwen3": ("Qwen3", "ForCausalLM", {**GROUPED, "head_dim": 8}, True),
    "Gemma": ("Gemma", "ForCausalLM", {**GROUPED, "head_dim": 8}, True),
    "Mistral": ("Mistral", "ForCausalLM", {**GROUPED, "sliding_window": 4}, True),
    "Mixtral": ("Mixtral", "ForCausalLM", {**GROUPED, "num_local_experts": 4}, True),
    "Mamba": ("Mamba", "ForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4}, False),
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 2, 1], **CLASSES}
PATCHES = {**SMALL, "image_size": 32, "patch_size": 8, **CLASSES}
IMAGES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "ResNet": ("ResNet", {**STAGES, "embedding_size": 8}, False),
    "RegNet": ("RegNet", {**STAGES, "embedding_size": 8, "groups_width": 4}, False),
    "ConvNeXt": ("ConvNext", {**STAGES, "layer_scale_init_value": 1.0}, False),
    "EfficientNet": ("EfficientNet", {"in_channels": [32, 16], "out_channels": [16, 24], "kernel_sizes": [3, 5], "strides": [1, 2],
                                      "num_block_repeats": [1, 2], "expand_ratios": [1, 6], "depthwise_padding": [],
                                      "width_coefficient": 0.5, "depth_coefficient": 1.0, "hidden_dim": 640, "image_size": 32,
                                      **CLASSES}, False),
    "MobileNetV2": ("MobileNetV2", {"depth_multiplier": 0.25, "min_depth": 4, "image_size": 32, **CLASSES}, False),
    "ViT": ("ViT", PATCHES, True),
    "DeiT": ("DeiT", PATCHES, True),
    "Swin": ("Swin", {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4, "image_size": 32, "patch_size": 2,
                      **CLASSES}, True),
}  # fmt: skip


def built(name: str, head: str, options: Mapping[str, Any], kind: str) -> nn.Module:
    """A model of ``transformers`` from its configuration."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**options)
    config._attn_implementation = kind
    config._experts_implementation = "eager"  # the fused one knows no double precision
    model: nn.Module = getattr(transformers, f"{name}{head}")(config)
    return model


def sentences(padded: bool) -> Callable[[torch.dtype], Mapping[str, Any]]:
    def call(dtype: torch.dtype) -> Mapping[str, Any]:
        ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))
        mask = torch.ones_like(ids)
        if padded:
            mask[1, 6:] = 0
        return {"input_ids": ids, "attention_mask": mask}

    return call


def pictures(dtype: torch.dtype) -> Mapping[str, Any]:
    return {"pixel_values": torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)}


def translation(dtype: torch.dtype) -> Mapping[str, Any]:
    draw = torch.Generator().manual_seed(1)
    return {"inputs_embeds": torch.randn(3, 9, 32, generator=draw).to(dtype),
            "decoder_inputs_embeds": torch.randn(3, 5, 32, generator=draw).to(dtype)}  # fmt: skip


def language() -> Iterator[Subject]:
    for name, (family, head, options, fused) in TEXTS.items():
        classes = "Sequence" in head
        yield Subject(
            name,
            lambda kind, f=family, h=head, o=options: built(f, h, o, kind),  # type: ignore[misc]
            sentences(classes),
            asc.Unit(1) if classes else asc.Unit(8, 1),
            asc.EMBEDDINGS,
            kinds=KINDS if fused else KINDS[:1],
        )
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 50}
    yield Subject("T5", lambda kind: built("T5", "ForConditionalGeneration", sizes, kind), translation, asc.Unit(4, 1), kinds=KINDS)


def vision() -> Iterator[Subject]:
    for name, (family, options, fused) in IMAGES.items():
        yield Subject(
            name,
            lambda kind, f=family, o=options: built(f, "ForImageClassification", o, kind),  # type: ignore[misc]
            pictures,
            kinds=KINDS if fused else KINDS[:1],
        )


# ---- by hand


class Dense(nn.Module):
    """Every step reads all previous steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 3, padding=1) for i in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3 + 4 * i) for i in range(3))
        self.head = nn.Linear(15, 3)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.steps, self.norms, strict=True):
            x = torch.cat([x, conv(norm(x).relu())], 1)
        return self.head(F.avg_pool2d(x, 2).mean((2, 3)))


class Recurrent(nn.Module):
    """Words, a recurrent net in both directions, the mean over steps; packed by length or not."""

    def __init__(self, kind: type[nn.RNNBase], packed: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.cells = kind(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 3)
        self.packed = packed

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        if self.packed:
            lengths = torch.tensor([9, 6, 3][: len(x)])
            packed = self.cells(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[0]
            return self.head(nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=9)[0].mean(1))
        return self.head(self.cells(x)[0].mean(1))


class Functional(nn.Module):
    """No module but for its parameters: functions, operators, in-place work."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.empty(6, 3, 3, 3)), nn.Parameter(torch.empty(8, 96))
        self.c = nn.Parameter(torch.empty(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(torch.relu_(F.conv2d(x, self.a, padding=1)), 3, 2, 1)
        h = F.adaptive_avg_pool2d(h, 4).flatten(1) @ self.b.t()
        h = h * torch.sigmoid(h) + F.normalize(h, dim=1)
        return h @ self.c.t()


class Reused(nn.Module):
    """One ReLU for all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.first, self.second, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.second(self.pool(self.act(self.first(x))))))
        return self.head(self.act(x).mean((2, 3)))


class Skips(nn.Module):
    """An encoder and a decoder with skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(8, 6, 2, 2), nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = F.gelu(self.down(x))
        h = F.gelu(self.up(F.gelu(self.deep(F.max_pool2d(kept, 2)))))
        return self.last(torch.cat([h, kept], 1)).mean((2, 3))


def picture(dtype: torch.dtype) -> Mapping[str, Any]:
    return {"x": torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype)}


def ids(dtype: torch.dtype) -> Mapping[str, Any]:
    return {"ids": torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))}


def own() -> Iterator[Subject]:
    words = asc.Cut("words")
    yield Subject("DenseNet-like", lambda kind: Dense(), picture)
    yield Subject("LSTM classifier", lambda kind: Recurrent(nn.LSTM), ids, at=words)
    yield Subject("GRU classifier", lambda kind: Recurrent(nn.GRU), ids, at=words)
    yield Subject("LSTM, packed", lambda kind: Recurrent(nn.LSTM, True), ids, at=words)
    yield Subject("functions only", lambda kind: Functional(), picture)
    yield Subject("reused ReLU", lambda kind: Reused(), picture)
    yield Subject("U-Net-like", lambda kind: Skips(), picture)


@dataclass(frozen=True)
class Zoo:
    """All of them, by name."""

    subjects: dict[str, Subject] = field(default_factory=lambda: {s.name: s for s in (*own(), *vision(), *language())})
