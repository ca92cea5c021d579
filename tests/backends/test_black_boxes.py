"""The callable backend: functions, estimators, ONNX sessions and endpoints, with arrays and tables, and what is left when they fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.errors import AscribeError, BackendError, CutError, FeatureError, InputError, ModelError, QuantityError, RuleError

RNG = np.random.default_rng(0)
WEIGHT = np.array([1.0, -2.0, 0.5, 3.0])
X = RNG.normal(size=(5, 4))
LABELS = (X[:, 0] * X[:, 1] + X[:, 3] > 0).astype(int)
MANY = RNG.normal(size=(200, 4))
MANY_LABELS = (MANY[:, 0] * MANY[:, 1] + MANY[:, 3] > 0).astype(int)


def scores(x: np.ndarray) -> np.ndarray:
    y = x @ WEIGHT + x[:, 0] * x[:, 1]
    return np.stack([y, -y], 1)


def test_a_function_needs_no_framework():
    code = """
import sys, numpy as np, ascribe as asc
a = asc.attribute(lambda x: x @ np.eye(3), np.ones((2, 3)), of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.25))
assert np.allclose(a.values, [[0, 0.75, 0]] * 2), a.values
assert not {"torch", "sklearn", "pandas", "onnxruntime"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr


def test_functions_give_what_the_same_torch_network_gives():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()

    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.as_tensor(x)).numpy()

    for over in (
        asc.coalitions.Exact(),
        asc.coalitions.LeaveOneOut(),
        asc.coalitions.Permutations(40),
        asc.coalitions.ShapleyRegression(14),
    ):
        a = asc.attribute(asc.BlackBox(run), X, over=over, by=asc.Replace(0.1), seed=3)
        b = asc.attribute(net, X, over=over, by=asc.Replace(0.1), seed=3)
        np.testing.assert_allclose(a.values, b.values, atol=1e-12)
        np.testing.assert_allclose(asc.attribute(run, X, over=over, by=asc.Replace(0.1), seed=3).values, a.values, atol=1e-12)


def test_a_function_that_makes_arrays_of_a_modules_tensors_is_a_function_of_arrays():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(4, 2).double()
    weight = net.weight.detach().numpy()

    def to_list(x: np.ndarray) -> list[list[float]]:
        return net(torch.from_numpy(x)).tolist()

    for run in (lambda x: net(torch.tensor(x)).detach().cpu().numpy(), to_list):
        a = asc.KernelShap()(run, X, of=1)
        np.testing.assert_allclose(a.values, X * weight[1], atol=1e-9)
        with pytest.raises(RuleError, match="A black box has no gradients"):
            asc.Saliency()(run, X)
    both = asc.Saliency(signed=True)(lambda x: net(x), X, of=1)  # given arrays, but a function of tensors
    np.testing.assert_allclose(both.values, np.tile(weight[1], (5, 1)))
    with pytest.raises(ModelError, match=r"asc.BlackBox\(model\) and x.numpy\(\) for .* a function of arrays"):
        asc.KernelShap()(lambda x: net(torch.as_tensor(x)).detach().numpy(), torch.tensor(X))
        assert isinstance(a.values, np.ndarray)
        assert a.prediction.shape == (5, 3)


def test_keyword_arguments_and_what_does_not_belong_to_records():
    def model(x: np.ndarray, *, extra: np.ndarray, scale: float, table: np.ndarray) -> np.ndarray:
        assert table.shape == (7, 2)
        return (x.sum(1) + extra[:, 0] * table[0, 0]) * scale

    extra, table = RNG.normal(size=(5, 2)), np.full((7, 2), 3.0)
    found = asc.attribute(model, X, extra=extra, scale=2.0, table=table, over=asc.coalitions.Exact())
    np.testing.assert_allclose(found.values[0], 2 * X)
    np.testing.assert_allclose(found.values["extra"], extra * [6, 0], atol=1e-12)


def test_arguments_are_the_models_to_work_on():
    x = X.copy()

    def model(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x.sum(1)

    found = asc.attribute(model, x, over=asc.coalitions.LeaveOneOut())
    np.testing.assert_array_equal(x, X)
    np.testing.assert_allclose(found.values, 2 * X)


ESTIMATORS = ("RandomForestClassifier", "LGBMClassifier", "XGBClassifier")


def fitted(name: str, x: Any = MANY) -> Any:
    if name == "RandomForestClassifier":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(10, random_state=0).fit(x, MANY_LABELS)
    if name == "LGBMClassifier":
        return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(x, MANY_LABELS)
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=10, n_jobs=1).fit(x, MANY_LABELS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_asked_for_probabilities(name):
    model = fitted(name)
    background = MANY[:6]
    found = asc.attribute(model, X, of=1, over=asc.coalitions.Exact(), by=asc.Resample(background))
    start, end = model.predict_proba(background)[:, 1].mean(), model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(found.values.sum(1), end - start, atol=1e-6)
    assert found.class_names == ("0", "1")
    assert any("predict_proba" in check.detail for check in found.checks)
    assert found.ok


@pytest.mark.parametrize("name", ESTIMATORS)
def test_tables_stay_tables(name):
    pandas = pytest.importorskip("pandas")
    names = ["age", "dose", "weight", "site"]
    model = fitted(name, pandas.DataFrame(MANY, columns=names))
    table = pandas.DataFrame(X, columns=names)
    seen: list[Any] = []

    def watched(t: Any) -> np.ndarray:
        seen.append(t)
        return model.predict_proba(t)

    a = asc.attribute(watched, table, of=1, over=asc.coalitions.Exact(), by=asc.Resample(table))
    b = asc.attribute(model, table, of=1, over=asc.coalitions.Exact(), by=asc.Resample(X))
    np.testing.assert_allclose(a.values, b.values, atol=1e-7)
    assert all(list(t.columns) == names for t in seen)
    assert a.features.names == tuple(names)
    some = asc.attribute(
        model, table, of=1, over=asc.coalitions.Exact(), by=asc.Resample(table), features=asc.Columns({"body": ["age", "weight"]})
    )
    assert some.features.names == ("body", "dose", "site")


class Foreign:
    """An array of a framework that nothing here knows of."""

    def __init__(self, a: np.ndarray) -> None:
        self.a, self.shape, self.dtype = a, a.shape, a.dtype

    def __getitem__(self, key: Any) -> Any:
        return self.a[key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.a


FORMS = {
    "lists": lambda y: y.tolist(),
    "lists of arrays": list,
    "lists in a dictionary": lambda y: {"scores": y.tolist()},
    "lists in a tuple": lambda y: (y.tolist(), "1.0"),
    "a dictionary for each row": lambda y: [dict(enumerate(row)) for row in y],
    "another framework's array": Foreign,
    "its arrays in a dictionary": lambda y: {"scores": Foreign(y)},
    "a table": lambda y: pytest.importorskip("pandas").DataFrame(y),
}


@pytest.mark.parametrize("form", FORMS)
def test_results_in_any_form(form):
    found = asc.attribute(lambda x: FORMS[form](scores(x)), X, of=1, over=asc.coalitions.Exact())
    np.testing.assert_array_equal(found.values, asc.attribute(scores, X, of=1, over=asc.coalitions.Exact()).values)


def test_a_column_of_a_table_is_a_result():
    pandas = pytest.importorskip("pandas")
    found = asc.attribute(lambda x: pandas.Series(x @ WEIGHT), X, over=asc.coalitions.Exact())
    np.testing.assert_allclose(found.values, X * WEIGHT, atol=1e-12)


def test_records_and_what_is_explained_are_told_as_for_other_models():
    def model(w: np.ndarray, x: np.ndarray, extra: np.ndarray) -> np.ndarray:
        return x @ w + extra[:, 0]

    found = asc.attribute(model, WEIGHT, X, X[:, :1], over=asc.coalitions.Exact())  # one row of weights for all
    assert [v.shape for v in found.values] == [(5, 4), (5, 1)]
    alone = asc.attribute(model, asc.Call(WEIGHT, X, X[:, :1]).only(1), over=asc.coalitions.Exact())
    np.testing.assert_allclose(alone.values, X * WEIGHT, atol=1e-12)


def test_other_kinds_of_estimators():
    linear = pytest.importorskip("sklearn.linear_model")
    target = MANY @ WEIGHT
    regression = linear.LinearRegression().fit(MANY, target)
    found = asc.attribute(regression, X, over=asc.coalitions.Exact(), by=asc.Resample(MANY[:9]))
    np.testing.assert_allclose(found.values, WEIGHT * (X - MANY[:9].mean(0)), atol=1e-9)
    ridge = linear.RidgeClassifier().fit(MANY, MANY_LABELS)
    assert any("decision_function" in check.detail for check in asc.attribute(ridge, X, over=asc.coalitions.LeaveOneOut()).checks)
    labels = asc.attribute(Labels(), X, of="b", over=asc.coalitions.LeaveOneOut())
    assert set(np.unique(labels.features.values)) <= {-1.0, 0.0, 1.0}
    assert labels.class_names == ("a", "b")


def test_several_things_predicted_at_once():
    """scikit-learn returns a list of tables then, with classes of their own."""
    forest = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(3, random_state=0)
    forest.fit(MANY, np.stack([MANY_LABELS, (MANY[:, 1] > 0) + (MANY[:, 2] > 1) * 1], 1))
    with pytest.raises(QuantityError, match="E-TARGET-WHICH"):
        asc.attribute(forest, X, of=1, over=asc.coalitions.Exact())
    found = asc.attribute(forest, X, of=asc.Unit(1, on=asc.OUTPUT.at(0)), over=asc.coalitions.Exact())
    expected = forest.predict_proba(X)[0][:, 1] - forest.predict_proba(np.zeros((1, 4)))[0][0, 1]
    np.testing.assert_allclose(found.values.sum(1), expected, atol=1e-12)


class Labels:
    """An estimator that gives nothing but classes."""

    classes_ = np.array(["a", "b"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.where(x[:, 0] > 0, "b", "a")


def test_onnx_sessions():
    onnxruntime, skl2onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("skl2onnx")
    forest = fitted("RandomForestClassifier")
    for options in ({"zipmap": False}, {}):
        made = skl2onnx.to_onnx(forest, MANY[:1].astype(np.float32), options={id(forest): options} if options else None)
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        a = asc.attribute(session, X, of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.0))
        b = asc.attribute(forest, X.astype(np.float32), of=1, over=asc.coalitions.Exact(), by=asc.Replace(0.0))
        np.testing.assert_allclose(a.values, b.values, atol=1e-5)
        with pytest.raises(InputError, match="one argument for each of its inputs"):
            asc.attribute(session, X, X, over=asc.coalitions.Exact())


class TwoOutputs:
    """What ONNX Runtime shows of a session with two outputs of floating-point numbers."""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", type="tensor(double)")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name, type="tensor(double)") for name in ("scores", "states")]

    def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        named = {"scores": scores(feeds["x"]), "states": feeds["x"] * 3}
        return [named[name] for name in names]


def test_the_outputs_of_an_onnx_session_by_name():
    first = asc.FeatureAblation()(TwoOutputs(), X, of=0)
    np.testing.assert_allclose(first.values, asc.FeatureAblation()(scores, X, of=0).values)
    assert any("asc.OUTPUT.at('states')" in check.detail for check in first.checks)
    second = asc.FeatureAblation()(TwoOutputs(), X, of=asc.Unit(1, on=asc.OUTPUT.at("states")))
    np.testing.assert_allclose(second.values[:, 1], 3 * X[:, 1])
    with pytest.raises(CutError, match="the outputs scores, states"):
        asc.FeatureAblation()(TwoOutputs(), X, of=asc.Unit(1, on=asc.OUTPUT.at("other")))


def test_the_advice_for_an_argument_with_its_records_on_another_axis():
    def recurrent(x: np.ndarray, state: np.ndarray) -> np.ndarray:
        return (x + state[0]) * (state[1:] + 1)[0]

    x, state = np.ones((1, 3)), np.zeros((2, 1, 3))

    def strict(x: np.ndarray, state: np.ndarray) -> np.ndarray:
        if state.shape[1] != len(x):
            raise ValueError(f"the state has the shape {state.shape}, not (2, {len(x)}, 3)")
        return recurrent(x, state)

    with pytest.raises(ModelError, match=r"records=\{1: 1\}"):
        asc.FeatureAblation()(strict, asc.Call(x, state).only(0), of=0)
    found = asc.FeatureAblation()(strict, asc.Call(x, state, records={1: 1}).only(0), of=0)
    np.testing.assert_allclose(found.values, [[1.0, 0.0, 0.0]])


class Endpoint:
    """A remote model: takes at most so many rows, counts its calls, and breaks down at one of them."""

    def __init__(self, most: int, breaks: int | None = None) -> None:
        self.most, self.breaks, self.calls = most, breaks, 0

    def __call__(self, x: np.ndarray) -> list[list[float]]:
        self.calls += 1
        assert len(x) <= self.most
        if self.calls == self.breaks:
            raise ConnectionError("the line is dead")
        return scores(x).tolist()


def test_an_endpoint_is_called_once_for_the_records_and_then_for_coalitions_alone():
    endpoint = Endpoint(most=10)
    found = asc.attribute(endpoint, X, of=0, over=asc.coalitions.Exact(), chunk=10)
    assert endpoint.calls == 1 + 8 + 1  # 15 coalitions beside the full one, 2 of them x 5 records in a call, and one record again
    assert found.cost.rows == 5 * 16 + 1
    assert found.cost.forward == endpoint.calls
    np.testing.assert_allclose(found.values.sum(1), scores(X)[:, 0], atol=1e-12)


def test_what_was_found_before_a_failure_is_kept():
    x = RNG.normal(size=(1, 40))
    weight = np.arange(40.0)

    class Breaking(Endpoint):
        def __call__(self, x: np.ndarray) -> Any:
            super().__call__(x[:, :4])
            return x @ weight

    endpoint = Breaking(most=4, breaks=10)
    with pytest.raises(ModelError, match="the line is dead") as caught:
        asc.attribute(endpoint, x, over=asc.coalitions.LeaveOneOut(), chunk=4)
    error = caught.value
    assert isinstance(error.__cause__, ConnectionError)
    assert "4 rows" in str(error)
    assert error.call.args[0].shape == (4, 40)
    assert error.rows.tolist() == [0, 0, 0, 0]
    known = error.partial.features.values[0]
    assert 30 <= np.isfinite(known).sum() < 40
    np.testing.assert_allclose(known[np.isfinite(known)], (weight * x[0])[np.isfinite(known)], atol=1e-9)
    assert not error.partial.ok


def test_records_that_were_done_before_a_failure_are_kept():
    endpoint = Endpoint(most=2, breaks=12)
    with pytest.raises(ModelError) as caught:
        asc.attribute(endpoint, X, of=0, over=asc.coalitions.LeaveOneOut(), chunk=2)
    whole = asc.attribute(Endpoint(2), X, of=0, over=asc.coalitions.LeaveOneOut(), chunk=2)
    assert len(caught.value.partial) >= 4
    np.testing.assert_array_equal(caught.value.partial.values[:4], whole.values[:4])
    endpoint = Endpoint(most=10, breaks=1)
    with pytest.raises(ModelError) as caught:
        asc.attribute(endpoint, X, over=asc.coalitions.LeaveOneOut())
    assert caught.value.partial is None


SAMPLED = (
    asc.coalitions.Permutations(20),
    asc.coalitions.ShapleyRegression(14),
    asc.coalitions.Banzhaf(14),
    asc.coalitions.TotalSobolIndices(20),
)
EVERY = (asc.coalitions.Exact(), asc.coalitions.Owen(12), asc.coalitions.Interactions(20), *SAMPLED)


@pytest.mark.parametrize("over", EVERY, ids=repr)
@pytest.mark.filterwarnings("error")
def test_whatever_is_estimated_a_failure_anywhere_is_told_with_the_records_before_it(over):
    """One record in a block: what those before the failure are owed is the same as without it."""
    whole = Endpoint(most=2)
    expected = asc.attribute(whole, X, of=0, over=over, chunk=1)
    kept = 0
    calls = whole.calls - 1  # the last one asks again about the first record, and says nothing where it fails
    assert asc.attribute(Endpoint(2, whole.calls), X, of=0, over=over, chunk=1).ok
    for breaks in range(1, calls + 1):
        with pytest.raises(ModelError, match="the line is dead") as caught:
            asc.attribute(Endpoint(2, breaks), X, of=0, over=over, chunk=1)
        done = (breaks - 1) * len(X) // calls
        assert (caught.value.partial is not None) or not done
        if done:
            np.testing.assert_array_equal(caught.value.partial.values[:done], expected.values[:done])
            kept += 1
    assert kept


def test_an_interrupt_keeps_what_was_found_too():
    calls = 0

    def model(x: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return x.sum(1)

    with pytest.raises(KeyboardInterrupt) as caught:
        asc.attribute(model, X, over=asc.coalitions.LeaveOneOut(), chunk=5)
    assert len(vars(caught.value)["partial"]) == 5


class Polar:
    """A table that is none of pandas'."""

    columns = ("a", "b")

    def to_numpy(self) -> np.ndarray:
        return X[:, :2]


REFUSED: dict[str, tuple[Any, type[AscribeError], str]] = {
    "gradients": (lambda: asc.attribute(scores, X), RuleError, "E-RULE-GRADIENT"),
    "a path": (lambda: asc.IntegratedGradients()(scores, X), RuleError, "over=asc.coalitions.Permutations"),
    "a layer": (lambda: asc.attribute(scores, X, at="layer3", over=asc.coalitions.Exact()), CutError, "black box"),
    "no model": (lambda: asc.attribute("forest", X, over=asc.coalitions.Exact()), BackendError, "not a model"),
    "no array": (lambda: asc.attribute(scores, 3, over=asc.coalitions.Exact()), InputError, "without an array"),
    "hidden numbers": (lambda: asc.attribute(scores, np.ma.masked_less(X, 0), over=asc.coalitions.Exact()), InputError, "a masked array"),
    "a table of others": (lambda: asc.attribute(scores, Polar(), over=asc.coalitions.Exact()), InputError, "to_pandas"),
    "no records": (lambda: asc.attribute(scores, X[:0], over=asc.coalitions.Exact()), InputError, "no records"),
    "words out": (lambda: asc.attribute(lambda x: ["a"] * len(x), X, over=asc.coalitions.Exact()), ModelError, "E-MODEL-OUTPUT"),
    "one number out": (lambda: asc.attribute(lambda x: x.sum(), X, over=asc.coalitions.Exact()), AscribeError, "rows"),
    "no such argument": (lambda: asc.attribute(scores, X, at=asc.INPUT.at("y"), over=asc.coalitions.Exact()), CutError, "input 0"),
    "no such part": (
        lambda: asc.attribute(scores, X, of=asc.Unit(0, on=asc.OUTPUT.at("y")), over=asc.coalitions.Exact()),
        CutError,
        "no part",
    ),
    "part of a whole": (
        lambda: asc.attribute(scores, X.astype(int), over=asc.coalitions.Exact(), by=asc.Replace(0.5)),
        FeatureError,
        "integer array",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_black_box_cannot_do_is_refused(name):
    call, kind, words = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)


def test_systems_that_do_not_tell_their_memory(monkeypatch):
    monkeypatch.setattr("os.sysconf_names", {"SC_PAGE_SIZE": 30})  # macOS
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096}.__getitem__)
    np.testing.assert_allclose(asc.attribute(lambda x: x @ WEIGHT, X, over=asc.coalitions.Exact()).values, X * WEIGHT, atol=1e-12)


def test_places_of_a_black_box():
    found = asc.cuts_of(scores, X)
    assert [place.cut for place in found] == [asc.INPUT, asc.OUTPUT]
    assert found[0].shape == (1, 4)
    np.testing.assert_array_equal(asc.activation(scores, X, at=asc.OUTPUT).values, scores(X))
    said = asc.estimate(scores, X, over=asc.coalitions.Exact(), by=asc.Resample(MANY[:3]))
    assert said.forward_rows == 5 * (16 * 3 + 1)
