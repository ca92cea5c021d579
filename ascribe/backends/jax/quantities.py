"""Quantities of rows: one number for each, also where a function of the user's own computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import is_array
from ...errors import AscribeError, InputError, QuantityError
from ..protocol import Explain


def numbers_of(values: Sequence[Any], rows: int) -> Any:
    """Quantities as one array ``[quantities, rows]``. Raises QuantityError and InputError where there is not a number for each row."""
    xp: Any = np if all(isinstance(value, np.ndarray) for value in values) else jnp
    return xp.stack([one_per_row(value, rows) for value in values])


def one_per_row(value: Any, rows: int) -> Any:
    """A quantity's numbers as ``[rows]``."""
    if not is_array(value):
        there, advice = f"an object of type {type(value).__name__}", "an array with one number per record: of=lambda y: y[:, 0]"
        raise QuantityError("The quantity must return an array", found=there, advice=advice, code="E-QUANTITY-TYPE")
    array = value if isinstance(value, np.ndarray) else jnp.asarray(value)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    array = array.reshape(1) if array.ndim == 0 and rows == 1 else array
    if array.shape != (rows,):
        what, there = "The quantity must have one number for each record", f"a quantity of shape {array.shape}, and {rows} rows"
        advice = "of=lambda y: y[:, 0], one number per record; asc.Call(..., records=1) for one number of the whole call"
        raise InputError(what, found=there, advice=advice, code="E-RECORDS")
    return array


def evaluate_outside(of: Explain, tree: Any, rows: np.ndarray) -> Any:
    """Quantities of values that are computed, ``[quantities, rows]``. Raises QuantityError for what a quantity raises."""
    try:
        return numbers_of(of(tree, rows), len(rows))
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        raise QuantityError(f"The quantity raised {type(wrong).__name__}: {first}", code="E-QUANTITY-RAISED") from wrong


def differentiate_outside(of: Explain, on: list[Any], tree_of: Any, rows: np.ndarray) -> tuple[Any, list[Any]]:
    """Quantities, and their derivatives ``[quantities, rows, ...]`` for each of the values ``on`` that ``tree_of`` makes one value of.

    They are evaluated on numbers once before, so that what is bound to the records can look at them.
    """
    if not getattr(of, "bound", True):
        evaluate_outside(of, tree_of(on), rows)
    value, pull = jax.vjp(lambda on: evaluate_outside(of, tree_of(on), rows), on)
    pulled = [pull(jnp.zeros_like(value).at[k].set(1))[0] for k in range(len(value))]
    return value, [jnp.stack(each) for each in zip(*pulled, strict=True)]
