"""Validation of the header of a result's file; errors name the field that is not valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

import numpy as np

from ..errors import ResultError
from ..tree import walk
from .attribution import Attribution, Check, Cost, Gap
from .axes import KINDS, AxisNames, check_names
from .object_arrays import decode_objects

DEEP = 64
"""The maximum depth of nested containers, which are read recursively."""
STATUS = get_args(get_type_hints(Check)["status"])
Fits = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """True for a string."""
    return isinstance(value, str)


def is_natural(value: Any) -> bool:
    """True for an integer >= 0 that fits in 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_time(value: Any) -> bool:
    """True for a finite number >= 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e300


def is_list_of(fits: Fits) -> Fits:
    """Returns a predicate that is True for a list of values that satisfy ``fits``."""
    return lambda value: isinstance(value, list) and all(map(fits, value))


def is_optional(fits: Fits) -> Fits:
    """Returns a predicate that is True for null and for values that satisfy ``fits``."""
    return lambda value: value is None or fits(value)


def is_object(later: tuple[str, ...] = (), **fields: Fits) -> Fits:
    """Returns a predicate that is True for an object with exactly these fields; those in ``later`` may be missing."""

    def fits(value: Any) -> bool:
        named = isinstance(value, dict) and value.keys() | set(later) == fields.keys()
        return named and all(fields[key](part) for key, part in value.items())

    return fits


names = is_optional(is_list_of(is_text))
checks = is_list_of(is_object(name=is_text, status=STATUS.__contains__, detail=is_text, records=is_list_of(is_natural)))
cost = is_object(
    forward=is_natural,
    backward=is_natural,
    rows=is_natural,
    seconds=is_time,
    chunk=is_optional(is_natural),
    peak_bytes_estimate=is_optional(is_natural),
)
FIELDS: dict[str, tuple[Fits, str]] = {
    "cut": (is_text, "a string"),
    "quantity": (is_text, "a string"),
    "method": (is_text, "a string"),
    "class_names": (names, "a list of strings, or null"),
    "checks": (checks, "a list of checks, each with a name, a status, a detail and its records"),
    "cost": (is_optional(cost), "counts of passes and rows, and seconds"),
    "settings": (lambda value: isinstance(value, dict), "an object"),
    "features": (
        is_optional(is_object(("arrays",), names=names, told=is_text, arrays=lambda n: is_natural(n) and n <= 4096)),
        "an object with names and a description, or null",
    ),
    "axes": (
        is_list_of(
            is_object(
                kind=KINDS.__contains__,
                axis=is_natural,
                names=is_list_of(is_list_of(is_text)),
                unit=is_text,
                path=is_list_of(lambda key: is_text(key) or is_natural(key)),
                words=is_list_of(is_list_of(lambda word: word == -1 or is_natural(word))),
            )
        ),
        "a list of names of axes",
    ),
}
LATER = ("features", "error", "axes")
"""Fields that are missing in the first files of this format."""


def check_types(text: Mapping[str, Any]) -> None:
    """Raises ValueError with the name of the first field that is missing or of a wrong type."""
    for name, (fits, what) in FIELDS.items():
        if name not in text and name not in LATER:
            raise ValueError(f"The field {name!r} is missing")
        if name in text and not fits(text[name]):
            raise ValueError(f"The field {name!r} must be {what}")


def rebuild_value(node: Any, arrays: Mapping[str, Any], make: Callable[[Any], Any], plain: bool, depth: int = 0) -> Any:
    """Returns the value that a node of the header describes; ``plain`` allows numbers and texts in addition to arrays.

    Raises ValueError if the node describes no value.
    """
    if depth > DEEP:
        raise ValueError(f"The values are nested in more than {DEEP} containers")
    if not isinstance(node, dict) or len(node) != 1:
        raise ValueError("A value must be described by one key: array, words, plain, list, tuple or dict")
    ((what, inside),) = node.items()
    if what == "array" and isinstance(inside, str) and inside in arrays:
        return make(arrays[inside])
    if what == "words" and is_object(array=arrays.__contains__, shape=is_list_of(is_natural), type=is_text)(inside):
        return decode_objects(arrays[inside["array"]].array, inside["shape"], inside["type"])
    if what == "plain" and (inside is None or (plain and isinstance(inside, (bool, int, float, str)))):
        return inside
    if what not in ("list", "tuple", "dict") or not is_list_of(_is_pair)(inside):
        raise ValueError(f"The key {what!r} does not describe a value")
    parts = [(key, rebuild_value(part, arrays, make, plain, depth + 1)) for key, part in inside]
    if what == "dict":
        return dict(parts)
    return {"tuple": tuple, "list": list}[what](part for _, part in parts)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (int, str))


def check_consistency(a: Attribution) -> None:
    """Raises ValueError if data types, records, quantities or features of a result do not fit together."""
    known = {"explained": (a.explained, "fiub"), "target": (a.target, "iub"), "prediction": (a.prediction, "fiub")}
    known |= {"base_value": (a.base_value, "fiub")}
    if a.gap is not None:
        known |= {"gap.absolute": (a.gap.absolute, "f"), "gap.relative": (a.gap.relative, "f")}
    counts = {}
    for name, (array, kinds) in known.items():
        if array is None:
            continue
        if array.dtype.kind not in kinds or not array.ndim or (array.ndim > 2 and name != "prediction") or array.shape[1:] == (0,):
            raise ValueError(f"The field {name!r} cannot have type {array.dtype} and shape {array.shape}")
        counts[name] = array.shape[0 if name == "prediction" else -1]
        if name != "prediction" and array.ndim == 2 and len(array) != a.quantities:
            raise ValueError(f"The field {name!r} has {len(array)} quantities, and the values have {a.quantities}")
    if a.rows is not None and (a.rows.dtype.kind not in "iu" or a.rows.ndim != 1 or (a.rows < 0).any()):
        raise ValueError(f"The field 'rows' cannot have type {a.rows.dtype} and shape {a.rows.shape}")
    arrays = {path: leaf.shape for path, leaf in a.arrays()}
    if len(set(counts.values())) > 1 or (arrays and counts and max(counts.values()) != len(a)):
        raise ValueError(
            f"The fields have different numbers of records: {len(a)} of values, {', '.join(f'{n} of {name}' for name, n in counts.items())}"
        )
    if a.quantities is not None and any(shape[:1] != (a.quantities,) for shape in arrays.values()):
        raise ValueError(f"The values of {a.quantities} quantities cannot have the shapes {list(arrays.values())}")
    for one in a.axes:
        try:
            if one.path not in arrays or (one.words and len(one.words) not in (1, len(a))):
                raise ValueError(f"The names of axis {one.axis} belong to no array")
            check_names(one, a.padded().part(*one.path).values.shape[a.records_axis :])
        except ResultError as error:
            raise ValueError(f"The names of axis {one.axis} do not fit the values") from error
    if a.error is not None and {path: leaf.shape for path, leaf in walk(a.error) if leaf is not None} != arrays:
        raise ValueError("The errors have other shapes than the values")
    if (f := a.features) is not None:
        wrong = f.values.dtype.kind != "f" or f.values.ndim < 2 or (f.error is not None and f.error.shape != f.values.shape)
        lead = (*([a.quantities] if a.quantities is not None else []), len(a))
        wrong = wrong or bool(arrays and f.values.shape[: len(lead)] != lead)
        if wrong or (f.names is not None and len(f.names) != f.values.shape[-1]):
            raise ValueError(f"The table of features cannot have shape {f.values.shape}")
        if f.places and len(f.places) != len(arrays):
            raise ValueError(f"The features belong to {len(f.places)} arrays, and the values are {len(arrays)}")
        for place, shape in zip(f.places, arrays.values(), strict=False):
            if place is not None and not (
                place.dtype.kind == "i" and place.ndim == 2 and len(place) in (1, len(a)) and place.shape[1:] == shape[-1:]
                and place.size and -1 <= place.min() and place.max() < f.values.shape[-1]
            ):  # fmt: skip
                raise ValueError(f"The positions of features cannot have shape {place.shape}")


def read_gap(absolute: np.ndarray | None, relative: np.ndarray | None) -> Gap | None:
    """Returns the gap from its two arrays. Raises ValueError if only one is given."""
    if absolute is None and relative is None:
        return None
    if absolute is None or relative is None or absolute.shape != relative.shape:
        raise ValueError("The fields 'gap.absolute' and 'gap.relative' do not fit together")
    return Gap(absolute, relative)


def read_checks(text: Mapping[str, Any]) -> tuple[Check, ...]:
    """Returns the checks of a validated header."""
    return tuple(Check(**check | {"records": tuple(check["records"])}) for check in text["checks"])


def read_axes(text: Mapping[str, Any]) -> tuple[AxisNames, ...]:
    """Returns the names of the axes of a validated header."""
    return tuple(
        AxisNames(one["kind"], one["axis"], _tuples(one["names"]), one["unit"], tuple(one["path"]), _tuples(one["words"]))
        for one in text.get("axes", ())
    )


def _tuples(lists: list[list[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, lists))


def read_cost(text: Mapping[str, Any]) -> Cost | None:
    """Returns the cost of a validated header."""
    return None if text["cost"] is None else Cost(**text["cost"])
