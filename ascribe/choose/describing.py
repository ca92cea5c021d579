"""What a model is made of, from the operations that run, and what its inputs and its output look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import numpy as np

from ..arrays import as_numpy, is_array, is_table, namespace
from ..backends import guard_session
from ..backends.protocol import Job
from ..backends.recognise import framework
from ..backends.trees import is_ensemble
from ..calls.call import Call
from ..cuts import EMBEDDINGS, INPUT, OUTPUT
from ..engine.request import as_call, make_request
from ..engine.run import run_request
from ..errors import AscribeError, QuantityError
from ..rules import Epsilon
from ..rules.trace import AppliedRule
from ..tree import walk
from ..utils.entry import entry
from ..utils.pooling import describe_shapes
from ..utils.record_layout import MOST_CHANNELS, is_channels_last, is_series
from .tables import as_html, as_text, write

InputKind = Literal["image", "volume", "tokens", "embeddings", "series", "audio", "table", "graph", "words", "mask", "other"]
OutputKind = Literal["classes", "one number", "a row of scores for each step", "maps", "other"]
SHOWN = 3
"""The number of layers that are named for each part."""
AUDIO = 2000
"""A series with a single channel and at least so many steps is taken for audio."""
LEAST_SIDE = 6
"""An image has at least so many rows and columns."""


@dataclass(frozen=True)
class Part:
    """One thing that a model is made of: its name, how many operations show it, and the layers in which they run, some of them."""

    name: str
    count: int
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputArray:
    """One array among the arguments: its name, what it looks like, its shape and type, and whether its shape allows something else too."""

    name: str
    kind: InputKind
    shape: tuple[int, ...]
    dtype: str
    certain: bool = True


@dataclass(frozen=True, repr=False)
class Description:
    """What a model is made of, and what its inputs and its output look like.

    ``framework`` is "torch", "jax", "keras", "tensorflow" or "blackbox". ``parts`` are found from the operations that ran, and empty for
    black boxes. ``unknown`` are operations that no rule of this package has a formula for. ``differentiable`` says that the output has a
    gradient at the inputs, or at the embeddings of token ids.
    """

    framework: str
    inputs: tuple[InputArray, ...]
    output: OutputKind
    output_shape: str
    parts: tuple[Part, ...] = ()
    unknown: tuple[str, ...] = ()
    differentiable: bool = False
    parameters: int = 0
    records: int = 1
    activations: tuple[str, ...] = ()
    """The names of the activation functions that ran, in lower case."""
    notes: tuple[str, ...] = ()
    trees: bool = False
    """True if the model is an ensemble of decision trees that can be read."""

    def has(self, *names: str) -> bool:
        """Returns whether the model has one of these parts."""
        return any(part.name in names for part in self.parts)

    @property
    def modality(self) -> str:
        """What kind of input the model explains: that of its first explained array, or "several"."""
        kinds = list(dict.fromkeys(i.kind for i in self.inputs if i.kind != "mask"))
        return kinds[0] if len(kinds) == 1 else "several" if kinds else "other"

    def rows(self) -> list[tuple[str, str, str]]:
        """Returns the description as a table: what, its number or shape, and where."""
        rows = [("framework", self.framework, f"{self.parameters} parameters" if self.parameters else "")]
        rows += [(f"input {i.name}", i.kind + ("" if i.certain else "?"), f"{i.dtype}{list(i.shape)}") for i in self.inputs]
        rows += [("output", self.output, self.output_shape)]
        rows += [(part.name, str(part.count), ", ".join(part.places[:SHOWN]) + ", ..." * (len(part.places) > SHOWN)) for part in self.parts]
        return rows + [("unknown operation", "", text) for text in self.unknown]

    def show(self, file: IO[str] | None = None) -> None:
        """Writes the description to ``file``, by default standard output."""
        write(repr(self), file)

    def __repr__(self) -> str:
        return as_text(("part", "what", "where"), self.rows(), self.notes)

    def _repr_html_(self) -> str:
        return as_html(("part", "what", "where"), self.rows(), self.notes)


MASKS = frozenset({"attention_mask", "token_type_ids", "position_ids", "mask", "training"})
"""Arguments that belong to other inputs."""


@entry
def describe(model: Any, *args: Any, **kwargs: Any) -> Description:
    """Returns what a model is made of, and what its inputs look like, for one call of it.

    >>> d = asc.describe(model, x)
    >>> d.modality, d.output, [part.name for part in d.parts]
    ('table', 'classes', ['dense', 'activation'])

    *Use it when* you do not know which methods suit a model: :func:`recommend` starts from it.

    Parts are found from the operations that run (attention is a softmax of products, whichever way it is written), not from the names of
    classes. One forward pass, and one forward and backward pass of one record. Raises the errors of a call for models that cannot be run.
    """
    call = as_call(args, kwargs)
    kind = framework(model, call)
    inputs = tuple(describe_inputs(call))
    with guard_session(model, call) as guarded, guarded as session:
        reading = session.evaluate(Job(np.arange(session.records), read=(OUTPUT,))).reads[OUTPUT]
        arrays, records, parameters = [a[0] for a in reading.arrays], session.records, session.parameter_count()
    rows, unknown, notes, differentiable = operations_of(model, call, inputs)
    if kind == "blackbox":
        notes = []
    return Description(
        kind,
        inputs,
        output_kind(arrays),
        describe_shapes(arrays[0] if len(arrays) == 1 else tuple(arrays)),
        tuple(find_parts(rows, inputs)),
        tuple(unknown),
        differentiable,
        parameters,
        records,
        tuple(dict.fromkeys(name for row in rows if row.kind == "activation" for name in row.operation.lower().split(", "))),
        tuple(notes),
        is_ensemble(model),
    )


def operations_of(model: Any, call: Call, inputs: Sequence[InputArray]) -> tuple[list[AppliedRule], list[str], list[str], bool]:
    """Returns the operations between the inputs and the output, those without a formula, notes, and whether there is a gradient."""
    at = EMBEDDINGS if any(i.kind == "tokens" for i in inputs) else INPUT
    try:
        with guard_session(model, call) as guarded, guarded as session:
            _, batches = run_request(session, make_request(total_of, at, None, Epsilon(), progress=False))
    except AscribeError as error:
        try:  # there may be a gradient, though no rules
            with guard_session(model, call) as guarded, guarded as session:
                run_request(session, make_request(total_of, at, None, None, progress=False))
        except AscribeError:
            return [], [], [f"no gradient at {at!r}: {error.problem}"], False
        return [], [], [f"its operations could not be read: {error.problem}"], True
    trace = batches[0].trace
    unknown = {f"{name}: {what}" for batch in batches for name, what in batch.without_formula.items()}
    return list(trace.applied), sorted(unknown), [], True


def total_of(tree: Any) -> Any:
    """Returns one number for each record: the sum of the first floating-point array of an output.

    Raises QuantityError for an output without any, such as labels.
    """
    leaves = [leaf for _, leaf in walk(tree) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
    first = next((leaf for leaf in leaves if leaf.ndim > 0), None)
    if first is None:
        kinds = ", ".join(sorted({str(leaf.dtype) for _, leaf in walk(tree) if is_array(leaf)})) or type(tree).__name__
        raise QuantityError(NO_SCORES, found=f"an output of {kinds}", advice="a model that returns scores or probabilities")
    xp = namespace(first)
    return xp.sum(xp.reshape(first, (first.shape[0], -1)), (1,))


NO_SCORES = "The model returns no floating-point numbers that could be explained"
"""The problem of a model that returns labels."""


def describe_inputs(call: Call) -> list[InputArray]:
    """Returns what each array among the arguments looks like."""
    found = []
    for path, leaf in walk((call.args, call.kwargs)):
        array = leaf.to_numpy() if is_table(leaf) else leaf
        if not is_array(array) or not len(array.shape):
            continue
        name = (f"input {path[1]}" if path[0] == 0 else str(path[1])) + "".join(f"[{key!r}]" for key in path[2:])
        shape, dtype = tuple(int(n) for n in array.shape), str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")
        kind, certain = kind_of_input(shape, array, name)
        found.append(InputArray(name, kind, shape, dtype, certain))
    if any(is_edges(i, found) for i in found):
        found = [replace(i, kind="graph", certain=False) if is_edges(i, found) or i.kind == "table" else i for i in found]
    return found


def is_edges(one: InputArray, every: Sequence[InputArray]) -> bool:
    """Returns whether an array looks like the edges of a graph: integers ``[2, edges]`` next to an array with another number of rows."""
    whole = len(one.shape) == 2 and one.shape[0] == 2 and one.dtype.startswith("int") and one.kind != "mask"
    return whole and any(other.dtype.startswith(("float", "bfloat")) and other.shape[0] != 2 for other in every)


def kind_of_input(shape: tuple[int, ...], array: Any, name: str) -> tuple[InputKind, bool]:
    """Returns what an array looks like by its type and shape, and whether these allow nothing else."""
    inner, code = shape[1:], as_numpy(array[:1]).dtype.kind
    if name in MASKS:
        return "mask", True
    if code in "OUS":
        return "words", True
    whole = code in "iub"
    if whole and len(inner) == 1:
        return ("tokens", "ids" in name or int(as_numpy(array).max(initial=0)) > 1) if code != "b" else ("table", False)
    if len(inner) <= 1:
        return "table", len(inner) == 1
    if len(inner) == 2:
        if "embed" in name:
            return "embeddings", True
        short, long = sorted(inner)
        if short == 1 and long >= AUDIO:
            return "audio", True
        return ("series", short < long) if is_series(inner) or short < LEAST_SIDE else ("image", False)
    if len(inner) == 3:
        sides = inner[:-1] if is_channels_last(inner) else inner[1:]
        return ("image", min(inner) <= MOST_CHANNELS) if min(sides) >= LEAST_SIDE else ("other", False)
    return ("volume", False) if len(inner) == 4 else ("other", False)


def output_kind(arrays: Sequence[Any]) -> OutputKind:
    """Returns what an output looks like."""
    if len(arrays) != 1:
        return "other"
    inner = tuple(arrays[0].shape[1:])
    if len(inner) == 0 or inner == (1,):
        return "one number"
    return "classes" if len(inner) == 1 else "a row of scores for each step" if len(inner) == 2 else "maps" if len(inner) == 3 else "other"


Matches = Callable[[AppliedRule], bool]


def find_parts(rows: Sequence[AppliedRule], inputs: Sequence[InputArray]) -> list[Part]:
    """Returns what the operations show, in the order of :data:`PARTS`."""

    def part(name: str, matches: Matches) -> Part | None:
        found = [row for row in rows if matches(row)]
        places = tuple(dict.fromkeys(row.place for row in found if row.place))
        return Part(name, sum(row.times for row in found), places[:4]) if found else None

    steps = repeated_places(rows)
    parts = [part("convolution", lambda r: r.kind == "convolution")]
    parts.append(part("attention", lambda r: attends(rows, r)))
    if steps:
        parts.append(part("recurrence", lambda r: r.place in steps and r.kind in ("dense", "activation")))
    elif scans(rows):
        parts.append(part("state-space scan", lambda r: r.kind == "product" and r.times >= SCAN))
    if any(i.kind == "tokens" for i in inputs):
        parts.append(Part("embedding", sum(i.kind == "tokens" for i in inputs)))
    parts.append(part("experts", lambda r: r.kind == "choice" and "topk" in r.operation))
    parts.append(part("message passing", lambda r: any(word in r.operation for word in MESSAGES) and "strided" not in r.operation))
    parts.append(part("gating", lambda r: r.kind == "product" and r.times >= 1 and gates(rows, r)))
    for name, kinds in PLAIN.items():
        parts.append(part(name, lambda r, kinds=kinds: r.kind in kinds))  # type: ignore[misc]
    return [one for one in parts if one is not None]


PLAIN = {
    "norm": ("norm", "batch_norm"),
    "pooling": ("pool", "average"),
    "dense": ("dense",),
    "activation": ("activation",),
    "softmax": ("softmax",),
}
"""Parts that one operation shows, with the kinds of operations that they are."""
MESSAGES = ("index_add", "scatter", "segment")
"""Words in the names of operations that add rows up by an index."""
SCAN = 3
"""So many products of one kind in one place are the steps of a scan."""


def attends(rows: Sequence[AppliedRule], row: AppliedRule) -> bool:
    """Returns whether an operation is attention: fused, or a softmax with two products of matrices of values in the same place."""
    if "attention" in row.operation:
        return True
    products = sum(r.times for r in rows if r.place == row.place and r.kind == "product" and any(word in r.operation for word in MATRIX))
    return row.kind == "softmax" and products >= 2


MATRIX = ("bmm", "matmul", "mm", "dot", "einsum", "Einsum", "MatMul")
"""Words in the names of products of matrices."""


def repeated_places(rows: Sequence[AppliedRule]) -> set[str]:
    """Returns the places where the same dense layer runs several times between sigmoids or tanhs: steps of a recurrence."""
    squashes = {row.place for row in rows if row.kind == "activation" and row.times >= 2 and squashing(row)}
    dense = {row.place for row in rows if row.kind == "dense" and row.times >= 2}
    return {place for place in dense if place in squashes or any(inside(place, other) for other in squashes)}


def inside(place: str, other: str) -> bool:
    """Returns whether one place is a part of another; the model itself, which has no name, holds all."""
    return not other or place.startswith(f"{other}.")


def squashing(row: AppliedRule) -> bool:
    """Returns whether an activation is a sigmoid or a tanh."""
    return any(word in row.operation.lower() for word in ("sigmoid", "tanh", "logistic"))


def scans(rows: Sequence[AppliedRule]) -> bool:
    """Returns whether products of values follow each other with exponential decays: a state-space scan."""
    decays = {row.place for row in rows if row.kind == "activation" and any(w in row.operation for w in ("exp", "softplus"))}
    return any(row.kind == "product" and row.times >= SCAN and row.place in decays for row in rows)


def gates(rows: Sequence[AppliedRule], row: AppliedRule) -> bool:
    """Returns whether a product is one with an activation: of a sigmoid, SiLU or GELU in the same place, or in a layer inside."""
    words = ("sigmoid", "silu", "gelu", "logistic", "swish")
    return any(r.kind == "activation" and inside_or_same(r.place, row.place) and any(w in r.operation for w in words) for r in rows)


def inside_or_same(place: str, other: str) -> bool:
    """Returns whether one place is another, or a part of it."""
    return place == other or (bool(other) and place.startswith(f"{other}."))
