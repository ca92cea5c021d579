"""The same explanations by ascribe with its defaults; the methods are made before the clock starts, as its users do."""

from __future__ import annotations

from typing import Any

from benchmarks.models import Subject
from benchmarks.timing import Call


def _called(method: Any, s: Subject, **more: Any) -> Call:
    return lambda: method(s.model, *s.args, of=s.target, **more, **s.kwargs)


def integrated_gradients(s: Subject, steps: int) -> Call:
    """IntegratedGradients at the input."""
    import ascribe as asc

    return _called(asc.IntegratedGradients(steps=steps), s)


def smooth_grad(s: Subject, samples: int) -> Call:
    """SmoothGrad at the input."""
    import ascribe as asc

    return _called(asc.SmoothGrad(samples=samples), s)


def expected_gradients(s: Subject, samples: int) -> Call:
    """ExpectedGradients at the input."""
    import ascribe as asc

    return _called(asc.ExpectedGradients(s.extras["background"], samples=samples), s)


def layer_integrated_gradients(s: Subject, layer: str, steps: int) -> Call:
    """Integrated gradients along the straight line between two values of a layer."""
    import ascribe as asc

    return _called(asc.IntegratedGradients(steps=steps), s, at=layer)


def embedding_integrated_gradients(s: Subject, steps: int) -> Call:
    """IntegratedGradients at the token embeddings."""
    import ascribe as asc

    return _called(asc.IntegratedGradients(steps=steps), s, at=asc.EMBEDDINGS)


def line(s: Subject, steps: int | None = None, tolerance: float | None = None) -> Call:
    """IntegratedGradients at the input, or at the embeddings of a model of text, with given steps or a given tolerance."""
    import ascribe as asc

    return _called(asc.IntegratedGradients(steps=steps, tolerance=tolerance), s, at=asc.INPUT if s.args else asc.EMBEDDINGS)


def saliency(s: Subject) -> Call:
    """Saliency."""
    import ascribe as asc

    return _called(asc.Saliency(), s)


def input_x_gradient(s: Subject) -> Call:
    """InputXGradient."""
    import ascribe as asc

    return _called(asc.InputXGradient(), s)


def deep_lift(s: Subject) -> Call:
    """DeepLift from zeros, at the input or at the embeddings of a model of text."""
    import ascribe as asc

    return _called(asc.DeepLift(), s, at=asc.INPUT if s.args else asc.EMBEDDINGS)


def deep_lift_shap(s: Subject) -> Call:
    """DeepLiftShap over a background."""
    import ascribe as asc

    return _called(asc.DeepLiftShap(s.extras["background"]), s)


def attn_lrp(s: Subject) -> Call:
    """AttnLRP at the embeddings."""
    import ascribe as asc

    return _called(asc.AttnLRP(), s, at=asc.EMBEDDINGS)


def cp_lrp(s: Subject) -> Call:
    """CPLRP at the embeddings."""
    import ascribe as asc

    return _called(asc.CPLRP(), s, at=asc.EMBEDDINGS)


def grad_cam(s: Subject, layer: str) -> Call:
    """GradCam."""
    import ascribe as asc

    return _called(asc.GradCam(), s, at=layer)


def activation(s: Subject, layer: str) -> Call:
    """Activation."""
    import ascribe as asc

    method = asc.LayerActivation()
    return lambda: method(s.model, *s.args, at=layer)
