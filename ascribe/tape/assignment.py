"""Which rule treats each operation of a tape: one for all, or as a rule book says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ..rules import OperationRule
from ..rules.books import Operation, RuleBook
from ..rules.layers import Reading
from .formulas.layers import Layer
from .kinds import kind_of
from .merging import Merger, leading
from .step import Formula
from .table import formulas_of
from .tape import Entry, Framework, Tape, Var

LAYERS = ("dense", "convolution")


@dataclass(frozen=True)
class CompiledRule:
    """One rule with its formulas."""

    rule: OperationRule
    formulas: Mapping[str, Formula]

    @property
    def regions(self) -> str:
        """The treatment of element-wise regions."""
        return self.rule.treats["elementwise"]

    @property
    def named(self) -> bool:
        """True if operations without a formula are reported."""
        return self.rule.treats["other"] != "gradient"

    @property
    def merges(self) -> bool:
        """True if its layers are merged with their neighbours: unless the rule itself says ``merges = False``."""
        return self.rule.treats.get("weights") == "layer" and getattr(self.rule, "merges", True)


def compile_rule(rule: OperationRule, framework: Framework) -> CompiledRule:
    """A rule with its formulas. Raises RuleError for an unknown treatment."""
    return CompiledRule(rule, formulas_of(rule, framework))


@lru_cache(None)
def compile_reading(framework: Framework) -> CompiledRule:
    """The treatment of operations that read a quantity off the model's output."""
    return compile_rule(Reading(), framework)


@dataclass
class Assignment:
    """A rule, or the rules of a book, with formulas; :meth:`settle` assigns them to the operations of one tape."""

    rule: OperationRule
    otherwise: CompiledRule
    reading: CompiledRule
    pages: list[CompiledRule] = field(default_factory=list)
    chosen: dict[int, CompiledRule] = field(default_factory=dict)
    layers: dict[int, Layer] = field(default_factory=dict)
    passing: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)

    def of(self, entry: Entry) -> CompiledRule:
        """The rule of an operation."""
        return self.chosen.get(id(entry), self.otherwise)

    def settle(self, tape: Tape, out: Var | None) -> Assignment:
        """The assignment for a tape: operations that lead to the quantity have their rule, layers their neighbours."""
        settled = Assignment(self.rule, self.otherwise, self.reading, self.pages)
        if self.rule.compares or not (self.pages or self.otherwise.merges):
            return settled
        settled.chosen = dict.fromkeys(map(id, tape.entries[tape.end :]), self.reading)
        entries = leading(tape.entries, out)
        if self.pages:
            settled._choose(tape, [e for e in entries if id(e) not in settled.chosen])
        merger = Merger(entries)
        merger.run(lambda e: settled.of(e).merges)
        settled.layers, settled.passing = merger.layers, merger.passing
        return settled

    def _choose(self, tape: Tape, entries: list[Entry]) -> None:
        assert isinstance(self.rule, RuleBook)
        kinds = [kind_of(e) for e in entries]
        layers = [e for e, kind in zip(entries, kinds, strict=True) if kind in LAYERS]
        position = {id(e): tape.before + i for i, e in enumerate(layers)}
        for entry, kind in zip(entries, kinds, strict=True):
            page = self.rule.choose(Operation(kind, entry.place, position.get(id(entry)), tape.before + len(layers)))
            if page is not None:
                self.chosen[id(entry)] = self.pages[page]
                self.used.add(page)


def assign(rule: OperationRule, framework: Framework) -> Assignment:
    """A rule made ready for tapes. Raises RuleError for an unknown treatment."""
    reading = compile_reading(framework)
    if isinstance(rule, RuleBook):
        pages = [compile_rule(page, framework) for _, page in rule.pairs]
        return Assignment(rule, compile_rule(rule.otherwise, framework), reading, pages)
    return Assignment(rule, compile_rule(rule, framework), reading)
