"""How the kinds of TensorFlow models are run, with demands at places inside them."""

from __future__ import annotations

import inspect
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ...calls.call import Call
from ...cuts import Cut
from ...errors import BackendError, CutError, MethodError
from ...tree import Path, map_leaves
from ..protocol import Bias
from .demands import Demand, nothing_seen
from .graph import FrozenGraph
from .intercept import FUNCTION, Run, intercepted
from .modules import host_of, named_modules, variables_of
from .rules.graphs import run_graph
from .rules.observe import observed

LOOPS = ("While", "StatelessWhile")
ConcreteFunction: Any = tf.types.experimental.ConcreteFunction


class Runner(ABC):
    """A model that can be run with demands at its layers."""

    model: Any
    kind: str
    """The name of the kind of model."""
    arguments: Callable[[], tuple[Any, Any]]
    """The arguments of the call for one record, as tensors."""

    def named(self, call: Call) -> Call:
        """The call with the arguments as the model takes them."""
        return call

    def compiled_model(self) -> Any:
        """The model where its user has compiled it with ``tf.function``, None for any other."""
        return None

    def variables(self) -> list[Any]:
        """The variables of the model."""
        return variables_of(self.model)

    def canonical(self, name: str) -> str:
        """The name of a layer that a user gave, as :meth:`layers` has it."""
        return name

    @abstractmethod
    def layers(self) -> dict[str, str]:
        """The kind of every layer by its name."""

    @abstractmethod
    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        """The output of the model; the demands at layers have been visited."""

    def record(self, args: Any, kwargs: Any, demands: Sequence[Demand], recorder: Any) -> Any:
        """The same, and the recorder notes every operation that runs."""
        with observed(recorder):
            return self.run(args, kwargs, demands)

    def logits(self) -> Cut | None:
        """The scores before a final softmax, where the model says where they are without a run."""
        return None

    def embeddings(self) -> Cut | None:
        """The output of the embedding of ids, where the model says where it is without a run."""
        return None

    def tables(self) -> list[str]:
        """The names of the layers that are known to be tables of embeddings."""
        return []

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        """The biases of layers with their axes, and the layers that are nonlinear. Raises MethodError where they cannot be read."""
        problem = "The method needs the biases of layers, which cannot be read from TensorFlow models"
        raise MethodError(problem, found=f"a model of the kind {self.kind}", advice="asc.InputXGradient()")

    def inside_loop(self, cut: Cut) -> CutError | None:
        """The error for a cut inside a loop that is one operation; None for any other cut."""
        return None

    @abstractmethod
    def without_layers(self, cut: Cut) -> CutError:
        """The error for a cut at a layer of a model that has none."""


class ModuleRunner(Runner):
    """A callable that runs eagerly; its layers are the modules inside the module that it is, or belongs to."""

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model
        self.host = host_of(model)
        self.modules = {} if self.host is None else named_modules(self.host)
        self.names = {id(module): name for name, module in self.modules.items()}
        self.kind = "function" if self.host is None else type(self.host).__name__

    def compiled_model(self) -> Any:
        compiled = isinstance(self.model, FUNCTION) or isinstance(inspect.getattr_static(type(self.model), "__call__", None), FUNCTION)
        return self.model if compiled else None

    def layers(self) -> dict[str, str]:
        return {name: type(module).__name__ for name, module in self.modules.items()}

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        inner = [demand for demand in demands if demand.cut.layer]
        if not inner:
            return self.model(*args, **kwargs)
        run = Run(self.names, inner)
        with intercepted([self.host, *self.modules.values()], run):
            output = self.model(*args, **kwargs)
        return output

    def without_layers(self, cut: Cut) -> CutError:
        problem, there = f"A function has no layer {cut.layer!r}", f"a model of type {type(self.model).__name__}"
        return CutError(problem, found=there, advice="the tf.Module itself as the model, or at=asc.INPUT", code="E-CUT-FUNCTION")


GRAPHS: weakref.WeakKeyDictionary[Any, dict[str, FrozenGraph]] = weakref.WeakKeyDictionary()
"""The graphs of models by the structure of their arguments, so that a second call traces nothing."""


class GraphRunner(Runner):
    """A function of TensorFlow, or a loaded SavedModel; its layers are the operations of its graph."""

    def __init__(self, model: Any) -> None:
        self.model = model
        """The loaded object stays alive with the session: its functions hold its variables weakly."""
        self.function = function_of(model)
        self.kind = type(model).__name__ if not callable(model) or isinstance(model, ConcreteFunction) else "function"
        self.graphs: dict[str, FrozenGraph] = GRAPHS.setdefault(model, {})

    def named(self, call: Call) -> Call:
        """Positional arguments by the names of a signature, which takes no others."""
        args, kwargs = getattr(self.function, "structured_input_signature", None) or ((), {})
        if not call.args or args or not kwargs or len(call.args) > len(kwargs) or set(kwargs) & set(call.kwargs):
            return call
        order = getattr(self.function, "_arg_keywords", None) or ()
        kwargs = {name: kwargs[name] for name in (order if set(order) == set(kwargs) else kwargs)}  # loaded signatures lose the order
        names = dict(enumerate(kwargs))
        explained = None if call.explained is None else [names.get(one, one) if isinstance(one, int) else one for one in call.explained]
        records = call.records
        records = {names.get(k, k): v for k, v in records.items()} if isinstance(records, Mapping) else records
        named = Call.of((), {**dict(zip(kwargs, call.args, strict=False)), **call.kwargs}, records)
        return named if explained is None else named.only(*explained)

    def compiled_model(self) -> Any:
        return self.model if self.model is self.function else None

    def layers(self) -> dict[str, str]:
        return self.graph(*self.arguments()).layers()

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand]) -> Any:
        inner = [demand for demand in demands if demand.cut.layer]
        if inner:
            return self.graph(args, kwargs).run(args, kwargs, inner)
        try:
            return self.function(*args, **kwargs)
        except ValueError as wrong:  # a loop in a loaded function has no gradient as long as it reads variables
            if "without handle data" not in str(wrong):
                raise
            return self.graph(args, kwargs).run(args, kwargs, [])

    def record(self, args: Any, kwargs: Any, demands: Sequence[Demand], recorder: Any) -> Any:
        return run_graph(self.graph(args, kwargs), args, kwargs, demands, recorder)

    def graph(self, args: Any, kwargs: Any) -> FrozenGraph:
        """The graph for arguments of this structure: for any number of rows, if the function takes it."""
        for free in (True, False):
            given, named = map_leaves((args, kwargs), free_spec if free else fixed_spec)
            key = repr((given, named))
            if key in self.graphs and self.graphs[key].is_current():
                return self.graphs[key]
            try:
                self.graphs[key] = FrozenGraph(self.function, given, named)
            except Exception:
                if not free:
                    raise
            else:
                return self.graphs[key]
        raise AssertionError

    def logits(self) -> Cut | None:
        return self.graph(*self.arguments()).logits()

    def embeddings(self) -> Cut | None:
        return self.graph(*self.arguments()).embeddings()

    def inside_loop(self, cut: Cut) -> CutError | None:
        loops = [name for name, kind in self.layers().items() if kind in LOOPS and cut.layer.startswith(f"{name}/")]
        if not loops:
            return None
        problem = f"The operation {cut.layer!r} is in the body of a loop, and has no single value"
        advice = f"at={loops[0]!r}, what the loop gives; or the model as Keras or a tf.Module, whose cells are cuts: Cut('cell', call=2)"
        return CutError(problem, found=f"the loop {loops[0]!r} of the graph", advice=advice, code="E-CUT-UNKNOWN")

    def without_layers(self, cut: Cut) -> CutError:
        problem = f"The graph of the model has no operation {cut.layer!r}"
        return CutError(problem, found="a graph without operations", advice="at=asc.INPUT", code="E-CUT-UNKNOWN")


def free_spec(path: Path, leaf: Any) -> Any:
    """A tensor as its specification, with any number of rows; other arguments as they are."""
    free = isinstance(leaf, tf.Tensor) and leaf.shape.rank
    return tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype) if free else fixed_spec(path, leaf)


def fixed_spec(path: Path, leaf: Any) -> Any:
    """A tensor as its specification, with its own shape; other arguments as they are."""
    return tf.type_spec_from_value(leaf) if isinstance(leaf, (tf.Tensor, tf.RaggedTensor, tf.SparseTensor)) else leaf


def function_of(model: Any) -> Any:
    """The function to call: the model, or the signature of a loaded SavedModel. Raises BackendError where there is none, or several."""
    if callable(model):
        return model
    signatures = getattr(model, "signatures", None) or {}
    if "serving_default" in signatures or len(signatures) == 1:
        return signatures.get("serving_default") or next(iter(signatures.values()))
    there = f"the signatures {', '.join(signatures)}" if signatures else "no signatures"
    advice = "loaded.signatures['name'], or a tf.function of the loaded object: loaded.serve"
    raise BackendError("The loaded SavedModel cannot be called", found=there, advice=advice)


def runner_of(model: Any) -> Runner:
    """The way in which a model is run: modules and plain functions eagerly, others through their graph."""
    loaded = type(model).__module__ == "tensorflow.python.saved_model.load"
    traced = isinstance(model, (FUNCTION, ConcreteFunction)) and host_of(model) is None
    return GraphRunner(model) if loaded or traced else ModuleRunner(model)


def check_seen(demands: Sequence[Demand]) -> None:
    """Raises CutError for a demand at a layer that has not seen a value."""
    for demand in demands:
        if demand.cut.layer and not demand.seen:
            raise nothing_seen(demand)
