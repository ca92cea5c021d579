"""Running statistics of streams of values, and summaries of several statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from .translate.errors import raise_as_captum

StatValue = Tensor | int | float


class Stat:
    """Base class of a statistic: ``init``, ``update`` with each value, ``get``. Classes of your own define these three."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        self.params, self._name = kwargs, name
        self._other_stats: SummarizerSingleTensor | None = None

    def init(self) -> None:
        """Resets the statistic."""

    def get(self) -> StatValue | None:
        """Returns the statistic of the values so far; None if there are none."""
        raise NotImplementedError

    def update(self, x: Any) -> None:
        """Adds a value."""
        raise NotImplementedError

    def _get_stat(self, stat: Stat) -> Stat | None:
        """Returns another statistic of the same summary."""
        return self._other_stats.get(stat) if self._other_stats is not None else None

    @property
    def name(self) -> str:
        """The name of the statistic in a summary."""
        return self._name or "".join(c if c.islower() or not i else f"_{c}" for i, c in enumerate(type(self).__name__)).lower()

    def __hash__(self) -> int:
        return hash((type(self), frozenset(self.params.items())))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.params == self.params


class Count(Stat):
    """The number of values."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.init()

    def init(self) -> None:
        self.n = 0

    def get(self) -> int:
        return self.n

    def update(self, x: Any) -> None:
        self.n += 1


class Moments(Stat):
    """The mean and the sum of squared deviations, updated by Welford's algorithm (1962)."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.init()

    def init(self) -> None:
        self.n = 0
        self.mean = self.squares = torch.zeros(())

    def update(self, x: Any) -> None:
        x = torch.as_tensor(x)
        kind = x.dtype if x.is_floating_point() else torch.float64
        x = x.to(torch.float64)
        if not self.n:
            self.kind, self.mean, self.squares = kind, torch.zeros_like(x), torch.zeros_like(x)
        self.n += 1
        apart = x - self.mean
        self.mean = self.mean + apart / self.n
        self.squares = self.squares + apart * (x - self.mean)


class Mean(Moments):
    """The mean."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)

    def get(self) -> Tensor | None:
        return self.mean.to(self.kind) if self.n else None


class MSE(Moments):
    """The sum of squared deviations from the mean."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "mse")

    def get(self) -> Tensor | None:
        return self.squares.to(self.kind) if self.n else None


class Var(Moments):
    """The variance; ``order=1`` for the unbiased one of a sample."""

    word = "variance"

    def __init__(self, name: str | None = None, order: int = 0) -> None:
        named = name or (self.word if not order else f"sample_{self.word}" if order == 1 else f"{self.word}({order})")
        super().__init__(named, order=order)
        self.order = order

    def get(self) -> Tensor | None:
        if not self.n:
            return None
        return self.squares / (self.n - self.order) if self.n > self.order else torch.zeros_like(self.squares)


class StdDev(Var):
    """The standard deviation; ``order=1`` for that of a sample."""

    word = "std_dev"

    def get(self) -> Tensor | None:
        variance = super().get()
        return None if variance is None else variance.sqrt()


class GeneralAccumFn(Stat):
    """A function of two values, applied to all values one after the other."""

    def __init__(self, name: str | None, fn: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(name, fn=fn)
        self.fn = fn
        self.init()

    def init(self) -> None:
        self.held: Tensor | None = None

    def get(self) -> Tensor | None:
        return self.held

    def update(self, x: Any) -> None:
        x = torch.as_tensor(x)
        self.held = x if self.held is None else self.fn(self.held, x)


class Min(GeneralAccumFn):
    """The element-wise minimum."""

    def __init__(self, name: str | None = None, min_fn: Callable[[Tensor, Tensor], Tensor] = torch.min) -> None:
        super().__init__(name, min_fn)


class Max(GeneralAccumFn):
    """The element-wise maximum."""

    def __init__(self, name: str | None = None, max_fn: Callable[[Tensor, Tensor], Tensor] = torch.max) -> None:
        super().__init__(name, max_fn)


class Sum(GeneralAccumFn):
    """The element-wise sum."""

    def __init__(self, name: str | None = None, add_fn: Callable[[Tensor, Tensor], Tensor] = torch.add) -> None:
        super().__init__(name, add_fn)


def CommonStats() -> list[Stat]:  # captum's own spelling
    """Mean, sample variance, sample standard deviation, minimum and maximum."""
    return [Mean(), Var(order=1), StdDev(order=1), Min(), Max()]


class SummarizerSingleTensor:
    """Statistics of one stream of tensors; ``summary_stats_indices`` selects those in the summary."""

    def __init__(self, stats: Sequence[Stat], summary_stats_indices: Sequence[int]) -> None:
        self._stats, self._shown = list(stats), list(summary_stats_indices)
        for stat in self._stats:
            stat._other_stats = self
            stat.init()

    def update(self, x: Any) -> None:
        """Adds a value."""
        for stat in self._stats:
            stat.update(x)

    def get(self, stat: Stat) -> Stat | None:
        """Returns the statistic that equals ``stat``."""
        return next((own for own in self._stats if own == stat), None)

    @property
    def summary(self) -> dict[str, StatValue | None]:
        """The statistics by name."""
        return {self._stats[i].name: self._stats[i].get() for i in self._shown}


class Summarizer:
    """Statistics of a stream of tensors, or of tuples of tensors."""

    def __init__(self, stats: Sequence[Stat]) -> None:
        self._stats = list(stats)
        self._single: bool | None = None
        self._summarizers: list[SummarizerSingleTensor] = []

    def update(self, x: Any) -> None:
        """Adds a tensor, a number or a tuple of those. Raises InputError if the structure changes."""
        single = not isinstance(x, tuple)
        if self._single is not None and self._single != single:
            with raise_as_captum():
                there = "a tensor and a tuple"
                raise InputError("All updates of a summary must have the same structure", found=there, advice="update(x) with tensors only")
        self._single = single
        parts = (x,) if single else x
        for i, part in enumerate(parts):
            if i == len(self._summarizers):
                self._summarizers.append(SummarizerSingleTensor(copy.deepcopy(self._stats), range(len(self._stats))))
            self._summarizers[i].update(part if isinstance(part, Tensor) else torch.tensor(part))

    @property
    def summary(self) -> dict[str, Any] | list[dict[str, Any]] | None:
        """The statistics by name, one dictionary for each part of a tuple; None before the first value."""
        found = [one.summary for one in self._summarizers]
        if not found:
            return None
        return found[0] if self._single else found


class ClassSummarizer(Summarizer):
    """A summary for each label and one for all."""

    def __init__(self, stats: Sequence[Stat]) -> None:
        super().__init__(stats)
        self.summaries: dict[Any, Summarizer] = {}

    def update(self, x: Any, labels: Any = None) -> None:
        """Adds rows, each with its label or all with one; without labels, adds the values as they are.

        Raises InputError if the numbers of rows and labels differ.
        """
        if labels is None:
            super().update(x)
            return
        parts = x if isinstance(x, tuple) else (x,)  # with labels a summary is a list, of one dictionary for a single tensor
        labels = labels.tolist() if isinstance(labels, Tensor) else labels if isinstance(labels, list) else [labels]
        if len(labels) > 1 and any(len(part) != len(labels) for part in parts):
            with raise_as_captum():
                there = f"{len(labels)} labels for {[len(part) for part in parts]} rows"
                raise InputError("The number of labels differs from the number of rows", found=there, advice="one label for each row")
        for i in range(len(parts[0])):
            row, label = tuple(part[i] for part in parts), labels[0 if len(labels) == 1 else i]
            super().update(row)
            self.summaries.setdefault(label, Summarizer(self._stats)).update(row)

    @property
    def class_summaries(self) -> dict[Any, Any]:
        """The summary of each label."""
        return {label: one.summary for label, one in self.summaries.items()}
