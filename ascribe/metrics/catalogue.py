"""The metrics as a table, read from their classes: ``python -m ascribe.metrics.catalogue docs/metrics.md`` writes it into the page."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from ..methods.catalogue import markdown_table, plain_text
from . import METRICS
from .base import Metric

START, END = "<!-- tables of metrics -->", "<!-- end of the tables -->"
"""The lines around the tables in docs/metrics.md."""
FAMILIES = {
    "faithfulness": "Faithfulness: do the values follow the model?",
    "robustness": "Robustness: do similar inputs have similar explanations?",
    "randomisation": "Randomisation: does another model, or another class, have another explanation?",
    "complexity": "Complexity: on how few features does the explanation rest?",
    "localisation": "Localisation: do the values lie where they should?",
    "axioms": "Axioms",
}


def metric_tables() -> str:
    """Returns the tables of docs/metrics.md: what each metric computes and when to use it, and its cost, weakness and source."""
    parts = [START]
    for family, title in FAMILIES.items():
        classes = {name: cls for name, cls in METRICS.items() if cls.family == family}
        rows = [(f"`{name}`", use_of(cls), f"`{cls.formula}`".replace("|", "\\|"), cls.direction) for name, cls in classes.items()]
        facts = [(f"`{name}`", cls.cost, ", ".join(cls.needs), cls.weakness, short_source(cls)) for name, cls in classes.items()]
        parts += [f"### {title}", markdown_table(("metric", "use it when", "formula", "better"), rows)]
        parts.append(markdown_table(("metric", "cost", "needs", "known weakness", "source"), facts))
    return "\n\n".join([*parts, END])


def use_of(cls: type[Metric]) -> str:
    """Returns the sentences of a docstring that say when to use a metric."""
    text = " ".join((inspect.getdoc(cls) or "").split())
    return plain_text(text.partition("*Use it when* ")[2].partition(". ")[0].rstrip(".")) + "."


def short_source(cls: type[Metric]) -> str:
    """Returns the authors, the year and the number of a source, without its title."""
    before, _, rest = cls.source.partition(' "')
    return f"{before.rstrip(',')}{rest.partition(chr(34))[2]}"


def write_tables(page: Path) -> None:
    """Replaces the tables of metrics in a page, with the lines around them."""
    text = page.read_text(encoding="utf-8")
    page.write_text(text.partition(START)[0] + metric_tables() + text.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]))
