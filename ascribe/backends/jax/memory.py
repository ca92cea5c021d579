"""What is remembered of models from call to call, by their definition: rebuilt models and other weights find it again."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import jax

from ..facts import Facts, ShapeFacts, WeightFacts
from .models import Model

LARGEST = 64
LOCK = threading.Lock()


class Memory:
    """The facts of one definition in calls of one signature; those about weights for as long as the weights are the same arrays."""

    def __init__(self) -> None:
        self.shapes = ShapeFacts()
        self.arrays: list[weakref.ref[Any]] = []
        self.weights = WeightFacts()

    def weights_of(self, arrays: list[Any]) -> WeightFacts:
        """Facts about weights: new ones unless they are the arrays of before. Arrays of NumPy may have changed since."""
        if not all(isinstance(a, jax.Array) for a in arrays):
            return WeightFacts()
        with LOCK:
            if len(arrays) != len(self.arrays) or not all(ref() is a for ref, a in zip(self.arrays, arrays, strict=True)):
                self.arrays, self.weights = [weakref.ref(a) for a in arrays], WeightFacts()
            return self.weights


KNOWN: OrderedDict[Hashable, Memory] = OrderedDict()


def facts_of(model: Model, signature: Hashable) -> Facts:
    """The facts of a model in calls of a signature; fresh ones for a function, because what it closes over may have changed."""
    if model.definition is None:
        return Facts()
    key = (model.definition, signature)
    with LOCK:
        memory = KNOWN.setdefault(key, Memory())
        KNOWN.move_to_end(key)
        while len(KNOWN) > LARGEST:
            KNOWN.popitem(last=False)
    return Facts(memory.shapes, lambda: memory.weights_of(model.arrays()))
