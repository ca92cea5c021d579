"""The command line: ``ascribe demo``, ``methods``, ``doctor``, ``show``. Results go to stdout, everything else to stderr.

Exit codes: 0 all well, 1 a check or the work itself failed, 2 the command makes no sense, 130 interrupted. Output is plain
text, except that ``show`` colours a terminal where ``rich`` is there and NO_COLOR is not set.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import AscribeError, ResultError
from ..utils.columns import align_columns
from ..utils.escape import escape_control

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """Every command with its options; each is a function of the parsed arguments, and imports what it needs itself."""
    top = argparse.ArgumentParser(prog="ascribe", description="What an output of a deep network is owed to.")
    top.add_argument("--version", action="store_true", help="print the version and stop")
    top.set_defaults(run=version)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    it = commands.add_parser("demo", help="train two small models, explain them, check everything, write a report")
    it.add_argument("--out", type=Path, default=Path("demo-output"), metavar="FOLDER", help="where to write (demo-output)")
    it.add_argument("--seed", type=int, default=0, help="for the split, the training and the methods (0)")
    it.set_defaults(run=demo)

    it = commands.add_parser("methods", help="the named methods: what each computes and costs")
    it.add_argument("name", nargs="?", metavar="NAME", help="one of them, with all that there is to say of it")
    it.set_defaults(run=methods)

    it = commands.add_parser("doctor", help="versions, devices, extras, known troubles")
    it.set_defaults(run=doctor)

    it = commands.add_parser("show", help="a saved result in the terminal; exits with 1 where one of its checks failed")
    it.add_argument("file", type=Path, metavar="FILE", help="what Attribution.save() wrote")
    it.set_defaults(run=show)
    return top


def version(args: argparse.Namespace) -> int:
    """The version; without ``--version``, how to use the command."""
    if not args.version:
        parser().print_help()
        return OK
    from .doctor import version as installed

    say(f"ascribe {installed('ascribe') or '(not installed)'}")
    return OK


def demo(args: argparse.Namespace) -> int:
    """The main job; see :mod:`ascribe.demo`."""
    missing = [name for name in ("torch", "sklearn") if find_spec(name) is None]
    if missing:
        log(f"ascribe demo needs {' and '.join(missing)}: pip install 'ascribe[demo]'")
        return USAGE
    from ..demo.run import run

    return OK if run(args.out, args.seed, say, log) else FAILED


def methods(args: argparse.Namespace) -> int:
    """One line for each named method, or a page about one of them."""
    from . import catalogue

    if args.name is None:
        say(align_columns([("method", "computes", "costs"), *catalogue.rows()]))
        return OK
    if args.name not in catalogue.methods():
        likely = catalogue.likely(args.name)
        tell = f"did you mean {' or '.join(likely)}?" if likely else f"there are {', '.join(catalogue.methods())}"
        log(f"ascribe methods: there is no method {escape_control(args.name)}; {tell}")
        return USAGE
    say(catalogue.page(args.name))
    return OK


def doctor(_: argparse.Namespace) -> int:
    """One line for each thing looked at; a trouble is marked and gives 1."""
    from .doctor import findings

    found = list(findings())
    marks = {True: "ok", False: "TROUBLE", None: "--"}
    say(align_columns([(marks[it.ok], it.subject, it.found) for it in found], head=False))
    return FAILED if any(it.ok is False for it in found) else OK


def show(args: argparse.Namespace) -> int:
    """A result as ``Attribution.show()`` writes it."""
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
    """A result, to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def log(text: str) -> None:
    """Anything else, to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except AscribeError as error:
        log(f"ascribe: {error}")
        return FAILED
    except KeyboardInterrupt:
        log("ascribe: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code
