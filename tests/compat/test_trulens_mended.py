"""What trulens.nn got wrong or could not do, done right: one test for each line of the table in docs/migrating-from-trulens.md."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ascribe.compat.trulens.nn.attribution import InputAttribution, IntegratedGradients, InternalInfluence
from ascribe.compat.trulens.nn.distributions import DoI, LinearDoi, PointDoi
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.nn.quantities import ClassQoI, ClassSeqQoI, LambdaQoI, MaxClassQoI
from ascribe.compat.trulens.nn.slices import Cut, InputCut, OutputCut
from ascribe.errors import AscribeWarning, DistributionError
from tests.support.hooked import Spot, even, held, mean, slope
from tests.support.small_models import Branches, TwoInputs, Words, chain, gradient, rows, seeded
from tests.support.snapshots import unchanged

NET, X = chain(4, 6, 3), rows(5, 4)


def close(found: Any, expected: torch.Tensor, rtol: float = 1e-7) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected.detach(), rtol=rtol, atol=1e-10)


# 4.1 Results that were wrong


class Keywords(nn.Module):
    """``p`` and ``q`` are different things, and can only be given by name."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, *, p, q):
        return torch.tanh(self.a(p)) * self.b(q)


def test_keyword_inputs_keep_their_names():
    net, p, q = seeded(Keywords), rows(5, 4), rows(5, 4, seed=1)
    at_p, at_q = gradient(lambda z: net(p=z, q=q)[:, 1], p), gradient(lambda z: net(p=p, q=z)[:, 1], q)
    method = InputAttribution(get_model_wrapper(net), qoi=1, multiply_activation=False)
    found_q, found_p = method.attributions(q=q, p=p)  # in the order of the call
    close(found_p, at_p)
    close(found_q, at_q)


def test_the_class_does_not_move_along_the_path():
    net, x = chain(4, 16, 3, seed=2), 3 * rows(20, 4)
    best = net(x).argmax(1)
    points = even(torch.zeros_like(x), x, 9)
    assert any((net(p).argmax(1) != best).any() for p in points)
    fixed = mean([gradient(lambda z: net(z)[range(20), best], p) for p in points]) * x
    moving = mean([gradient(lambda z: net(z).amax(1), p) for p in points]) * x
    wrapper = get_model_wrapper(net)
    close(IntegratedGradients(wrapper, None, 9).attributions(x), fixed)
    close(IntegratedGradients(wrapper, None, 9, qoi=MaxClassQoI(moving=True)).attributions(x), moving)
    assert not torch.allclose(fixed, moving, rtol=0.01)


@pytest.mark.parametrize("cut", [Cut("drop"), Cut("drop", "in"), Cut("inner", "in")], ids=repr)
def test_what_is_put_into_a_layer_stays_on_its_way(cut):
    """A dropout in evaluation mode returns its own input, which also takes another branch."""
    net = seeded(Branches)
    end = torch.tanh(net.stem(X)).detach()
    slopes = [gradient(lambda h: net.head(2 * end + torch.tanh(net.inner(h)))[:, 1], p) for p in even(0 * end, end, 5)]
    close(IntegratedGradients(get_model_wrapper(net), None, 5, cut, 1).attributions(X), mean(slopes) * end)


def test_a_value_is_what_the_layer_gave_not_what_was_done_to_it_later():
    net = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)))
    wrapper = get_model_wrapper(net)
    close(wrapper.fprop((X,), to_cut=Cut("0")), net[0](X))
    expected = gradient(lambda h: net[2](F.relu(h))[:, 1], net[0](X).detach())
    close(InternalInfluence(wrapper, Cut("0"), 1, "point", multiply_activation=False).attributions(X), expected)


def test_distance_is_measured_where_the_attribution_is():
    """The baseline is of the points' width; what the layer holds there is found by running it forward."""
    start = rows(4, seed=3).expand_as(X)
    slopes = [slope(NET, {"input": p}, lambda y: y[:, 1], Spot("1")) for p in even(start, X, 6)]
    moved = held(NET, {"input": X}, Spot("1")) - held(NET, {"input": start}, Spot("1"))
    doi = LinearDoi(start[0].numpy(), 6, cut=InputCut())
    close(InternalInfluence(get_model_wrapper(NET), Cut("1"), 1, doi).attributions(X), mean(slopes) * moved)


def test_errors_are_not_swallowed():
    wrapper = get_model_wrapper(NET)
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        IntegratedGradients(wrapper, np.zeros(5)).attributions(X)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("mine")

    for method in (
        IntegratedGradients(wrapper, broken),
        InputAttribution(wrapper, qoi=LambdaQoI(lambda y: broken())),
        InputAttribution(wrapper, doi=type("Broken", (DoI,), {"__call__": broken})()),
    ):
        with pytest.raises(KeyError, match="mine"):
            method.attributions(X)


def test_a_class_of_its_own_for_each_record():
    labels = [2, 0, 1, 1, 0]
    expected = gradient(lambda z: NET(z)[range(5), labels], X)
    wrapper = get_model_wrapper(NET)
    for size in (None, 2):
        method = InputAttribution(wrapper, qoi=ClassSeqQoI(labels), multiply_activation=False, rebatch_size=size)
        close(method.attributions(X), expected)
    points = even(0 * X, X, 4)
    expected = mean([gradient(lambda z: NET(z)[range(5), labels], p) for p in points]) * X
    close(IntegratedGradients(wrapper, None, 4, qoi=ClassSeqQoI(np.array(labels))).attributions(X), expected)
    with pytest.raises(ValueError, match="5 records"):
        InputAttribution(wrapper, qoi=ClassSeqQoI([0, 1])).attributions(X)


def test_one_wrapper_serves_several_quantities():
    wrapper = get_model_wrapper(NET)
    for c in (2, 0):
        expected = gradient(lambda z, c=c: NET(z)[:, c], X)
        close(InputAttribution(wrapper, qoi=c, multiply_activation=False).attributions(X), expected)


class Scaled(nn.Module):
    """A vector that belongs to no record."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x, weights):
        return self.fc(x) ** 2 * weights.sum()


def test_a_constant_as_long_as_the_batch_is_no_record():
    net, x, weights = seeded(Scaled), rows(2, 3), torch.ones(2, dtype=torch.float64)
    expected = mean([gradient(lambda z: net(z, weights)[:, 1], p) for p in even(0 * x, x, 3)]) * x
    for size in (None, 1, 2, 3):
        found = IntegratedGradients(get_model_wrapper(net), (None, weights), 3, qoi=1, rebatch_size=size).attributions(x, weights)
        close(found[0], expected)


class Collision(nn.Module):
    """Two layers whose joined names are the same, in a block of its own each."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.ModuleDict({"b_c": nn.Linear(4, 4)})
        self.a_b = nn.ModuleDict({"c": nn.Linear(4, 4)})

    def forward(self, x):
        return self.a_b["c"](torch.tanh(self.a["b_c"](x)))


def test_names_that_collide_are_told_apart():
    net = seeded(Collision)
    wrapper = get_model_wrapper(net)
    with pytest.raises(ValueError, match=r"'a\.b_c', 'a_b\.c'"):
        wrapper.fprop((X,), to_cut=Cut("a_b_c"))
    close(wrapper.fprop((X,), to_cut=Cut("a.b_c")), net.a["b_c"](X))
    close(wrapper.fprop((X,), to_cut=Cut("a_b.c")), net(X))


def test_blocks_have_names_too():
    net = nn.Sequential(nn.Linear(4, 4), chain(4, 6, 3)).double()
    close(get_model_wrapper(net).fprop((X,), to_cut=Cut("1")), net(X))
    assert get_model_wrapper(net).layer(1) == "1.0"  # numbers count layers with none inside, as before


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.aux = nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(x), self.aux(x)


def test_a_tuple_is_not_cut_without_a_word():
    net = seeded(Pair)
    wrapper = get_model_wrapper(net)
    with pytest.warns(AscribeWarning, match="values, and the first is explained"):
        found = InputAttribution(wrapper, qoi=1, multiply_activation=False).attributions(X)
    close(found, gradient(lambda z: net(z)[0][:, 1], X))
    second = InputAttribution(wrapper, OutputCut(accessor=lambda o: o[1]), 1, multiply_activation=False)
    close(second.attributions(X), gradient(lambda z: net(z)[1][:, 1], X))


def test_the_wrapper_gives_every_record_and_probabilities_that_add_up():
    wrapper = get_model_wrapper(NET)
    close(wrapper(X), NET(X))
    close(wrapper.probits(X), torch.softmax(NET(X), 1))
    close(wrapper.probits(X.numpy()), torch.softmax(NET(X), 1))
    net = nn.Sequential(chain(4, 3), nn.Softmax(1))
    close(get_model_wrapper(net).logits(X), net[0](X))
    close(get_model_wrapper(net).probits(X), net(X))


# 4.2 What failed, and need not


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_models_of_any_floating_type(dtype):
    net, x = chain(4, 6, 3).to(dtype), X.to(dtype)
    expected = mean([gradient(lambda z: NET(z)[:, 1], p) for p in even(0 * X, X, 5)]) * X
    found = IntegratedGradients(get_model_wrapper(net), None, 5, qoi=1).attributions(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=0, atol={2: 0.03, 4: 1e-5, 8: 1e-9}[dtype.itemsize])
    inner = InternalInfluence(get_model_wrapper(net), Cut(1), 1, "point").attributions(x)
    assert inner.dtype == dtype
    assert IntegratedGradients(get_model_wrapper(net), lambda z: 0 * z, 5, Cut(0), 1).attributions(x).dtype == dtype


def test_several_inputs():
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    slopes = []
    for pa, pb in zip(even(0 * a, a, 4), even(0 * b + 0.5, b, 4), strict=True):
        slopes.append((gradient(lambda z, q=pb: net(z, q)[:, 1], pa), gradient(lambda z, p=pa: net(p, z)[:, 1], pb)))
    found = IntegratedGradients(get_model_wrapper(net), [None, 0.5], 4, qoi=1).attributions(a, b)
    assert isinstance(found, list)
    close(found[0], mean([s[0] for s in slopes]) * a)
    close(found[1], mean([s[1] for s in slopes]) * (b - 0.5))


def test_flags_numbers_and_nothing_among_the_arguments():
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    expected = gradient(lambda z: net(z, b, None, 2.0, flip=True)[:, 1], a)
    method = InputAttribution(get_model_wrapper(net), qoi=1, multiply_activation=False)
    close(method.attributions(a, b, shift=None, scale=2.0, flip=True)[0], expected)


def test_integers_among_the_arguments():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.fc = nn.Embedding(9, 4), nn.Linear(4, 3)

        def forward(self, x, ids):
            return self.fc(torch.tanh(x * self.embed(ids)))

    net, ids = seeded(Mixed), torch.arange(5)
    expected = mean([gradient(lambda z: net(z, ids)[:, 1], p) for p in even(0 * X, X, 4)]) * X
    close(IntegratedGradients(get_model_wrapper(net), None, 4, qoi=1).attributions(X, ids), expected)


def test_token_ids_alone_are_explained_at_their_embeddings():
    net, ids = seeded(Words), torch.tensor([[1, 2, 3], [4, 5, 6]])
    wrapper = get_model_wrapper(net)
    for doi in (PointDoi(), LinearDoi(resolution=4), LinearDoi(lambda z: 0 * z, 4)):
        found = InternalInfluence(wrapper, InputCut(), 1, doi).attributions(ids)
        assert found.shape == (2, 3, 4)
    expected = IntegratedGradients(wrapper, None, 4, Cut("embed"), 1).attributions(ids)
    close(IntegratedGradients(wrapper, None, 4, qoi=1).attributions(ids), expected)


def test_inputs_that_play_no_part_get_zeros():
    class Half(nn.Module):
        def forward(self, x, unused):
            return x**2

    found = InputAttribution(get_model_wrapper(Half()), qoi=1).attributions(X, rows(5, 2))
    assert found[0].any()
    close(found[1], torch.zeros(5, 2, dtype=torch.float64))


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM) -> None:
        super().__init__()
        self.rnn, self.fc = kind(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(torch.tanh(self.rnn(x)[0])[:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_layers_that_return_several_things(kind):
    net, x = seeded(lambda: Recurrent(kind)), rows(3, 6, 4)
    cut, at = Cut("rnn", accessor=lambda o: o[0]), Spot("rnn", "out", 0)
    value = held(net, {"x": x}, at)
    wrapper = get_model_wrapper(net)
    close(wrapper.fprop((x,), to_cut=cut), value)
    expected = slope(net, {"x": x}, lambda y: y[:, 1], at)
    close(InternalInfluence(wrapper, cut, 1, "point", multiply_activation=False).attributions(x), expected)
    slopes = [slope(net, {"x": x}, lambda y: y[:, 1], at, None, [(at, p)]) for p in even(0 * value, value, 4)]
    close(IntegratedGradients(wrapper, None, 4, cut, 1).attributions(x), mean(slopes) * value)
    parts = InternalInfluence(wrapper, Cut("rnn"), 1, "point", multiply_activation=False).attributions(x)
    close(parts[0], expected)
    close(parts[1], torch.zeros_like(parts[1]))


def test_layers_that_are_called_by_keyword():
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = seeded(TwoInputs)

        def forward(self, a, b):
            return self.inner(b=b, a=torch.tanh(a))

    net, a, b = ByName(), rows(5, 4), rows(5, 3)
    found = InternalInfluence(get_model_wrapper(net), Cut("inner", "in"), 1, "point", multiply_activation=False).attributions(a, b)
    close(found[1], gradient(lambda z: net.inner(z, b)[:, 1], torch.tanh(a)))


@pytest.mark.parametrize("number", [np.int64(1), np.int32(1), 1])
def test_class_numbers_of_numpy(number):
    expected = gradient(lambda z: NET(z)[:, 1], X)
    close(InputAttribution(get_model_wrapper(NET), qoi=number, multiply_activation=False).attributions(X), expected)


@pytest.mark.parametrize("baseline", [0.5, np.float32(0.5), np.array(0.5), [0.5], torch.tensor(0.5), lambda z: 0.5], ids=str)
def test_baselines_that_are_numbers(baseline):
    expected = mean([gradient(lambda z: NET(z)[:, 1], p) for p in even(0 * X + 0.5, X, 4)]) * (X - 0.5)
    close(IntegratedGradients(get_model_wrapper(NET), baseline, 4, qoi=1).attributions(X), expected)


def test_a_baseline_with_more_rows_than_records_is_refused():
    with pytest.raises(DistributionError):
        IntegratedGradients(get_model_wrapper(NET), np.zeros((4, 4))).attributions(X[:1])


def test_no_records_at_all():
    with pytest.raises(ValueError, match="no records"):
        InputAttribution(get_model_wrapper(NET)).attributions(X[:0])


def test_values_of_three_axes():
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh()).double()
    x = rows(4, 2, 7)
    expected = gradient(lambda z: net(z)[:, 1].sum(1), x)
    close(InputAttribution(get_model_wrapper(net), qoi=1, multiply_activation=False).attributions(x), expected)


def test_integrated_gradients_without_the_distance():
    expected = mean([gradient(lambda z: NET(z)[:, 1], p) for p in even(0 * X, X, 4)])
    close(IntegratedGradients(get_model_wrapper(NET), None, 4, qoi=1, multiply_activation=False).attributions(X), expected)


def test_points_at_several_layers_are_refused_in_words():
    with pytest.raises(ValueError, match="is 2 layers"):
        InternalInfluence(get_model_wrapper(NET), Cut(0), 1, LinearDoi(cut=Cut([0, 1]))).attributions(X)


def test_the_highest_score_of_all_records():
    """Along the records' axis: for each class the record that has most of it."""
    net, x = chain(4, 16, 3, seed=2), rows(6, 4)
    expected = gradient(lambda z: net(z).amax(0), x)
    assert (expected == 0).all(1).any(), "a record that has the most of no class"
    for axis in (0, -2):
        found = InputAttribution(get_model_wrapper(net), qoi=MaxClassQoI(axis=axis), multiply_activation=False).attributions(x)
        close(found, expected)
    best = net(x).argmax(0)
    points = even(torch.zeros_like(x), x, 5)
    fixed = mean([gradient(lambda z: net(z)[best, torch.arange(3)], p) for p in points]) * x
    close(IntegratedGradients(get_model_wrapper(net), None, 5, qoi=MaxClassQoI(axis=0)).attributions(x), fixed)
    with pytest.raises(ValueError, match="all records"):
        MaxClassQoI(axis=0, moving=True).for_records(net(x))


def test_names_for_annotations_take_parameters():
    """Modules of users' own are loaded with their annotations evaluated."""
    from ascribe.compat.trulens.utils import typing as names

    tensor = names.TensorLike[torch.Tensor]
    kinds = [names.OM[names.Inputs, tensor], names.OMNested[names.Inputs, names.Uniform[tensor]]]
    more = ("ArgsLike", "Kwargs", "KwargsLike", "Indexable", "BaselineLike", "InterventionLike")
    kinds += [getattr(names, name)[tensor] for name in more]
    for kind in kinds:
        assert Callable[[kind], kind]


# 4.3 What it did to others


def test_model_and_tensors_come_back_as_they_were():
    net = nn.Sequential(chain(4, 6, 3), nn.Dropout(0.5)).train()
    x = X.clone().requires_grad_()
    wrapper = get_model_wrapper(net)
    with unchanged(net, arguments=(x,)):
        with pytest.warns(AscribeWarning, match="training mode"):
            IntegratedGradients(wrapper, None, 3, qoi=1).attributions(x)
        with pytest.warns(AscribeWarning, match="training mode"):
            wrapper.qoi_bprop(ClassQoI(1), (x,))
    assert x.grad is None
    assert net.training


def test_nothing_is_said_and_nothing_is_set(capsys, caplog):
    before = dict(os.environ), list(logging.getLogger().handlers)
    with caplog.at_level(logging.DEBUG):
        IntegratedGradients(get_model_wrapper(NET), None, 3).attributions(X)
    assert (dict(os.environ), list(logging.getLogger().handlers)) == before
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["keras", "tf.keras", "tensorflow"])
def test_models_of_another_package_than_the_backend_say_so(kind):
    with pytest.raises(ValueError, match="E-COMPAT-BACKEND"):
        get_model_wrapper(object(), backend=kind)
