"""The Python program that does what a command does, for ``--show-code``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .expressions import Expression
from .files import Data
from .loading import Loaded

TAKEN = frozenset({"of", "at", "seed", "chunk", "progress", "methods", "metrics", "controls", "records", "model", "self"})
"""Names of keyword arguments that the calls of ascribe take themselves: a model with one of these is called by a Call."""


def write_program(model: Loaded, data: Data, background: Data | None, body: Sequence[str]) -> str:
    """Returns a program that loads the model and the data, and then does what ``body`` says."""
    parts = [data] if background is None else [data, background]
    needed = {line for one in parts for line in one.imports} | {f"import {model.module}", "import ascribe as asc"}
    lines = [f"model = {model.code}", *(line for one in parts for line in one.code)]
    return "\n".join([*sorted(needed, key=import_order), "", *lines, "", *body])


def import_order(line: str) -> tuple[int, str]:
    """Returns the place of an import: the standard library, then other packages."""
    return int(line.split()[1].partition(".")[0] not in sys.stdlib_module_names), line


def call_code(data: Data) -> str:
    """Returns the arguments of the model in a call: ``x``, ``*x`` or ``**x``."""
    if isinstance(data.value, dict):
        return f"asc.Call.of((), {data.name})" if TAKEN & set(data.value) else f"**{data.name}"
    return f"*{data.name}" if isinstance(data.value, list) else data.name


def options_code(of: Expression, at: Expression, seed: int) -> str:
    """Returns the options of a call that differ from the defaults."""
    given = [("of", of.code, of.value is None), ("at", at.code, at.value is None), ("seed", str(seed), seed == 0)]
    return "".join(f", {name}={code}" for name, code, default in given if not default)


def explain_body(method: Expression, call: str, names: bool, tokens: bool, out: Path | None) -> list[str]:
    """Returns the lines that explain, show the result, and save it; ``names`` shows the columns of a table, ``tokens`` sums embeddings."""
    lines = [f"method = {method.code}", f"a = method(model, {call})"]
    lines += ['if a.quantities is None and getattr(a.values, "ndim", 0) == 3:', '    a = a.sum("embedding")'] if tokens else []
    lines += ["a.show()"]
    lines += ["print(a.to_pandas(features=columns, wide=True))"] if names else []
    return [*lines, f"a.save({str(out)!r})"] if out else lines


def compare_body(methods: Mapping[str, Expression], metrics: Mapping[str, Expression], call: str, out: Path | None) -> list[str]:
    """Returns the lines that compare methods, show the comparison, and write its report."""
    lines = ["methods = {", *(f"    {name!r}: {one.code}," for name, one in methods.items()), "}"]
    given = ""
    if metrics:
        lines += ["metrics = {", *(f"    {name!r}: {one.code}," for name, one in metrics.items()), "}"]
        given = ", metrics=metrics"
    lines += [f"c = asc.compare(model, {call}, methods=methods{given})", "c.show()"]
    return [*lines, f"c.write_report({str(out)!r})"] if out else lines


def report_body(methods: Mapping[str, Expression], call: str, out: Path) -> list[str]:
    """Returns the lines that explain by several methods, and write a report of the results."""
    return [
        "methods = {",
        *(f"    {name!r}: {one.code}," for name, one in methods.items()),
        "}",
        f"results = {{name: method(model, {call}) for name, method in methods.items()}}",
        f"asc.reports.write_report({str(out)!r}, asc.reports.cards(results))",
    ]
