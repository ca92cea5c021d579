"""Stand-ins for tokens: a mask token, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import namespace
from ..errors import FeatureError
from ..values import Value
from .base import Fixed, Removing, StandIn


@dataclass(frozen=True, repr=False)
class MaskToken(Value):
    """A token id, such as the tokenizer's ``mask_token_id``, in the place of removed ids; those in ``keep`` are never removed.

    One model row for each coalition.
    """

    token: int
    keep: tuple[int, ...] = ()

    def stand_in(self, scene: Removing) -> StandIn:
        found = []
        for x in scene.values:
            xp = namespace(x)
            if xp.is_floating(x):
                each = "by={'numbers': asc.Replace(0.0), 'ids': asc.MaskToken(id)}"
                try_ = f"asc.Replace(...), at= the token ids, or a removal for each input: {each}"
                raise FeatureError(f"{self!r} for floating numbers", try_=try_, code="E-FEATURES-TYPE")
            ids = xp.numpy(x)
            found.append(xp.asarray(np.where(np.isin(ids, self.keep), ids, self.token).astype(ids.dtype), x)[None])
        return Fixed(found)


@dataclass(frozen=True, repr=False)
class Drop(Value):
    """Nothing: the model no longer attends to the removed tokens. Their place in the argument ``mask`` becomes 0.

    Positions stay as they were. Needs the mask among the arguments, by its name or its position; one model row for each coalition.
    """

    mask: str | int = "attention_mask"

    def stand_in(self, scene: Removing) -> StandIn:
        return Fixed([namespace(x).zeros_like(x[:1])[None] for x in scene.values])
