"""Which framework a model belongs to, from its class, its arguments, and what its code can see. Imports no framework.

A framework is one row of :data:`RECOGNISERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from ..calls.call import Call
from ..tree import walk
from .behind import models_behind, names_used
from .blackbox.runners import is_estimator, is_onnx

DEEP = 1000
"""Objects inside a model that are looked at, at most."""


@dataclass(frozen=True)
class Recogniser:
    """How the objects of a framework are recognised.

    ``packages`` are the root packages of its classes, ``models`` the modules of classes whose objects are always models. ``exits`` are
    attributes that make arrays of NumPy of the framework's own: a function that reads one is called with NumPy and returns NumPy, as
    ``net(torch.tensor(x)).detach().numpy()``. So are methods of models that are called ``predicts``.
    """

    packages: frozenset[str]
    models: frozenset[str] = frozenset()
    exits: frozenset[str] = frozenset()
    predicts: frozenset[str] = frozenset()

    def owns(self, obj: Any) -> bool:
        """True if an object's class is one of the framework's, or derived from one."""
        return any(cls.__module__.partition(".")[0] in self.packages for cls in type(obj).__mro__)


PREDICTS = frozenset({"predict", "predict_on_batch"})
"""Methods of Keras models that return arrays of NumPy."""
RECOGNISERS = {  # Keras first: on PyTorch its layers are modules too
    "keras": Recogniser(frozenset({"keras"}), frozenset({"keras.src.layers.layer"}), frozenset({"convert_to_numpy"}), PREDICTS),
    "torch": Recogniser(frozenset({"torch"}), frozenset({"torch.nn.modules.module"}), frozenset({"numpy", "tolist"})),
    "tensorflow": Recogniser(
        frozenset({"tensorflow", "tf_keras", "sonnet"}),
        frozenset(
            {
                "tensorflow.python.module.module",
                "tensorflow.python.saved_model.load",
                "tensorflow.python.eager.polymorphic_function.polymorphic_function",
                "tensorflow.python.eager.polymorphic_function.concrete_function",
            }
        ),
        frozenset({"numpy"}),
        PREDICTS,
    ),
    "jax": Recogniser(
        frozenset({"jax", "jaxlib", "flax", "equinox"}),
        frozenset({"flax.linen.module", "flax.nnx.module", "flax.training.train_state", "equinox._module"}),
    ),
}
"""The frameworks by the name of their backend."""


def framework_of(obj: Any) -> str | None:
    """The framework that an object belongs to; None for any other object."""
    return next((name for name, recogniser in RECOGNISERS.items() if recogniser.owns(obj)), None)


@lru_cache
def framework_of_models(kind: Any) -> str | None:
    """The framework of a class whose objects are always models; None where the object or its arguments decide."""
    modules = {cls.__module__ for cls in kind.__mro__}
    return next((name for name, recogniser in RECOGNISERS.items() if not recogniser.models.isdisjoint(modules)), None)


def wrapped_objects(model: Any) -> list[Any]:
    """A model, and what a method, a partial application or a decorated function of it holds: owners, functions, bound arguments."""
    found = [model]
    for obj in found:
        found += [inner for name in ("__self__", "func", "__wrapped__") if (inner := getattr(obj, name, None)) is not None]
        if isinstance(obj, partial):
            found += [leaf for _, leaf in walk((obj.args, obj.keywords))]
        if len(found) > DEEP:
            break
    return found


def unwrapped(model: Any) -> Any:
    """What a partial application applies."""
    while isinstance(model, partial):
        model = model.func
    return model


def is_model(obj: Any) -> bool:
    """True for an object that is a model of a framework."""
    kind: Any = type(obj)
    return framework_of_models(kind) is not None


def framework(model: Any, call: Call) -> str:
    """The name of the backend for a model and one call of it.

    A framework's own for its models, for functions of its arrays and for functions around one of its models; ``"blackbox"`` for
    everything else, and for functions around a model that are given NumPy arrays and return them.
    """
    if is_onnx(model):
        return "blackbox"
    for obj in wrapped_objects(model):
        if (name := framework_of(obj)) is not None:
            return "blackbox" if getattr(unwrapped(model), "__name__", None) in RECOGNISERS[name].predicts else name
        if (named := getattr(type(obj), "ascribe_backend", None)) is not None:
            return str(named)
    leaves = [leaf for _, leaf in walk((call.args, call.kwargs))]
    given = next((name for leaf in leaves if (name := framework_of(leaf)) is not None), None)
    if given is not None:
        return given
    names = names_used(model)
    if any(not recogniser.exits.isdisjoint(names) for recogniser in RECOGNISERS.values()):
        return "blackbox"
    cells = [getattr(c, "cell_contents", None) for c in getattr(model, "__closure__", None) or ()]
    used = [model.__globals__[name] for name in names if name in getattr(model, "__globals__", ())]
    held = [] if is_estimator(getattr(model, "__self__", model)) else models_behind(model, is_model)
    around = next((name for obj in (*cells, *used, *held) if (name := framework_of(obj)) is not None), None)
    return "blackbox" if around is None or not RECOGNISERS[around].predicts.isdisjoint(names) else around
