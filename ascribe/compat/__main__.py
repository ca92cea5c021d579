"""``python -m ascribe.compat trulens script.py [arguments]``: runs a program with a facade in place of a library.

Several facades are joined by commas; ``-m module`` runs a module as ``python -m`` does.
"""

from __future__ import annotations

import atexit
import runpy
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from .standing import facades, standing_in

USAGE = "usage: python -m ascribe.compat NAME[,NAME] (SCRIPT | -m MODULE) [ARGUMENT ...]"


def main(argv: Sequence[str], undo: ExitStack | None = None) -> int:
    """Runs a program as ``__main__``; exceptions and exit code are those of the program. Returns 2 for an invalid command.

    Arguments, search path and library are restored at the end or, with ``undo``, when that is closed.
    """
    module = argv[1:2] == ["-m"]
    if wrong := fault(argv, module):
        sys.stderr.write(f"ascribe.compat: {wrong}\n{USAGE}\n")
        return 2
    program = argv[1 + module]
    with ExitStack() if undo is None else nullcontext(undo) as after:
        after.callback(restore, sys.argv, sys.path)
        sys.argv = [program, *argv[2 + module :]]
        sys.path = [str(Path.cwd() if module else Path(program).resolve().parent), *sys.path[1:]]
        after.enter_context(standing_in(*argv[0].split(",")))
        if module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program, run_name="__main__")
    return 0


def restore(argv: list[str], path: list[str]) -> None:
    """Restores the arguments and the search path."""
    sys.argv, sys.path = argv, path


def fault(argv: Sequence[str], module: bool) -> str:
    """Returns what is wrong with the command; an empty text if it can be run."""
    if len(argv) < 2 + module:
        return f"The command is incomplete. Facades: {', '.join(facades())}."
    if unknown := [name for name in argv[0].split(",") if name not in facades()]:
        return f"There is no facade for {', '.join(unknown)}. Facades: {', '.join(facades())}."
    return "" if module or Path(argv[1]).is_file() else f"There is no file {argv[1]!r}."


if __name__ == "__main__":
    after_all = ExitStack()
    atexit.register(after_all.close)  # the first registered runs last: a program's threads and exit handlers import after its last line
    sys.exit(main(sys.argv[1:], after_all))
