"""Expressions of the command line, such as ``IntegratedGradients(steps=64)``: read from their syntax tree, never executed as code.

An expression has calls of public classes of ascribe, their constants (``EMBEDDINGS``), and literals. Everything else is an error.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

from ..errors import AscribeError
from .output import UsageError

HOMES = ("methods", "metrics", "quantities", "distributions", "features", "removal", "rules", "coalitions", "cuts")
"""The modules whose public classes and constants an expression may use."""
LONGEST = 2000
"""The largest number of characters of an expression."""


class Expression(NamedTuple):
    """A value and the Python code that makes it."""

    value: Any
    code: str


Names = Mapping[str, Expression]
"""Names of the user's data that an expression may use, such as ``background``."""


def read_methods(text: str, names: Names) -> dict[str, Expression]:
    """Returns the methods of a list with commas, by what was written. Raises UsageError for another expression."""
    return read_members(text, "method", "methods", names)


def read_metrics(text: str, names: Names) -> dict[str, Expression]:
    """Returns the metrics of a list with commas, by what was written. Raises UsageError for another expression."""
    return read_members(text, "metric", "metrics", names)


def read_members(text: str, what: str, home: str, names: Names) -> dict[str, Expression]:
    """Returns the values of a list with commas. Raises UsageError for none, and for what is no value of the module ``home``."""
    nodes = parse(f"({text},)", text, what)
    base = import_module("ascribe.methods.base").Method if home == "methods" else import_module("ascribe.metrics").Metric
    found = {}
    for node in nodes.elts if isinstance(nodes, ast.Tuple) else [nodes]:
        written = ast.unparse(node)
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        made = evaluate(call, names, home)
        if not isinstance(made.value, base):
            kind = type(made.value).__name__
            advice = "a method that `ascribe methods` lists" if home == "methods" else "a metric of ascribe.metrics, such as RelevanceGain"
            raise UsageError(f"{written} is no {what}", found=f"a value of the class {kind}", advice=advice)
        if written in found:
            raise UsageError(f"The {what} {written} is there twice", found=text, advice=f"each {what} once")
        found[written] = made
    return found


def read_quantity(text: str | None, names: Names) -> Expression:
    """Returns the value of ``--of``: a number, a literal, a quantity such as ``Contrast(3, 5)``, else the text, a class name."""
    return Expression(None, "None") if text is None else read_literal(text, names, (ast.Constant, ast.UnaryOp, ast.List, ast.Tuple))


def read_cut(text: str | None, names: Names) -> Expression:
    """Returns the value of ``--at``: a cut such as ``Cut("layer", "in")`` or EMBEDDINGS, a list of cuts, else the text, a layer's name."""
    return Expression(None, "None") if text is None else read_literal(text, names, (ast.List, ast.Tuple))


def read_literal(text: str, names: Names, literals: tuple[type[ast.expr], ...]) -> Expression:
    """Returns an expression where the text is a call, a constant of ascribe or a literal of the given kinds, else the text itself."""
    try:
        node = ast.parse(text.strip(), mode="eval").body if len(text) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    if isinstance(node, ast.Name) and node.id in ("INPUT", "OUTPUT", "LOGITS", "EMBEDDINGS"):
        return evaluate(node, names, "cuts")
    if isinstance(node, ast.Name) and inspect.isclass(find_public([node.id], "quantities")):
        return evaluate(ast.Call(node, [], []), names, "quantities")
    if node is not None and isinstance(node, (ast.Call, *literals)):
        return evaluate(node, names, "quantities")
    return Expression(text, repr(text))


def parse(text: str, shown: str, what: str) -> ast.expr:
    """Returns the syntax tree of an expression. Raises UsageError for text that is none."""
    if not shown.strip() or len(text) > LONGEST:
        there = "an empty text" if not shown.strip() else f"{len(text)} characters"
        raise UsageError(f"The {what} cannot be read", found=there, advice="IntegratedGradients(steps=64)")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        advice = "IntegratedGradients(steps=64), in quotes of the shell"
        raise UsageError(f"The {what} is no expression", found=shown[:200], advice=advice) from error


def evaluate(node: ast.expr, names: Names, home: str) -> Expression:
    """Returns the value and the code of a syntax tree; names are looked up in the module ``home`` first."""
    if isinstance(node, ast.Call):
        return evaluate_call(node, names, home)
    if isinstance(node, (ast.Name, ast.Attribute)):
        if isinstance(node, ast.Name) and node.id in names:
            return names[node.id]
        value = look_up(node, home)
        return Expression(value, code_of(value, dotted(node), home))
    if isinstance(node, ast.Constant):
        return literal(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        inner = literal(node.operand)
        if isinstance(inner.value, (int, float)) and not isinstance(inner.value, bool):
            return Expression(-inner.value, f"-{inner.code}")
    if isinstance(node, (ast.List, ast.Tuple)):
        parts = [evaluate(one, names, home) for one in node.elts]
        inside, values = ", ".join(part.code for part in parts), [part.value for part in parts]
        if isinstance(node, ast.List):
            return Expression(values, f"[{inside}]")
        return Expression(tuple(values), f"({inside}{',' if len(parts) == 1 else ''})")
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        pairs = [(literal(key), evaluate(value, names, home)) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        inside = ", ".join(f"{key.code}: {value.code}" for key, value in pairs)
        return Expression({key.value: value.value for key, value in pairs}, f"{{{inside}}}")
    raise refused(node)


def literal(node: ast.expr) -> Expression:
    """Returns a number, a text, True, False or None. Raises UsageError for other constants, and for infinity."""
    value = node.value if isinstance(node, ast.Constant) else ...
    plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    if not plain:
        raise refused(node)
    return Expression(value, repr(value))


def evaluate_call(node: ast.Call, names: Names, home: str) -> Expression:
    """Returns an instance of a public class; methods get the background of the user where they take one."""
    cls = look_up(node.func, home)
    if not inspect.isclass(cls) or any(isinstance(one, ast.Starred) for one in node.args) or any(k.arg is None for k in node.keywords):
        raise refused(node)
    inner = "removal" if home == "methods" else home
    args = [evaluate(one, names, inner) for one in node.args]
    kwargs = {str(k.arg): evaluate(k.value, names, inner) for k in node.keywords}
    kwargs |= from_background(cls, args, kwargs, names)
    try:
        value = cls(*(one.value for one in args), **{name: one.value for name, one in kwargs.items()})
    except AscribeError as error:
        raise UsageError(error.problem, found=error.found, advice=error.advice, code=error.code) from error
    except (TypeError, ValueError) as error:
        advice = "--background FILE" if "'background'" in str(error) else f"ascribe methods {cls.__name__}"
        raise UsageError(f"{ast.unparse(node)} cannot be made", found=str(error), advice=advice) from error
    inside = ", ".join([*(one.code for one in args), *(f"{name}={one.code}" for name, one in kwargs.items())])
    return Expression(value, f"{code_of(cls, dotted(node.func), home)}({inside})")


def from_background(cls: type, args: Sequence[Expression], kwargs: Names, names: Names) -> dict[str, Expression]:
    """Returns the arguments that a method gets from ``--background``: ``background=``, or a replacement that was not given."""
    from ..methods.base import PerturbationMethod
    from ..removal import Resample

    rows = names.get("background")
    free = [name for name in list(inspect.signature(cls).parameters)[len(args) :] if name not in kwargs]
    if rows is None:
        return {}
    if "background" in free and issubclass(cls, import_module("ascribe.methods.base").Method):
        return {"background": rows}
    if "by" in free and issubclass(cls, PerturbationMethod):
        return {"by": Expression(Resample(rows.value), f"asc.Resample({rows.code})")}
    return {}


def dotted(node: ast.expr) -> list[str]:
    """Returns the names of ``a.b.c``, without a first ``asc`` or ``ascribe``. Raises UsageError for anything else."""
    if isinstance(node, ast.Name):
        return [] if node.id in ("asc", "ascribe") else [node.id]
    if isinstance(node, ast.Attribute):
        return [*dotted(node.value), node.attr]
    raise refused(node)


def look_up(node: ast.expr, home: str) -> Any:
    """Returns a public class or constant of ascribe. Raises UsageError for an unknown name, with the similar ones."""
    parts = dotted(node)
    found = find_public(parts, home)
    if found is None:
        known = {name.lower().replace("_", ""): name for module in (*HOMES[::-1], home) for name in public_names(module)}
        near = get_close_matches(parts[-1].lower().replace("_", "") if parts else "", known, 2, 0.7)
        advice = " or ".join(known[one] for one in near) or (
            "RelevanceGain" if home == "metrics" else "a name that `ascribe methods` lists"
        )
        raise UsageError(f"There is no {'.'.join(parts) or 'such name'} in ascribe", found=ast.unparse(node)[:200], advice=advice)
    return found


def find_public(parts: Sequence[str], home: str) -> Any:
    """Returns what ``name`` or ``module.name`` is; None for what is not public. A plain name is looked up in ``home`` first."""
    *modules, name = parts or ["_"]
    places = modules if len(modules) == 1 and modules[0] in HOMES else [home, *HOMES] if not modules else []
    return next((getattr(import_module(f"ascribe.{one}"), name) for one in places if name in public_names(one)), None)


def public_names(module: str) -> list[str]:
    """Returns the names of a module that are classes or constants of ascribe; functions, modules and tables are left out."""
    home = import_module(f"ascribe.{module}")
    values = {name: getattr(home, name) for name in home.__all__}
    return [name for name, one in values.items() if (one if inspect.isclass(one) else type(one)).__module__.startswith("ascribe.")]


def code_of(value: Any, parts: Sequence[str], home: str) -> str:
    """Returns the name of a public class or constant in a program: ``asc.Saliency``, ``asc.rules.Epsilon``."""
    import ascribe

    name = parts[-1]
    if name in ascribe.__all__ and getattr(ascribe, name) is value:
        return f"asc.{name}"
    places = (*parts[:-1], home, *HOMES)
    module = next(one for one in places if one in HOMES and name in public_names(one))
    return f"asc.{module}.{name}"


def refused(node: ast.expr) -> UsageError:
    """Returns the error for a part of an expression that is neither a literal nor a class of ascribe."""
    return UsageError(
        "An expression may have classes of ascribe and literals only",
        found=ast.unparse(node)[:200],
        advice="IntegratedGradients(baseline=0.0, steps=64)",
    )
