"""Flax linen: bound modules and partial applications of ``module.apply``."""

from __future__ import annotations

from typing import Any

from flax import linen

from ...errors import BackendError
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

    return Model(fn, variables, ("linen", as_key(module)), type(module).__name__)


def partial_apply(model: Any) -> Model:
    """``functools.partial(module.apply, variables, ...)``: the arrays that it binds are the weights."""
    method, bound = unwrap(model)
    module = method.__self__

    def fn(weights: Any, args: Any, kwargs: Any) -> Any:
        with linen.intercept_methods(intercept):
            return bound.call(method, weights, args, kwargs)

    definition = ("linen", method.__name__, as_key(module), bound.definition)
    return Model(fn, bound.weights, definition, type(module).__name__)
