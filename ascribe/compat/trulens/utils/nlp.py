"""``trulens.utils.nlp``: token baselines, as functions for a distribution's ``baseline``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ....arrays import as_numpy, namespace
from .typing import ModelInputs

Baseline = Callable[..., Any]


def token_baseline(
    keep_tokens: Iterable[int],
    replacement_token: int,
    input_accessor: Callable[[ModelInputs], Any],
    ids_to_embeddings: Callable[[Any], Any] | None = None,
) -> Baseline | tuple[Baseline, Baseline]:
    """Returns a function that replaces all tokens except ``keep_tokens``, and one for their embeddings."""
    kept = list(keep_tokens)
    return _functions(lambda ids: np.where(np.isin(ids, kept), ids, replacement_token), input_accessor, ids_to_embeddings)


def token_baseline_swap(
    token_pairs: Sequence[tuple[int, int]],
    input_accessor: Callable[[ModelInputs], Any],
    ids_to_embeddings: Callable[[Any], Any] | None = None,
) -> Baseline | tuple[Baseline, Baseline]:
    """Returns functions as :func:`token_baseline` that exchange the tokens of each pair."""

    def swapped(ids: np.ndarray) -> np.ndarray:
        for a, b in token_pairs:
            ids = np.where(ids == a, b, np.where(ids == b, a, ids))
        return ids

    return _functions(swapped, input_accessor, ids_to_embeddings)


def _functions(change: Callable[[np.ndarray], np.ndarray], find: Callable[[ModelInputs], Any], embed: Any) -> Any:
    def base_ids(z: Any = None, model_inputs: Any = None) -> Any:
        ids = find(model_inputs)
        numbers = as_numpy(ids)
        return namespace(ids).asarray(change(numbers).astype(numbers.dtype), ids)

    def base_embeddings(z: Any = None, model_inputs: Any = None) -> Any:
        return embed(base_ids(z, model_inputs))

    return base_ids if embed is None else (base_ids, base_embeddings)
