"""Names that other libraries use, answered with the name here: at constructors, at calls, and as attributes of methods.

A name is answered only where nothing of that name is there: a model's own argument called ``target`` is passed on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

CALL = ("of", "at", "seed", "chunk", "progress")
"""Arguments of every call of a method."""
VERB = (*CALL, "over", "by", "features")
"""Arguments of ``attribute``."""
RENAMED: dict[str, tuple[str, ...]] = {
    "target": ("of",), "targets": ("of",), "target_class": ("of",), "class_idx": ("of",), "output_index": ("of",),
    "baselines": ("baseline", "background", "by"), "baseline": ("baseline", "background", "by"), "background": ("background", "by"),
    "background_data": ("background", "by"), "data": ("background", "by"), "masker": ("by",), "hide_color": ("by",), "perm_func": ("by",),
    "n_steps": ("steps", "samples", "budget"), "steps": ("steps", "samples", "budget"),
    "n_samples": ("samples", "budget", "steps"), "nsamples": ("budget", "samples", "steps"), "num_samples": ("budget", "samples", "steps"),
    "nt_samples": ("samples",), "max_evals": ("budget", "samples"), "n_perturb_samples": ("samples",), "samples": ("samples", "budget"),
    "npermutations": ("budget", "samples"), "budget": ("budget", "samples", "steps"),
    "stdevs": ("scale",), "noise_level": ("scale",), "internal_batch_size": ("chunk",), "perturbations_per_eval": ("chunk",),
    "batch_size": ("chunk",), "show_progress": ("progress",), "silent": ("progress",), "random_state": ("seed",), "random_seed": ("seed",),
    "feature_mask": ("features",), "sliding_window_shapes": ("size",), "strides": ("stride",), "window": ("size",), "patch_size": ("size",),
    "layer": ("layer", "at"), "target_layer": ("layer", "at"), "target_layers": ("layer", "at"), "l1_reg": ("lasso",),
    "kernel_width": ("width",), "abs": ("signed",), "relu_attributions": ("relu",), "n_masks": ("budget",), "method": ("quadrature",),
}  # fmt: skip
"""Another library's name -> names here, the likeliest first; the first that the class or its call has is meant."""
SAID: dict[str, str] = {
    "additional_forward_args": "the model's own arguments, behind the first: {name}(...)(model, x, mask), or by name",
    "return_convergence_delta": "a.gap of the result",
    "multiply_by_inputs": "asc.influence(model, x, over=asc.Line(0.0)), which has no distance in it",
    "attribute_to_layer_input": 'at=asc.Cut("layer", "in") in the call',
    "attribute_to_neuron_input": 'of=asc.Unit(3, on=asc.Cut("layer", "in")) in the call',
    "neuron_selector": 'of=asc.Unit(3, on="layer") in the call',
    "forward_func": "the model in the call: {name}(...)(model, x)",
    "model": "the model in the call: {name}(...)(model, x)",
    "nt_type": "asc.SmoothGrad, asc.SquareGrad or asc.VarGrad",
    "input_tensor": "the inputs behind the model: {name}(...)(model, x)",
    "inputs": "the inputs behind the model: {name}(...)(model, x)",
    "aug_smooth": "the mean of results over pictures that are turned: sum(results) / len(results)",
    "feature_names": "features= of a.plot() and a.to_pandas()",
    "link": "of=lambda y: ..., any function of the output, in the call",
    "create_graph": "results carry no graph: torch.autograd.grad(model(x)[:, 1].sum(), x, create_graph=True) for a penalty on gradients",
    "differentiable": "results carry no graph: torch.autograd.grad(model(x)[:, 1].sum(), x, create_graph=True) for a penalty on gradients",
    "retain_graph": "results carry no graph, and the model's own is left alone",
}
"""Names that have no single argument here -> what to use; ``{name}`` is the class."""
ALONE: dict[str, str] = {
    "n_steps": "over=asc.Line(0.0, steps=64)", "steps": "over=asc.Line(0.0, steps=64)",
    "baseline": "over=asc.Line(0.0), from a baseline of 0",
    "baselines": "over=asc.Line(0.0), from a baseline of 0", "background": "over=asc.Background(rows) * asc.Line()",
    "n_samples": "over=asc.Gaussian(0.15, samples=32)", "nsamples": "over=asc.coalitions.ShapleyRegression(2048)",
    "samples": "over=asc.Gaussian(0.15, samples=32)",
    "max_evals": "over=asc.coalitions.ShapleyRegression(2048)", "budget": "over=asc.coalitions.ShapleyRegression(2048)",
    "method": "asc.IntegratedGradients()(model, x), a method by its name",
}  # fmt: skip
"""The advice for calls that take ``over=``: the verbs, which have no constructor."""
CALLED = (
    "target", "targets", "baselines", "baseline", "background", "n_steps", "n_samples", "nsamples", "nt_samples", "max_evals",
    "masker", "stdevs", "internal_batch_size", "perturbations_per_eval", "show_progress", "feature_mask", "sliding_window_shapes",
    "strides", "target_layer", "target_layers", "additional_forward_args", "return_convergence_delta", "multiply_by_inputs",
    "nt_type", "attribute_to_layer_input", "attribute_to_neuron_input", "neuron_selector", "hide_color", "num_samples",
    "aug_smooth", "method", "create_graph", "differentiable", "retain_graph",
)  # fmt: skip
"""Names that a call refuses, unless the model has an argument of that name: a model with ``**kwargs`` would accept them silently."""
VERBS: dict[str, str] = {
    "attribute": "{name}(...)(model, x, of=1)", "explain": "{name}(...)(model, x, of=1)", "shap_values": "{name}(...)(model, x).values",
    "generate": "{name}(...)(model, x)", "explain_instance": "{name}(...)(model, x)", "attribute_image_features": "{name}(...)(model, x)",
    "expected_value": "a.explained - np.asarray(a.values).sum(1) of a result", "compute_convergence_delta": "a.gap of a result",
    "has_convergence_delta": "a.gap of a result, None where a method promises no sum", "multiplies_by_inputs": "{name}.multiply",
    "forward": "{name}(...)(model, x)", "fit": "{name}(...)(model, x): there is nothing to fit",
}  # fmt: skip
"""Methods and attributes of other libraries -> how to write that here."""


def constructor_hint(title: str, name: str, own: Sequence[str]) -> str:
    """What to write for an argument that a method's class does not have."""
    if found := _known_hint(title, name, (own, f"{title}({{}})"), (CALL, f"{title}(...)(model, x, {{}}), in the call")):
        return found
    if near := get_close_matches(name, own, 1):
        return f"{title}({near[0]}={_example(near[0])})"
    return f"{title}({', '.join(f'{known}=...' for known in own)})"


def call_hint(owner: str, name: str, own: Iterable[str], called: Collection[str]) -> str:
    """What to write for an argument of a call that is none; ``own`` are the arguments of the method's constructor."""
    fields = tuple(own)
    if "over" in called and name in ALONE:
        return ALONE[name]
    if found := _known_hint(owner, name, (called, "{}"), (fields, f"{owner}({{}})(model, x)")):
        return found
    if name in VERB:
        return f"asc.attribute(model, x, {name}={_example(name)})"
    return f"{owner}({', '.join(f'{known}=...' for known in fields)})(model, x)" if fields else f"the call without {name}="


def _known_hint(title: str, name: str, *places: tuple[Collection[str], str]) -> str | None:
    """The advice for a name in the tables. A place is the arguments there, and how a call with one of them is written."""
    for ours in (name, *RENAMED.get(name, ())):
        for known, form in places:
            if ours in known:
                return form.format(f"{ours}={_example(ours)}")
    return SAID[name].format(name=title) if name in SAID else None


def unexpected_hint(message: str) -> str | None:
    """What a model's complaint about an unexpected argument may mean: a name of ours, misspelt or of another library."""
    found = re.search(r"unexpected keyword argument '(\w+)'", message)
    if found is None:
        return None
    name = found.group(1)
    ours = next((n for n in RENAMED.get(name, ()) if n in VERB), None) or next(iter(get_close_matches(name, VERB, 1, 0.5)), None)
    return f"{ours}={_example(ours)}, if that is what {name}= means" if ours else None


def constructor_arguments(kind: type) -> tuple[str, ...] | None:
    """The names that a class is made with; None where any name goes."""
    given = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    return None if any(p.kind is p.VAR_KEYWORD for p in given) else tuple(p.name for p in given if p.kind is not p.VAR_POSITIONAL)


def accepts_argument(model: Any, name: str) -> bool:
    """Whether a model takes an argument of that name; True where that cannot be known."""
    if type(model).__module__.startswith("torch.jit"):
        return True
    parts = [model, *model.modules()] if hasattr(model, "modules") and hasattr(model, "state_dict") else [model]
    open_ended = False
    for part in parts:
        try:
            given = inspect.signature(getattr(part, "forward", part)).parameters.values()
        except (TypeError, ValueError):
            return True
        if any(p.name == name for p in given):
            return True
        open_ended |= any(p.kind is p.VAR_KEYWORD for p in given)
        if part is model and not open_ended:
            return False
    return open_ended and len(parts) == 1


def is_model(value: Any) -> bool:
    """Whether it is a network or an estimator, and not a part of a method."""
    network = hasattr(value, "forward") and hasattr(value, "state_dict")
    return not isinstance(value, type) and (network or (hasattr(value, "fit") and hasattr(value, "predict")))


def _example(name: str) -> str:
    """A value for an argument of ours."""
    return EXAMPLES.get(name, "...")


EXAMPLES: dict[str, str] = {
    "of": "1", "at": '"layer3"', "chunk": "64", "seed": "0", "progress": "True", "steps": "64", "samples": "32", "budget": "2048",
    "baseline": "0.0", "background": "rows", "by": "asc.Resample(rows)", "features": "asc.Grid(8)", "scale": "0.15", "size": "8",
    "stride": "4", "quadrature": '"trapezoid"', "signed": "True", "over": "asc.Line(0.0)", "layer": '"layer4"',
}  # fmt: skip


ROOT: dict[str, str] = {
    "GradientShap": "ExpectedGradients", "GradientExplainer": "ExpectedGradients", "DeepExplainer": "DeepLiftShap", "Explainer":
    "KernelShap", "KernelExplainer": "KernelShap", "SamplingExplainer": "ShapleySampling", "ExactExplainer": "ShapleyExact",
    "NoiseTunnel": "SmoothGrad", "PartitionExplainer": "Partition", "ShapleyValueSampling": "ShapleySampling", "ShapleyValues":
    "ShapleyExact", "TreeExplainer": "KernelShap", "PermutationExplainer": "ShapleySampling", "LimeImageExplainer": "Lime",
    "LimeTabularExplainer": "Lime", "GuidedGradCAM": "GuidedGradCam", "LimeTextExplainer": "Lime", "SHAP": "KernelShap", "IG":
    "IntegratedGradients", "LinearExplainer": "KernelShap",
}  # fmt: skip
"""Classes of other libraries -> the class here."""
PICTURES = ("plots", "plot", "summary_plot", "force_plot", "waterfall_plot", "image_plot", "bar_plot", "visualization", "viz", "visualize")
"""Functions and modules of other libraries that draw; results do that themselves here."""


RESULT: dict[str, str] = {
    "shap_values": "a.values", "attributions": "a.values", "data": "a.record", "shape": "a.values.shape", "numpy": "np.asarray(a.values)",
    "base_values": "a.explained - np.asarray(a.values).sum(1), for one axis behind the records, where the values add up",
    "expected_value": "a.explained - np.asarray(a.values).sum(1), for one axis behind the records, where the values add up",
    "detach": "a.values, which has no graph", "cpu": "a.values", "convergence_delta": "a.gap", "delta": "a.gap", "visualize": "a.plot()",
    "show_in_notebook": "a, as the last line of a cell", "as_list": "a.to_pandas()", "feature_names": "a.to_pandas(features=names)",
    "waterfall": "a.plot()", "heatmap": "a.plot()",
}  # fmt: skip
"""What results of other libraries are asked for -> what a result has here."""


def root_hint(name: str, known: Collection[str]) -> str:
    """What a name that the package does not have may mean, as a sentence; empty where nothing is like it."""
    for prefix, call in (("Layer", '(model, x, at="layer3")'), ("Neuron", '(model, x, of=asc.Unit(3, on="layer3"))')):
        bare = name.removeprefix(prefix)
        if bare != name and (ours := ROOT.get(bare, bare)) in known:
            return f". Try: asc.{ours}(){call}"
    if name in ROOT:
        return f". Try: asc.{ROOT[name]}"
    if name in PICTURES:
        return ". Try: a.plot() or a.show() of a result; ascribe.report for several"
    plain = {one.replace("_", "").lower(): one for one in sorted(known)}
    near = get_close_matches(name.replace("_", "").lower(), plain, 2, 0.8)
    return f". Try: {' or '.join(f'asc.{plain[one]}' for one in near)}" if near else ""
