"""CP-LRP on every family of ``transformers`` in a small configuration: is relevance conserved, and if not, do the checks report it?"""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

import ascribe as asc
from benchmarks.zoo.measure import totals
from benchmarks.zoo.tiny import Family, families, model_of, scaled_up, unbiased, words

LIMIT = 1e-3
ALIVE = 1e-3
"""The least share of the largest score by which other words have to change the scores."""
SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """The result of a family. ``state`` is conserved, named, silent, raised, slow, dead or unbuilt."""

    family: Family
    state: str
    lost: float = float("nan")
    said: str = ""
    seconds: float = 0.0


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after some seconds (main thread, Unix)."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def explained(model: torch.nn.Module, family: Family, by: Any) -> asc.Attribution:
    """The largest logit of the last word, or class, at the embeddings."""
    unit, _ = largest(model, family)
    of = asc.Unit(words().shape[1] - 1, unit) if family.role == "lm" else asc.Unit(unit)
    return asc.attribute(model, input_ids=words(), of=of, at=asc.EMBEDDINGS, by=by)


def largest(model: torch.nn.Module, family: Family) -> tuple[int, float]:
    """The largest logit, and the share of it by which other words change the logits."""
    with torch.no_grad():
        here, there = (model(input_ids=ids).logits[0] for ids in (words(), words().flip(1)))
    here, there = (y[-1] if family.role == "lm" else y for y in (here, there))
    unit = int(here.abs().argmax())
    return unit, float((there - here).abs().max() / here[unit].abs())


def tried(family: Family, by: Any = asc.rules.CPLRP()) -> Finding:  # noqa: B008
    """Returns the finding of one family; errors become its state."""
    start = time.perf_counter()
    try:
        with limited(SECONDS):
            model = unbiased(scaled_up(model_of(family)))
    except TimeoutError:
        return Finding(family, "slow", said="to build")
    except Exception as wrong:
        return Finding(family, "unbuilt", said=said(wrong))
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if largest(model, family)[1] < ALIVE:
                return Finding(family, "dead", said="other words hardly change the score", seconds=time.perf_counter() - start)
            found = explained(model, family, by)
    except TimeoutError:
        return Finding(family, "slow")
    except Exception as wrong:
        return Finding(family, "raised", said=said(wrong), seconds=time.perf_counter() - start)
    quantity = float(found.explained[0])  # type: ignore[index]
    # of the one record: in some models (XLNet) its words lie along the first axis
    lost = abs(float(totals(found).sum()) - quantity) / max(abs(quantity), 1e-30)
    complaints = "; ".join(named(c) for c in found.checks if c.status in ("warn", "fail") and c.name != "zero")
    state = "conserved" if lost <= LIMIT else "named" if complaints else "silent"
    return Finding(family, state, lost, complaints, time.perf_counter() - start)


def named(check: Any) -> str:
    """Returns the problem that a check reports, without the operations that have a rule."""
    return "; ".join(part.strip() for part in check.detail.split(";") if not part.strip()[:1].isdigit())


def said(wrong: Exception) -> str:
    return f"{type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0][:120]}"


def sweep(only: str = "") -> Iterator[Finding]:
    """All families whose name has this in it."""
    for family in families():
        if only in str(family):
            yield tried(family)
