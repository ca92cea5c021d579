"""The same explanations by captum with its defaults; the objects are made before the clock starts, as its users do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models import Subject
from benchmarks.timing import Call


def integrated_gradients(s: Subject, steps: int) -> Call:
    """IntegratedGradients, all steps at once."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(s.model)
    return lambda: method.attribute(s.args[0], target=s.target, n_steps=steps)


def smooth_grad(s: Subject, samples: int) -> Call:
    """NoiseTunnel around Saliency, signed."""
    from captum.attr import NoiseTunnel, Saliency

    method = NoiseTunnel(Saliency(s.model))
    return lambda: method.attribute(s.args[0], nt_type="smoothgrad", nt_samples=samples, stdevs=0.15, target=s.target, abs=False)


def expected_gradients(s: Subject, samples: int) -> Call:
    """GradientShap."""
    from captum.attr import GradientShap

    method = GradientShap(s.model)
    return lambda: method.attribute(s.args[0], baselines=s.extras["background"], n_samples=samples, target=s.target)


def layer_integrated_gradients(s: Subject, layer: str, steps: int) -> Call:
    """LayerIntegratedGradients at a layer of a model with one input."""
    from captum.attr import LayerIntegratedGradients

    method = LayerIntegratedGradients(s.model, s.model.get_submodule(layer))
    return lambda: method.attribute(s.args[0], target=s.target, n_steps=steps)


def embedding_integrated_gradients(s: Subject, steps: int) -> Call:
    """LayerIntegratedGradients at the token embedding of a transformer."""
    from captum.attr import LayerIntegratedGradients

    model: Any = s.model
    method = LayerIntegratedGradients(lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits, model.get_input_embeddings())
    ids, mask = s.kwargs["input_ids"], s.kwargs["attention_mask"]
    return lambda: method.attribute(ids, additional_forward_args=(mask,), target=s.target, n_steps=steps)


def saliency(s: Subject) -> Call:
    """Saliency."""
    from captum.attr import Saliency

    method = Saliency(s.model)
    return lambda: method.attribute(s.args[0], target=s.target)


def input_x_gradient(s: Subject) -> Call:
    """InputXGradient."""
    from captum.attr import InputXGradient

    method = InputXGradient(s.model)
    return lambda: method.attribute(s.args[0], target=s.target)


class Embedded(nn.Module):
    """A model of text as a function of its embeddings, which is what captum's DeepLift can start from."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        return self.model(inputs_embeds=embeddings, attention_mask=mask).logits


def embedded_input_x_gradient(s: Subject) -> Call:
    """InputXGradient at the embeddings: the nearest that there is to corrected gradients."""
    from captum.attr import InputXGradient

    method, start, mask = InputXGradient(Embedded(s.model)), s.start(s), s.kwargs["attention_mask"]
    return lambda: method.attribute(start, target=s.target, additional_forward_args=(mask,))


def deep_lift(s: Subject) -> Call:
    """DeepLift from zeros; on a model of text with its softmaxes and activations left out, for they are functions."""
    from captum.attr import DeepLift

    if s.args:
        method, x = DeepLift(s.model), s.args[0]
        return lambda: method.attribute(x, torch.zeros_like(x), target=s.target)
    model, start, mask = Embedded(s.model), s.start(s), s.kwargs["attention_mask"]
    method = DeepLift(model)
    return lambda: method.attribute(start, torch.zeros_like(start), target=s.target, additional_forward_args=(mask,))


def deep_lift_shap(s: Subject) -> Call:
    """DeepLiftShap, every pair at once."""
    from captum.attr import DeepLiftShap

    method = DeepLiftShap(s.model)
    return lambda: method.attribute(s.args[0], s.extras["background"], target=s.target)


def grad_cam(s: Subject, layer: str) -> Call:
    """LayerGradCam, positive part."""
    from captum.attr import LayerGradCam

    method = LayerGradCam(s.model, s.model.get_submodule(layer))
    return lambda: method.attribute(s.args[0], target=s.target, relu_attributions=True)


def activation(s: Subject, layer: str) -> Call:
    """LayerActivation."""
    from captum.attr import LayerActivation

    method = LayerActivation(s.model, s.model.get_submodule(layer))
    return lambda: method.attribute(s.args[0])
