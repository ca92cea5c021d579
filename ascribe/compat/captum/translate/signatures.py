"""Captum's arguments, each declared once, and methods with signatures made from a list of argument names.

In ``"inputs baselines! n_steps=20"`` an argument has its usual default, ``!`` makes it required, and ``=`` gives it another default.
``**kwargs`` accepts any other keywords.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from .permutation import permute_feature

Tensors = Tensor | tuple[Tensor, ...]
Target = int | tuple[int, ...] | Tensor | list[int] | list[tuple[int, ...]] | None
Baselines = Tensor | int | float | tuple[Tensor | int | float, ...] | None
Layers = nn.Module | str | list[nn.Module | str]
Selector = int | tuple[int | slice, ...] | Callable[..., Tensor]

REQUIRED = inspect.Parameter.empty


class Argument(NamedTuple):
    """The type of an argument and its default."""

    kind: Any
    default: Any = REQUIRED


ARGUMENTS: dict[str, Argument] = {
    # of constructors
    "forward_func": Argument(Callable[..., Any]),
    "model": Argument(nn.Module),
    "layer": Argument(Layers),
    "device_ids": Argument(list[int] | None, None),
    "multiply_by_inputs": Argument(bool, True),
    "memory_efficient": Argument(bool, False),
    "eps": Argument(float, 1e-10),
    "attribution_method": Argument(Any),
    "attr_method": Argument(Any),
    "interpretable_model": Argument(Any, None),
    "similarity_func": Argument(Callable[..., Any] | None, None),
    "perturb_func": Argument(Callable[..., Any] | None, None),
    "perm_func": Argument(Callable[[Tensor, Tensor], Tensor], permute_feature),
    "perturb_interpretable_space": Argument(bool),
    "from_interp_rep_transform": Argument(Callable[..., Any] | None),
    "to_interp_rep_transform": Argument(Callable[..., Any] | None),
    # of attribute()
    "inputs": Argument(Tensors),
    "neuron_selector": Argument(Selector),
    "baselines": Argument(Baselines, None),
    "layer_baselines": Argument(Baselines, None),
    "target": Argument(Target, None),
    "abs": Argument(bool, True),
    "additional_forward_args": Argument(object, None),
    "n_steps": Argument(int, 50),
    "method": Argument(str, "gausslegendre"),
    "internal_batch_size": Argument(int | None, None),
    "return_convergence_delta": Argument(bool, False),
    "custom_attribution_func": Argument(Callable[..., tuple[Tensor, ...]] | None, None),
    "attribute_to_layer_input": Argument(bool, False),
    "attribute_to_neuron_input": Argument(bool, False),
    "grad_kwargs": Argument(Mapping[str, Any] | None, None),
    "relu_attributions": Argument(bool, False),
    "attr_dim_summation": Argument(bool, True),
    "interpolate_mode": Argument(str, "nearest"),
    "n_samples": Argument(int, 5),
    "stdevs": Argument(float | tuple[float, ...], 0.0),
    "verbose": Argument(bool, False),
    "feature_mask": Argument(Tensors | None, None),
    "layer_mask": Argument(Tensors | None, None),
    "perturbations_per_eval": Argument(int, 1),
    "show_progress": Argument(bool, False),
    "sliding_window_shapes": Argument(tuple[Any, ...]),
    "strides": Argument(int | tuple[Any, ...] | None, None),
    "return_input_shape": Argument(bool, True),
    "nt_type": Argument(str, "smoothgrad"),
    "nt_samples": Argument(int, 5),
    "nt_samples_batch_size": Argument(int | None, None),
    "draw_baseline_from_distrib": Argument(bool, False),
    "dataloader": Argument(Any),
    "input_roles": Argument(tuple[int, ...] | None, None),
    "reduce": Argument(Callable[..., Any] | None, None),
    "to_metric": Argument(Callable[..., Any] | None, None),
    "perturbations_per_pass": Argument(int, 1),
}
EXTRA_ARGUMENTS = {"forward_kwargs": Argument(Mapping[str, Any] | None, None), "captum_exact": Argument(bool, False)}
"""Additional keyword-only arguments of ``attribute``: keyword arguments of the model, and captum's own numbers where ours differ."""

RULE_ARGUMENT = {"by": Argument(Any, None)}
"""The additional argument of the DeepLIFT methods: :class:`ascribe.rules.Rescale` (None) or :class:`ascribe.rules.RevealCancel`."""


def build_parameter(word: str) -> inspect.Parameter:
    """Returns one argument of a list as an ``inspect.Parameter``."""
    if word.startswith("**"):
        return inspect.Parameter(word[2:], inspect.Parameter.VAR_KEYWORD, annotation=Any)
    name, _, given = word.rstrip("!").partition("=")
    kind, default = ARGUMENTS[name]
    default = ast.literal_eval(given) if given else REQUIRED if word.endswith("!") else default
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def build_signature(words: str, more: Mapping[str, Argument]) -> inspect.Signature:
    """Returns the signature with these arguments, and those of ``more`` as keyword-only arguments."""
    listed = [build_parameter(word) for word in words.split()]
    named = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=a.default, annotation=a.kind) for n, a in more.items()]
    last = [p for p in listed if p.kind is inspect.Parameter.VAR_KEYWORD]
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([own, *(p for p in listed if p not in last), *named, *last])


def make_method(
    run: Callable[[Any, dict[str, Any]], Any], name: str, words: str, doc: str, more: Mapping[str, Argument]
) -> Callable[..., Any]:
    """Returns a method with these arguments that calls ``run(self, arguments)``."""
    signature = build_signature(words, more)
    own = [p for p in signature.parameters.values() if p.name != "self"]
    rest = [p.name for p in own if p.kind is inspect.Parameter.VAR_KEYWORD]
    by_place = [p.name for p in own if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    usual = {p.name: p.default for p in own if p.name not in rest}
    needed = {name for name, default in usual.items() if default is REQUIRED}

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        placed = dict(zip(by_place, args, strict=False))
        plain = len(args) <= len(by_place) and placed.keys().isdisjoint(kwargs) and kwargs.keys() <= usual.keys()
        if plain and needed <= placed.keys() | kwargs.keys():  # as nearly always; a tenth of the time that a signature takes
            return run(self, {**usual, **placed, **kwargs})
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        given.pop("self")
        for name in rest:
            given.update(given.pop(name))
        return run(self, given)

    method.__name__, method.__doc__ = name, doc
    method.__signature__ = signature  # type: ignore[attr-defined]
    method.__wrapped__ = partial(method)  # type: ignore[attr-defined]  # captum's are decorated, and called as attribute.__wrapped__(self, ...)
    return method
