"""What was learnt about a model, kept as long as the model lives and not in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from ...cuts import Cut
from .taps import Demand


@dataclass
class Memory:
    """Facts by what they are about and the signature of the call: chunk sizes, ways to run, axes, how often layers run."""

    facts: dict[Any, Any] = field(default_factory=dict)

    def counts(self, key: Any, demands: Sequence[Demand], stopped: bool) -> None:
        """Remember how often each layer ran, once a run has gone to its end."""
        if not stopped:
            for demand in demands:
                if demand.cut.layer:
                    self.facts["last", key, demand.cut.layer, demand.cut.anchor] = demand.fired - 1

    def last(self, key: Any, cut: Cut) -> int | None:
        """The number of a layer's last use in such a call, if it has been seen."""
        found: int | None = self.facts.get(("last", key, cut.layer, cut.anchor))
        return found


KNOWN: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()


def memory_of(model: Any) -> Memory:
    """The memory of a model; a fresh one for what cannot be kept track of."""
    try:
        return KNOWN.setdefault(model, Memory())
    except TypeError:
        return Memory()
