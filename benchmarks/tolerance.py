"""Compares ``tolerance=`` with a fixed number of steps: rows, seconds, completeness gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import ascribe_side, models
from benchmarks.cases import Settings
from benchmarks.counting import counted
from benchmarks.models import Subject
from benchmarks.timing import Contender, Effort, Spread, Watch, paired, rounds, spread


@dataclass(frozen=True)
class Trade:
    """One model: rows, seconds and relative gaps (median and worst record), with the tolerance and with fixed steps."""

    name: str
    rows: dict[str, str]
    seconds: dict[str, Spread]
    gap: dict[str, tuple[float, float]]
    ratio: Spread | None
    error: str = ""


def trades(s: Settings, effort: Effort, watch: Watch) -> list[Trade]:
    """BERT, which is smooth, and the CNN and the MLP, whose ReLUs put kinks on the line."""
    return [
        trade("BERT", models.bert(s.device, s.tokens, s.batch), s, effort, watch),
        trade("CNN", models.cnn(s.device, s.image, s.batch), s, effort, watch),
        trade("MLP", models.mlp(s.device, s.batch), s, effort, watch),
    ]


def trade(name: str, subject: Subject, s: Settings, effort: Effort, watch: Watch) -> Trade:
    """Explains the same records in both ways and times them in turn."""
    fixed, free = f"{s.call_steps} steps", f"tolerance {s.tolerance:g}"
    makers: dict[str, Callable[[Subject], Callable[[], Any]]] = {
        fixed: partial(ascribe_side.line, steps=s.call_steps),
        free: partial(ascribe_side.line, tolerance=s.tolerance),
    }
    rows: dict[str, str] = {}
    gap: dict[str, tuple[float, float]] = {}
    try:
        for key, make in makers.items():
            mine = subject.fresh()
            call = make(mine)
            relative = call().gap.relative
            gap[key] = float(np.median(relative)), float(relative.max())
            rows[key] = str(counted(mine.model, (mine.first, mine.last), call))
        contenders = {key: Contender(lambda make=make: make(subject.fresh())) for key, make in makers.items()}
        figures = rounds(contenders, replace(effort, least=min(3, effort.least)), watch)
    except Exception as error:
        return Trade(name, rows, {}, gap, None, f"{type(error).__name__}: {error}")
    return Trade(name, rows, {k: spread(v) for k, v in figures.items()}, gap, paired(figures, free, fixed))
