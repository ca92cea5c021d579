"""Measures one row of the table."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.cases import Case
from benchmarks.counting import counted
from benchmarks.models import Subject
from benchmarks.timing import Call, Contender, Effort, Spread, Watch, best_chunk, paired, rounds, spread

RATIOS = [("ascribe", "bare"), ("ascribe", "least"), ("captum", "ascribe"), ("cold", "bare"), ("captum", "cold")]
"""Every ratio that is reported. ``cold`` is ascribe on a model it has never seen; ``least`` the loop without the ends."""


@dataclass(frozen=True)
class Row:
    """The figures of one case; a contender that failed is only in ``errors``."""

    name: str
    aims: tuple[str, ...]
    met: dict[str, bool]
    chunk: int | None
    chunks: dict[int, float]
    seconds: dict[str, Spread]
    ratios: dict[str, Spread]
    rows: dict[str, str]
    agreement: dict[str, float]
    errors: dict[str, str]
    load: float


def race(case: Case, effort: Effort, watch: Watch) -> Row:
    """Chooses the chunk of the bare loop, compares the values of all contenders, counts rows, and times them."""
    subject = case.subject()
    chunk: int | None = None
    chunks: dict[int, float] = {}
    if case.points > 1:
        frozen, rows = subject.fresh(), case.points * len(subject.target)
        frozen.model.requires_grad_(False)
        chunk, chunks = best_chunk(lambda c: lambda: case.bare(frozen, c, case.ends), rows, effort, watch)
    makers = _makers(case, chunk or 1)
    errors, values, passed = _rehearsed(makers, subject)
    contenders = {name: Contender(_maker(make, subject)) for name, make in makers.items() if name not in errors}
    if "ascribe" in contenders:
        contenders["cold"] = Contender(_maker(makers["ascribe"], subject), once=True)
    figures = rounds(contenders, effort, watch)
    ratios = {f"{a}/{b}": paired(figures, a, b) for a, b in RATIOS if a in figures and b in figures}
    return Row(
        case.name,
        tuple(str(aim) for aim in case.aims),
        {str(aim): aim.met(ratios[aim.ratio].median) for aim in case.aims if aim.ratio in ratios},
        chunk,
        chunks,
        {name: spread(values) for name, values in figures.items()},
        ratios,
        passed,
        {} if case.random else _agreement(values),
        errors,
        os.getloadavg()[0],
    )


def _makers(case: Case, chunk: int) -> dict[str, Callable[[Subject], Call]]:
    def bare(ends: bool) -> Callable[[Subject], Call]:
        def make(subject: Subject) -> Call:
            subject.model.requires_grad_(False)
            return lambda: case.bare(subject, chunk, ends)

        return make

    makers = {"bare": bare(case.ends), "ascribe": case.ascribe, "captum": case.captum}
    return makers | ({"least": bare(False)} if case.ends else {})


def _maker(make: Callable[[Subject], Call], subject: Subject) -> Callable[[], Call]:
    return lambda: make(subject.fresh())


def _rehearsed(makers: dict[str, Any], subject: Subject) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """Runs every contender once and counts rows; one that fails is left out, and its error is reported."""
    errors, values, passed = {}, {}, {}
    for name, make in makers.items():
        mine = subject.fresh()
        try:
            call = make(mine)
            values[name] = call()
            passed[name] = str(counted(mine.model, (mine.first, mine.last), call))
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return errors, values, passed


def _agreement(values: dict[str, Any]) -> dict[str, float]:
    """The largest difference from the bare loop, relative to the loop's largest value, where the shapes are the same."""
    tensors = {name: value if isinstance(value, (Tensor, tuple)) else value.values for name, value in values.items()}
    base = tensors.get("bare")
    if not isinstance(base, Tensor):
        return {}
    return {
        name: float((value.detach() - base).abs().max() / base.abs().max())
        for name, value in tensors.items()
        if name not in ("bare", "least") and getattr(value, "shape", None) == base.shape
    }
