"""What cannot be done under captum's names: errors of ours that are captum's kinds too, never a raw one, never a wrong number."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
import ascribe.compat.captum.attr as oa
from ascribe.compat.captum import linear
from tests.support.small_models import chain, rows

pytestmark = pytest.mark.filterwarnings("ignore")
X = rows(5, 4)


def test_errors_are_captums_too() -> None:
    net = chain(4, 5, 3)
    for kind, call in [
        (AssertionError, lambda: oa.Saliency(net).attribute(X)),
        (IndexError, lambda: oa.Saliency(net).attribute(X, target=7)),
        (AssertionError, lambda: oa.Saliency(net).attribute([X, "x"], target=1)),
        (AssertionError, lambda: oa.IntegratedGradients(net).attribute(X, (0, 0), target=1)),
        (AssertionError, lambda: oa.IntegratedGradients(net).attribute(X, method="simpson", target=1)),
        (AssertionError, lambda: oa.NeuronGradient(net, net[0]).attribute(X, "two")),
        (ValueError, lambda: oa.Saliency(net).attribute(X, target=7)),
        (KeyError, lambda: oa.Saliency(lambda x: {}["gone"] + x).attribute(X, target=1)),
        (NotImplementedError, lambda: oa.Saliency(net).attribute_future()),
    ]:
        with pytest.raises(kind) as caught:
            call()
        assert isinstance(caught.value, (asc.AscribeError, NotImplementedError))


def test_settings_that_would_be_lost_are_refused() -> None:
    method, plain = oa.DeepLift(chain(4, 5, 3)), oa.Saliency(chain(4, 5, 3))
    method.gradient_func = plain.gradient_func = lambda *args: args
    for call in (lambda: method.attribute(X, target=1), lambda: plain.attribute({"input": X}, target=1)):
        with pytest.raises(TypeError, match="gradient_func"):
            call()
    layered = oa.LayerGradientXActivation(chain(4, 5, 3), "0")
    assert layered.attribute(X, 1, grad_kwargs={"allow_unused": True}).shape == (5, 5)
    with pytest.raises(TypeError, match="create_graph"):
        layered.attribute(X, 1, grad_kwargs={"create_graph": True})


PICTURE = rows(2, 1, 8, 8)
MAPS = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).double()
LOSS = lambda x: MAPS(x).sum(0)  # noqa: E731  three numbers about all records
LOADER = [(PICTURE,)]
IG, TUNNEL = oa.IntegratedGradients(MAPS), oa.NoiseTunnel(oa.IntegratedGradients(MAPS))
ABLATE, OCCLUDE, LOADED = oa.FeatureAblation(MAPS), oa.Occlusion(MAPS), oa.DataLoaderAttribution(oa.FeatureAblation(MAPS))
CAM = oa.GuidedGradCam(MAPS, MAPS[0])
SMALL = torch.zeros(1, 1, 3, 3, dtype=torch.long)

SHOWN, GREY, IMAGE = oa.visualization, rows(5, 6).numpy(), rows(5, 6, 3).abs().numpy()
show = partial(SHOWN.visualize_image_attr, sign="positive", use_pyplot=False)
series = partial(SHOWN.visualize_timeseries_attr, sign="positive", use_pyplot=False)

REFUSED: dict[str, tuple[str, Any]] = {
    "no multipliers": (
        "`custom_attribution_func` must take one to three.*0 arguments",
        lambda: oa.DeepLift(MAPS).attribute(PICTURE, target=1, custom_attribution_func=lambda: 0),
    ),
    "a window": ("sliding_window_shapes=3", lambda: OCCLUDE.attribute(PICTURE, 3, target=1)),
    "no window": ("sliding_window_shapes", lambda: OCCLUDE.attribute(PICTURE, (), target=1)),
    "no batches": ("has no batches", lambda: LOADED.attribute([])),
    "batches of names": ("needs tensors to explain", lambda: LOADED.attribute([{"x": PICTURE}])),
    "nothing to explain": ("nothing", lambda: LOADED.attribute(LOADER, input_roles=(1,))),
    "too many baselines": ("2 baselines", lambda: LOADED.attribute(LOADER, baselines=(0, 0))),
    "a small mask": ("a mask of shape", lambda: oa.Lime(MAPS).attribute(PICTURE, target=1, feature_mask=SMALL)),
    "a small mask of a loader": ("a mask of shape", lambda: LOADED.attribute(LOADER, feature_mask=SMALL)),
    "one row for two": ("perm_func", lambda: oa.FeaturePermutation(MAPS, lambda x, mask: x[:1]).attribute(PICTURE, target=1)),
    "one number as rows": (
        "same number of rows",
        lambda: TUNNEL.attribute(PICTURE, target=1, baselines=0.5, draw_baseline_from_distrib=True),
    ),
    "noise below nothing": ("stdevs=-1", lambda: TUNNEL.attribute(PICTURE, target=1, stdevs=-1)),
    "noise in words": ("stdevs='much'", lambda: oa.GradientShap(MAPS).attribute(PICTURE, PICTURE, target=1, stdevs="much")),
    "a mode that is none": ("interpolate_mode='cubic'", lambda: CAM.attribute(PICTURE, target=1, interpolate_mode="cubic")),
    "a mode for a line": ("interpolate_mode='linear'", lambda: CAM.attribute(PICTURE, target=1, interpolate_mode="linear")),
    "a baseline in words": ("a baseline of type str", lambda: IG.attribute(PICTURE, "black", target=1)),
    "half a target": ("target=1.5", lambda: IG.attribute(PICTURE, target=1.5)),
    "half targets": ("target=", lambda: IG.attribute(PICTURE, target=torch.tensor([0.5, 1.5]))),
    "no position": ("target=", lambda: IG.attribute(PICTURE, target=(None,))),
    "a number of a loss that is not there": ("out of range", lambda: oa.FeatureAblation(LOSS).attribute(PICTURE, target=5)),
    "no steps": ("n_steps=0", lambda: IG.attribute(PICTURE, target=1, n_steps=0)),
    "no rows at once": ("internal_batch_size=0", lambda: IG.attribute(PICTURE, target=1, internal_batch_size=0)),
    "nothing at once": ("perturbations_per_eval=-1", lambda: ABLATE.attribute(PICTURE, target=1, perturbations_per_eval=-1)),
    "maps of two layers": (
        "map of the layer cannot be resized",
        lambda: oa.GuidedGradCam(MAPS, [MAPS[0], MAPS[1]]).attribute(PICTURE, target=1),
    ),
    "a delta of two layers": (
        "2 layers",
        lambda: oa.LayerGradientShap(MAPS, [MAPS[0], MAPS[1]]).attribute(PICTURE, PICTURE, target=1, return_convergence_delta=True),
    ),
    "an image of another size": ("values of shape", lambda: show(GREY, IMAGE[:3], "masked_image")),
    "a line as an image": ("values of shape", lambda: show(GREY[0])),
    "too many percent": ("outlier_perc=200", lambda: show(GREY, outlier_perc=200)),
    "no pictures": ("0 methods", lambda: SHOWN.visualize_image_attr_multiple(GREY, IMAGE, [], [], use_pyplot=False)),
    "a series without channels": ("values of shape", lambda: series(GREY[0], GREY[0])),
    "times of other data": ("length of `x_values` does not fit.*2 for data", lambda: series(GREY, GREY, x_values=np.arange(2))),
    "labels of other data": ("length of `channel_labels` does not fit.*1 for data", lambda: series(GREY, GREY, channel_labels=["a"])),
    "words without numbers": ("2 words", lambda: SHOWN.format_word_importances(["a", "b"], [1.0])),
    "a model not fitted": ("before fit", lambda: linear.SkLearnRidge().representation()),
    "a fit to nothing": ("fitted without samples", lambda: linear.SkLearnRidge().fit([])),
    "fitted without samples": ("n_samples=0", lambda: oa.Lime(MAPS).attribute(PICTURE, target=1, n_samples=0)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_told(name: str) -> None:
    said, call = REFUSED[name]
    with pytest.raises(asc.AscribeError, match=said) as caught:
        call()
    assert isinstance(caught.value, AssertionError)


def test_a_number_of_a_loss() -> None:
    every = oa.FeatureAblation(LOSS).attribute(PICTURE)
    torch.testing.assert_close(oa.FeatureAblation(LOSS).attribute(PICTURE, target=1), every[1:2])


def test_one_method_in_two_threads() -> None:
    """Each call of ``attribute_future`` waits for its own model; none leaves anything on the method."""
    method, waiting = oa.FeatureAblation(MAPS), threading.Barrier(2, timeout=20)
    first = iter([True, True])

    def later(x: torch.Tensor) -> torch.futures.Future[torch.Tensor]:
        if next(first, False):
            waiting.wait()
        found: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        found.set_result(MAPS(x))
        return found

    method.forward_func = later
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(method.attribute_future, PICTURE, target=1) for _ in range(2)]
        assert torch.equal(*(one.result().wait() for one in both))
    assert method.forward_func is later


def test_the_method_behind_the_decorator() -> None:
    """Captum's methods are decorated, and code that derives from them goes behind that."""
    net = chain(4, 5, 3)
    saliency = oa.Saliency(net)
    assert torch.equal(saliency.attribute.__wrapped__(saliency, X, target=1), saliency.attribute(X, target=1))
    assert next(iter(inspect.signature(saliency.attribute).parameters)) == "inputs"


def test_loaders_run_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Linear(4, 64), nn.Dropout(), nn.Linear(64, 1)).double().train()
    method = oa.DataLoaderAttribution(oa.FeatureAblation(net))
    found = [method.attribute([(X,)])[0] for _ in range(2)]
    assert torch.equal(*found)
    assert all(m.training for m in net.modules())
