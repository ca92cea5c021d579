"""The same calls to captum 0.9.0 and to ``ascribe.compat.captum``, in double precision: the same numbers in the same form."""

from __future__ import annotations

import inspect
from typing import Any

import captum.attr as ca
import pytest

import ascribe.compat.captum.attr as oa
from tests.support.captum_cases import CASES, HOMES, Case, Home, arguments, same

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

LATER = {"LLM", "Remote", "VLLM", "Interpretable", "TextT", "ImageMask"}
NAMES = [n for n in ca.__all__ if n.startswith("InterpretableEmb") or not any(n.startswith(word) for word in LATER)]
CLASSES = [n for n in NAMES if inspect.isclass(getattr(ca, n))]
METHODS = [n for n in CLASSES if issubclass(getattr(ca, n), ca.Attribution)]


def tried(case: Case, home: Home, options: dict[str, Any], neuron: Any, **ours: Any) -> tuple[Any, Any]:
    """What each library says; the layer's input too is asked for where the class has that."""
    theirs_, call = arguments(case, home, getattr(ca, case.name), options, neuron)
    ours_, _ = arguments(case, home, getattr(oa, case.name), options, neuron)
    return ours_.attribute(**call, **ours), theirs_.attribute(**call)


@pytest.mark.parametrize("home", HOMES.values(), ids=lambda home: home.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name + "".join(f" {k}={v}" for k, v in case.init.items()))
def test_the_same_numbers(case: Case, home: Home) -> None:
    if case.name == "GuidedGradCam" and not home.name.startswith("a position"):
        return  # a map needs places
    side = "attribute_to_neuron_input" if case.place == "Neuron" else "attribute_to_layer_input"
    sides = [{}, {side: True}] if "in" in case.takes.split() else [{}]
    for options in case.options:
        for entering in sides:
            if entering and "LayerDeepLift" in case.name and home.layer in ("relu", "act"):
                continue  # captum's is wrong there: test_the_input_of_a_rectifier
            for neuron in home.neurons if case.place == "Neuron" else (None,):
                ours, theirs = tried(case, home, {**options, **entering}, neuron)
                same(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_there_and_say_what_they_are(name: str) -> None:
    assert name in oa.__all__
    assert getattr(oa, name).__doc__ or name in ("StatValue", "visualization")


def taken(method: Any) -> list[tuple[str, Any, Any]]:
    """A method's arguments with their kinds and defaults; functions as defaults are all alike."""
    shown = [p for p in inspect.signature(method).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    return [(p.name, p.kind, "a function" if inspect.isroutine(p.default) else p.default) for p in shown]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("method", ["__init__", "attribute", "compute_convergence_delta"])
def test_signatures(name: str, method: str) -> None:
    theirs, ours = (getattr(getattr(where, name), method, None) for where in (ca, oa))
    if inspect.isfunction(theirs) and "Embedding" not in name:
        assert taken(ours) == taken(theirs)


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_says_of_itself(name: str) -> None:
    theirs, ours = (getattr(where, name) for where in (ca, oa))
    assert ours.get_name() == theirs.get_name()
    bases = [b.__name__ for b in theirs.__mro__ if b.__name__ in ("GradientAttribution", "PerturbationAttribution", "LayerAttribution",
                                                                 "NeuronAttribution", "Attribution")]  # fmt: skip
    assert all(issubclass(ours, getattr(oa, b)) for b in bases)
    home = HOMES["a class"]
    inner = {"NoiseTunnel": "IntegratedGradients", "DataLoaderAttribution": "FeatureAblation"}
    if name == "LimeBase":
        return
    made = []
    for where, kind in ((ca, theirs), (oa, ours)):
        if name in inner:
            made.append(kind(getattr(where, inner[name])(home.model)))
        else:
            made.append(kind(home.model, home.module) if "layer" in inspect.signature(kind.__init__).parameters else kind(home.model))
    assert made[1].has_convergence_delta() == made[0].has_convergence_delta()
    assert made[1].multiplies_by_inputs == made[0].multiplies_by_inputs
    shown = {"forward_func", "layer", "device_ids", "model"} & vars(made[0]).keys()
    assert all(getattr(made[1], key) is getattr(made[0], key) for key in shown if name not in inner)
