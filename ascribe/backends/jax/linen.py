"""Flax linen: a bound module is its variables and a module without; the calls of all modules are intercepted while a model is traced."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import linen

from ...calls.call import Call
from ..protocol import Bias
from .biases import ARRAYS, KnownLayer, read_biases
from .opened import Opened, Opening, hashable
from .tags import call_marked, kind_of


def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Flax calls this instead of every method of a module while a model is traced in this thread."""
    if context.method_name != "__call__":
        return call(*args, **kwargs)
    return call_marked(call, args, kwargs, ".".join(context.module.path), kind_of(type(context.module)))


def marking() -> Any:
    """A context in which the calls of modules are marked, in this thread."""
    return linen.intercept_methods(intercept)


def owns(obj: Any) -> bool:
    """True for modules, bound or not."""
    return isinstance(obj, linen.Module)


def open_object(module: Any, name: str, opening: Opening) -> Opened:
    """A module, with the variables and keys of random generators that it is bound to."""
    opening.prefix(module, name)
    if module.scope is None:
        key, lasting = hashable(("linen", module), module, vars(module).values())
        return Opened((), key, lambda weights: module, lasting, type(module).__name__)
    free, variables = module.unbind()
    rngs = {stream: lazy.as_jax_rng() for stream, lazy in module.scope.rngs.items()}
    key, lasting = hashable(("linen", free), free, vars(free).values())

    def build(weights: Any) -> Any:
        return free.bind(weights[0], rngs=weights[1])

    return Opened((variables, rngs), key, build, lasting, type(free).__name__)


def variables_of(model: Any) -> Any:
    """The variables of the module in a model: those that it is bound to, or that a partial application binds; empty without."""
    variables: Any = {}
    while not owns(model):
        if isinstance(model, partial):
            model, variables = model.func, model.args[0] if model.args else model.keywords.get("variables", variables)
        elif isinstance(model, types.MethodType):
            model = model.__self__
        elif type(model).__name__ == "PjitFunction":
            model = model.__wrapped__
        else:
            return {}
    return variables if model.scope is None else model.unbind()[1]


def biases_in_call(
    model: Any, fn: Callable[..., Any], weights: Any, layers: Sequence[str], call: Call
) -> tuple[dict[str, Bias], list[str]] | None:
    """The biases of layers, whose modules exist only while the model is traced; None for a model without variables of linen."""
    variables = variables_of(model)
    if not variables:
        return None
    modules: dict[str, Any] = {}

    def look(call_module: Any, args: Any, kwargs: Any, context: Any) -> Any:
        modules.setdefault(".".join(context.module.path), context.module)
        return call_module(*args, **kwargs)

    with linen.intercept_methods(look):
        jax.eval_shape(lambda weights: fn(weights, call.args, call.kwargs), weights)

    def known(path: str) -> KnownLayer | None:
        if path not in modules:
            return None
        held: dict[str, Any] = {}
        for collection in variables.values():
            part: Any = collection
            for name in path.split("."):
                part = part.get(name, {})
            held |= {name: part[name] for name in ARRAYS if name in part}
        return KnownLayer(modules[path], held, channels_first=False)

    return read_biases(layers, known)
