"""The arguments of the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from ..utils.escape import escape_control

Command = Callable[[argparse.Namespace], int]
MODEL = "the model: a function without arguments that returns it, or the model itself, as package.module:name"
DATA = "its arguments: .npy, .npz, .safetensors, .csv, .parquet, .png, .jpg or .txt"


class Parser(argparse.ArgumentParser):
    """A parser whose messages escape control characters."""

    def error(self, message: str) -> NoReturn:
        """Writes a message and ends with the exit code 2."""
        super().error(escape_control(message))


def make_parser(run: Mapping[str, Command]) -> Parser:
    """Returns the parser; ``run`` has the function of each command, and that of no command by an empty name."""
    top = Parser(prog="ascribe", description="Explains which parts of the input a network's output depends on.")
    top.add_argument("--version", action="store_true", help="print the version and stop")
    top.set_defaults(run=run[""])
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
        made.set_defaults(run=run[name])
        return made

    it = command("demo", "train two small models, explain them, run all checks, write a report")
    it.add_argument("--out", type=Path, default=Path("demo-output"), metavar="FOLDER", help="folder of the output (demo-output)")
    it.add_argument("--seed", type=int, default=0, help="for the split, the training and the methods (0)")
    it = command("methods", "list the named methods with what they compute and their cost")
    it.add_argument("name", nargs="?", metavar="NAME", help="show the documentation of one method")
    command("doctor", "show versions, devices, optional packages and known problems")
    it = command("show", "show a saved result; the exit code is 1 if one of its checks failed")
    it.add_argument("file", type=Path, metavar="FILE", help="a file written by Attribution.save()")
    add_explain(command("explain", "explain records by one method, show and save the result"))
    add_compare(command("compare", "compare methods by metrics on the same records"))
    add_report(command("report", "write an HTML report of saved results, or of a model, data and methods"))
    return top


def add_explain(it: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``ascribe explain``."""
    it.add_argument("model", metavar="MODEL", help=MODEL)
    it.add_argument("data", metavar="DATA", help=DATA)
    it.add_argument("--method", help="a name or an expression, such as 'IntegratedGradients(steps=64)' (by default this method, "
                    "KernelShap for models without gradients)")  # fmt: skip
    it.add_argument("--at", help='the layer to explain, by its name, or a cut such as \'Cut("layer1", "in")\' (the input)')
    it.add_argument("--out", type=Path, metavar="FILE", help="save the result as .safetensors, for ascribe show and ascribe report")
    it.add_argument("--json", action="store_true", help="print the result with its values as JSON")
    add_call(it)


def add_compare(it: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``ascribe compare``."""
    it.add_argument("model", metavar="MODEL", help=MODEL)
    it.add_argument("data", metavar="DATA", help=DATA)
    it.add_argument("--methods", required=True, metavar="A,B,C", help="names or expressions, with commas between them")
    it.add_argument("--metrics", metavar="A,B", help="names or expressions of ascribe.metrics (RelevanceGain)")
    it.add_argument("--out", type=Path, metavar="FILE", help="write the comparison as an HTML report")
    it.add_argument("--json", action="store_true", help="print the comparison as JSON")
    add_call(it)


def add_report(it: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``ascribe report``."""
    it.add_argument("sources", nargs="+", metavar="SOURCE", help="saved results, or a model and its data")
    it.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the HTML file")
    it.add_argument("--methods", metavar="A,B,C", help="with a model: names or expressions of methods")
    it.add_argument("--title", default="Attributions", help="the title of the page (Attributions)")
    add_call(it)


def add_call(it: argparse.ArgumentParser) -> None:
    """Adds the options that say what is explained, and how the data are read."""
    call = it.add_argument_group("the call")
    call.add_argument("--of", help="the quantity: a class by number or name, or an expression such as 'Contrast(3, 5)' (predicted class)")
    call.add_argument("--seed", type=int, default=0, help="decides every random draw of the methods (0)")
    call.add_argument("--background", metavar="FILE", help="records to compare with, for methods that need them; expressions may use the "
                      "name background")  # fmt: skip
    call.add_argument("--show-code", action="store_true", help="print the Python program that does the same, and do not run it")
    read = it.add_argument_group("the data")
    read.add_argument("--records", help="which records: 0:10, 5 or 0,3,8 (all)")
    read.add_argument("--columns", metavar="A,B", help="which columns of a table (all)")
    read.add_argument("--size", metavar="HxW", help="resize an image to this height and width")
    read.add_argument("--tokenizer", metavar="MODULE:NAME", help="for .txt: a function that returns the tokenizer, or the tokenizer")
