"""The classes that captum's users derive from, and how the methods among them are made: arguments, a place, a recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...cuts import INPUT, Cut
from ...engine.verbs import cuts_of
from ...errors import AscribeError, MethodError, RuleError
from ...quantities import Quantity
from .asked import HARMLESS, Asked, change, starts, totals
from .conventions import Kept, given, more_args, neuron, placed, quantity
from .errors import also_theirs
from .signatures import OURS, RULED, signed

Recipe = Callable[[Asked], Any]
OWN = ("inputs", "neuron_selector", "additional_forward_args", "forward_kwargs")
"""Arguments that say what is called; all others say how it is explained."""
KNOWN = ("forward_func", "model", "layer", "device_ids", "multiply_by_inputs", "memory_efficient", "eps")
"""Arguments of constructors that recipes know of otherwise, or have no use for."""
COUNTS = (
    *("n_steps", "n_samples", "nt_samples", "internal_batch_size", "nt_samples_batch_size"),
    *("perturbations_per_eval", "perturbations_per_pass"),
)
"""Arguments of which there is at least 1."""


LATER = "As ``attribute``, for a model that returns futures; gives a future."


class Attribution:
    """What every method of captum is: a model, and ``attribute``.

    A class names its arguments where it is declared: ``init`` those of its constructor, ``call`` those of ``attribute``, in the
    words of :mod:`.signatures`; ``by`` is the recipe that ``attribute`` carries out, ``multiplies`` whether values are times a
    distance, ``derives``, where derivatives are all that it takes of the model, what it does with those of a function of the user's.
    """

    forward_func: Any
    gradient_func: Callable[..., tuple[Tensor, ...]]
    multiplies: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[Recipe | None] = None
    converges: ClassVar[bool] = False
    derives: ClassVar[Callable[[Asked, Any], Any] | None] = None

    def __init__(self, forward_func: Any) -> None:
        self.forward_func = forward_func

    def __init_subclass__(
        cls,
        init: str = "",
        call: str = "",
        by: Recipe | None = None,
        multiplies: bool | None = None,
        later: bool = False,
        derives: Callable[[Asked, Any], Any] | None = None,
    ) -> None:
        super().__init_subclass__()
        if init:
            cls.settings = tuple(word.rstrip("!") for word in init.split() if word.rstrip("!") not in KNOWN)
            cls.__init__ = signed(begin, "__init__", init, "", {})  # type: ignore[method-assign]
        if call:
            said = f"{(cls.__doc__ or '').partition(chr(10))[0]} The arguments are captum's; see docs/migrating-from-captum.md."
            ours = {**OURS, **RULED} if "custom_attribution_func" in call else OURS
            cls.attribute = signed(run, "attribute", call, said, ours)  # type: ignore[method-assign]
            cls.converges = "return_convergence_delta" in call
            later_ = signed(promised, "attribute_future", call, LATER, OURS) if later else Attribution.attribute_future
            cls.attribute_future = later_  # type: ignore[method-assign]
        if by is not None:
            cls.recipe = staticmethod(by)
        if multiplies is not None:
            cls.multiplies = multiplies
        if derives is not None:
            cls.derives = staticmethod(derives)

    def made(self) -> None:
        """What a class adds to the arguments of its constructor."""

    def attribute(self, *args: Any, **kwargs: Any) -> Any:
        """What a method gives; classes of your own define it."""
        raise NotImplementedError(f"{type(self).__name__} has no attribute()")

    def explain(self, arguments: dict[str, Any]) -> Any:
        """What ``attribute`` does, its arguments bound: the recipe, with what is asked."""
        recipe, instead = type(self).recipe, type(self).derives
        assert recipe is not None
        if own_gradients(self) and instead is not None:
            return instead(self.asked(arguments), self.gradient_func)
        return recipe(self.asked(arguments))

    def attribute_future(self, *args: Any, **kwargs: Any) -> Any:
        """Only some methods take models that answer later."""
        raise NotImplementedError(f"{type(self).__name__} has no attribute_future()")

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether values are influence times distance."""
        return bool(getattr(self, "_multiply_by_inputs", self.multiplies))

    def has_convergence_delta(self) -> bool:
        """Whether values are held to add up to a change, and ``attribute`` can say how nearly they do."""
        return self.converges

    @classmethod
    def get_name(cls) -> str:
        """The class's name in words."""
        return "".join(c if c.islower() or not i else f" {c}" for i, c in enumerate(cls.__name__))

    def placed(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        """The model to run, what of it is explained, and where the attribution is."""
        return self.forward_func, quantity(arguments.get("target")), INPUT

    def asked(self, arguments: Mapping[str, Any]) -> Asked:
        """A call of ``attribute`` as what it asks for. Raises InputError, CutError or QuantityError for what makes no sense."""
        model, of, at = self.placed(arguments)
        options = {name: value for name, value in arguments.items() if name not in OWN}
        options.update({name: getattr(self, name, None) for name in self.settings})
        options.update(name=self.get_name(), least_rows=getattr(self, "_min_examples_per_batch_grouped", None))
        called = more_args(arguments.get("additional_forward_args")), dict(arguments.get("forward_kwargs") or {})
        return Asked(model, given(arguments["inputs"]), *called, of, at, self.multiplies_by_inputs, options)


def begin(self: Any, arguments: dict[str, Any]) -> None:
    """Keep the arguments of a constructor under the names that captum keeps them by."""
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
    self.made()


def run(self: Any, arguments: dict[str, Any]) -> Any:
    """Carry out the recipe of a class. Raises MethodError for counts below 1, RuleError for settings that would be lost without a word."""
    with also_theirs():
        for name in COUNTS:
            if isinstance(arguments.get(name), (int, float)) and arguments[name] < 1:
                raise MethodError(f"{name}={arguments[name]!r}", try_="a whole number from 1 up")
        if own_gradients(self) and not self.derives:
            there, try_ = f"{type(self).__name__}, which has derivatives of its own", "asc.attribute(..., by=a rule)"
            raise RuleError("a gradient_func of your own", there=there, try_=try_)
        unknown = set(arguments.get("grad_kwargs") or ()) - set(HARMLESS)
        if unknown:
            raise RuleError(f"grad_kwargs {sorted(unknown)}", there=", ".join(HARMLESS), try_="asc.influence for derivatives of your own")
        return self.explain(arguments)


def own_gradients(self: Any) -> bool:
    """Whether the user has put another function in the place of ``gradient_func``."""
    return getattr(self, "gradient_func", compute_gradients) is not compute_gradients


def promised(self: Any, arguments: dict[str, Any]) -> torch.futures.Future[Any]:
    """The values of a model that answers later, as a future; what goes wrong is raised by its ``wait``.

    Raises MethodError at once for a model that gives no future.
    """
    model, found, other = self.forward_func, torch.futures.Future[Any](), copy.copy(self)
    plain: list[str] = []

    def answered(*args: Any, **kwargs: Any) -> Any:
        later = model(*args, **kwargs)
        if isinstance(later, torch.futures.Future):
            return later.wait()
        plain.append(type(later).__name__)
        raise TypeError("no future")

    other.forward_func = answered  # of a copy: other threads may be using this one
    try:
        found.set_result(run(other, arguments))
    except Exception as error:
        if plain:
            with also_theirs():
                raise MethodError("attribute_future()", there=f"a model that gives {plain[0]}", try_="attribute()") from None
        found.set_exception(error)
    return found


class GradientAttribution(Attribution):
    """Methods that differentiate the model.

    ``gradient_func(forward_fn, inputs, target_ind, additional_forward_args)`` gives derivatives to methods of your own; Saliency,
    InputXGradient, IntegratedGradients and GradientShap take those of another function in its place.
    """

    def __init__(self, forward_func: Any) -> None:
        super().__init__(forward_func)
        self.gradient_func = compute_gradients

    def compute_convergence_delta(
        self, attributions: Any, start_point: Any, end_point: Any, target: Any = None, additional_forward_args: Any = None
    ) -> Tensor:
        """What values add up to, less the change from one point to the other: one number per record."""
        with also_theirs():
            more = more_args(additional_forward_args)
            asked = Asked(self.forward_func, given(end_point), more, {}, quantity(target), INPUT, True, {})
            start = [s.expand_as(x) for s, x in zip(starts(asked, start_point), asked.inputs.tensors, strict=True)]
            return (totals(attributions) - change(asked, start, asked.inputs.tensors)).detach()


def compute_gradients(forward_fn: Any, inputs: Any, target_ind: Any = None, additional_forward_args: Any = None) -> tuple[Tensor, ...]:
    """The derivative of the target with respect to each input."""
    with also_theirs():
        asked = Asked(forward_fn, given(inputs), more_args(additional_forward_args), {}, quantity(target_ind), INPUT, False, {})
        found = asked.result(asked.explained().values)
        return found if isinstance(found, tuple) else (found,)


class PerturbationAttribution(Attribution):
    """Methods that only run the model."""

    multiplies = True


class InternalAttribution(Attribution):
    """Methods at a layer: a module of the model, its dotted name, or an :class:`ascribe.Cut`."""

    layer: Any
    device_ids: list[int] | None

    def __init__(self, forward_func: Any, layer: Any, device_ids: list[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer, self.device_ids = layer, device_ids

    def cuts(self, arguments: Mapping[str, Any], side: str) -> tuple[Any, Any]:
        """A model in which the layer has a name, and the cut there; a list of cuts for a list of layers.

        With ``captum_exact`` only the last use of a layer counts.
        """
        several = isinstance(self.layer, (list, tuple, nn.ModuleList))
        kept: Kept = self.__dict__.setdefault("_kept", Kept())
        model, cuts = placed(self.forward_func, list(self.layer) if several else [self.layer], kept)
        cuts = [Cut(c.layer, "in", c.accessor, c.call) if arguments.get(side) else c for c in cuts]
        if arguments.get("captum_exact"):
            named = dict(arguments.get("forward_kwargs") or {})
            call = given(arguments["inputs"]).call(more_args(arguments.get("additional_forward_args")), named)
            uses = {place.cut.layer: place.calls for place in cuts_of(model, call)}
            cuts = [Cut(c.layer, c.anchor, c.accessor, uses[c.layer] - 1) if uses.get(c.layer, 1) > 1 else c for c in cuts]
        return model, cuts if several else cuts[0]


class LayerAttribution(InternalAttribution):
    """Methods that tell what each part of a layer's value adds."""

    def placed(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        model, at = self.cuts(arguments, "attribute_to_layer_input")
        return model, quantity(arguments.get("target")), at

    @staticmethod
    def interpolate(layer_attribution: Tensor, interpolate_dims: int | tuple[int, ...], interpolate_mode: str = "nearest") -> Tensor:
        """Values ``[records, channels, ...]`` at another resolution, such as that of the picture."""
        return F.interpolate(layer_attribution, interpolate_dims, mode=interpolate_mode)


class NeuronAttribution(InternalAttribution):
    """Methods that tell what the inputs add to one neuron, or to several at once."""

    def placed(self, arguments: Mapping[str, Any]) -> tuple[Any, Quantity, Any]:
        model, on = self.cuts(arguments, "attribute_to_neuron_input")
        if isinstance(on, list):
            raise MethodError("a neuron in several layers", there=", ".join(map(repr, on)), try_="one layer")
        return model, neuron(arguments["neuron_selector"], on), INPUT

    def explain(self, arguments: dict[str, Any]) -> Any:
        """The recipe; for one record the neuron may be a number without an axis for the records."""
        try:
            return super().explain(arguments)
        except AscribeError as error:
            recipe = type(self).recipe
            if error.code != "E-RECORDS" or not callable(arguments["neuron_selector"]) or recipe is None:
                raise
            asked = self.asked(arguments)
            if asked.inputs.records > 1:
                raise
            return recipe(replace(asked, inputs=replace(asked.inputs, whole=True)))


def drawn_seed() -> int:
    """A seed from PyTorch's own generator, so that ``torch.manual_seed`` decides, and two calls draw anew, as in captum."""
    return int(torch.randint(2**31 - 1, ()))
