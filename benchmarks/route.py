"""The route of a call through the package: ``python -m benchmarks.route``.

Counts, for a later call of a kind on a small network: calls of named functions of ascribe (no comprehensions), the files that they are
in, how often the stack of calls changes from one module to another between the settled request and the first chunk of points at the
session, and the milliseconds of a call. ``--list NAME`` prints every call of one method with its depth,
``--count NAME`` the calls of each function. The figures of earlier states are in ``docs/reports/route.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

import ascribe as asc

HERE = str(Path(asc.__file__).parent)
METHODS: dict[str, Callable[[], Any]] = {
    "Saliency": asc.Saliency,
    "InputXGradient": asc.InputXGradient,
    "IntegratedGradients": lambda: asc.IntegratedGradients(steps=32),
    "KernelShap": asc.KernelShap,
    "DeepLift": asc.DeepLift,
    "LRP": asc.LRP,
}
SETTLED = "make_request"
"""The function whose return is the settled request."""

CHUNKS = "stream"
"""The function that evaluates points chunk by chunk."""


@dataclass
class Route:
    """Calls of a run in order: the file below the package, the function, and the depth among the package's own."""

    steps: list[tuple[str, str, int]] = field(default_factory=list)
    settled: int | None = None
    """How many calls had been made when the request was settled."""

    def calls(self) -> int:
        """How many calls of functions of the package."""
        return len(self.steps)

    def files(self) -> set[str]:
        """The files that they are in."""
        return {file for file, _, _ in self.steps}

    def changes(self) -> int:
        """How often the stack of calls changes from one module to another between the settled request and the session.

        The stack is that of the first run at the backend over a chunk of points; without chunks, that of the last run.
        """
        stack: dict[int, tuple[str, str]] = {}
        rooms: list[str] = []
        for k, (file, name, depth) in enumerate(self.steps):
            stack = {d: step for d, step in stack.items() if d < depth} | {depth: (file, name)}
            if k >= (self.settled or 0) and file.endswith("session.py") and name.endswith(".evaluate"):
                inside = [step for d, step in sorted(stack.items()) if step[0].startswith("engine/") or d == depth]
                rooms = [file for file, _ in inside]
                if any(name == CHUNKS for _, name in inside):
                    break
        return sum(a != b for a, b in pairwise(rooms))


def trace(run: Callable[[], Any]) -> Route:
    """The route of a run, recorded by a profiler."""
    route, depth = Route(), 0

    def seen(frame: FrameType, event: str, _: object) -> None:
        nonlocal depth
        file = frame.f_code.co_filename
        if not file.startswith(HERE) or frame.f_code.co_name.startswith("<"):
            return
        if event == "call":
            route.steps.append((file[len(HERE) + 1 :], frame.f_code.co_qualname, depth))
            depth += 1
        elif event == "return":
            depth -= 1
            if frame.f_code.co_name == SETTLED:
                route.settled = len(route.steps)

    sys.setprofile(seen)
    try:
        run()
    finally:
        sys.setprofile(None)
    return route


def network() -> tuple[nn.Module, torch.Tensor]:
    """The network and the records that are explained."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3)).eval(), torch.randn(5, 6)


def overhead(run: Callable[[], Any], repeats: int = 200) -> float:
    """The least time of a run in milliseconds, over groups of repeats."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(sorted(times)[: repeats // 4])


def bare(model: nn.Module, x: torch.Tensor) -> None:
    """One pass forward and backward, written by hand."""
    leaf = x.clone().requires_grad_()
    torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)


def main() -> None:
    """Prints the table, or the list of calls of one method."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.route", description=__doc__)
    parser.add_argument("--list", default="", help="print every call of this method")
    parser.add_argument("--count", default="", help="print how often each function of this method is called")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model, x = network()
    name = options.list or options.count
    rows = [f"{'method':20} {'calls':>6} {'files':>6} {'changes':>8} {'ms':>7}   (bare pass: {overhead(lambda: bare(model, x)):.3f} ms)"]
    for title, make in METHODS.items():
        method = make()

        def run(method: Any = method) -> Any:
            return method(model, x, of=1)

        for _ in range(3):
            run()
        route = trace(run)
        if title == name:
            counts = Counter((file, function) for file, function, _ in route.steps)
            lines = [f"{'  ' * depth}{file}: {function}" for file, function, depth in route.steps]
            rows = lines if options.list else [f"{n:5} {file}: {function}" for (file, function), n in counts.most_common()]
            break
        rows.append(f"{title:20} {route.calls():6} {len(route.files()):6} {route.changes():8} {overhead(run, 100):7.2f}")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
