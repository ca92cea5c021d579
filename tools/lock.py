"""Renew the pins: install everything into a fresh virtual environment and write down what came. `lock.py FILE`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TORCH = "torch==2.13.0"
"""Named here, because the newest torch is not always one that every machine's index offers as a CPU build."""

HEAD = """\
# What our own environments are pinned to; written by `make lock`, not by hand.
# Constraints, not requirements: nothing is installed because it stands here.
"""
ONE_MACHINE = re.compile(r"^(nvidia|triton|cuda|pip|setuptools|wheel)\b", re.IGNORECASE)


def pins(frozen: str) -> list[str]:
    """The lines of ``pip freeze`` that hold on every machine: no paths, no local versions (+cpu), no GPU libraries."""
    lines = [line.strip() for line in frozen.splitlines()]
    exact = [line for line in lines if re.fullmatch(r"[A-Za-z0-9._-]+==[^\s;@]+", line)]
    return sorted((re.sub(r"\+.*$", "", line) for line in exact if not ONE_MACHINE.match(line)), key=str.lower)


def freeze(folder: Path) -> str:
    """What `pip freeze` says after an install of everything into ``folder``."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "-qq", TORCH, ".[dev]"], check=True)
    return subprocess.run([*pip, "freeze", "--exclude", "ascribe"], check=True, capture_output=True, text=True).stdout


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = pins(freeze(Path(folder)))
    target.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    sys.stdout.write(f"{len(lines)} pins in {target}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: lock.py FILE")
    main(Path(sys.argv[1]))
