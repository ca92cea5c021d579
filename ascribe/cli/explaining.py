"""``ascribe explain``, ``ascribe compare`` and ``ascribe report``: a model and data from files, and what is done with them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy
from ..calls.call import Call
from ..features.table import FeatureTable
from ..utils.escape import escape_control
from . import program
from .expressions import Expression, Names, read_cut, read_methods, read_metrics, read_quantity
from .files import Data, Reading
from .inputs import model_framework, parse_records, parse_size, read_inputs
from .loading import Loaded, load_object
from .output import FAILED, OK, UsageError, log, logs_on_stderr, output_width, say, show_result, to_json
from .tables import comparison_json, comparison_text, result_json, tokens_text

if TYPE_CHECKING:
    from ..result.attribution import Attribution


@dataclass(frozen=True)
class Work:
    """What a command works on: the model, its arguments, the background, and the options of the call."""

    model: Loaded
    data: Data
    background: Data | None
    columns: tuple[str, ...] | None
    of: Expression
    at: Expression
    seed: int
    framework: str
    tokenizer: Loaded | None = None

    @property
    def sums_tokens(self) -> bool:
        """Whether values of embeddings are summed for each token: for texts, unless a cut was given."""
        return self.tokenizer is not None and self.at.value is None

    @property
    def tokens(self) -> list[list[str]] | None:
        """The tokens of each text, where the tokenizer is one of Hugging Face."""
        ids = self.data.value.get("input_ids") if isinstance(self.data.value, dict) else None
        convert = getattr(self.tokenizer.value, "convert_ids_to_tokens", None) if self.tokenizer is not None else None
        return None if convert is None or ids is None else [[str(one) for one in convert(row.tolist())] for row in ids]

    @property
    def names(self) -> Names:
        """The names that expressions may use: the background."""
        return {} if self.background is None else {"background": Expression(as_rows(self.background.value), self.rows_code)}

    @property
    def rows_code(self) -> str:
        """The background as code: the array, or a Call of several."""
        value = self.background.value if self.background is not None else None
        return (
            "asc.Call.of((), background)"
            if isinstance(value, dict)
            else "asc.Call(*background)"
            if isinstance(value, list)
            else "background"
        )

    @property
    def call_code(self) -> str:
        """The arguments of the call as code, with the options."""
        return program.call_code(self.data) + program.options_code(self.of, self.at, self.seed)

    @property
    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the model."""
        value = self.data.value
        if isinstance(value, dict):
            return ([Call.of((), value)], {}) if program.TAKEN & set(value) else ([], value)
        return (value if isinstance(value, list) else [value]), {}

    @property
    def options(self) -> dict[str, Any]:
        """The options of the call that were given."""
        given = {"of": self.of.value, "at": self.at.value, "seed": self.seed or None}
        return {name: value for name, value in given.items() if value is not None}


def as_rows(value: Any) -> Any:
    """Returns background records as ``background=`` takes them: one array, or a Call of several."""
    return Call.of((), value) if isinstance(value, dict) else Call(*value) if isinstance(value, list) else value


def prepare(args: argparse.Namespace) -> Work:
    """Loads what a command names. Raises UsageError for what does not exist or cannot be read."""
    records, size = parse_records(args.records), parse_size(args.size)
    with logs_on_stderr():
        model = load_object(args.model)
        tokenizer = load_object(args.tokenizer, "tokenizer") if args.tokenizer else None
        reading = Reading(size, tokenizer, model_framework(model.value))
        data = read_inputs(Path(args.data), "x", model.value, reading, args.columns, records)
        background = None
        if args.background is not None:
            background = read_inputs(Path(args.background), "background", model.value, reading, args.columns, None)
    none = Expression(None, "None")
    work = Work(model, data, background, None, none, none, args.seed, reading.framework, tokenizer)
    at = getattr(args, "at", None)
    return replace(work, of=read_quantity(args.of, work.names), at=read_cut(at, work.names), columns=data.columns)


def explain(args: argparse.Namespace) -> int:
    """Explains records by one method, shows the result and saves it; returns 1 if a check failed."""
    work = prepare(args)
    default = "KernelShap" if work.framework == "blackbox" else "IntegratedGradients"
    (method, *more) = read_methods(default if args.method is None else args.method, work.names).values()
    if more:
        raise UsageError("`ascribe explain` takes one method", found=args.method, advice=f"ascribe compare ... --methods '{args.method}'")
    check_folder(args.out)
    if args.show_code:
        names = work.columns is not None and args.at is None
        body = program.explain_body(method, work.call_code, names, work.sums_tokens, args.out)
        say(program.write_program(work.model, work.data, work.background, body))
        return OK
    a = run(work, method)
    if args.out is not None:
        a.save(args.out)
        log(f"ascribe: wrote {escape_control(str(args.out))}")
    if args.json:
        say(to_json(result_json(a) | {"tokens": work.tokens}))
    else:
        show_result(a)
        if work.tokens is not None:
            say(tokens_text(work.tokens, output_width()))
    return OK if a.ok else FAILED


def run(work: Work, method: Expression) -> Attribution:
    """Returns the explanation of the records by a method; columns of a table keep their names."""
    args, kwargs = work.arguments
    with logs_on_stderr():
        a: Attribution = method.value(work.model.value, *args, **work.options, **kwargs)
    if work.sums_tokens and a.quantities is None and getattr(a.values, "ndim", 0) == 3:
        a = a.sum("embedding")
    return a if work.columns is None or a.cut != "INPUT" else name_columns(a, work.columns)


def name_columns(a: Attribution, columns: tuple[str, ...]) -> Attribution:
    """Returns a result of a table that went to the model as an array, with the names of the columns."""
    arrays = a.arrays()
    if len(arrays) != 1 or a.records_axis or tuple(arrays[0][1].shape[1:]) != (len(columns),):
        return a
    if a.features is not None:
        one_each = a.features.names is None and a.features.values.shape[-1] == len(columns)
        return replace(a, features=replace(a.features, names=columns)) if one_each else a
    values = as_numpy(arrays[0][1]).astype(np.float64)
    error = None if a.error is None else as_numpy(a.error).astype(np.float64)
    return replace(a, features=FeatureTable(values, error, columns, "columns", (np.arange(len(columns))[None],)))


def compare(args: argparse.Namespace) -> int:
    """Compares methods by metrics, and writes a report if asked; returns 1 if a method or a metric failed."""
    from ..choose import compare as compare_methods

    work = prepare(args)
    methods = read_methods(args.methods, work.names)
    metrics = {} if args.metrics is None else read_metrics(args.metrics, work.names)
    check_folder(args.out)
    if args.show_code:
        say(program.write_program(work.model, work.data, work.background, program.compare_body(methods, metrics, work.call_code, args.out)))
        return OK
    args_, kwargs = work.arguments
    values = {name: one.value for name, one in methods.items()}
    given: dict[str, Any] = {"metrics": {name: one.value for name, one in metrics.items()}} if metrics else {}
    with logs_on_stderr():
        c = compare_methods(work.model.value, *args_, methods=values, **given, **work.options, **kwargs)
    if args.out is not None:
        c.write_report(args.out)
        log(f"ascribe: wrote {escape_control(str(args.out))}")
    say(to_json(comparison_json(c)) if args.json else comparison_text(c, output_width()))
    return FAILED if c.errors or any(row.error for row in c.methods) else OK


def report(args: argparse.Namespace) -> int:
    """Writes an HTML report of saved results, or of a model, data and methods; returns 1 if a check failed."""
    from ..reports import write_report
    from .saved import load_results, make_cards, settings_of, summary_rows

    check_folder(args.out)
    first, *rest = args.sources
    if ":" in first and not Path(first).is_file():
        results = explained_results(args, first, rest)
        if results is None:
            return OK
    else:
        if args.methods or args.show_code:
            raise UsageError("Saved results have their methods", found=" ".join(args.sources[:4]), advice="--methods with a model and data")
        records = parse_records(args.records)
        loaded = load_results([Path(one) for one in args.sources])
        results = loaded if records is None else {name: a.records(records) for name, a in loaded.items()}
    write_report(args.out, make_cards(results), title=args.title, summary=summary_rows(results), settings=settings_of(results))
    say(escape_control(str(args.out)))
    return OK if all(a.ok for a in results.values()) else FAILED


def explained_results(args: argparse.Namespace, model: str, rest: list[str]) -> dict[str, Attribution] | None:
    """Returns the results of several methods for a model and data; None where only the program was asked for."""
    if len(rest) != 1:
        raise UsageError("A report of a model needs one file of data", found=" ".join(rest) or "none", advice="MODEL DATA --methods A,B")
    if args.methods is None:
        raise UsageError("A report of a model needs methods", found="no --methods", advice="--methods Saliency,IntegratedGradients")
    work = prepare(argparse.Namespace(**vars(args) | {"model": model, "data": rest[0]}))
    methods = read_methods(args.methods, work.names)
    if args.show_code:
        body = program.report_body(methods, work.call_code, args.out)
        say(program.write_program(work.model, work.data, work.background, body))
        return None
    return {name: run(work, one) for name, one in methods.items()}


def check_folder(out: Path | None) -> None:
    """Raises UsageError if a file cannot be written there, before the work."""
    if out is not None and not out.parent.is_dir():
        raise UsageError("The folder of the output does not exist", found=str(out.parent), advice=f"mkdir -p {out.parent}")
