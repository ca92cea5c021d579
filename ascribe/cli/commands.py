"""The commands of ``ascribe``. Results go to standard output, everything else to standard error.

Exit codes: 0 success, 1 a check or the command failed, 2 usage error, 130 interrupted. Output is plain text; a terminal gets bold headings
and, if ``rich`` is installed, colours, unless NO_COLOR is set.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ..errors import AscribeError, ResultError
from ..utils.escape import escape_control
from .loading import folder_on_path
from .output import FAILED, INTERRUPTED, OK, USAGE, UsageError, fill, log, output_width, say, show_result
from .parser import Parser, make_parser


def version(args: argparse.Namespace) -> int:
    """Prints the version with ``--version``, else the help."""
    if not args.version:
        say(parser().format_help().rstrip("\n"))
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
    """Prints all methods by family, or the documentation of one."""
    from ..methods import METHODS, catalogue
    from .pages import method_page, methods_page

    if args.name is None:
        say(methods_page(output_width()))
        return OK
    if args.name not in METHODS:
        likely = catalogue.similar_names(args.name)
        advice = f"did you mean {' or '.join(likely)}?" if likely else f"the methods are {', '.join(METHODS)}"
        log(fill(f"ascribe methods: there is no method {escape_control(args.name)}; {advice}", 80, "", "  "))
        return USAGE
    say(method_page(args.name, output_width()))
    return OK


def doctor(_: argparse.Namespace) -> int:
    """Prints one line for each finding; returns 1 if there is a problem."""
    from .doctor import findings_page, list_findings

    found = list(list_findings())
    say(findings_page(found, output_width()))
    return FAILED if any(it.ok is False for it in found) else OK


def show(args: argparse.Namespace) -> int:
    """Prints a saved result with ``Attribution.show()``."""
    from ..result.attribution import Attribution

    if not args.file.is_file():
        raise UsageError("There is no such file", found=str(args.file), advice="a file that a.save() wrote")
    try:
        result = Attribution.load(args.file)
    except ResultError as error:
        log(fill(f"ascribe show: {error}", 80, "", "  "))
        return USAGE
    show_result(result)
    return OK if result.ok else FAILED


def explain(args: argparse.Namespace) -> int:
    """Explains records by one method."""
    from . import explaining

    with folder_on_path():
        return explaining.explain(args)


def compare(args: argparse.Namespace) -> int:
    """Compares methods."""
    from . import explaining

    with folder_on_path():
        return explaining.compare(args)


def report(args: argparse.Namespace) -> int:
    """Writes a report."""
    from . import explaining

    with folder_on_path():
        return explaining.report(args)


def parser() -> Parser:
    """Returns the parser. Each command is a function of the parsed arguments that imports its own dependencies."""
    run = {"": version, "demo": demo, "methods": methods, "doctor": doctor, "show": show}
    return make_parser(run | {"explain": explain, "compare": compare, "report": report})


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the parsed arguments; help is written at once, so that a closed pipe is seen here."""
    try:
        return parser().parse_args(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    try:
        args = parse(argv)
        code: int = args.run(args)
        return code
    except AscribeError as error:
        log(fill(f"ascribe: {error}", 80, "", "  "))
        return USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        log("ascribe: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        log(fill(f"ascribe: {escape_control(str(error))}", 80, "", "  "))
        return FAILED
