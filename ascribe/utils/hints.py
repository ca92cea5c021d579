"""Advice for argument, class and attribute names of other libraries: the corresponding name of ascribe.

Advice is given only if the name is not valid: an argument ``target`` of the model itself is passed to the model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ..values import format_value, is_count, is_number

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
"""Name of another library -> names of ascribe by likelihood; the first that the class or its call has is used."""
INSTEAD: dict[str, str] = {
    "additional_forward_args": "the model's arguments after the first: {name}(...)(model, x, mask), or as keywords",
    "return_convergence_delta": "a.gap of the result",
    "multiply_by_inputs": "asc.influence(model, x, over=asc.Line(0.0)), which does not multiply by the difference",
    "attribute_to_layer_input": 'at=asc.Cut("layer", "in") in the call',
    "attribute_to_neuron_input": 'of=asc.Unit(3, on=asc.Cut("layer", "in")) in the call',
    "neuron_selector": 'of=asc.Unit(3, on="layer") in the call',
    "forward_func": "the model in the call: {name}(...)(model, x)",
    "model": "the model in the call: {name}(...)(model, x)",
    "nt_type": "asc.SmoothGrad, asc.SquareGrad or asc.VarGrad",
    "input_tensor": "the inputs after the model: {name}(...)(model, x)",
    "inputs": "the inputs after the model: {name}(...)(model, x)",
    "aug_smooth": "the mean of results over augmented images: sum(results) / len(results)",
    "feature_names": "features= of a.plot() and a.to_pandas()",
    "link": "of=lambda y: ..., any function of the output, in the call",
    "create_graph": "results carry no graph: torch.autograd.grad(model(x)[:, 1].sum(), x, create_graph=True) for a penalty on gradients",
    "differentiable": "results carry no graph: torch.autograd.grad(model(x)[:, 1].sum(), x, create_graph=True) for a penalty on gradients",
    "retain_graph": "results carry no graph, and the graph of the model is not used",
}
"""Names without a single corresponding argument -> what to use; ``{name}`` is the class."""
ALONE: dict[str, str] = {
    "n_steps": "over=asc.Line(0.0, steps=64)", "steps": "over=asc.Line(0.0, steps=64)",
    "baseline": "over=asc.Line(0.0), from a baseline of 0",
    "baselines": "over=asc.Line(0.0), from a baseline of 0", "background": "over=asc.Background(rows) * asc.Line()",
    "n_samples": "over=asc.Gaussian(0.15, samples=32)", "nsamples": "over=asc.coalitions.ShapleyRegression(2048)",
    "samples": "over=asc.Gaussian(0.15, samples=32)",
    "max_evals": "over=asc.coalitions.ShapleyRegression(2048)", "budget": "over=asc.coalitions.ShapleyRegression(2048)",
    "method": "asc.IntegratedGradients()(model, x), a method by its name",
}  # fmt: skip
"""Advice for calls that take ``over=``: the verbs, which have no constructor."""
CALLED = (
    "target", "targets", "baselines", "baseline", "background", "n_steps", "n_samples", "nsamples", "nt_samples", "max_evals",
    "masker", "stdevs", "internal_batch_size", "perturbations_per_eval", "show_progress", "feature_mask", "sliding_window_shapes",
    "strides", "target_layer", "target_layers", "additional_forward_args", "return_convergence_delta", "multiply_by_inputs",
    "nt_type", "attribute_to_layer_input", "attribute_to_neuron_input", "neuron_selector", "hide_color", "num_samples",
    "aug_smooth", "method", "create_graph", "differentiable", "retain_graph",
)  # fmt: skip
"""Names that a call rejects unless the model has such an argument; a model with ``**kwargs`` would accept them silently."""
VERBS: dict[str, str] = {
    "attribute": "{name}(...)(model, x, of=1)", "explain": "{name}(...)(model, x, of=1)", "shap_values": "{name}(...)(model, x).values",
    "generate": "{name}(...)(model, x)", "explain_instance": "{name}(...)(model, x)", "attribute_image_features": "{name}(...)(model, x)",
    "expected_value": "a.explained - np.asarray(a.values).sum(1) of a result", "compute_convergence_delta": "a.gap of a result",
    "has_convergence_delta": "a.gap of a result, None for a method without completeness", "multiplies_by_inputs": "{name}.multiply",
    "forward": "{name}(...)(model, x)", "fit": "{name}(...)(model, x): there is nothing to fit",
}  # fmt: skip
"""Methods and attributes of other libraries -> the corresponding code."""


def constructor_hint(title: str, name: str, own: Sequence[str], value: Any = None) -> str:
    """Returns the code for an argument that the class of a method does not have; a ``value`` that is a number is kept."""
    if result := _known_hint(title, name, value, (own, f"{title}({{}})"), (CALL, f"{title}(...)(model, x, {{}}), in the call")):
        return result
    if near := get_close_matches(name, own, 1):
        return f"{title}({near[0]}={_example(near[0], value)})"
    return f"{title}({', '.join(f'{known}=...' for known in own)})"


def call_hint(owner: str, name: str, own: Iterable[str], called: Collection[str], value: Any = None) -> str:
    """Returns the code for an argument that a call does not have; a ``value`` that is a number is kept.

    ``own`` are the constructor arguments of the method, ``called`` those of the call.
    """
    fields = tuple(own)
    if "over" in called and name in ALONE:
        return re.sub(r"\d+(?=\)$)", str(value), ALONE[name]) if is_count(value) else ALONE[name]
    if result := _known_hint(owner, name, value, (called, "{}"), (fields, f"{owner}({{}})(model, x)")):
        return result
    if name in VERB:
        return f"asc.attribute(model, x, {name}={_example(name, value)})"
    return f"{owner}({', '.join(f'{known}=...' for known in fields)})(model, x)" if fields else f"the call without {name}="


def _known_hint(title: str, name: str, value: Any, *places: tuple[Collection[str], str]) -> str | None:
    """Returns the advice for a name in the tables. ``places`` are pairs of valid arguments and the format of a call with one of them."""
    for ours in (name, *RENAMED.get(name, ())):
        for known, form in places:
            if ours in known:
                return form.format(f"{ours}={_example(ours, value)}")
    return INSTEAD[name].format(name=title) if name in INSTEAD else None


def unexpected_hint(message: str, given: Mapping[str, Any]) -> str | None:
    """Returns the argument of ascribe that a model's "unexpected keyword argument" may mean: misspelt, or from another library.

    ``given`` are the keyword arguments of the call.
    """
    result = re.search(r"unexpected keyword argument '(\w+)'", message)
    if result is None:
        return None
    name = result.group(1)
    ours = next((n for n in RENAMED.get(name, ()) if n in VERB), None) or next(iter(get_close_matches(name, VERB, 1, 0.5)), None)
    return f"{ours}={_example(ours, given.get(name))}, if that is what {name}= means" if ours else None


def constructor_arguments(kind: type) -> tuple[str, ...] | None:
    """Returns the constructor arguments of a class; None if it accepts any keyword."""
    given = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    return None if any(p.kind is p.VAR_KEYWORD for p in given) else tuple(p.name for p in given if p.kind is not p.VAR_POSITIONAL)


def accepts_argument(model: Any, name: str) -> bool:
    """True if a model has an argument of that name, or if this is unknown."""
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
    """True for a network or an estimator."""
    network = hasattr(value, "forward") and hasattr(value, "state_dict")
    return not isinstance(value, type) and (network or (hasattr(value, "fit") and hasattr(value, "predict")))


def _example(name: str, value: Any = None) -> str:
    """Returns a value for an argument: the given one if it is a number, else an example."""
    return format_value(value) if is_number(value) else EXAMPLES.get(name, "...")


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
"""Class of another library -> class of ascribe."""
PLOTTING = ("plots", "plot", "summary_plot", "force_plot", "waterfall_plot", "image_plot", "bar_plot", "visualization", "viz", "visualize")
"""Plotting functions and modules of other libraries; in ascribe, results have plotting methods."""


RESULT: dict[str, str] = {
    "shap_values": "a.values", "attributions": "a.values", "data": "a.record", "shape": "a.values.shape", "numpy": "np.asarray(a.values)",
    "base_values": "a.explained - np.asarray(a.values).sum(1), for values [records, features] with completeness",
    "expected_value": "a.explained - np.asarray(a.values).sum(1), for values [records, features] with completeness",
    "detach": "a.values, which has no graph", "cpu": "a.values", "convergence_delta": "a.gap", "delta": "a.gap", "visualize": "a.plot()",
    "show_in_notebook": "a, as the last line of a cell", "as_list": "a.to_pandas()", "feature_names": "a.to_pandas(features=names)",
    "waterfall": "a.plot()", "heatmap": "a.plot()",
}  # fmt: skip
"""Attributes of other libraries' results -> the corresponding code."""


FIGURE = ("ax", "record", "kind", "features", "tokens", "image", "top", "merge")
"""Arguments of ``Attribution.plot``."""


def figure_hint(title: str, name: str, own: Sequence[str]) -> str:
    """Returns the code for an argument that a function of a result does not have."""
    near = get_close_matches(name, own, 1)
    if name in FIGURE and not near and title != "plot":
        return f"a.plot({name}=...)"
    return f"{title}({', '.join(f'{known}=...' for known in near or own)})"


def root_hint(name: str, known: Collection[str]) -> str:
    """Returns advice for a name that the package does not have; an empty text if no name is similar."""
    for prefix, call in (("Layer", '(model, x, at="layer3")'), ("Neuron", '(model, x, of=asc.Unit(3, on="layer3"))')):
        bare = name.removeprefix(prefix)
        if bare != name and (ours := ROOT.get(bare, bare)) in known:
            return f". Try: asc.{ours}(){call}"
    if name in ROOT:
        return f". Try: asc.{ROOT[name]}"
    if name in PLOTTING:
        return ". Try: a.plot() or a.show() of a result; ascribe.reports for several"
    plain = {one.replace("_", "").lower(): one for one in sorted(known)}
    near = get_close_matches(name.replace("_", "").lower(), plain, 2, 0.8)
    return f". Try: {' or '.join(f'asc.{plain[one]}' for one in near)}" if near else ""
