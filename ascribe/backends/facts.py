"""Facts learnt about a model in one call of it and used in later ones, one field per fact.

A fact of :class:`ShapeFacts` holds for every call with arguments of the same shapes. A fact of :class:`WeightFacts` is forgotten when
a weight of the model changes. Most facts belong to the engine; the last fields of each class are for backends that try out how to run a
model. A backend that remembers nothing gives every session fresh :class:`Facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..cuts import Cut

Shapes = list[tuple[int, ...]]


@dataclass
class ShapeFacts:
    """Facts that do not depend on the numbers in the weights, or that only cost time where they are out of date."""

    chunkers: dict[Hashable, Any] = field(default_factory=dict)
    """How many rows to run at once, by the kind of call: a ``Chunker`` of the engine."""
    fitting_records: dict[tuple[Cut, ...], int] = field(default_factory=dict)
    """How many records at once can be read at some cuts."""
    places: list[Any] | None = None
    """Every :class:`~ascribe.backends.protocol.Place` that the call passes."""
    examined: dict[Hashable, bool] = field(default_factory=dict)
    """The kinds of call whose records were run and checked in full."""

    record_axes: dict[Cut, tuple[Any, ...]] = field(default_factory=dict)
    """The axis of each array at a cut that runs over the records."""
    shapes: dict[Cut, dict[int, Shapes | None]] = field(default_factory=dict)
    """The shapes at a cut by the number of records; None for a number that the model does not run with."""
    symbolic_cuts: dict[Cut, Cut] = field(default_factory=dict)
    """The layer behind ``LOGITS`` or ``EMBEDDINGS``."""
    beginning: tuple[Cut | None] | None = None
    """The cut where everything begins, under rules that look at neighbouring operations; None in the tuple if there is none."""
    clones: dict[Hashable, bool] = field(default_factory=dict)
    """The cuts whose values the model changes in place, so that a copy has to go on."""
    differentiates: bool = False
    """True if the model takes gradients of its own as it runs."""
    draws: bool | None = None
    """True if the model draws from the random generators of the process."""


@dataclass
class WeightFacts:
    """Facts that other weights may make wrong."""

    independent: bool | None = None
    """True if records can be run apart from each other with the same results."""
    repeatable: bool = False
    """True if the model was seen to give the same answer to the same input."""
    writable: dict[Hashable, bool] = field(default_factory=dict)
    """The cuts at which writing the value that is there changes nothing."""
    quantities_independent: dict[Hashable, bool] = field(default_factory=dict)
    """True if a quantity that the user wrote reads each row apart from the others."""

    ways: dict[Hashable, str] = field(default_factory=dict)
    """How several points are run together, by the kind of job."""
    channels_last: dict[Hashable, bool] = field(default_factory=dict)
    """True if images with their channels last in memory are faster, by the kind of job."""
    turns: dict[Hashable, bool] = field(default_factory=dict)
    """True if multipliers may be taken from the side of the references, by the kind of job."""
    last_uses: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """The number of the last use of a layer; None if it varies."""


class Facts:
    """The facts that one session reads and adds to.

    ``call`` holds what was learnt from the records of this call and may not hold for other records. ``doubted`` is True once rows that
    were run together gave other numbers than rows run apart.
    """

    def __init__(self, shapes: ShapeFacts | None = None, weights: Callable[[], WeightFacts] = WeightFacts) -> None:
        self.call, self.doubted = WeightFacts(), False
        self.load(ShapeFacts() if shapes is None else shapes, weights)

    def load(self, shapes: ShapeFacts, weights: Callable[[], WeightFacts]) -> None:
        """Use the facts of another kind of call; ``weights`` is called when one of its facts is first read."""
        self.shapes, self.weights_of = shapes, weights
        vars(self).pop("weights", None)

    @cached_property
    def weights(self) -> WeightFacts:
        """The facts that hold as long as no weight changes."""
        return self.weights_of()
