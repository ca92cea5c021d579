"""How black boxes are called: functions, estimators in scikit-learn's manner, ONNX sessions. All with NumPy in and NumPy out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import as_numpy, is_array, is_table
from ...errors import BackendError, InputError, ModelError
from ...tree import map_leaves

METHODS = ("predict_proba", "decision_function", "predict")
NUMBERS = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(int64)": "i8", "tensor(int32)": "i4"}


@dataclass(frozen=True)
class BlackBox:
    """Any model as nothing but a function of arrays, whatever framework is in it: ``attribute(BlackBox(f), x, over=...)``.

    ``method`` names what is called, where that is not the object itself: ``BlackBox(forest, "predict")``.
    """

    model: Any
    method: str | None = None

    ascribe_backend = "blackbox"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return (self.model if self.method is None else getattr(self.model, self.method))(*args, **kwargs)


@dataclass(frozen=True)
class Runner:
    """A function to call, a note on how it was chosen, and the names of the classes.

    ``ids`` says that it returns the predicted class, not scores of classes; ``regresses`` that its numbers are no classes' at all.
    """

    call: Callable[..., Any]
    note: str = ""
    class_names: tuple[str, ...] | None = None
    ids: bool = False
    regresses: bool = False


def is_estimator(model: Any) -> bool:
    """True if something predicts in the manner of scikit-learn."""
    return not isinstance(model, type) and any(callable(getattr(model, name, None)) for name in METHODS)


def is_onnx(model: Any) -> bool:
    """True if something is a session of ONNX Runtime, or behaves like one."""
    return not isinstance(model, type) and all(callable(getattr(model, name, None)) for name in ("get_inputs", "get_outputs", "run"))


def runner_for(model: Any) -> Runner:
    """How to call a model. Raises BackendError for what cannot be called at all."""
    if isinstance(model, BlackBox) and model.method is None and (is_estimator(model.model) or is_onnx(model.model)):
        model = model.model
    if isinstance(model, BlackBox):
        names = names_of(model.model) if model.method in METHODS[:2] else None
        return Runner(model, "", names, *predicting(model.model, model.method))
    if is_onnx(model):
        onnx = Onnx(model)
        others = [name for name in onnx.outputs if name != onnx.output]
        choice = f"; another one with on=asc.OUTPUT.at({others[0]!r}) of a quantity" if others else ""
        return Runner(onnx, f"output {onnx.output!r} of the ONNX session is explained{choice}")
    if is_estimator(model):
        return estimator(model)
    if callable(model):
        return Runner(model, "", None, *predicting(getattr(model, "__self__", None), getattr(model, "__name__", None)))
    advice = "a function of arrays, an estimator, or an ONNX session"
    raise BackendError("The first argument is not a model", found=f"an object of type {type(model).__name__}", advice=advice)


def estimator(model: Any) -> Runner:
    """Probabilities where there are some, else decisions, else predictions; predicted classes as 0 and 1 for each class."""
    method = next(name for name in METHODS if callable(getattr(model, name, None)))
    names = names_of(model)
    note = f"{type(model).__name__}.{method} is explained"
    if method == "predict" and names is not None:
        classes = np.asarray(model.classes_)
        return Runner(lambda *a, **k: (as_numpy(model.predict(*a, **k)).reshape(-1, 1) == classes).astype(float), note, names)
    call = getattr(model, method)
    if method == "predict_proba" and names is None and isinstance(getattr(model, "classes_", None), list):
        return Runner(lambda *a, **k: tuple(call(*a, **k)), note)  # several things predicted at once: a list of tables
    return Runner(call, note, names if method == "predict_proba" else None, regresses=method == "predict")


def predicting(owner: Any, method: str | None) -> tuple[bool, bool]:
    """Two Booleans: a method of an estimator returns ids of classes; it returns the numbers of a regressor."""
    if method != "predict" or not is_estimator(owner):
        return False, False
    classifies = names_of(owner) is not None or any(callable(getattr(owner, name, None)) for name in METHODS[:2])
    return classifies, not classifies


def names_of(model: Any) -> tuple[str, ...] | None:
    """The classes of an estimator."""
    classes = getattr(model, "classes_", None)
    return None if classes is None or any(map(np.ndim, classes)) else tuple(map(str, classes))


class Outputs(dict[str, Any]):
    """Several outputs by their names, of which one, ``main``, is explained unless a quantity is read at another."""

    main = ""

    @classmethod
    def of(cls, named: Mapping[str, Any], main: str) -> Outputs:
        """Outputs with the name of the one that is explained."""
        outputs = cls(named)
        outputs.main = main
        return outputs


class Onnx:
    """A session as a function: arguments by position or name, each in the type its input has; the scores of all classes come back.

    A table alone gives its columns to the inputs of their names, where there are several.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.inputs = [(i.name, NUMBERS.get(i.type)) for i in session.get_inputs()]
        outputs = [o for o in session.get_outputs() if any(kind in o.type for kind in ("float", "double", "map"))]
        if not outputs:
            there = ", ".join(f"{o.name}: {o.type}" for o in session.get_outputs())
            advice = "an export of the model that returns scores or probabilities"
            raise BackendError("The ONNX session has no output of floating-point scores", found=there, advice=advice)
        self.outputs = [o.name for o in outputs]
        self.output = next((name for name in self.outputs if "prob" in name), self.outputs[0])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        known = dict(self.inputs)
        alone: Any = args[0] if len(args) == 1 and not kwargs else None
        if len(known) > 1 and is_table(alone):
            given = {name: alone[[name]] for name in known if name in alone.columns}
        else:
            given = dict(zip(known, args, strict=False)) | kwargs
        if len(args) > len(known) or given.keys() != known.keys():
            more = f" and {len(args) - len(known)} more" if len(args) > len(known) else ""
            arguments = f"the arguments {', '.join(given)}" if given else "no arguments"
            there = f"the inputs {', '.join(known)}, and {arguments}{more}"
            advice = "one array for each input, by position or by name"
            raise InputError("The ONNX session needs one argument for each of its inputs", found=there, advice=advice)
        feeds = {name: np.asarray(a, known[name]) for name, a in given.items()}
        found = self.session.run(self.outputs, feeds)
        return found[0] if len(found) == 1 else Outputs.of(dict(zip(self.outputs, found, strict=True)), self.output)


def as_arrays(output: Any) -> tuple[Any, bool]:
    """The output of a model as NumPy: of lists of numbers, of dictionaries (a row's score for each class), of other frameworks' arrays.

    Also returns True if it was one array of integers. Raises ModelError if there are no numbers in it.
    """
    found = converted(output)
    if is_array(found) and found.dtype.kind not in "fiub":
        what, there = "The model must return numbers, one row for each record", f"an array of type {found.dtype}"
        raise ModelError(what, found=there, advice="model.predict_proba for a classifier", code="E-MODEL-OUTPUT")
    whole = bool(is_array(found) and found.dtype.kind in "iub")
    return (found.astype(np.float64) if whole else found), whole


def converted(output: Any) -> Any:
    """Lists, tables and arrays as NumPy, wherever they are; a list is never a structure."""
    if isinstance(output, list) and output and isinstance(output[0], Mapping):
        return np.array([[row[key] for key in output[0]] for row in output], dtype=np.float64)
    if isinstance(output, Outputs):
        return Outputs.of({key: converted(part) for key, part in output.items()}, output.main)
    if isinstance(output, Mapping):
        return {key: converted(part) for key, part in output.items()}
    if isinstance(output, tuple):
        parts = map(converted, output)
        return type(output)(*parts) if hasattr(output, "_fields") else tuple(parts)
    if isinstance(output, list) or is_array(output) or is_table(output):
        return as_numpy(output)
    return map_leaves(output, lambda _, leaf: as_numpy(leaf) if is_array(leaf) else leaf)
