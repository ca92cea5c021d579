"""The decorator of all functions and methods that users call with a model.

An error of this package is raised at the user's line without the frames of this package; errors of the model keep their frames. Set
``ASCRIBE_FULL_TRACEBACK=1`` in the environment to see all frames.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from ..errors import HERE, ArgumentError, AscribeError, MemoryLimitError
from .hints import ALONE, CALLED, VERB, accepts_argument, call_hint, figure_hint

Given = ParamSpec("Given")
Result = TypeVar("Result")
FULL = "ASCRIBE_FULL_TRACEBACK"


def entry(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorates a function or a method that users call with a model: checks argument names and shortens tracebacks."""
    given = list(inspect.signature(call).parameters)
    own, place = frozenset(given), given.index("model")

    @wraps(call)
    def entered(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            if not kwargs.keys() <= own and len(args) > place:
                refuse_foreign(args[0] if place else None, args[place], kwargs, own)
            return call(*args, **kwargs)
        except AscribeError as error:
            result = error
        except Exception as error:
            if not out_of_memory(error):
                raise
            result = MemoryLimitError(
                "This call needs more memory than available", found=str(error)[:200], advice="fewer records, method(model, x[:8])"
            )
            result.__cause__, result.partial = error, vars(error).get("partial")
        try:
            raise result if os.environ.get(FULL) else shorten_traceback(result)
        finally:
            del result  # break the reference cycle between the error and its frame

    return entered


def check_arguments(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorates a function or a method that shows results: an unknown keyword raises ArgumentError with the known ones."""
    own = [name for name in inspect.signature(call).parameters if name != "self"]
    title = call.__qualname__.replace("Attribution.", "a.")

    @wraps(call)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        for name in kwargs:
            if name not in own:
                there, advice = f"{title}({', '.join(own)})", figure_hint(title, name, own)
                raise ArgumentError(f"`{title}()` has no argument `{name}=`", found=there, advice=advice)
        return call(*args, **kwargs)

    return checked


def refuse_foreign(owner: Any, model: Any, kwargs: dict[str, Any], own: frozenset[str]) -> None:
    """Raises ArgumentError for an argument that the model does not have, but this package or another library has."""
    constructor = tuple(f.name for f in fields(owner)) if is_dataclass(owner) else ()
    known = {*CALLED, *VERB, *constructor, *(ALONE if "over" in own else ())}
    for name in kwargs:
        if name not in own and name in known and not accepts_argument(model, name):
            title = type(owner).__name__ if owner is not None else "asc.IntegratedGradients"
            raise ArgumentError(
                f"Neither this call nor the model has an argument `{name}=`",
                found=f"{name}=..., which would be passed to {type(model).__name__}",
                advice=f"{call_hint(title, name, constructor, own, kwargs[name])}; or asc.Call(x, {name}=...) for an argument of the model",
            )


def out_of_memory(error: BaseException) -> bool:
    """True if an error of any library reports that memory is exhausted."""
    text = str(error).lower() if isinstance(error, RuntimeError) else ""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "out of memory" in text or "can't allocate memory" in text


def shorten_traceback(error: AscribeError) -> AscribeError:
    """Returns the error without the frames of this package, in its own traceback and in those of its causes.

    Frames of user code and of the model are kept.
    """
    error.__traceback__ = (
        drop_own_frames(error.__traceback__) if error.__traceback__ is not None and raised_by_others(error.__traceback__) else None
    )
    seen: set[int] = set()
    link: BaseException | None = error.__cause__ or error.__context__
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if link.__traceback__ is not None:
            link.__traceback__ = drop_own_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    return error


def raised_by_others(trace: TracebackType) -> bool:
    """True if an error was raised outside this package, or in a nested call that other code made."""
    others = 0
    while trace.tb_next is not None:
        others += not trace.tb_frame.f_code.co_filename.startswith(HERE)
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return not code.co_filename.startswith(HERE) or (others > 0 and code.co_name == "entered")


def drop_own_frames(trace: TracebackType) -> TracebackType | None:
    """Returns the frames outside this package; the last frame if there are none."""
    frames = []
    here: TracebackType | None = trace
    while here is not None:
        if here.tb_next is None or not here.tb_frame.f_code.co_filename.startswith(HERE):
            frames.append(here)
        here = here.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
