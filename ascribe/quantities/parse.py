"""Converts ``of=`` (a class, a list of classes, a quantity or a function) to quantities."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any

import numpy as np

from ..arrays import Array, ArrayLike, as_numpy, is_array
from ..cuts import OUTPUT, Cut
from ..errors import QuantityError
from .base import Bound, BoundFunction, Part, Quantity, parse_integer
from .classes import Labels, PredictedClass, Unit


@dataclass(frozen=True)
class Custom:
    """A function of the value at the cut that returns one number per record, ``[records, ...] -> [records]``.

    *Use it when* no other quantity fits. ``of=lambda y: ...`` is the same; the class adds ``on=`` for a layer.

    If the output is a container, the function receives the container. It must be differentiable for gradient methods, and it must treat
    records independently. A list or a tuple of such functions are several quantities.
    """

    fn: Callable[[Any], Array]
    on: Cut = OUTPUT
    whole = True
    chooses = False

    @property
    def kind(self) -> Hashable:
        """A key that is equal for functions with the same code."""
        return getattr(self.fn, "__code__", None) or id(self.fn)

    def __repr__(self) -> str:
        place = "" if self.on == OUTPUT else f", on={self.on!r}"
        return f"quantities.Custom({getattr(self.fn, '__qualname__', repr(self.fn))}{place})"

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundFunction(self.fn)


QuantityLike = Quantity | int | str | Sequence[Any] | ArrayLike | Callable[[Any], Any] | None
"""Accepted by ``of=``; see :func:`as_quantities`."""


def as_quantities(of: QuantityLike) -> tuple[tuple[Quantity, ...], bool]:
    """Returns ``of=`` as quantities, and True if it is a list of several.

    * None: the predicted class, ``PredictedClass()``.
    * An int or a str: that class, for all records.
    * A list or an array of ints or names: one class per record, ``Labels``.
    * A tuple of ints: one element of the output, ``Unit``; a list of tuples or a tuple of arrays: one element per record.
    * A callable: ``Custom``.
    * A list or a tuple of quantities or callables: several quantities in one call.

    Raises QuantityError for any other value.
    """
    if type(of) in (int, str, NoneType):
        plain: Any = of
        return plain_quantity(plain), False
    if isinstance(of, (list, tuple)) and of and all(hasattr(q, "bind") or (callable(q) and not isinstance(q, type)) for q in of):
        return tuple(map(_as_quantity, of)), True
    return (_as_quantity(of),), False


@lru_cache(maxsize=1024)
def plain_quantity(of: int | str | None) -> tuple[Quantity]:
    """Returns the quantity of a class, or of the predicted class, as a tuple of one."""
    return (_as_quantity(of),)


def _as_quantity(of: Any) -> Quantity:
    if of is None:
        return PredictedClass()
    if hasattr(of, "bind") and hasattr(of, "on") and not isinstance(of, type):
        quantity: Quantity = of
        return quantity
    if isinstance(of, (bool, np.bool_)):
        raise QuantityError(
            "`of=` must be the index of a class, not a bool", found=f"of={of!r}", advice="of=0 or of=1", code="E-TARGET-TYPE"
        )
    if isinstance(of, str):
        return Labels((of,))
    if isinstance(of, tuple) and of and all(isinstance(p, (int, slice)) for p in of):
        return Unit(*of)
    if isinstance(of, tuple) and any(is_array(p) and len(p.shape) for p in of):  # one position per record
        return Unit(*of)
    if isinstance(of, (int, float, np.number)) or (is_array(of) and not of.shape):
        return Unit(parse_integer(of))
    if isinstance(of, (list, tuple)) or is_array(of):
        return _per_record(of)
    if callable(of) and not isinstance(of, type):
        return Custom(of)
    if isinstance(of, type):
        there, advice = f"the class {of.__name__}", f"of={of.__name__}(...)"
        raise QuantityError("`of=` is a Python class, not a quantity", found=there, advice=advice)
    problem = "`of=` must be a class, a list of classes, a quantity or a function"
    raise QuantityError(problem, found=f"of={of!r}", advice="of=1, of=[1, 0, 2], of=asc.Contrast(1, 0), or of=lambda y: y[:, 0]")


def _per_record(of: Any) -> Labels | Unit:
    items = as_numpy(of) if is_array(of) else of
    if is_array(of) and items.ndim != 1:
        raise QuantityError(
            "Labels given as an array must have one axis, `[records]`",
            found=f"labels of shape {items.shape}",
            advice="of=labels.ravel(), or of=asc.Unit(of[:, 0], of[:, 1]) for one position per record",
            code="E-TARGET-SHAPE",
        )
    if not is_array(of) and len(items) and all(isinstance(i, tuple) and len(i) == len(items[0]) for i in items):
        return Unit(*map(list, zip(*items, strict=True)))
    if not len(items):
        raise QuantityError(
            "`of=` has no labels", found="an empty list", advice="of=[1, 0, 2], one label per record", code="E-TARGET-COUNT"
        )
    return Labels(tuple(str(i) if isinstance(i, str) else parse_integer(i) for i in items))
