"""The base classes of captum's methods, and how a method is declared: its arguments, its cut, its recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...cuts import INPUT, Cut
from ...engine.verbs import cuts_of
from ...errors import MethodError, RuleError
from ...quantities import Quantity
from .translate.call import IGNORED_GRAD_KWARGS, CaptumCall, compute_change, make_baselines, sum_per_record
from .translate.errors import raise_as_captum
from .translate.inputs import parse_extra_args, parse_inputs
from .translate.layers import LayerNames, locate_layers
from .translate.signatures import EXTRA_ARGUMENTS, RULE_ARGUMENT, make_method
from .translate.targets import parse_neuron, parse_target

Recipe = Callable[[CaptumCall], Any]
CALL_ARGUMENTS = ("inputs", "neuron_selector", "additional_forward_args", "forward_kwargs")
"""Arguments of the model's call; all others are options of the explanation."""
BUILT_IN_SETTINGS = ("forward_func", "model", "layer", "device_ids", "multiply_by_inputs", "memory_efficient", "eps")
"""Arguments of constructors that recipes read elsewhere or do not need."""
COUNTS = (
    *("n_steps", "n_samples", "nt_samples", "internal_batch_size", "nt_samples_batch_size"),
    *("perturbations_per_eval", "perturbations_per_pass"),
)
"""Arguments that must be at least 1."""


FUTURE_DOC = "Calls ``attribute`` for a model that returns futures. Returns a future."


class Attribution:
    """Base class of captum's methods: a model and ``attribute``.

    A subclass declares its arguments as class keywords: ``init`` those of its constructor, ``call`` those of ``attribute``, as lists of
    names for :mod:`.translate.signatures`. ``by`` is the recipe of ``attribute``. ``multiplies`` is True if values are multiplied by a
    distance. ``later`` adds ``attribute_future``. ``derives`` is the recipe for a ``gradient_func`` of the user's.
    """

    forward_func: Any
    gradient_func: Callable[..., tuple[Tensor, ...]]
    multiplies: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[Recipe | None] = None
    converges: ClassVar[bool] = False
    derives: ClassVar[Callable[[CaptumCall, Any], Any] | None] = None

    def __init__(self, forward_func: Any) -> None:
        self.forward_func = forward_func

    def __init_subclass__(
        cls,
        init: str = "",
        call: str = "",
        by: Recipe | None = None,
        multiplies: bool | None = None,
        later: bool = False,
        derives: Callable[[CaptumCall, Any], Any] | None = None,
    ) -> None:
        super().__init_subclass__()
        if init:
            cls.settings = tuple(word.rstrip("!") for word in init.split() if word.rstrip("!") not in BUILT_IN_SETTINGS)
            cls.__init__ = make_method(store_settings, "__init__", init, "", {})  # type: ignore[method-assign]
        if call:
            doc = f"{(cls.__doc__ or '').partition(chr(10))[0]} The arguments are those of captum; see docs/migrating-from-captum.md."
            ours = {**EXTRA_ARGUMENTS, **RULE_ARGUMENT} if "custom_attribution_func" in call else EXTRA_ARGUMENTS
            cls.attribute = make_method(run_recipe, "attribute", call, doc, ours)  # type: ignore[method-assign]
            cls.converges = "return_convergence_delta" in call
            future = (
                make_method(run_future, "attribute_future", call, FUTURE_DOC, EXTRA_ARGUMENTS) if later else Attribution.attribute_future
            )
            cls.attribute_future = future  # type: ignore[method-assign]
        if by is not None:
            cls.recipe = staticmethod(by)
        if multiplies is not None:
            cls.multiplies = multiplies
        if derives is not None:
            cls.derives = staticmethod(derives)

    def finish_init(self) -> None:
        """Completes the constructor in subclasses."""

    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the attribution; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define attribute()")

    def explain(self, arguments: dict[str, Any]) -> Any:
        """Runs the recipe for the bound arguments of ``attribute``."""
        recipe, instead = type(self).recipe, type(self).derives
        assert recipe is not None
        if has_custom_gradients(self) and instead is not None:
            return instead(self.translate(arguments), self.gradient_func)
        return recipe(self.translate(arguments))

    def attribute_future(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the attribution of a model that returns futures; only some methods support it."""
        raise NotImplementedError(f"{type(self).__name__} does not define attribute_future()")

    @property
    def multiplies_by_inputs(self) -> bool:
        """True if values are influence multiplied by distance."""
        return bool(getattr(self, "_multiply_by_inputs", self.multiplies))

    def has_convergence_delta(self) -> bool:
        """Returns True if ``attribute`` can return a convergence delta."""
        return self.converges

    @classmethod
    def get_name(cls) -> str:
        """Returns the name of the class in words."""
        return "".join(c if c.islower() or not i else f" {c}" for i, c in enumerate(cls.__name__))

    def locate(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        """Returns the model to run, the quantity, and the cut of the attribution."""
        return self.forward_func, parse_target(arguments.get("target")), INPUT

    def translate(self, arguments: Mapping[str, Any]) -> CaptumCall:
        """Returns a call of ``attribute`` in terms of ascribe. Raises InputError, CutError or QuantityError for invalid arguments."""
        model, of, at = self.locate(arguments)
        options = {name: value for name, value in arguments.items() if name not in CALL_ARGUMENTS}
        options.update({name: getattr(self, name, None) for name in self.settings})
        options.update(name=self.get_name(), least_rows=getattr(self, "_min_examples_per_batch_grouped", None))
        called = parse_extra_args(arguments.get("additional_forward_args")), dict(arguments.get("forward_kwargs") or {})
        return CaptumCall(model, parse_inputs(arguments["inputs"]), *called, of, at, self.multiplies_by_inputs, options)


def store_settings(self: Any, arguments: dict[str, Any]) -> None:
    """Stores the arguments of a constructor under captum's attribute names."""
    for name, value in arguments.items():
        if name == "model":
            self.forward_func = value
        if name in ("attribution_method", "attr_method"):
            self.forward_func = value.forward_func
        private = name in ("multiply_by_inputs", "memory_efficient")
        setattr(self, f"_{name}" if private else name, value)
    if isinstance(self, InternalAttribution):
        self.device_ids = arguments.get("device_ids")
    if isinstance(self, GradientAttribution):
        self.gradient_func = compute_gradients
    self.finish_init()


def run_recipe(self: Any, arguments: dict[str, Any]) -> Any:
    """Runs the recipe of a class. Raises MethodError for counts below 1, RuleError for settings that would be ignored silently."""
    with raise_as_captum():
        for name in COUNTS:
            if isinstance(arguments.get(name), (int, float)) and arguments[name] < 1:
                raise MethodError(f"`{name}` must be an integer >= 1", found=f"{name}={arguments[name]!r}", advice=f"{name}=1")
        if has_custom_gradients(self) and not self.derives:
            there, advice = f"{type(self).__name__}, which computes its own derivatives", "asc.attribute(model, x, of=..., by=a rule)"
            raise RuleError("This method cannot use a `gradient_func` of your own", found=there, advice=advice)
        unknown = set(arguments.get("grad_kwargs") or ()) - set(IGNORED_GRAD_KWARGS)
        if unknown:
            there, advice = (
                f"grad_kwargs={sorted(unknown)}",
                f"one of {', '.join(IGNORED_GRAD_KWARGS)}; asc.influence for other derivatives",
            )
            raise RuleError("`grad_kwargs` has entries that would have no effect", found=there, advice=advice)
        return self.explain(arguments)


def has_custom_gradients(self: Any) -> bool:
    """Returns True if the user has replaced ``gradient_func``."""
    return getattr(self, "gradient_func", compute_gradients) is not compute_gradients


def run_future(self: Any, arguments: dict[str, Any]) -> torch.futures.Future[Any]:
    """Returns a future with the values of a model that returns futures; errors are raised by the future's ``wait``.

    Raises MethodError at once for a model that returns no future.
    """
    model, found, other = self.forward_func, torch.futures.Future[Any](), copy.copy(self)
    plain: list[str] = []

    def answered(*args: Any, **kwargs: Any) -> Any:
        later = model(*args, **kwargs)
        if isinstance(later, torch.futures.Future):
            return later.wait()
        plain.append(type(later).__name__)
        raise TypeError("No future")

    other.forward_func = answered  # of a copy: other threads may be using this one
    try:
        found.set_result(run_recipe(other, arguments))
    except Exception as error:
        if plain:
            with raise_as_captum():
                there = f"a model that returns a {plain[0]}"
                raise MethodError(
                    "`attribute_future()` needs a model that returns a future", found=there, advice="attribute(inputs, ...)"
                ) from None
        found.set_exception(error)
    return found


class GradientAttribution(Attribution):
    """Methods that differentiate the model.

    ``gradient_func(forward_fn, inputs, target_ind, additional_forward_args)`` computes the derivatives in methods of your own. Saliency,
    InputXGradient, IntegratedGradients and GradientShap use another function that is assigned to it.
    """

    def __init__(self, forward_func: Any) -> None:
        super().__init__(forward_func)
        self.gradient_func = compute_gradients

    def compute_convergence_delta(
        self, attributions: Any, start_point: Any, end_point: Any, target: Any = None, additional_forward_args: Any = None
    ) -> Tensor:
        """Returns the sum of the values minus the change of the target from the start to the end point, ``[records]``."""
        with raise_as_captum():
            more = parse_extra_args(additional_forward_args)
            call = CaptumCall(self.forward_func, parse_inputs(end_point), more, {}, parse_target(target), INPUT, True, {})
            start = [s.expand_as(x) for s, x in zip(make_baselines(call, start_point), call.inputs.tensors, strict=True)]
            return (sum_per_record(attributions) - compute_change(call, start, call.inputs.tensors)).detach()


def compute_gradients(forward_fn: Any, inputs: Any, target_ind: Any = None, additional_forward_args: Any = None) -> tuple[Tensor, ...]:
    """Returns the derivative of the target with respect to each input."""
    with raise_as_captum():
        call = CaptumCall(
            forward_fn, parse_inputs(inputs), parse_extra_args(additional_forward_args), {}, parse_target(target_ind), INPUT, False, {}
        )
        found = call.format_values(call.attribute().values)
        return found if isinstance(found, tuple) else (found,)


class PerturbationAttribution(Attribution):
    """Methods that only run the model, with features removed."""

    multiplies = True


class InternalAttribution(Attribution):
    """Methods at a layer: a module of the model, its dotted name, or an :class:`ascribe.Cut`."""

    layer: Any
    device_ids: list[int] | None

    def __init__(self, forward_func: Any, layer: Any, device_ids: list[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer, self.device_ids = layer, device_ids

    def cuts(self, arguments: Mapping[str, Any], side: str) -> tuple[Any, Any]:
        """Returns a model in which the layer has a name, and its cut; a list of cuts for a list of layers.

        With ``captum_exact`` only the last use of a layer counts.
        """
        several = isinstance(self.layer, (list, tuple, nn.ModuleList))
        known: LayerNames = self.__dict__.setdefault("_layer_names", LayerNames())
        model, cuts = locate_layers(self.forward_func, list(self.layer) if several else [self.layer], known)
        cuts = [Cut(c.layer, "in", c.accessor, c.call) if arguments.get(side) else c for c in cuts]
        if arguments.get("captum_exact"):
            named = dict(arguments.get("forward_kwargs") or {})
            call = parse_inputs(arguments["inputs"]).make_call(parse_extra_args(arguments.get("additional_forward_args")), named)
            uses = {place.cut.layer: place.calls for place in cuts_of(model, call)}
            cuts = [Cut(c.layer, c.anchor, c.accessor, uses[c.layer] - 1) if uses.get(c.layer, 1) > 1 else c for c in cuts]
        return model, cuts if several else cuts[0]


class LayerAttribution(InternalAttribution):
    """Methods that attribute to the elements of a layer."""

    def locate(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        model, at = self.cuts(arguments, "attribute_to_layer_input")
        return model, parse_target(arguments.get("target")), at

    @staticmethod
    def interpolate(layer_attribution: Tensor, interpolate_dims: int | tuple[int, ...], interpolate_mode: str = "nearest") -> Tensor:
        """Returns values ``[records, channels, ...]`` at another spatial resolution, such as that of the image."""
        return F.interpolate(layer_attribution, interpolate_dims, mode=interpolate_mode)


class NeuronAttribution(InternalAttribution):
    """Methods that attribute one neuron, or the sum of several, to the inputs."""

    def locate(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        model, on = self.cuts(arguments, "attribute_to_neuron_input")
        if isinstance(on, list):
            raise MethodError("A neuron must be in one layer", found=", ".join(map(repr, on)), advice="one call for each layer")
        return model, parse_neuron(arguments["neuron_selector"], on), INPUT
