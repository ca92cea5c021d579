"""The checks of relevance: the rule of each operation, the relevance that constants and other operations absorb, values that blow up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ...result.attribution import Check
from ...rules import OperationRule
from ...rules.trace import Flow, RuleTrace

LOST = 0.05  # a share of the quantity that may go missing before relevance is called not conserved
LARGE = 100.0  # relevance so many times the quantity is no explanation of it
FEW = 3


def check_coverage(rule: OperationRule, without_formula: Mapping[str, str], trace: RuleTrace) -> Check:
    """Checks that the rule has a formula for every operation, and names the rule of each kind, and what was done without a formula."""
    text = f"; {met}" if (met := summarize(trace)) else ""
    if without_formula:
        return Check("rule", "warn", "; ".join(f"{name}: {what}" for name, what in sorted(without_formula.items())) + text)
    return Check("rule", "ok", f"{rule!r} has an exact rule for every operation{text}")


def summarize(trace: RuleTrace) -> str:
    """Returns kinds of operations with their rules, counted, and the pairs of a rule book that fitted nothing."""
    times: dict[tuple[str, str], int] = {}
    for one in trace.applied:
        if one.kind != "linear":
            times[one.kind, one.rule] = times.get((one.kind, one.rule), 0) + one.times
    said = [f"{n} {kind}: {rule}" for (kind, rule), n in times.items()]
    return "; ".join([*said, *([f"nothing fits {', '.join(trace.unused)}"] if trace.unused else [])])


def check_conservation(trace: RuleTrace) -> Check | None:
    """Checks that the relevance of the quantity arrived or went to biases; None where the rule does not count it."""
    if not trace.flows:
        return None
    flows = list(trace.flows.values())
    absorbed = [(f, f.absorbed) for f in flows if f.absorbed]
    gone = [(f, f.lost) for f in flows if not f.off_path]
    other = [(f, f.lost) for f in flows if f.off_path]
    arrived = trace.quantity - sum(n for part in (absorbed, gone, other) for _, n in part)
    scale = trace.size + np.finfo(np.float64).tiny
    lost = sum(n for _, n in gone)
    text = f"{arrived:.4g} of the quantity's {trace.quantity:.4g} (all records) arrived"
    text += described_flows("absorbed by constants such as biases:", absorbed, scale)
    text += described_flows("absorbed by values that do not depend on the cut:", other, scale)
    if abs(lost) > 1e-3 * scale:
        text += described_flows("not conserved:", gone, scale)
    return Check("conservation", "ok" if abs(lost) <= LOST * scale else "warn", text)


def described_flows(what: str, parts: Iterable[tuple[Flow, float]], scale: float) -> str:
    """Returns a sum of flows with the largest of them as text; "" where it is zero."""
    parts = sorted(parts, key=lambda pair: -abs(pair[1]))
    total = sum(n for _, n in parts)
    if all(abs(n) <= 1e-6 * scale for _, n in parts):
        return ""
    largest = ", ".join(f"{flow.name} {n:.3g}" for flow, n in parts[:FEW] if abs(n) > 1e-6 * scale)
    return f"; {what} {total:.4g} ({largest})"


def check_blow_up(trace: RuleTrace, sums: np.ndarray, largest: np.ndarray, explained: np.ndarray) -> Check | None:
    """Checks that relevance is not far above the quantity, ``[quantities, records]``, and names the first operation where it is."""
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
