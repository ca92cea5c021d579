"""The base class of named methods: values without a model that answer arguments of other libraries with advice."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from ..errors import ArgumentError, MethodError
from ..values import Value
from .hints import VERBS, constructor_arguments, constructor_hint, is_model


class Recipe(Value):
    """A value that is called with a model.

    Raises ArgumentError for unknown arguments, with the name that ascribe uses, and MethodError if the constructor receives a model.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if args or kwargs:
            _refuse(cls, args, kwargs)
        return object.__new__(cls)

    def __getattr__(self, name: str) -> NoReturn:
        title = type(self).__name__
        problem = f"{title!r} object has no attribute {name!r}"
        if name in VERBS:
            problem += f". Try: {VERBS[name].format(name=title)}; ascribe.compat has the names of captum and of trulens."
        raise AttributeError(problem, name=name, obj=self)


def _refuse(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    title, own = cls.__name__, constructor_arguments(cls)
    for model in filter(is_model, args):
        there = f"a {type(model).__name__} in the constructor"
        layer = ', or a layer by its name: GradCam(layer="layer4")(model, x)'.replace("GradCam", title) if own and "layer" in own else ""
        raise MethodError(
            f"The constructor of `{title}` takes no model; the model is an argument of the call",
            found=there,
            advice=f"{title}()(model, x){layer}",
            code="E-METHOD-MODEL",
        )
    for name in kwargs:
        if own is not None and name not in own:
            there = f"{title}({', '.join(own)})"
            raise ArgumentError(
                f"`{title}` has no argument `{name}=`", found=there, advice=constructor_hint(title, name, own, kwargs[name])
            )
