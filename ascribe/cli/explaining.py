"""The commands that run a model: ``explain``, ``compare``, ``report``. Heavy packages are imported when a command runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError
from . import expressions, loading

OK, FAILED = 0, 1
Say = Callable[[str], None]


def add_commands(commands: Any) -> None:
    """Adds the parsers of the three commands."""
    it = commands.add_parser("explain", help="explain the predictions of a model for data in a file")
    add_model(it)
    it.add_argument(
        "--method", default="IntegratedGradients", metavar="M", help="a method or a call: 'KernelShap(500)' (IntegratedGradients)"
    )
    it.add_argument("--at", metavar="LAYER", help="the layer to explain instead of the input")
    it.add_argument("--out", type=Path, metavar="FILE", help="save the result as a safetensors file")
    it.add_argument("--json", action="store_true", help="print the facts of the result as JSON")
    it.set_defaults(run=explain)

    it = commands.add_parser("compare", help="compare methods by metrics on data in a file")
    add_model(it)
    it.add_argument("--methods", required=True, metavar="A,B", help="methods, separated by commas")
    it.add_argument("--metrics", metavar="A,B", help="metrics, separated by commas (RelevanceGain)")
    it.add_argument("--out", type=Path, metavar="FILE", help="write an HTML report")
    it.set_defaults(run=compare)

    it = commands.add_parser("report", help="write an HTML report of saved results, or of methods on data in a file")
    it.add_argument("inputs", nargs="+", metavar="FILE", help="results (.safetensors), or MODEL DATA with --methods")
    it.add_argument("--methods", metavar="A,B", help="methods, separated by commas")
    add_options(it)
    it.add_argument("-o", "--out", type=Path, default=Path("report.html"), metavar="FILE", help="the report (report.html)")
    it.add_argument("--title", default="Attributions", help="the title of the page")
    it.set_defaults(run=report)


def add_model(it: argparse.ArgumentParser) -> None:
    """Adds the arguments that name a model and its data."""
    it.add_argument("model", metavar="MODEL", help="package.module:factory, a function that returns the model")
    it.add_argument("data", type=Path, metavar="DATA", help=".npy .npz .safetensors .csv .parquet .png .jpg .txt")
    add_options(it)


def add_options(it: argparse.ArgumentParser) -> None:
    """Adds what all commands take that run a model."""
    it.add_argument("--of", metavar="Q", help="what is explained: 3, a class name, 'Prob(1)', or labels 0,1,2 (the predicted class)")
    it.add_argument("--background", type=Path, metavar="FILE", help="rows for removed features; `background` in --method")
    it.add_argument("--records", metavar="A:B", help="only these records, such as 0:10")
    it.add_argument("--tokenizer", metavar="M:F", help="package.module:factory of a tokenizer, for .txt")
    it.add_argument("--size", metavar="HxW", help="the size of an image, such as 224x224")
    it.add_argument("--seed", type=int, default=0, help="for methods that draw numbers (0)")
    it.add_argument("--show-code", action="store_true", help="print the Python program that does the same")


class Work:
    """A model and its data, and the Python program that loads them."""

    def __init__(self, args: argparse.Namespace, model: str, data: Path) -> None:
        self.model, code = loading.load_factory(model, "model")
        self.loaded = loading.load_data(data, args.size, args.tokenizer)
        loading.fit_to_model(self.loaded, self.model, args.records)
        self.given: dict[str, Any] = {}
        self.code = [*code, *self.loaded.code]
        self.imports = {"importlib", "sys", *self.loaded.imports}
        if args.background is not None:
            rows = loading.load_data(args.background, None, None)
            loading.fit_to_model(rows, self.model, None)
            self.given["background"] = rows.args[0]
            self.code += [line.replace("args", "rows").replace("kwargs", "_") for line in rows.code] + ["background = rows[0]"]
            self.imports |= rows.imports
        self.of = expressions.parse_quantity(args.of, self.given)
        self.seed = args.seed
        self.extra = f", of={expressions.quantity_code(args.of, self.given)}" if args.of else ""
        self.extra += f", seed={args.seed}" if args.seed else ""
        if self.loaded.encoding is not None:
            self.code.append('named = lambda a: (a.sum("embedding") if a.values.ndim == 3 else a).with_names(tokens=encoding)')

    def method(self, text: str) -> tuple[Any, str]:
        """Returns a method and its code; ``--background`` becomes its rows where the expression does not name them."""
        bare = text.strip()
        if "background" in self.given and "background" not in text:
            kind = expressions.find_public(bare.split("(")[0])
            names = [f.name for f in fields(kind)] if is_dataclass(kind) else []
            more = "background=background" if "background" in names else "by=Resample(background)" if "by" in names else ""
            if more:
                bare = f"{bare[:-1]}, {more})" if bare.endswith(")") and not bare.endswith("()") else f"{bare.removesuffix('()')}({more})"
        value = expressions.parse_value(bare, self.given)
        if not callable(value) or not hasattr(value, "source"):
            raise ArgumentError(
                "`--method` must be a method", found=f"{text!r:.120}", advice="IntegratedGradients, or `ascribe methods` for the list"
            )
        return value, expressions.qualify(bare, self.given)

    def explain(self, method: Any, at: str | None = None) -> Any:
        """Returns the result of a method, with one value and the name for each token of texts."""
        more = {} if at is None else {"at": expressions.split_list(at) if "," in at else at}
        a = method(self.model, *self.loaded.args, of=self.of, seed=self.seed, **more, **self.loaded.kwargs)
        if self.loaded.encoding is None:
            return a
        wide = len(a.arrays()) == 1 and a.arrays()[0][1].ndim - a.records_axis == 3
        return (a.sum("embedding") if wide and at is None else a).with_names(tokens=self.loaded.encoding)

    def program(self, lines: Sequence[str]) -> str:
        """Returns a Python program: imports, the model, the data, and these lines."""
        plain = sorted(name for name in self.imports if ":" not in name)
        special = sorted(name for name in self.imports if ":" in name)
        head = [f"import {name}" for name in plain] + [f"from {name.split(':')[0]} import {name.split(':')[1]}" for name in special]
        return "\n".join([*head, "", "import ascribe as asc", "", 'sys.path.insert(0, ".")', *self.code, *lines])

    def call(self, method: str, at: str | None = None) -> str:
        """Returns the code of a call of a method."""
        place = "" if at is None else f", at={expressions.split_list(at) if ',' in at else at!r}"
        text = f"{method}(model, *args{self.extra}{place}, **kwargs)"
        if self.loaded.encoding is not None:
            return f"named({text})"
        return text


def explain(args: argparse.Namespace) -> int:
    """Explains the records of a file and prints the result."""
    work = Work(args, args.model, args.data)
    method, code = work.method(args.method)
    if args.show_code:
        saving = [f"a.save({str(args.out)!r})"] if args.out else []
        say(work.program([f"a = {work.call(code, args.at)}", "a.show()", *saving]))
        return OK
    a = work.explain(method, args.at)
    if args.out is not None:
        a.save(args.out)
    if args.json:
        say(json.dumps(list_facts(a)))
    else:
        a.show()
    return OK if a.ok else FAILED


def list_facts(a: Any) -> dict[str, Any]:
    """Returns the facts of a result as plain data; the values are in the file of ``--out``."""
    numbers = {"explained": a.explained, "target": a.target, "base_value": a.base_value, "gap": None if a.gap is None else a.gap.relative}
    checks = [{"name": check.name, "status": check.status, "detail": check.detail} for check in a.checks]
    plain = {name: None if x is None else finite_numbers(np.asarray(x)) for name, x in numbers.items()}
    shapes = [list(array.shape) for _, array in a.arrays()]
    return {"method": a.method, "of": a.quantity, "at": a.cut, "shapes": shapes, "ok": a.ok, "checks": checks} | plain


def finite_numbers(array: np.ndarray) -> Any:
    """Returns an array as lists, with None for numbers that JSON does not have."""
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()


def compare(args: argparse.Namespace) -> int:
    """Compares methods on the records of a file and prints the scores."""
    work = Work(args, args.model, args.data)
    methods = [work.method(text) for text in expressions.split_list(args.methods)]
    metrics = expressions.split_list(args.metrics) if args.metrics else []
    values = [expressions.parse_value(f"metrics.{text}" if "." not in text.split("(")[0] else text, work.given) for text in metrics]
    if args.show_code:
        named = ", ".join(code for _, code in methods)
        by = f", metrics=[{', '.join(expressions.qualify(f'metrics.{text}', work.given) for text in metrics)}]" if metrics else ""
        lines = [f"c = asc.compare(model, *args, methods=[{named}]{by}{work.extra}, **kwargs)", "c.show()"]
        say(work.program([*lines, *([f"c.write_report({str(args.out)!r})"] if args.out else [])]))
        return OK
    from ..choose import compare as compare_methods

    more: dict[str, Any] = {"metrics": values} if values else {}
    c = compare_methods(
        work.model, *work.loaded.args, methods=[method for method, _ in methods], of=work.of, seed=work.seed, **more, **work.loaded.kwargs
    )
    c.show()
    if args.out is not None:
        c.write_report(args.out)
        log(f"wrote {args.out}")
    return OK


def report(args: argparse.Namespace) -> int:
    """Writes a report of saved results, or of methods on the records of a file."""
    from ..reports import report as write
    from ..result.attribution import Attribution

    saved = [Path(name) for name in args.inputs]
    if args.methods is None and all(path.suffix == ".safetensors" for path in saved):
        missing = [str(path) for path in saved if not path.is_file()]
        if missing:
            raise ArgumentError("There is no such result", found=", ".join(missing), advice="files written by a.save()")
        results = {path.stem: Attribution.load(path) for path in saved}
        lines = [f"results = {{name: asc.Attribution.load(name) for name in {[str(path) for path in saved]!r}}}"]
        program = "\n".join(["import ascribe as asc", "", *lines, f"asc.report(results, {str(args.out)!r}, title={args.title!r})"])
    else:
        if len(args.inputs) != 2 or args.methods is None:
            advice = "ascribe report a.safetensors b.safetensors, or ascribe report package.module:factory data.npy --methods A,B"
            raise ArgumentError("A report needs results, or a model, data and methods", found=" ".join(args.inputs), advice=advice)
        work = Work(args, args.inputs[0], saved[1])
        methods = [work.method(text) for text in expressions.split_list(args.methods)]
        named = ", ".join(f"{code.removeprefix('asc.')!r}: {work.call(code)}" for _, code in methods)
        program = work.program([f"asc.report({{{named}}}, {str(args.out)!r}, title={args.title!r})"])
        results = {} if args.show_code else {code.removeprefix("asc."): work.explain(method) for method, code in methods}
    if args.show_code:
        say(program)
        return OK
    log(f"wrote {write(results, args.out, title=args.title)}")
    return OK if all(a.ok for a in results.values()) else FAILED


def say(text: str) -> None:
    """Writes a result to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def log(text: str) -> None:
    """Writes a message to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
