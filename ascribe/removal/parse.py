"""Parses ``by=`` for coalitions: any accepted value becomes a removal, or one removal for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

from ..arrays import is_array
from ..calls.call import Call
from ..errors import FeatureError
from .base import Removal
from .per_input import PerInput
from .values import Replace


def as_removal(given: Any) -> Removal:
    """Returns ``by=`` as a removal.

    A tuple or a dict that contains removals becomes :class:`PerInput`; any other value, such as a number, an array or a name, becomes
    the value of :class:`Replace`. Raises FeatureError for classes, and for objects that are neither a removal nor a value.
    """
    if isinstance(given, type):
        raise FeatureError("`by=` is a class, not a removal", found=f"the class {given.__name__}", advice=f"by={given.__name__}()")
    if isinstance(given, Removal):
        return given
    if has_removals(given):
        return PerInput(given)
    if not may_be_value(given):
        there, advice = f"by={given!r}", "by=0.0, by=asc.Resample(rows), or an object with the method replacement_for(context)"
        raise FeatureError("`by=` needs a method `replacement_for(context)`", found=there, advice=advice)
    return Replace(given)


def may_be_value(given: Any) -> bool:
    """True if something may be the value of :class:`Replace`: a number, a name, an array, a function, a call, or several of these."""
    known = (Number, str, bytes, Sequence, Mapping, Call)
    return given is None or isinstance(given, known) or callable(given) or is_array(given) or hasattr(given, "__array__")


def has_removals(given: Any) -> bool:
    """True if something is a tuple, a list or a dict that contains removals."""
    parts = given.values() if isinstance(given, Mapping) else given if isinstance(given, (tuple, list)) else ()
    return any(isinstance(one, Removal) and not isinstance(one, type) for one in parts)


def split_removal(removal: PerInput, names: Sequence[str], what: str = "input") -> list[Removal]:
    """Returns the removal for each name; ``what`` is the word for one of them in errors.

    Raises FeatureError unless there is exactly one removal for each name.
    """
    given = removal.by_input
    if isinstance(given, Mapping):
        keys = [name if name in given else k for k, name in enumerate(names)]
        missing = [name for name, key in zip(names, keys, strict=True) if key not in given]
        unknown = [repr(key) for key in given if key not in keys]
        if missing or unknown:
            problems = [*(f"none for {name!r}" for name in missing), *(f"one for {key}" for key in unknown)]
            raise FeatureError(
                f"`by=` does not have exactly one removal for each {what}: it has {', '.join(problems)}",
                found=f"the {what}s: {', '.join(names)}",
                advice=f"by={{{', '.join(f'{name!r}: ...' for name in names)}}}",
            )
        given = [given[key] for key in keys]
    if len(given) != len(names):
        raise FeatureError(
            f"`by=` has {len(given)} removal{'' if len(given) == 1 else 's'}, but there must be one for each {what}",
            found=f"{len(names)} {what}{'' if len(names) == 1 else 's'}: {', '.join(names)}",
            advice=f"by=({', '.join('...' for _ in names)}{',' if len(names) == 1 else ''})",
        )
    return [as_removal(one) for one in given]
