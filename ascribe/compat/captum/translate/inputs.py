"""Translates captum's ``inputs``, ``additional_forward_args`` and ``stdevs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....calls.call import Call
from ....errors import InputError, MethodError


@dataclass(frozen=True)
class CaptumInputs:
    """The inputs of a captum call: a list of tensors, and whether they came as one tensor, a tuple or a dictionary.

    ``names`` are the positions of the tensors in the model's arguments, or their keywords.
    """

    tensors: tuple[Tensor, ...]
    names: tuple[int | str, ...]
    single: bool

    @property
    def records(self) -> int:
        """The batch size."""
        return int(self.tensors[0].shape[0])

    def make_call(self, extra_args: Sequence[Any], extra_kwargs: Mapping[str, Any]) -> Call:
        """Returns the call of the model, in which only the inputs are explained."""
        keys = [name for name in self.names if isinstance(name, str)]
        args = () if keys else self.tensors
        kwargs = dict(zip(keys, self.tensors, strict=True)) if keys else {}
        return Call.of((*args, *extra_args), {**kwargs, **extra_kwargs}).only(*self.names)

    def pack(self, values: Sequence[Any]) -> Any:
        """Returns one value for each input in the structure of the inputs: alone, in a tuple or in a dictionary."""
        if self.single:
            return values[0]
        return dict(zip(self.names, values, strict=True)) if self.names and isinstance(self.names[0], str) else tuple(values)


def parse_inputs(inputs: Any) -> CaptumInputs:
    """Returns ``inputs`` as a CaptumInputs. Raises InputError unless they are tensors with a batch dimension."""
    if isinstance(inputs, Mapping):
        found = CaptumInputs(tuple(inputs.values()), tuple(map(str, inputs)), False)
    elif isinstance(inputs, (tuple, list)):
        found = CaptumInputs(tuple(inputs), tuple(range(len(inputs))), False)
    else:
        found = CaptumInputs((inputs,), (0,), True)
    for tensor in found.tensors:
        if not isinstance(tensor, Tensor) or not tensor.ndim:
            there = f"a tensor of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(
                "Inputs must be tensors with a batch dimension", found=there, advice="a tensor [records, ...], or a tuple of them"
            )
    if not found.tensors:
        raise InputError("There are no inputs", found=repr(inputs), advice="a tensor, or a tuple of tensors")
    return found


def parse_extra_args(additional: Any) -> tuple[Any, ...]:
    """Returns ``additional_forward_args`` as a tuple; anything but a tuple or None is a single argument."""
    if additional is None:
        return ()
    return additional if isinstance(additional, tuple) else (additional,)


def parse_stdevs(inputs: CaptumInputs, stdevs: Any) -> tuple[float, ...]:
    """Returns a standard deviation for each input. Raises MethodError for a wrong number of them, and for negative ones."""
    each = tuple(stdevs) if isinstance(stdevs, (tuple, list)) else (stdevs,) * len(inputs.tensors)
    if len(each) != len(inputs.tensors):
        there = f"{len(each)} stdevs for {len(inputs.tensors)} inputs"
        raise MethodError("The number of stdevs differs from the number of inputs", found=there, advice="one number, or one for each input")
    if not all(isinstance(s, (int, float, np.number)) and s >= 0 for s in each):
        raise MethodError("A standard deviation must be a number >= 0", found=f"stdevs={stdevs!r}", advice="stdevs=0.1")
    return tuple(map(float, each))


def repeat_rows(value: Any, times: int, records: int) -> Any:
    """Returns per-record values with every row repeated ``times`` times in a row; other values unchanged."""
    if isinstance(value, tuple):
        return tuple(repeat_rows(v, times, records) for v in value)
    if isinstance(value, list) and len(value) == records:
        return [v for v in value for _ in range(times)]
    if isinstance(value, Tensor) and value.ndim and len(value) == records and times > 1:
        return torch.repeat_interleave(value, times, 0)
    return value
