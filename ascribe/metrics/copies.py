"""Explanations of many changed copies of the records, several copies in one call where that gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, is_array, namespace
from ..backends.independence import records_independent
from ..calls.call import Call
from ..methods import METHODS
from ..methods.perturbation import FeaturePermutation
from ..quantities import Labels
from ..tree import Path, replace_leaves, walk
from .base import Evaluation, flatten_records
from .records import Records

MOST_NUMBERS = 1 << 22
"""The number of input elements that are explained in one call."""


def explain_copies(evaluation: Evaluation, records: Records, copies: Sequence[Sequence[Array]]) -> np.ndarray:
    """Returns the explanations of changed inputs, ``[copies, records, elements]``; each copy has one array for each in ``records.x``.

    The classes are those of the judged call. Copies are joined as records of one call where nothing else in the call belongs to records.
    """
    size = sum(int(np.prod(x.shape)) for x in records.x)
    several = max(1, min(len(copies), MOST_NUMBERS // max(1, size))) if may_join(evaluation, records) else 1
    found = []
    for first in range(0, len(copies), several):
        some = copies[first : first + several]
        joined = [namespace(a[0]).concat(list(a), 0) for a in zip(*some, strict=True)] if len(some) > 1 else list(some[0])
        a = evaluation.explain_again(as_call_of(records, joined), of=tiled_labels(evaluation, len(some)))
        found.append(flatten_records([leaf for _, leaf in a.arrays()]).reshape(len(some), len(records), -1))
    return np.concatenate(found)


def as_call_of(records: Records, arrays: Sequence[Array]) -> Call:
    """Returns the call with these arrays in place of the explained ones; their number of records may differ."""
    call, places = records.session.call, {s.path: records.session.given(a, s) for s, a in zip(records.spots, arrays, strict=True)}
    args, kwargs = replace_leaves((call.args, call.kwargs), places)
    return call.like(args, kwargs)


def may_join(evaluation: Evaluation, records: Records) -> bool:
    """Returns whether copies of the records can be records of one call: the method and the model treat each record by itself."""
    method = type(evaluation.explained)
    if method not in METHODS.values() or method is FeaturePermutation or not joins_quantity(evaluation):
        return False
    explained: set[Path] = {spot.path for spot in records.spots}
    arrays = {path for path, leaf in walk((records.session.call.args, records.session.call.kwargs)) if is_array(leaf)}
    return arrays <= explained and records.session.call.records is None and records_independent(records.session)


def joins_quantity(evaluation: Evaluation) -> bool:
    """Returns whether the quantity of copies is known: the predicted classes, one class, or a label for each record."""
    of = evaluation.of
    return of is None or isinstance(of, (int, str, Labels)) or is_array(of)


def tiled_labels(evaluation: Evaluation, copies: int) -> Any:
    """Returns the quantity for some copies of the records; None where it is that of the evaluation."""
    of: Any = evaluation.of
    if of is None and (target := evaluation.attribution.target) is not None:
        return Labels(tuple(int(t) for t in np.tile(target, copies)))
    if isinstance(of, Labels) and len(of.labels) > 1:
        return replace(of, labels=of.labels * copies)
    return Labels(tuple(np.tile(as_numpy(of), copies).tolist())) if is_array(of) and np.ndim(as_numpy(of)) == 1 else of
