"""The rule that was applied to each operation, in words: for the checks, and for the table before a run."""

from __future__ import annotations

from ..rules.trace import AppliedRule, count_applied
from .assignment import Assignment
from .kinds import kind_of
from .regions import inside
from .tape import Entry, Tape, Var

WORDS = {
    ("elementwise", "zero"): "f(x) / x",
    ("elementwise", "secant"): "difference quotient",
    ("elementwise", "derivative"): "derivative",
    ("elementwise", "guided"): "guided",
    ("elementwise", "deconvolution"): "deconvolution",
    ("elementwise", "smooth"): "smoothed derivative",
    ("linear", "vjp"): "passed on",
    ("average", "vjp"): "in proportion",
    ("average", "epsilon"): "in proportion, stabilised",
    ("weights", "vjp"): "derivative",
    ("product", "midpoint"): "at the mean of both runs",
    ("product", "half"): "half each",
    ("product", "signal"): "to the signal",
    ("quotient", "leibniz"): "product read backwards",
    ("quotient", "detached"): "denominator fixed",
    ("norm", "leibniz"): "quotient",
    ("norm", "detached"): "scale fixed",
    ("softmax", "logmean"): "logarithmic mean",
    ("softmax", "vjp"): "derivative",
    ("softmax", "fixed"): "fixed",
    ("softmax", "tempered"): "derivative at a temperature",
    ("pool", "winner"): "to the winner",
    ("choice", "secant"): "difference quotient",
}
"""Treatments in a few words."""

TABLE_KINDS = {"activation": "elementwise", "dense": "weights", "convolution": "weights"}
MOST = 4  # names in an expression


def passed_by(tape: Tape, out: Var | None) -> list[Entry]:
    """The model's operations that a reverse pass goes through, in the order in which they ran; an expression by its last one."""
    needed: set[Var] = {out} if out is not None else set()
    order: list[Entry] = []
    for number in range(len(tape.entries) - 1, -1, -1):
        entry = tape.entries[number]
        if any(v in needed for v in entry.outs if v is not None) and any(v.wanted for v in entry.ins):
            first = entry.outs[0]
            region = first is not None and first.root is not first
            needed.update([first.root] if region and first is not None else [v for v in entry.ins if v.wanted])
            order += [entry] if number < tape.end else []
    return order[::-1]


def list_applied(tape: Tape, out: Var | None, rules: Assignment, without_formula: dict[tuple[str, str], int]) -> list[AppliedRule]:
    """Every operation of the model on the way, with what treats it; ``unruled`` are those that turned out to have no formula."""
    return count_applied(one(entry, rules, without_formula) for entry in passed_by(tape, out) if entry.name != "mark")


def one(entry: Entry, rules: Assignment, without_formula: dict[tuple[str, str], int]) -> AppliedRule:
    kind = kind_of(entry)
    name, place = named(entry, kind), entry.place
    if id(entry) in rules.passing:
        return AppliedRule(name, kind, place, "merged with the neighbouring layer")
    treated = rules.of(entry)
    if (entry.name, place) in without_formula and kind != "activation":
        return AppliedRule(name, kind, place, f"its own derivative at {treated.rule.points} points", exact=not treated.named)
    if id(entry) in rules.layers:
        return AppliedRule(name, kind, place, repr(treated.rule))
    table = TABLE_KINDS.get(kind, kind)
    if kind == "batch_norm":
        return AppliedRule(name, kind, place, "as the affine map it is")
    treatment = treated.rule.treats.get(table, "vjp")
    return AppliedRule(name, kind, "" if kind == "linear" else place, WORDS.get((table, treatment), treatment))


def named(entry: Entry, kind: str) -> str:
    """The operation's name; of an expression those of its operations."""
    first = entry.outs[0]
    if kind != "activation" or first is None:
        return entry.name
    names = list(dict.fromkeys(e.name for e in inside(first)))[::-1]
    return ", ".join(names if len(names) <= MOST else [*names[: MOST - 1], "..."])


def summarise_unruled(without_formula: dict[tuple[str, str], int]) -> dict[str, tuple[int, str]]:
    """How often each operation was met, and in which modules."""
    places: dict[str, dict[str, int]] = {}
    for (name, place), times in without_formula.items():
        places.setdefault(name, {})[place] = times
    return {name: (sum(found.values()), listed(found)) for name, found in places.items()}


def listed(places: dict[str, int]) -> str:
    """The first modules by name."""
    names = [place for place in places if place]
    if not names:
        return ""
    return f", in {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
