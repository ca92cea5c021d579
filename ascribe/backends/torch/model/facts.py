"""Facts learnt about a model, kept as long as the model lives and not in it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.parameter import is_lazy

from ...facts import ShapeFacts, WeightFacts
from .dependencies import DependencyScan, DependencySnapshot, written
from .modules import Parts
from .state import State

MOST = 256  # signatures kept for one model: texts come in many lengths, and a fact that is gone is only learnt again
LARGE = 1 << 26
"""Bytes of weights up to which they are copied at the first call, in case the model writes to them."""
STATES = 16  # states of a model in which it is known again


@dataclass
class Known:
    """The facts about calls of one signature; ``numbers`` and ``seen`` are the weights that the facts in ``weights`` hold for."""

    shapes: ShapeFacts = field(default_factory=ShapeFacts)
    weights: WeightFacts = field(default_factory=WeightFacts)
    numbers: tuple[Any, ...] | None = None
    seen: DependencySnapshot = field(default_factory=lambda: DependencySnapshot(()))


def weight_facts(known: Known, parts: Parts, state: State | None, sight: DependencyScan) -> WeightFacts:
    """The facts that hold for the present weights: those of other weights are forgotten."""
    weights = [*parts.parameters, *(state.buffers if state is not None else ()), *sight.tensors]
    numbers = written(weights)
    if numbers != known.numbers or not known.seen.same(weights):
        known.numbers, known.seen, known.weights = numbers, DependencySnapshot(weights), WeightFacts()
    return known.weights


class ModelFacts:
    """Facts about one model, by the state of all it can see and the signature of the call."""

    def __init__(self) -> None:
        self.signatures: dict[Hashable, Known] = {}
        self.states: dict[Hashable, tuple[int, DependencySnapshot]] = {}
        self.writes: dict[int, tuple[int, ...]] = {}
        self.numbers = count()

    def state(self, sight: DependencyScan) -> int:
        """The number of a state; a new one unless everything is as it was then."""
        if sight.waiting:  # more than can be looked at: whether it is the same is not known
            return next(self.numbers)
        key = tuple(sight.tokens)
        try:
            known = self.states.get(key)
        except TypeError:  # something that cannot be hashed: never known again
            return next(self.numbers)
        if known is None or not known[1].same(sight.objects):
            while len(self.states) >= STATES:
                self.states.pop(next(iter(self.states)), None)
            known = self.states[key] = next(self.numbers), DependencySnapshot(sight.objects)
        return known[0]

    def may_write(self, state: int, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The weights that a model in a state may write to: those it was seen to, or else all, where they are not too large to copy."""
        known = self.writes.get(state)
        if known is not None:
            return [weights[i] for i in known if i < len(weights)]
        return [] if sum([w.nbytes for w in weights if not is_lazy(w)]) > LARGE else [w for w in weights if not is_lazy(w)]

    def wrote(self, state: int, weights: Sequence[torch.Tensor], touched: set[int]) -> None:
        """Remember the weights that a model has written to."""
        if state not in self.writes or touched:
            while len(self.writes) > MOST:
                self.writes.pop(next(iter(self.writes)), None)
            self.writes[state] = tuple(i for i, w in enumerate(weights) if id(w) in touched)

    def of(self, signature: Hashable) -> Known:
        """The facts about calls of a signature; the oldest signature goes when there are too many."""
        while len(self.signatures) > MOST:
            self.signatures.pop(next(iter(self.signatures)), None)
        return self.signatures.get(signature) or self.signatures.setdefault(signature, Known())


KNOWN: WeakKeyDictionary[Any, ModelFacts] = WeakKeyDictionary()


def load_model_facts(model: Any) -> ModelFacts:
    """The memory of a model; a fresh one for what cannot be kept track of."""
    try:
        return KNOWN.get(model) or KNOWN.setdefault(model, ModelFacts())
    except TypeError:
        return ModelFacts()
