"""Entry points: what all calls of a verb or a method have in common.

An error of this package is raised at the line of the user's call, without the frames of this package; errors of the model keep theirs.
``ASCRIBE_FULL_TRACEBACK=1`` in the environment shows all of them.
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
from .hints import ALONE, CALLED, VERB, accepts_argument, call_hint

Given = ParamSpec("Given")
Result = TypeVar("Result")
FULL = "ASCRIBE_FULL_TRACEBACK"


def entry(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorate a function or a method that users call with a model."""
    given = list(inspect.signature(call).parameters)
    own, place = frozenset(given), given.index("model")

    @wraps(call)
    def entered(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            if not kwargs.keys() <= own and len(args) > place:
                refuse_foreign(args[0] if place else None, args[place], kwargs, own)
            return call(*args, **kwargs)
        except AscribeError as error:
            found = error
        except Exception as error:
            if not out_of_memory(error):
                raise
            found = MemoryLimitError("there is not enough memory for this call", there=str(error)[:200], try_="fewer records in a call")
            found.__cause__, found.partial = error, vars(error).get("partial")
        try:
            raise found if os.environ.get(FULL) else shorten_traceback(found)
        finally:
            del found  # which holds the frame that holds it

    return entered


def refuse_foreign(owner: Any, model: Any, kwargs: dict[str, Any], own: frozenset[str]) -> None:
    """Raise ArgumentError for an argument that the model does not have, and that means something here or in another library."""
    constructor = tuple(f.name for f in fields(owner)) if is_dataclass(owner) else ()
    known = {*CALLED, *VERB, *constructor, *(ALONE if "over" in own else ())}
    for name in kwargs:
        if name not in own and name in known and not accepts_argument(model, name):
            title = type(owner).__name__ if owner is not None else "asc.IntegratedGradients"
            raise ArgumentError(
                f"the call has no argument {name}=, and neither has the model",
                there=f"{type(model).__name__}, which gets all arguments that are not ascribe's",
                try_=f"{call_hint(title, name, constructor, own)}; an argument of the model goes into asc.Call(x, {name}=...)",
            )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full, in whatever library."""
    text = str(error).lower() if isinstance(error, RuntimeError) else ""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "out of memory" in text or "can't allocate memory" in text


def shorten_traceback(error: AscribeError) -> AscribeError:
    """The error without the frames of this package: its own, and those of what it came from.

    One that code of the user's raised, or that came from a call inside the model, keeps the frames of that code.
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
    """Whether an error was raised by other code than this package, or in a call that other code made of it."""
    others = 0
    while trace.tb_next is not None:
        others += not trace.tb_frame.f_code.co_filename.startswith(HERE)
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return not code.co_filename.startswith(HERE) or (others > 0 and code.co_name == "entered")


def drop_own_frames(trace: TracebackType) -> TracebackType | None:
    """The frames of others; the last one where all are ours."""
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
