"""The devices that a JAX model runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ...utils.entry import out_of_memory
from ..device import free_memory
from ..protocol import Evidence

SHARE = 0.8
"""The share of the free memory of an accelerator that one chunk may take."""


class JaxDevice:
    """The devices of a call's arguments. See :class:`ascribe.backends.device.Device`."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.running: Any = None
        own = jax.numpy.zeros(()).devices()
        self.host = all(d.platform == "cpu" for d in own) and all(a.devices() == own for a in arrays)
        """True if all arrays are where JAX puts new ones, in the computer's own memory.

        NumPy's views of them cost nothing there, and what is made of a view is on the same device again.
        """

    def given(self, array: Any) -> Any:
        """An array as the engine works on it: NumPy's view where there is one."""
        return np.asarray(array) if self.host and array.dtype.kind in "fiubc" else array

    def given_evidence(self, evidence: Evidence) -> Evidence:
        """The same with its arrays as the engine works on them."""
        if not self.host:
            return evidence
        for name in ("grads", "starts", "shares", "direct_relevance"):
            setattr(evidence, name, {cut: [self.given(a) for a in arrays] for cut, arrays in getattr(evidence, name).items()})
        for reading in evidence.reads.values():
            reading.arrays = [self.given(a) for a in reading.arrays]
        evidence.value = None if evidence.value is None else self.given(evidence.value)
        evidence.start = None if evidence.start is None else self.given(evidence.start)
        return evidence

    def started(self, arrays: Any) -> None:
        """Remember what was started last: JAX returns before its work is done."""
        self.running = arrays

    def wait(self) -> None:
        """Return when the last results are there."""
        running, self.running = self.running, None
        jax.block_until_ready(running)

    def out_of_memory(self, error: BaseException) -> bool:
        """True if fewer rows at once may fit."""
        return out_of_memory(error) or "RESOURCE_EXHAUSTED" in str(error)

    def spare_memory(self) -> int:
        """Bytes that a chunk may take."""
        device = jax.local_devices()[0]
        known = device.memory_stats() if device.platform != "cpu" else None
        if not known or "bytes_limit" not in known:
            return free_memory()
        return int((known["bytes_limit"] - known.get("bytes_in_use", 0)) * SHARE)
