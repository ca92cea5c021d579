"""captum's methods, one declaration each: their arguments, their base class (input, layer, neuron), their recipe."""

from __future__ import annotations

from .base import GradientAttribution, LayerAttribution, NeuronAttribution, PerturbationAttribution
from .lime import Lime
from .linear import SkLearnLinearRegression
from .recipes import custom_gradients
from .recipes.gradients import (
    compute_deconvolution,
    compute_grad_cam,
    compute_gradient,
    compute_guided,
    compute_guided_grad_cam,
    compute_integrated_gradients,
    compute_internal_influence,
    compute_saliency,
    read_layer,
)
from .recipes.perturbation import (
    compute_ablation,
    compute_exact_shapley,
    compute_kernel_shap,
    compute_occlusion,
    compute_permutation,
    compute_sampled_shapley,
)
from .recipes.samples import (
    compute_conductance,
    compute_deep_lift,
    compute_deep_lift_shap,
    compute_gradient_shap,
    compute_neuron_conductance,
)

MORE = "target additional_forward_args"
GAME = "perturbations_per_eval show_progress"
PATH = "n_steps method internal_batch_size"
LAYER = "forward_func layer device_ids"


# Gradients


class Saliency(
    GradientAttribution,
    init="forward_func",
    call="inputs target abs additional_forward_args",
    by=compute_saliency,
    derives=custom_gradients.compute_saliency,
):
    """Absolute value of the gradient; the gradient with ``abs=False``."""


class InputXGradient(
    GradientAttribution,
    init="forward_func",
    call=f"inputs {MORE}",
    by=compute_gradient,
    multiplies=True,
    derives=custom_gradients.compute_input_x_gradient,
):
    """Gradient multiplied by the input."""


class LayerGradientXActivation(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs memory_efficient",
    call=f"inputs {MORE} attribute_to_layer_input grad_kwargs",
    by=compute_gradient,
):
    """Gradient at a layer multiplied by the layer's value."""


class NeuronGradient(
    NeuronAttribution,
    GradientAttribution,
    init=LAYER,
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=compute_gradient,
):
    """Gradient of a neuron."""


class LayerGradCam(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs {MORE} attribute_to_layer_input relu_attributions attr_dim_summation grad_kwargs",
    by=compute_grad_cam,
):
    """Grad-CAM: the channels of a layer weighted by their mean gradient and summed."""


class LayerActivation(
    LayerAttribution,
    init="forward_func layer device_ids",
    call="inputs additional_forward_args attribute_to_layer_input",
    by=read_layer,
    multiplies=True,
):
    """The value of a layer for each record."""


# Corrected gradients


class GuidedBackprop(GradientAttribution, init="model", call=f"inputs {MORE}", by=compute_guided):
    """Guided backpropagation: the gradient, passed through a ReLU only if it and the input of the ReLU are positive."""


class Deconvolution(GradientAttribution, init="model", call=f"inputs {MORE}", by=compute_deconvolution):
    """Deconvolution: a ReLU passes positive gradients on in the backward pass."""


class NeuronGuidedBackprop(
    NeuronAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=compute_guided,
):
    """Guided backpropagation from a neuron."""


class NeuronDeconvolution(
    NeuronAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=compute_deconvolution,
):
    """Deconvolution from a neuron."""


class GuidedGradCam(
    LayerAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call=f"inputs {MORE} interpolate_mode attribute_to_layer_input",
    by=compute_guided_grad_cam,
):
    """Guided backpropagation multiplied by the Grad-CAM map of a layer."""


# Paths


class IntegratedGradients(
    GradientAttribution,
    init="forward_func multiply_by_inputs",
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta",
    by=compute_integrated_gradients,
    derives=custom_gradients.compute_integrated_gradients,
):
    """Gradients averaged on the line from a baseline, multiplied by the distance from it."""


class LayerIntegratedGradients(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta attribute_to_layer_input grad_kwargs",
    by=compute_integrated_gradients,
):
    """Integrated gradients on the line between a layer's values at the baseline and at the record."""


class NeuronIntegratedGradients(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs neuron_selector baselines additional_forward_args {PATH} attribute_to_neuron_input",
    by=compute_integrated_gradients,
):
    """Integrated gradients of a neuron."""


class InternalInfluence(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs baselines {MORE} {PATH} attribute_to_layer_input grad_kwargs",
    by=compute_internal_influence,
):
    """Gradient at a layer, averaged over the line from the baseline to the record."""


class LayerConductance(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta attribute_to_layer_input grad_kwargs",
    by=compute_conductance,
    multiplies=True,
):
    """Change of the target that passes through each element of a layer on the line from the baseline to the record."""


class NeuronConductance(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs neuron_selector baselines {MORE} n_steps method='riemann_trapezoid' internal_batch_size"
    " attribute_to_neuron_input grad_kwargs",
    by=compute_neuron_conductance,
):
    """Change of the target that passes from the inputs through a neuron."""


# Backgrounds


class GradientShap(
    GradientAttribution,
    init="forward_func multiply_by_inputs",
    call=f"inputs baselines! n_samples stdevs {MORE} return_convergence_delta",
    by=compute_gradient_shap,
    derives=custom_gradients.compute_gradient_shap,
):
    """Gradients at random points between random baselines and the record, multiplied by the distance."""


class LayerGradientShap(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs baselines! n_samples stdevs {MORE} return_convergence_delta attribute_to_layer_input",
    by=compute_gradient_shap,
):
    """GradientSHAP at a layer."""


class NeuronGradientShap(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call="inputs neuron_selector baselines! n_samples stdevs additional_forward_args attribute_to_neuron_input",
    by=compute_gradient_shap,
):
    """GradientSHAP of a neuron."""


# DeepLIFT


class DeepLift(
    GradientAttribution,
    init="model multiply_by_inputs eps",
    call=f"inputs baselines {MORE} return_convergence_delta custom_attribution_func",
    by=compute_deep_lift,
):
    """DeepLIFT: multipliers between a baseline and the record, times their difference, by the Rescale rule for every operation."""


class DeepLiftShap(
    DeepLift,
    init="model multiply_by_inputs",
    call=f"inputs baselines! {MORE} return_convergence_delta custom_attribution_func",
    by=compute_deep_lift_shap,
):
    """DeepLIFT averaged over the rows of a background."""


class LayerDeepLift(
    LayerAttribution,
    DeepLift,
    init="model layer multiply_by_inputs",
    call=f"inputs baselines {MORE} return_convergence_delta attribute_to_layer_input custom_attribution_func grad_kwargs",
    by=compute_deep_lift,
):
    """DeepLIFT at a layer."""


class LayerDeepLiftShap(
    LayerDeepLift,
    DeepLiftShap,
    init="model layer multiply_by_inputs",
    call=f"inputs baselines! {MORE} return_convergence_delta attribute_to_layer_input custom_attribution_func",
    by=compute_deep_lift_shap,
):
    """DeepLIFT-SHAP at a layer."""


class NeuronDeepLift(
    NeuronAttribution,
    GradientAttribution,
    init="model layer multiply_by_inputs",
    call="inputs neuron_selector baselines additional_forward_args attribute_to_neuron_input custom_attribution_func",
    by=compute_deep_lift,
):
    """DeepLIFT of a neuron."""


class NeuronDeepLiftShap(
    NeuronAttribution,
    GradientAttribution,
    init="model layer multiply_by_inputs",
    call="inputs neuron_selector baselines! additional_forward_args attribute_to_neuron_input custom_attribution_func",
    by=compute_deep_lift_shap,
):
    """DeepLIFT-SHAP of a neuron."""


# Removal


class FeatureAblation(
    PerturbationAttribution,
    init="forward_func",
    call=f"inputs baselines {MORE} feature_mask {GAME} **kwargs",
    by=compute_ablation,
    later=True,
):
    """Decrease of the target when a feature takes its baseline."""


class FeaturePermutation(
    FeatureAblation, init="forward_func perm_func", call=f"inputs {MORE} feature_mask {GAME} **kwargs", by=compute_permutation, later=True
):
    """Decrease of the target when a feature takes the value of another record.

    Features of inputs with fewer rows than ``_min_examples_per_batch_grouped`` are left out: their values are 0.
    """

    _min_examples_per_batch_grouped: int | None = 2


class Occlusion(
    FeatureAblation, init="forward_func", call=f"inputs sliding_window_shapes strides baselines {MORE} {GAME}", by=compute_occlusion
):
    """Decrease of the target when a window takes its baseline; an element has the mean over its windows."""


class ShapleyValueSampling(
    PerturbationAttribution,
    init="forward_func",
    call=f"inputs baselines {MORE} feature_mask n_samples=25 {GAME}",
    by=compute_sampled_shapley,
    later=True,
):
    """Shapley values as mean contributions over random orders, each paired with its reverse."""


class ShapleyValues(
    ShapleyValueSampling, init="forward_func", call=f"inputs baselines {MORE} feature_mask {GAME}", by=compute_exact_shapley, later=True
):
    """Shapley values from all coalitions of features."""


class KernelShap(
    Lime,
    init="forward_func",
    call=f"inputs baselines {MORE} feature_mask n_samples=25 perturbations_per_eval return_input_shape show_progress",
    by=compute_kernel_shap,
):
    """Shapley values by regression on coalitions, weighted by the Shapley kernel."""

    def finish_init(self) -> None:
        """Sets captum's ``interpretable_model``."""
        super().finish_init()
        self.interpretable_model = SkLearnLinearRegression()


class LayerFeatureAblation(
    LayerAttribution,
    PerturbationAttribution,
    init=LAYER,
    call=f"inputs layer_baselines {MORE} layer_mask attribute_to_layer_input perturbations_per_eval",
    by=compute_ablation,
):
    """Decrease of the target when a part of a layer takes its baseline."""


class LayerFeaturePermutation(
    LayerAttribution, FeaturePermutation, init=LAYER, call=f"inputs {MORE} layer_mask perturbations_per_eval", by=compute_permutation
):
    """Decrease of the target when a part of a layer takes the value of another record."""


class NeuronFeatureAblation(
    NeuronAttribution,
    PerturbationAttribution,
    init=LAYER,
    call="inputs neuron_selector baselines additional_forward_args feature_mask attribute_to_neuron_input perturbations_per_eval",
    by=compute_ablation,
):
    """Decrease of a neuron when a feature of the input takes its baseline."""
