"""What was learnt about a model, kept as long as the model lives and not in it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from ...cuts import Cut
from .taps import Demand

MOST = 256  # signatures kept for one model: texts come in many lengths, and a fact that is gone is only learnt again


class Facts:
    """What is known of calls of one signature: chunk sizes, ways to run, axes, how often layers run."""

    def __init__(self) -> None:
        self.known: dict[Hashable, Any] = {}

    def counts(self, demands: Sequence[Demand], stopped: bool) -> None:
        """Remember how often each layer ran, once a run has gone to its end; one that varies is never counted on again."""
        if not stopped:
            for demand in demands:
                if demand.cut.layer:
                    place, last = ("last", demand.cut.layer, demand.cut.anchor), demand.fired - 1
                    self.known[place] = last if self.known.get(place, last) == last else None  # it varies: never stop there

    def last(self, cut: Cut) -> int | None:
        """The number of a layer's last use in such a call, if it has been seen."""
        found: int | None = self.known.get(("last", cut.layer, cut.anchor))
        return found


class Memory:
    """Facts about one model, by the signature of the call."""

    def __init__(self) -> None:
        self.signatures: dict[Hashable, Facts] = {}

    def of(self, signature: Hashable) -> Facts:
        """The facts about calls of a signature; the oldest signature goes when there are too many."""
        while len(self.signatures) > MOST:
            self.signatures.pop(next(iter(self.signatures)), None)
        return self.signatures.setdefault(signature, Facts())


KNOWN: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


def memory_of(model: Any) -> Memory:
    """The memory of a model; a fresh one for what cannot be kept track of."""
    try:
        return KNOWN.setdefault(model, Memory())
    except TypeError:
        return Memory()
