"""Run the smoke tests with the oldest version of each dependency that pyproject.toml declares. `oldest.py [GROUP ...] [--torch VERSION]`.

Each group is one virtual environment, `.venv-oldest-GROUP`: the oldest JAX and the oldest TensorFlow need different versions of NumPy.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
"""The oldest version of Python, and the only one that every oldest dependency has a wheel for."""
PINNED_TORCH = ROOT / "requirements" / "constraints.txt"


@dataclass(frozen=True)
class Group:
    """One environment: the extras of ascribe in it, versions that differ from the declared bounds, and the tests that it runs."""

    extras: tuple[str, ...]
    tests: str
    instead: Mapping[str, str] = field(default_factory=dict)
    """Distribution -> the requirement that replaces its bound."""


GROUPS = {
    "torch": Group(("torch", "plot", "data", "terminal", "demo", "images", "trees", "tune"), "tests/package/test_smoke.py"),
    "jax": Group(("jax",), "tests/package/test_smoke_jax.py", {"numpy": "numpy==2.0"}),  # JAX 0.7.2 itself needs NumPy 2
    "tensorflow": Group(("tensorflow", "keras"), "tests/package/test_smoke_tensorflow.py"),
}
RUNNERS = ("pytest", "hypothesis")
"""What runs the tests, from the extra `test`, in its oldest version too."""
FLOOR = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)")


def list_floors(project: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Returns, for each extra ("" for what is always needed), the lower bound of each distribution."""
    listed = {"": project["dependencies"], **project["optional-dependencies"]}
    found = {extra: [FLOOR.match(need) for need in needs] for extra, needs in listed.items()}
    return {extra: {match["name"]: match["version"] for match in matches if match} for extra, matches in found.items()}


def list_pins(group: Group, floors: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Returns the requirement of each distribution of a group, at its lower bound."""
    wanted = {name: version for extra in ("", *group.extras) for name, version in floors[extra].items()}
    wanted |= {name: floors["test"][name] for name in RUNNERS}
    pins = {name: f"{name}=={version}" for name, version in wanted.items()} | dict(group.instead)
    if "tensorflow" in pins:
        pins["tensorflow"] = pins["tensorflow"].replace("tensorflow", "tensorflow-cpu")
    return pins


def choose_torch(python: Path, floor: str, chosen: str | None) -> tuple[str, str]:
    """Returns the requirement of torch, and a sentence where it is not the oldest one.

    On Linux, wheels of old versions on the package index come with some gigabytes of CUDA. They are taken only if ``chosen`` names them.
    Else the oldest version is taken if there is a build of it for CPUs, and the pinned version if there is none.
    """
    if chosen:
        return f"torch=={chosen}", "" if chosen == floor else f"torch is {chosen}, as asked for; the declared bound is {floor}"
    if sys.platform != "linux":
        return f"torch=={floor}", ""
    ask = [str(python), "-m", "pip", "install", "-qq", "--dry-run", "--no-deps", "--only-binary=:all:", f"torch=={floor}+cpu"]
    if subprocess.run(ask, capture_output=True, check=False).returncode == 0:
        return f"torch=={floor}+cpu", ""
    pinned = next(line for line in PINNED_TORCH.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    return pinned, f"torch {floor} was not run: pip finds no build for CPUs. {pinned} instead; ARGS='--torch {floor}' takes the CUDA build"


def find_python() -> str:
    """Returns an interpreter of the oldest supported version. Exits without one."""
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode != 0:
        sys.exit(f"The oldest versions need Python {PYTHON}. Found: {sys.version.split()[0]}. Try: make oldest PYTHON=python{PYTHON}")
    return found


def run_group(name: str, floors: Mapping[str, Mapping[str, str]], torch: str | None) -> bool:
    """Makes the environment of a group, runs its tests, and prints what was run. True if they pass."""
    group, folder = GROUPS[name], ROOT / f".venv-oldest-{name}"
    pins, note = list_pins(group, floors), ""
    subprocess.run([find_python(), "-m", "venv", "--clear", str(folder)], check=True)
    python = folder / "bin" / "python"
    if "torch" in pins:
        pins["torch"], note = choose_torch(python, floors["torch"]["torch"], torch)
    say(f"{name}: installing {' '.join(pins.values())}")
    install = [str(python), "-m", "pip", "install", "-qq", "--prefer-binary", "--editable", str(ROOT)]
    if subprocess.run([*install, *pins.values()], check=False).returncode != 0:
        say(f"{name}: the oldest versions cannot be installed together")
        return False
    done = subprocess.run(
        [str(python), "-W", "ignore", "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", group.tests], cwd=ROOT, check=False
    )
    frozen = subprocess.run([str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    say(f"{name}: {'passed' if done.returncode == 0 else 'FAILED'} with {', '.join(list_installed(frozen, pins))}")
    if note:
        say(f"{name}: {note}")
    return done.returncode == 0


def list_installed(frozen: str, pins: Mapping[str, str]) -> list[str]:
    """Returns the lines of `pip freeze` for the pinned distributions: ``name version``."""
    wanted = {re.split("[=<>]", pin)[0].lower() for pin in pins.values()}
    return [line.replace("==", " ") for line in frozen.splitlines() if line.partition("==")[0].lower() in wanted]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="oldest.py", description="Runs the smoke tests with the oldest version of each dependency.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", default=[], help=f"by default all: {', '.join(GROUPS)}")
    parser.add_argument("--torch", metavar="VERSION", help="this version of torch, also where its wheel comes with CUDA")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"no group {', '.join(unknown)}; the groups are {', '.join(GROUPS)}")
    floors = list_floors(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])
    failed = [name for name in args.groups or GROUPS if not run_group(name, floors, args.torch)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
