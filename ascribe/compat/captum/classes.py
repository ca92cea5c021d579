"""The methods, one entry each: whose arguments they take, at which place they attribute, by which recipe."""

from __future__ import annotations

from . import derived
from .base import GradientAttribution, LayerAttribution, NeuronAttribution, PerturbationAttribution
from .gradients import deconvolved, grad_cam, gradient, guided, guided_grad_cam, integrated, path_influence, saliency
from .lime import Lime
from .linear import SkLearnLinearRegression
from .pairs import conductance, deep_lift, deep_lift_shap, gradient_shap, neuron_conductance
from .removal import ablate, all_shapley, occlude, permute, regress_shapley, sample_shapley

MORE = "target additional_forward_args"
GAME = "perturbations_per_eval show_progress"
PATH = "n_steps method internal_batch_size"
LAYER = "forward_func layer device_ids"


# Gradients


class Saliency(
    GradientAttribution,
    init="forward_func",
    call="inputs target abs additional_forward_args",
    by=saliency,
    derives=derived.saliency,
):
    """The gradient's size; the gradient itself with ``abs=False``."""


class InputXGradient(
    GradientAttribution,
    init="forward_func",
    call=f"inputs {MORE}",
    by=gradient,
    multiplies=True,
    derives=derived.times_input,
):
    """The gradient times the input."""


class LayerGradientXActivation(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs memory_efficient",
    call=f"inputs {MORE} attribute_to_layer_input grad_kwargs",
    by=gradient,
):
    """The gradient at a layer times what the layer holds."""


class NeuronGradient(
    NeuronAttribution,
    GradientAttribution,
    init=LAYER,
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=gradient,
):
    """The gradient of a neuron."""


class LayerGradCam(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs {MORE} attribute_to_layer_input relu_attributions attr_dim_summation grad_kwargs",
    by=grad_cam,
):
    """A layer's channels weighted by their mean gradient, summed."""


# Corrected gradients


class GuidedBackprop(GradientAttribution, init="model", call=f"inputs {MORE}", by=guided):
    """The gradient, through rectifiers only where it and the value are positive."""


class Deconvolution(GradientAttribution, init="model", call=f"inputs {MORE}", by=deconvolved):
    """What is positive on the way back through rectifiers."""


class NeuronGuidedBackprop(
    NeuronAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=guided,
):
    """Guided backpropagation from a neuron."""


class NeuronDeconvolution(
    NeuronAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call="inputs neuron_selector additional_forward_args attribute_to_neuron_input",
    by=deconvolved,
):
    """Deconvolution from a neuron."""


class GuidedGradCam(
    LayerAttribution,
    GradientAttribution,
    init="model layer device_ids",
    call=f"inputs {MORE} interpolate_mode attribute_to_layer_input",
    by=guided_grad_cam,
):
    """Guided backpropagation, dimmed where a layer's map says nothing for the class."""


# Paths


class IntegratedGradients(
    GradientAttribution,
    init="forward_func multiply_by_inputs",
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta",
    by=integrated,
    derives=derived.integrated,
):
    """Gradients averaged on the line from a baseline, times the distance from it."""


class LayerIntegratedGradients(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta attribute_to_layer_input grad_kwargs",
    by=integrated,
):
    """Integrated gradients on a line between what a layer holds at the baseline and at the record."""


class NeuronIntegratedGradients(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs neuron_selector baselines additional_forward_args {PATH} attribute_to_neuron_input",
    by=integrated,
):
    """Integrated gradients of a neuron."""


class InternalInfluence(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs baselines {MORE} {PATH} attribute_to_layer_input grad_kwargs",
    by=path_influence,
):
    """The gradient at a layer, averaged over the line from the baseline to the record."""


class LayerConductance(
    LayerAttribution,
    GradientAttribution,
    init=LAYER,
    call=f"inputs baselines {MORE} {PATH} return_convergence_delta attribute_to_layer_input grad_kwargs",
    by=conductance,
    multiplies=True,
):
    """What flows through each part of a layer while the input goes from the baseline to the record."""


class NeuronConductance(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs neuron_selector baselines {MORE} n_steps method='riemann_trapezoid' internal_batch_size"
    " attribute_to_neuron_input grad_kwargs",
    by=neuron_conductance,
):
    """What flows from the inputs through a neuron to the target."""


# Backgrounds


class GradientShap(
    GradientAttribution,
    init="forward_func multiply_by_inputs",
    call=f"inputs baselines! n_samples stdevs {MORE} return_convergence_delta",
    by=gradient_shap,
    derives=derived.gradient_shap,
):
    """Gradients at random points between random baselines and the record, times the distance."""


class LayerGradientShap(
    LayerAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call=f"inputs baselines! n_samples stdevs {MORE} return_convergence_delta attribute_to_layer_input",
    by=gradient_shap,
):
    """GradientSHAP at a layer."""


class NeuronGradientShap(
    NeuronAttribution,
    GradientAttribution,
    init=f"{LAYER} multiply_by_inputs",
    call="inputs neuron_selector baselines! n_samples stdevs additional_forward_args attribute_to_neuron_input",
    by=gradient_shap,
):
    """GradientSHAP of a neuron."""


# DeepLIFT


class DeepLift(
    GradientAttribution,
    init="model multiply_by_inputs eps",
    call=f"inputs baselines {MORE} return_convergence_delta custom_attribution_func",
    by=deep_lift,
):
    """Multipliers between a baseline and the record, times the difference: the Rescale rule, for every operation."""


class DeepLiftShap(
    DeepLift,
    init="model multiply_by_inputs",
    call=f"inputs baselines! {MORE} return_convergence_delta custom_attribution_func",
    by=deep_lift_shap,
):
    """DeepLIFT averaged over the rows of a background."""


class LayerDeepLift(
    LayerAttribution,
    DeepLift,
    init="model layer multiply_by_inputs",
    call=f"inputs baselines {MORE} return_convergence_delta attribute_to_layer_input custom_attribution_func grad_kwargs",
    by=deep_lift,
):
    """DeepLIFT at a layer."""


class LayerDeepLiftShap(
    LayerDeepLift,
    DeepLiftShap,
    init="model layer multiply_by_inputs",
    call=f"inputs baselines! {MORE} return_convergence_delta attribute_to_layer_input custom_attribution_func",
    by=deep_lift_shap,
):
    """DeepLIFT-SHAP at a layer."""


class NeuronDeepLift(
    NeuronAttribution,
    GradientAttribution,
    init="model layer multiply_by_inputs",
    call="inputs neuron_selector baselines additional_forward_args attribute_to_neuron_input custom_attribution_func",
    by=deep_lift,
):
    """DeepLIFT of a neuron."""


class NeuronDeepLiftShap(
    NeuronAttribution,
    GradientAttribution,
    init="model layer multiply_by_inputs",
    call="inputs neuron_selector baselines! additional_forward_args attribute_to_neuron_input custom_attribution_func",
    by=deep_lift_shap,
):
    """DeepLIFT-SHAP of a neuron."""


# Removal


class FeatureAblation(
    PerturbationAttribution, init="forward_func", call=f"inputs baselines {MORE} feature_mask {GAME} **kwargs", by=ablate, later=True
):
    """What the quantity loses when a feature takes its baseline."""


class FeaturePermutation(
    FeatureAblation, init="forward_func perm_func", call=f"inputs {MORE} feature_mask {GAME} **kwargs", by=permute, later=True
):
    """What the quantity loses when a feature takes the value of another record.

    Features of inputs with fewer rows than ``_min_examples_per_batch_grouped`` are left out: their values are 0.
    """

    _min_examples_per_batch_grouped: int | None = 2


class Occlusion(FeatureAblation, init="forward_func", call=f"inputs sliding_window_shapes strides baselines {MORE} {GAME}", by=occlude):
    """What the quantity loses when a window takes its baseline; the mean over the windows that a coordinate lies in."""


class ShapleyValueSampling(
    PerturbationAttribution,
    init="forward_func",
    call=f"inputs baselines {MORE} feature_mask n_samples=25 {GAME}",
    by=sample_shapley,
    later=True,
):
    """Shapley values as mean contributions over random orders, each beside its reverse."""


class ShapleyValues(
    ShapleyValueSampling, init="forward_func", call=f"inputs baselines {MORE} feature_mask {GAME}", by=all_shapley, later=True
):
    """Shapley values from all coalitions of features."""


class KernelShap(
    Lime,
    init="forward_func",
    call=f"inputs baselines {MORE} feature_mask n_samples=25 perturbations_per_eval return_input_shape show_progress",
    by=regress_shapley,
):
    """Shapley values by regression on coalitions, weighted by the Shapley kernel."""

    def made(self) -> None:
        """Captum's part of that name."""
        super().made()
        self.interpretable_model = SkLearnLinearRegression()


class LayerFeatureAblation(
    LayerAttribution,
    PerturbationAttribution,
    init=LAYER,
    call=f"inputs layer_baselines {MORE} layer_mask attribute_to_layer_input perturbations_per_eval",
    by=ablate,
):
    """What the quantity loses when a part of a layer takes its baseline."""


class LayerFeaturePermutation(
    LayerAttribution, FeaturePermutation, init=LAYER, call=f"inputs {MORE} layer_mask perturbations_per_eval", by=permute
):
    """What the quantity loses when a part of a layer takes the value of another record."""


class NeuronFeatureAblation(
    NeuronAttribution,
    PerturbationAttribution,
    init=LAYER,
    call="inputs neuron_selector baselines additional_forward_args feature_mask attribute_to_neuron_input perturbations_per_eval",
    by=ablate,
):
    """What a neuron loses when a feature of the input takes its baseline."""
