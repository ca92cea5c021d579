"""``of=``: a class, a list of classes, a quantity, or a function, as the quantity it stands for."""

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
from .base import Bound, Part, Quantity, Same, parse_integer
from .classes import Labels, PredictedClass, Unit


@dataclass(frozen=True)
class Custom:
    """Any function of the value at the cut (of the whole output, when that is a container) that gives one number per record.

    A list or a tuple of such numbers are several quantities.
    """

    fn: Callable[[Any], Array]
    on: Cut = OUTPUT
    whole = True
    chooses = False

    @property
    def kind(self) -> Hashable:
        """What two quantities share that treat rows alike: the code of the function."""
        return getattr(self.fn, "__code__", None) or id(self.fn)

    def __repr__(self) -> str:
        place = "" if self.on == OUTPUT else f", on={self.on!r}"
        return f"quantities.Custom({getattr(self.fn, '__qualname__', repr(self.fn))}{place})"

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Same(self.fn)


QuantityLike = Quantity | int | str | Sequence[Any] | ArrayLike | Callable[[Any], Any] | None
"""What ``of=`` accepts: see :func:`as_quantities`."""


def as_quantities(of: Any) -> tuple[tuple[Quantity, ...], bool]:
    """``of=`` as quantities, and whether several were asked for.

    None is ``PredictedClass()``, an int one class for all, a tuple of ints one position, a list or an array of ints or names one class per
    record, a list of tuples or a tuple of arrays one position per record, a list of quantities or functions several explanations in one
    call, anything callable a quantity of your own.

    Raises QuantityError for anything else.
    """
    if type(of) in (int, str, NoneType):
        return plain_quantity(of), False
    if isinstance(of, (list, tuple)) and of and all(hasattr(q, "bind") or (callable(q) and not isinstance(q, type)) for q in of):
        return tuple(map(_as_quantity, of)), True
    return (_as_quantity(of),), False


@lru_cache(maxsize=1024)
def plain_quantity(of: int | str | None) -> tuple[Quantity]:
    """Returns the quantity of a class, or of the predicted class, as the only one."""
    return (_as_quantity(of),)


def _as_quantity(of: Any) -> Quantity:
    if of is None:
        return PredictedClass()
    if hasattr(of, "bind") and hasattr(of, "on") and not isinstance(of, type):
        quantity: Quantity = of
        return quantity
    if isinstance(of, (bool, np.bool_)):
        raise QuantityError(f"of={of!r} is not a class", try_="of=0 or of=1", code="E-TARGET-TYPE")
    if isinstance(of, str):
        return Labels((of,))
    if isinstance(of, tuple) and of and all(isinstance(p, (int, slice)) for p in of):
        return Unit(*of)
    if isinstance(of, tuple) and any(is_array(p) and len(p.shape) for p in of):  # a position for each record
        return Unit(*of)
    if isinstance(of, (int, float, np.number)) or (is_array(of) and not of.shape):
        return Unit(parse_integer(of))
    if isinstance(of, (list, tuple)) or is_array(of):
        return _per_record(of)
    if callable(of) and not isinstance(of, type):
        return Custom(of)
    raise QuantityError(f"of={of!r} is not something to explain", try_="a class, a list of classes, a quantity, or a function")


def _per_record(of: Any) -> Labels | Unit:
    items = as_numpy(of) if is_array(of) else of
    if is_array(of) and items.ndim != 1:
        raise QuantityError(
            f"labels of shape {items.shape}",
            there="one label per record expected",
            try_="a 1-d array or list; Unit(of[:, 0], of[:, 1]) for a position of two numbers per record",
            code="E-TARGET-SHAPE",
        )
    if not is_array(of) and len(items) and all(isinstance(i, tuple) and len(i) == len(items[0]) for i in items):
        return Unit(*map(list, zip(*items, strict=True)))
    if not len(items):
        raise QuantityError("an empty list of labels", try_="one label per record", code="E-TARGET-COUNT")
    return Labels(tuple(str(i) if isinstance(i, str) else parse_integer(i) for i in items))
