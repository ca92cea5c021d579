"""Every named method on the problems with known answers: ``python -m benchmarks.known [--commit]``.

``--commit`` writes ``docs/reports/known-answers.md``.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

import ascribe as asc
from ascribe.errors import AscribeError
from ascribe.methods import METHODS, GradientMethod, Method
from ascribe.metrics import ConstantValues, RandomValues
from ascribe.metrics.known import PROBLEMS, KnownAnswer

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "known-answers.md"
BUDGET, SAMPLES = 512, 32
EXACT = 1e-3
"""The largest error of values that are called exact: single precision and sums over points."""
OTHERS: dict[str, type[Method]] = {"RandomValues": RandomValues, "ConstantValues": ConstantValues}
HEAD = """# Methods against known answers

Written by `python -m benchmarks.known --commit`: every named method on models and records whose attributions are known by construction
(`ascribe.metrics.known`), in PyTorch, with a baseline of zeros, at most 512 evaluations for each record and 32 samples.

Where the values themselves are known (linear, additive, products, needles, copied step), a cell says **exact** if all records have
the true values to 0.1 %, and otherwise has the mean cosine between the values and the truth: 1 for the same direction, 0 for no
relation. Where only the features that matter are known (shortcut, mosaic, unread column), a cell has the mean share of the absolute values
on them. A dash: the method does not apply, such as a class activation map without a convolution. Methods that remove features remove whole
tiles of the mosaic, as half of a tile shows the model stripes that are not there.

Methods that answer another question are not wrong: a gradient says what a small change does, and has the sign of the weight where the truth
has that of the contribution. `RandomValues` and `ConstantValues` are the controls: what a method has to beat.

"""


def arguments_of(name: str, problem: KnownAnswer) -> dict[str, Any]:
    """The arguments of a method's constructor for a problem."""
    ids = problem.x.dtype.kind == "i"
    gradient = name in METHODS and issubclass(METHODS[name], GradientMethod)
    zeros = torch.zeros_like(problem.arguments()[0][:1])
    if ids and gradient:
        zeros = torch.zeros(*zeros.shape, problem.weights["table"].shape[1])
    fields = set(METHODS[name].__dataclass_fields__) if name in METHODS else set()
    given = {
        "background": zeros,
        "baseline": 0.0,
        "by": 0,
        "features": problem.features,
        "budget": BUDGET,
        "samples": SAMPLES,
        "size": 2 if problem.x.ndim == 4 else 1,
    }
    return {key: value for key, value in given.items() if key in fields and value is not None and not (gradient and key == "by")}


def explain(name: str, problem: KnownAnswer) -> asc.Attribution:
    """The result of a method on a problem. Gradient methods on ids explain the embeddings."""
    cls = METHODS.get(name) or OTHERS[name]
    method = cls(**arguments_of(name, problem))
    ids = problem.x.dtype.kind == "i" and isinstance(method, GradientMethod)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(problem.build("torch"), *problem.arguments("torch"), of=problem.of, seed=0, **({"at": asc.EMBEDDINGS} if ids else {}))


def cell(name: str, problem: KnownAnswer) -> str:
    """The cell of a method and a problem."""
    try:
        a = explain(name, problem)
        values = a.values
        if problem.x.ndim == 4 and not isinstance(values, dict) and tuple(values.shape[-2:]) != problem.x.shape[1:3]:
            values = torch.nn.functional.interpolate(values, size=problem.x.shape[1:3], mode="nearest")
        found = problem.score(values)
    except (AscribeError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{name} on {problem.name}: {type(error).__name__}: {str(error).splitlines()[0]}\n")
        return "–"
    if found.error is None or found.cosine is None:
        return f"{found.share.mean():.2f}"
    return "**exact**" if found.error.max() <= EXACT else f"{found.cosine.mean():.2f}"


def table(names: list[str]) -> list[list[str]]:
    """The rows of the table."""
    return [[f"`{name}`", *(cell(name, problem) for problem in PROBLEMS.values())] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/known-answers.md")
    parser.add_argument("--only", default="", help="methods, joined by commas")
    args = parser.parse_args()
    names = [name for name in [*METHODS, *OTHERS] if not args.only or name in args.only.split(",")]
    head = ["method", *(problem.name for problem in PROBLEMS.values())]
    lines = [head, ["---"] * len(head), *table(names)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    said = "".join(f"- **{problem.name}**: {problem.says}.\n" for problem in PROBLEMS.values())
    sys.stdout.write(text)
    if args.commit:
        PAGE.write_text(HEAD + said + "\n" + text)


if __name__ == "__main__":
    main()
