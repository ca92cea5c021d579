"""``trulens.nn.attribution``: trulens' three methods, each a call of :func:`ascribe.attribute` or :func:`ascribe.influence`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from .... import EMBEDDINGS, INPUT, Attribution, Line, Point, Points, attribute, influence
from ....arrays import as_numpy, is_array, namespace
from ....cuts import Cut as Place
from ....errors import DistributionError, ModelError
from ....tree import map_leaves
from ..utils.typing import Inputs, ModelInputs, Outputs, TensorLike, Uniform, called, many_of_om, om_of_many
from .backend import use_backend
from .distributions import DoI, LinearDoi, PointDoi, as_doi, stack_points
from .models.adapter import QuantityAdapter, adapt_quantity
from .models.base import ModelWrapper, list_arrays
from .quantities import as_qoi
from .slices import InputCut, as_cut, as_slice


@dataclass
class AttributionResult:
    """The result of a method, in nested lists that are never collapsed.

    ``attributions[k][i]`` belongs to quantity ``k`` and array ``i``. ``gradients[k][i]`` has a leading axis of points.
    ``interventions[i]`` are the points at array ``i`` of the distribution's cut.
    """

    attributions: Any = None
    gradients: Any = None
    interventions: Any = None

    axes: ClassVar[dict[str, list[Any]]] = {
        "attributions": [Outputs, Inputs, TensorLike],
        "gradients": [Outputs, Inputs, Uniform, TensorLike],
        "interventions": [Inputs, Uniform, TensorLike],
    }


class AttributionMethod(ABC):
    """Base class of the methods, bound to a model. Subclasses define ``_attributions`` as a function of the model's arguments."""

    @abstractmethod
    def __init__(self, model: ModelWrapper, rebatch_size: int | None = None, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model, ModelWrapper):
            raise ModelError(
                "A method of trulens needs a `ModelWrapper`", found=f"a {type(model).__name__}", advice="get_model_wrapper(model)"
            )
        self._model, self.rebatch_size = model, rebatch_size

    @property
    def model(self) -> ModelWrapper:
        return self._model

    @abstractmethod
    def _attributions(self, model_inputs: ModelInputs) -> AttributionResult: ...

    def results(self, *model_args: Any, **model_kwargs: Any) -> AttributionResult:
        """Returns the attributions of a call of the model, with gradients and points if the method returns them."""
        alone = len(model_args) == 1 and isinstance(model_args[0], (list, tuple))
        return self._attributions(ModelInputs(list(model_args[0]) if alone else list(model_args), model_kwargs))

    def attributions(self, *model_args: Any, **model_kwargs: Any) -> Any:
        """Returns the attributions of a call of the model: nested lists over quantities and arrays; lists of length 1 are collapsed."""
        return om_of_many([om_of_many(list(each)) for each in self.results(*model_args, **model_kwargs).attributions])


class InternalInfluence(AttributionMethod):
    """The mean influence over a distribution of points on a quantity, at a cut, multiplied by the distance there (Leino et al. 2018).

    ``cuts`` are the cuts of the attribution and the quantity, ``qoi`` is the quantity, ``doi`` the distribution of points.
    """

    def __init__(
        self,
        model: ModelWrapper,
        cuts: Any,
        qoi: Any,
        doi: Any,
        multiply_activation: bool = True,
        return_grads: bool = False,
        return_doi: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, *args, **kwargs)
        self.slice, self.qoi = as_slice(cuts), as_qoi(qoi)
        self.doi = as_doi(doi, self.slice.from_cut)
        self._do_multiply, self._return_grads, self._return_doi = multiply_activation, return_grads, return_doi

    def _attributions(self, model_inputs: ModelInputs) -> AttributionResult:
        with use_backend(self.model.backend):
            return self._computed(AttributionCall(self, model_inputs))

    def _computed(self, call: AttributionCall) -> AttributionResult:
        points: Any = call.points() if self._return_grads or self._return_doi or not call.known else None
        over = call.over() if call.known else Points(stack_points(points), at=call.at)
        result = AttributionResult(call.packed(call.attributions(over)))
        if self._return_grads:
            result.gradients = call.packed(call.gradients(stack_points(points)))
        if self._return_doi:
            several = isinstance(points, (list, tuple)) and isinstance(points[0], (list, tuple))
            each = points.values() if isinstance(points, Mapping) else points if several else [points]
            result.interventions = Inputs(map(Uniform, each))
        return result


class AttributionCall:
    """One call of an :class:`InternalInfluence`."""

    def __init__(self, method: InternalInfluence, inputs: ModelInputs) -> None:
        self.method, self.inputs, self.wrapper = method, inputs, method.model
        self.doi: Any = method.doi
        self.cuts = self.wrapper.places(method.slice.from_cut)
        self.of = adapt_quantity(method.qoi, method.slice.to_cut, self.wrapper.places(method.slice.to_cut, whole=True))

    @cached_property
    def at(self) -> Place:
        """The cut of the points."""
        return self.wrapper.place(self.doi.cut() or InputCut())

    @property
    def known(self) -> bool:
        """True if ascribe has the distribution itself: one of trulens' own, no method of which a subclass overrides."""
        kind = type(self.doi)
        base = next((b for b in (PointDoi, LinearDoi) if isinstance(self.doi, b)), DoI)
        return base is not DoI and all(getattr(kind, m) is getattr(base, m) for m in ("__call__", "get_activation_multiplier"))

    @cached_property
    def z(self) -> Any:
        """The value at the distribution's cut as NumPy arrays. The points of token ids are at the embeddings."""
        found = list_arrays(self.wrapper.read(self.at, self.inputs))
        if self.at == INPUT and not any(namespace(v).is_floating(v) for v in found):
            found = list_arrays(self.wrapper.read(EMBEDDINGS, self.inputs))
        return om_of_many([as_numpy(v) for v in found])

    @cached_property
    def start(self) -> Any:
        """The start of a line in this call; a function is called once, so that every use has the same start."""
        return self.doi.start(self.z if callable(self.doi.baseline) else None, self.inputs)

    def points(self) -> Any:
        """Returns the points, computed by the distribution itself."""
        doi = LinearDoi(self.start, self.doi.resolution) if self.known and isinstance(self.doi, LinearDoi) else self.doi
        found = called(doi.__call__, self.z, self.inputs)
        return list(found) if isinstance(found, Iterator) else found

    def over(self) -> Any:
        """Returns the distribution as one of ascribe."""
        if not isinstance(self.doi, LinearDoi):
            return Point()
        start = tuple(self.start) if isinstance(self.start, list) else self.start
        return Line(start, self.doi.resolution, "even", at=self.at)

    def attributions(self, over: Any) -> Outputs[Inputs[Any]]:
        """Returns the mean influence, multiplied by the distance if the method multiplies."""
        multiply = self.method._do_multiply
        found = self._run(attribute if multiply and self.known else influence, over)
        nested = self.wrapper.nested(found, self.inputs)
        return self._multiplied(nested, found) if multiply and not self.known else nested

    def gradients(self, points: Any) -> Outputs[Inputs[Any]]:
        """Returns the influence at each point, ``[points, records, ...]``. One call of the verb for each point."""
        each = (Points(take_point(points, k), at=self.at) for k in range(Points(points).samples))
        nested = [self.wrapper.nested(self._run(influence, over), self.inputs) for over in each]
        return Outputs(
            Inputs(namespace(found[0]).stack(list(found), 0) for found in zip(*of_one, strict=True)) for of_one in zip(*nested, strict=True)
        )

    def packed(self, found: Outputs[Inputs[Any]]) -> Outputs[Inputs[Any]]:
        """Returns a result with the arrays of each quantity in the form of the framework's wrapper."""
        return Outputs(Inputs(self.wrapper.pack(list(each), self.inputs, self.cuts)) for each in found)

    def _run(self, ask: Any, over: Any) -> Attribution:
        model, call, chunk = self.wrapper.model, self.wrapper.call(self.inputs), self.method.rebatch_size

        def question(of: QuantityAdapter, at: list[Place]) -> Attribution:
            return ask(model, call, of=[of], at=at, over=over, chunk=chunk)

        return self.wrapper.run(question, self.of, self.cuts, self.inputs)

    def _multiplied(self, nested: Outputs[Inputs[Any]], found: Attribution) -> Outputs[Inputs[Any]]:
        """Returns the influence times the user's own multiplier of the value at the attribution cut."""
        scale = many_of_om(called(self.doi.get_activation_multiplier, om_of_many(list_arrays(found.record)), self.inputs))
        scale = [self.wrapper.back(s, self.inputs) for s in scale]
        if len(scale) != len(nested[0]) or not all(map(can_scale, scale, nested[0])):
            shapes = ", ".join(str(tuple(v.shape)) for v in nested[0])
            what = "`get_activation_multiplier` must return factors of the shape of the influence"
            raise DistributionError(what, found=f"influences of shape {shapes}", advice="return activation")
        return Outputs(Inputs(v * s for v, s in zip(of_one, scale, strict=True)) for of_one in nested)


def take_point(points: Any, k: int) -> Any:
    """Returns one of several points, in the same structure."""
    return map_leaves(points, lambda _, part: part[k : k + 1])


def can_scale(scale: Any, value: Any) -> bool:
    """Returns True if a value times ``scale`` keeps its shape."""
    if not is_array(scale):
        return isinstance(scale, (int, float))
    sizes = zip(reversed(scale.shape), reversed(value.shape), strict=False)
    return len(scale.shape) <= len(value.shape) and all(a in (1, b) for a, b in sizes)


class InputAttribution(InternalInfluence):
    """:class:`InternalInfluence` at the input, or at ``doi_cut``: the gradient times the input unless ``doi`` is given."""

    def __init__(
        self,
        model: ModelWrapper,
        qoi_cut: Any = None,
        qoi: Any = "max",
        doi_cut: Any = None,
        doi: Any = "point",
        multiply_activation: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, (doi_cut, qoi_cut), qoi, doi, multiply_activation, *args, **kwargs)


class IntegratedGradients(InputAttribution):
    """Gradients averaged on the line from a baseline, multiplied by the distance (Sundararajan et al. 2017)."""

    def __init__(
        self,
        model: ModelWrapper,
        baseline: Any = None,
        resolution: int = 50,
        doi_cut: Any = None,
        qoi: Any = "max",
        qoi_cut: Any = None,
        *args: Any,
        multiply_activation: bool = True,
        **kwargs: Any,
    ) -> None:
        line = LinearDoi(baseline, resolution, cut=as_cut(doi_cut, InputCut()))
        super().__init__(model, qoi_cut, qoi, doi_cut, line, multiply_activation, *args, **kwargs)
