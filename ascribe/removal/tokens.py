"""Removal of tokens: replace them with a mask token, or hide them from attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import namespace
from ..errors import FeatureError
from ..values import Value
from .base import FixedReplacement, RemovalContext, Replacement


@dataclass(frozen=True, repr=False)
class MaskToken(Value):
    """Replaces removed token ids with one id, such as the tokenizer's ``mask_token_id``.

    *Use it when* the model was trained with a mask token, such as BERT. Ids in ``keep`` are never replaced. Cost: one model row for each
    coalition.

    Raises FeatureError for floating-point values: the input must be token ids.
    """

    token: int
    keep: tuple[int, ...] = ()

    def replacement_for(self, context: RemovalContext) -> Replacement:
        arrays = []
        for x in context.values:
            xp = namespace(x)
            if xp.is_floating(x):
                per_input = "by={'numbers': asc.Replace(0.0), 'ids': asc.MaskToken(id)}"
                there = f"values of type {x.dtype}"
                advice = f"by=asc.Replace(0.0), at= the token ids, or a removal for each input: {per_input}"
                raise FeatureError(f"`{self!r}` replaces token ids only", found=there, advice=advice, code="E-FEATURES-TYPE")
            ids = xp.numpy(x)
            arrays.append(xp.asarray(np.where(np.isin(ids, self.keep), ids, self.token).astype(ids.dtype), x)[None])
        return FixedReplacement(arrays)


@dataclass(frozen=True, repr=False)
class Drop(Value):
    """Hides removed tokens from attention: their entry in the argument ``mask`` becomes 0.

    *Use it when* the model takes an attention mask and has no mask token. Token positions do not change.

    ``mask`` is the name or the position of the model's argument. Tokens with ids in ``keep`` are never removed. A model with no token
    left to attend to returns NaN, so keep the special tokens: ``keep=tokenizer.all_special_ids``. Cost: one model row for each coalition.

    Raises FeatureError if the call has no such argument, or if it does not have one element for each token.
    """

    mask: str | int = "attention_mask"
    keep: tuple[int, ...] = ()

    def replacement_for(self, context: RemovalContext) -> Replacement:
        arrays = []
        for x, ids in zip(context.values, context.ids or context.values, strict=True):
            xp = namespace(x)
            stays = np.isin(xp.numpy(ids), self.keep) if np.size(self.keep) and context.ids else None
            arrays.append((xp.zeros_like(x[:1]) if stays is None else x * xp.asarray(stays.astype(np.int8), x).reshape(x.shape))[None])
        return FixedReplacement([xp.cast(a, x) for a, x in zip(arrays, context.values, strict=True)])
