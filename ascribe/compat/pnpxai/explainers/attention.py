"""Explainers of vision transformers by their attention probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ....calls.call import Call
from ....errors import MethodError
from ....quantities import Labels
from ..core.types import Attention
from .base import Explainer, Extractor

Fusion = Literal["min", "max", "mean"]
SOFTMAX = (torch.softmax, functional.softmax, Tensor.softmax)


class AttentionRecorder(TorchFunctionMode):
    """Notes the attention probabilities of a run in the order in which they are computed: ``[records, heads, queries, keys]``.

    Fused attention is computed step by step, so that its probabilities exist, with the same result up to rounding.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self.attend(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            return self.multi_head(func, *args, **kwargs)
        out = func(*args, **kwargs)
        if func in SOFTMAX and out.ndim >= 3 and out.shape[-1] == out.shape[-2] > 1:
            return self.keep(out)
        return out

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        """Returns attention, and keeps its probabilities."""
        if enable_gqa:
            k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
        scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return self.keep(scores.softmax(-1)) @ v

    def multi_head(
        self, func: Any, query: Tensor, key: Tensor, value: Tensor, size: int, heads: int, weight: Any, bias: Any, *rest: Any, **more: Any
    ) -> Any:
        """Returns PyTorch's multi-head attention, and keeps its probabilities. Raises MethodError for settings that nobody uses."""
        names = ("bias_k", "bias_v", "add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias")
        given = {**dict(zip(names, rest, strict=False)), **more}
        if any(given.get(name) is not None and given.get(name) is not False for name in ("bias_k", "bias_v", "add_zero_attn", "static_k")):
            there = "attention with keys that belong to no token"
            raise MethodError("Attention with added keys cannot be rolled out", found=there, advice="asc.AttnLRP()")
        batched = query.ndim == 3
        parts = [t if batched else t[:, None] for t in (query, key, value)]
        own = [given.get(name) for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight")]
        weights = own if given.get("use_separate_proj_weight") else weight.chunk(3)
        biases = (None, None, None) if bias is None else bias.chunk(3)
        q, k, v = (
            functional.linear(t, w, b).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
            for t, w, b in zip(parts, weights, biases, strict=True)
        )  # [records, heads, tokens, numbers]
        mixed = self.attend(q, k, v, self.mask_of(given, q, k), is_causal=False).permute(2, 0, 1, 3).flatten(2)
        out = functional.linear(mixed, given["out_proj_weight"], given.get("out_proj_bias"))
        shown = self.found[-1].mean(1) if given.get("average_attn_weights", True) else self.found[-1]
        out, shown = (out, shown) if batched else (out[:, 0], shown[0])
        return out, shown if given.get("need_weights", True) else None

    def mask_of(self, given: dict[str, Any], q: Tensor, k: Tensor) -> Tensor | None:
        """Returns what is added to the scores of multi-head attention."""
        total: Tensor | None = None
        for name in ("attn_mask", "key_padding_mask"):
            mask = given.get(name)
            if mask is None:
                continue
            if mask.dtype == torch.bool:
                mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(mask, -torch.inf)
            if name == "key_padding_mask":
                mask = mask.reshape(-1, 1, 1, k.shape[-2])
            elif mask.ndim == 3:
                mask = mask.unflatten(0, (q.shape[0], q.shape[1]))
            total = mask if total is None else total + mask
        return total

    def keep(self, attention: Tensor) -> Tensor:
        """Notes probabilities, and has their gradient kept."""
        if attention.requires_grad:
            attention.retain_grad()
        self.found.append(attention)
        return attention


@contextmanager
def slow_attention() -> Iterator[None]:
    """PyTorch without its fused layers, which compute attention out of sight."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class AttentionRollout(Explainer):
    """The product of the attention of all layers, from the last to the first, with residual connections: a map of the image.

    ``head_fusion_method`` joins the heads; the share ``discard_ratio`` of the smallest probabilities is set to 0 (the class token is kept).
    The result does not depend on the class. Source: Abnar and Zuidema 2020.
    """

    SUPPORTED_MODULES = (Attention,)

    def __init__(
        self,
        model: nn.Module,
        interpolate_mode: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
        head_fusion_method: Fusion = "min",
        discard_ratio: float = 0.9,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(model, forward_arg_extractor, additional_forward_arg_extractor)
        self.interpolate_mode, self.head_fusion_method = interpolate_mode, head_fusion_method
        self.discard_ratio, self.n_classes = discard_ratio, n_classes

    def run(self, call: Call, of: Labels, explained: tuple[Tensor, ...]) -> Any:
        relevance = self.rollout(self.attentions(call, of, len(explained[0])))
        return self.as_map(relevance[:, 0], explained[0])

    def attentions(self, call: Call, of: Labels, records: int) -> list[Tensor]:
        """Returns what is rolled out for each layer: the joined probabilities, ``[records, tokens, tokens]``."""
        with torch.no_grad(), slow_attention(), AttentionRecorder() as recorder:
            self.model(*call.args, **call.kwargs)
        return [self.discard(self.join(a)) for a in self.of_images(recorder.found, records)]

    def of_images(self, found: list[Tensor], records: int) -> list[Tensor]:
        """Returns probabilities as ``[records, heads, tokens, tokens]``. Raises MethodError where a model has none."""
        kept = [a.reshape(records, -1, *a.shape[-2:]) for a in found if a.numel() % records == 0]
        size = kept[-1].shape[-1] if kept else 0
        if not kept:
            there = f"a {type(self.model).__name__} without a softmax of queries and keys"
            raise MethodError("The model has no attention to roll out", found=there, advice="asc.GradCam(), or asc.AttnLRP()")
        return [a for a in kept if a.shape[-1] == size]

    def join(self, attention: Tensor) -> Tensor:
        """Returns the heads joined."""
        how = self.head_fusion_method
        return attention.mean(1) if how == "mean" else attention.amax(1) if how == "max" else attention.amin(1)

    def discard(self, attention: Tensor) -> Tensor:
        """Returns probabilities with the smallest ones set to 0; the class token, at place 0, is kept."""
        flat = attention.flatten(1).clone()
        count = int(flat.shape[1] * self.discard_ratio)
        if count:
            smallest = flat.topk(count, dim=1, largest=False).indices
            first = flat[:, :1].clone()
            flat.scatter_(1, smallest, 0.0)
            flat[:, :1] = first
        return flat.view_as(attention)

    def rollout(self, layers: list[Tensor]) -> Tensor:
        """Returns the product of the layers, ``[records, tokens, tokens]``: A_L ... A_1, each with its residual connection."""
        result = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device).expand_as(layers[0])
        for attention in layers:
            whole = attention + torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
            result = (whole / whole.sum(-1, keepdim=True)) @ result
        return result

    def as_map(self, row: Tensor, images: Tensor) -> Tensor:
        """Returns the relevance of the tokens for the class token as a map of the image. Raises MethodError for other sequences."""
        height, width = images.shape[-2:]
        patches = row.shape[-1] - 1
        rows = round(math.sqrt(patches * height / width))
        if rows < 1 or patches % rows:
            there = f"{row.shape[-1]} tokens for images of {height} x {width}"
            raise MethodError("The tokens are no class token and a grid of patches", found=there, advice="asc.AttnLRP(), for any sequence")
        maps = row[:, 1:].reshape(len(row), 1, rows, patches // rows)
        corners = {} if self.interpolate_mode == "nearest" else {"align_corners": False}
        return functional.interpolate(maps, size=(height, width), mode=self.interpolate_mode, **corners)

    def get_tunables(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        return {
            "interpolate_mode": (list, {"choices": ["bilinear", "bicubic"]}),
            "head_fusion_method": (list, {"choices": ["min", "max", "mean"]}),
            "discard_ratio": (float, {"low": 0.0, "high": 0.95, "step": 0.05}),
        }


class TransformerAttribution(AttentionRollout):
    """Attention times its gradient for the class, positive parts, rolled out over the layers.

    The gradient is that of the class score. PnPXAI multiplies by relevance in place of the probabilities. Source: Chefer et al. 2021,
    "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers", arXiv:2103.15679, equation 5.
    """

    def __init__(
        self,
        model: nn.Module,
        interpolate_mode: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
        head_fusion_method: Fusion = "mean",
        discard_ratio: float = 0.9,
        alpha: float = 2.0,
        beta: float = 1.0,
        stabilizer: float = 1e-6,
        zennit_canonizers: Any = None,
        layer: Any = None,
        forward_arg_extractor: Extractor | None = None,
        additional_forward_arg_extractor: Extractor | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(
            model, interpolate_mode, head_fusion_method, discard_ratio, forward_arg_extractor, additional_forward_arg_extractor, n_classes
        )
        self.alpha, self.beta, self.stabilizer = alpha, beta, stabilizer

    def attentions(self, call: Call, of: Labels, records: int) -> list[Tensor]:
        with torch.enable_grad(), slow_attention(), AttentionRecorder() as recorder:
            args = tuple(a.detach().clone().requires_grad_() if a.is_floating_point() else a for a in call.args)
            output = self.model(*args, **call.kwargs)
            scores = getattr(output, "logits", output)
            chosen = scores.gather(1, torch.tensor(of.labels, device=scores.device)[:, None]).sum()
            kept = [a for a in recorder.found if a.requires_grad]
            self.of_images(kept, records)  # an error of ours for a model without attention
            grads = torch.autograd.grad(chosen, kept)
        weighted = [(a * g).clamp(min=0).detach() for a, g in zip(kept, grads, strict=True)]
        return [self.discard(self.join(a)) for a in self.of_images(weighted, records)]

    def rollout(self, layers: list[Tensor]) -> Tensor:
        result = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device).expand_as(layers[0])
        for attention in layers:
            result = result + attention @ result
        return result


class GenericAttention(TransformerAttribution):
    """Attention times its gradient, rolled out; PnPXAI does not implement it."""
