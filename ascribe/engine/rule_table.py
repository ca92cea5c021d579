"""Which operation of a model meets which rule: the table to look at before a run is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ..backends import guard_session
from ..cuts import INPUT, CutLike
from ..errors import RuleError
from ..quantities.parse import QuantityLike
from ..rules import OperationRule, RuleLike, as_rule
from ..rules.trace import AppliedRule
from ..utils.columns import align_columns
from ..utils.entry import entry
from ..utils.escape import escape_control
from .request import as_call, make_request
from .run import run_request

HEAD = ("operation", "kind", "in", "times", "rule")


@dataclass(frozen=True, repr=False)
class RuleTable:
    """Operations in the order in which they first ran, each with its kind, the module it ran in, how often, and what treats it.

    Operations that only move or add numbers are counted together, wherever they ran. ``unused`` are the pairs of a rule book that
    fitted nothing, ``notes`` what the checks would say of operations without a rule.
    """

    rule: OperationRule
    rows: tuple[AppliedRule, ...]
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[AppliedRule, ...]:
        """The operations that the rule has no formula for."""
        return tuple(row for row in self.rows if not row.exact)

    def lines(self) -> list[tuple[str, ...]]:
        """The table as text, without its head; an operation without a rule is marked."""
        said = [(row, row.rule if row.exact else f"none: {row.rule}") for row in self.rows]
        return [(row.operation, row.kind, escape_control(row.place), str(row.times), rule) for row, rule in said]

    def remarks(self) -> list[str]:
        """The remarks below the table: rules of a book that match no operation, and what the checks say."""
        return [*(f"nothing fits {place}" for place in self.unused), *map(escape_control, self.notes)]

    def __repr__(self) -> str:
        return "\n".join([repr(self.rule), align_columns([HEAD, *self.lines()]), *self.remarks()])

    def _repr_html_(self) -> str:
        def cells(row: tuple[str, ...], tag: str) -> str:
            return "".join(f'<{tag} style="text-align:left"><bdi>{escape(cell, quote=True)}</bdi></{tag}>' for cell in row)

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.lines())
        said = "".join(f"<li><bdi>{escape(text, quote=True)}</bdi></li>" for text in self.remarks())
        title = f"<p><code>{escape(repr(self.rule), quote=True)}</code></p>"
        return f"<div>{title}<table><tr>{cells(HEAD, 'th')}</tr>{body}</table>{f'<ul>{said}</ul>' if said else ''}</div>"


@entry
def explain_rules(
    model: Any, *args: Any, by: RuleLike, of: QuantityLike = None, at: CutLike | Sequence[CutLike] = INPUT, **kwargs: Any
) -> RuleTable:
    """Which rule each operation of this call meets under ``by``, and which operations have none.

    >>> asc.explain_rules(model, x, by=asc.rules.Epsilon())
    rules.Epsilon()
    operation  kind        in  times  rule
    ---------  ----------  --  -----  ---------------
    addmm      dense       0   1      rules.Epsilon()
    gelu       activation  1   1      f(x) / x
    addmm      dense       2   1      rules.Epsilon()

    ``of`` and ``at`` are those of :func:`ascribe.attribute`; what they leave out is not in the table. One pass forward and one back,
    one more forward where the rule compares. ``strict`` raises nothing here. Raises RuleError for rules that treat no operations.
    """
    rule = as_rule(by)
    if not isinstance(rule, OperationRule):
        raise RuleError(
            "`asc.explain_rules` shows rules that treat operations; this rule is the gradient of each",
            found=f"by={by!r}",
            advice="by=asc.rules.Epsilon()",
        )
    lenient = replace(rule, strict=False) if rule.strict else rule  # type: ignore[type-var]
    with guard_session(model, as_call(args, kwargs)) as guarded, guarded as session:
        _, batches = run_request(session, make_request(of, at, None, lenient, progress=False))
    trace = batches[0].trace
    notes = {f"{name}: {what}" for batch in batches for name, what in batch.without_formula.items()}
    return RuleTable(rule, tuple(trace.applied), trace.unused, tuple(sorted(notes)))
