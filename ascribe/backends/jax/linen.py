"""Flax linen: bound modules and partial applications of ``module.apply``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import linen

from ...calls.call import Call
from ...errors import BackendError
from ..protocol import Bias
from .biases import ARRAYS, KnownLayer, read_biases
from .models import Model, as_key, unwrap
from .tags import call_marked


def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Flax calls this instead of every method of a module while a model is traced in this thread."""
    if context.method_name != "__call__":
        return call(*args, **kwargs)
    return call_marked(call, args, kwargs, ".".join(context.module.path), type(context.module).__name__)


def bound_module(bound: Any) -> Model:
    """A module with its variables: ``module.bind(variables)``. Raises BackendError for one without."""
    if bound.scope is None:
        what, name = "A Flax module without its variables cannot be called", type(bound).__name__
        raise BackendError(what, found=f"an unbound {name}", advice="model.bind(variables), or functools.partial(model.apply, variables)")
    module, variables = bound.unbind()

    def fn(variables: Any, args: Any, kwargs: Any) -> Any:
        with linen.intercept_methods(intercept):
            return module.apply(variables, *args, **kwargs)

    biases = partial(biases_in_call, fn, variables, variables)
    return Model(fn, variables, ("linen", as_key(module)), type(module).__name__, biases=biases)


def partial_apply(model: Any) -> Model:
    """``functools.partial(module.apply, variables, ...)``: the arrays that it binds are the weights."""
    method, bound = unwrap(model)
    module = method.__self__

    def fn(weights: Any, args: Any, kwargs: Any) -> Any:
        with linen.intercept_methods(intercept):
            return bound.call(method, weights, args, kwargs)

    definition = ("linen", method.__name__, as_key(module), bound.definition)
    inner: Any = model
    variables: Any = {}
    while isinstance(inner, partial):
        inner, variables = inner.func, inner.args[0] if inner.args else inner.keywords.get("variables", variables)
    return Model(fn, bound.weights, definition, type(module).__name__, biases=partial(biases_in_call, fn, bound.weights, variables))


def biases_in_call(
    fn: Callable[..., Any], weights: Any, variables: Any, layers: Sequence[str], call: Call
) -> tuple[dict[str, Bias], list[str]]:
    """The biases of layers, whose modules exist only while the model is traced."""
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
