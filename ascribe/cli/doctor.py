"""What is installed here, which devices there are, and what is known to go wrong, without importing more than torch."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

USES = {
    "numpy": "everything",
    "torch": "PyTorch models",
    "matplotlib": "Attribution.plot()",
    "pandas": "Attribution.to_pandas()",
    "rich": "colour in Attribution.show()",
    "scikit-learn": "ascribe demo",
    "transformers": "Hugging Face models of your own; ascribe never imports it",
}
"""Distribution -> what it is for."""
EXTRAS = {"torch": "torch", "matplotlib": "plot", "pandas": "data", "rich": "terminal", "scikit-learn": "demo"}
"""Distribution -> the extra of ours that brings it."""


class Finding(NamedTuple):
    """One line of the doctor's: what was looked at, what is there, and whether it is in order; None where there is nothing to be."""

    subject: str
    found: str
    ok: bool | None = True


def version(distribution: str) -> str | None:
    """The installed version, read from the package's metadata; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def findings() -> Iterator[Finding]:
    """Python, ascribe, what it can use, the devices, and pairs of versions that do not fit."""
    yield Finding("python", f"{platform.python_version()} on {platform.machine()} {platform.system()}")
    yield Finding("ascribe", version("ascribe") or "not installed: run from its source")
    for name, use in USES.items():
        there, extra = version(name), EXTRAS.get(name)
        fix = f": pip install 'ascribe[{extra}]'" if extra else ""
        yield Finding(name, f"{there} ({use})") if there else Finding(name, f"not installed ({use}){fix}", None)
    if find_spec("torch"):
        yield from (Finding("device", text) for text in devices())
    mismatch = torchvision_mismatch(version("torch"), version("torchvision"), _required_torch())
    if mismatch:
        yield Finding("torchvision", mismatch, ok=False)


def devices() -> list[str]:
    """Every device that torch can compute on."""
    import torch

    found = [f"cpu, {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory
        found.append(f"cuda:{index}, {torch.cuda.get_device_name(index)}, {memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def torchvision_mismatch(torch: str | None, torchvision: str | None, required: str | None) -> str | None:
    """Why torchvision will fail to import with this torch, if their versions say so.

    A torchvision that was compiled for another torch, or for a CUDA torch next to a CPU one, dies at import with
    ``operator torchvision::nms does not exist``. ascribe never imports torchvision, but your model may.
    """
    if not torch or not torchvision:
        return None
    (torch_release, _, torch_build), (_, _, build) = torch.partition("+"), torchvision.partition("+")
    if required and torch_release != required:
        return f"torchvision {torchvision} needs torch {required}, and torch {torch} is here: install the pair that fits"
    if torch_build != build:
        return (
            f"torchvision {torchvision} is of another build than torch {torch}: where its import fails with "
            f"'operator torchvision::nms does not exist', install both from the same index"
        )
    return None


def _required_torch() -> str | None:
    """The exact torch that the installed torchvision asks for."""
    try:
        needs = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return None
    exact = (re.match(r"torch\s*\(?==\s*([\w.]+)", need) for need in needs)
    return next((match.group(1) for match in exact if match), None)
