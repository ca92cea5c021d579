"""What is remembered of TensorFlow models from call to call, for as long as they exist."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..facts import Facts, ShapeFacts, WeightFacts

LARGEST = 1 << 24
"""Bytes of the variables up to which their numbers are compared with those of before; facts about larger ones are found out again."""
LOCK = threading.Lock()


class Memory:
    """The facts of one model in calls of one signature; those about weights for as long as the variables have the same numbers."""

    def __init__(self) -> None:
        self.shapes, self.weights, self.digest = ShapeFacts(), WeightFacts(), b""

    def weights_of(self, variables: Sequence[Any]) -> WeightFacts:
        """Facts about weights: new ones unless the numbers are those of before."""
        digest = digest_of(variables)
        if digest is None:
            return WeightFacts()
        with LOCK:
            if digest != self.digest:
                self.digest, self.weights = digest, WeightFacts()
            return self.weights


KNOWN: weakref.WeakKeyDictionary[Any, dict[Hashable, Memory]] = weakref.WeakKeyDictionary()


def digest_of(variables: Sequence[Any]) -> bytes | None:
    """A digest of the numbers of variables; None for many."""
    if sum(int(np.prod(v.shape)) * v.dtype.size for v in variables) > LARGEST:
        return None
    found = hashlib.blake2b(digest_size=16)
    for variable in variables:
        found.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return found.digest()


def facts_of(model: Any, variables: Sequence[Any], signature: Hashable) -> Facts:
    """The facts of a model in calls of a signature; fresh ones for what cannot be a key, and for functions, which may have changed."""
    if not variables:
        return Facts()
    try:
        with LOCK:
            memory = KNOWN.setdefault(model, {}).setdefault(signature, Memory())
    except TypeError:
        return Facts()
    return Facts(memory.shapes, lambda: memory.weights_of(variables))
