"""Which rule each operation of a tape falls to: one for all, or as a book says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....rules import OperationRule
from ....rules.books import Operation, RuleBook
from ....rules.layers import Reading
from .kinds import kind_of
from .layers import Layer
from .lrp import WEIGHTS
from .merging import Merger, leading
from .step import Formula
from .table import formulas
from .tape import Entry, Tape, Var

LAYERS = ("dense", "convolution")


@dataclass(frozen=True)
class Treated:
    """One rule, with its formulas looked up."""

    rule: OperationRule
    formulas: Mapping[str, Formula]

    @property
    def regions(self) -> str:
        return self.rule.treats["elementwise"]

    @property
    def named(self) -> bool:
        """Whether an operation without a formula is worth telling."""
        return self.rule.treats["other"] != "gradient"

    @property
    def merges(self) -> bool:
        """Whether its layers are merged with what stands beside them: unless the rule itself says ``merges = False``."""
        return self.rule.treats.get("weights") in WEIGHTS and getattr(self.rule, "merges", True)


def treated(rule: OperationRule) -> Treated:
    """Raises RuleError for a treatment that there is none of."""
    return Treated(rule, formulas(rule))


@dataclass
class Assignment:
    """A rule, or the pages of a book, made ready; :meth:`settled` for the operations of one tape."""

    rule: OperationRule
    otherwise: Treated
    pages: list[Treated] = field(default_factory=list)
    chosen: dict[int, Treated] = field(default_factory=dict)
    layers: dict[int, Layer] = field(default_factory=dict)
    passing: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)

    def of(self, entry: Entry) -> Treated:
        """What treats an operation."""
        return self.chosen.get(id(entry), self.otherwise)

    def settled(self, tape: Tape, out: Var | None) -> Assignment:
        """The same for a tape: operations that lead to the quantity have their page, layers their neighbours."""
        found = Assignment(self.rule, self.otherwise, self.pages)
        if self.rule.compares or not (self.pages or self.otherwise.merges):
            return found
        found.chosen = dict.fromkeys(map(id, tape.entries[tape.end :]), READ)
        entries = leading(tape.entries, out)
        if self.pages:
            found._choose(tape, [e for e in entries if id(e) not in found.chosen])
        merger = Merger(entries)
        merger.run(lambda e: found.of(e).merges)
        found.layers, found.passing = merger.layers, merger.passing
        return found

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


READ = treated(Reading())


def assignment(rule: OperationRule) -> Assignment:
    """A rule made ready for tapes."""
    if isinstance(rule, RuleBook):
        return Assignment(rule, treated(rule.otherwise), [treated(page) for _, page in rule.pairs])
    return Assignment(rule, treated(rule))
