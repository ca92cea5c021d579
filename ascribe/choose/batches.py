"""The records of a comparison: the arguments of one call, or batches that come one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..arrays import as_numpy, is_array, is_table
from ..calls.call import Call
from ..engine.request import as_call
from ..errors import InputError


class Batch(NamedTuple):
    """One call of the model, and the labels of its records; None without labels."""

    call: Call
    labels: Any = None


def batches_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Batch]:
    """Yields the batches of a call: the call itself, or each item of a single iterable of batches, such as a DataLoader.

    An item is an array, a dict of keyword arguments, or a tuple of arguments; a tuple whose last array has one integer for each record,
    and another array before it, is ``(inputs..., labels)``. Raises InputError for an iterable without items.
    """
    if len(args) != 1 or kwargs or not is_batches(args[0]):
        yield Batch(as_call(args, kwargs))
        return
    empty = True
    for item in args[0]:
        empty = False
        yield as_batch(item)
    if empty:
        raise InputError("There are no records to judge", found="an iterable without items", advice="a list of batches, or arrays")


def is_batches(value: Any) -> bool:
    """Returns whether an argument is an iterable of batches rather than an argument of the model."""
    if is_array(value) or is_table(value) or isinstance(value, (str, bytes, Mapping, Call, tuple)):
        return False
    if isinstance(value, list):
        return bool(value) and all(is_item(one) for one in value)
    return isinstance(value, Iterable)


def is_item(value: Any) -> bool:
    """Returns whether an object may be a batch: an array with records, or a tuple or a dict of such."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    return any(is_array(part) and len(part.shape) > 1 for part in parts)


def as_batch(item: Any) -> Batch:
    """Returns an item of an iterable as a call, with its labels."""
    if isinstance(item, Call):
        return Batch(item)
    if isinstance(item, Mapping):
        rest = {key: value for key, value in item.items() if key not in ("labels", "label")}
        return Batch(Call.of((), rest), item.get("labels", item.get("label")))
    if isinstance(item, (tuple, list)):
        last = item[-1]
        whole = is_array(last) and len(last.shape) == 1 and as_numpy(last).dtype.kind in "iu"
        if len(item) > 1 and whole and is_array(item[0]) and len(item[0]) == len(last):
            return Batch(Call(*item[:-1]), last)
        return Batch(Call(*item))
    return Batch(Call(item))
