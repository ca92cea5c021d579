"""``trulens.nn.models.keras``: Keras models with trulens' names for their layers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from ..... import INPUT, Call
from .....cuts import Cut as Place
from .....errors import BackendError
from ...utils.typing import ModelInputs
from ..backend import VARIABLE, Backend
from ..slices import Cut, CutNameError, OutputCut
from .base import ModelWrapper
from .keras_layers import input_names, is_input_layer, keras_package, named_layers, numbered_layers, roots_of, takes_dict, takes_separately

PACKAGES = {Backend.KERAS: ("keras",), Backend.TF_KERAS: ("tf_keras",), Backend.TENSORFLOW: ("tf_keras", "keras")}
"""The packages of the Keras models of each framework."""


class PackageError(BackendError, ValueError):
    """The model is of another package than the wrapper's framework (a ValueError)."""

    code = "E-COMPAT-BACKEND"


class KerasModelWrapper(ModelWrapper):
    """A Keras model. Layers are named by name, in nested models by path, ``outer/inner``, or by number.

    Numbers count ``model.layers`` with the layers of inputs; in place of a nested model they count its layers, as trulens did.
    ``logit_layer`` is the layer of ``LogitCut``; without it that is a layer called ``logits``, or the input of the final softmax. With
    ``replace_softmax`` the activation of ``softmax_layer`` is left out: ``LogitCut`` and the model's output are the values before it. The
    model itself is used, not a saved copy, so that ``custom_objects`` are not needed. ``backend`` is the framework that the model must
    belong to, by default the one in ``TRULENS_BACKEND``. Raises ValueError for a model of another package.
    """

    def __init__(
        self,
        model: Any,
        *,
        logit_layer: Any = None,
        replace_softmax: bool = False,
        softmax_layer: Any = -1,
        custom_objects: Any = None,
        backend: Backend | None = None,
        **kwargs: Any,
    ) -> None:
        self._framework = check_package(model, self.expected_backend(backend))
        super().__init__(model, logit_layer=logit_layer)
        self._output_layers: list[Any] = []
        self._scores = self._before_activation(softmax_layer) if replace_softmax else None

    def expected_backend(self, backend: Backend | None) -> Backend | None:
        """Returns the framework that the model must belong to; None for any."""
        return Backend.from_name(os.environ.get(VARIABLE, "")) if backend is None else backend

    @property
    def backend(self) -> Backend:
        return self._framework

    @property
    def _layers(self) -> dict[str, Any]:
        """The layers by name. Models that are not functional may get more of them when they are built."""
        return named_layers(self.model)

    def print_layer_names(self) -> None:
        """Prints the name of every layer and the layer."""
        for name, layer in self._layers.items():
            sys.stdout.write(f"'{name}':\t{layer}\n")

    def set_output_layers(self, output_layers: list[Any]) -> None:
        """Sets the layers of ``OutputCut``, for models that do not name their outputs. Raises CutNameError for anything but a list."""
        if not isinstance(output_layers, list):
            there = f"a {type(output_layers).__name__}"
            raise CutNameError("The output layers must be a list of layers", found=there, advice="[model.layers[-1]]")
        self._output_layers = output_layers

    # Names

    def find_name(self, layer: Any) -> str:
        """Returns the name of a layer. Raises CutNameError if the model does not have it."""
        for name, candidate in self._layers.items():
            if candidate is layer:
                return name
        there = f"{getattr(layer, 'name', layer)!r}"
        raise CutNameError("The layer does not belong to the model", found=there, advice="a layer of model.layers")

    def find_layer(self, name: Any) -> tuple[str, Any]:
        """Returns a layer by its name or number, with its name; None for a name that only a run of the model can find.

        Raises CutNameError for a number that is out of range.
        """
        if isinstance(name, int) and not isinstance(name, bool):
            layers = numbered_layers(self.model)
            if not -len(layers) <= name < len(layers):
                there = f"layer {name} of {len(layers)} layers"
                raise CutNameError("The model has no layer of this number", found=there, advice=f"a number below {len(layers)}")
            return self.find_name(layers[name]), layers[name]
        if not isinstance(name, str):
            there = f"a {type(name).__name__}"
            raise CutNameError("A layer is named by its name or its number", found=there, advice='Cut("dense_1"), or Cut(3)')
        return name, self._layers.get(name)

    def layer(self, name: Any) -> str:
        """Returns ascribe's path of a layer, which has dots."""
        return self.find_layer(name)[0].replace("/", ".")

    def places(self, cut: Cut, whole: bool = False) -> list[Place]:
        """Returns the cuts of ascribe for a trulens cut; the layers of inputs are the model's inputs."""
        found = super().places(cut, whole)
        if isinstance(cut, OutputCut):
            return self._outputs(found[0]) if cut.accessor is None or whole else found
        return [self._input(place) for place in found]

    def _outputs(self, output: Place) -> list[Place]:
        """Returns the places of the model's output."""
        if self._output_layers:
            return [Place(self.layer(self.find_name(layer))) for layer in self._output_layers]
        return [output] if self._scores is None else [self._scores]

    def _input(self, place: Place) -> Place:
        """Returns the argument of the model for the layer of an input, or the input of the nested model that the layer belongs to."""
        path = place.layer.replace(".", "/")
        layer = self._layers.get(path) if path else None
        if layer is None or not is_input_layer(layer):
            return place
        outer, _, name = path.rpartition("/")
        model = self._layers[outer] if outer else self.model
        names = input_names(model)
        if len(names) < 2 and not takes_dict(model):
            return Place(outer.replace("/", "."), "in") if outer else INPUT
        part: tuple[int | str, ...] = (0, name if takes_dict(model) else names.index(name))
        return Place(outer.replace("/", "."), "in", part)

    def _logits(self, cut: Cut, accessor: Any) -> Place:
        if self._scores is not None:
            return self._scores if accessor is None else self._scores.at(accessor)
        if self._logit_layer is None and "logits" in self._layers:
            return Place("logits", cut.anchor, accessor)
        return super()._logits(cut, accessor)

    def _before_activation(self, name: Any) -> Place:
        """Returns the place before the activation of a layer. Raises CutNameError for a layer without."""
        path, layer = self.find_layer(name)
        path = path.replace("/", ".")
        if (activation := getattr(layer, "activation", None)) is None:
            there = f"{path!r}, a {type(layer).__name__}"
            raise CutNameError("The softmax layer has no activation", found=there, advice="softmax_layer=, or logit_layer= without it")
        linear = getattr(activation, "__name__", "") == "linear"
        return Place(path) if linear else Place(f"{path}.activation", "in")

    # Arguments

    def call(self, inputs: ModelInputs) -> Call:
        """Returns the model's call: inputs that are named by their layers in their order, several as the structure that the model takes."""
        names, kwargs = input_names(self.model), dict(inputs.kwargs)
        args = list(inputs.args)
        if len(args) == 1 and isinstance(args[0], Mapping) and names and set(args[0]) == set(names):
            args = [args[0][name] for name in names]
        elif len(args) == 1 and isinstance(args[0], (list, tuple)) and len(args[0]) == len(names):
            args = list(args[0])
        given = {**dict(zip(names, args, strict=False)), **{name: kwargs.pop(name) for name in names if name in kwargs}}
        if names and len(args) <= len(names):
            args = [given[name] for name in names if name in given]
        if takes_dict(self.model) and len(args) == len(names):
            return Call.of((dict(zip(names, args, strict=True)),), kwargs)
        if len(args) > 1 and (names or not takes_separately(self.model, len(args))):
            args = [args]
        return Call.of(tuple(args), kwargs)

    def pack(self, arrays: list[Any], inputs: ModelInputs, at: list[Place]) -> list[Any]:
        """Returns the arrays of a result as the model's arguments have them: a dictionary of inputs is one."""
        if at == [INPUT] and len(inputs.args) == 1 and not inputs.kwargs and isinstance(inputs.args[0], Mapping):
            given, names = inputs.args[0], input_names(self.model)
            names = names if set(given) == set(names) else list(given)
            return [dict(zip(names, arrays, strict=True))] if len(names) == len(arrays) else arrays
        return arrays


def check_package(model: Any, expected: Backend | None) -> Backend:
    """Returns the framework of a Keras model. Raises PackageError for anything else, and for a model of another framework."""
    package = keras_package(model)
    known = PACKAGES.get(expected or Backend.UNKNOWN)
    if package is None or (known is not None and package not in known) or wrong_engine(model, package, expected):
        there = f"a {type(model).__module__}.{type(model).__name__}"
        wanted = " or ".join(f"{name}.Model" for name in known or ("keras", "tf_keras"))
        raise PackageError(f"The model must be a {wanted}", found=there, advice="get_model_wrapper(model), without backend=")
    return Backend.KERAS if package == "keras" else Backend.TF_KERAS


def wrong_engine(model: Any, package: str, expected: Backend | None) -> bool:
    """Returns True for a model of Keras 3 that is to be TensorFlow's and runs on another framework."""
    return expected is Backend.TENSORFLOW and package == "keras" and "tensorflow" not in roots_of(model)
