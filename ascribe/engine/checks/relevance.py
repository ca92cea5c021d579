"""What is asked of relevance: which operation met which rule, what constants and other operations took of it, does it blow up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ...result.attribution import Check
from ...rules import OperationRule
from ...rules.trace import Flow, RuleTrace

LOST = 0.05  # a share of the quantity that may go missing before relevance is called not conserved
LARGE = 100.0  # relevance so many times the quantity is no explanation of it
FEW = 3


def coverage(rule: OperationRule, unruled: Mapping[str, str], trace: RuleTrace) -> Check:
    """Whether the rule has a formula for every operation; which kinds met which rule, and what was done about those without."""
    text = f"; {met}" if (met := summary(trace)) else ""
    if unruled:
        return Check("rule", "warn", "; ".join(f"{name}: {what}" for name, what in sorted(unruled.items())) + text)
    return Check("rule", "ok", f"{rule!r} has an exact rule for every operation{text}")


def summary(trace: RuleTrace) -> str:
    """Kinds of operations with their rules, counted; a book's pairs that fitted nothing."""
    times: dict[tuple[str, str], int] = {}
    for one in trace.applied:
        if one.kind != "linear":
            times[one.kind, one.rule] = times.get((one.kind, one.rule), 0) + one.times
    said = [f"{n} {kind}: {rule}" for (kind, rule), n in times.items()]
    return "; ".join([*said, *([f"nothing fits {', '.join(trace.unused)}"] if trace.unused else [])])


def conservation(trace: RuleTrace) -> Check | None:
    """Whether what left the quantity arrived or went to biases; None where the rule keeps no books."""
    if not trace.flows:
        return None
    flows = list(trace.flows.values())
    absorbed = [(f, f.absorbed) for f in flows if f.absorbed]
    gone = [(f, f.lost) for f in flows if not f.beside]
    other = [(f, f.lost) for f in flows if f.beside]
    arrived = trace.quantity - sum(n for part in (absorbed, gone, other) for _, n in part)
    scale = trace.size + np.finfo(np.float64).tiny
    lost = sum(n for _, n in gone)
    text = f"{arrived:.4g} of the quantity's {trace.quantity:.4g} (all records) arrived"
    text += said("constants such as biases took", absorbed, scale) + said("values beside the cut", other, scale)
    if abs(lost) > 1e-3 * scale:
        text += said("not conserved:", gone, scale)
    return Check("conservation", "ok" if abs(lost) <= LOST * scale else "warn", text)


def said(what: str, parts: Iterable[tuple[Flow, float]], scale: float) -> str:
    """A sum of flows with the largest of them; nothing where it is nothing."""
    parts = sorted(parts, key=lambda pair: -abs(pair[1]))
    total = sum(n for _, n in parts)
    if all(abs(n) <= 1e-6 * scale for _, n in parts):
        return ""
    largest = ", ".join(f"{flow.name} {n:.3g}" for flow, n in parts[:FEW] if abs(n) > 1e-6 * scale)
    return f"; {what} {total:.4g} ({largest})"


def blow_up(trace: RuleTrace, sums: np.ndarray, largest: np.ndarray, explained: np.ndarray) -> Check | None:
    """Whether relevance is far above the quantity, ``[quantities, records]``; names the first operation that made it so."""
    if not trace.flows:
        return None
    typical = np.abs(explained).mean(-1, keepdims=True)
    scale = np.maximum(np.abs(explained), typical) + np.finfo(np.float64).tiny
    with np.errstate(invalid="ignore"):
        times = np.maximum(np.abs(sums), largest) / scale
    records = tuple(int(i) for i in np.flatnonzero((times > LARGE).any(0)))
    if not records:
        return Check("blow-up", "ok")
    where = next((f for _, f in sorted(trace.flows.items(), reverse=True) if f.size > LARGE * trace.size), None)
    named = f", first in {where.name}" if where is not None else ""
    text = f"relevance up to {np.max(times):.3g} times the quantity{named}; a larger epsilon holds it down"
    return Check("blow-up", "warn", text, records)
