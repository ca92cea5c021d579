"""Captum's arguments as the nouns they stand for: the call, the target, the layer, the neuron. Settled here once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...arrays import Array, as_numpy
from ...backends.torch.adapters import module_named, modules_behind
from ...calls.call import Call
from ...cuts import OUTPUT, Cut
from ...errors import CutError, InputError, MethodError, QuantityError
from ...quantities import Bound, Custom, Labels, Part, Quantity, Unit
from ...quantities.base import Picked, Same, part_of


@dataclass(frozen=True)
class Given:
    """The inputs as they were given: one tensor, a tuple or list, or a dictionary of them."""

    tensors: tuple[Tensor, ...]
    names: tuple[int | str, ...]
    single: bool
    whole: bool = False

    @property
    def records(self) -> int:
        """How many rows the inputs have."""
        return int(self.tensors[0].shape[0])

    def call(self, more: Sequence[Any], named: Mapping[str, Any]) -> Call:
        """The model's call, explained at the inputs alone."""
        keys = [name for name in self.names if isinstance(name, str)]
        args = () if keys else self.tensors
        kwargs = dict(zip(keys, self.tensors, strict=True)) if keys else {}
        return Call.of((*args, *more), {**kwargs, **named}).only(*self.names)

    def like(self, values: Sequence[Any]) -> Any:
        """One value for each input, in the form of the inputs."""
        if self.single:
            return values[0]
        return dict(zip(self.names, values, strict=True)) if self.names and isinstance(self.names[0], str) else tuple(values)

    def of(self, tensors: Sequence[Tensor]) -> Any:
        """Other tensors in the form of these."""
        return replace(self, tensors=tuple(tensors)).like(tensors)


def given(inputs: Any) -> Given:
    """``inputs`` as what they are. Raises InputError for anything but tensors with one row per record."""
    if isinstance(inputs, Mapping):
        found = Given(tuple(inputs.values()), tuple(map(str, inputs)), False)
    elif isinstance(inputs, (tuple, list)):
        found = Given(tuple(inputs), tuple(range(len(inputs))), False)
    else:
        found = Given((inputs,), (0,), True)
    for tensor in found.tensors:
        if not isinstance(tensor, Tensor) or not tensor.ndim:
            what = f"a tensor of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(f"inputs hold {what}", try_="tensors with one row per record, alone or in a tuple")
    if not found.tensors:
        raise InputError("there are no inputs", try_="a tensor or a tuple of tensors")
    return found


def more_args(additional: Any) -> tuple[Any, ...]:
    """``additional_forward_args`` as a tuple; one that is no tuple is a single argument, None is none."""
    if additional is None:
        return ()
    return additional if isinstance(additional, tuple) else (additional,)


def deviations(inputs: Given, stdevs: Any) -> tuple[float, ...]:
    """A standard deviation for each input, from one for all or one for each. Raises MethodError for other numbers of them, or below 0."""
    each = tuple(stdevs) if isinstance(stdevs, (tuple, list)) else (stdevs,) * len(inputs.tensors)
    if len(each) != len(inputs.tensors):
        raise MethodError(f"{len(each)} stdevs", there=f"{len(inputs.tensors)} inputs", try_="one number, or one for each input")
    if not all(isinstance(s, (int, float, np.number)) and s >= 0 for s in each):
        raise MethodError(f"stdevs={stdevs!r}", try_="numbers from 0 up")
    return tuple(map(float, each))


# Targets


WHOLE = (int, np.integer, Tensor)


class At(Unit):
    """A :class:`~ascribe.Unit` whose positions may count from the end, and that may be left out where there is but one number."""

    scored = False  # captum explains whole numbers too

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:])
        if not self.position:
            if int(np.prod(sizes, dtype=int)) != 1:
                there, try_ = f"an output of shape {tuple(y.shape)}", "target=: the number to explain"
                raise QuantityError("no target", there=there, try_=try_, code="E-TARGET-NONE")
            return Same(lambda y: y.reshape(len(y)))
        position, rest = self.position, sizes[len(self.position) :]
        position += (0,) * len(rest) if all(n == 1 for n in rest) else ()
        if len(position) == len(sizes):
            position = tuple(from_front(p, n) for p, n in zip(position, sizes, strict=True))
        return Unit(*position, on=self.on).bind(y, names, part)


@dataclass(frozen=True)
class Each:
    """A position of its own for each record: a tuple, or a number where the records have one axis."""

    positions: tuple[tuple[int, ...], ...]
    on: Cut = OUTPUT
    chooses = False

    def spread(self, times: int) -> Each:
        """The same where every record stands that many times in a row."""
        return Each(tuple(p for p in self.positions for _ in range(times)), self.on)

    def row(self, i: int) -> At:
        """That of one record."""
        return At(*self.positions[i], on=self.on)

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:]) or (1,)
        mine = part_of(y, part).of(self.positions, "targets")
        if set(map(len, mine)) != {len(sizes)}:
            there = f"a value of shape {tuple(y.shape)}"
            raise QuantityError(f"targets with {len(mine[0])} position(s)", there=there, code="E-TARGET-SHAPE")
        spots = np.array(mine, dtype=np.int64)
        if spots.min() < 0:
            spots = np.where(spots < 0, spots + sizes, spots)
        if spots.min() < 0 or (spots.max(0) >= sizes).any():
            raise QuantityError("a target is out of range", there=f"a value of shape {tuple(y.shape)}", code="E-TARGET-RANGE")
        if len(sizes) == 1:
            return Picked(spots[:, 0])
        return Picked(np.asarray(np.ravel_multi_index(tuple(spots.T), sizes)), lambda y: y.reshape(len(y), -1))


def spread(of: Quantity, times: int) -> Quantity:
    """A quantity where every record stands that many times in a row: one that is the same for all of them stays as it is."""
    return of.spread(times) if isinstance(of, Each) else of


def from_front(position: Any, size: int) -> Any:
    """A position counted from the front; what is out of range stays so, to be refused where positions are checked."""
    return position + size if isinstance(position, int) and -size <= position < 0 else position


def quantity(target: Any) -> Quantity:
    """``target`` as a quantity. Raises QuantityError for what is none of captum's forms."""
    if target is None:
        return At()
    if hasattr(target, "bind"):
        found: Quantity = target
        return found
    if isinstance(target, Tensor) and target.numel() == 1:
        target = int(target)
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        return At(int(target))
    if isinstance(target, tuple) and all(isinstance(p, (slice, *WHOLE)) for p in target):
        return At(*(p if isinstance(p, slice) else int(p) for p in target))
    if isinstance(target, (list, Tensor)) and len(target):
        if isinstance(target, Tensor) and target.ndim > 1:
            raise QuantityError(f"targets of shape {tuple(target.shape)}", try_="one number per record", code="E-TARGET-SHAPE")
        each = as_numpy(target) if isinstance(target, Tensor) else target
        if all(isinstance(t, str) for t in each):
            return Labels(tuple(each))
        if all(isinstance(t, tuple) for t in each):
            return Each(tuple(tuple(map(int, t)) for t in each))
        if all(isinstance(t, WHOLE) for t in each):
            return Each(tuple((int(t),) for t in each))
    if callable(target):
        return Custom(target)
    raise QuantityError(f"target={target!r}", try_="None, a number, a tuple, or one of those per record")


# Layers and neurons


class Holder(nn.Module):
    """A model around a function, so that layers which the function uses can be found by name."""

    def __init__(self, run: Callable[..., Any], modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules)
        self.__dict__["run"] = run  # a module among them would be registered twice

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["run"](*args, **kwargs)


@dataclass
class Kept:
    """What a method remembers of its model from call to call: models that had to be made, and the names of layers."""

    holders: dict[Any, Holder] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def named(self, host: nn.Module, modules: Sequence[nn.Module]) -> dict[int, str]:
        """Names by the modules' numbers; those of an earlier call are followed, and hold where they lead to the same modules."""
        if not all(id(m) in self.names and module_named(host, self.names[id(m)]) == [m] for m in modules):
            self.names = {id(m): name for name, m in host.named_modules()}
        return self.names


def placed(model: Any, layers: Sequence[Any], kept: Kept) -> tuple[Any, list[Cut]]:
    """A model in which all of these layers have a name, and those names. Raises CutError for what is no layer.

    ``kept`` remembers a model that had to be made, so that what is learnt about it is not lost from call to call.
    """
    modules = [getattr(layer, "_orig_mod", layer) for layer in layers if isinstance(layer, nn.Module)]
    hosts = modules_behind(model)
    names = kept.named(hosts[0], modules) if len(hosts) == 1 else {}
    if not all(names.get(id(m)) for m in modules):
        key = tuple(map(id, (model, *modules)))
        if key not in kept.holders:
            kept.holders[key] = Holder(model, list(dict.fromkeys((*hosts, *modules))))
        model = kept.holders[key]
        names = {id(m): name for name, m in model.named_modules()}
    return model, [cut_of(layer, names) for layer in layers]


def cut_of(layer: Any, names: Mapping[int, str]) -> Cut:
    """A layer, its name, or a cut, as a cut. Raises CutError for anything else."""
    if isinstance(layer, Cut):
        return layer
    if isinstance(layer, str):
        return Cut(layer)
    if isinstance(layer, nn.Module):
        return Cut(names[id(getattr(layer, "_orig_mod", layer))])
    raise CutError(f"a layer of type {type(layer).__name__}", try_="one of the model's modules, or its dotted name")


class OfInput(Custom):
    """A function of what goes into a layer: of the tensor where that is all there is, or of a tuple."""

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Same(lambda call: self.fn(entering(call)))


def entering(call: Any) -> Any:
    """What a layer was called with, as captum hands it over: a tensor alone, or the tuple of positional arguments."""
    if isinstance(call, Tensor):
        return call
    args, kwargs = call
    args = (*args, *kwargs.values())
    return args[0] if len(args) == 1 else args


def neuron(selector: Any, on: Cut) -> Quantity:
    """``neuron_selector`` as a quantity at a layer. Raises QuantityError for what selects nothing."""
    if isinstance(selector, (int, np.integer)) and not isinstance(selector, bool):
        return At(int(selector), on=on)
    if isinstance(selector, tuple) and selector and all(isinstance(p, (int, slice)) for p in selector):
        return At(*selector, on=on)
    if callable(selector):
        return OfInput(selector, on) if on.anchor == "in" else Custom(selector, on)
    raise QuantityError(f"neuron_selector={selector!r}", try_="a number, a tuple of numbers and slices, or a function")


# Rows


def repeated(value: Any, times: int, records: int) -> Any:
    """What belongs to records, each of them ``times`` times in a row; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(repeated(v, times, records) for v in value)
    if isinstance(value, list) and len(value) == records:
        return [v for v in value for _ in range(times)]
    if isinstance(value, Tensor) and value.ndim and len(value) == records and times > 1:
        return torch.repeat_interleave(value, times, 0)
    return value
