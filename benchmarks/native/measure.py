"""Measures one framework in this process: the figures of every row."""

from __future__ import annotations

import gc
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import ascribe as asc
from ascribe.arrays import as_numpy

from .networks import POINTS, WINDOW
from .subject import Program, Subject

ROWS = {
    "CNN, IntegratedGradients, 32 points": ("cnn", "IG"),
    "CNN, Occlusion, 16 windows": ("cnn", "Occlusion"),
    "MLP, IntegratedGradients, 32 points": ("mlp", "IG"),
    "transformer, gradient": ("transformer", "gradient"),
}
"""The network and the program of each row."""
CALLS = 40
"""Calls after which a first kind of call is taken to have settled, at most."""
STILL = 5
"""Calls that compile nothing after which it has settled."""


def ask(kind: str, model: Any, x: Any, label: int) -> Any:
    """ascribe's call that does what the program of this kind does."""
    if kind == "IG":
        return asc.IntegratedGradients(steps=POINTS, quadrature="riemann-middle")(model, x, of=label)
    if kind == "Occlusion":
        return asc.Occlusion(size=WINDOW, by=0.0)(model, x, of=label)
    return asc.influence(model, x, of=label)


def seconds(call: Program) -> float:
    """The time of the processor for one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def programs_compiled() -> int:
    """Programs of models that ascribe has compiled so far in this process."""
    total = 0
    for name in ("jax.traces", "tensorflow.compiled"):
        module = sys.modules.get(f"ascribe.backends.{name}")
        total += 0 if module is None else module.counts.programs
    return total


def measure(build: Callable[[str], Subject], chosen: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """The figures of each row."""
    warnings.simplefilter("ignore")
    warm_up(build("mlp"))
    return {title: measure_row(build, *ROWS[title], rounds) for title in chosen}


def warm_up(subject: Subject) -> None:
    """Loads what a first call of any kind loads."""
    seconds(subject.native["IG"](0))
    for _ in range(2):
        asc.IntegratedGradients(steps=2)(subject.other, subject.x[:3], of=1)
        asc.influence(subject.other, subject.x[:3], of=1)


def measure_row(build: Callable[[str], Subject], network: str, kind: str, rounds: int) -> dict[str, float]:
    """The figures of one row: times in seconds, and numbers of programs."""
    subject = build(network)
    native = subject.native[kind](1)
    first_native = seconds(native)
    call, before = (lambda: ask(kind, subject.model, subject.x, 1)), programs_compiled()
    result: list[Any] = []
    figures: dict[str, float] = {"first": seconds(lambda: result.append(call())), "first native": first_native}
    figures["first programs"] = programs_compiled() - before
    figures["difference"] = difference(kind, result[0].values, native())
    figures["programs"] = settle(call) - before
    settled = programs_compiled()
    ask(kind, subject.model, subject.x, 2)
    ask(kind, subject.other, subject.x, 1)
    figures["other programs"] = programs_compiled() - settled
    if hasattr(native, "settle"):
        native.settle(seconds)
    took: tuple[list[float], list[float]] = [], []
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        took[0].append(seconds(call))
        took[1].append(seconds(native))
    gc.enable()
    return {**figures, "call": min(took[0]), "native": min(took[1])}


def settle(call: Program) -> int:
    """Calls until nothing more is compiled; returns the programs compiled so far."""
    known, still = programs_compiled(), 0
    for _ in range(CALLS):
        call()
        still = still + 1 if programs_compiled() == known else 0
        known = programs_compiled()
        if still == STILL:
            break
    return known


def difference(kind: str, mine: Any, native: np.ndarray) -> float:
    """The largest difference to the native program as a share of the largest value."""
    mine = as_numpy(mine)
    if kind == "Occlusion":  # one number for each window; ascribe has it at every pixel
        images = mine.reshape(len(mine), 28, 28)[:, ::WINDOW, ::WINDOW]
        mine, native = images.reshape(len(mine), -1), native.T
    return float(np.abs(mine.reshape(native.shape) - native).max() / np.abs(native).max())


def builder(side: str, name: str) -> Callable[[str], Subject]:
    """Builds the networks of a framework."""
    made: Callable[[str], Subject] = getattr(import_module(f"benchmarks.native.with_{side}"), name)
    return made
