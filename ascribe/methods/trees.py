"""Shapley values of tree ensembles, exact and without sampling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import as_numpy, is_array, is_table
from ..backends.blackbox.arguments import Inputs
from ..backends.trees import Contributions, Ensemble, read_ensemble
from ..backends.trees.ensemble import Output, as_columns, for_both_classes, take_rows
from ..backends.trees.recognise import is_pipeline, steps_before
from ..calls.call import Call
from ..cuts import INPUT, OUTPUT, CutLike
from ..engine.checks.general import check_finite, check_nonzero, compute_gap, judge, warn_of_checks
from ..engine.request import check_options, text_of
from ..errors import AscribeError, InputError, MethodError, ModelError, QuantityError
from ..features.table import FeatureTable
from ..quantities import Contrast, Part, Quantity, as_quantities, check_scores
from ..quantities.base import BoundClasses
from ..quantities.parse import QuantityLike
from ..result.attribution import Attribution, Check, Cost, Gap
from ..tree import follow
from ..utils.completeness import EXACT, describe_gaps
from ..utils.escape import escape_control
from ..utils.polars_tables import as_pandas
from ..utils.pooling import convert_like
from ..version import VERSION
from .base import CallOptions, Method
from .facts import Passes

OUTPUTS = ("margin", "probability")
PER_COALITION = "asc.KernelShap(by=asc.Resample(rows))"


@dataclass(frozen=True, repr=False, eq=False)
class TreeShap(Method):
    """Shapley values of trees, forests and boosted trees, read from the trees: exact, and in milliseconds.

    *Use it when* the model is of XGBoost, LightGBM, CatBoost, or one of scikit-learn's trees, random forests, extra trees and
    (histogram) gradient boosting; also at the end of a pipeline whose steps keep the columns.

    Without a background, a removed feature follows both branches of a split by their shares of the training records (path-dependent
    values). With ``background=rows`` it gets the values of the rows: the result is that of ``asc.ShapleyExact(by=asc.Resample(rows))``.
    The boosters compute their own path-dependent values; other models and backgrounds need ``pip install 'ascribe[trees]'`` (not CatBoost).

    The margin is what the trees add up to: for boosting the log odds of two classes (those of class 0 are minus those of class 1) or the
    score of a class, for forests the probability, for regressors the prediction. ``output="probability"`` of a booster rescales the values
    of every background row from the margin to the probability, so that they add up, but are no Shapley values of the probability.

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> forest = RandomForestClassifier(10, random_state=0).fit(x.numpy(), [0, 1, 1])
    >>> asc.TreeShap()(forest, x.numpy(), of=1).values.shape
    (3, 4)
    """

    background: Any = None
    output: Output = "margin"
    interactions: bool = False

    cost = Passes("2", at_most=True)
    needs = ("trees",)
    claims = ("completeness", "dummy", "linearity")
    source = (
        'Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", Nature Machine '
        "Intelligence 2, arXiv:1905.04610"
    )

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            advice = "output='margin' or output='probability'"
            raise MethodError("The output is not known", found=f"output={self.output!r}", advice=advice)

    def explain_call(
        self, model: Any, call: Call, of: QuantityLike, at: CutLike | Sequence[CutLike] | None, options: CallOptions
    ) -> Attribution:
        start = time.perf_counter()
        if at is not None and at != INPUT:
            raise MethodError("`TreeShap` explains the input only", found=f"at={at!r}", advice="at=asc.INPUT, or no at=")
        seed = check_options(options["seed"], options["chunk"])
        quantities, several = as_quantities(of)
        table = read_table(call)
        others = None if self.background is None else rows_like(table, self.background)
        trees, scores, found = self.explain_table(model, table, others, options["chunk"])
        bound = [weights_of(q, scores, trees.class_names) for q in quantities]
        quantity = text_of(quantities, several)
        result = build_result(Explained(table, trees, scores, found, bound, several, self.interactions))
        rows = 0 if others is None else len(others)
        warn_of_checks(result.checks)
        return replace(
            result,
            quantity=quantity,
            method=f"{self!r}(model, *inputs, of={quantity}{f', seed={seed}' if seed else ''})",
            cost=Cost(1 + (rows > 0), 0, len(scores) + rows, time.perf_counter() - start),
            settings={
                "ascribe": VERSION,
                "seed": seed,
                "over": "the trees",
                "by": f"{rows} background rows" if rows else "the shares of the training records",
                "output": self.output,
                "expected": found.expected.tolist(),
            },
        )

    def explain_table(self, model: Any, table: Table, others: Any, chunk: int | None) -> tuple[Ensemble, np.ndarray, Contributions]:
        """Returns the trees of a model, its own scores ``[records, scores]``, and the contributions to all of them."""
        before = steps_before(model) if is_pipeline(model) else None
        trees = read_ensemble(model[-1] if is_pipeline(model) else model)
        check_output(self, trees)
        try:
            given, behind = transform(before, table.given), transform(before, others)
            scores = as_columns(trees.scores(given, self.output), trees.binary)
            found = self.contributions(trees, given, behind, chunk)
            if behind is None:
                return trees, scores, found
            expected = as_columns(trees.scores(behind, self.output), trees.binary).mean(0)  # the model's own, not that of a library
            return trees, scores, Contributions(found.values, expected, found.eps)
        except (AscribeError, MemoryError):
            raise
        except Exception as wrong:
            problem = f"The model raised {type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0]}"
            there = f"a {type(model).__name__}, and records of shape {table.record.shape}"
            advice = "a fitted model, and records like those that it was fitted to"
            raise ModelError(problem, found=there, advice=advice, code="E-MODEL-RAISED") from wrong

    def contributions(self, trees: Ensemble, given: Any, behind: Any, chunk: int | None) -> Contributions:
        """Returns the contributions to all scores, ``chunk`` records at a time."""
        size = len(given) if chunk is None else chunk
        blocks = [take_rows(given, i, i + size) for i in range(0, len(given), size)]
        each = [trees.explain(b, self.interactions) if behind is None else trees.explain_against(b, behind, self.output) for b in blocks]
        values = each[0].values if len(each) == 1 else np.concatenate([one.values for one in each])
        whole = Contributions(values, each[0].expected, each[0].eps)
        return for_both_classes(whole, trees.binary, self.output == "probability")


def check_output(method: TreeShap, trees: Ensemble) -> None:
    """Raises MethodError for probabilities and interactions that are not computed exactly."""
    kind, rows = type(trees.model).__name__, method.background is not None
    if method.interactions and rows:
        advice = "asc.attribute(model, x, over=asc.coalitions.Interactions(), by=asc.Resample(rows)), or background=None"
        raise MethodError("Interactions are computed without a background only", found=f"{method!r}", advice=advice)
    if method.output == "margin":
        return
    if not trees.classifies:
        raise MethodError("The model has no probabilities", found=f"output='probability' of a {kind}", advice="output='margin'")
    if trees.links and not rows:
        problem = "Probabilities of boosted trees are explained against a background only, because the trees add up to the margin"
        raise MethodError(problem, found=f"output='probability', background=None of a {kind}", advice="asc.TreeShap(rows, 'probability')")
    if trees.links and not trees.binary:
        problem = "Probabilities of boosted trees are explained for two classes only"
        raise MethodError(problem, found=f"a {kind} of several classes", advice=f"output='margin', or {PER_COALITION}")


@dataclass(frozen=True, eq=False)
class Table:
    """The explained argument: ``given`` as the user has it, ``record`` as an array, and the names of its columns."""

    given: Any
    record: np.ndarray
    names: tuple[str, ...] | None


def read_table(call: Call) -> Table:
    """Returns the only argument of a call. Raises InputError for others, and for what is no table of numbers or categories."""
    inputs = Inputs(call)
    if len(inputs.leaves) != 1 or (len(call.args) + len(call.kwargs)) != 1:
        there = f"{len(call.args) + len(call.kwargs)} arguments"
        raise InputError("Trees are explained at one table, `[records, features]`", found=there, advice="asc.TreeShap()(model, x)")
    ((path, leaf),) = inputs.leaves.items()
    if leaf.ndim != 2 or not leaf.size:
        there = f"an array of shape {leaf.shape}"
        raise InputError("Trees are explained at a table, `[records, features]`", found=there, advice="x[None] for a single record")
    given: Any = inputs.frames.get(path)
    given = as_numpy(follow((call.args, call.kwargs), path)) if given is None else as_pandas(given)
    return Table(given, leaf, tuple(str(name) for name in given.columns) if is_table(given) else None)


def rows_like(table: Table, background: Any) -> Any:
    """Returns background rows in the form of the explained table. Raises InputError for another number of columns."""
    rows: Any = as_pandas(background) if is_table(background) else as_numpy(background) if is_array(background) else np.asarray(background)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != table.record.shape[1]:
        there = f"rows of shape {tuple(rows.shape)} for records of {table.record.shape[1]} features"
        raise InputError("The background must be rows like the records", found=there, advice="background=x_train[:100]")
    if is_table(table.given):
        return rows[list(table.given.columns)] if is_table(rows) else type(table.given)(rows, columns=table.given.columns)
    return rows.to_numpy() if is_table(rows) else rows


def transform(before: Any, data: Any) -> Any:
    """Returns data as the steps before the trees change it. Raises InputError where a column disappears."""
    if before is None or data is None:
        return data
    changed = before.transform(data)
    if changed.shape != data.shape:
        there = f"{data.shape[1]} columns before, {changed.shape[1]} after"
        raise InputError("The steps before the trees change the number of columns", found=there, advice=PER_COALITION)
    return changed


@dataclass(frozen=True, eq=False)
class Weighted:
    """A quantity as a weighted sum of the scores: ``weights`` are ``[records, scores]``, ``classes`` the class of each record, if any."""

    weights: np.ndarray
    classes: np.ndarray | None


def weights_of(quantity: Quantity, scores: np.ndarray, names: tuple[str, ...] | None) -> Weighted:
    """Returns a quantity as weights of the scores. Raises QuantityError for one that is no sum of scores."""
    if quantity.on != OUTPUT:
        raise QuantityError("Trees are explained at their output", found=f"on={quantity.on!r}", advice="on=asc.OUTPUT")
    check_scores(scores, False, quantity)
    records, count = scores.shape
    bound = quantity.bind(scores, names, Part(np.arange(records), records))
    weights = np.zeros((records, count))
    rows = np.arange(records)
    if bound.classes is not None and not (isinstance(bound, BoundClasses) and bound.score is not None):
        weights[rows, np.asarray(bound.classes)] = 1.0
        return Weighted(weights, np.asarray(bound.classes))
    if isinstance(quantity, Contrast):
        first, second = bound.arrays  # type: ignore[attr-defined]
        weights[:, first] += 1.0
        weights[:, second] -= 1.0
        return Weighted(weights, None)
    problem = "`TreeShap` explains the score of a class, or the difference of two"
    advice = f"of=1, of=labels, of=asc.Contrast(1, 0), asc.TreeShap(rows, 'probability'), or {PER_COALITION}"
    raise QuantityError(problem, found=f"of={quantity!r}", advice=advice)


@dataclass(frozen=True, eq=False)
class Explained:
    """Everything that a result is built from."""

    table: Table
    trees: Ensemble
    scores: np.ndarray
    found: Contributions
    bound: Sequence[Weighted]
    several: bool
    pairs: bool

    def one(self, stacked: np.ndarray) -> np.ndarray:
        """Returns numbers of the only quantity, where a single one was given."""
        return stacked if self.several else stacked[0]


def build_result(e: Explained) -> Attribution:
    """Returns the result of the quantities, with gaps and checks; the call, the cost and the settings are added to it."""
    values = np.stack([np.einsum("r...s,rs->r...", e.found.values, one.weights) for one in e.bound])
    explained = np.stack([(e.scores * one.weights).sum(1) for one in e.bound])
    change = explained - np.stack([one.weights @ e.found.expected for one in e.bound])
    flat = values.reshape(*values.shape[:2], -1)
    sizes = np.abs(flat).sum(-1)
    gap = compute_gap(flat.sum(-1), sizes, change, explained, e.found.eps)
    classes = None if any(one.classes is None for one in e.bound) else np.stack([np.asarray(one.classes) for one in e.bound])
    names = None if e.table.names is None else tuple(escape_control(name) for name in e.table.names)
    places = () if e.pairs else (np.arange(values.shape[-1], dtype=np.int32)[None],)
    single = e.table.record.dtype.kind == "f"
    return Attribution(
        values=convert_like(e.one(values), e.table.record) if single else e.one(values),
        record=None if e.pairs else e.table.record,
        explained=e.one(explained),
        prediction=e.scores if e.scores.shape[1] > 1 else None,
        class_names=e.trees.class_names,
        target=None if classes is None else e.one(classes),
        gap=Gap(e.one(gap.absolute), e.one(gap.relative)),
        base_value=e.one(explained - change),
        checks=(check_sums(gap), check_finite(sizes, (), gap), check_nonzero(sizes)),
        features=FeatureTable(e.one(values), None, names, f"each of {values.shape[-1]} elements", places),
    )


def check_sums(gap: Gap) -> Check:
    """Checks that the values add up to the model's own output less the expected one."""
    status, records = judge(gap, EXACT)
    text = f"gap {describe_gaps(gap.relative)}"
    why = "" if status in ("ok", "skipped") else f"; the trees are not read as the model predicts: {PER_COALITION} calls the model"
    return Check("completeness", status, text + why, records)
