"""Stand-ins for tokens: a mask token, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import namespace
from ..errors import FeatureError
from ..values import Value
from .base import FixedReplacement, RemovalContext, Replacement


@dataclass(frozen=True, repr=False)
class MaskToken(Value):
    """A token id, such as the tokenizer's ``mask_token_id``, in the place of removed ids; those in ``keep`` are never removed.

    One model row for each coalition.
    """

    token: int
    keep: tuple[int, ...] = ()

    def replacement_for(self, context: RemovalContext) -> Replacement:
        found = []
        for x in context.values:
            xp = namespace(x)
            if xp.is_floating(x):
                each = "by={'numbers': asc.Replace(0.0), 'ids': asc.MaskToken(id)}"
                try_ = f"asc.Replace(...), at= the token ids, or a removal for each input: {each}"
                raise FeatureError(f"{self!r} for floating numbers", try_=try_, code="E-FEATURES-TYPE")
            ids = xp.numpy(x)
            found.append(xp.asarray(np.where(np.isin(ids, self.keep), ids, self.token).astype(ids.dtype), x)[None])
        return FixedReplacement(found)


@dataclass(frozen=True, repr=False)
class Drop(Value):
    """Nothing: the model no longer attends to the removed tokens. Their place in the argument ``mask`` becomes 0.

    Tokens with ids in ``keep`` are never removed: a model that has nothing left to attend to, or to take the mean of, gives NaN, so that
    separators and the like should stay, ``keep=tokenizer.all_special_ids``. Positions stay as they were. Needs the mask among the
    arguments, by its name or its position; one model row for each coalition.
    """

    mask: str | int = "attention_mask"
    keep: tuple[int, ...] = ()

    def replacement_for(self, context: RemovalContext) -> Replacement:
        found = []
        for x, ids in zip(context.values, context.ids or context.values, strict=True):
            xp = namespace(x)
            stays = np.isin(xp.numpy(ids), self.keep) if np.size(self.keep) and context.ids else None
            found.append((xp.zeros_like(x[:1]) if stays is None else x * xp.asarray(stays.astype(np.int8), x).reshape(x.shape))[None])
        return FixedReplacement([xp.cast(f, x) for f, x in zip(found, context.values, strict=True)])
