"""Every named method on the seven networks in every framework, compared with PyTorch: ``python -m benchmarks.frameworks [--commit]``.

Each framework runs in a process of its own. ``--commit`` writes ``docs/reports/frameworks.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import AscribeError
from ascribe.methods import METHODS
from ascribe.tree import walk
from tests.support.networks import NAMES, inputs
from tests.support.rules import peer

FRAMEWORKS: Mapping[str, tuple[str, str | None]] = {
    "JAX function": ("function", None),
    "Flax linen": ("linen", None),
    "Flax NNX": ("nnx", None),
    "Equinox": ("equinox", None),
    "TensorFlow": ("tensorflow", None),
    "Keras on PyTorch": ("keras", "torch"),
    "Keras on JAX": ("keras", "jax"),
    "Keras on TensorFlow": ("keras", "tensorflow"),
}
"""For each column, how its networks are built, and the back end of Keras."""
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of axes that move the channels of images."""
PAGE = Path(__file__).parents[1] / "docs" / "reports" / "frameworks.md"
HEAD = """# The same numbers in every framework

Written by `python -m benchmarks.frameworks --commit`: every named method on seven small networks (MLP, CNN, residual, attention, GRU, two
inputs, embedding of ids), built from the same weights in single precision. A cell has the largest difference to PyTorch, as a share of the
largest value, and the number of networks compared. "refused" counts the networks for which the method raises an error of ascribe that says
why; PyTorch explains them. A dash means that PyTorch explains none of the networks by this method.
"""


def arguments_of(name: str, network: str, last: bool) -> dict[str, Any]:
    """The arguments of a method's constructor: a baseline without ties in max-pools, small budgets, one feature per element.

    ``last`` if the images have their channels last.
    """
    rows = tuple(a.transpose(LAST) for a in inputs(network)) if last else inputs(network)
    row = rows[0][1:2] if len(rows) == 1 else tuple(r[1:2] for r in rows)
    if network == "embedding":
        row, rows = 0.1, ()
    made: dict[str, Any] = {}
    fields = set(METHODS[name].__dataclass_fields__)
    if "background" in fields:
        made["background"] = rows[0] if len(rows) == 1 else rows
    if "baseline" in fields:
        made["baseline"] = row if isinstance(row, (float, tuple)) else row.astype(np.float32)
    if isinstance(made.get("baseline"), tuple):
        made["baseline"] = tuple(r.astype(np.float32) for r in made["baseline"])
    if "budget" in fields:
        made["budget"] = 64
    if "samples" in fields:
        made["samples"] = 3
    if "size" in fields:
        made["size"] = 4
    if name == "ShapleyExact":
        made["features"] = asc.Grid(2) if network == "cnn" else None
    return made


def explain(name: str, network: str, model: Any, args: tuple[Any, ...]) -> list[np.ndarray]:
    """The values of one method on one network, as NumPy, images with their channels first."""
    last = network == "cnn" and tuple(args[0].shape) != inputs(network)[0].shape
    method = METHODS[name](**arguments_of(name, network, last))
    at = {"at": "head"} if name == "LayerActivation" else {}
    of = {} if name in ("LayerActivation", "EigenCam") else {"of": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [as_numpy(leaf).astype(np.float64) for _, leaf in walk(method(model, *args, seed=0, **of, **at).values)]
    return [a.transpose(FIRST) if last and a.ndim == 4 else a for a in found]


def measure(build: Callable[[str], tuple[Any, tuple[Any, ...]]], chosen: list[str]) -> dict[str, list[Any]]:
    """For each method the differences to PyTorch, and the texts of errors."""
    table: dict[str, list[Any]] = {}
    for network in NAMES:
        pytorch, mine = peer(network), build(network)
        for name in chosen:
            try:
                truth = explain(name, network, *pytorch)
            except Exception:
                continue
            try:
                found = explain(name, network, *mine)
                table.setdefault(name, []).append(difference(found, truth))
            except AscribeError as error:
                table.setdefault(name, []).append(f"{network}: {error}")
            except Exception as error:
                table.setdefault(name, []).append(f"FAULT {network}: {type(error).__name__}: {error}")
    return table


def difference(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """The largest difference as a share of the largest value; infinite for other shapes."""
    if [a.shape for a in found] != [b.shape for b in truth]:
        return float("inf")
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(found, truth, strict=True))


def builder(kind: str) -> Callable[[str], tuple[Any, tuple[Any, ...]]]:
    """Builds a network of a framework by name."""
    if kind in ("function", "linen", "nnx", "equinox"):
        make = import_module("tests.support.jax_networks").jax_network
        return lambda network: make(kind, network)
    made: Callable[[str], tuple[Any, tuple[Any, ...]]] = getattr(import_module(f"tests.support.{kind}_networks"), f"{kind}_network")
    return made


def cell(results: list[Any]) -> str:
    """A cell of the table."""
    numbers = [r for r in results if isinstance(r, float)]
    refused = [r for r in results if isinstance(r, str) and not r.startswith("FAULT")]
    faults = len(results) - len(numbers) - len(refused)
    parts = [f"{max(numbers):.0e} ({len(numbers)})"] if numbers else []
    parts += [f"refused ({len(refused)})"] if refused else []
    parts += [f"fault ({faults})"] if faults else []
    return ", ".join(parts) or "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/frameworks.md")
    parser.add_argument("--only", default="", help="methods whose names contain this")
    parser.add_argument("--run", default="", help="the column to run in this process; prints JSON")
    args = parser.parse_args()
    chosen = [name for name in METHODS if args.only.lower() in name.lower()]
    if args.run:
        sys.stdout.write("\n" + json.dumps(measure(builder(FRAMEWORKS[args.run][0]), chosen)))
        return
    columns: dict[str, dict[str, list[Any]]] = {}
    for title, (_, keras) in FRAMEWORKS.items():
        env = {**os.environ, **({"KERAS_BACKEND": keras} if keras else {}), "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "benchmarks.frameworks", "--run", title, "--only", args.only]
        run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if run.returncode:
            sys.stderr.write(f"{title}: {run.stderr.strip().splitlines()[-1]}\n")
            continue
        columns[title] = json.loads(run.stdout.splitlines()[-1])
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cell(column.get(name, [])) for column in columns.values()) + " |" for name in chosen]
    sys.stdout.write("\n".join(lines) + "\n")
    texts = sorted(
        {f"{title}, {name}, {r}" for title, column in columns.items() for name, rs in column.items() for r in rs if isinstance(r, str)}
    )
    sys.stdout.write("\n".join(text[:300] for text in texts) + "\n")
    if args.commit:
        PAGE.write_text(HEAD + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
