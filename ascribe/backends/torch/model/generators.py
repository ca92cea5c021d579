"""The state of random generators that a model may draw from, restored if the call itself drew from them.

The generators of the process belong to all its threads: to put one back where another thread has drawn would make that thread draw the
same numbers again. So a generator that moved is put back only where no other thread can have moved it, or the model is known to draw.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class GeneratorStates:
    """The states of the process's generators and of a model's own, and the default type of the process."""

    def __init__(self, own: Sequence[Any] = (), numbers: bool = False) -> None:
        self.dtype = torch.get_default_dtype()
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self.numbers = _numbers() if numbers else None
        self.own = [(generator, state_of(generator)) for generator in own]
        self.ours: bool | None = None

    def unsure(self) -> bool:
        """True if a generator moved, and it is not known which thread moved it."""
        if not self.moved():
            self.ours = False
        elif threading.active_count() == 1:
            self.ours = True
        return self.ours is None

    def moved(self) -> bool:
        """True if a generator of the process is not where it was."""
        if not torch.equal(torch.get_rng_state(), self.cpu):
            return True
        if self.cuda is not None and any(map(unlike, torch.cuda.get_rng_state_all(), self.cuda)):
            return True
        return self.numbers is not None and numbers_moved(self.numbers)

    def has_moved(self) -> bool:
        """True if any generator is not where it was, of the process or of the model."""
        if self.own and any(unlike(state_of(generator), state) for generator, state in self.own):
            return True
        return self.moved()

    def put_back(self) -> None:
        """All of it as it was, as far as it is ours to put back."""
        if torch.get_default_dtype() != self.dtype:
            torch.set_default_dtype(self.dtype)
        for generator, state in self.own:
            set_state(generator, state)
        if self.ours is None:
            self.unsure()
        if not self.ours:
            return
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.numbers is not None:
            random.setstate(self.numbers[0])
            np.random.set_state(self.numbers[1])


def _numbers() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def numbers_moved(before: tuple[Any, Any]) -> bool:
    """True if Python's or NumPy's generator is not where it was."""
    python, numpy = _numbers()
    return python != before[0] or any(not np.array_equal(a, b) for a, b in zip(numpy, before[1], strict=True))


class Draws(TorchDispatchMode):
    """Sees whether this thread draws from PyTorch's generators while entered, and whether Python's or NumPy's move."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it means to import it, which takes a second

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = False
        self.numbers = _numbers()

    def __exit__(self, *exc: Any) -> None:
        self.found = self.found or numbers_moved(self.numbers)
        super().__exit__(*exc)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.found or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        before = _states()  # attention, for one, is tagged so and draws only with dropout
        result = func(*args, **(kwargs or {}))
        self.found = any(map(unlike, _states(), before))
        return result


def _states() -> list[torch.Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ())]


def state_of(generator: Any) -> Any:
    """Where a generator is."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.get_state()


def set_state(generator: Any, state: Any) -> None:
    """Put a generator where it was."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def unlike(a: Any, b: Any) -> bool:
    """True if two states of a generator differ."""
    if isinstance(a, torch.Tensor):
        return not torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return not np.array_equal(a, b)
    if isinstance(a, dict):
        return any(unlike(value, b[key]) for key, value in a.items())
    return any(map(unlike, a, b)) if isinstance(a, tuple) else bool(a != b)
