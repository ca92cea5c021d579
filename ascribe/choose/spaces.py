"""The search spaces of the fields of methods, rules, replacements, features and processing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol

from ..errors import InputError
from ..features import Grid, Superpixels
from ..methods.processed import NORMALISATIONS, POOLINGS
from ..removal import Blur, Inpaint, Mean, Noise, Replace
from ..rules import Epsilon, Gamma, books


class Trial(Protocol):
    """What a search space asks of an optimiser: the three ways of Optuna's trials to suggest a value."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Int:
    """Integers from ``low`` to ``high``, on a logarithmic scale if ``log``."""

    low: int
    high: int
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> int:
        """Returns an integer chosen by a trial."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Float:
    """Numbers from ``low`` to ``high``, on a logarithmic scale if ``log``."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> float:
        """Returns a number chosen by a trial."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several values, each by a name that is stored; a chosen value with fields of its own is tuned too."""

    options: Mapping[str, Any]

    def suggest(self, trial: Trial, name: str) -> Any:
        """Returns a value chosen by a trial."""
        chosen = str(trial.suggest_categorical(name, list(self.options)))
        return suggest_value(self.options[chosen], trial, f"{name}.{chosen}")


Space = Int | Float | Choice


def choices(*values: Any) -> Choice:
    """Returns the choice among values by their code."""
    return Choice({value if isinstance(value, str) else repr(value): value for value in values})


SPACES: Mapping[str, Space] = {
    "steps": Int(8, 128, log=True),
    "samples": Int(8, 64, log=True),
    "scale": Float(0.02, 0.5, log=True),
    "sigma": Float(0.5, 8.0, log=True),
    "epsilon": Float(1e-6, 1.0, log=True),
    "gamma": Float(0.01, 1.0, log=True),
    "count": Int(16, 100, log=True),
    "budget": Int(256, 2048, log=True),
    "cells": Int(3, 10),
    "size": Int(2, 8),
    "pool": choices(*POOLINGS),
    "normalize": choices(*NORMALISATIONS),
}
"""The space of a field by its name, in every class."""
OWN: Mapping[tuple[str, str], Space | None] = {
    ("Noise", "scale"): Float(0.1, 2.0, log=True),
    ("Inpaint", "noise"): Float(0.001, 0.1, log=True),
    ("Grid", "cells"): Int(3, 10),
    ("Stabiliser", "epsilon"): Float(1e-6, 1.0, log=True),
}
"""The spaces of some fields of a class, in place of those by name; None for a field that is not tuned."""
RULES = Choice(
    {
        "EPSILON_PLUS": books.EPSILON_PLUS,
        "EPSILON_PLUS_FLAT": books.EPSILON_PLUS_FLAT,
        "EPSILON_ALPHA2_BETA1": books.EPSILON_ALPHA2_BETA1,
        "Epsilon": Epsilon(0.01),
        "Gamma": Gamma(0.25),
    }
)
"""The rules that are tried for layer-wise relevance propagation."""


def space_of(method: Any, modality: str = "", background: Any = None) -> dict[str, Space]:
    """Returns the search space of a method: each field that can be tuned, with the values that it may take.

    *Use it when* you want to see, or change, what :func:`tune` searches: pass the dict, changed, as ``space=``. Fields of values inside,
    such as the replacement, are tuned with them.
    """
    own = getattr(method, "method", None)
    found: dict[str, Space] = {}
    if own is not None and is_dataclass(own):
        found |= {f"method.{name}": space for name, space in space_of(own, modality, background).items()}
    if not is_dataclass(method):
        return found
    for one in fields(method):
        space = OWN.get((type(method).__name__, one.name), SPACES.get(one.name))
        space = special_space(method, one.name, modality, background) or space
        if space is not None and not isinstance(getattr(method, one.name, None), tuple):
            found[one.name] = space
    return found


def special_space(method: Any, name: str, modality: str, background: Any) -> Space | None:
    """Returns the space of a field that depends on the input: baselines, replacements, groupings and rules."""
    kind = type(method).__name__
    if name == "by" and kind == "LRP":
        return RULES
    if name == "baseline" and modality == "image":
        return choices(0.0, "mean", "blur")
    if name == "baseline" and background is not None:
        return Choice({"0.0": 0.0, "mean of the background": background.mean(0)})
    if name == "by" and "gradient" not in getattr(type(method), "needs", ()):
        if modality == "image":
            return choices(Replace(0.0), Mean(), Blur(4.0), *([Inpaint(0.01)] if kind == "FeatureAblation" else []))
        if modality in ("table", "series"):
            means = {} if background is None else {"mean of the background": Replace(background.mean(0))}
            return Choice({"Replace(0.0)": Replace(0.0), "Noise()": Noise(), **means})
    if name == "features" and modality == "image" and kind != "Rise":  # whose masks have cells of their own
        return choices(Grid(6), Superpixels(49))
    return None


def suggest_method(method: Any, space: Mapping[str, Space], trial: Trial) -> Any:
    """Returns a method with the fields of a space as a trial chooses them. Raises InputError for a field that the method does not have."""
    inner = {name.removeprefix("method."): one for name, one in space.items() if name.startswith("method.")}
    changes: dict[str, Any] = {}
    if inner:
        changes["method"] = suggest_method(method.method, inner, trial)
    known = {one.name for one in fields(method)}
    for name, one in space.items():
        if name.startswith("method."):
            continue
        if name not in known:
            raise InputError("The method has no such field", found=f"{name!r} of {method!r}", advice=f"one of {', '.join(sorted(known))}")
        changes[name] = one.suggest(trial, name)
    return replace(method, **changes)


def suggest_value(value: Any, trial: Trial, name: str) -> Any:
    """Returns a value whose own fields a trial chooses: the width of a blur, the number of superpixels."""
    if isinstance(value, type) or not is_dataclass(value):
        return value
    kind = type(value).__name__
    chosen = {
        one.name: space.suggest(trial, f"{name}.{one.name}")
        for one in fields(value)
        if (space := OWN.get((kind, one.name), SPACES.get(one.name))) is not None and isinstance(getattr(value, one.name), (int, float))
    }
    made: Any = value
    return replace(made, **chosen) if chosen else value
