"""The arguments of a model call, for every framework: which count the records, which are explained, which are passed through unchanged.

A backend describes its arrays as :class:`Argument` and keeps only what is its own: devices and types, tables, copies of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..calls.call import Call, RecordAxes, locate_records
from ..cuts import Cut, accessor_path, input_at
from ..distributions.baselines import BESIDE_IDS, RIDES_ALONG
from ..errors import InputError
from ..tree import Path


class Argument(NamedTuple):
    """An array among the arguments, with at least one axis; ``floating`` if its numbers can be explained."""

    shape: tuple[int, ...]
    floating: bool


def count_records(call: Call, arguments: Mapping[Path, Argument]) -> RecordAxes:
    """Where the records of a call are: as the call says, or else on the first axis of the leading argument.

    The leading argument is the first of several axes among those that the call names to be explained, or else among the floating ones.
    Every other argument belongs to the records where its first axis has the same length. Raises InputError for a call without records.
    """
    named_first = [path for path in arguments if path[1] in call.explained] if call.explained is not None else []
    floating = [path for path in named_first or arguments if arguments[path].floating]
    leading = next(iter([p for p in floating if len(arguments[p].shape) > 1] or floating or named_first or arguments))
    shapes = {path: argument.shape for path, argument in arguments.items()}
    found = locate_records(call.records, shapes, usual(shapes, leading, named_first))
    if not found.count:
        raise InputError("The call has no records", found=f"an input of shape {shapes[leading]}", advice="an input with at least one row")
    return found


def usual(shapes: Mapping[Path, tuple[int, ...]], leading: Path, named_first: Sequence[Path]) -> tuple[int, dict[Path, int]]:
    """How many records there are where the call does not say, and the axes that are not the first.

    They are counted by the first axis of the leading argument; but where no other argument has that length, and an earlier one (ids,
    texts) begins with the length of another of its axes, by that one: a first state ``[layers, records, width]``.
    """
    count = shapes[leading][0]
    if named_first or len(shapes) == 1 or sum([shape[0] == count for shape in shapes.values()]) > 1:
        return count, {}
    others = [p for p in shapes if p != leading]
    for path in others[: list(shapes).index(leading)]:
        if len(shapes[path]) > 1 and shapes[path][0] in shapes[leading][1:]:
            records = shapes[path][0]
            return records, {
                p: shape[1:].index(records) + 1
                for p, shape in shapes.items()
                if shape[0] != records and shape[:1] == (count,) and records in shape[1:]
            }
    return count, {}


def may_be_explained(path: Path) -> bool:
    """True for an argument whose name does not say that it is a mask."""
    return "mask" not in str(path[1])


def may_be_ids(path: Path) -> bool:
    """True for an argument whose name does not say that its integers are masks, types, positions or labels."""
    return not any(part in str(path[1]) for part in BESIDE_IDS)


def may_be_removed(path: Path) -> bool:
    """True for an argument whose name does not say that it describes the layout of other arguments, and is passed through unchanged."""
    return not any(part in str(path[1]) for part in RIDES_ALONG)


def cuts_left_out(cut: Cut, explained: Sequence[Path], integers: Sequence[Path]) -> tuple[Cut, ...]:
    """The arguments of integers or words under a cut at the input that are not explained there, as cuts; none without an explained one."""
    start = accessor_path(cut)
    here = {p for p in explained if p[: len(start)] == start}
    return tuple(input_at(p) for p in integers if p[: len(start)] == start and p not in here) if here else ()
