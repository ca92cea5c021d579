"""Installed versions, devices and known problems. Only torch is imported."""

from __future__ import annotations

import operator
import platform
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from .output import fill

USES = {
    "numpy": "everything",
    "safetensors": "Attribution.save()",
    "torch": "PyTorch models",
    "jax": "JAX models: functions, Flax, Equinox",
    "keras": "Keras 3 models",
    "tensorflow": "TensorFlow models",
    "matplotlib": "Attribution.plot()",
    "pandas": "Attribution.to_pandas(), tables",
    "rich": "colour in Attribution.show()",
    "scikit-learn": "ascribe demo",
    "scikit-image": "Superpixels, structural similarity of images",
    "scipy": "superpixels, Inpaint and Road",
    "pillow": "images of the command line",
    "optuna": "asc.tune",
    "shap": "TreeShap of scikit-learn models, or with a background; Attribution.to_shap()",
    "transformers": "Hugging Face models; ascribe never imports it",
}
"""Distribution -> what uses it."""
EXTRAS = {
    "torch": "torch",
    "jax": "jax",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "matplotlib": "plot",
    "pandas": "data",
    "rich": "terminal",
    "scikit-learn": "demo",
    "scikit-image": "images",
    "scipy": "images",
    "pillow": "images",
    "optuna": "tune",
    "shap": "trees",
}
"""Distribution -> the extra of ascribe that installs it."""
MARKS = {True: "ok", False: "PROBLEM", None: "--"}
"""The first word of a line of output."""


class Finding(NamedTuple):
    """One line of output: the subject, what was found, and ``ok``: True, False for a problem, None for a note."""

    subject: str
    found: str
    ok: bool | None = True


def installed_version(distribution: str) -> str | None:
    """Returns the installed version from the package metadata, without an import; TensorFlow's build for CPUs is TensorFlow too."""
    for name in (distribution, f"{distribution}-cpu") if distribution == "tensorflow" else (distribution,):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def list_findings() -> Iterator[Finding]:
    """Yields findings about Python, ascribe, optional packages, devices and known problems."""
    yield Finding("python", f"{platform.python_version()} on {platform.machine()} {platform.system()}")
    yield Finding("ascribe", installed_version("ascribe") or "not installed: run from its source")
    for name, use in USES.items():
        there, extra = installed_version(name), EXTRAS.get(name)
        fix = f": pip install 'ascribe[{extra}]'" if extra else ""
        yield Finding(name, f"{there} ({use})") if there else Finding(name, f"not installed{fix} ({use})", None)
    if find_spec("torch"):
        yield from (Finding("device", text) for text in list_devices())
    yield from list_problems()


def list_problems() -> Iterator[Finding]:
    """Yields the known problems of what is installed: versions out of range, torchvision of another torch, Keras without a backend."""
    for name, required in version_ranges().items():
        there = installed_version(name)
        if there and not fits_range(there, required):
            extra = EXTRAS.get(name)
            target = f"ascribe[{extra}]" if extra else f"{name}{required}"
            yield Finding(name, f"{there} is installed, and ascribe needs {required}: pip install '{target}'", ok=False)
    mismatch = torchvision_mismatch(installed_version("torch"), installed_version("torchvision"), _required_torch())
    if mismatch:
        yield Finding("torchvision", mismatch, ok=False)
    if installed_version("keras") and not any(map(installed_version, ("torch", "jax", "tensorflow"))):
        yield Finding("keras", "needs torch, jax or tensorflow: pip install 'ascribe[torch]'", ok=False)


def findings_page(found: Sequence[Finding], width: int) -> str:
    """Returns findings as aligned lines of at most ``width`` characters."""
    first = max(len(MARKS[it.ok]) for it in found)
    second = max(len(it.subject) for it in found)
    indent = " " * (first + second + 4)
    heads = [f"{MARKS[it.ok].ljust(first)}  {it.subject.ljust(second)}  " for it in found]
    return "\n".join(fill(it.found, width, head, indent) for it, head in zip(found, heads, strict=True))


def version_ranges() -> dict[str, str]:
    """Returns the versions that ascribe's metadata requires of each package, such as ``>=2.6,<3``; empty without metadata."""
    try:
        needs = metadata.requires("ascribe") or []
    except metadata.PackageNotFoundError:
        return {}
    parts = (re.match(r"([\w.-]+)([<>=!~][^;]*)?", need) for need in needs)
    ranges = {match.group(1).lower(): (match.group(2) or "").strip() for match in parts if match}
    return {name: ranges[name] for name in ("numpy", "safetensors", *EXTRAS) if ranges.get(name)}


def fits_range(version: str, required: str) -> bool:
    """Returns whether a version satisfies bounds such as ``<3,>=2.6``; only the numbers of a release are compared."""
    compare = {">=": operator.ge, "<": operator.lt, "<=": operator.le, ">": operator.gt}
    bounds = (re.match(r"(>=|<=|<|>)\s*([\d.]+)$", part.strip()) for part in required.split(","))
    return all(compare[it.group(1)](release(version), release(it.group(2))) for it in bounds if it)


def release(version: str) -> tuple[int, ...]:
    """Returns the numbers of a release, without zeros at the end: ``(2, 6)`` for ``2.6.0+cpu``."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, re.sub(r"(\.0+)+$", "", match.group()).split("."))) if match else ()


def list_devices() -> list[str]:
    """Returns the devices that torch can use."""
    import torch

    result = [f"cpu, {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory
        result.append(f"cuda:{index}, {torch.cuda.get_device_name(index)}, {memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        result.append("mps")
    return result


def torchvision_mismatch(torch: str | None, torchvision: str | None, required: str | None) -> str | None:
    """Returns why torchvision cannot be imported with this torch, or None if the versions fit.

    A torchvision compiled for another torch, or for CUDA with a CPU torch, fails at import with ``operator torchvision::nms does not
    exist``. ascribe never imports torchvision, but a model may.
    """
    if not torch or not torchvision:
        return None
    (torch_release, _, torch_build), (_, _, build) = torch.partition("+"), torchvision.partition("+")
    if required and torch_release != required:
        return f"torchvision {torchvision} needs torch {required}, but torch {torch} is installed: install matching versions"
    if torch_build != build:
        return (
            f"torchvision {torchvision} is of another build than torch {torch}: where its import fails with "
            f"'operator torchvision::nms does not exist', install both from the same index"
        )
    return None


def _required_torch() -> str | None:
    """Returns the exact version of torch that the installed torchvision requires."""
    try:
        needs = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return None
    exact = (re.match(r"torch\s*\(?==\s*([\w.]+)", need) for need in needs)
    return next((match.group(1) for match in exact if match), None)
