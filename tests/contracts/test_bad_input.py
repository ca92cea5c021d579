"""What users get wrong: a defined result, or an error of our own tree with a stable code; never a silent number, never a raw one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError, BackendError, CutError, DistributionError, InputError, ModelError, QuantityError, RuleError
from tests.support.odd_models import ByHand, Named, OneHot, Pair, Picked, Pictures, TimeFirst, Words, answers, rows, seeded, table
from tests.support.snapshots import unchanged

X, IDS = rows(2, 4), torch.tensor([[3, 4, 5], [6, 7, 0]])
PICTURE = rows(2, 3, 8, 8)
LINE = asc.Line(0.0, steps=3)


Refused = tuple[Callable[[], nn.Module], Callable[[Any], Any], type[AscribeError], str]

TARGETS: dict[str, Refused] = {
    "out of range": (table, lambda m: asc.attribute(m, X, of=99), QuantityError, "E-TARGET-RANGE"),
    "negative": (table, lambda m: asc.attribute(m, X, of=-1), QuantityError, "E-TARGET-RANGE"),
    "one of many out of range": (table, lambda m: asc.attribute(m, X, of=[0, 7]), QuantityError, "E-TARGET-RANGE"),
    "one of many negative": (table, lambda m: asc.attribute(m, X, of=torch.tensor([-1, 0])), QuantityError, "E-TARGET-RANGE"),
    "contrast out of range": (table, lambda m: asc.attribute(m, X, of=asc.Contrast(0, 5)), QuantityError, "E-TARGET-RANGE"),
    "probability out of range": (table, lambda m: asc.attribute(m, X, of=asc.Prob(9)), QuantityError, "E-TARGET-RANGE"),
    "not whole": (table, lambda m: asc.attribute(m, X, of=1.5), QuantityError, "E-TARGET-TYPE"),
    "not whole among many": (table, lambda m: asc.attribute(m, X, of=torch.tensor([0.0, 1.5])), QuantityError, "E-TARGET-TYPE"),
    "a flag": (table, lambda m: asc.attribute(m, X, of=True), QuantityError, "E-TARGET-TYPE"),
    "flags": (table, lambda m: asc.attribute(m, X, of=[True, False]), QuantityError, "E-TARGET-TYPE"),
    "NaN": (table, lambda m: asc.attribute(m, X, of=float("nan")), QuantityError, "E-TARGET-TYPE"),
    "too many": (table, lambda m: asc.attribute(m, X, of=[0, 1, 2]), QuantityError, "E-TARGET-COUNT"),
    "too few": (table, lambda m: asc.attribute(m, rows(3, 4), of=[0, 1]), QuantityError, "E-TARGET-COUNT"),
    "none at all": (table, lambda m: asc.attribute(m, X, of=[]), QuantityError, "E-TARGET-COUNT"),
    "a table": (table, lambda m: asc.attribute(m, X, of=torch.zeros(2, 2, dtype=torch.long)), QuantityError, "E-TARGET-SHAPE"),
    "name without names": (table, lambda m: asc.attribute(m, X, of="cat"), QuantityError, "E-TARGET-NAME"),
    "name that is not there": (Named, lambda m: asc.attribute(m, X, of="cow"), QuantityError, "E-TARGET-NAME"),
    "a quantity's class": (table, lambda m: asc.attribute(m, X, of=asc.PredictedClass), QuantityError, "E-QUANTITY"),
    "a dict": (table, lambda m: asc.attribute(m, X, of={"class": 1}), QuantityError, "E-QUANTITY"),
    "a slice of nothing": (table, lambda m: asc.attribute(m, X, of=asc.Unit(slice(7, 9))), QuantityError, "E-TARGET-RANGE"),
    "labels that are none": (table, lambda m: asc.attribute(m, X, of=asc.Labels(3)), QuantityError, "E-QUANTITY-RAISED"),
    "too many positions": (table, lambda m: asc.attribute(m, X, of=(0, 1)), QuantityError, "E-TARGET-SHAPE"),
    "too few positions": (lambda: answers("sequence"), lambda m: asc.attribute(m, X, of=1), QuantityError, "E-TARGET-SHAPE"),
    "no class in a sequence": (lambda: answers("sequence"), lambda m: asc.attribute(m, X), QuantityError, "E-TARGET-SHAPE"),
    "several outputs": (lambda: answers("two"), lambda m: asc.attribute(m, X), QuantityError, "E-TARGET-WHICH"),
    "no output": (lambda: answers("none"), lambda m: asc.attribute(m, X), QuantityError, "E-TARGET-WHICH"),
    "a number as output": (lambda: answers("number"), lambda m: asc.attribute(m, X), QuantityError, "E-TARGET-WHICH"),
    "a NumPy output": (lambda: answers("numpy"), lambda m: asc.attribute(m, X), ModelError, "E-QUANTITY-TYPE"),
    "a mean loss": (lambda: answers("scalar"), lambda m: asc.attribute(m, X), InputError, "E-RECORDS"),
    "fewer rows than records": (lambda: answers("half as many"), lambda m: asc.attribute(m, X), InputError, "E-RECORDS"),
    "whole numbers": (lambda: answers("whole"), lambda m: asc.attribute(m, X), QuantityError, "E-QUANTITY-INTEGER"),
    "a function that raises": (table, lambda m: asc.attribute(m, X, of=lambda y: y[:, 99]), QuantityError, "E-QUANTITY-RAISED"),
    "a function of one number": (table, lambda m: asc.attribute(m, X, of=lambda y: y.sum()), InputError, "E-RECORDS"),
    "a function of no tensor": (table, lambda m: asc.attribute(m, X, of=lambda y: 3.0), ModelError, "E-QUANTITY-TYPE"),
    "quantities at two places": (
        table, lambda m: asc.attribute(m, X, of=[asc.Unit(0), asc.Unit(0, on=asc.Cut("0"))]), QuantityError, "E-QUANTITY"),
    "a box outside": (lambda: seeded(nn.Conv2d(3, 2, 3)), lambda m: asc.attribute(m, PICTURE, of=asc.Box(0, (0, 0, 9, 2))),
                      QuantityError, "E-QUANTITY"),
    "an empty mask": (lambda: seeded(nn.Conv2d(3, 2, 3)), lambda m: asc.attribute(m, PICTURE, of=asc.Region(0, np.zeros((6, 6)))),
                      QuantityError, "E-QUANTITY"),
}  # fmt: skip


def line(baseline: Any, **more: Any) -> asc.Line:
    return asc.Line(baseline, steps=3, **more)


PATHS: dict[str, Refused] = {
    "baseline too wide": (table, lambda m: asc.attribute(m, X, over=line(torch.zeros(2, 7))), DistributionError, "E-BASELINE-SHAPE"),
    "baseline of other records": (
        table, lambda m: asc.attribute(m, X, over=line(torch.zeros(3, 4))), DistributionError, "E-BASELINE-SHAPE"),
    "baseline with an axis too many": (
        table, lambda m: asc.attribute(m, X, over=line(torch.zeros(1, 1, 4))), DistributionError, "E-BASELINE-SHAPE"),
    "baseline of a wrong kind": (table, lambda m: asc.attribute(m, X, over=line(object())), DistributionError, "E-BASELINE-TYPE"),
    "baseline of words": (table, lambda m: asc.attribute(m, X, over=line(["a", "b"])), DistributionError, "E-BASELINE-TYPE"),
    "baseline not known": (table, lambda m: asc.attribute(m, X, over=line("black")), DistributionError, "E-DISTRIBUTION"),
    "baseline blurred in a table": (table, lambda m: asc.attribute(m, X, over=line("blur")), DistributionError, "E-DISTRIBUTION"),
    "three baselines for two": (
        lambda: seeded(Pair()), lambda m: asc.attribute(m, X, rows(2, 2), over=line((0, 0, 0))), DistributionError, "E-BASELINE-COUNT"),
    "baseline by a wrong name": (
        lambda: seeded(Pair()), lambda m: asc.attribute(m, X, rows(2, 2), over=line({"c": 0})), DistributionError, "E-DISTRIBUTION"),
    "baseline function of a wrong shape": (
        table, lambda m: asc.attribute(m, X, over=line(lambda x: x[:, :2])), DistributionError, "E-BASELINE-SHAPE"),
    "baseline function that raises": (
        table, lambda m: asc.attribute(m, X, over=line(lambda x: x / "2")), DistributionError, "E-BASELINE-RAISED"),
    "baseline call of other records": (
        table, lambda m: asc.attribute(m, X, over=line(asc.Call(rows(3, 4)))), DistributionError, "E-BASELINE-SHAPE"),
    "background of a wrong shape": (
        table, lambda m: asc.attribute(m, X, over=asc.Background(rows(3, 2))), DistributionError, "E-BASELINE-SHAPE"),
    "background without rows": (
        table, lambda m: asc.attribute(m, X, over=asc.Background(torch.zeros(0, 4))), DistributionError, "E-BASELINE-SHAPE"),
    "background of unequal length": (
        lambda: seeded(Pair()), lambda m: asc.attribute(m, X, rows(2, 2), over=asc.Background((rows(3, 4), rows(2, 2)))),
        DistributionError, "E-BASELINE-COUNT"),
    "no mask token among floats": (
        table, lambda m: asc.attribute(m, X, over=line(asc.distributions.MaskedTokens(3))), DistributionError, "E-DISTRIBUTION"),
    "no steps": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, steps=0)), DistributionError, "E-DISTRIBUTION"),
    "half a step": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, steps=2.5)), DistributionError, "E-DISTRIBUTION"),
    "steps a flag": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, steps=True)), DistributionError, "E-DISTRIBUTION"),
    "steps a word": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, steps="many")), DistributionError, "E-DISTRIBUTION"),
    "no such quadrature": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, quadrature="simpson")), DistributionError,
                           "E-DISTRIBUTION"),
    "tolerance of nothing": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, tolerance=0)), DistributionError, "E-DISTRIBUTION"),
    "tolerance a word": (table, lambda m: asc.attribute(m, X, over=asc.Line(0.0, tolerance="a")), DistributionError, "E-DISTRIBUTION"),
    "no samples": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(0.1, 0)), DistributionError, "E-DISTRIBUTION"),
    "half a sample": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(0.1, 2.5)), DistributionError, "E-DISTRIBUTION"),
    "negative noise": (table, lambda m: asc.attribute(m, X, over=asc.Uniform(-1.0, 4)), DistributionError, "E-DISTRIBUTION"),
    "noise of NaN": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(float("nan"), 4)), DistributionError, "E-DISTRIBUTION"),
    "noise without end": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(float("inf"), 4)), DistributionError, "E-DISTRIBUTION"),
    "noise a word": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian("a", 4)), DistributionError, "E-DISTRIBUTION"),
    "background samples a word": (
        table, lambda m: asc.attribute(m, X, over=asc.Background(X, samples="3")), DistributionError, "E-DISTRIBUTION"),
    "background samples a half": (
        table, lambda m: asc.attribute(m, X, over=asc.Background(X, samples=2.5)), DistributionError, "E-DISTRIBUTION"),
    "two noises": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian() * asc.Uniform()), DistributionError, "E-DISTRIBUTION"),
    "line before the background": (
        table, lambda m: asc.attribute(m, X, over=asc.Line(0.0) * asc.Background(X)), DistributionError, "E-DISTRIBUTION"),
    "a number": (table, lambda m: asc.attribute(m, X, over=5), DistributionError, "E-DISTRIBUTION"),
    "a class": (table, lambda m: asc.attribute(m, X, over=asc.Line), DistributionError, "E-DISTRIBUTION"),
    "rule a number": (table, lambda m: asc.attribute(m, X, by=5), RuleError, "E-RULE"),
    "rule a class": (table, lambda m: asc.attribute(m, X, by=asc.rules.Gradient), RuleError, "E-RULE"),
    "rule not there": (table, lambda m: asc.attribute(m, X, by=SimpleNamespace(compares=True)), RuleError, "E-RULE"),
    "seed below zero": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(), seed=-1), InputError, "E-SEED"),
    "seed a word": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(), seed="a"), InputError, "E-SEED"),
    "seed None": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(), seed=None), InputError, "E-SEED"),
    "seed a half": (table, lambda m: asc.attribute(m, X, over=asc.Gaussian(), seed=1.5), InputError, "E-SEED"),
    "chunk of none": (table, lambda m: asc.attribute(m, X, over=LINE, chunk=0), InputError, "E-CHUNK"),
    "chunk a word": (table, lambda m: asc.attribute(m, X, over=LINE, chunk="all"), InputError, "E-CHUNK"),
    "chunk a flag": (table, lambda m: asc.attribute(m, X, over=LINE, chunk=True), InputError, "E-CHUNK"),
    "chunk a float": (table, lambda m: asc.attribute(m, X, over=LINE, chunk=2.0), InputError, "E-CHUNK"),
}  # fmt: skip

PLACES: dict[str, Refused] = {
    "unknown": (table, lambda m: asc.attribute(m, X, at="fc"), CutError, "E-CUT-UNKNOWN"),
    "unknown for the points": (table, lambda m: asc.attribute(m, X, over=line(0.0, at=asc.Cut("fc"))), CutError, "E-CUT-UNKNOWN"),
    "unknown for the quantity": (
        table, lambda m: asc.attribute(m, X, of=asc.Unit(0, on=asc.Cut("fc"))), CutError, "E-CUT-UNKNOWN"),
    "unknown for the value": (table, lambda m: asc.activation(m, X, at="fc"), CutError, "E-CUT-UNKNOWN"),
    "never run": (table, lambda m: asc.attribute(m, X, at="0.spare"), CutError, "E-CUT-NOT-RUN"),
    "never run, a line": (
        table, lambda m: asc.attribute(m, X, at="0.spare", over=line(0.0, at=asc.Cut("0.spare"))), CutError, "E-CUT-NOT-RUN"),
    "a container that is not called": (
        lambda: seeded(Words()), lambda m: asc.attribute(m, IDS, at="tables"), CutError, "E-CUT-NOT-RUN"),
    "a number": (table, lambda m: asc.attribute(m, X, at=3), CutError, "E-CUT"),
    "nothing": (table, lambda m: asc.attribute(m, X, at=None), CutError, "E-CUT"),
    "a module": (table, lambda m: asc.attribute(m, X, at=m[0]), CutError, "E-CUT"),
    "none at all": (table, lambda m: asc.attribute(m, X, at=[]), CutError, "E-CUT"),
    "a number for a layer": (table, lambda m: asc.attribute(m, X, at=asc.Cut(0)), CutError, "E-CUT"),
    "a word for a use": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", call="first")), CutError, "E-CUT"),
    "a list for a part": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", accessor=[0])), CutError, "E-CUT"),
    "a wrong side": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", "inside")), CutError, "E-CUT"),  # type: ignore[arg-type]
    "a wrong part": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", accessor=3)), CutError, "E-CUT"),
    "a wrong name for a part": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", accessor="states")), CutError, "E-CUT"),
    "an operation": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", op="add")), CutError, "E-CUT-OP"),
    "a later use": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", call=7)), CutError, "E-CUT-CALLS"),
    "a use below zero": (table, lambda m: asc.attribute(m, X, at=asc.Cut("0", call=-1)), CutError, "E-CUT-CALLS"),
    "a later use's value": (table, lambda m: asc.activation(m, X, at=asc.Cut("0", call=7)), CutError, "E-CUT-CALLS"),
    "the output": (table, lambda m: asc.attribute(m, X, at=asc.OUTPUT), CutError, "E-CUT-OUTPUT"),
    "points at the output": (table, lambda m: asc.attribute(m, X, over=line(0.0, at=asc.OUTPUT)), CutError, "E-CUT-OUTPUT"),
    "a missing argument": (table, lambda m: asc.attribute(m, X, at=asc.INPUT.at("mask")), CutError, "E-CUT-INTEGER"),
    "no embedding": (lambda: OneHot(), lambda m: asc.attribute(m, IDS), CutError, "E-CUT-EMBEDDINGS"),
    "two embeddings": (lambda: seeded(Words(2)), lambda m: asc.attribute(m, IDS), CutError, "E-CUT-EMBEDDINGS"),
    "probabilities by hand": (
        lambda: ByHand(), lambda m: asc.attribute(m, X, of=asc.Unit(0, on=asc.LOGITS)), CutError, "E-CUT-LOGITS"),
    "a layer of a function": (
        nn.Identity, lambda m: asc.attribute(torch.tanh, X, at="fc"), CutError, "E-CUT-FUNCTION"),
    "embeddings of a function": (
        nn.Identity, lambda m: asc.attribute(torch.tanh, IDS), CutError, "E-CUT-EMBEDDINGS"),
    "rows picked from records": (lambda: seeded(Picked()), lambda m: asc.attribute(m, rows(4, 4), at="fc"), CutError, "E-CUT-FOLDED"),
}  # fmt: skip


INPUTS: dict[str, Refused] = {
    "a vector": (table, lambda m: asc.attribute(m, X[0]), InputError, "E-RECORDS"),
    "a vector as wide as the output": (lambda: seeded(nn.Linear(4, 4)), lambda m: asc.attribute(m, X[0]), InputError, "E-RECORDS"),
    "one picture": (lambda: seeded(Pictures()), lambda m: asc.attribute(m, PICTURE[0]), ModelError, "E-MODEL-RUN"),
    "one picture, as many channels out": (
        lambda: seeded(nn.Conv2d(3, 3, 3)),
        lambda m: asc.attribute(m, PICTURE[0], of=asc.Total()),
        InputError,
        "E-RECORDS",
    ),
    "time first": (lambda: seeded(TimeFirst()), lambda m: asc.attribute(m, rows(5, 2, 4)), InputError, "E-RECORDS"),
    "time first, as many steps as records": (
        lambda: seeded(TimeFirst()),
        lambda m: asc.attribute(m, rows(3, 3, 4)),
        InputError,
        "E-RECORDS",
    ),
    "no records": (table, lambda m: asc.attribute(m, X[:0]), InputError, "E-INPUT"),
    "no arguments": (table, lambda m: asc.attribute(m), InputError, "E-INPUT"),
    "lists": (table, lambda m: asc.attribute(m, [[1.0, 2.0, 3.0, 4.0]]), InputError, "E-INPUT"),
    "a number": (table, lambda m: asc.attribute(m, 3.0), InputError, "E-INPUT"),
    "a number's tensor": (table, lambda m: asc.attribute(m, torch.tensor(3.0)), InputError, "E-INPUT"),
    "sparse": (table, lambda m: asc.attribute(m, X.to_sparse()), InputError, "E-INPUT-LAYOUT"),
    "masked": (table, lambda m: asc.attribute(m, np.ma.masked_array(X.numpy(), X.numpy() > 0)), InputError, "E-INPUT-LAYOUT"),
    "complex": (table, lambda m: asc.attribute(m, X.to(torch.complex64)), InputError, "E-INPUT-COMPLEX"),
    "nested": (table, lambda m: asc.attribute(m, torch.nested.nested_tensor([X[0], X[1]])), InputError, "E-INPUT-LAYOUT"),
    "on another device": (table, lambda m: asc.attribute(m, X.to("meta")), InputError, "E-DEVICE"),
    "model on another device": (lambda: table().to("meta"), lambda m: asc.attribute(m, X), InputError, "E-DEVICE"),
    "all without numbers": (lambda: table().to("meta"), lambda m: asc.attribute(m, X.to("meta"), over=LINE), InputError, "E-DEVICE"),
    "too wide": (table, lambda m: asc.attribute(m, rows(2, 7)), ModelError, "E-MODEL-RUN"),
    "an argument too many": (table, lambda m: asc.attribute(m, X, X), ModelError, "E-MODEL-RUN"),
    "a wrong argument": (table, lambda m: asc.attribute(m, X, volume=3), ModelError, "E-MODEL-RUN"),
    "words": (table, lambda m: asc.attribute(m, "a film", x=X), ModelError, "E-MODEL-RUN"),
    "floating ids": (lambda: seeded(Words()), lambda m: asc.attribute(m, IDS.float()), ModelError, "E-MODEL-RUN"),
    "ids out of range": (lambda: seeded(Words()), lambda m: asc.attribute(m, IDS + 20), ModelError, "E-MODEL-RUN"),
    "lazy layers": (lambda: nn.LazyLinear(3), lambda m: asc.attribute(m, X), ModelError, "E-MODEL-LAZY"),
    "no model": (nn.Identity, lambda m: asc.attribute("resnet18", X), BackendError, "E-BACKEND"),
    "nothing": (nn.Identity, lambda m: asc.attribute(None, X), BackendError, "E-BACKEND"),
    "no arrays, no framework": (nn.Identity, lambda m: asc.attribute(lambda x: x, X.tolist()), InputError, "E-INPUT"),
    "the model last": (table, lambda m: asc.attribute(X, m), BackendError, "E-BACKEND"),
}

ALL = {f"{group}: {name}": row for group, found in
       {"target": TARGETS, "path": PATHS, "place": PLACES, "input": INPUTS}.items() for name, row in found.items()}  # fmt: skip


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
@pytest.mark.parametrize("name", ALL)
def test_refused(name: str) -> None:
    make, ask, kind, code = ALL[name]
    model = make()
    with unchanged(*([] if code == "E-MODEL-LAZY" else [model]), arguments=[X, IDS, PICTURE]), pytest.raises(AscribeError) as caught:
        ask(model)
    error = caught.value
    assert isinstance(error, kind)
    assert error.code == code
    assert str(error).endswith(f"[{code}]")
    assert len(str(error)) < 600
    found = str(error).partition(" Try: ")[0]  # no dump of what was given
    assert "tensor(" not in found
    assert "array(" not in found


def said(name: str, found: asc.Attribution) -> Any:
    """What a result's check of this name says; None if it has none."""
    return next((check for check in found.checks if check.name == name), None)


@pytest.mark.parametrize("of", [2, np.int64(2), np.uint8(2), 2.0, np.float32(2), torch.tensor(2), torch.tensor(2.0), (2,), [2, 2],
                                np.array([2, 2]), torch.tensor([2, 2]), torch.tensor([2.0, 2.0]), ["bird", "bird"], "bird",
                                asc.Unit(2), asc.Labels((2, "bird"))])  # fmt: skip
def test_every_spelling_of_a_class_is_that_class(of: Any) -> None:
    model = seeded(Named())
    found = asc.attribute(model, X, of=of)
    assert torch.allclose(found.values, X * model.fc.weight[2])
    assert found.target is not None
    assert found.target.tolist() == [2, 2]


def test_the_default_is_the_predicted_class_and_the_result_says_which() -> None:
    model = table()
    found = asc.attribute(model, X)
    assert found.target is not None
    assert found.target.tolist() == model(X).argmax(1).tolist()
    assert torch.equal(found.values, asc.attribute(model, X, of=model(X).argmax(1)).values)


@pytest.mark.parametrize("form", ["tuple", "list", "dict", "other dict", "dataclass", "namespace"])
@pytest.mark.filterwarnings("ignore:completeness")
def test_scores_are_found_in_every_container(form: str) -> None:
    plain = asc.attribute(answers("one column"), X, over=LINE)
    model = answers(form)
    found = asc.attribute(model, X, of=0, over=LINE)
    assert torch.allclose(found.values, plain.values)


@pytest.mark.parametrize("form", ["one score", "one column"])
def test_a_model_with_one_score(form: str) -> None:
    model = answers(form)
    for of in (None, 0, asc.Total()):
        found = asc.attribute(model, X, of=of)
        assert torch.allclose(found.values, X * model.fc.weight[0])


def test_several_outputs_are_told_apart_by_an_accessor() -> None:
    model = answers("two")
    first, second = (asc.attribute(model, X, of=asc.Unit(0, on=asc.OUTPUT.at(i))).values for i in (0, 1))
    assert torch.allclose(second, 2 * first)
    assert torch.allclose(asc.attribute(model, X, of=lambda y: y[1][:, 0]).values, second)


def test_ids_are_explained_at_their_embeddings() -> None:
    model = seeded(Words())
    found = asc.attribute(model, IDS)
    assert found.values.shape == (2, 3, 4)
    assert "tables.0" in found.cut
    assert "token ids" in said("model", found).detail


def test_ids_without_a_place_of_their_own_are_explained_inside() -> None:
    for model in (seeded(Words(2)), seeded(nn.Sequential(OneHot(), nn.Linear(20, 4), nn.Linear(4, 3)))):
        layer = "fc" if isinstance(model, Words) else "1"
        assert asc.influence(model, IDS, of=1, at=layer).values.shape[0] == 2


@pytest.mark.filterwarnings("error")
def test_numpy_in_numpy_out() -> None:
    model, x = table(), X.numpy()
    read_only = np.frombuffer(x.tobytes(), np.float32).reshape(2, 4)
    for array in (x, x.astype(np.float64), x.astype(np.longdouble), x[::-1], np.asfortranarray(x), read_only, x.astype(">f4")):
        with unchanged(model, arguments=array):
            found = asc.attribute(model, array, of=1)
        assert isinstance(found.values, np.ndarray)
        assert isinstance(found.record, np.ndarray)
        assert np.allclose(found.values, asc.attribute(model, torch.tensor(array.astype(np.float32)), of=1).values)


def test_baselines_without_a_record_axis_are_broadcast() -> None:
    model = table()
    start = rows(4, seed=3)
    truth = asc.attribute(model, X, of=1, over=asc.Line(start.expand(2, 4), steps=8)).values
    for baseline in (start, start[None], start.numpy(), start.tolist(), [start], {"input 0": start}, {0: start}, lambda x: start,
                     asc.Call(start.expand(2, 4)), asc.Call(start[None]), start.double()):  # fmt: skip
        assert torch.allclose(asc.attribute(model, X, of=1, over=asc.Line(baseline, steps=8)).values, truth, atol=1e-6)


@pytest.mark.parametrize("number", [0, 0.0, 0.5, np.float64(0.5), np.int64(1), torch.tensor(0.5), None, "zeros"])
@pytest.mark.filterwarnings("ignore:completeness")
def test_baselines_as_numbers(number: Any) -> None:
    model = table()
    value = 0.0 if number is None or isinstance(number, str) else float(number)
    truth = asc.attribute(model, X, of=1, over=asc.Line(torch.full((2, 4), value), steps=4)).values
    assert torch.equal(asc.attribute(model, X, of=1, over=asc.Line(number, steps=4)).values, truth)


def test_wrong_precision_is_cast_and_said() -> None:
    model = table()
    truth = asc.attribute(model, X, of=1).values
    for other in (X.double(), X.half(), X.bfloat16()):
        found = asc.attribute(model, other, of=1)
        assert torch.allclose(found.values.float(), truth, atol=0.05)
        assert "cast" in said("model", found).detail
    for method in (asc.DeepLift(), asc.DeepLift(X[:1].double()), asc.DeepLiftShap(X.double()), asc.LRP(), asc.SmoothGrad(3)):
        torch.testing.assert_close(method(model, X.double(), of=1).values, method(model, X, of=1).values)
    half = table().half()
    found = asc.attribute(half, X, of=1, over=asc.Line(0.0, steps=8))
    assert "float16" in said("model", found).detail


def test_nan_is_found_and_placed() -> None:
    model, x = table(), X.clone()
    x[1, 2] = float("nan")
    for ask in (asc.attribute, asc.influence):
        with pytest.warns(asc.AscribeWarning, match=r"NaN in input 0\[1, 2\]"):
            found = ask(model, x, of=1)
        assert said("finite", found).status == "fail"
    relu = seeded(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)))
    with pytest.warns(asc.AscribeWarning, match="NaN"):
        asc.influence(relu, x, of=1)  # finite numbers come out of it
    with pytest.warns(asc.AscribeWarning, match="finite"):
        found = asc.attribute(model, X, of=1, over=asc.Line(torch.tensor([0.0, float("nan"), 0.0, 0.0]), steps=4))
    assert said("finite", found).status == "fail"


def test_infinity_is_found() -> None:
    x = X.clone()
    x[0, 1] = float("inf")
    with pytest.warns(asc.AscribeWarning, match="finite"):
        found = asc.attribute(table(), x, of=1)
    assert said("finite", found).records == (0,)


def test_training_mode_is_said_and_evaluation_is_what_runs() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 3)))
    truth = asc.attribute(model, X, of=1).values
    model.train()
    with pytest.warns(asc.AscribeWarning, match="training mode"), unchanged(model):
        found = asc.attribute(model, X, of=1)
    assert torch.equal(found.values, truth)
    assert "Dropout" in said("model", found).detail


def test_training_mode_without_a_layer_that_minds_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    found = asc.attribute(table().train(), X, of=1)
    assert said("model", found) is None
    assert not recwarn.list


@pytest.mark.parametrize("spelling", ["module", "in place", "function", "method", "clamp", "reused"])
def test_every_spelling_of_an_activation_gives_the_same(spelling: str) -> None:
    class Spelled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            kinds = {"module": nn.ReLU, "in place": lambda: nn.ReLU(inplace=True)}
            self.acts = nn.ModuleList(kinds[spelling]() for _ in range(2)) if spelling in kinds else nn.ModuleList([nn.ReLU()])

        def act(self, x: torch.Tensor, i: int) -> torch.Tensor:
            spelled = {"function": torch.relu, "method": torch.Tensor.relu, "clamp": lambda x: x.clamp(min=0), "reused": self.acts[0]}
            return spelled[spelling](x) if spelling in spelled else self.acts[i](x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(self.act(self.b(self.act(self.a(x), 0)), 1))

    model = seeded(Spelled())
    x = X.clone().requires_grad_()
    h = torch.relu(model.b(torch.relu(model.a(x))))
    truth = torch.autograd.grad(model.c(h)[:, 1].sum(), x)[0]
    assert torch.allclose(asc.influence(model, X, of=1).values, truth, atol=1e-6)
    steps = asc.attribute(model, X, of=1, over=asc.Line(0.0, steps=256))
    assert steps.gap is not None
    assert steps.gap.relative.max() < 0.02


def test_saturated_probabilities_are_noted() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)))
    assert said("saturation", asc.attribute(model, X * 1000, of=1)).status == "warn"
    assert said("saturation", asc.attribute(model, X * 0.01, of=1)).status == "ok"
    assert said("saturation", asc.attribute(model, X * 1000, of=asc.Unit(1, on=asc.LOGITS))).status == "skipped"


def test_nothing_but_zeros_is_noted() -> None:
    found = asc.attribute(table(), X, of=lambda y: y[:, 0] * 0)
    assert said("zero", found).records == (0, 1)
    with pytest.raises(asc.errors.CutError, match="a cut that it does not depend on"):
        asc.attribute(table(), X, at="2", of=asc.Unit(0, on=asc.Cut("0")))


def test_an_incomplete_result_warns() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), 5)
    with pytest.warns(asc.AscribeWarning, match="completeness"):
        found = asc.attribute(model, 50 * X, of=1, over=asc.Line(torch.full((4,), -40.0), 1, "riemann-left"))
    assert said("completeness", found).status == "fail"


def test_the_error_names_what_there_is() -> None:
    model = seeded(Pictures())
    with pytest.raises(CutError, match=r"no layer 'conv1'\. Found: Pictures with layers such as conv"):
        asc.attribute(model, PICTURE, at="conv1")
    with pytest.raises(InputError, match=r"x\[None\]"):
        asc.attribute(table(), X[0])
    with pytest.raises(ModelError, match=r"x\[None\]"):
        asc.attribute(model, PICTURE[0])
    with pytest.raises(QuantityError, match="4, counted from 0"):
        asc.attribute(table(), X, of=-1)
    with pytest.raises(QuantityError, match="'cat', 'dog', 'bird'"):
        asc.attribute(Named(), X, of="cow")
    with pytest.raises(DistributionError, match=r"\(2, 7\).*\(2, 4\)"):
        asc.attribute(table(), X, over=asc.Line(torch.zeros(2, 7), steps=2))
    with pytest.raises(CutError, match=r"'tables\.0', 'tables\.1'"):
        asc.attribute(seeded(Words(2)), IDS)
    with pytest.raises(InputError, match="the model on cpu, the inputs on meta"):
        asc.attribute(table(), X.to("meta"))
