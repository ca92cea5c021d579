"""The tree of errors. Each message says what is wrong, what was found, and what to do, as code.

AscribeError
├── InputError          the model's arguments cannot be explained                  (ValueError)
├── ModelError          the model cannot be run, hooked or differentiated          (RuntimeError)
│   └── BackendError    no backend supports the model or the operation             (TypeError)
├── CutError            the layer does not exist, or has no gradient               (LookupError)
├── QuantityError       the quantity (target) does not fit the model's output      (ValueError)
├── DistributionError   baselines, steps or samples are not valid                  (ValueError)
│   └── CoalitionError  feature subsets: their number or the budget is not valid   (ValueError)
├── FeatureError        features or replacements do not fit the input              (ValueError)
├── RuleError           the backend does not have the rule                         (ValueError)
├── MethodError         the method does not apply to the model or layer            (ValueError)
├── ArgumentError       a class or a call does not have the argument               (TypeError)
├── MemoryLimitError    a single row does not fit in memory                        (MemoryError)
├── ResultError         arithmetic, files or figures of results                    (ValueError)
└── CompatError         the library, or the part of it, has no facade              (ModuleNotFoundError)

AscribeWarning          the result can mislead                                     (UserWarning)
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
    """Base class of all errors of this package: what is wrong, what was found, and what to do.

    ``problem`` is a sentence that says what is wrong, ``found`` what was found, ``advice`` the code to write instead. ``code`` is stable
    across releases, so that programs can distinguish errors. ``partial`` is the Attribution of the work completed before the error, or
    None. Control characters in quoted text are escaped.
    """

    code = "E-ASCRIBE"
    partial: Any = None

    def __init__(self, problem: str, *, found: str = "", advice: str = "", code: str = "") -> None:
        self.problem, self.found, self.advice = escape_control(problem), escape_control(found), escape_control(advice)
        self.code = code or type(self).code
        parts = [self.problem.rstrip(".") + "."]
        if self.found:
            parts.append(f"Found: {self.found.rstrip('.')}.")
        if self.advice:
            parts.append(f"Try: {self.advice.rstrip('.')}.")
        super().__init__(f"{' '.join(parts)} [{self.code}]")

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep all attributes in copies and in errors that come from another process."""
        return _as_it_was, (type(self), *self.args), vars(self)


def _as_it_was(kind: type[AscribeError], *args: Any) -> AscribeError:
    return BaseException.__new__(kind, *args)  # MemoryError.__new__ cannot create a subclass with other arguments


class InputError(AscribeError, ValueError):
    """The arguments of the model call cannot be explained: no array, no record, or records of different number."""

    code = "E-INPUT"


class ModelError(AscribeError, RuntimeError):
    """The model cannot be run, hooked or differentiated.

    If a black box raised, ``call`` has the arguments of that call and ``rows`` the record that each of their rows belongs to.
    """

    code = "E-MODEL"
    call: Any = None
    rows: Any = None


class BackendError(ModelError, TypeError):
    """No backend supports this model, or the backend does not support the operation."""

    code = "E-BACKEND"


class CutError(AscribeError, LookupError):
    """The layer or argument does not exist in the model, or no gradient reaches it."""

    code = "E-CUT"


class QuantityError(AscribeError, ValueError):
    """The quantity (target) does not fit the model's output: a class out of range, missing positions, labels of another number."""

    code = "E-QUANTITY"


class DistributionError(AscribeError, ValueError):
    """The baseline, the number of steps or samples, or their combination is not valid."""

    code = "E-DISTRIBUTION"


class CoalitionError(DistributionError):
    """The coalitions (feature subsets) cannot be evaluated: too many features, or a budget that is too small."""

    code = "E-COALITION"


class FeatureError(AscribeError, ValueError):
    """Feature groups or replacements do not fit the input, or do not fit each other."""

    code = "E-FEATURES"


class RuleError(AscribeError, ValueError):
    """The backend does not have this rule, or the rule does not apply to the model."""

    code = "E-RULE"


class MethodError(AscribeError, ValueError):
    """The method does not apply to this model or layer."""

    code = "E-METHOD"


class ArgumentError(AscribeError, TypeError):
    """The class or the call does not have this argument."""

    code = "E-ARGUMENT"


class MemoryLimitError(AscribeError, MemoryError):
    """A chunk of one row does not fit in memory."""

    code = "E-MEMORY"


class ResultError(AscribeError, ValueError):
    """Results cannot be combined, pooled, drawn, saved or loaded."""

    code = "E-RESULT"


class CompatError(AscribeError, ModuleNotFoundError):
    """The library, or the part of it that is imported, has no facade in ``ascribe.compat``."""

    code = "E-COMPAT"

    def __init__(self, asked: str, *, name: str | None = None, **parts: str) -> None:
        super().__init__(asked, **parts)
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        kind, args, state = super().__reduce__()
        return kind, args, state | {"name": self.name}


class AscribeWarning(UserWarning):
    """The result can mislead; the text says why."""


def warn_user(text: str) -> None:
    """Issues an :class:`AscribeWarning` that points at the caller's line outside this package; a closed stderr is ignored."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(escape_control(text), AscribeWarning, stacklevel=level)
    except AscribeWarning:
        raise
    except (OSError, ValueError, AttributeError, TypeError):  # stderr is closed, or is no file
        return
