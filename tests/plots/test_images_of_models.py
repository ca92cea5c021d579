"""Figures of what models say about photographs, digits and patches: the pictures a user sees first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("torch")
pytest.importorskip("skimage")

import torch
from skimage import data

import ascribe as asc
from ascribe.plots.maps import STYLES
from tests.plots.gallery import check_picture

NAMES = ["astronaut", "cat", "cup of coffee"]


@pytest.fixture(scope="module")
def photographs() -> Any:
    """Three photographs, ``[3, 3, 64, 64]``: each pixel is the mean of a block."""
    cut = [data.astronaut()[:256, 128:384], data.chelsea()[20:276, 100:356], data.coffee()[70:326, 170:426]]
    small = np.stack([one.reshape(64, 4, 64, 4, 3).mean((1, 3)) for one in cut]) / 255
    return torch.tensor(small, dtype=torch.float32).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def network(photographs: Any) -> Any:
    """A small convolutional network that tells the photographs apart."""
    torch.manual_seed(0)
    nn = torch.nn
    layers = [nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 24, 3, 2, 1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 3))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        noisy = photographs + 0.1 * torch.randn(photographs.shape)
        nn.functional.cross_entropy(model(noisy), torch.arange(3)).backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize(
    "method", [asc.IntegratedGradients(steps=16), asc.Saliency(), asc.GradCam(), asc.Rise(60), asc.Occlusion(16)], ids=repr
)
def test_methods_on_photographs(network: Any, photographs: Any, method: Any) -> None:
    a = method(network, photographs, of=[0, 1, 2]).with_names(classes=NAMES)
    figure = check_picture(lambda ax: asc.plots.image(a, ax, record=1), f"photograph-{type(method).__name__}")
    over = figure.axes[0].images[-1]
    assert np.asarray(over.get_array()).shape == (64, 64)
    values = a.to_numpy()[1].sum(0)
    one_sign = values.min() >= 0 or values.max() <= 0
    low = over.get_clim()[0]
    assert (low >= 0) == (one_sign and values.max() > 0)
    assert "class cat" in figure.axes[1].get_xlabel()
    np.testing.assert_array_equal(a.plot(record=1).axes[0].images[-1].get_array(), over.get_array())


@pytest.mark.parametrize("style", STYLES)
def test_styles_on_photographs(network: Any, photographs: Any, style: Any) -> None:
    a = asc.GradCam()(network, photographs, of=[0, 1, 2]).with_names(classes=NAMES)
    check_picture(lambda ax: asc.plots.image(a, ax, record=2, style=style), f"photograph-{style}")


def test_methods_side_by_side(network: Any, photographs: Any) -> None:
    methods = {"integrated gradients": asc.IntegratedGradients(steps=16), "Grad-CAM": asc.GradCam(), "RISE": asc.Rise(60)}
    results = {name: method(network, photographs, of=[0, 1, 2]).with_names(classes=NAMES) for name, method in methods.items()}
    for beside in (False, True):
        check_picture(lambda ax, beside=beside: asc.plots.compare(results, side_by_side=beside), f"photographs-{beside}", narrow=False)


def test_patches_of_a_vision_transformer(photographs: Any) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.ViTConfig(image_size=64, patch_size=8, num_labels=3, **sizes)
    model = transformers.ViTForImageClassification(config).eval()
    a = asc.GradCam()(model, pixel_values=photographs, of=1)
    figure = check_picture(lambda ax: asc.plots.image(a, ax), "photograph-vit")
    assert [np.asarray(one.get_array()).shape[:2] for one in figure.axes[0].images] == [(64, 64)] * 2


def test_digits_are_images() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    x = torch.tensor(digits.images[:10] / 16, dtype=torch.float32)[:, None]
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10)).eval()
    a = asc.IntegratedGradients(steps=8)(model, x)
    figure = check_picture(lambda ax: asc.plots.image(a, ax, record=3), "digit")
    under, over = figure.axes[0].images
    np.testing.assert_allclose(np.asarray(over.get_array()), a.to_numpy()[3, 0], rtol=1e-6)
    assert np.asarray(under.get_array()).shape == (8, 8)
