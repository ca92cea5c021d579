"""``trulens.utils.typing``: the containers and helpers that users' own distributions, quantities and baselines meet."""

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

# Names for annotations in users' code, with the parameters that trulens gave them; nothing is checked against them.
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
    """One entry for each number that the quantity gives."""


class Uniform(list[V], Generic[V]):
    """One entry for each point of a distribution, all alike in weight."""


DATA_CONTAINER_TYPE = (list, tuple)
MAP_CONTAINER_TYPE = (Mapping,)


class Tensors:
    """What can be given as a model's inputs."""

    def as_model_inputs(self) -> ModelInputs:
        raise NotImplementedError


InterventionLike: Any = list | tuple | Tensors | V
BaselineLike: Any = list | tuple | Callable[..., Any] | V


class TensorAKs(Tensors):
    """Positional and keyword arguments of a model."""

    def __init__(self, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> None:
        if not isinstance(args, DATA_CONTAINER_TYPE):
            raise ValueError(f"positional arguments are a list, not a {type(args).__name__}")
        self.args, self.kwargs = list(args), dict(kwargs or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<{len(self.args)} positional>{''.join(f', {name}=...' for name in self.kwargs)})"

    def __len__(self) -> int:
        return len(self.args) + len(self.kwargs)

    def __contains__(self, item: Any) -> bool:
        return any(item is value for value in self.values())

    def values(self) -> Iterator[Any]:
        """Every argument, positional ones first."""
        yield from (*self.args, *self.kwargs.values())

    def map(self, f: Callable[[Any], Any]) -> TensorAKs:
        """The same call with ``f`` of every array in it."""
        return type(self)(nested_map(self.args, f), nested_map(self.kwargs, f))

    def foreach(self, f: Callable[[Any], Any]) -> None:
        """Call ``f`` with every array in turn."""
        nested_map([*self.values()], f)

    def first_batchable(self, backend: Any = None) -> Any:
        """The first array among the arguments, or None; ``backend`` does not matter."""
        arguments = [v for value in self.values() for v in (value.values() if isinstance(value, Mapping) else [value])]
        return next((value for value in arguments if is_array(value)), None)

    def call_on(self, f: Callable[..., Any]) -> Any:
        """``f`` called with these arguments."""
        return f(*self.args, **self.kwargs)

    def as_model_inputs(self) -> ModelInputs:
        return ModelInputs(self.args, self.kwargs)


class ModelInputs(TensorAKs):
    """The arguments that a model is called with."""


class TensorArgs(TensorAKs):
    """Positional arguments alone."""

    def __init__(self, args: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(args)


def many_of_om(args: Any, innertype: Any = None) -> Any:
    """One or more as a container: what is no container becomes a list of one."""
    inner = innertype is None or not len(args) or isinstance(args[0], innertype) if isinstance(args, DATA_CONTAINER_TYPE) else False
    return args if inner else [args]


def om_of_many(inputs: Any) -> Any:
    """The only entry of a container of one; anything else as it is."""
    return inputs[0] if isinstance(inputs, DATA_CONTAINER_TYPE) and len(inputs) == 1 else inputs


def nested_map(y: Any, fn: Callable[[Any], Any], *, check_accessor: Any = None, nest: int = 999) -> Any:
    """``fn`` of everything inside containers, down to ``nest`` levels. What ``fn`` raises is raised."""
    if nest > 0 and isinstance(y, DATA_CONTAINER_TYPE):
        return type(y)(nested_map(item, fn, nest=nest - 1) for item in y)
    if nest > 0 and isinstance(y, Mapping):
        return {key: nested_map(item, fn, nest=nest - 1) for key, item in y.items()}
    return fn(y)


def nested_zip(y1: Any, y2: Any, nest: int = 999) -> Any:
    """Pairs of what two containers of one structure hold."""
    if nest > 0 and isinstance(y1, DATA_CONTAINER_TYPE) and isinstance(y2, DATA_CONTAINER_TYPE):
        return type(y1)(nested_zip(a, b, nest - 1) for a, b in zip(y1, y2, strict=True))
    if nest > 0 and isinstance(y1, Mapping) and isinstance(y2, Mapping):
        return {key: nested_zip(y1[key], y2[key], nest - 1) for key in y1}
    return y1, y2


def nested_cast(backend: Any, args: Any, astype: Any) -> Any:
    """Every array as NumPy, or as the backend's tensor."""
    return nested_map(args, as_numpy if astype is np.ndarray else backend.as_tensor)


def parameters(func: Callable[..., Any]) -> list[str] | None:
    """The names of a callable's parameters; None for those of other languages, which do not say."""
    try:
        return list(signature(func).parameters)
    except ValueError:
        return None


def accepts_model_inputs(func: Callable[..., Any]) -> bool:
    """Whether a callable wants the model's arguments, by the name ``model_inputs``."""
    return "model_inputs" in (parameters(func) or ())


def called(func: Callable[..., Any], value: Any, model_inputs: Any) -> Any:
    """A user's function of a value, given the model's arguments too where it wants them."""
    return func(value, model_inputs=model_inputs) if accepts_model_inputs(func) else func(value)


def in_short(obj: Any) -> str:
    """A repr of what an object holds; arrays by their shape only."""
    return f"{type(obj).__name__}({', '.join(name.lstrip('_') + '=' + format_value(value) for name, value in vars(obj).items())})"


def render_object(obj: Any, keys: Any = None) -> str:
    """An object as ``Name(key=value,...)``."""
    return f"{type(obj).__name__}({','.join(f'{key}={getattr(obj, key)}' for key in (dir(obj) if keys is None else keys))})"
