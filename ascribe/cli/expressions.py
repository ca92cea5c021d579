"""Methods and quantities written on the command line: calls of public names of ascribe with literal arguments, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import ArgumentError

ADVICE = "a name or a call such as IntegratedGradients(steps=64)"


def parse_value(text: str, given: Mapping[str, Any]) -> Any:
    """Returns the value of an expression: a name of ascribe, or a call of one with literals, names in ``given``, and further calls.

    Nothing is evaluated: the expression is read as a tree. Raises ArgumentError for anything else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ArgumentError("This is no expression", found=f"{text!r:.200}", advice=ADVICE) from error
    value = read_node(tree, text, given)
    return value() if isinstance(value, type) else value


def read_node(node: ast.expr, text: str, given: Mapping[str, Any]) -> Any:
    """Returns the value of one node of an expression."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return given[node.id] if node.id in given else find_public(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return find_public(node.attr, node.value.id)
    if isinstance(node, ast.Call) and not any(keyword.arg is None for keyword in node.keywords):
        arguments = [read_node(one, text, given) for one in node.args]
        return read_node(node.func, text, given)(*arguments, **{str(k.arg): read_node(k.value, text, given) for k in node.keywords})
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(read_node(one, text, given) for one in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value
    raise ArgumentError(
        "An expression of the command line has calls of names of ascribe and literals only", found=f"{text!r:.200}", advice=ADVICE
    )


def find_public(name: str, module: str | None = None) -> Any:
    """Returns a public name of ascribe, or of one of its public modules. Raises ArgumentError with the nearest names."""
    import ascribe

    if module in (None, "asc", "ascribe"):
        home, known = ascribe, list(ascribe.__all__)
    elif module in ascribe.MODULES and module != "compat":
        home = getattr(ascribe, str(module))
        known = list(home.__all__)
    else:
        raise ArgumentError(f"ascribe has no module {module!r:.80}", found=", ".join(ascribe.MODULES), advice=ADVICE)
    if name not in known:
        near = get_close_matches(name, known, 3) or [one for one in known if one.lower() == name.lower()]
        raise ArgumentError(f"There is no {name!r:.80} in ascribe", found="no such name", advice=" or ".join(near) or "ascribe methods")
    return getattr(home, name)


def qualify(text: str, given: Mapping[str, Any] = {}) -> str:
    """Returns an expression as Python code with ``asc.`` before the names of ascribe; a name alone becomes a call."""
    tree = ast.parse(text.strip(), mode="eval")
    body = tree.body if isinstance(tree.body, ast.Call) else ast.Call(tree.body, [], [])
    return ast.unparse(ast.fix_missing_locations(Qualifier(given).visit(body)))


class Qualifier(ast.NodeTransformer):
    """Puts ``asc.`` before the names of ascribe."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        own = node.id in self.given or node.id in ("asc", "ascribe")
        return node if own else ast.Attribute(ast.Name("asc", ast.Load()), node.id, ast.Load())


def split_list(text: str) -> list[str]:
    """Returns the parts of a list separated by commas; commas within brackets and quotes do not separate."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parse_quantity(text: str | None, given: Mapping[str, Any]) -> Any:
    """Returns ``--of``: a class by number, labels separated by commas, a call such as ``Prob(1)``, or the name of a class."""
    if text is None:
        return None
    if "(" in text:
        return parse_value(text, given)
    parts = split_list(text)
    numbers = [int(part) if part.lstrip("-").isdigit() else part for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers


def quantity_code(text: str, given: Mapping[str, Any]) -> str:
    """Returns ``--of`` as Python code."""
    return qualify(text, given) if "(" in text else repr(parse_quantity(text, given))
