"""What can go wrong, drawn as a tree; every error says what was asked, what was there and what to try.

AscribeError
├── InputError          the model's arguments cannot be explained as they are      (ValueError)
├── ModelError          the model cannot be run, hooked or differentiated          (RuntimeError)
│   └── BackendError    no backend knows this model, or it cannot do what is asked (TypeError)
├── CutError            no such place in the model, or no gradient there           (LookupError)
├── QuantityError       what is explained does not fit the model's output          (ValueError)
├── DistributionError   baselines, steps, samples                                  (ValueError)
│   └── CoalitionError  subsets of features: too many, too few, budgets            (ValueError)
├── FeatureError        features and removals that do not fit                     (ValueError)
├── RuleError           a rule the backend does not have                           (ValueError)
├── MethodError         a named method that does not apply here                    (ValueError)
├── ArgumentError       an argument that a class or a call does not have           (TypeError)
├── MemoryLimitError    one row does not fit                                       (MemoryError)
├── ResultError         arithmetic, files and pictures of results                  (ValueError)
└── CompatError         a library, or a part of one, that has no facade            (ModuleNotFoundError)

AscribeWarning          a result that would mislead                                (UserWarning)
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from .utils.escape import escape_control

__all__ = [
    "ArgumentError",
    "AscribeError",
    "AscribeWarning",
    "BackendError",
    "CoalitionError",
    "CompatError",
    "CutError",
    "DistributionError",
    "FeatureError",
    "InputError",
    "MemoryLimitError",
    "MethodError",
    "ModelError",
    "QuantityError",
    "ResultError",
    "RuleError",
]

HERE = str(Path(__file__).parent / "_").removesuffix("_")


class AscribeError(Exception):
    """Something ascribe refuses to do, in one sentence, with what was found and what to try.

    ``code`` is stable across releases, so that programs can tell errors apart. ``partial`` is the Attribution of what had been found
    when the error came, where there was something. Control characters in the text of others become escapes here.
    """

    code = "E-ASCRIBE"
    partial: Any = None

    def __init__(self, asked: str, *, there: str = "", try_: str = "", code: str = "") -> None:
        self.asked, self.there, self.try_ = asked, there, try_ = escape_control(asked), escape_control(there), escape_control(try_)
        self.code = code or type(self).code
        parts = [asked.rstrip(".") + "."]
        if there:
            parts.append(f"Found: {there.rstrip('.')}.")
        if try_:
            parts.append(f"Try: {try_.rstrip('.')}.")
        super().__init__(f"{' '.join(parts)} [{self.code}]")

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep all attributes, so that copies, and errors that come back from another process, are equal to this one."""
        return _as_it_was, (type(self), *self.args), vars(self)


def _as_it_was(kind: type[AscribeError], *args: Any) -> AscribeError:
    return BaseException.__new__(kind, *args)  # MemoryError's own makes none of another class


class InputError(AscribeError, ValueError):
    """The arguments given for the model cannot be explained as they are."""

    code = "E-INPUT"


class ModelError(AscribeError, RuntimeError):
    """The model cannot be run, hooked or differentiated.

    Of a black box that raised, ``call`` holds the arguments and ``rows`` the record of each of their rows.
    """

    code = "E-MODEL"
    call: Any = None
    rows: Any = None


class BackendError(ModelError, TypeError):
    """No backend knows this model, or the backend cannot do what is asked."""

    code = "E-BACKEND"


class CutError(AscribeError, LookupError):
    """There is no such place in the model, or no gradient reaches it."""

    code = "E-CUT"


class QuantityError(AscribeError, ValueError):
    """The quantity does not fit the model's output."""

    code = "E-QUANTITY"


class DistributionError(AscribeError, ValueError):
    """Baselines, steps or samples that make no sense together."""

    code = "E-DISTRIBUTION"


class CoalitionError(DistributionError):
    """A game of features that cannot be played as asked."""

    code = "E-COALITION"


class FeatureError(AscribeError, ValueError):
    """Features or removals that do not fit what is explained, or one another."""

    code = "E-FEATURES"


class RuleError(AscribeError, ValueError):
    """A rule that this backend does not have."""

    code = "E-RULE"


class MethodError(AscribeError, ValueError):
    """A named method that does not apply to this model or layer."""

    code = "E-METHOD"


class ArgumentError(AscribeError, TypeError):
    """An argument that a class of ours, or a call, does not have."""

    code = "E-ARGUMENT"


class MemoryLimitError(AscribeError, MemoryError):
    """Even one row at a time does not fit in memory."""

    code = "E-MEMORY"


class ResultError(AscribeError, ValueError):
    """Arithmetic, files or pictures of results that do not fit together."""

    code = "E-RESULT"


class CompatError(AscribeError, ModuleNotFoundError):
    """This library, or this part of it, has no facade."""

    code = "E-COMPAT"

    def __init__(self, asked: str, *, name: str | None = None, **said: str) -> None:
        super().__init__(asked, **said)
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        kind, args, state = super().__reduce__()
        return kind, args, state | {"name": self.name}


class AscribeWarning(UserWarning):
    """A result that would mislead if taken at its word."""


def warn_user(text: str) -> None:
    """An :class:`AscribeWarning` at the line outside this package that led here. A process without a usable stderr goes on."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(escape_control(text), AscribeWarning, stacklevel=level)
    except AscribeWarning:
        raise
    except (OSError, ValueError, AttributeError, TypeError):  # stderr is closed, or is no file
        return
