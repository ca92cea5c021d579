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
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import AscribeError
from ascribe.methods import METHODS, GradientMethod
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
BAR = 1e-5
"""The largest difference in single precision that rounding explains."""
DOUBLE = bool(os.environ.get("ASCRIBE_DOUBLE"))
"""Whether this process compares in double precision."""
KIND = np.float64 if DOUBLE else np.float32
"""The data type of baselines."""
PAGE = Path(__file__).parents[1] / "docs" / "reports" / "frameworks.md"
HEAD = """# The same numbers in every framework

Written by `python -m benchmarks.frameworks --commit`: every named method on seven small networks (MLP, CNN, residual, attention, GRU, two
inputs, embedding of ids), built from the same weights. A cell has the largest difference to PyTorch in single precision, as a share of the
largest value, and the number of networks compared. Where that is above 1e-5, a second number is the difference of the same networks in
double precision: rounding falls to its level, another formula does not.

- *refused*: networks for which the method raises an error of ascribe that says why; PyTorch explains them.
- *none*: in double precision there is nothing to compare. Keras on JAX computes batch norms in single precision there too, and the result
  says that its values do not add up.
- *gap told*: networks for which the result says that its values do not add up, as PyTorch's do.
- *other parts*: networks whose layers are others than in PyTorch, such as the products inside a GRU of Flax.
- a dash: PyTorch explains none of the networks by this method.

Networks with channels last are compared with the network in PyTorch that takes images with channels last, so that random draws belong to
the same elements; GRUs with the same formula in PyTorch, because frameworks divide its sums and biases in several ways.

Keras multiplies all steps of a GRU by the weights at once on PyTorch and JAX, which `RAP` treats as a single layer: the network in PyTorch
does the same for these columns. `FullGrad` is refused where nothing says which variables are biases: functions of JAX, and modules of
TensorFlow. Its gap on Equinox is the batch norm, whose statistics are in a state outside the layer.
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
        rounded = row if isinstance(row, tuple) else (row,)
        made["baseline"] = tuple(r if isinstance(r, float) else r.astype(KIND) for r in rounded)
        made["baseline"] = made["baseline"] if isinstance(row, tuple) else made["baseline"][0]
    if "budget" in fields:
        made["budget"] = 64
    if "samples" in fields:
        made["samples"] = 3
    if "size" in fields:
        made["size"] = 4
    if name == "ShapleyExact":
        made["features"] = asc.Grid(2) if network == "cnn" else None
    return made


class ChannelsLast(torch.nn.Module):
    """A network that takes images with their channels last."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.net(x.permute(0, 3, 1, 2))
        return scores


def peer_of(network: str, family: str, last: bool) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """The network in PyTorch and its arguments, by the family's formula; with its channels last if those of the family are."""
    at_once = family == "keras" and os.environ.get("KERAS_BACKEND") in ("torch", "jax")
    net, args = peer(network, "keras at once" if at_once else family, DOUBLE)
    return (ChannelsLast(net), tuple(a.permute(0, 2, 3, 1).contiguous() for a in args)) if last else (net, args)


def has_channels_last(network: str, args: tuple[Any, ...]) -> bool:
    """Returns whether the images of a network have their channels last."""
    return network == "cnn" and tuple(args[0].shape) != inputs(network)[0].shape


def explain(name: str, network: str, model: Any, args: tuple[Any, ...], layer: str) -> Any:
    """The result of one method on one network. Class activation maps are those of the second convolution, where several layers fit."""
    method = METHODS[name](**arguments_of(name, network, has_channels_last(network, args)))
    at = layer if name == "LayerActivation" else CONV.get(type(model).__name__, "conv2") if is_map(name) else None
    if name == "GuidedGradCam":
        method, at = asc.GuidedGradCam(at), None
    if network == "embedding" and isinstance(method, GradientMethod):
        at = at or TABLE.get(type(model).__name__, "table")
    of = {} if name in ("LayerActivation", "EigenCam") else {"of": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(model, *args, seed=0, **of, **({} if at is None else {"at": at}))


CONV, TABLE = {"ChannelsLast": "net.conv2"}, {}
"""The names of layers that some models have in place of those of the others."""


def is_map(name: str) -> bool:
    """Returns whether a method is a class activation map at one layer."""
    return name.endswith("Cam") or name == "GradCamPlusPlus"


def arrays_of(a: asc.Attribution) -> list[np.ndarray]:
    """The values as NumPy; parts of layers in the order of their names."""
    values = [a.values[name] for name in sorted(a.values)] if isinstance(a.values, Mapping) else a.values
    return [as_numpy(leaf).astype(np.float64) for _, leaf in walk(values)]


def measure(build: Callable[[str], tuple[Any, tuple[Any, ...]]], family: str, chosen: list[str]) -> dict[str, list[Any]]:
    """For each method and network: the difference to PyTorch, or a text that says why there is none."""
    table: dict[str, list[Any]] = {}
    for network in NAMES:
        mine = build(network)
        pytorch = peer_of(network, family, has_channels_last(network, mine[1]))
        layer = shared_layer(network, family)
        for name in chosen:
            try:
                truth = explain(name, network, *pytorch, layer)
            except Exception:
                continue
            try:
                found = explain(name, network, *mine, layer)
            except AscribeError as error:
                table.setdefault(name, []).append(f"refused {network}: {error}")
            except Exception as error:
                table.setdefault(name, []).append(f"FAULT {network}: {type(error).__name__}: {error}")
            else:
                table.setdefault(name, []).append(compare(network, found, truth))
    return table


def compare(network: str, found: asc.Attribution, truth: asc.Attribution) -> Any:
    """The network and the difference, or a text where the two cannot be compared."""
    if isinstance(truth.values, Mapping) and (others := {name.removeprefix("net.") for name in truth.values} ^ set(found.values)):
        return f"other parts {network}: {', '.join(sorted(others))}"
    if truth.ok and not found.ok:
        return f"gap told {network}: {'; '.join(check.detail for check in found.checks if check.status == 'fail')}"
    return [network, difference(found, truth)]


def shared_layer(network: str, family: str) -> str:
    """A layer that the network has in every framework; a function of JAX has only the values that it names."""
    return {"mlp": "second", "cnn": "conv2", "residual": "up", "attention": "norm", "two_inputs": "left", "embedding": "table"}.get(
        network, "state" if family == "function" else "head"
    )


def difference(found: asc.Attribution, truth: asc.Attribution) -> float:
    """The largest difference as a share of the largest value; infinite for other shapes."""
    ours, theirs = arrays_of(found), arrays_of(truth)
    pairs = [(moved(a, b), b) for a, b in zip(ours, theirs, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    size = max(float(np.abs(b).max()) for b in theirs)
    return max(float(np.abs(a - b).max()) for a, b in pairs) / max(size, 1e-30)


def moved(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The values of a layer with its channels where the other framework has them: the order in which the two arrays agree better."""
    if array.ndim != 4:
        return array
    orders = [made for made in (array, array.transpose(FIRST), array.transpose(LAST)) if made.shape == like.shape]
    return min(orders, key=lambda made: float(np.abs(made - like).max()), default=array)


def builder(kind: str) -> Callable[[str], tuple[Any, tuple[Any, ...]]]:
    """Builds a network of a framework by name."""
    if kind in ("function", "linen", "nnx", "equinox"):
        make = import_module("tests.support.jax_networks").jax_network
        return lambda network: make(kind, network)
    made: Callable[..., tuple[Any, tuple[Any, ...]]] = getattr(import_module(f"tests.support.{kind}_networks"), f"{kind}_network")
    return partial(made, double=DOUBLE)


def cell(results: list[Any], double: list[Any]) -> str:
    """A cell of the table; ``double`` are the results in double precision, where they were computed."""
    numbers = [r[1] for r in results if isinstance(r, list)]
    above = {r[0] for r in results if isinstance(r, list) and r[1] > BAR}
    exact = [r[1] for r in double if isinstance(r, list) and r[0] in above]
    second = f"; {max(exact):.0e}" if above and len(exact) == len(above) else "; none" if above else ""
    texts = Counter(r.partition(":")[0].rpartition(" ")[0] for r in results if isinstance(r, str))
    parts = [f"{max(numbers):.0e} ({len(numbers)}){second}"] if numbers else []
    parts += [f"{word.lower()} ({count})" for word, count in sorted(texts.items())]
    return ", ".join(parts) or "–"


def run_column(title: str, methods: list[str], double: bool) -> dict[str, list[Any]]:
    """The results of one framework, from a process of its own; empty where that fails, which is told."""
    more = {"ASCRIBE_DOUBLE": "1", "JAX_ENABLE_X64": "1"} if double else {}
    keras = FRAMEWORKS[title][1]
    env = {**os.environ, **({"KERAS_BACKEND": keras} if keras else {}), "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", **more}
    command = [sys.executable, "-m", "benchmarks.frameworks", "--run", title, "--only", ",".join(methods)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.stderr.write(f"{title}: {run.stderr.strip().splitlines()[-1]}\n")
        return {}
    found: dict[str, list[Any]] = json.loads(run.stdout.splitlines()[-1])
    return found


def above_bar(column: Mapping[str, list[Any]]) -> list[str]:
    """The methods with a difference above the bar."""
    return [name for name, results in column.items() if any(isinstance(r, list) and r[1] > BAR for r in results)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/frameworks.md")
    parser.add_argument("--only", default="", help="methods, joined by commas")
    parser.add_argument("--run", default="", help="the column to run in this process; prints JSON")
    args = parser.parse_args()
    chosen = [name for name in METHODS if not args.only or name in args.only.split(",")]
    if args.run:
        sys.stdout.write("\n" + json.dumps(measure(builder(FRAMEWORKS[args.run][0]), FRAMEWORKS[args.run][0], chosen)))
        return
    columns = {title: run_column(title, chosen, False) for title in FRAMEWORKS}
    double = {title: run_column(title, names, True) if (names := above_bar(column)) else {} for title, column in columns.items()}
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in chosen:
        cells = [cell(column.get(name, []), double[title].get(name, [])) for title, column in columns.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    sys.stdout.write("\n".join(lines) + "\n")
    texts = sorted(
        f"{title}, {name}, {r if isinstance(r, str) else f'{r[1]:.1e} {r[0]}'}"
        for title, column in columns.items()
        for name, rs in column.items()
        for r in rs
        if isinstance(r, str) or r[1] > BAR
    )
    sys.stdout.write("\n".join(text[:300] for text in texts) + "\n")
    if args.commit:
        PAGE.write_text(HEAD + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
