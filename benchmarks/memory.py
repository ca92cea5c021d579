"""The most memory that a call needs above the model, each contender in a process of its own.

On a CPU this is the peak of the resident set (``VmHWM``, set back through ``clear_refs``) over what was resident when the
model and the library were warm; ``ru_maxrss`` would not do, it remembers the parent's peak across ``exec``. On a GPU it is
``torch.cuda.max_memory_allocated`` over what was allocated before. The path's call is the first one ever on its model.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import ascribe_side, bare, captum_side, models
from benchmarks.cases import Settings
from benchmarks.models import Subject

MB = 1e6


@dataclass(frozen=True)
class Peak:
    """Megabytes above the warm model, and the seconds of that first call; ``error`` if there was none."""

    name: str
    megabytes: float = float("nan")
    seconds: float = float("nan")
    how: str = ""
    error: str = ""


TAPES: dict[str, Callable[[Subject], Callable[[], Any]]] = {
    "gradient times input": lambda m: lambda: bare.input_x_gradient(m),
    "AttnLRP": ascribe_side.attn_lrp,
    "CPLRP": ascribe_side.cp_lrp,
}
"""One way forth and back on a Llama; the first with the parameters frozen, so that autograd saves as little as it can."""


def peaks(settings: Settings, chunk: int) -> list[Peak]:
    """One figure per contender; ``chunk`` is the bare loop's best."""
    return [_apart(name, settings, chunk) for name in ("bare", "ascribe", "captum")]


def tapes(settings: Settings) -> list[Peak]:
    """The memory of a backward pass under a rule, compared with autograd."""
    return [_apart(name, settings, 1) for name in TAPES]


def _apart(name: str, settings: Settings, chunk: int) -> Peak:
    order = json.dumps({"name": name, "chunk": chunk, "threads": torch.get_num_threads(), "settings": asdict(settings)})
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", order], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[1])  # fmt: skip
    if done.returncode:
        return Peak(name, error=(done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def _caller(name: str, s: Settings, chunk: int) -> Callable[[Subject, int], Callable[[], Any]]:
    if name == "bare":
        return lambda m, steps: lambda: bare.integrated_gradients(m, steps=steps, chunk=chunk, ends=True)
    side = ascribe_side if name == "ascribe" else captum_side
    return side.integrated_gradients


def measure(name: str, settings: Settings, chunk: int) -> Peak:
    """Returns the peak of this process."""
    subject, call = _taped(name, settings) if name in TAPES else _path(name, settings, chunk)
    bare.saliency(subject)  # the model's kernels and their workspaces
    gc.collect()
    read, how = _gauge(settings.device)
    before = read()
    start = time.perf_counter()
    call()
    if settings.device.startswith("cuda"):
        torch.cuda.synchronize()
    return Peak(name, (read() - before) / MB, time.perf_counter() - start, how)


def _path(name: str, settings: Settings, chunk: int) -> tuple[Subject, Callable[[], Any]]:
    subject = models.cnn(settings.device, settings.image, settings.batch)
    subject.model.requires_grad_(name != "bare")
    make = _caller(name, settings, chunk)
    make(models.mlp(settings.device), 8)()  # the library's own imports and tables
    return subject, make(subject, settings.memory_steps)


def _taped(name: str, settings: Settings) -> tuple[Subject, Callable[[], Any]]:
    def llama(tokens: int, width: int, layers: int) -> Subject:
        subject = models.llama(settings.device, tokens, 1, width, layers)
        subject.model.requires_grad_(name != "gradient times input")
        return subject

    TAPES[name](llama(8, 16, 1))()  # the library's own imports and tables
    subject = llama(settings.long, 8 * settings.image, 8)
    call = TAPES[name](subject)
    call()  # where the embeddings are is looked for once
    return subject, call


def _gauge(device: str) -> tuple[Callable[[], float], str]:
    """A reading of the peak so far, started anew."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return lambda: float(torch.cuda.max_memory_allocated()), "torch.cuda.max_memory_allocated"
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0, "ru_maxrss"
    return _high_water, "VmHWM"


def _high_water() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main(order: str) -> None:
    """Measures what ``order`` specifies and writes the figure to standard output."""
    options = json.loads(order)
    torch.set_num_threads(options["threads"])
    peak = measure(options["name"], Settings(**options["settings"]), options["chunk"])
    sys.stdout.write(json.dumps(asdict(peak)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
