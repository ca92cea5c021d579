"""What trulens.nn promised and the facade keeps: names, shapes, nesting, what a user's own subclasses are given."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers.utils import ModelOutput

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.compat.trulens.nn import attribution, backend, distributions, models, quantities, slices
from ascribe.compat.trulens.nn.attribution import (
    AttributionMethod,
    AttributionResult,
    InputAttribution,
    IntegratedGradients,
    InternalInfluence,
)
from ascribe.compat.trulens.nn.backend import Backend, OutOfMemory, get_backend, memory_suggestions, rebatch, tile
from ascribe.compat.trulens.nn.distributions import DoI, DoiCutSupportError, GaussianDoi, LinearDoi, PointDoi
from ascribe.compat.trulens.nn.models import discern_backend, get_model_wrapper
from ascribe.compat.trulens.nn.models.base import ModelWrapper
from ascribe.compat.trulens.nn.models.keras import KerasModelWrapper
from ascribe.compat.trulens.nn.models.others import TensorflowModelWrapper
from ascribe.compat.trulens.nn.models.tensorflow import Tensorflow2ModelWrapper
from ascribe.compat.trulens.nn.quantities import (
    ClassQoI,
    ClassSeqQoI,
    ComparativeQoI,
    InternalChannelQoI,
    LambdaQoI,
    MaxClassQoI,
    QoI,
    QoiCutSupportError,
    ThresholdQoI,
)
from ascribe.compat.trulens.nn.slices import Cut, InputCut, LogitCut, OutputCut, Slice
from ascribe.compat.trulens.utils import nlp, tru_logger
from ascribe.compat.trulens.utils import typing as tt
from ascribe.compat.trulens.utils.typing import Inputs, ModelInputs, Outputs, TensorArgs, Uniform
from ascribe.errors import AscribeError, BackendError, CutError, DistributionError, InputError, MemoryLimitError, QuantityError
from tests.support.hooked import Spot, even, held, mean, slope
from tests.support.small_models import Twice, TwoInputs, Words, chain, gradient, rows, seeded
from tests.support.snapshots import unchanged

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
NET, X = chain(4, 6, 3), rows(5, 4)
W = get_model_wrapper(NET)


def close(found: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected.detach(), rtol=1e-7, atol=1e-10)


# Attribution


class TestNesting:
    two = staticmethod(lambda y: [y[:, 0], y[:, 2]])
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3)

    def test_one_by_one_is_an_array(self):
        assert InputAttribution(W, qoi=1).attributions(X).shape == X.shape

    def test_quantities_outside_arrays_inside(self):
        assert [v.shape for v in InputAttribution(W, qoi=self.two).attributions(X)] == [X.shape] * 2
        wrapper = get_model_wrapper(self.net)
        assert [v.shape for v in InputAttribution(wrapper, qoi=1).attributions(self.a, self.b)] == [(5, 4), (5, 3)]
        both = InputAttribution(wrapper, qoi=self.two).attributions(self.a, b=self.b)
        assert [[v.shape for v in each] for each in both] == [[(5, 4), (5, 3)]] * 2
        alone = InputAttribution(wrapper, qoi=2).attributions(self.a, b=self.b)
        close(both[1][1], alone[1])

    def test_a_list_of_one_quantity_is_none(self):
        close(InputAttribution(W, qoi=lambda y: [y[:, 1]]).attributions(X), InputAttribution(W, qoi=1).attributions(X))

    def test_several_layers(self):
        found = InternalInfluence(W, Cut(["0", "1"]), 1, "point").attributions(X)
        assert [v.shape for v in found] == [(5, 6), (5, 6)]
        close(found[1], InternalInfluence(W, Cut("1"), 1, "point").attributions(X))

    def test_a_quantity_of_several_layers(self):
        def qoi(y):
            assert isinstance(y, list)
            return y[0][:, 0] * y[1][:, 1]

        expected = gradient(lambda z: NET[0](z)[:, 0] * NET[:2](z)[:, 1], X)
        for cut in (Cut(["0", "1"]), Cut([0, 1]), Cut(["0", "1"], accessor=lambda y: [y[0], y[1]])):
            close(InputAttribution(W, cut, qoi, multiply_activation=False).attributions(X), expected)
        with pytest.raises(QoiCutSupportError):
            InputAttribution(W, Cut([0, 1]), 1).attributions(X)

    def test_arguments_in_a_list(self):
        wrapper = get_model_wrapper(self.net)
        for found, expected in zip(
            InputAttribution(wrapper, qoi=1).attributions([self.a, self.b]),
            InputAttribution(wrapper, qoi=1).attributions(self.a, self.b),
            strict=True,
        ):
            close(found, expected)

    def test_results_are_never_collapsed(self):
        result = InputAttribution(W, qoi=1).results(X)
        assert isinstance(result.attributions, Outputs)
        assert isinstance(result.attributions[0], Inputs)
        assert (result.gradients, result.interventions) == (None, None)
        assert AttributionResult.axes["gradients"] == [Outputs, Inputs, Uniform, tt.TensorLike]


class TestKinds:
    def test_numpy_in_numpy_out(self):
        found = IntegratedGradients(W, qoi=1).attributions(X.numpy())
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, IntegratedGradients(W, qoi=1).attributions(X).numpy())
        assert isinstance(InternalInfluence(W, Cut(0), 1, "point").attributions(X.numpy()), np.ndarray)
        assert isinstance(W.fprop((X.numpy(),)), np.ndarray)

    def test_the_first_argument_decides(self):
        wrapper = get_model_wrapper(seeded(TwoInputs))
        a, b = rows(5, 4), rows(5, 3)
        assert all(isinstance(v, torch.Tensor) for v in InputAttribution(wrapper, qoi=1).attributions(a, b.numpy()))
        assert all(isinstance(v, np.ndarray) for v in InputAttribution(wrapper, qoi=1).attributions(a.numpy(), b))

    @pytest.mark.parametrize("kind", [">f8", "longdouble", "float16"])
    def test_numbers_that_pytorch_has_not(self, kind):
        found = InputAttribution(W, qoi=1).attributions(X.numpy().astype(kind))
        np.testing.assert_allclose(found, InputAttribution(W, qoi=1).attributions(X).numpy(), atol=1e-2 if kind == "float16" else 1e-12)
        with pytest.raises(InputError, match="masked"):
            W.fprop((np.ma.masked_array(X.numpy(), mask=X.numpy() > 0),))

    def test_single_precision_stays(self):
        net = chain(4, 6, 3).float()
        assert InputAttribution(get_model_wrapper(net)).attributions(X.numpy().astype(np.float32)).dtype == np.float32
        assert not InputAttribution(get_model_wrapper(net)).attributions(X.float()).requires_grad


class TestGradientsAndPoints:
    @pytest.mark.parametrize("doi", [PointDoi(), LinearDoi(0.5, 4), GaussianDoi(0.1, 4), LinearDoi(resolution=3, cut=Cut(0))], ids=repr)
    def test_the_mean_of_the_gradients_is_the_influence(self, doi):
        method = InternalInfluence(W, Cut(1), lambda y: [y[:, 0], y[:, 1]], doi, False, True, True, 2)
        assert method.rebatch_size == 2
        result = method.results(X)
        points = 1 if isinstance(doi, PointDoi) else doi._resolution
        for k in range(2):
            assert result.gradients[k][0].shape == (points, 5, 6)
            close(result.gradients[k][0].mean(0), result.attributions[k][0])
        assert len(result.interventions[0]) == points
        assert isinstance(result.interventions[0], Uniform)
        assert result.interventions[0][0].shape == ((5, 6) if doi.cut() else (5, 4))

    def test_the_gradients_are_those_at_the_points(self):
        result = InternalInfluence(W, Cut(0), 1, LinearDoi(0.5, 3, cut=Cut(0)), return_grads=True, return_doi=True).results(X)
        value = held(NET, {"input": X}, Spot("0"))
        for k, point in enumerate(even(0 * value + 0.5, value, 3)):
            close(result.interventions[0][k], point)
            close(result.gradients[0][0][k], gradient(lambda h: NET[1:](h)[:, 1], point))

    def test_a_baseline_that_is_drawn_is_drawn_once(self):
        rng = np.random.default_rng(0)
        method = IntegratedGradients(W, lambda z: rng.normal(size=z.shape), 4, qoi=1, return_grads=True, return_doi=True)
        result = method.results(X)
        close(result.gradients[0][0].mean(0) * (X - result.interventions[0][-1]), result.attributions[0][0])

    def test_several_inputs(self):
        net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3)
        result = IntegratedGradients(get_model_wrapper(net), None, 3, None, 1, None, True, True).results(a, b)
        assert [len(points) for points in result.interventions] == [3, 3]
        assert [g.shape for g in result.gradients[0]] == [(3, 5, 4), (3, 5, 3)]
        close(result.gradients[0][1].mean(0) * b, result.attributions[0][1])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_rebatch_size_changes_nothing(size):
    for doi in (LinearDoi(0.5, 6), LinearDoi(resolution=6, cut=Cut(0))):
        whole = InternalInfluence(W, Cut(1), "max", doi).attributions(X)
        close(InternalInfluence(W, Cut(1), "max", doi, rebatch_size=size).attributions(X), whole)


CUTS = [
    (None, X),
    (0, X),
    ("0", 6),
    (1, 6),
    (Cut(0), 6),
    ((None, None), X),
    ((0, "2"), X),
    ((1, None), 6),
    (Slice.full_network(), X),
    ([0, 1], X),
]


@pytest.mark.parametrize(("cuts", "width"), CUTS, ids=str)
def test_how_cuts_may_be_given(cuts, width):
    found = InternalInfluence(W, cuts, lambda y: y.sum(1), "point").attributions(X)
    assert found.shape == ((5, width) if isinstance(width, int) else X.shape)


@pytest.mark.parametrize("cuts", [(1, 2, 3), 1.5, (1.5, None), True, object()], ids=str)
def test_how_cuts_may_not_be_given(cuts):
    with pytest.raises(ValueError):
        InternalInfluence(W, cuts, "max", "point")


@pytest.mark.parametrize("qoi", ["min", (1, 2, 3), 1.5, True, None], ids=str)
def test_how_quantities_may_not_be_given(qoi):
    with pytest.raises(ValueError):
        InputAttribution(W, qoi=qoi)


@pytest.mark.parametrize("doi", ["curve", 3, None], ids=str)
def test_how_distributions_may_not_be_given(doi):
    with pytest.raises(ValueError):
        InputAttribution(W, doi=doi)


def test_a_model_that_is_not_wrapped():
    with pytest.raises(AscribeError, match="get_model_wrapper"):
        InputAttribution(NET)


def test_methods_of_ones_own():
    class Doubled(AttributionMethod):
        def __init__(self, model: ModelWrapper, factor: float) -> None:
            super().__init__(model)
            self.factor = factor

        def _attributions(self, model_inputs: ModelInputs) -> AttributionResult:
            value = self.model.fprop(model_inputs.args, model_inputs.kwargs)
            return AttributionResult(attributions=[[self.factor * value]])

    method = Doubled(W, 2.0)
    close(method.attributions(X), 2 * NET(X))
    assert (method.model, method.rebatch_size) == (W, None)
    with pytest.raises(TypeError):
        AttributionMethod(W)


# Places


@pytest.mark.parametrize("name", ["nope", 3, -4, 1.5], ids=str)
def test_unknown_layers_are_value_errors_when_they_are_used(name):
    method = InternalInfluence(W, Cut(name), "max", "point")
    with pytest.raises(ValueError):
        method.attributions(X)
    with pytest.raises(CutError):
        W.fprop((X,), to_cut=Cut(name))


def test_layers_by_path_by_joined_path_and_by_number():
    net = seeded(lambda: nn.ModuleDict({"a": nn.Sequential(nn.Linear(4, 4), nn.Tanh()), "b": nn.Linear(4, 3)}))
    net.forward = lambda x: net["b"](net["a"](x))
    wrapper = get_model_wrapper(net)
    assert [wrapper.layer(name) for name in ("a.0", "a_0", 0, -3, "a", "b", 2)] == ["a.0", "a.0", "a.0", "a.0", "a", "b", "b"]


def test_print_layer_names(capsys):
    W.print_layer_names()
    assert capsys.readouterr().out.splitlines()[0] == "'0':\tLinear(in_features=4, out_features=6, bias=True)"


def test_a_cut_may_be_made_before_any_model():
    cut = Cut("l", "in", len)
    assert (cut.name, cut.anchor, cut.access_layer(["abc"])) == ("l", "in", 3)
    assert Cut("l").access_layer([1, 2]) == [1, 2]
    assert (InputCut().anchor, OutputCut().anchor, LogitCut().anchor) == ("in", "out", "out")
    assert repr(Cut("l", "in")) == "Cut('l', 'in')"
    for kind in (AssertionError, ValueError):
        with pytest.raises(kind):
            Cut("l", "middle")
    assert isinstance(Slice.full_network().from_cut, InputCut)
    assert isinstance(Slice.full_network().to_cut, OutputCut)


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return {"probs": torch.softmax(self.fc(x), 1), "deep": [torch.tanh(self.fc(x)), x]}


class TestAccessors:
    net = seeded(Wide)
    wrapper = get_model_wrapper(net)

    def test_of_the_output(self):
        for accessor, of in ((lambda o: o["probs"], lambda o: o["probs"]), (lambda o: o["deep"][0] ** 2, lambda o: o["deep"][0] ** 2)):
            cut = OutputCut(accessor=accessor)
            expected = gradient(lambda z, of=of: of(self.net(z))[:, 1], X)
            close(InputAttribution(self.wrapper, cut, 1, multiply_activation=False).attributions(X), expected)
            close(self.wrapper.fprop((X,), to_cut=cut), of(self.net(X)))

    @pytest.mark.parametrize("accessor", [lambda o: o.logits.exp(), lambda o: o[0].exp(), lambda o: [o["logits"].exp(), o.logits]])
    def test_that_does_something_with_the_models_own_container(self, accessor):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.drop = nn.Linear(4, 3), nn.Dropout(0.9)

            def forward(self, x):
                x.mul_(2)
                return ModelOutput(logits=self.drop(self.fc(x)))

        net = seeded(Own).train()
        wrapper, given = get_model_wrapper(net), X.numpy().copy()
        with unchanged(net, arguments=(X, given)):
            found = wrapper.fprop((X,), to_cut=OutputCut(accessor=accessor))
            again = wrapper.fprop((given,), to_cut=OutputCut(accessor=accessor))
        first = found[0] if isinstance(found, list) else found
        close(first, net.fc(2 * X).exp())
        assert isinstance(again[0], np.ndarray)
        np.testing.assert_allclose(again[0], found[0].numpy())

    def test_of_a_list_of_tensors(self):
        cut = OutputCut(accessor=lambda o: o["deep"])
        expected = gradient(lambda z: torch.tanh(self.net.fc(z))[:, 1] * z[:, 0], X)
        found = InputAttribution(self.wrapper, cut, lambda y: y[0][:, 1] * y[1][:, 0], multiply_activation=False).attributions(X)
        close(found, expected)
        with pytest.raises(QoiCutSupportError):
            InputAttribution(self.wrapper, cut, ClassQoI(1)).attributions(X)

    def test_a_place_to_write_or_attribute_to_must_be_a_part(self):
        with pytest.raises(ValueError, match="may only select a part"):
            InternalInfluence(self.wrapper, Cut("fc", accessor=lambda v: v * 2), 1, "point").attributions(X)


def test_one_of_several_things_that_a_layer_is_given():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = TwoInputs()

        def forward(self, a, b):
            return self.inner(torch.tanh(a), torch.exp(b))

    net, a, b = seeded(Outer), rows(5, 4), rows(5, 3)
    wrapper, second = get_model_wrapper(net), Cut("inner", "in", lambda v: v[1])
    close(wrapper.fprop((a, b), to_cut=second), torch.exp(b))
    assert [v.shape for v in wrapper.fprop((a, b), to_cut=Cut("inner", "in"))] == [(5, 4), (5, 3)]
    expected = gradient(lambda z: net.inner(torch.tanh(a), z)[:, 1], torch.exp(b))
    close(InternalInfluence(wrapper, second, 1, "point", multiply_activation=False).attributions(a, b), expected)
    assert [v.shape for v in wrapper.fprop((a, b), to_cut=InputCut())] == [(5, 4), (5, 3)]


def test_a_layer_used_several_times_is_its_last_use():
    net = seeded(Twice)
    wrapper = get_model_wrapper(net)
    last = net.shared(net.act(net.shared(X)))
    close(wrapper.fprop((X,), to_cut=Cut("shared")), last)
    close(wrapper.fprop((X,), to_cut=Cut("shared"), doi_cut=Cut("act"), intervention=rows(5, 4), input_timestep=0), net.shared(rows(5, 4)))
    expected = gradient(lambda h: net.head(net.act(h))[:, 1], last.detach())
    close(InternalInfluence(wrapper, Cut("shared"), 1, "point", multiply_activation=False).attributions(X), expected)
    inner = InputAttribution(wrapper, Cut("shared"), 1, multiply_activation=False).attributions(X)
    close(inner, gradient(lambda z: net.shared(net.act(net.shared(z)))[:, 1], X))


# Quantities


Y = rows(4, 3, seed=9)
PICTURE = rows(4, 3, 5, 6, seed=9)


@pytest.mark.parametrize(
    ("qoi", "y", "expected"),
    [
        (ClassQoI(2), Y, Y[:, 2]),
        (ClassQoI(-1), Y, Y[:, 2]),
        (ClassQoI([0, 2]), Y, Y[:, 0] + Y[:, 2]),
        (ComparativeQoI(2, 0), Y, Y[:, 2] - Y[:, 0]),
        (MaxClassQoI(), Y, Y.amax(1)),
        (MaxClassQoI(activation="softmax"), Y, torch.softmax(Y, 1).amax(1)),
        (MaxClassQoI(activation="sigmoid"), Y, torch.sigmoid(Y).amax(1)),
        (MaxClassQoI(activation=torch.exp), [Y], torch.exp(Y).amax(1)),
        (MaxClassQoI(axis=-1), PICTURE, PICTURE.amax(-1)),
        (MaxClassQoI(axis=0), Y, Y.amax(0)),
        (MaxClassQoI(axis=-2), Y, Y.amax(0)),
        (InternalChannelQoI(1), Y, Y[:, 1]),
        (InternalChannelQoI([0, 1]), Y, Y[:, 0] + Y[:, 1]),
        (InternalChannelQoI(1), PICTURE, PICTURE[:, 1].sum((1, 2))),
        (InternalChannelQoI(4, channel_axis=3), PICTURE, PICTURE[..., 4].sum((1, 2))),
        (InternalChannelQoI(1, agg_fn=lambda c: c.amax((1, 2))), PICTURE, PICTURE[:, 1].amax((1, 2))),
        (InternalChannelQoI(1), PICTURE[..., 0], PICTURE[:, 1, :, 0].sum(1)),
        (LambdaQoI(lambda y: y**2), Y, Y**2),
        (ThresholdQoI(0.1), Y, (torch.sign(Y - 0.1) * Y).sum(1)),
        (ThresholdQoI(0.1, True), Y, -(torch.sign(Y - 0.1) * Y).sum(1)),
        (ThresholdQoI(0.5, activation="sigmoid"), Y, (torch.sign(torch.sigmoid(Y) - 0.5) * torch.sigmoid(Y)).sum(1)),
        (ClassSeqQoI([0, 1, 2, 0]), Y, Y[range(4), [0, 1, 2, 0]]),
    ],
    ids=lambda v: repr(v) if isinstance(v, QoI) else "",
)
def test_quantities_can_be_called_by_themselves(qoi, y, expected):
    close(qoi(y), expected)
    if isinstance(y, torch.Tensor) and getattr(qoi, "agg_fn", None) is None:
        np.testing.assert_allclose(qoi(y.numpy()), expected)


def test_the_example_of_the_threshold():
    assert ThresholdQoI(0.5)(torch.tensor([[0.2, 0.8, 0.5]])).item() == pytest.approx(0.6)


@pytest.mark.parametrize(
    "qoi", [ClassQoI(1), ComparativeQoI(0, 1), MaxClassQoI(), InternalChannelQoI(0), ThresholdQoI(0.1), ClassSeqQoI([0])], ids=repr
)
def test_quantities_of_one_tensor_refuse_several(qoi):
    with pytest.raises(QoiCutSupportError):
        qoi([Y, Y])
    with pytest.raises(ValueError):
        qoi({"a": Y})


def test_positions_that_are_not_there():
    for wrong in (lambda: ClassQoI(3)(Y), lambda: ComparativeQoI(0, -4)(Y), lambda: InputAttribution(W, qoi=7).attributions(X)):
        with pytest.raises(IndexError):
            wrong()
        with pytest.raises(ValueError):
            wrong()
    for wrong in (lambda: InternalChannelQoI(0, channel_axis=2)(PICTURE), lambda: InternalChannelQoI(0)(Y[:, 0])):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ValueError):
        MaxClassQoI(activation="swish")(Y)
    for function in (lambda: 0, lambda a, b: a):
        with pytest.raises(ValueError):
            LambdaQoI(function)


TABLE = torch.zeros(4, 3, 5)


@pytest.mark.parametrize(
    ("qoi", "y"),
    [
        (MaxClassQoI(), Y[:, 0]),
        (MaxClassQoI(axis=5), Y),
        (MaxClassQoI(activation="softmax"), Y[:, 0]),
        (ThresholdQoI(0.5, activation="softmax"), Y[:, 0]),
        (InternalChannelQoI(0, channel_axis=0), TABLE),
        (InternalChannelQoI(0, channel_axis=7), TABLE),
    ],
    ids=repr,
)
def test_axes_that_no_class_is_on(qoi, y):
    with pytest.raises(QoiCutSupportError, match="axis"):
        qoi(y)
    with pytest.raises(QoiCutSupportError, match="axis"):
        qoi.for_records(y)(y)


@pytest.mark.parametrize("cl", [1.5, "a", True, [], [0, 0.5], float("nan")], ids=repr)
def test_classes_that_are_no_numbers(cl):
    for qoi in (ClassQoI(cl), InternalChannelQoI(cl), ClassSeqQoI([cl] * 4)):
        with pytest.raises(QuantityError):
            qoi(Y)


def test_classes_as_tensors():
    close(ClassQoI(torch.tensor([0, 2]))(Y), Y[:, 0] + Y[:, 2])
    close(ClassSeqQoI(torch.tensor([0, 1, 2, 0]))(Y), Y[range(4), [0, 1, 2, 0]])
    with pytest.raises(QuantityError, match="for each record"):
        ClassSeqQoI(1)(Y)


class TestOwnQuantities:
    @pytest.mark.parametrize("nothing", [None, 1.0, [], [None]], ids=repr)
    def test_that_give_nothing(self, nothing):
        for size in (None, 2):
            with pytest.raises(AscribeError, match=r"(?i)the quantity "):
                InputAttribution(W, qoi=lambda y: nothing, rebatch_size=size).attributions(X)
        with pytest.raises(AscribeError, match=r"(?i)the quantity "):
            asc.attribute(lambda x: x, X.numpy(), of=lambda y: nothing, over=asc.coalitions.LeaveOneOut())

    def test_a_function_that_does_not_say_what_it_takes(self):
        close(InputAttribution(W, qoi=torch.sum, multiply_activation=False).attributions(X), gradient(lambda z: NET(z).sum(1), X))

    def test_given_a_tensor(self):
        seen = []

        class Own(QoI):
            def __call__(self, y):
                seen.append(type(y))
                return y[:, 1] ** 2

        found = InputAttribution(W, qoi=Own(), multiply_activation=False).attributions(X)
        close(found, gradient(lambda z: NET(z)[:, 1] ** 2, X))
        assert set(seen) == {torch.Tensor}

    @pytest.mark.parametrize(
        "qoi", [lambda y: y, lambda y: y.sum(), lambda y: y.sum(0, keepdim=True).sum()], ids=["all", "a number", "again"]
    )
    def test_whatever_the_shape_it_is_summed(self, qoi):
        expected = gradient(lambda z: NET(z).sum(1), X)
        for size in (None, 2):
            close(InputAttribution(W, qoi=qoi, multiply_activation=False, rebatch_size=size).attributions(X), expected)
        line = mean([gradient(lambda z: NET(z).sum(1), p) for p in even(0 * X, X, 4)]) * X
        close(IntegratedGradients(W, None, 4, qoi=qoi).attributions(X), line)

    def test_the_highest_class_at_every_pixel(self):
        net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh()).double()
        x = rows(2, 2, 5, 5)
        best = net(x).argmax(1, keepdim=True)
        points = even(0 * x, x, 4)
        expected = mean([gradient(lambda z: net(z).gather(1, best).sum((1, 2, 3)), p) for p in points]) * x
        close(IntegratedGradients(get_model_wrapper(net), None, 4).attributions(x), expected)


# Distributions


Z = rows(3, 4).numpy()


class TestPoints:
    def test_the_line_begins_at_the_record_and_ends_at_the_baseline(self):
        points = LinearDoi(np.ones(4), 5)(Z)
        assert len(points) == 5
        for k, p in enumerate(points):
            np.testing.assert_allclose(p, Z + k / 4 * (1 - Z))
        np.testing.assert_array_equal(points[0], Z)
        np.testing.assert_allclose(points[-1], np.ones_like(Z))
        assert len(LinearDoi(resolution=1)(Z)) == 1
        np.testing.assert_array_equal(LinearDoi(resolution=1)(Z)[0], Z)
        assert (LinearDoi().resolution, LinearDoi().baseline, LinearDoi().cut()) == (10, None, None)
        assert isinstance(LinearDoi(0.0, 3)(torch.as_tensor(Z))[1], torch.Tensor)

    def test_the_line_for_several_values(self):
        one, two = LinearDoi([0.0, np.ones(4)], 3)([Z, Z])
        np.testing.assert_allclose(one[2], 0 * Z)
        np.testing.assert_allclose(two[2], 0 * Z + 1)
        named = LinearDoi({"a": np.ones(4)}, 3)({"a": Z})
        np.testing.assert_allclose(named["a"][2], 0 * Z + 1)
        for wrong in ([0.0, 1.0, 2.0], {"a": 0.0, "b": 1.0}):
            with pytest.raises(DoiCutSupportError):
                LinearDoi(wrong)([Z, Z])

    def test_one_step_is_the_record(self):
        expected = gradient(lambda z: NET(z)[:, 1], X) * (X - 0.5)
        close(IntegratedGradients(W, 0.5, 1, qoi=1).attributions(X), expected)

    def test_what_influence_is_multiplied_by(self):
        np.testing.assert_allclose(LinearDoi(0.5).get_activation_multiplier(Z), Z - 0.5)
        assert PointDoi().get_activation_multiplier(Z) is Z
        assert GaussianDoi(1.0, 2).get_activation_multiplier(Z) is Z

    def test_noise(self):
        np.random.seed(0)
        points = GaussianDoi(4.0, 200)(Z)
        assert len(points) == 200
        assert np.std([p - Z for p in points]) == pytest.approx(2, rel=0.05)
        assert GaussianDoi(1.0, 2)(Z.astype(np.float32))[0].dtype == np.float32
        for wrong in (-1.0, np.nan):
            with pytest.raises(DistributionError, match="var"):
                GaussianDoi(wrong, 2)

    def test_the_record(self):
        assert [p is Z for p in PointDoi()(Z)] == [True]
        assert [len(p) for p in PointDoi()([Z, Z])] == [1, 1]

    def test_functions_as_baselines(self):
        seen = []

        def with_inputs(z, model_inputs):
            seen.append((type(z), z.shape, list(model_inputs.kwargs), len(model_inputs.args)))
            return 0 * z + 0.5

        expected = IntegratedGradients(W, 0.5, 4, qoi=1).attributions(X)
        close(IntegratedGradients(W, with_inputs, 4, qoi=1).attributions(X), expected)
        assert seen == [(np.ndarray, (5, 4), [], 1)]
        close(IntegratedGradients(W, lambda z: torch.full((4,), 0.5, requires_grad=True), 4, qoi=1).attributions(X), expected)
        np.testing.assert_allclose(LinearDoi(lambda z: 0 * z + 1, 3)(Z)[2], 1 + 0 * Z)


class Shifted(DoI):
    """A distribution of one's own, that looks at what it is given."""

    def __init__(self, cut=None):
        super().__init__(cut)
        self.seen: list[Any] = []

    def __call__(self, z, *, model_inputs=None):
        self.seen.append((type(z), len(model_inputs)))
        return [z, z + 1, z * model_inputs.args[0].numpy().mean()]

    def get_activation_multiplier(self, activation, *, model_inputs=None):
        self.seen.append((type(activation), len(model_inputs)))
        return activation - 1


class TestOwnDistributions:
    @pytest.mark.parametrize("size", [None, 2])
    def test_given_arrays_and_the_models_arguments(self, size):
        doi = Shifted()
        slopes = [gradient(lambda z: NET(z)[:, 1], p) for p in (X, X + 1, X * X.mean())]
        close(InternalInfluence(W, None, 1, doi, rebatch_size=size).attributions(X), mean(slopes) * (X - 1))
        assert doi.seen == [(np.ndarray, 1), (torch.Tensor, 1)]

    def test_inside_the_model(self):
        h = NET[0](X).detach()
        slopes = [slope(NET, {"input": X}, lambda y: y[:, 1], Spot("1"), None, [(Spot("0"), p)]) for p in (h, h + 1, h * X.mean())]
        found = InternalInfluence(W, Cut(1), 1, Shifted(Cut(0))).attributions(X)
        close(found, mean(slopes) * (torch.tanh(h) - 1))

    def test_without_the_models_arguments(self):
        class Plain(DoI):
            def __call__(self, z):
                return [z, 0.5 * z]

        expected = mean([gradient(lambda z: NET(z)[:, 1], p) for p in (X, 0.5 * X)]) * X
        close(InternalInfluence(W, None, 1, Plain()).attributions(X), expected)
        assert repr(Plain()) == "Plain(cut=None)"

    def test_of_several_inputs(self):
        class Both(DoI):
            def __call__(self, z):
                return [[z[0], 0.5 * z[0]], [z[1], 0.5 * z[1]]]

        net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3)
        found = InternalInfluence(get_model_wrapper(net), None, 1, Both(), False).attributions(a, b)
        close(found[0], (gradient(lambda z: net(z, b)[:, 1], a) + gradient(lambda z: net(z, b / 2)[:, 1], a / 2)) / 2)

    def test_a_line_with_one_thing_changed(self):
        class Unscaled(LinearDoi):
            def get_activation_multiplier(self, activation, *, model_inputs=None):
                return 1 + 0 * activation

        close(
            InternalInfluence(W, None, 1, Unscaled(0.5, 4)).attributions(X),
            InternalInfluence(W, None, 1, LinearDoi(0.5, 4), False).attributions(X),
        )

    @pytest.mark.parametrize(
        "points", [[], "abc", [1, 2], None, 3, [X.numpy(), X.numpy()[:2]], [X.numpy()[:2]]], ids=lambda p: type(p).__name__
    )
    def test_that_gives_no_points(self, points):
        doi = type("Odd", (DoI,), {"__call__": lambda self, z: points})()
        with pytest.raises(DistributionError):
            InternalInfluence(W, None, 1, doi).attributions(X)

    @pytest.mark.parametrize("scale", [None, "a", X[:2], X[None], [X, X]], ids=lambda s: type(s).__name__)
    def test_that_multiplies_by_something_else(self, scale):
        doi = type("Odd", (GaussianDoi,), {"get_activation_multiplier": lambda self, activation: scale})(0.1, 2)
        with pytest.raises(DistributionError, match="get_activation_multiplier"):
            InternalInfluence(W, None, 1, doi).attributions(X)

    @pytest.mark.parametrize("scale", [2.0, 2, X, X[:1], X[0], np.full((5, 1), 2.0)], ids=np.shape)
    def test_that_multiplies_by_what_fits(self, scale):
        doi = type("Own", (DoI,), {"__call__": lambda self, z: [z], "get_activation_multiplier": lambda self, activation: scale})()
        close(InternalInfluence(W, None, 1, doi).attributions(X), gradient(lambda z: NET(z)[:, 1], X) * torch.as_tensor(scale))

    @pytest.mark.parametrize("give", [iter, lambda points: {"a": points}], ids=["one after the other", "by name"])
    def test_points_in_other_wrappings(self, give):
        class Own(DoI):
            def __call__(self, z):
                return give([z, 0.5 * z])

        net = seeded(lambda: nn.ModuleDict({"n": chain(4, 6, 3)}))
        net.forward = lambda a: net["n"](a)
        result = InternalInfluence(get_model_wrapper(net), None, 1, Own(), return_grads=True, return_doi=True).results(a=X)
        slopes = [gradient(lambda z: net(z)[:, 1], p) for p in (X, 0.5 * X)]
        close(result.attributions[0][0], mean(slopes) * X)
        close(result.gradients[0][0], torch.stack(slopes))
        close(np.stack(result.interventions[0]), torch.stack([X, 0.5 * X]))

    def test_a_line_from_a_property(self):
        class Own(LinearDoi):
            @property
            def baseline(self):
                return 0.5

        found = InternalInfluence(W, None, 1, Own(resolution=4), return_doi=True).results(X)
        close(found.attributions[0][0], IntegratedGradients(W, 0.5, 4, qoi=1).attributions(X))
        close(found.interventions[0][-1], 0 * X + 0.5)


# Models


class TestWrapper:
    def test_fprop(self):
        other = rows(5, 6, seed=5)
        close(W.fprop((X,)), NET(X))
        close(W.fprop(X), NET(X))
        close(W.fprop((X,), to_cut=Cut(1)), NET[:2](X))
        close(W.fprop((X,), {}, Cut(0), OutputCut(), intervention=other), NET[1:](other))
        close(W.fprop((X,), intervention=X + 1), NET(X + 1))
        value, inner = W.fprop((X,), {}, Cut(0), attribution_cut=Cut(1), intervention=[other])
        close(value, NET[1:](other))
        close(inner, torch.tanh(other))
        for wrong in (None, 0.0, "a", [], [other, None]):
            with pytest.raises(ValueError, match="intervention"):
                W.fprop((X,), doi_cut=Cut(0), intervention=wrong)
        assert [v.shape for v in W.fprop((X,), to_cut=Cut([0, 1]))] == [(5, 6), (5, 6)]

    def test_fprop_of_named_inputs(self):
        net, ids = seeded(Words), torch.tensor([[1, 2, 3], [4, 5, 6]])
        wrapper, mask = get_model_wrapper(net), torch.tensor([[1, 1, 0], [1, 1, 1]])
        close(wrapper.fprop((), {"input_ids": ids, "attention_mask": mask}, to_cut=Cut("head")), net(ids, mask)["logits"])
        given = ModelInputs([], {"input_ids": ids + 1, "attention_mask": mask})
        close(wrapper.fprop((ids,), {}, InputCut(), Cut("head"), intervention=given), net(ids + 1, mask)["logits"])
        embedded = rows(2, 3, 4)
        found = wrapper.fprop((ids,), {"attention_mask": mask}, Cut("embed"), Cut("mix", "in"), intervention=TensorArgs([embedded]))
        close(found, embedded)

    def test_qoi_bprop(self):
        other = rows(5, 6, seed=5)
        close(W.qoi_bprop(ClassQoI(1), (X,)), gradient(lambda z: NET(z)[:, 1], X))
        found = W.qoi_bprop(ClassQoI(1), (X,), {}, Cut(0), OutputCut(), Cut(1), other)
        close(found, gradient(lambda h: NET[2](h)[:, 1], torch.tanh(other)))
        close(W.qoi_bprop(MaxClassQoI(), (X,), {}, Cut(0), None, Cut(0), other), gradient(lambda h: NET[1:](h).amax(1), other))
        two = W.qoi_bprop(LambdaQoI(lambda y: [y[:, 0], y[:, 1]]), (X.numpy(),))
        assert [type(v) for v in two] == [np.ndarray] * 2
        close(W.qoi_bprop(ClassQoI(1), (X,), intervention=X + 1), gradient(lambda z: NET(z)[:, 1], X + 1))

    def test_points_that_the_user_tiles(self):
        """As old code does by hand: all points of all records in one batch."""
        value = W.fprop((X.numpy(),), to_cut=Cut(0))
        points = LinearDoi(resolution=3)(value)
        onto = TensorArgs([np.concatenate(points)])
        inputs = tile(ModelInputs([X.numpy()]), onto)
        grads = W.qoi_bprop(ClassQoI(1), inputs.args, inputs.kwargs, Cut(0), OutputCut(), Cut(0), onto)
        assert grads.shape == (15, 6)
        expected = IntegratedGradients(W, None, 3, Cut(0), 1).attributions(X)
        close(grads.reshape(3, 5, 6).mean(0) * value, expected)

    def test_every_argument_of_old(self):
        wrapper = get_model_wrapper(
            NET, logit_layer="0", replace_softmax=False, softmax_layer=-1, custom_objects=None, device="cpu", input_tensors=None,
            output_tensors=None, internal_tensor_dict=None, default_feed_dict=None, session=None, backend="pytorch", force_eval=True,
            input_shape=(4,), input_dtype="float32",
        )  # fmt: skip
        assert wrapper.model is NET
        assert wrapper.device == torch.device("cpu")
        close(wrapper.fprop((X,), to_cut=LogitCut()), NET[0](X))
        close(wrapper.fprop((X,), to_cut=LogitCut("in")), X)

    def test_a_framework_without_a_wrapper_of_its_own(self):
        """The facade knows nothing of PyTorch outside of PyTorch's own wrapper."""
        rng = np.random.default_rng(0)
        model = Mlp([rng.normal(size=(4, 6)), rng.normal(size=(6, 3))], [rng.normal(size=6), rng.normal(size=3)])
        wrapper, x = get_model_wrapper(model), X.numpy()
        assert type(wrapper) is ModelWrapper
        found = IntegratedGradients(wrapper, 0.5, 5, qoi=1).attributions(x)
        np.testing.assert_allclose(found, asc.attribute(model, x, of=1, over=asc.Line(0.5, 5, "even")).values)
        for qoi in ("max", (0, 1), ThresholdQoI(0.1), ClassSeqQoI([0, 1, 2, 0, 1])):
            assert InputAttribution(wrapper, qoi=qoi, doi=GaussianDoi(0.1, 3)).attributions(x).shape == x.shape
        with pytest.raises(ValueError):
            wrapper.fprop((x,), to_cut=Cut(0))

    def test_pytorch_is_its_own_wrappers_business(self):
        """Everything but what is named after PyTorch can be imported where there is none."""
        code = """
import sys
sys.modules["torch"] = None
from ascribe.compat import standing_in
from ascribe.compat.standing import table
from importlib import import_module
for own in table("trulens").values():
    if not own.endswith(("pytorch", "nn.backend.keras", "nn.backend.tensorflow")):
        import_module(own)
assert sys.modules.keys().isdisjoint({"keras", "tf_keras", "tensorflow", "jax"})
from ascribe.compat.trulens.nn.backend import get_backend
assert get_backend(suppress_warnings=True) is None
"""
        env = {name: value for name, value in os.environ.items() if name != "TRULENS_BACKEND"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("kind", [KerasModelWrapper, TensorflowModelWrapper, Tensorflow2ModelWrapper])
    def test_models_of_other_packages(self, kind):
        with pytest.raises(BackendError, match="E-COMPAT-BACKEND"):
            kind(NET)

    def test_whose_model_it_is(self):
        homes = {"torch.nn.modules": Backend.PYTORCH, "keras.models": Backend.KERAS, "tensorflow.python.framework.ops": Backend.TENSORFLOW}
        homes["tensorflow.python.keras.engine"] = homes["tf_keras.src.engine.training"] = Backend.TENSORFLOW
        for home, expected in homes.items():
            assert discern_backend(type("Graph" if "ops" in home else "Model", (), {"__module__": home})()) is expected
        assert discern_backend(NET) is Backend.PYTORCH
        for home in ("builtins", "torchlike", "graph_tools.models", "mine.keras_like"):
            assert discern_backend(type("Graph", (), {"__module__": home})()) is Backend.UNKNOWN

    def test_arguments_that_there_never_were(self):
        with pytest.raises(TypeError, match="logits_layer"):
            get_model_wrapper(NET, logits_layer="0")
        with pytest.raises(BackendError, match="pytorch"):
            get_model_wrapper(NET, backend="pytroch")
        with pytest.raises(BackendError, match="Module"):
            get_model_wrapper(lambda x: x, backend="pytorch")


# Backend and helpers


class TestBackend:
    def test_names(self):
        assert Backend.from_name("Torch") is Backend.PYTORCH
        assert Backend.from_name("tf_keras").is_keras_derivative()
        assert not Backend.PYTORCH.is_keras_derivative()
        assert Backend.from_name("chainer") is Backend.UNKNOWN

    def test_which(self, monkeypatch):
        monkeypatch.delenv("TRULENS_BACKEND", raising=False)
        assert get_backend().backend is Backend.PYTORCH
        monkeypatch.setenv("TRULENS_BACKEND", "chainer")
        with pytest.raises(BackendError):
            get_backend()
        assert get_backend(suppress_warnings=True) is None
        get_model_wrapper(NET)
        assert get_backend().backend is Backend.PYTORCH
        monkeypatch.setenv("TRULENS_BACKEND", "unknown")
        assert get_backend().backend is Backend.PYTORCH

    def test_functions(self):
        b, t = get_backend(), rows(3, 4)
        a = t.numpy()
        assert (b.dim_order, b.channel_axis, b.floatX, b.floatX_size) == ("channels_first", 1, torch.float32, 4)
        for name, expected in (("sum", t.sum()), ("mean", t.mean()), ("max", t.max()), ("min", t.min())):
            close(getattr(b, name)(t), expected)
            np.testing.assert_allclose(getattr(b, name)(a), expected)
            close(getattr(b, name)(t, axis=1, keepdims=True), torch.as_tensor(getattr(np, name)(a, axis=1, keepdims=True)))
            np.testing.assert_allclose(getattr(b, name)(a, axis=0), getattr(np, name)(a, axis=0))
        close(b.softmax(t), torch.softmax(t, -1))
        close(b.sigmoid(t), torch.sigmoid(t))
        close(b.concat([t, t], 1), torch.cat([t, t], 1))
        close(b.stack([t, t])[1], t)
        close(b.tile(t, (2, 1)), t.repeat(2, 1))
        close(b.expand_dims(t, 0)[0], t)
        close(b.reshape(t, (4, 3)), t.reshape(4, 3))
        close(b.zeros_like(a), 0 * t)
        close(b.ones_like(t), 0 * t + 1)
        close(b.abs(t), t.abs())
        close(b.sign(b.clone(t)), t.sign())
        close(b.maximum(t, -t), t.abs())
        close(b.minimum(t, -t), -t.abs())
        assert (b.shape(t), b.int_shape(t)) == ((3, 4), (3, 4))
        assert b.is_tensor(t)
        assert not b.is_tensor(a)
        assert b.as_tensor(a).dtype == torch.float64
        assert b.as_tensor(t) is t
        assert b.as_array(t, "float32").dtype == np.float32
        assert b.get_default_device("cpu") == b.get_default_device() == torch.device("cpu")
        assert isinstance(b.is_deterministic(), bool)
        x = t.clone().requires_grad_()
        close(b.gradient((x**2).sum(), [x])[0], 2 * t)
        b.set_seed(3)
        one = b.random_normal_like(t, 1.0, 4.0), np.random.random()
        b.set_seed(3)
        two = b.random_normal_like(t, 1.0, 4.0), np.random.random()
        close(one[0], two[0])
        assert one[1] == two[1]

    def test_tile_and_rebatch(self):
        inputs = ModelInputs([X, torch.ones(3)], {"mask": X.numpy()})
        more = tile(inputs, TensorArgs([torch.zeros(15, 2)]))
        assert [v.shape for v in more.values()] == [(15, 4), (3,), (15, 4)]
        close(more.args[0][5:10], X)
        parts = list(rebatch(more, TensorArgs([torch.arange(15)]), batch_size=6))
        assert [len(p[1].args[0]) for p in parts] == [6, 6, 3]
        assert torch.cat([p[0].args[0] for p in parts]).equal(more.args[0])
        assert len(list(rebatch(inputs))) == 1

    def test_memory(self, monkeypatch):
        with (
            pytest.raises(OutOfMemory, match="batch size; points") as error,
            memory_suggestions("points"),
            memory_suggestions("batch size"),
        ):
            raise RuntimeError("CUDA out of memory")
        assert error.value.settings == ["batch size", "points"]
        with pytest.raises(RuntimeError, match="something else"), memory_suggestions("points"):
            raise RuntimeError("something else")
        done = []
        with memory_suggestions(call_before=lambda: 7, call_after=done.append) as state:
            assert state == 7
        assert done == [7]

        def full(*args, **kwargs):
            raise MemoryLimitError("one row does not fit", advice="a smaller model")

        monkeypatch.setattr(attribution, "attribute", full)
        with pytest.raises(RuntimeError, match="smaller model"):
            IntegratedGradients(W).attributions(X)


class TestTyping:
    def test_arguments(self):
        inputs = ModelInputs([X], {"b": None, "flag": True, "inner": {"c": X}})
        assert len(inputs) == 4
        assert X in inputs
        assert inputs.first_batchable(get_backend()) is X
        assert ModelInputs([], {"d": {"c": X}}).first_batchable() is X
        assert ModelInputs().first_batchable() is None
        assert inputs.call_on(lambda a, **k: (a, sorted(k))) == (X, ["b", "flag", "inner"])
        assert inputs.map(lambda v: 1).kwargs == {"b": 1, "flag": 1, "inner": {"c": 1}}
        seen = []
        inputs.foreach(seen.append)
        assert len(seen) == 4
        assert "b=" in repr(inputs)
        assert isinstance(TensorArgs([X]).as_model_inputs(), ModelInputs)
        with pytest.raises(ValueError):
            ModelInputs(X)
        with pytest.raises(NotImplementedError):
            tt.Tensors().as_model_inputs()

    def test_nested(self):
        assert tt.nested_map([1, (2, {"a": 3})], lambda v: v + 1) == [2, (3, {"a": 4})]
        assert tt.nested_map([[1], [2]], len, nest=1) == [1, 1]
        with pytest.raises(ZeroDivisionError):
            tt.nested_map([0], lambda v: 1 / v)
        assert tt.nested_zip([1, {"a": 2}], [3, {"a": 4}]) == [(1, 3), {"a": (2, 4)}]
        assert isinstance(tt.nested_cast(get_backend(), [X], np.ndarray)[0], np.ndarray)
        assert isinstance(tt.nested_cast(get_backend(), [X.numpy()], torch.Tensor)[0], torch.Tensor)
        assert tt.om_of_many([1]) == 1
        assert tt.om_of_many([1, 2]) == [1, 2]
        assert tt.many_of_om(1) == [1]
        assert tt.many_of_om([1]) == [1]
        assert tt.many_of_om([1], list) == [[1]]
        assert tt.accepts_model_inputs(lambda z, model_inputs: 0)
        assert not tt.accepts_model_inputs(lambda z: 0)
        assert not tt.accepts_model_inputs(torch.neg)  # which does not say what it takes
        assert tt.render_object(Cut("a"), ["name", "anchor"]) == "Cut(name=a,anchor=out)"


class TestTokens:
    ids = torch.tensor([[2, 7, 8, 3, 0]])
    find = staticmethod(lambda inputs: inputs.args[0])

    def test_replaced(self):
        table = nn.Embedding(9, 2)
        to_ids, to_embeddings = nlp.token_baseline({2, 3, 0}, 4, self.find, table)
        inputs = ModelInputs([self.ids])
        assert to_ids(model_inputs=inputs).tolist() == [[2, 4, 4, 3, 0]]
        close(to_embeddings(None, model_inputs=inputs), table(torch.tensor([[2, 4, 4, 3, 0]])))
        assert self.ids.tolist() == [[2, 7, 8, 3, 0]]

    def test_swapped(self):
        swap = nlp.token_baseline_swap([(7, 8)], self.find, None)
        assert swap(None, ModelInputs([self.ids])).tolist() == [[2, 8, 7, 3, 0]]
        assert swap(None, ModelInputs([self.ids.numpy()])).tolist() == [[2, 8, 7, 3, 0]]


def test_logging_goes_to_pythons_own(caplog):
    with caplog.at_level("DEBUG", "trulens"):
        for level in ("debug", "info", "warning", "error"):
            getattr(tru_logger, level)("told")
        tru_logger.log(20, "told")
    assert len(caplog.records) == 5
    assert tru_logger.get_logger().handlers == []


def test_every_name_of_old_is_there():
    there = {
        attribution: "AttributionMethod AttributionResult InternalInfluence InputAttribution IntegratedGradients",
        models: "get_model_wrapper discern_backend ModelWrapper",
        slices: "Cut InputCut OutputCut LogitCut Slice",
        quantities: "QoI MaxClassQoI InternalChannelQoI ClassQoI ComparativeQoI LambdaQoI ThresholdQoI ClassSeqQoI QoiCutSupportError",
        distributions: "DoI PointDoi LinearDoi GaussianDoi DoiCutSupportError",
        backend: "Backend get_backend tile rebatch memory_suggestions OutOfMemory",
    }
    assert [name for module, names in there.items() for name in names.split() if not hasattr(module, name)] == []
