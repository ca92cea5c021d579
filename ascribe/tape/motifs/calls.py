"""Operations of frameworks whose table has a row per name: the operation with the function that evaluates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..tape import Entry, Operation


@dataclass(frozen=True, eq=False)
class Call:
    """An operation with its row of the table; ``run`` evaluates it on the arguments of an entry, ``extra`` completes those of its form."""

    operation: Operation
    run: Callable[..., Any]
    extra: tuple[Any, ...] = ()


def call_named(entry: Entry, name: str) -> Call:
    """The call of an entry's framework for a motif: ``softmax``, ``log_softmax``, ``logsumexp``, ``mean``, ``dense``, ``layer_norm``,
    ``rms_norm``."""
    framework: Any = entry.framework
    call: Call = framework.calls[name]
    return call


def channel_axis(entry: Entry) -> int:
    """The axis of the channels in the result of a convolution."""
    framework: Any = entry.framework
    axis: int = framework.channel_axis(entry)
    return axis
