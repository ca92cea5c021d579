"""Our errors, which are at the same time those that captum raises in their place, so that code that catches those still does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...errors import (
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

ALSO: dict[type[AscribeError], tuple[type[Exception], ...]] = {
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
"""What captum raises where we raise these, beside what they are anyway."""


MADE: dict[tuple[type, ...], type[AscribeError]] = {}


def both(kind: type[AscribeError], others: tuple[type[BaseException], ...]) -> type[AscribeError]:
    """An error of ours that is of other types too; ours alone where Python has no room for them all."""
    new = tuple(other for other in others if not issubclass(kind, other))
    if (kind, *new) not in MADE:
        MADE[kind, *new] = kind
        for bases in ((kind, *new), *((kind, other) for other in new)):
            try:
                MADE[kind, *new] = type(kind.__name__, bases, {"__module__": kind.__module__, "__doc__": kind.__doc__})
                break
            except TypeError:  # two of them with a memory layout of their own
                continue
    return MADE[kind, *new]


@contextmanager
def also_theirs() -> Iterator[None]:
    """Raise our errors as captum's kinds; those of the user's model as what the model itself raised, too."""
    try:
        yield
    except AscribeError as error:
        known = next((ALSO[cls] for cls in type(error).__mro__ if cls in ALSO), (AssertionError,))
        cause = (type(error.__cause__),) if isinstance(error.__cause__, Exception) else ()
        kind = both(type(error), tuple(dict.fromkeys((*known, *cause))))
        if kind is type(error):
            raise
        fresh = kind.__new__(kind)
        fresh.args, fresh.__dict__ = error.args, dict(error.__dict__)
        raise fresh.with_traceback(error.__traceback__) from error.__cause__


def absent(module: str, names: Iterable[str], name: str) -> Exception:
    """What is raised for a name that a module lacks: CompatError for one of captum's own ``names``, else AttributeError."""
    if name not in names:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    there, asked = "the attribution methods of captum.attr, and captum.metrics", f"{module}.{name}"
    return CompatError(f"ascribe.compat.captum has no {asked}", there=there, try_="captum itself", code="E-COMPAT-NAME", name=asked)
