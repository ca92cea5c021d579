"""The data, explainers, postprocessors and metrics of an experiment, each by number, and what was computed from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from ....errors import InputError
from ..tuples import format_out_tuple_if_single

Arrays = tuple[Tensor, ...]


class ExperimentCache:
    """Results by what they were computed from: the record, the weights of the model, and the settings of what computed them.

    They are plain tensors without graphs, in memory, and in a folder on request (one safetensors file each).
    """

    def __init__(self, cache_device: torch.device | str | None = None, cache_dir: str | Path | None = None) -> None:
        self.device = cache_device
        self.folder = None if cache_dir is None else Path(cache_dir)
        self.held: dict[str, Arrays] = {}

    def get(self, key: str) -> Arrays | None:
        """Returns the tensors of a key; None if there are none."""
        if key in self.held or self.folder is None:
            return self.held.get(key)
        file = self.folder / f"{key}.safetensors"
        if not file.is_file():
            return None
        found = load_file(file)
        self.held[key] = tuple(found[name] for name in sorted(found))
        return self.held[key]

    def set(self, key: str, values: Arrays) -> None:
        """Keeps tensors under a key."""
        kept = tuple(v.detach() if self.device is None else v.detach().to(self.device) for v in values)
        self.held[key] = kept
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            whole = {f"{place:03d}": v.cpu().contiguous().clone() for place, v in enumerate(kept)}
            part = self.folder / f"{key}.part"
            save_file(whole, part)
            part.replace(self.folder / f"{key}.safetensors")


class ExperimentManager:
    """Everything of an experiment by number: records of the data, explainers, postprocessors, metrics."""

    def __init__(
        self, data: Any, cache_device: torch.device | str | None = None, cache_dir: str | Path | None = None, model: Any = None
    ) -> None:
        self.data, self.model = data, model
        whole: Any = data.dataset if isinstance(data, DataLoader) else data
        self.dataset = whole
        self.collate: Callable[[list[Any]], Any] = data.collate_fn if isinstance(data, DataLoader) else default_collate
        self.batch_size = (data.batch_size if isinstance(data, DataLoader) else None) or max(1, len(self.dataset))
        self.explainers: list[Any] = []
        self.postprocessors: list[Any] = []
        self.metrics: list[Any] = []
        self.cache = ExperimentCache(cache_device, cache_dir)
        self.contents: dict[int, str] = {}

    def clear(self) -> None:
        """Forgets explainers, metrics and results."""
        self.explainers, self.metrics, self.cache.held = [], [], {}

    def get_data_ids(self, data_ids: Sequence[int] | None = None) -> list[int]:
        """Returns the numbers of the records, by default of all. Raises InputError for numbers that there are not."""
        ids = list(range(len(self.dataset))) if data_ids is None else [int(i) for i in data_ids]
        if wrong := [i for i in ids if not 0 <= i < len(self.dataset)]:
            raise InputError(
                "There are no such records", found=f"data_ids {wrong[:5]} of {len(self.dataset)} records", advice="data_ids=[0]"
            )
        if not ids:
            raise InputError("There are no records to explain", found="empty data_ids", advice="data_ids=[0]")
        return ids

    def chunks(self, data_ids: Sequence[int]) -> list[list[int]]:
        """Returns the numbers in batches of the size of the data loader."""
        return [list(data_ids[i : i + self.batch_size]) for i in range(0, len(data_ids), self.batch_size)]

    def batch_data_by_ids(self, data_ids: Sequence[int]) -> Any:
        """Returns records as one batch."""
        return self.collate([self.dataset[i] for i in data_ids])

    def get_data_by_id(self, data_id: int) -> Any:
        """Returns one record."""
        return self.dataset[data_id]

    def add_explainer(self, explainer: Any) -> int:
        """Adds an explainer and returns its number."""
        self.explainers.append(explainer)
        return len(self.explainers) - 1

    def add_postprocessor(self, postprocessor: Any) -> int:
        """Adds a postprocessor and returns its number."""
        self.postprocessors.append(postprocessor)
        return len(self.postprocessors) - 1

    def add_metric(self, metric: Any) -> int:
        """Adds a metric and returns its number."""
        self.metrics.append(metric)
        return len(self.metrics) - 1

    def get_explainer_by_id(self, explainer_id: int) -> Any:
        """Returns an explainer."""
        return self.explainers[explainer_id]

    def get_postprocessor_by_id(self, postprocessor_id: int) -> Any:
        """Returns a postprocessor."""
        return self.postprocessors[postprocessor_id]

    def get_metric_by_id(self, metric_id: int) -> Any:
        """Returns a metric."""
        return self.metrics[metric_id]

    def get_explainers(self, explainer_ids: Sequence[int] | None = None) -> tuple[list[Any], list[int]]:
        """Returns explainers and their numbers."""
        return chosen(self.explainers, explainer_ids)

    def get_postprocessors(self, postprocessor_ids: Sequence[int] | None = None) -> tuple[list[Any], list[int]]:
        """Returns postprocessors and their numbers."""
        return chosen(self.postprocessors, postprocessor_ids)

    def get_metrics(self, metric_ids: Sequence[int] | None = None) -> tuple[list[Any], list[int]]:
        """Returns metrics and their numbers."""
        return chosen(self.metrics, metric_ids)

    def key(self, data_id: int, *parts: Any) -> str:
        """Returns the key of a result: a record's content, the weights of the model and the settings of what computed it."""
        if data_id not in self.contents:
            self.contents[data_id] = digest(self.dataset[data_id])
        return hashlib.sha256("\n".join([self.contents[data_id], digest(self.model), *(digest(p) for p in parts)]).encode()).hexdigest()[
            :40
        ]

    def known(self, data_ids: Sequence[int], *parts: Any) -> list[Arrays | None]:
        """Returns the result of each record; None where there is none."""
        return [self.cache.get(self.key(i, *parts)) for i in data_ids]

    def keep(self, data_ids: Sequence[int], values: Any, *parts: Any) -> None:
        """Keeps a batch of results."""
        arrays = tuple(values) if isinstance(values, (tuple, list)) else (values,)
        for place, data_id in enumerate(data_ids):
            self.cache.set(self.key(data_id, *parts), tuple(torch.as_tensor(a)[place] for a in arrays))


def chosen(values: list[Any], numbers: Sequence[int] | None) -> tuple[list[Any], list[int]]:
    """Returns values by number, by default all, and their numbers."""
    ids = list(range(len(values))) if numbers is None else list(numbers)
    return [values[i] for i in ids], ids


def batch(results: Sequence[Arrays]) -> Any:
    """Returns the results of records as one batch."""
    return format_out_tuple_if_single(tuple(torch.stack([r[i] for r in results]) for i in range(len(results[0]))))


def digest(value: Any) -> str:
    """Returns a text that is equal for equal content: tensors by their numbers, models by their weights, objects by their settings."""
    hashed = hashlib.sha256()
    feed(hashed, value, set())
    return hashed.hexdigest()


def feed(hashed: Any, value: Any, above: set[int]) -> None:
    """Adds a value to a hash."""
    if isinstance(value, nn.Module):
        feed(hashed, (type(value).__qualname__, repr(value), dict(value.state_dict())), above)
    elif isinstance(value, Tensor):
        hashed.update(f"{value.dtype}{tuple(value.shape)}".encode())
        hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            feed(hashed, (str(key), value[key]), above)
    elif isinstance(value, (list, tuple)):
        hashed.update(f"({len(value)}".encode())
        for one in value:
            feed(hashed, one, above)
    elif value is None or isinstance(value, (str, int, float, bool, bytes, complex)):
        hashed.update(f"{type(value).__name__}{value!r};".encode())
    elif callable(value) and hasattr(value, "__code__"):
        hashed.update(value.__code__.co_code + repr(value.__code__.co_consts).encode())
        feed(hashed, (value.__qualname__, [c.cell_contents for c in value.__closure__ or ()]), above | {id(value)})
    elif id(value) in above or not hasattr(value, "__dict__"):
        hashed.update(f"{type(value).__qualname__}{value!r}".encode())
    else:
        settings = {k: v for k, v in vars(value).items() if k not in ("model", "explainer")}
        feed(hashed, (type(value).__module__, type(value).__qualname__, settings), above | {id(value)})
