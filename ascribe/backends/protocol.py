"""The interface of a backend: everything that the engine uses of a framework.

A backend turns a model and one call of it into a :class:`Session`. The session has one primitive, :meth:`Session.evaluate`: run
the model on some records at some points, with values written and read at cuts, and the gradient of a quantity taken at cuts, under
a rule. Arrays cross this border in *canonical* form: ``[points, records, ...]``, wherever the framework's own layer keeps its
batch axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from ..arrays import Array, Namespace
from ..calls.call import Call, argument_name
from ..cuts import OUTPUT, Cut, each_of
from ..errors import MethodError
from ..rules import Rule
from ..rules.trace import RuleTrace
from ..tree import Path
from ..utils.ragged import Ragged
from .device import Device, Host
from .facts import Facts
from .sums import PathPoints, Totals

RecordAxis = int | Ragged | None
"""The axis of an array that runs over the records, which record each row belongs to, or None where it is the same for all."""


class ArrayAt(NamedTuple):
    """The position of one array at a cut."""

    cut: Cut
    call: int
    """The number of the use of the layer, from 0."""
    path: Path
    """Where the array is in the value at the cut."""
    axis: RecordAxis
    """The axis of the array that runs over the records."""


class Place(NamedTuple):
    """One line of :func:`ascribe.cuts_of`: a cut with the kind of layer and the shapes of its arrays."""

    cut: Cut
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    calls: int

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape, where the cut holds a single array."""
        return self.shapes[0] if len(self.shapes) == 1 else None


@dataclass
class Reading:
    """The value at a cut in a run: its arrays in canonical form, and the position of each."""

    spots: list[ArrayAt] = field(default_factory=list)
    arrays: list[Array] = field(default_factory=list)


Explain = Callable[[Any, np.ndarray], Sequence[Array]]
"""A function of the value at the quantity's cut and the record of each row: one number per row for each quantity.

The engine's are :class:`Quantities`. Other functions can only be called.
"""


class Quantities(Protocol):
    """The quantities of a call, bound to its records when they are first called.

    A backend that traces what it differentiates must not look at numbers there. It calls :meth:`bind` with the value of a plain run,
    compiles :meth:`apply` once for each key of :meth:`parts`, and gives the arrays as arguments: other labels need no other program.
    """

    def __call__(self, tree: Any, rows: np.ndarray) -> Sequence[Array]: ...

    def bind(self, tree: Any, rows: np.ndarray) -> None:
        """Fix everything that depends on the records, whose value is ``tree``."""

    def parts(self, rows: np.ndarray) -> tuple[Hashable, tuple[Any, ...]]:
        """A key, None where a user's function is among them, and everything that depends on the records of these rows."""

    def apply(self, arrays: Sequence[Any], tree: Any) -> Sequence[Array]:
        """The numbers of a value, with these arrays: a pure function of both."""


@dataclass(frozen=True)
class Job:
    """One evaluation of the model: some records, at some points, with values written and read at cuts.

    A row is one record at one point. All arrays are in canonical form, ``[points, records, ...]``.
    """

    index: np.ndarray
    """The numbers of the records, in increasing order."""
    points: int = 1
    """How many points there are for each record."""
    at: Cut | None = None
    """The cut that is written at; it may be several cuts together (:class:`~ascribe.cuts.JointCut`)."""
    spots: tuple[ArrayAt, ...] = ()
    """The position of each array of ``write``: its cut, the use of the layer, the path in the value."""
    write: tuple[Array, ...] = ()
    """The values written, ``[points, records, ...]`` for each of ``spots``. Without them the model runs on the records as they are."""
    wrt: tuple[Cut, ...] = ()
    """The cuts at which the gradient of the quantity is returned."""
    read: tuple[Cut, ...] = ()
    """The cuts whose values are returned."""
    on: Cut | None = None
    """The cut whose value the quantity is computed from."""
    of: Explain | None = None
    """The quantities: a function of the value at ``on`` and the record of each row."""
    by: Rule | None = None
    """The backward rule; None and ``Gradient()`` are plain gradients."""
    quantity_key: Hashable = None
    """A key of the quantities that a user wrote; None for those of this package. What was learnt about running several rows together
    with one key does not hold for another, because a user's function may look at all rows."""
    reference: tuple[Array, ...] = ()
    """For a rule that compares: the reference values at ``at``, ``[points, 1 or records, ...]`` for each of ``spots``. Without
    ``write`` the records are run once for all points."""
    every_quantity: Explain | None = None
    """``of`` for rows that belong to no record: the quantities of every record at each row, ``quantities x records`` lists."""
    owns_write: bool = False
    """True if nothing else uses the arrays in ``write``, so that the backend may overwrite them."""
    multipliers_only: bool = False
    """True if relevance that a rule sends to a cut directly is to be returned as multipliers, in ``grads``."""
    count_bytes: bool = False
    """True if the bytes that the framework keeps for the backward pass are to be counted."""
    keep: tuple[Array | None, ...] = ()
    """For each array of ``write``, the share of the model's own value that stays, from 0 to 1 or False and True; None for none."""

    @cached_property
    def records(self) -> int:
        """How many records there are."""
        return len(self.index)

    @cached_property
    def rows(self) -> np.ndarray:
        """The record of every row, point after point."""
        return np.tile(self.index, self.points) if self.points > 1 else self.index

    @cached_property
    def written_cuts(self) -> tuple[Cut, ...]:
        """The cuts that are written at."""
        return () if self.at is None else each_of(self.at)

    @property
    def shares_kept(self) -> tuple[Array | None, ...]:
        """``keep``, one for each array."""
        return self.keep or (None,) * len(self.write)

    @cached_property
    def array_numbers(self) -> list[int]:
        """The number of each array of ``write`` among those of its own cut."""
        if len(self.written_cuts) == 1:
            return list(range(len(self.spots)))
        return [sum(s.cut == spot.cut for s in self.spots[:k]) for k, spot in enumerate(self.spots)]

    def at_points(self, some: Any) -> Job:
        """The job at some of its points: a slice or their numbers."""
        write = tuple(w[some] for w in self.write)
        keep = tuple(None if k is None else k[some] for k in self.keep)
        return replace(self, points=len(write[0]), write=write, keep=keep)


@dataclass
class Evidence:
    """The result of a :class:`Job`."""

    value: Array | None
    """The quantities, ``[quantities, points, records]``; None if the job names none."""
    grads: dict[Cut, list[Array]]
    """For each cut in ``wrt`` the gradient, or the multipliers of a rule: ``[quantities, points, records, ...]`` for each array."""
    reads: dict[Cut, Reading]
    """The values at the cuts in ``read``."""
    forward: int = 0
    """How many forward passes were made."""
    backward: int = 0
    """How many backward passes were made."""
    start: Array | None = None
    """The quantities at the references of the job, ``[quantities, points, records]``."""
    starts: dict[Cut, list[Array]] = field(default_factory=dict)
    """The values at the cuts at the references of the job, ``[points, 1 or records, ...]``."""
    without_formula: dict[str, str] = field(default_factory=dict)
    """The operations that the rule has no formula for, and what was done instead."""
    shares: dict[Cut, list[Array]] = field(default_factory=dict)
    """Contributions, arranged as ``grads``, of a rule whose contributions are not multiplier times difference."""
    probed: bool = False
    """True if extra runs were made to find out how to run the job: its duration says nothing about the next job."""
    direct_relevance: dict[Cut, list[Array]] = field(default_factory=dict)
    """Relevance that a rule sends to a cut in addition to the multipliers, arranged as ``grads``."""
    bytes_kept: int = 0
    """The bytes kept for the backward pass, if the job asks for them; 0 where they cannot be counted."""
    trace: RuleTrace = field(default_factory=RuleTrace)
    """The rule that was applied to each operation, and where relevance was absorbed."""


@dataclass
class Traits:
    """Properties of a model that are known without a run."""

    class_names: tuple[str, ...] | None = None
    """The names of the classes, in the order of the scores."""
    regresses: bool = False
    """True if the model's numbers are known to be no scores of classes."""
    returns_integers: bool = False
    """True if the model last returned one array of integers; a backend may have made floating numbers of them since."""


class Bias(NamedTuple):
    """What a layer adds to a value, one number per channel."""

    values: Array
    axis: int
    """The axis of the channels, counted as in ``[records, ...]``."""
    at: Cut | None = None
    """The place of that value; None for the output of the layer. A layer that applies an activation function adds its bias before it."""


class CutInfo(ABC):
    """Properties of a cut in one call. Each is found out when it is asked for."""

    @abstractmethod
    def source(self) -> Cut:
        """The inputs that the value at the cut is computed from: ``INPUT``, embeddings of token ids, or the cut itself if it is such.

        Raises CutError if several embeddings are given ids.
        """

    @abstractmethod
    def elements(self) -> int:
        """How many numbers one record has at the cut."""

    def is_shared(self, sure: bool = True) -> bool | None:
        """True if an array at the cut has no record axis: its gradient belongs to a record only if that record runs alone.

        Without ``sure`` the answer is None where finding out would take a run, and probably no: the next run shows it.
        """
        return False

    def replaces_all(self) -> bool:
        """True if writing at the cut leaves nothing of the record in the call."""
        return True

    def left_out(self) -> tuple[Cut, ...]:
        """The inputs of integers or words that a cut at the input leaves out because it has floating ones."""
        return ()


class Session(ABC):
    """A model bound to one call of it; use it as a context: the model comes back as it was when it closes.

    A backend gives the attributes and the abstract methods. All others have a default that is right for a model of plain functions.
    """

    xp: Namespace
    """The array functions of the framework."""
    call: Call
    """The arguments."""
    records: int
    """How many records there are."""
    traits: Traits
    """Properties of the model."""
    notes: list[str]
    """Changes to the call that the user should know of, in sentences."""
    facts: Facts
    """Facts about the model that earlier calls have learnt."""
    device: Device = Host()
    """Where the model runs."""
    compiles: bool = False
    """True if every number of points that run at once needs a program of its own, which costs more than some chunks."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the model as it was. It may be called again."""
        return None

    @abstractmethod
    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        """The place of a symbolic cut such as ``LOGITS``, or the cut itself; ``wrt`` if a gradient is wanted there. Raises CutError."""

    @abstractmethod
    def cut_info(self, cut: Cut) -> CutInfo:
        """Properties of a resolved cut in this call."""

    @abstractmethod
    def evaluate(self, job: Job) -> Evidence:
        """Run the model on some records at some points. Raises ModelError, CutError, QuantityError or RuleError."""

    def summed(self, job: Job, points: PathPoints, totals: Totals) -> Evidence:
        """Evaluates a job without ``write`` at points of paths, and adds the weighted gradients at ``wrt`` to ``totals``.

        Nothing is added where an error is raised. ``points.by_distance`` is for gradients at ``job.at`` only. The evidence need not hold
        the gradients. A backend that compiles may do all of it in one program.
        """
        write = points.values(self.xp, job.records)
        evidence = self.evaluate(replace(job, points=len(points.weights), write=write))
        points.add(evidence.grads, totals)
        return evidence

    @abstractmethod
    def another(self, call: Call) -> AbstractContextManager[Session]:
        """A session of the same model with other arguments."""

    @abstractmethod
    def places(self) -> list[Place]:
        """Every cut that the call passes, in execution order, the input first and the output last."""

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        """The user's names of the arrays at some positions: an argument's name, or the cut."""
        return [argument_name(s.path) if s.cut.anchor == "in" and not s.cut.layer else repr(s.cut) for s in spots]

    def given(self, array: Array, spot: ArrayAt | None = None) -> Any:
        """An array in the form that the user gave the arguments in; with a spot in the data type that the model has there."""
        return array

    def parameter_count(self) -> int:
        """How many numbers the model's parameters are; 0 if that is not known."""
        return 0

    def sizes(self, rows: int) -> int:
        """How many rows the backend runs for so many: the number itself, or a larger one that it has compiled a program for.

        A backend that gives a larger one pads the rows itself and takes the padding off again.
        """
        return rows

    def may_vary(self) -> bool:
        """True if the model may give different answers to the same input, so that a record is run again and compared."""
        return False

    def independence_trial(self) -> Job | bool:
        """A job about two records that differ, which reads the output; or True or False where it is known if records are independent."""
        return Job(np.arange(2), read=(OUTPUT,))

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        """The bias of each layer that has one, and the names of the layers that are nonlinear.

        Raises MethodError in a backend that cannot read them.
        """
        problem = "The method needs the biases of layers, which this backend cannot read"
        advice = "asc.InputXGradient(); or a model of layers: a torch.nn.Module, a Keras, Flax or Equinox model"
        raise MethodError(problem, found="a model without layers of a known kind", advice=advice)
