"""``trulens.utils.typing``: containers and helpers for users' own distributions, quantities and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from ....arrays import as_numpy, is_array
from ....values import format_value

C = TypeVar("C")
V = TypeVar("V")
Tensor = TypeVar("Tensor")

# Names for annotations in users' code, with trulens' type parameters; nothing is checked against them.
OM: Any = V | C  # one value, or a container of several: OM[Inputs, TensorLike]
OMNested: Any = OM
TensorLike: Any = np.ndarray | Tensor
ArgsLike: Any = list | tuple | V
Kwargs: TypeAlias = dict[str, V]
Indexable: TypeAlias = list[V] | tuple[V]
KwargsLike: TypeAlias = dict[str, V] | dict[Any, V]
ModelLike = Any


class Inputs(list[V], Generic[V]):
    """One entry for each array at the attribution cut."""


class Outputs(list[V], Generic[V]):
    """One entry for each quantity."""


class Uniform(list[V], Generic[V]):
    """One entry for each point of a distribution, with equal weights."""


DATA_CONTAINER_TYPE = (list, tuple)
MAP_CONTAINER_TYPE = (Mapping,)


class Tensors:
    """Values that can be a model's inputs."""

    def as_model_inputs(self) -> ModelInputs:
        raise NotImplementedError


InterventionLike: Any = list | tuple | Tensors | V
BaselineLike: Any = list | tuple | Callable[..., Any] | V


class TensorAKs(Tensors):
    """Positional and keyword arguments of a model."""

    def __init__(self, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> None:
        if not isinstance(args, DATA_CONTAINER_TYPE):
            raise ValueError(f"Positional arguments must be a list, not a {type(args).__name__}")
        self.args, self.kwargs = list(args), dict(kwargs or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<{len(self.args)} positional>{''.join(f', {name}=...' for name in self.kwargs)})"

    def __len__(self) -> int:
        return len(self.args) + len(self.kwargs)

    def __contains__(self, item: Any) -> bool:
        return any(item is value for value in self.values())

    def values(self) -> Iterator[Any]:
        """Yields every argument, positional ones first."""
        yield from (*self.args, *self.kwargs.values())

    def map(self, f: Callable[[Any], Any]) -> TensorAKs:
        """Returns the arguments with ``f`` applied to every array."""
        return type(self)(nested_map(self.args, f), nested_map(self.kwargs, f))

    def foreach(self, f: Callable[[Any], Any]) -> None:
        """Calls ``f`` with every array."""
        nested_map([*self.values()], f)

    def first_batchable(self, backend: Any = None) -> Any:
        """Returns the first array among the arguments, or None; ``backend`` is ignored."""
        arguments = [v for value in self.values() for v in (value.values() if isinstance(value, Mapping) else [value])]
        return next((value for value in arguments if is_array(value)), None)

    def call_on(self, f: Callable[..., Any]) -> Any:
        """Calls ``f`` with these arguments."""
        return f(*self.args, **self.kwargs)

    def as_model_inputs(self) -> ModelInputs:
        return ModelInputs(self.args, self.kwargs)


class ModelInputs(TensorAKs):
    """The arguments that a model is called with."""


class TensorArgs(TensorAKs):
    """Positional arguments only."""

    def __init__(self, args: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(args)


def many_of_om(args: Any, innertype: Any = None) -> Any:
    """Returns one or more values as a container; a single value becomes a list of one."""
    inner = innertype is None or not len(args) or isinstance(args[0], innertype) if isinstance(args, DATA_CONTAINER_TYPE) else False
    return args if inner else [args]


def om_of_many(inputs: Any) -> Any:
    """Returns the only entry of a container of one; anything else unchanged."""
    return inputs[0] if isinstance(inputs, DATA_CONTAINER_TYPE) and len(inputs) == 1 else inputs


def nested_map(y: Any, fn: Callable[[Any], Any], *, check_accessor: Any = None, nest: int = 999) -> Any:
    """Returns the structure with ``fn`` applied to its leaves, down to ``nest`` levels. Errors of ``fn`` are raised."""
    if nest > 0 and isinstance(y, DATA_CONTAINER_TYPE):
        return type(y)(nested_map(item, fn, nest=nest - 1) for item in y)
    if nest > 0 and isinstance(y, Mapping):
        return {key: nested_map(item, fn, nest=nest - 1) for key, item in y.items()}
    return fn(y)


def nested_zip(y1: Any, y2: Any, nest: int = 999) -> Any:
    """Returns pairs of the leaves of two containers of one structure."""
    if nest > 0 and isinstance(y1, DATA_CONTAINER_TYPE) and isinstance(y2, DATA_CONTAINER_TYPE):
        return type(y1)(nested_zip(a, b, nest - 1) for a, b in zip(y1, y2, strict=True))
    if nest > 0 and isinstance(y1, Mapping) and isinstance(y2, Mapping):
        return {key: nested_zip(y1[key], y2[key], nest - 1) for key in y1}
    return y1, y2


def nested_cast(backend: Any, args: Any, astype: Any) -> Any:
    """Returns every array as NumPy, or as the backend's tensor."""
    return nested_map(args, as_numpy if astype is np.ndarray else backend.as_tensor)


def parameters(func: Callable[..., Any]) -> list[str] | None:
    """Returns the names of a callable's parameters; None if they cannot be inspected."""
    try:
        return list(signature(func).parameters)
    except ValueError:
        return None


def accepts_model_inputs(func: Callable[..., Any]) -> bool:
    """Returns True if a callable has a parameter ``model_inputs``."""
    return "model_inputs" in (parameters(func) or ())


def called(func: Callable[..., Any], value: Any, model_inputs: Any) -> Any:
    """Calls a user's function of a value, with the model's arguments if it accepts them."""
    return func(value, model_inputs=model_inputs) if accepts_model_inputs(func) else func(value)


def in_short(obj: Any) -> str:
    """Returns a repr of an object; arrays by their shape."""
    return f"{type(obj).__name__}({', '.join(name.lstrip('_') + '=' + format_value(value) for name, value in vars(obj).items())})"


def render_object(obj: Any, keys: Any = None) -> str:
    """Returns an object as ``Name(key=value,...)``."""
    return f"{type(obj).__name__}({','.join(f'{key}={getattr(obj, key)}' for key in (dir(obj) if keys is None else keys))})"
