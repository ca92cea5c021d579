"""Single values and tuples of them, and seeds: ``pnpxai.utils``."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from ...arrays import as_numpy
from ...errors import CompatError
from ...quantities import Labels


def format_into_tuple(value: Any) -> tuple[Any, ...]:
    """Returns a value as a tuple: a sequence as it is, None as an empty one."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def format_out_tuple_if_single(values: Any) -> Any:
    """Returns the only element of a tuple, or the tuple."""
    return values[0] if len(values) == 1 else tuple(values)


def class_to_string(value: Any) -> str:
    """Returns the name of an object's class."""
    return type(value).__name__


def set_seed(seed: int) -> None:
    """Seeds the generators of Python, NumPy and PyTorch."""
    random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))


def generate_param_key(*parts: Any) -> str:
    """Returns the parts that are not None, with dots between them."""
    return ".".join(str(part) for part in parts if part is not None)


def as_labels(targets: Any) -> Labels:
    """Returns the classes of the records as a quantity. Raises CompatError for anything but integers."""
    array = as_numpy(targets) if targets is not None else np.zeros(0)
    if array.size == 0 or array.dtype.kind not in "iuf" or (array.dtype.kind == "f" and (array % 1 != 0).any()):
        there = "None" if targets is None else f"{type(targets).__name__} {str(targets)[:60]}"
        raise CompatError("`targets` are the classes of the records", found=there, advice="model(inputs).argmax(-1), or integer labels")
    return Labels(tuple(int(t) for t in array.reshape(-1)))


def check_tensors(values: Iterable[Any]) -> None:
    """Raises CompatError for inputs that are no tensors."""
    wrong = next((value for value in values if not isinstance(value, torch.Tensor)), None)
    if wrong is not None:
        advice = "tensors, or forward_arg_extractor= that takes them out of a batch"
        raise CompatError("The explained inputs must be tensors", found=f"a {type(wrong).__name__}", advice=advice)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, whose modules have their own modes again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
