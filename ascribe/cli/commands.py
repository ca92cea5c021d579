"""The command line: ``ascribe explain``, ``compare``, ``report``, ``show``, ``methods``, ``doctor``, ``demo``.

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 a check or the command failed, 2 usage error, 130 interrupted.
Output is plain text; ``show`` and ``explain`` use colours on a terminal if ``rich`` is installed and NO_COLOR is not set.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import AscribeError, ResultError
from ..utils.columns import align_columns
from ..utils.escape import escape_control
from .explaining import add_commands

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """Returns the parser. Each command is a function of the parsed arguments that imports its own dependencies."""
    top = argparse.ArgumentParser(prog="ascribe", description="Explains which parts of the input a network's output depends on.")
    top.add_argument("--version", action="store_true", help="print the version and stop")
    top.set_defaults(run=version)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    add_commands(commands)

    it = commands.add_parser("demo", help="train two small models, explain them, run all checks, write a report")
    it.add_argument("--out", type=Path, default=Path("demo-output"), metavar="FOLDER", help="folder of the output (demo-output)")
    it.add_argument("--seed", type=int, default=0, help="for the split, the training and the methods (0)")
    it.set_defaults(run=demo)

    it = commands.add_parser("methods", help="list the named methods with what they compute and their cost")
    it.add_argument("name", nargs="?", metavar="NAME", help="show the documentation of one method")
    it.set_defaults(run=methods)

    it = commands.add_parser("doctor", help="show versions, devices, optional packages and known problems")
    it.set_defaults(run=doctor)

    it = commands.add_parser("show", help="show a saved result; the exit code is 1 if one of its checks failed")
    it.add_argument("file", type=Path, metavar="FILE", help="a file written by Attribution.save()")
    it.set_defaults(run=show)
    return top


def version(args: argparse.Namespace) -> int:
    """Prints the version with ``--version``, else the help."""
    if not args.version:
        parser().print_help()
        return OK
    from .doctor import installed_version as installed

    say(f"ascribe {installed('ascribe') or '(not installed)'}")
    return OK


def demo(args: argparse.Namespace) -> int:
    """Runs the demo; see :mod:`ascribe.demo`."""
    missing = [name for name in ("torch", "sklearn") if find_spec(name) is None]
    if missing:
        log(f"ascribe demo needs {' and '.join(missing)}: pip install 'ascribe[demo]'")
        return USAGE
    from ..demo.run import run

    return OK if run(args.out, args.seed, say, log) else FAILED


def methods(args: argparse.Namespace) -> int:
    """Prints one line for each named method, or the documentation of one."""
    from ..methods import METHODS, catalogue

    if args.name is None:
        say(catalogue.list_by_family(terminal_width()))
        return OK
    if args.name not in METHODS:
        likely = catalogue.similar_names(args.name)
        advice = f"did you mean {' or '.join(likely)}?" if likely else f"the methods are {', '.join(METHODS)}"
        log(f"ascribe methods: there is no method {escape_control(args.name)}; {advice}")
        return USAGE
    say(wrap_page(catalogue.method_page(args.name), terminal_width()))
    return OK


def terminal_width() -> int:
    """Returns the width of the terminal, 80 without one."""
    return max(40, shutil.get_terminal_size((80, 24)).columns) if sys.stdout is not None and sys.stdout.isatty() else 80


def wrap_page(text: str, width: int) -> str:
    """Returns a page with its long lines wrapped, each with the indent that it has."""
    wrapped = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        kept = len(line) <= width or line.lstrip().startswith(">>>")
        wrapped += [line] if kept else textwrap.wrap(line, width, subsequent_indent=indent + "  ", break_long_words=False)
    return "\n".join(wrapped)


def doctor(_: argparse.Namespace) -> int:
    """Prints one line for each finding; returns 1 if there is a problem."""
    from .doctor import list_findings

    found = list(list_findings())
    marks = {True: "ok", False: "PROBLEM", None: "--"}
    say(align_columns([(marks[it.ok], it.subject, it.found) for it in found], head=False))
    return FAILED if any(it.ok is False for it in found) else OK


def show(args: argparse.Namespace) -> int:
    """Prints a saved result with ``Attribution.show()``."""
    from ..result.attribution import Attribution

    if not args.file.is_file():
        log(f"ascribe show: there is no file {args.file}")
        return USAGE
    try:
        result = Attribution.load(args.file)
    except ResultError as error:
        log(f"ascribe show: {error}")
        return USAGE
    result.show()
    sys.stdout.flush()
    return OK if result.ok else FAILED


def say(text: str) -> None:
    """Writes a result to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def log(text: str) -> None:
    """Writes a message to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except AscribeError as error:
        log(f"ascribe: {error}")
        return FAILED
    except KeyboardInterrupt:
        log("ascribe: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code
