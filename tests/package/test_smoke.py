"""Some forty calls, one or more for each dependency, which `make oldest` runs with the oldest version of each.

The expected values are exact: a linear model has known attributions, and sums of Shapley values and of integrated gradients are known.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import ascribe as asc
from ascribe import plots, reports
from ascribe.methods import METHODS

BASED = (
    "IntegratedGradients",
    "DeepLift",
    "InputXGradient",
    "KernelShap",
    "ShapleySampling",
    "ShapleyExact",
    "Partition",
    "FeatureAblation",
)
"""Methods whose values are weight times input on a linear model without bias, with the baseline 0."""
DRAWN = ("SmoothGrad", "VarGrad", "SquareGrad", "Hsic", "SobolIndices", "Lime")
MAPS = ("GradCam", "GradCamPlusPlus", "HiResCam", "LayerCam", "XGradCam", "EigenCam", "ScoreCam", "AblationCam")
SPREAD = ("LRP", "RAP", "GuidedBackprop", "Deconvolution", "FullGrad", "Occlusion", "Rise")


@pytest.fixture
def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 3, bias=False).double().eval()


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.tensor(np.random.default_rng(1).normal(size=(4, 6)))


@pytest.fixture
def cnn() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3))
    return nn.Sequential(*layers).double().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.tensor(np.random.default_rng(2).normal(size=(2, 3, 8, 8)))


@pytest.mark.parametrize("name", BASED)
def test_a_linear_model_gets_weight_times_input(name: str, linear: nn.Module, rows: torch.Tensor) -> None:
    a = METHODS[name]()(linear, rows, of=1)
    np.testing.assert_allclose(a.to_numpy(), (linear.weight[1] * rows).detach().numpy(), atol=1e-9)
    assert a.ok


@pytest.mark.parametrize("name", DRAWN)
def test_sampling_methods_repeat_with_the_seed(name: str, linear: nn.Module, rows: torch.Tensor) -> None:
    a, again = (METHODS[name]()(linear, rows, of=1, seed=3).to_numpy() for _ in range(2))
    assert a.shape == rows.shape
    assert np.isfinite(a).all()
    assert a.any() or name == "VarGrad"  # the gradient of a linear model has no variance
    np.testing.assert_array_equal(a, again)


@pytest.mark.parametrize("name", [*MAPS, *SPREAD])
def test_methods_for_images(name: str, cnn: nn.Module, images: torch.Tensor) -> None:
    at = {"at": "0"} if name in MAPS else {}
    a = METHODS[name]()(cnn, images, of=1, **at)
    assert a.to_numpy().shape[0] == 2
    assert a.to_numpy().shape[-2:] == (8, 8)
    assert np.isfinite(a.to_numpy()).all()
    assert a.to_numpy().any()


def test_integrated_gradients_of_a_cnn_add_up(cnn: nn.Module, images: torch.Tensor) -> None:
    a = asc.IntegratedGradients(tolerance=1e-3)(cnn, images, of=1)
    change = (cnn(images) - cnn(torch.zeros_like(images)))[:, 1].detach()
    torch.testing.assert_close(a.values.sum((1, 2, 3)), change, rtol=0, atol=1e-3 * float(a.values.abs().sum((1, 2, 3)).max()))


def test_a_hidden_layer_and_the_list_of_places(cnn: nn.Module, images: torch.Tensor) -> None:
    a = asc.Conductance()(cnn, images, of=1, at="2")
    assert a.values.shape == (2, 4, 8, 8)
    assert "MaxPool2d" in {place.kind for place in asc.cuts_of(cnn, images)}


def test_a_function_of_numpy_arrays_is_a_black_box() -> None:
    weights, x = np.array([2.0, -1.0, 0.5]), np.array([[1.0, 2.0, 3.0]])
    a = asc.KernelShap()(lambda rows: rows @ weights, x)
    np.testing.assert_allclose(a.values, weights * x, atol=1e-9)


def test_an_estimator_of_scikit_learn_and_a_data_frame() -> None:
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["age", "dose", "weight"])
    model = LogisticRegression().fit(x, x["age"] > 0)
    a = asc.ShapleyExact(by=asc.Resample(x[:10]))(model, x[10:14], of=1)
    change = model.predict_proba(x[10:14])[:, 1] - model.predict_proba(x[:10])[:, 1].mean()
    np.testing.assert_allclose(np.asarray(a.values).sum(1), change, atol=1e-9)
    assert set(a.to_pandas(wide=True).columns) >= {"age", "dose", "weight"}


def test_trees_with_a_background() -> None:
    pytest.importorskip("shap")
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = np.random.default_rng(0).normal(size=(60, 3))
    forest = ensemble.RandomForestRegressor(5, max_depth=3, random_state=0).fit(x, x[:, 0])
    a = asc.TreeShap(background=x[:10])(forest, x[:4])
    np.testing.assert_allclose(a.values.sum(1), forest.predict(x[:4]) - forest.predict(x[:10]).mean(), atol=1e-6)


def test_a_result_saved_and_loaded_is_the_same(linear: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    a = asc.IntegratedGradients()(linear.float(), rows.bfloat16().float(), of=1)
    a.save(tmp_path / "a.safetensors")
    b = asc.Attribution.load(tmp_path / "a.safetensors", framework="torch")
    assert torch.equal(a.values, b.values)
    assert a.checks == b.checks


@pytest.mark.parametrize("values", [[], torch.tensor(3.0, dtype=torch.bfloat16)], ids=["nothing", "bfloat16 scalar"])
def test_odd_results_are_saved_and_loaded(values: object, tmp_path: Path) -> None:
    """safetensors 0.4.3 cannot read a file without arrays, and NumPy 1 shifts a scalar into another type."""
    asc.Attribution(values).save(tmp_path / "a.safetensors")
    assert asc.Attribution.load(tmp_path / "a.safetensors").values == values


def test_the_terminal_the_notebook_and_the_table(linear: nn.Module, rows: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    a = asc.IntegratedGradients()(linear, rows, of=1)
    a.show()
    assert "IntegratedGradients" in capsys.readouterr().out
    assert "IntegratedGradients" in a._repr_html_()
    np.testing.assert_allclose(a.to_pandas()["value"], a.to_numpy().ravel())


DRAWINGS: tuple[Callable[[asc.Attribution, asc.Attribution], object], ...] = (
    lambda image, row: image.plot(record=0),
    lambda image, row: row.plot(top=3),
    lambda image, row: row.plot(tokens=list("abcdef")),
    lambda image, row: plots.compare({"a": image, "b": image * 0.5}),
)


@pytest.mark.parametrize("draw", DRAWINGS, ids=("image", "bars", "tokens", "compare"))
def test_figures(
    draw: Callable[..., object], linear: nn.Module, rows: torch.Tensor, cnn: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    figure = draw(asc.InputXGradient()(cnn, images, of=1), asc.InputXGradient()(linear, rows, of=1))
    figure.savefig(tmp_path / "figure.png")  # type: ignore[attr-defined]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_report(cnn: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    reports.write_report(tmp_path / "report.html", reports.cards({"Saliency": asc.Saliency()(cnn, images)}), title="two images")
    assert "two images" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("how", ["slic", "felzenszwalb", "quickshift", "watershed"])
def test_superpixels(how: str, cnn: nn.Module) -> None:
    image = torch.tensor(np.random.default_rng(2).random((1, 3, 8, 8)))
    a = asc.FeatureAblation(features=asc.Superpixels(6, how))(cnn, image, of=1)  # type: ignore[arg-type]
    assert np.isfinite(a.to_numpy()).all()


def test_inpainting_continues_a_ramp(cnn: nn.Module) -> None:
    """The middle of a ramp is the mean of its neighbours, so that nothing changes where it is filled in."""
    ramp = torch.arange(8.0, dtype=torch.float64).expand(1, 3, 8, 8)
    inside = np.zeros((3, 8, 8), int)
    inside[:, 3:5, 3:5] = 1
    a = asc.FeatureAblation(by=asc.Inpaint(noise=0.0), features=asc.features.Masks(inside))(cnn, ramp, of=1)
    np.testing.assert_allclose(a.to_numpy()[:, inside == 1], 0, atol=1e-9)


def test_a_metric_that_compares_images(cnn: nn.Module, images: torch.Tensor) -> None:
    found = asc.metrics.ParameterRandomization(similarity="ssim")(asc.InputXGradient(), cnn, images, of=1)
    assert (np.abs(found.values) <= 1).all()


def test_a_recommendation_and_a_metric(linear: nn.Module) -> None:
    x = torch.tensor(np.random.default_rng(3).normal(size=(12, 6)))
    r = asc.recommend(linear, x, budget=500, progress=False)
    assert r.verdict
    assert r.to_pandas().shape[0] > 0
    assert np.isfinite(asc.metrics.Infidelity()(asc.InputXGradient(), linear, x, of=1).mean)


def test_a_search_of_settings(linear: nn.Module, tmp_path: Path) -> None:
    x = torch.tensor(np.random.default_rng(3).normal(size=(12, 6)))
    for trials in (2, 3):  # the second search goes on with the file of the first
        t = asc.tune(asc.SmoothGrad(samples=4), linear, x, trials=trials, study=tmp_path / "study", progress=False)
        assert len(t.rows()) >= trials
