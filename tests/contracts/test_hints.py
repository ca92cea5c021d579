"""What newcomers type, and the hint that each gets: names of other libraries, models in the wrong place, calls in another shape."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import ascribe as asc
from ascribe.errors import (
    ArgumentError,
    AscribeError,
    BackendError,
    CutError,
    FeatureError,
    MemoryLimitError,
    MethodError,
    ModelError,
    QuantityError,
)
from ascribe.methods import METHODS
from ascribe.result import summary as render
from ascribe.utils import hints

NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
X = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
IG = asc.IntegratedGradients(steps=4)
BYTES = torch.ones(1, 3, 8, 8, dtype=torch.uint8)


class Dictionary(nn.Module):
    """A model of Hugging Face's kind: arguments by name, and any others swallowed."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **others: Any) -> torch.Tensor:
        return self.head(self.table(input_ids).mean(1))


def parts(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"logits": NET(x), "hidden": NET[0](x)}


def masked(x: np.ndarray) -> np.ndarray:
    return x


HINTS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "n_steps": (lambda: asc.IntegratedGradients(n_steps=50), ArgumentError, "IntegratedGradients(steps=50)"),
    "baselines": (lambda: asc.IntegratedGradients(baselines=0), ArgumentError, "IntegratedGradients(baseline=0)"),
    "DeepLift": (lambda: asc.DeepLift(baselines=0), ArgumentError, "DeepLift(baseline=0)"),
    "multiply_by_inputs": (lambda: asc.IntegratedGradients(multiply_by_inputs=False), ArgumentError, "asc.influence(model, x"),
    "stdevs": (lambda: asc.SmoothGrad(stdevs=0.1), ArgumentError, "SmoothGrad(scale=0.1)"),
    "nt_samples": (lambda: asc.SmoothGrad(nt_samples=8), ArgumentError, "SmoothGrad(samples=8)"),
    "nsamples": (lambda: asc.KernelShap(nsamples=100), ArgumentError, "KernelShap(budget=100)"),
    "n_samples": (lambda: asc.KernelShap(n_samples=100), ArgumentError, "KernelShap(budget=100)"),
    "max_evals": (lambda: asc.Partition(max_evals=100), ArgumentError, "Partition(budget=100)"),
    "background": (lambda: asc.KernelShap(background=X), ArgumentError, "KernelShap(by=asc.Resample(rows))"),
    "masker": (lambda: asc.KernelShap(masker=masked), ArgumentError, "KernelShap(by=asc.Resample(rows))"),
    "feature_mask": (lambda: asc.FeatureAblation(feature_mask=X), ArgumentError, "FeatureAblation(features=asc.Grid(8))"),
    "sliding_window_shapes": (lambda: asc.Occlusion(sliding_window_shapes=(3, 3)), ArgumentError, "Occlusion(size=8)"),
    "strides": (lambda: asc.Occlusion(strides=2), ArgumentError, "Occlusion(stride=2)"),
    "target_layers": (lambda: asc.GradCam(target_layers=[NET]), ArgumentError, 'GradCam(layer="layer4")'),
    "internal_batch_size": (lambda: asc.KernelShap(internal_batch_size=8), ArgumentError, "(model, x, chunk=8), in the call"),
    "forward_func": (lambda: asc.Lime(forward_func=NET), ArgumentError, "the model in the call: Lime(...)(model, x)"),
    "of in the constructor": (lambda: asc.Saliency(of=1), ArgumentError, "Saliency(...)(model, x, of=1), in the call"),
    "a typo": (lambda: asc.IntegratedGradients(step=5), ArgumentError, "IntegratedGradients(steps=5)"),
    "another name": (lambda: asc.KernelShap(zork=5), ArgumentError, "KernelShap(budget, by, features, tolerance)"),
    "target": (lambda: IG(NET, X, target=1), ArgumentError, "Try: of=1"),
    "target, swallowed": (lambda: IG(Dictionary(), input_ids=torch.ones(1, 3, dtype=int), target=1), ArgumentError, "Try: of=1"),
    "target of the verb": (lambda: asc.attribute(NET, X, target=1), ArgumentError, "Try: of=1"),
    "baselines in the call": (lambda: IG(NET, X, baselines=0), ArgumentError, "IntegratedGradients(baseline=0)(model, x)"),
    "baseline in the call": (lambda: IG(NET, X, baseline=0), ArgumentError, "IntegratedGradients(baseline=0)(model, x)"),
    "n_steps in the verb": (lambda: asc.attribute(NET, X, n_steps=9), ArgumentError, "over=asc.Line(0.0, steps=9)"),
    "steps in the verb": (lambda: asc.influence(NET, X, steps=9), ArgumentError, "over=asc.Line(0.0, steps=9)"),
    "budget in the verb": (lambda: asc.attribute(NET, X, budget=9), ArgumentError, "over=asc.coalitions.ShapleyRegression(9)"),
    "n_steps where no points are": (
        lambda: asc.FullGradDecomposition()(NET, X, n_steps=9),
        ArgumentError,
        "Try: the call without n_steps=",
    ),
    "target of a look": (lambda: asc.cuts_of(NET, X, target=1), ArgumentError, "Try: the call without target="),
    "by in the call": (lambda: asc.KernelShap()(NET, X, by=0.0), ArgumentError, "KernelShap(by=0.0)(model, x)"),
    "additional_forward_args": (lambda: IG(NET, X, additional_forward_args=X), ArgumentError, "IntegratedGradients(...)(model, x, mask)"),
    "return_convergence_delta": (lambda: IG(NET, X, return_convergence_delta=True), ArgumentError, "a.gap of the result"),
    "create_graph": (lambda: IG(NET, X, create_graph=True), ArgumentError, "results carry no graph: torch.autograd.grad"),
    "differentiable": (lambda: asc.attribute(NET, X, differentiable=True), ArgumentError, "results carry no graph: torch.autograd.grad"),
    "method": (lambda: asc.IntegratedGradients(method="riemann_trapezoid"), ArgumentError, "IntegratedGradients(quadrature="),
    "method in the call": (lambda: IG(NET, X, method="riemann_trapezoid"), ArgumentError, "IntegratedGradients(quadrature="),
    "method in the verb": (lambda: asc.attribute(NET, X, method="ig"), ArgumentError, "asc.IntegratedGradients()(model, x), a method"),
    "data": (lambda: asc.KernelShap(data=X), ArgumentError, "KernelShap(by=asc.Resample(rows))"),
    "a layer as it is": (lambda: IG(NET, X, at=NET[0]), CutError, "next(name for name, module in model.named_modules()"),
    "one position too few": (lambda: IG(nn.Unflatten(1, (3, 1)), X, of=1), QuantityError, "of=asc.Unit(5, token_id) for one position"),
    "a position from the end": (lambda: IG(nn.Unflatten(1, (3, 1)), X, of=asc.Unit(-1, 0)), QuantityError, "Position -1 is out of range"),
    "an output of several parts": (lambda: IG(parts, X, of=lambda y: y[:, 0]), QuantityError, "y['logits'], in place of y"),
    "bytes": (lambda: IG(lambda x: NET(x.float()), X.to(torch.uint8)), CutError, "x.float(), for integers that are no ids"),
    "bytes in part": (lambda: asc.Rise(8)(lambda x: x.float().sum((2, 3)), BYTES), FeatureError, "x.float()"),
    "a list of records": (lambda: IG(NET, [X[0], X[1]]), ModelError, "torch.stack(x), for a list of records"),
    "a tensor for arrays": (lambda: asc.KernelShap()(lambda z: NET(torch.from_numpy(z)).numpy(), X), ModelError, "x.numpy(), for a model"),
    "off": (lambda: IG(NET, X, off=1), ModelError, "of=1, if that is what off= means"),
    "a black box": (lambda: asc.KernelShap()(masked, X.numpy(), target=1), ArgumentError, "Try: of=1"),
    "the model in the constructor": (lambda: asc.KernelShap(NET), MethodError, "KernelShap()(model, x)"),
    "model and background": (lambda: asc.KernelShap(NET, X), MethodError, "KernelShap()(model, x)"),
    "an estimator": (lambda: asc.KernelShap(LogisticRegression()), MethodError, "KernelShap()(model, x)"),
    "a class": (lambda: IG(nn.Linear, X), BackendError, "is a class, not a model. Found: the class Linear. Try: Linear(...)"),
    "x first": (lambda: IG(X, NET), BackendError, "the model first, then its arguments"),
    "a dictionary": (lambda: IG(Dictionary(), {"input_ids": torch.ones(1, 3)}), ModelError, "unpacked: method(model, **batch)"),
}
ATTRIBUTES = {
    "attribute": "IntegratedGradients(...)(model, x, of=1)", "shap_values": "IntegratedGradients(...)(model, x).values",
    "explain": "IntegratedGradients(...)(model, x, of=1)", "expected_value": "a.explained", "compute_convergence_delta": "a.gap",
}  # fmt: skip


@pytest.mark.parametrize("what", HINTS)
def test_each_gets_its_hint(what: str) -> None:
    call, kind, hint = HINTS[what]
    with pytest.raises(kind) as told:
        call()
    assert isinstance(told.value, AscribeError)
    assert hint in str(told.value)
    assert len(str(told.value)) < 500
    assert "Sequential(" not in str(told.value)  # a model is not printed


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_methods_answer_the_names_of_other_libraries(name: str) -> None:
    assert not hasattr(IG, name)
    with pytest.raises(AttributeError) as told:
        getattr(IG, name)
    assert ATTRIBUTES[name] in str(told.value)
    with pytest.raises(AttributeError, match=r"object has no attribute 'zork'$"):
        getattr(IG, "zork")  # noqa: B009


@pytest.mark.parametrize(("name", "ours"), [
    ("GradientShap", "asc.ExpectedGradients"), ("LayerIntegratedGradients", 'asc.IntegratedGradients()(model, x, at="layer3")'),
    ("NeuronGradientShap", "asc.ExpectedGradients()(model, x, of=asc.Unit(3"), ("GradCAM", "asc.GradCam"), ("KernelSHAP", "asc.KernelShap"),
    ("integrated_gradients", "asc.IntegratedGradients"), ("TreeExplainer", "asc.KernelShap"),
    ("DeepExplainer", "asc.DeepLiftShap")])  # fmt: skip
def test_the_package_answers_the_classes_of_other_libraries(name: str, ours: str) -> None:
    assert not hasattr(asc, name)
    with pytest.raises(AttributeError) as told:
        getattr(asc, name)
    assert ours in str(told.value)


@pytest.mark.parametrize("name", [*hints.RESULT])
def test_results_answer_the_names_of_other_libraries_with_what_works(name: str) -> None:
    a = IG(NET, X)
    assert not hasattr(a, name)
    with pytest.raises(AttributeError) as told:
        getattr(a, name)
    code = str(told.value).partition("Try: ")[2].partition(", ")[0]
    if code == "a.to_pandas(features=names)":
        pytest.importorskip("pandas")
        assert set(a.to_pandas(features=["one", "two", "three"])["feature"]) == {"one", "two", "three"}
    elif code.startswith(("a.plot", "a.to_pandas")):
        assert callable(eval(code.removesuffix("()"), {"a": a}))
    else:
        found = eval(code, {"a": a, "np": np})
        assert found is not None
    if name == "base_values":
        line = nn.Linear(3, 2)
        found = eval(code, {"a": asc.IntegratedGradients(steps=2)(line, X, of=1), "np": np})
        np.testing.assert_allclose(found, [float(line.bias[1].detach())] * 2, atol=1e-5)  # the score at the baseline of zeros


def test_other_names_of_a_result_are_missing_as_ever() -> None:
    a = IG(NET, X)
    with pytest.raises(AttributeError, match=r"^'Attribution' object has no attribute 'zork'$"):
        getattr(a, "zork")  # noqa: B009
    assert copy.deepcopy(a).method == pickle.loads(pickle.dumps(a)).method == a.method


def test_a_number_without_an_axis_is_no_class_in_the_texts() -> None:
    flat = asc.Saliency()(nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), X)
    assert flat.prediction is None
    assert "class" not in render.describe_record(flat, 0)
    assert "class 1" in render.describe_record(asc.Saliency()(NET, X, of=1), 0)


def test_drawing_functions_of_other_libraries() -> None:
    with pytest.raises(AttributeError, match=r"a.plot\(\) or a.show\(\)"):
        getattr(asc, "summary_plot")  # noqa: B009


def test_words_in_one_list_with_offsets_are_told_of_records() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag, self.head = nn.EmbeddingBag(9, 4), nn.Linear(4, 2)

        def forward(self, words: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
            return self.head(self.bag(words, starts))

    words, starts = torch.arange(7), torch.tensor([0, 4])
    with pytest.raises(CutError, match=r"Cut\('bag'\) belongs to several records.*asc.Call\(..., records=batch\), the record of each row"):
        IG(Bag(), words, starts)
    batch = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    assert IG(Bag(), asc.Call(words, starts, records=batch)).values.shape == (2, 4)


def test_what_the_package_answers_is_there() -> None:
    assert set(hints.ROOT.values()) <= set(asc.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute 'zork'$"):
        getattr(asc, "zork")  # noqa: B009
    with pytest.raises(MethodError, match=r'a layer by its name: GradCam\(layer="layer4"\)'):
        asc.GradCam(NET[0])


def test_hints_name_what_there_is() -> None:
    """Every name that a hint gives is an argument of some class or call of ours."""
    own = {p for cls in METHODS.values() for p in inspect.signature(cls).parameters} | set(hints.VERB)
    assert {ours for names in hints.RENAMED.values() for ours in names} <= own
    assert not set(hints.RENAMED) & set(hints.VERB)


def test_methods_stay_values() -> None:
    for cls in METHODS.values():
        first = next(iter(inspect.signature(cls).parameters.values()), None)
        method = cls(X) if first is not None and first.default is first.empty else cls()
        for other in (pickle.loads(pickle.dumps(method)), copy.copy(method), copy.deepcopy(method)):
            assert other == method
            assert hash(other) == hash(method)


def test_a_models_own_argument_is_passed_on() -> None:
    class Own(nn.Module):
        def forward(self, x: torch.Tensor, target: float = 1.0, steps: int = 1) -> torch.Tensor:
            return x[:, :2] * target * steps

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Own()

        def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return self.inner(*args, **kwargs)

    def open_ended(x: np.ndarray, **others: float) -> np.ndarray:
        return x * others["target"]

    for model in (Own(), Wrapped()):
        assert torch.equal(asc.influence(model, X, of=1, target=3.0, steps=2).values[:, 1], torch.full((2,), 6.0))
        assert torch.equal(asc.influence(model, asc.Call(X, target=3.0), of=1).values[:, 1], torch.full((2,), 3.0))
    found = asc.FeatureAblation(by=0.0)(open_ended, X.numpy(), of=1, target=2.0)
    np.testing.assert_allclose(found.values[:, 1], 2 * X[:, 1].numpy())


# Where errors come from


def frames(error: BaseException) -> list[str]:
    return [f.filename for f in traceback.extract_tb(error.__traceback__)]


CALLS: dict[str, Callable[[Any, Any], Any]] = dict(METHODS)


@pytest.mark.parametrize("name", [*CALLS, "attribute", "influence", "activation", "cuts_of", "explain_rules", "estimate"])
def test_an_error_comes_from_the_line_of_the_call(name: str) -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.helper(self.first(x).mean((2, 3)))

        def helper(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("a fault of the model's")

    x = torch.ones(1, 1, 8, 8)
    more: dict[str, Any] = {
        "activation": {"at": asc.OUTPUT},
        "LayerActivation": {"at": asc.OUTPUT},
        "explain_rules": {"by": asc.rules.Epsilon()},
    }
    call = getattr(asc, name)
    if name in CALLS:
        first = next(iter(inspect.signature(call).parameters.values()), None)
        call = call(x) if first is not None and first.default is first.empty else call()
    with ThreadPoolExecutor(1) as pool:  # tests that interrupt at any line leave the exceptions of this thread behind
        error = pool.submit(call, Wrong().eval(), x, **more.get(name, {})).exception()
    assert isinstance(error, AscribeError)
    ours = [f for f in frames(error) if "/ascribe/" in f]
    assert len(ours) <= 1, ours
    if error.__cause__ is not None:
        text = "".join(traceback.format_exception(error))
        assert "in helper" in text
        assert text.count("/ascribe/") <= 1


def test_frames_of_the_users_code_stay_where_it_raised_an_error_of_ours() -> None:
    """An explanation inside a model, and a model that raises one of our errors itself."""

    class Explains(torch.nn.Module):
        def __init__(self, raises: bool) -> None:
            super().__init__()
            self.first, self.raises = torch.nn.Linear(3, 2), raises

        def helper(self, x: torch.Tensor) -> torch.Tensor:
            if self.raises:
                raise AscribeError("the user's")
            asc.Saliency()(self.first, x.detach(), of=9)
            return self.first(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.helper(x)

    for raises in (True, False):
        with pytest.raises(AscribeError) as told:
            asc.Saliency()(Explains(raises), torch.ones(2, 3), of=0)
        assert "in helper" in "".join(traceback.format_exception(told.value))


def test_all_frames_are_shown_on_request() -> None:
    code = "import ascribe as asc, numpy as np\nasc.FeatureAblation()(lambda x: x, np.ones((2, 3)), of=99)"
    run = [sys.executable, "-c", code]
    short = subprocess.run(run, capture_output=True, text=True, check=False).stderr
    full = subprocess.run(run, capture_output=True, text=True, check=False, env={"ASCRIBE_FULL_TRACEBACK": "1", "PATH": ""}).stderr
    assert "Class 99 is out of range" in short
    assert "Class 99 is out of range" in full
    assert short.count("File ") == 2
    assert full.count("File ") > 6


# Memory


class Full(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.conv = error, nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.conv(x)
        raise self.error


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried"), torch.OutOfMemoryError("full")], ids=repr)
@pytest.mark.parametrize(
    "name", ["cuts_of", "FullGrad", "FullGradDecomposition", "AblationCam", "IntegratedGradients", "attribute", "GradCam"]
)
def test_a_full_memory_is_a_memory_limit(name: str, error: Exception) -> None:
    call = getattr(asc, name)
    call = call() if isinstance(call, type) else call
    with pytest.raises(MemoryLimitError):
        call(Full(error).eval(), torch.ones(1, 1, 8, 8))


def test_a_quantity_that_fills_the_memory_is_a_memory_limit() -> None:
    def quantity(y: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    for call in (IG, asc.KernelShap(), asc.attribute):
        with pytest.raises(MemoryLimitError):
            call(NET, X, of=quantity)


# What is explained


class Tagger(nn.Module):
    """A score for each of three tags at each of five positions, with names."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.config = type("Config", (), {"id2label": {0: "O", 1: "PER", 2: "LOC"}})()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


def test_classes_at_positions_go_by_their_names() -> None:
    model, x = Tagger().eval(), torch.linspace(-1, 1, 40).reshape(2, 5, 4)
    by_number = asc.influence(model, x, of=asc.Unit(3, 1))
    assert torch.equal(asc.influence(model, x, of=asc.Unit(3, "PER")).values, by_number.values)
    each = asc.influence(model, x, of=asc.Unit([3, 2], ["PER", "LOC"])).values
    assert torch.equal(each[0], by_number.values[0])
    with pytest.raises(asc.AscribeError, match="3 class names for an axis of 5 numbers: 'O', 'PER', 'LOC'"):
        asc.influence(model, x, of=asc.Unit("PER", 3))
    with pytest.raises(asc.AscribeError, match=r"Class 'ORG' is not known. Found: 'O', 'PER', 'LOC'"):
        asc.influence(model, x, of=asc.Unit(3, "ORG"))
    with pytest.raises(asc.AscribeError, match=r"of=asc\.Unit\(4, token_id\) for one position"):
        asc.influence(model, x)


def test_a_list_of_functions_is_several_quantities() -> None:
    first, second = (lambda y: y[:, 0]), (lambda y: y[:, 1] ** 2)
    both = asc.influence(NET, X, of=[first, second])
    for k, one in enumerate((first, second)):
        torch.testing.assert_close(both.values[k], asc.influence(NET, X, of=one).values)
    mixed = asc.influence(NET, X, of=[asc.Unit(0), second])
    torch.testing.assert_close(mixed.values, both.values)


def test_too_many_features_say_what_was_grouped() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(), nn.Linear(512, 2)).eval()
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.raises(asc.AscribeError, match=r"all coalitions of \d+ features. Found: .*superpixels.*chosen because.*features="):
        asc.ShapleyExact()(model, picture)
    with pytest.raises(asc.AscribeError, match=r"A window of size 32 is larger than the record. Found: 16 coordinates"):
        asc.Occlusion(32)(model, picture)


def test_an_unknown_argument_of_a_display_is_named() -> None:
    a = asc.attribute(NET, X, of=1)
    with pytest.raises(ArgumentError, match=r"`a.show\(\)` has no argument `tokens=`. Found: a.show\(file\). Try: a.plot\(tokens=...\)"):
        a.show(tokens=["a"])  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match=r"`a.plot\(\)` has no argument `token=`. .*Try: a.plot\(tokens=...\)"):
        a.plot(token=["a"])  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match=r"`plot\(\)` has no argument `tokens=`. Found: plot\(a, ax, record, kind, names"):
        asc.plots.compare({"a": a}, tokens=["a"])
    assert list(hints.FIGURE) == list(inspect.signature(asc.Attribution.plot).parameters)[1:]


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"of": asc.Contrast}, QuantityError, r"the class Contrast. Try: of=Contrast\(...\)"),
        ({"features": asc.Grid}, FeatureError, r"the class Grid. Try: features=Grid\(...\)"),
        ({"features": (asc.Grid,)}, FeatureError, r"the class Grid. Try: features=Grid\(...\)"),
    ],
)
def test_a_class_in_place_of_a_value_is_named(given: dict[str, Any], kind: type[AscribeError], text: str) -> None:
    with pytest.raises(kind, match=text):
        asc.attribute(NET, X, over=asc.coalitions.LeaveOneOut(), **given)


def test_what_was_found_before_the_memory_was_full_is_kept() -> None:
    seen: list[int] = []

    def model(x: np.ndarray) -> np.ndarray:
        seen.append(len(x))
        if len(seen) > 6:
            raise MemoryError
        return x

    with pytest.raises(MemoryLimitError) as told:
        asc.FeatureAblation(by=0.0)(model, np.ones((3, 4)), of=1, chunk=1)
    assert told.value.partial is not None


@pytest.mark.parametrize("name", ["FullGrad", "FullGradDecomposition", "GuidedGradCam"])
def test_methods_of_several_calls_take_what_every_call_takes(name: str) -> None:
    """They have no place and no points of their own to say, but records in blocks, a seed and a line of progress."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    x, method = torch.ones(3, 1, 8, 8), getattr(asc, name)()
    whole, blocks = method(model, x, of=1), method(model, x, of=1, seed=3, chunk=1, progress=False)
    for (_, a), (_, b) in zip(whole.arrays(), blocks.arrays(), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(AscribeError):
        method(model, x, of=1, at="0")


def test_activations_take_points_through_the_method_too() -> None:
    points = asc.Points(torch.zeros(1, *X.shape), at=asc.INPUT)
    found = asc.LayerActivation(points)(NET, X, at="0")
    torch.testing.assert_close(found.values, asc.activation(NET, X, at="0", over=points).values)
