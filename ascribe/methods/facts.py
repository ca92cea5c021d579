"""Facts for choosing a method, as data on its class: cost in passes, requirements, guarantees, source; and the text of ``help()``."""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .parameter_help import PARAMETERS

Need = Literal["gradient", "layers", "spatial layers", "biases", "ReLU", "images", "baseline", "background", "replacement", "trees"]
"""Something that a method requires of the model (a gradient, named layers, layers with spatial positions, readable biases, a ReLU, trees),
of the inputs (images), or of the user (a baseline, a background of records, a replacement for removed features; all but the background
have defaults)."""

Claim = Literal[
    "completeness", "completeness on average", "conservation", "symmetry", "dummy", "linearity", "implementation invariance", "sign"
]
"""A property that a method guarantees.

completeness: the values of a record add up to the change of the quantity from the baseline, or from all features removed.
completeness on average: the same, over many draws. conservation: the values add up to the quantity itself, except for the share of
biases and constants. symmetry: features with equal roles get equal values. dummy: a feature that the quantity ignores gets 0.
linearity: the values for a sum of quantities are the sums of the values. implementation invariance: two networks that compute the same
function get the same values. sign: the sign of a value is the direction of its effect."""

Operator = Callable[[Any, Any], Any]
OPERATORS: Mapping[type[ast.operator], Operator] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Passes:
    """The cost of a method in passes, as formulas of its fields and of sizes: ``Passes("steps + 2", "steps")``.

    A pass evaluates the model once for every record (``Attribution.cost`` counts the same where a chunk holds all records). A run of a
    baseline or of background records counts as one pass. The sizes are ``features``, ``rows`` (background records), ``channels``,
    ``windows`` and ``points`` (of a distribution). The first call of a kind makes a few passes more, which check the model.
    """

    forward: str
    backward: str = "0"
    at_most: bool = False

    def count(self, method: object, **sizes: int) -> tuple[int, int]:
        """Returns the forward and the backward passes of a method. Raises KeyError for a size that is neither given nor a field."""
        values = {name: value for name, value in vars(method).items() if isinstance(value, int)} | sizes
        return evaluate_formula(self.forward, values), evaluate_formula(self.backward, values)

    def __str__(self) -> str:
        parts = [f"{formula} {direction} {'pass' if formula == '1' else 'passes'}" for formula, direction in self.formulas()]
        return "at most " * self.at_most + ", ".join(parts)

    def formulas(self) -> list[tuple[str, str]]:
        """Returns each formula as text with its direction; a direction without passes is left out."""
        both = ((self.forward, "forward"), (self.backward, "backward"))
        return [(formula.replace("**", "^").replace(" * ", " x "), direction) for formula, direction in both if formula != "0"]


def evaluate_formula(formula: str, values: Mapping[str, int]) -> int:
    """Returns the value of a formula of integers, names, ``+``, ``-``, ``*`` and ``**``. Raises KeyError for an unknown name."""

    def value_of(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return int(OPERATORS[type(node.op)](value_of(node.left), value_of(node.right)))
        return values[node.id] if isinstance(node, ast.Name) else int(ast.literal_eval(node))

    return value_of(ast.parse(formula, mode="eval").body)


def describe_method(cls: Any) -> str:
    """Returns the full text of a method's ``help()``: its docstring, the constructor, the call, which all methods share, and the facts."""
    facts = {"Cost": cls.cost, "Needs": ", ".join(cls.needs), "Claims": ", ".join(cls.claims), "Source": cls.source}
    parts = [inspect.cleandoc(vars(cls)["__doc__"])]
    if described := [wrap_entry(f"{name}: {text}") for name in field_names(cls) if (text := describe_parameter(cls, name))]:
        parts.append("\n".join(["Parameters of the constructor:", *described]))
    parts.append(inspect.cleandoc(cls.__call__.__doc__ or "").partition("\n\n")[2])
    parts.append("\n".join(f"{title}: {text}" for title, text in facts.items() if text))
    return "\n\n".join(parts)


def wrap_entry(text: str) -> str:
    """Returns the description of a parameter in lines of 120 characters."""
    return textwrap.fill(text, 120, initial_indent="    ", subsequent_indent="        ", break_long_words=False, break_on_hyphens=False)


def describe_parameter(cls: type, name: str) -> str:
    """Returns the description of a field: one for this class or a class that it extends, or the shared one; empty for an unknown field."""
    own = (PARAMETERS[key] for base in cls.__mro__ if (key := f"{base.__name__}.{name}") in PARAMETERS)
    return next(own, PARAMETERS.get(name, ""))


def field_names(cls: type) -> list[str]:
    """Returns the names of a dataclass's fields in order, before the decorator has run."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if base is cls or "__dataclass_fields__" in vars(base):
            names |= dict.fromkeys(name for name, kind in inspect.get_annotations(base).items() if not str(kind).startswith("ClassVar"))
    return list(names)
