"""``python -m benchmarks.trees``: TreeShap against the boosters' own calls, shap and KernelShap; ``--commit`` writes the report.

Each table has 1,000 records of 20 features, and every model 100 trees of depth 6 (LightGBM: 31 leaves). XGBoost and CatBoost are measured
where they are installed.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import ascribe as asc

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "trees.md"
RECORDS, FEATURES, TREES, DEPTH = 1000, 20, 100, 6
ROWS = 100
"""Background rows."""
FEW = 20
"""Records that KernelShap explains; its time is given for 1,000."""
ROUNDS = 9
Call = Callable[[], Any]


def make_table() -> tuple[np.ndarray, np.ndarray]:
    """Returns records and classes: a sum of single features and products."""
    random = np.random.default_rng(0)
    x = random.normal(size=(RECORDS, FEATURES)).astype(np.float32).astype(np.float64)
    return x, (x[:, 0] + x[:, 1] * x[:, 2] + np.sin(x[:, 3]) + 0.3 * random.normal(size=RECORDS) > 0).astype(int)


def fit_models(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, Any, Call | None]]:
    """Yields the name of each library, a fitted classifier, and its own call for contributions, if it has one."""
    if find_spec("xgboost"):
        xgboost = importlib.import_module("xgboost")
        model = xgboost.XGBClassifier(n_estimators=TREES, max_depth=DEPTH, n_jobs=1).fit(x, y)
        yield "XGBoost", model, lambda: model.get_booster().predict(xgboost.DMatrix(x, nthread=1), pred_contribs=True)
    if find_spec("lightgbm"):
        lgbm = importlib.import_module("lightgbm").LGBMClassifier(n_estimators=TREES, verbose=-1, n_jobs=1).fit(x, y)
        yield "LightGBM", lgbm, lambda: lgbm.predict(x, pred_contrib=True)
    if find_spec("catboost"):
        catboost = importlib.import_module("catboost")
        cat = catboost.CatBoostClassifier(iterations=TREES, depth=DEPTH, verbose=0, allow_writing_files=False, thread_count=1).fit(x, y)
        yield "CatBoost", cat, lambda: cat.get_feature_importance(catboost.Pool(x), type="ShapValues", thread_count=1)
    ensemble = importlib.import_module("sklearn.ensemble")
    yield "random forest", ensemble.RandomForestClassifier(TREES, max_depth=DEPTH, random_state=0, n_jobs=1).fit(x, y), None
    yield "histogram gradient boosting", ensemble.HistGradientBoostingClassifier(max_iter=TREES).fit(x, y), None


def measure(calls: dict[str, Call]) -> dict[str, np.ndarray]:
    """Returns the seconds of the processor for each call, over rounds in which the order rotates."""
    names, times = list(calls), {name: list[float]() for name in calls}
    for call in calls.values():
        call()
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            calls[name]()
            times[name].append(time.process_time() - start)
    return {name: np.array(found) for name, found in times.items()}


def second_class(found: Any) -> np.ndarray:
    """Returns the values of the second of two classes, ``[records, features]``, of what a library returns."""
    values = np.asarray(getattr(found, "values", found), dtype=np.float64)
    values = values[..., 1] if values.ndim == 3 else values
    return values[:, :FEATURES]


def row_of(name: str, model: Any, own: Call | None, x: np.ndarray, background: np.ndarray | None) -> str:
    """Returns a row of the table: the times in milliseconds, and the largest difference from shap's values."""
    shap = importlib.import_module("shap")

    def by_shap() -> Any:
        if background is None:
            explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        else:
            explainer = shap.TreeExplainer(model, shap.maskers.Independent(background, max_samples=len(background)))
        return explainer.shap_values(x, check_additivity=False)

    calls: dict[str, Call] = {"ours": lambda: asc.TreeShap(background)(model, x, of=1), "shap": by_shap}
    if own is not None and background is None:
        calls["own"] = own
    found = measure(calls)
    apart = np.abs(second_class(calls["ours"]()) - second_class(by_shap())).max()
    times = [f"{1000 * np.median(found[key]):.1f}" if key in found else "-" for key in ("ours", "own", "shap")]
    ratios = [f"{np.median(found['ours'] / found[key]):.2f}" if key in found else "-" for key in ("own", "shap")]
    return f"| {name} | {' | '.join([*times, *ratios])} | {apart:.0e} |"


HEAD = (
    "| model | ours, ms | booster's own call, ms | shap, ms | ours / own | ours / shap | largest difference from shap |\n"
    + "|---" * 7
    + "|"
)


def report() -> str:
    """Returns the page."""
    x, y = make_table()
    background, models = x[:ROWS], list(fit_models(x, y))
    path = [row_of(name, model, own, x, None) for name, model, own in models]
    against = [row_of(name, model, None, x[:ROWS], background) for name, model, _ in models]
    forest = next(model for name, model, _ in models if name == "random forest")
    start = time.perf_counter()
    asc.KernelShap(by=asc.Resample(background[:10]))(forest, x[:FEW], of=1)
    kernel = (time.perf_counter() - start) * RECORDS / FEW
    libraries = [name for name in ("xgboost", "lightgbm", "catboost", "scikit-learn", "shap") if find_spec(name.replace("scikit-", "sk"))]
    used = ", ".join(f"{name} {version(name)}" for name in libraries)
    return f"""# Trees: TreeShap against the boosters' own calls and shap

Written by `python -m benchmarks.trees --commit`, with
{used}. {RECORDS:,} records of {FEATURES} features,
classifiers of two classes with {TREES} trees, one thread (`OMP_NUM_THREADS=1`). Times of the processor, and ratios within a round: medians
of {ROUNDS} rounds. Our time includes the model's own margin, which the sum of the values is checked against, and the result; the boosters'
own call and shap return values only.

## Path-dependent values, {RECORDS:,} records

{HEAD}
{chr(10).join(path)}

## Against a background of {ROWS} rows, {ROWS} records

{HEAD}
{chr(10).join(against)}

`KernelShap(by=Resample(rows))` with 10 rows and its default budget takes {kernel:.0f} s for {RECORDS:,} records of the random forest,
extrapolated from {FEW} records.
"""


def main() -> None:
    """Measures and prints; with ``--commit`` writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help=f"write {PAGE.name} too")
    options = parser.parse_args()
    page = report()
    print(page)
    if options.commit:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
