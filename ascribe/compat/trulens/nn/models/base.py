"""``trulens.nn.models._model_base``: a model of any framework that ascribe supports, with trulens' names for its cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..... import INPUT, LOGITS, OUTPUT, Attribution, Call, Points, activation, cuts_of, influence
from .....arrays import as_numpy, is_array
from .....cuts import Cut as Place
from .....cuts import JointCut
from .....errors import CutError, DistributionError, MemoryLimitError, QuantityError
from .....tree import map_leaves, walk
from ...utils.typing import Inputs, ModelInputs, Outputs, TensorAKs, many_of_om, om_of_many
from ..backend import CHOICE, Backend, OutOfMemory, use_backend
from ..quantities import as_qoi
from ..slices import Cut, CutNameError, InputCut, LogitCut, OutputCut, accessor_path
from .adapter import adapt_quantity


class ModelWrapper:
    """A model and its cuts. The base class uses the names that the framework gives to layers."""

    def __init__(self, model: Any, *, logit_layer: Any = None) -> None:
        self._model, self._logit_layer = model, logit_layer
        if self.backend is not Backend.UNKNOWN:
            CHOICE.make(self.backend)

    @property
    def backend(self) -> Backend:
        """The framework of the model, as trulens names it; UNKNOWN for frameworks that trulens did not have."""
        return Backend.UNKNOWN

    @property
    def model(self) -> Any:
        return self._model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the model's output for every record."""
        return self.fprop(args, kwargs)

    def layer(self, name: Any) -> str:
        """Returns the framework's name of a layer. Raises CutNameError for anything else."""
        if not isinstance(name, str):
            raise CutNameError("A layer of this model is named by a string", found=f"layer {name!r}", advice='Cut("layer3")')
        return name

    def call(self, inputs: ModelInputs) -> Call:
        """Returns the model's call with these arguments."""
        return Call.of(tuple(inputs.args), inputs.kwargs)

    def output(self, inputs: ModelInputs) -> Any:
        """Returns the model's own output, in its container."""
        call = self.call(inputs)
        return self.model(*call.args, **call.kwargs)

    def back(self, values: Any, inputs: ModelInputs) -> Any:
        """Returns an array of a result as the type of the model's first argument."""
        return as_numpy(values) if isinstance(inputs.first_batchable(), np.ndarray) else values

    def places(self, cut: Cut, whole: bool = False) -> list[Place]:
        """Returns the cuts of ascribe for a trulens cut, one for each layer; ``whole`` ignores its accessor."""
        accessor = None if whole else accessor_path(cut)
        if isinstance(cut, InputCut | OutputCut):
            place = INPUT if isinstance(cut, InputCut) else OUTPUT
            return [place if accessor is None else place.at(accessor)]
        if isinstance(cut, LogitCut):
            return [self._logits(cut, accessor)]
        names = cut.name if isinstance(cut.name, (list, tuple)) else [cut.name]
        return [Place(self.layer(name), cut.anchor, accessor) for name in names]

    def place(self, cut: Cut, whole: bool = False) -> Place:
        """Returns the cut of ascribe for a trulens cut of one layer. Raises CutNameError for several."""
        found = self.places(cut, whole)
        if len(found) > 1:
            raise CutNameError(
                "The call needs a cut of a single layer",
                found=f"{cut!r}, which is {len(found)} layers",
                advice="a cut of one of these layers",
            )
        return found[0]

    def _logits(self, cut: Cut, accessor: Any) -> Place:
        if self._logit_layer is not None:
            return Place(self.layer(self._logit_layer), cut.anchor, accessor)
        if cut.anchor == "in":
            return Place(self.layer("logits"), "in", accessor)
        return LOGITS if accessor is None else LOGITS.at(accessor)

    def fprop(
        self,
        model_args: Any,
        model_kwargs: Mapping[str, Any] | None = None,
        doi_cut: Cut | None = None,
        to_cut: Cut | None = None,
        attribution_cut: Cut | None = None,
        intervention: Any = None,
        input_timestep: int | None = None,
    ) -> Any:
        """The value at ``to_cut`` with ``intervention`` at ``doi_cut``; with ``attribution_cut`` a pair, its value second.

        At the input the intervention takes the place of the positional arguments (of all, as ModelInputs). ``input_timestep`` chooses
        one use of a layer that is used several times. Raises ValueError where an intervention inside the model is missing.
        """
        inputs, over = self._intervened(model_args, model_kwargs, doi_cut, intervention, input_timestep)
        cuts = [to_cut or OutputCut(), *([attribution_cut] if attribution_cut is not None else [])]
        with raise_as_trulens(), use_backend(self.backend):
            found = [self._read(cut, inputs, over) for cut in cuts]
        return found[0] if attribution_cut is None else tuple(found)

    def qoi_bprop(
        self,
        qoi: Any,
        model_args: Any,
        model_kwargs: Mapping[str, Any] | None = None,
        doi_cut: Cut | None = None,
        to_cut: Cut | None = None,
        attribution_cut: Cut | None = None,
        intervention: Any = None,
    ) -> Any:
        """Returns the gradient of a quantity at ``to_cut`` with respect to ``attribution_cut``, with ``intervention`` at ``doi_cut``."""
        inputs, over = self._intervened(model_args, model_kwargs, doi_cut, intervention, None)
        cut, at = to_cut or OutputCut(), self.places(attribution_cut or InputCut())
        of = adapt_quantity(as_qoi(qoi), cut, self.places(cut, whole=True), here=over is not None)
        found = self.run(lambda of, at: influence(self.model, self.call(inputs), of=[of], at=at, over=over), of, at, inputs)
        return om_of_many([om_of_many(list(each)) for each in self.nested(found, inputs)])

    def read(self, place: Place, inputs: ModelInputs, over: Any = None) -> Any:
        """Returns the value at a cut for every record; the last use of a layer that is used several times."""

        def ask(of: Any, at: list[Place]) -> Attribution:
            return activation(self.model, self.call(inputs), at=at, over=over)

        return self.run(ask, None, [place], inputs).values[0]

    def run(self, ask: Callable[[Any, list[Place]], Attribution], of: Any, at: list[Place], inputs: ModelInputs) -> Attribution:
        """Computes a result. If a layer is used several times, computes it again at the last use of each layer, as trulens did."""
        with raise_as_trulens(), use_backend(self.backend):
            try:
                found = ask(of, at)
                if not any(check.name == "calls" for check in found.checks):
                    return found
            except CutError as error:
                if error.code != "E-CUT-CALLS":
                    raise
            uses = {it.cut: it.calls for it in cuts_of(self.model, self.call(inputs))}
            return ask(None if of is None else of.moved(locate_last_use(of.on, uses)), [locate_last_use(place, uses) for place in at])

    def nested(self, found: Attribution, inputs: ModelInputs) -> Outputs[Inputs[Any]]:
        """Returns a result for several quantities and cuts as a list for each quantity, of its arrays."""
        arrays = list_arrays(found.values)
        return Outputs(Inputs(self.back(array[k], inputs) for array in arrays) for k in range(len(arrays[0])))

    def pack(self, arrays: list[Any], inputs: ModelInputs, at: list[Place]) -> list[Any]:
        """Returns the arrays of a result at these cuts in the form that the framework's wrapper gave them in trulens."""
        return arrays

    def _read(self, cut: Cut, inputs: ModelInputs, over: Any) -> Any:
        """Returns the value at a cut; its accessor may be any function."""
        if isinstance(cut.name, (list, tuple)):
            return cut.access([self._read(Cut(name, cut.anchor), inputs, over) for name in cut.name])
        if len(places := self.places(cut, whole=True)) > 1:
            read = [self.read(place, inputs, over) for place in places]
            return cut.access([map_leaves(value, lambda _, leaf: self.back(leaf, inputs)) for value in read])
        try:
            picks = accessor_path(cut) is not None
        except CutNameError:
            picks = False
        if isinstance(cut, OutputCut) and cut.accessor is not None and not picks and over is None:
            return map_leaves(cut.access(self.output(inputs)), lambda _, leaf: self.back(leaf, inputs) if is_array(leaf) else leaf)
        found = self.read(self.place(cut, whole=not picks), inputs, over)
        found = map_leaves(found, lambda _, leaf: self.back(leaf, inputs))
        return om_of_many(list_arrays(found)) if picks or cut.accessor is None else cut.access(found)

    def _intervened(self, args: Any, kwargs: Any, doi_cut: Cut | None, given: Any, use: int | None) -> tuple[ModelInputs, Any]:
        """Returns the model's arguments, and the values to set inside the model."""
        inputs = ModelInputs(many_of_om(args), kwargs or {})
        if doi_cut is None or isinstance(doi_cut, InputCut):
            if given is not None:
                inputs = given.as_model_inputs() if isinstance(given, TensorAKs) else ModelInputs(many_of_om(given), inputs.kwargs)
            return inputs, None
        if given is None:
            raise DistributionError(
                "A cut inside the model needs an intervention", found=f"doi_cut={doi_cut!r}", advice="intervention=values"
            )
        values = tuple(given.args if isinstance(given, TensorAKs) else many_of_om(given))
        if not values or not all(map(is_array, values)):
            there = f"a {type(given).__name__}"
            raise DistributionError(
                "An intervention consists of arrays", found=there, advice="intervention=values, arrays of the cut's shape"
            )
        place = self.place(doi_cut)
        place = Place(place.layer, place.anchor, place.accessor, use)
        points = tuple(v[None] for v in values)
        return inputs, Points(points[0] if len(points) == 1 else points, at=place)


def list_arrays(value: Any) -> list[Any]:
    """Returns the arrays of a value in order."""
    return [leaf for _, leaf in walk(value) if leaf is not None]


def locate_last_use(place: Place, uses: Mapping[Place, int]) -> Place:
    """Returns the cut at the last use of its layer; the cut itself if there is one use."""
    if isinstance(place, JointCut):
        return JointCut.of(*(locate_last_use(one, uses) for one in place.each))
    count = uses.get(Place(place.layer, place.anchor), 1)
    return place if count < 2 else Place(place.layer, place.anchor, place.accessor, count - 1)


@contextmanager
def raise_as_trulens() -> Iterator[None]:
    """Raises errors of its block as trulens' users catch them: cuts as ValueError, memory as RuntimeError, a user's own unchanged."""
    try:
        yield
    except MemoryLimitError as error:
        raise OutOfMemory([error.advice]) from error
    except CutError as error:
        if isinstance(error, ValueError):
            raise
        raise CutNameError(error.problem, found=error.found, advice=error.advice, code=error.code) from error
    except QuantityError as error:
        if error.code == "E-QUANTITY-RAISED" and error.__cause__ is not None:
            raise error.__cause__ from None
        raise
