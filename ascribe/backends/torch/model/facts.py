"""What was learnt about a model, kept as long as the model lives and not in it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.parameter import is_lazy

from ....cuts import Cut
from ..run.hooks import Demand
from .dependencies import Seen, Sight, written

MOST = 256  # signatures kept for one model: texts come in many lengths, and a fact that is gone is only learnt again
LARGE = 1 << 26
"""Bytes of weights up to which they are copied at the first call, in case the model writes to them."""
STATES = 16  # states of a model in which it is known again
SHAPES = frozenset({"axes", "shapes", "place", "places", "beginning", "chunk", "fits", "seen", "cloned", "graph", "draws"})
"""Facts that do not depend on the numbers in the weights, or that only cost time where they are out of date."""


class Facts:
    """What is known of calls of one signature: chunk sizes, ways to run, axes, how often layers run.

    What a branch in the model could make wrong is forgotten when a weight was written to.
    """

    def __init__(self) -> None:
        self.shapes: dict[Hashable, Any] = {}
        self.ways: dict[Hashable, Any] = {}
        self.numbers: tuple[Any, ...] | None = None
        self.weights = Seen(())

    def under(self, weights: Sequence[torch.Tensor]) -> Facts:
        """These facts, without those learnt from other weights."""
        numbers = written(weights)
        if numbers != self.numbers or not self.weights.same(list(weights)):
            self.numbers, self.weights, self.ways = numbers, Seen(weights), {}
        return self

    def counts(self, demands: Sequence[Demand], stopped: bool) -> None:
        """Remember how often each layer ran, once a run has gone to its end; one that varies is never counted on again."""
        if not stopped:
            for demand in demands:
                if demand.cut.layer:
                    place, last = ("last", demand.cut.layer, demand.cut.anchor), demand.fired - 1
                    self.ways[place] = last if self.ways.get(place, last) == last else None  # it varies: never stop there

    def last(self, cut: Cut) -> int | None:
        """The number of a layer's last use in such a call, if it has been seen."""
        found: int | None = self.ways.get(("last", cut.layer, cut.anchor))
        return found


class Memory:
    """Facts about one model, by the state of all it can see and the signature of the call."""

    def __init__(self) -> None:
        self.signatures: dict[Hashable, Facts] = {}
        self.states: dict[Hashable, tuple[int, Seen]] = {}
        self.writes: dict[int, tuple[int, ...]] = {}
        self.numbers = count()

    def state(self, sight: Sight) -> int:
        """The number of a state; a new one unless everything is as it was then."""
        if sight.waiting:  # more than can be looked at: nobody knows whether it is the same
            return next(self.numbers)
        key = tuple(sight.tokens)
        try:
            known = self.states.get(key)
        except TypeError:  # something that cannot be hashed: never known again
            return next(self.numbers)
        if known is None or not known[1].same(sight.objects):
            while len(self.states) >= STATES:
                self.states.pop(next(iter(self.states)), None)
            known = self.states[key] = next(self.numbers), Seen(sight.objects)
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

    def of(self, signature: Hashable) -> Facts:
        """The facts about calls of a signature; the oldest signature goes when there are too many."""
        while len(self.signatures) > MOST:
            self.signatures.pop(next(iter(self.signatures)), None)
        return self.signatures.get(signature) or self.signatures.setdefault(signature, Facts())


KNOWN: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


def memory_of(model: Any) -> Memory:
    """The memory of a model; a fresh one for what cannot be kept track of."""
    try:
        return KNOWN.get(model) or KNOWN.setdefault(model, Memory())
    except TypeError:
        return Memory()
