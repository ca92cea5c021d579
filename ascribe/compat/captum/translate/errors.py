"""Raises ascribe's errors as types that captum raises in the same case, so that code which catches those still works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ....errors import (
    AscribeError,
    BackendError,
    CompatError,
    CutError,
    DistributionError,
    InputError,
    MethodError,
    ModelError,
    QuantityError,
    ResultError,
    RuleError,
)

CAPTUM_TYPES: dict[type[AscribeError], tuple[type[Exception], ...]] = {
    InputError: (AssertionError,),
    QuantityError: (AssertionError, IndexError),
    DistributionError: (AssertionError,),
    CutError: (AssertionError, IndexError),
    RuleError: (AssertionError, TypeError),
    MethodError: (AssertionError, NotImplementedError),
    ResultError: (AssertionError,),
    ModelError: (AttributeError,),
    BackendError: (AttributeError, AssertionError),
}
"""The types that captum raises where ascribe raises these, in addition to their own bases."""


COMBINED: dict[tuple[type, ...], type[AscribeError]] = {}


def combine_types(kind: type[AscribeError], others: tuple[type[BaseException], ...]) -> type[AscribeError]:
    """Returns a subclass of one of our errors and of other types; only of ours if Python cannot combine their memory layouts."""
    new = tuple(other for other in others if not issubclass(kind, other))
    if (kind, *new) not in COMBINED:
        COMBINED[kind, *new] = kind
        for bases in ((kind, *new), *((kind, other) for other in new)):
            try:
                COMBINED[kind, *new] = type(kind.__name__, bases, {"__module__": kind.__module__, "__doc__": kind.__doc__})
                break
            except TypeError:  # two of them with a memory layout of their own
                continue
    return COMBINED[kind, *new]


@contextmanager
def raise_as_captum() -> Iterator[None]:
    """Raises errors of its block as captum's types, and errors of the user's model also as the type that the model raised."""
    try:
        yield
    except AscribeError as error:
        known = next((CAPTUM_TYPES[cls] for cls in type(error).__mro__ if cls in CAPTUM_TYPES), (AssertionError,))
        cause = (type(error.__cause__),) if isinstance(error.__cause__, Exception) else ()
        kind = combine_types(type(error), tuple(dict.fromkeys((*known, *cause))))
        if kind is type(error):
            raise
        fresh = kind.__new__(kind)
        fresh.args, fresh.__dict__ = error.args, dict(error.__dict__)
        raise fresh.with_traceback(error.__traceback__) from error.__cause__


def missing_name_error(module: str, names: Iterable[str], name: str) -> Exception:
    """Returns the error for a name that a module lacks: CompatError for one of captum's ``names``, else AttributeError."""
    if name not in names:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    there, full_name = "the attribution methods of captum.attr, and captum.metrics", f"{module}.{name}"
    return CompatError(
        f"`ascribe.compat.captum` does not have the name `{full_name}`",
        found=there,
        advice="the package captum for this name",
        code="E-COMPAT-NAME",
        name=full_name,
    )
