"""Build the package, check it, and use the wheel in an environment that has nothing else. `dist.py [FOLDER]` (default: dist).

Needs `build` and `twine` (requirements/dist.txt).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE = """
import sys
import numpy as np
import ascribe as asc

weights, x = np.array([2.0, -1.0, 0.5]), np.array([[1.0, 2.0, 3.0]])
a = asc.KernelShap()(lambda rows: rows @ weights, x)
np.testing.assert_allclose(a.values, weights * x, atol=1e-9)
assert a.ok
loaded = sorted({"torch", "jax", "keras", "tensorflow", "matplotlib", "pandas", "scipy"} & set(sys.modules))
assert not loaded, loaded
print("KernelShap of a NumPy function:", a.values.tolist(), "by ascribe", asc.__version__, "from", asc.__file__)
"""
"""Kernel SHAP of a linear function: weight times input, with NumPy and safetensors alone."""


def list_sources(package: Path) -> set[str]:
    """Returns the files of the package as a wheel names them, without compiled ones."""
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(package.parent).as_posix() for path in files}


def find_faults(names: Iterable[str], sources: set[str]) -> list[str]:
    """Returns what is wrong with the list of files of a wheel: files that are missing, and files that do not belong there."""
    here = set(names)
    metadata = {name for name in here if name.partition("/")[0].endswith(".dist-info")}
    faults = [f"{name} is missing" for name in sorted(sources - here)]
    faults += [f"{name} does not belong there" for name in sorted(here - sources - metadata)]
    return faults if any(name.endswith("/licenses/LICENSE") for name in metadata) else [*faults, "LICENSE is missing"]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Runs a command, prints and returns its output. Exits where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=cwd, check=False)
    sys.stdout.write(done.stdout)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}\ndist: failed: {' '.join(str(word) for word in command[:4])}")
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Builds into an empty folder, and returns the source distribution and the wheel, which is built from it."""
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir()))
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def check_files(sdist: Path, wheel: Path) -> None:
    """Checks what is in both files. Exits with the faults."""
    with zipfile.ZipFile(wheel) as file:
        faults = find_faults(file.namelist(), list_sources(ROOT / "ascribe"))
    with tarfile.open(sdist) as packed:
        there = {name.partition("/")[2] for name in packed.getnames()}
    faults += [
        f"{name} is missing in {sdist.name}"
        for name in ("README.md", "LICENSE", "pyproject.toml", "tests/conftest.py")
        if name not in there
    ]
    if faults:
        sys.exit("\n".join(["dist: wrong files", *faults]))
    for path in (sdist, wheel):
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB\n")


def use_wheel(wheel: Path) -> None:
    """Installs the wheel without any extra into a new environment, and uses it there, in a folder without the source."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "bare", with_pip=True)
        commands = folder / "bare" / ("Scripts" if sys.platform == "win32" else "bin")
        run(commands / "python", "-m", "pip", "install", "-qq", wheel.resolve())
        run(commands / "python", "-m", "pip", "list", cwd=folder)
        run(commands / "python", "-I", "-c", BARE, cwd=folder)
        run(commands / "ascribe", "--version", cwd=folder)
        run(commands / "ascribe", "doctor", cwd=folder)


def main(folder: Path) -> None:
    sdist, wheel = build(folder)
    check_files(sdist, wheel)
    use_wheel(wheel)
    sys.stdout.write(f"dist: {sdist.name} and {wheel.name} are in order\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
