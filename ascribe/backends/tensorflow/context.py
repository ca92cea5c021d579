"""A TensorFlow model with one call of it: what every part of a session works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ...calls.call import Call
from ...cuts import Cut
from ...errors import AscribeError, InputError, ModelError
from ...tree import Path
from ...utils.hints import unexpected_hint
from ..device import Host
from .arguments import TensorflowInputs
from .axes import Axis
from .demands import Demand
from .keras_models import keras_runner
from .memory import facts_of
from .modules import floating_type
from .runners import runner_of


class TensorflowDevice(Host):
    """The computer, and the accelerators that TensorFlow places operations on."""

    def out_of_memory(self, error: BaseException) -> bool:
        """True for MemoryError, and for ResourceExhaustedError of TensorFlow."""
        return super().out_of_memory(error) or isinstance(error, tf.errors.ResourceExhaustedError)


class Context:
    """A model, its arguments, and what is known of both."""

    def __init__(self, model: Any, call: Call) -> None:
        self.model = model
        self.runner = keras_runner(model) or runner_of(model)
        self.call = self.runner.named(call)
        self.variables = self.runner.variables()
        self.inputs = TensorflowInputs(self.call, floating_type(self.variables))
        self.records = self.inputs.records
        self.runner.arguments = self.one_record
        self.facts, self.device = facts_of(model, self.variables, self.inputs.signature(self.call)), TensorflowDevice()
        self.axes: dict[Cut, tuple[Axis, ...]] = {}
        self.kinds: dict[tuple[Cut, Path], Any] = {}
        """The data types of the arrays at cuts that a run has seen."""
        self.wanted: dict[Cut, None] = {}
        """The cuts of the call, whose record axes are found out together."""
        self.notes: list[str] = []

    def one_record(self) -> tuple[Any, Any]:
        """The arguments of the call for the first record, or for all where they cannot be apart."""
        args, kwargs = self.inputs.tensors(np.arange(self.records if self.inputs.counted.together else 1), 1, {})
        return args, kwargs

    def run(self, args: Any, kwargs: Any, demands: Sequence[Demand], recorder: Any = None) -> Any:
        """Runs the model, under a recorder if there is one. Raises ModelError or InputError for what the model itself raises."""
        try:
            return self.runner.run(args, kwargs, demands) if recorder is None else self.runner.record(args, kwargs, demands, recorder)
        except AscribeError:
            raise
        except Exception as wrong:
            if self.device.out_of_memory(wrong):
                raise
            raise self.failure(wrong) from wrong

    def failure(self, wrong: Exception) -> AscribeError:
        """The error for an exception of the model."""
        first = next((line.strip() for line in str(wrong).splitlines() if line.strip()), type(wrong).__name__)
        leaves = self.inputs.leaves.items()
        given = ", ".join(f"{'.'.join(map(str, p[1:]))} {tuple(a.shape)} {self.inputs.kinds[p].name}" for p, a in leaves)
        advice = unexpected_hint(first, self.call.kwargs)
        flat = all(a.ndim in (1, 3) for _, a in leaves)
        if advice is None and flat and any(word in first.lower() for word in ("shape", "dimension", "rank", "size")):
            advice = "x[None] if the input has no batch dimension"
        if "variables which have been deleted" in first:
            advice = "loaded = tf.saved_model.load(path), kept in a variable: its functions do not keep its variables"
        if advice is None and "dtype" in first:
            what = "The model and its inputs must have the same data type"
            return InputError(what, found=f"a call with {given}, and {first}", advice="tf.cast(x, model.variables[0].dtype)")
        return ModelError(
            f"The model raised {type(wrong).__name__}: {first}",
            found=f"a call with {given}",
            advice=advice or "the same call without ascribe, to see the model's own trace above",
            code="E-MODEL-RUN",
        )
