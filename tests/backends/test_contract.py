"""What every session must do, whatever its framework. A backend joins with one entry in ``BACKENDS``.

The model is the same everywhere: three records of four numbers, a hidden layer of five ReLU units, three scores, in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.backends import open_session
from ascribe.backends.facts import Facts
from ascribe.backends.independence import records_independent
from ascribe.backends.numpy.mlp import Mlp
from ascribe.backends.protocol import ArrayAt, Evidence, Job, Session
from ascribe.backends.sums import PathPoints, Totals
from ascribe.cuts import INPUT, LOGITS, OUTPUT, Cut
from ascribe.engine.plan import BoundQuantities
from ascribe.errors import AscribeError, CutError, MethodError
from ascribe.quantities import Contrast, Unit

if find_spec("tensorflow") is not None:
    from tests.support.tensorflow_models import contract_models

RANDOM = np.random.default_rng(0)
W, V = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(5, 3))
B, C = RANDOM.normal(size=5), RANDOM.normal(size=3)
X = RANDOM.normal(size=(3, 4))
INDEX = np.arange(3)
STEP = 1e-5


def hidden(x: np.ndarray) -> np.ndarray:
    """The values of the hidden layer, ``[..., 5]``."""
    return np.maximum(x @ W + B, 0)


def scores(x: np.ndarray) -> np.ndarray:
    """The scores, ``[..., 3]``."""
    return hidden(x) @ V + C


def two_scores(y: Any, rows: np.ndarray) -> list[Any]:
    """Two quantities: a score, and a contrast."""
    return [y[:, 0], y[:, 2] - y[:, 1]]


def two(y: np.ndarray) -> np.ndarray:
    """The same quantities of scores ``[..., 3]``, with the quantities first."""
    return np.stack([y[..., 0], y[..., 2] - y[..., 1]])


@dataclass(frozen=True)
class Backend:
    """A framework's form of the model, and what its sessions can do.

    ``array`` makes the framework's arrays of NumPy's. ``layer`` is the output of the hidden layer, None where there are no layers.
    ``mixing`` is a model whose records depend on each other, None where a backend takes them to be independent.
    """

    model: Callable[[], Any]
    array: Callable[[np.ndarray], Any]
    layer: Cut | None
    gradients: bool
    mixing: Callable[[], Any] | None = None
    shares_shapes: bool = False
    """True if models that differ in their weights only share the facts that depend on shapes."""

    def session(self, x: np.ndarray = X) -> Session:
        return open_session(self.model(), asc.Call(self.array(x)))


class Mixing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def torch_model() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for linear, weight, bias in ((net[0], W, B), (net[2], V, C)):
            linear.weight.copy_(torch.tensor(weight.T))
            linear.bias.copy_(torch.tensor(bias))
    return net


BACKENDS = {
    "numpy": Backend(lambda: Mlp([W, V], [B, C]), np.array, Cut("0"), True),
    "black box": Backend(lambda: scores, np.array, None, False),
    "torch": Backend(torch_model, torch.tensor, Cut("1"), True, Mixing),
}
if find_spec("tensorflow") is not None:
    BACKENDS |= {f"tensorflow {name}": Backend(*parts) for name, parts in contract_models(W, B, V, C).items()}
for module in ("jax",):
    if find_spec(module) is not None:
        BACKENDS |= {
            name: Backend(*fields) for name, fields in import_module(f"tests.support.{module}_contract").entries(W, B, V, C).items()
        }
WITH_LAYERS = [name for name, backend in BACKENDS.items() if backend.layer is not None]
WITH_GRADIENTS = [name for name, backend in BACKENDS.items() if backend.gradients]
WITHOUT_GRADIENTS = [name for name, backend in BACKENDS.items() if not backend.gradients]


@pytest.fixture(autouse=True)
def double_precision(request: pytest.FixtureRequest) -> Iterator[None]:
    """The models have double precision, which JAX has to be asked for."""
    if "jax" not in request.node.name:
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS[request.param]


def spots_at(session: Session, cut: Cut) -> tuple[ArrayAt, ...]:
    """The positions of the arrays at a cut."""
    return tuple(session.evaluate(Job(INDEX, read=(cut,))).reads[cut].spots)


def at_points(session: Session, cut: Cut, values: Any, **more: Any) -> Evidence:
    """The two quantities with values ``[points, records, ...]`` written at a cut."""
    on = session.resolve(OUTPUT, False)
    spots = spots_at(session, cut)
    return session.evaluate(Job(INDEX, len(values), cut, spots, (values,), on=on, of=two_scores, **more))


def equal(found: Any, truth: np.ndarray) -> None:
    assert tuple(found.shape) == truth.shape
    np.testing.assert_allclose(as_numpy(found), truth, rtol=1e-9, atol=1e-12)


# The call


def test_a_session_knows_its_call(backend: Backend) -> None:
    with backend.session() as session:
        assert session.records == 3
        assert isinstance(session.call, asc.Call)
        assert session.notes == []
        assert session.traits.class_names is None
        assert not session.traits.regresses
        assert session.parameter_count() in (0, W.size + V.size, W.size + V.size + B.size + C.size)


def test_arrays_have_the_names_that_the_user_gives_them(backend: Backend) -> None:
    with backend.session() as session:
        assert session.names(spots_at(session, INPUT)) == ["input 0"]


def test_results_are_of_the_kind_of_the_arguments(backend: Backend) -> None:
    given = backend.array(X)
    with open_session(backend.model(), asc.Call(given)) as session:
        array = session.evaluate(Job(INDEX, read=(INPUT,))).reads[INPUT].arrays[0]
        assert type(session.given(array)) is type(given)
    with open_session(backend.model(), asc.Call(X)) as session:
        array = session.evaluate(Job(INDEX, read=(INPUT,))).reads[INPUT].arrays[0]
        assert isinstance(session.given(array), np.ndarray)


def test_another_call_of_the_model_leaves_the_first_as_it_is(backend: Backend) -> None:
    with backend.session() as session:
        with session.another(asc.Call(backend.array(X[:2] + 1))) as other:
            assert other.records == 2
            equal(other.evaluate(Job(np.arange(2), read=(OUTPUT,))).reads[OUTPUT].arrays[0], scores(X[:2] + 1)[None])
        equal(session.evaluate(Job(INDEX, read=(OUTPUT,))).reads[OUTPUT].arrays[0], scores(X)[None])


def test_places_begin_with_the_input_and_end_with_the_output(backend: Backend) -> None:
    with backend.session() as session:
        places = session.places()
        assert (places[0].cut, places[-1].cut) == (INPUT, OUTPUT)
        assert [len(place.shapes) for place in places] == [1] * len(places)
        assert np.prod(places[0].shapes[0]) == 4
        assert np.prod(places[-1].shapes[0]) == 3
        assert (backend.layer in [place.cut for place in places]) == (backend.layer is not None)


# Values


def test_what_is_read_has_points_and_records_first(backend: Backend) -> None:
    with backend.session() as session:
        for index in (INDEX, INDEX[:1], INDEX[1:], INDEX[[0, 2]]):
            found = session.evaluate(Job(index, read=(INPUT, OUTPUT)))
            assert found.value is None
            assert not found.grads
            equal(found.reads[INPUT].arrays[0], X[index][None])
            equal(found.reads[OUTPUT].arrays[0], scores(X[index])[None])
            assert [spot.cut for spot in found.reads[INPUT].spots] == [INPUT]
            assert [spot.axis for spot in found.reads[OUTPUT].spots] == [0]


def test_quantities_are_told_the_record_of_each_row(backend: Backend) -> None:
    seen = []

    def quantity(y: Any, rows: np.ndarray) -> list[Any]:
        seen.append((len(y), rows.tolist()))
        return [y[:, 0]]

    with backend.session() as session:
        on = session.resolve(OUTPUT, False)
        found = session.evaluate(Job(INDEX[1:], on=on, of=quantity))
        equal(found.value, scores(X[1:])[:, 0][None, None])
        assert found.forward == 1
        assert found.backward == 0
    assert set(map(str, seen)) == {str((2, [1, 2]))}


def test_points_together_are_what_each_of_them_is_alone(backend: Backend) -> None:
    points = RANDOM.normal(size=(4, 3, 4))
    with backend.session() as session:
        together = at_points(session, INPUT, backend.array(points))
        equal(together.value, two(scores(points)))
        for k in range(4):
            equal(at_points(session, INPUT, backend.array(points[k : k + 1])).value, two(scores(points[k : k + 1])))
        equal(at_points(session, INPUT, backend.array(points)).value, two(scores(points)))


def test_what_is_written_and_the_arguments_stay_as_they_are(backend: Backend) -> None:
    given, points = backend.array(X), backend.array(np.stack([X, 2 * X]))
    with open_session(backend.model(), asc.Call(given)) as session:
        at_points(session, INPUT, points)
        session.evaluate(Job(INDEX, read=(INPUT, OUTPUT)))
    np.testing.assert_array_equal(as_numpy(given), X)
    np.testing.assert_array_equal(as_numpy(points), np.stack([X, 2 * X]))


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_layers_are_read_and_written(name: str) -> None:
    backend = BACKENDS[name]
    inner = RANDOM.normal(size=(2, 3, 5))
    with backend.session() as session:
        layer = session.resolve(backend.layer, False)
        equal(session.evaluate(Job(INDEX, read=(layer,))).reads[layer].arrays[0], hidden(X)[None])
        equal(at_points(session, layer, backend.array(inner)).value, two(inner @ V + C))
        written = session.evaluate(Job(INDEX, 2, layer, spots_at(session, layer), (backend.array(inner),), read=(OUTPUT,)))
        equal(written.reads[OUTPUT].arrays[0], inner @ V + C)


def test_the_logits_are_found(backend: Backend) -> None:
    with backend.session() as session, suppress(CutError):  # a black box may not know them
        cut = session.resolve(LOGITS, False)
        equal(session.evaluate(Job(INDEX, read=(cut,))).reads[cut].arrays[0], scores(X)[None])


# Gradients


def slopes(quantity: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Central differences along the last axis."""
    found = np.zeros((2, *x.shape))
    for k in range(x.shape[-1]):
        step = np.zeros(x.shape[-1])
        step[k] = STEP
        found[..., k] = (quantity(x + step) - quantity(x - step)) / (2 * STEP)
    return found


def alike(found: Any, truth: np.ndarray) -> None:
    assert tuple(found.shape) == truth.shape
    np.testing.assert_allclose(as_numpy(found), truth, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_gradients_are_finite_differences(name: str) -> None:
    backend, points = BACKENDS[name], RANDOM.normal(size=(3, 3, 4))
    with backend.session() as session:
        on, layer = session.resolve(OUTPUT, False), None if backend.layer is None else session.resolve(backend.layer, True)
        found = session.evaluate(Job(INDEX, wrt=(INPUT,) if layer is None else (INPUT, layer), on=on, of=two_scores))
        alike(found.grads[INPUT][0], slopes(lambda x: two(scores(x)), X[None]))
        if layer is not None:
            alike(found.grads[layer][0], slopes(lambda h: two(h @ V + C), hidden(X)[None]))
        assert (found.forward, found.backward) == (1, 1)
        for _ in range(2):
            along = at_points(session, INPUT, backend.array(points), wrt=(INPUT,))
            alike(along.grads[INPUT][0], slopes(lambda x: two(scores(x)), points))
            equal(along.value, two(scores(points)))
        if layer is None:
            return
        deeper = at_points(session, INPUT, backend.array(points), wrt=(layer,), read=(layer,))
        alike(deeper.grads[layer][0], slopes(lambda h: two(h @ V + C), hidden(points)))
        equal(deeper.reads[layer].arrays[0], hidden(points))


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_bytes_are_counted_when_a_job_asks(name: str) -> None:
    backend = BACKENDS[name]
    with backend.session() as session:
        job = Job(INDEX, wrt=(INPUT,), on=session.resolve(OUTPUT, False), of=two_scores, count_bytes=True)
        assert session.evaluate(job).bytes_kept >= 0


@pytest.mark.parametrize("name", WITHOUT_GRADIENTS)
def test_gradients_are_refused_where_there_are_none(name: str) -> None:
    with BACKENDS[name].session() as session:
        on = session.resolve(OUTPUT, False)
        for refused in (
            lambda: session.resolve(INPUT, True),
            lambda: session.cut_info(INPUT).source(),
            lambda: session.evaluate(Job(INDEX, wrt=(INPUT,), on=on, of=two_scores)),
        ):
            with pytest.raises(AscribeError):
                refused()


# Refusals


def test_a_place_that_is_not_there_is_a_cut_error(backend: Backend) -> None:
    with backend.session() as session, pytest.raises(CutError):
        session.evaluate(Job(INDEX, read=(session.resolve(Cut("nowhere"), False),)))


def test_a_rule_that_a_backend_does_not_have_is_refused(backend: Backend) -> None:
    class Unknown:
        compares = False

    with backend.session() as session, pytest.raises(AscribeError):
        session.evaluate(Job(INDEX, wrt=(INPUT,), on=session.resolve(OUTPUT, False), of=two_scores, by=Unknown()))


def test_biases_are_read_or_refused(backend: Backend) -> None:
    with backend.session() as session, suppress(MethodError):
        biases, nonlinear = session.biases([] if backend.layer is None else [backend.layer.layer])
        assert set(biases) <= {backend.layer.layer}
        assert isinstance(nonlinear, list)


def test_a_quantity_that_fails_is_an_error_of_ours(backend: Backend) -> None:
    def wrong(y: Any, rows: np.ndarray) -> list[Any]:
        raise RuntimeError("no such score")

    with backend.session() as session:
        job = Job(INDEX, on=session.resolve(OUTPUT, False), of=wrong)
        with pytest.raises(AscribeError, match="no such score"):
            session.evaluate(job)
        equal(session.evaluate(Job(INDEX, read=(OUTPUT,))).reads[OUTPUT].arrays[0], scores(X)[None])


# The device, the cuts, the facts


def test_the_device_is_done_and_has_memory(backend: Backend) -> None:
    with backend.session() as session:
        session.device.wait()
        assert session.device.spare_memory() > 0
        assert session.device.out_of_memory(MemoryError())
        assert not session.device.out_of_memory(ValueError("no"))


def test_cuts_are_known(backend: Backend) -> None:
    with backend.session() as session:
        info = session.cut_info(INPUT)
        assert info.elements() == 4
        assert info.is_shared() is False
        assert info.replaces_all()
        assert info.left_out() == ()
        if backend.gradients:
            assert info.source() == INPUT
        if backend.layer is not None:
            inner = session.cut_info(session.resolve(backend.layer, False))
            assert inner.elements() == 5
            assert inner.is_shared() is False


def test_records_are_independent_where_they_are(backend: Backend) -> None:
    with backend.session() as session:
        assert records_independent(session)
    with backend.session(X[:1]) as session:
        assert records_independent(session)
    if backend.mixing is not None:
        with open_session(backend.mixing(), asc.Call(backend.array(X))) as session:
            assert not records_independent(session)
            assert session.may_vary()


def test_facts_of_one_call_do_not_reach_the_next(backend: Backend) -> None:
    model, other = backend.model(), backend.model()
    with open_session(model, asc.Call(backend.array(X))) as session:
        assert isinstance(session.facts, Facts)
        session.facts.call.writable["cut"] = True
        session.facts.doubted = True
        session.facts.weights.writable["cut"] = True
        session.facts.shapes.chunkers["key"] = 1
        with session.another(asc.Call(backend.array(X[:2]))) as another:
            assert "key" not in another.facts.shapes.chunkers
    with open_session(model, asc.Call(backend.array(X))) as session:
        assert "cut" not in session.facts.call.writable
        assert not session.facts.doubted
        assert session.facts.weights.writable.get("cut") in (None, True)
    with open_session(other, asc.Call(backend.array(X))) as session:
        assert "cut" not in session.facts.weights.writable
        assert ("key" in session.facts.shapes.chunkers) == backend.shares_shapes


def test_a_session_leaves_the_model_as_it_was(backend: Backend) -> None:
    model = backend.model()
    before = repr(vars(model)) if hasattr(model, "__dict__") else ""
    with pytest.raises(KeyError), open_session(model, asc.Call(backend.array(X))) as session:
        session.evaluate(Job(INDEX, read=(OUTPUT,)))
        raise KeyError
    session.close()
    session.close()
    assert (repr(vars(model)) if hasattr(model, "__dict__") else "") == before
    equal(model(backend.array(X)), scores(X))


# The engine on top


@pytest.mark.parametrize("chunk", [1, 2, 5, 64])
def test_chunks_change_nothing(backend: Backend, chunk: int) -> None:
    model, x = backend.model(), backend.array(X)
    asked = [{"over": asc.coalitions.LeaveOneOut(), "by": 0.0}, {"over": asc.coalitions.Exact(), "by": 0.0}]
    if backend.gradients:
        asked += [{"over": asc.Line(0.0, steps=6)}]
    if backend.layer is not None:
        asked += [{"over": asc.Line(0.0, steps=6), "at": backend.layer}]
    for over in asked:
        truth = asc.attribute(model, x, of=1, **over)
        found = asc.attribute(model, x, of=1, chunk=chunk, **over)
        np.testing.assert_allclose(as_numpy(found.values), as_numpy(truth.values), rtol=1e-9, atol=1e-12)


def test_sizes_of_compiled_programs_change_nothing(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = backend.model(), backend.array(X)
    over: Any = {"over": asc.Line(0.0, steps=11)} if backend.gradients else {"over": asc.coalitions.Exact(), "by": 0.0}
    truth = asc.attribute(model, x, of=1, **over)
    monkeypatch.setattr(Session, "sizes", lambda self, rows: 1 << (rows - 1).bit_length())
    found = asc.attribute(model, x, of=1, **over)
    np.testing.assert_allclose(as_numpy(found.values), as_numpy(truth.values), rtol=1e-9, atol=1e-12)


def test_arrays_are_put_and_other_parts_stay(backend: Backend) -> None:
    with backend.session() as session:
        values = RANDOM.normal(size=(2, 4, 3))
        put = session.xp.put(backend.array(values), (slice(None), np.array([1, 3])), backend.array(np.zeros((2, 2, 3))))
        truth = values.copy()
        truth[:, [1, 3]] = 0
        equal(put, truth)


def test_backends_give_the_same_numbers(backend: Backend) -> None:
    truth = asc.attribute(BACKENDS["numpy"].model(), X, of=1, over=asc.coalitions.Exact(), by=0.0)
    found = asc.attribute(backend.model(), backend.array(X), of=1, over=asc.coalitions.Exact(), by=0.0)
    np.testing.assert_allclose(as_numpy(found.values), as_numpy(truth.values), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_a_share_of_a_layer_is_kept(name: str) -> None:
    backend, inner = BACKENDS[name], RANDOM.normal(size=(2, 3, 5))
    keep = RANDOM.uniform(size=(2, 3, 5)) < 0.5
    with backend.session() as session:
        layer = session.resolve(backend.layer, False)
        found = at_points(session, layer, backend.array(inner), keep=(backend.array(keep),))
        equal(found.value, two(np.where(keep, hidden(X)[None], inner) @ V + C))


def paths(session: Session, cut: Cut, positions: list[float] | None, **more: Any) -> PathPoints:
    """Four points of paths from zero to the values at a cut; without positions the ends, each scaled otherwise."""
    weights = np.array([0.5, -1.0, 2.0, 0.25])
    (x,) = session.evaluate(Job(INDEX, read=(cut,))).reads[cut].arrays
    if positions is None:
        return PathPoints((), (x * session.xp.asarray(weights.reshape(-1, 1, 1), x),), None, weights, **more)
    return PathPoints((session.xp.zeros_like(x[:, :1]),), (x,), np.array(positions), weights, **more)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
@pytest.mark.parametrize("positions", [[0.0, 0.3, 0.8, 1.0], None], ids=["line", "ends"])
@pytest.mark.parametrize("how", ["plain", "squares", "by_distance"])
def test_sums_over_points_are_those_of_the_default(name: str, positions: list[float] | None, how: str) -> None:
    backend = BACKENDS[name]
    more = {} if how == "plain" else {how: True}
    with backend.session() as session:
        on = session.resolve(OUTPUT, False)
        for cut in (INPUT, backend.layer):
            if cut is None:
                continue
            of = BoundQuantities(session, [Unit(0), Contrast(2, 1)], INDEX)
            session.evaluate(Job(INDEX, on=on, of=of))
            path = paths(session, cut, positions, **more)
            job = Job(INDEX, 4, cut, spots_at(session, cut), wrt=(cut,), on=on, of=of)
            totals: list[Totals] = [{}, {}]
            for _ in range(2):  # the second is added to the first
                own = session.summed(job, path, totals[0])
                default = Session.summed(session, job, path, totals[1])
            np.testing.assert_allclose(as_numpy(own.value), as_numpy(default.value), rtol=1e-9)
            for mine, other in zip(totals[0][cut], totals[1][cut], strict=True):
                assert len(mine) == len(other) == 2
                for a, b in zip(mine, other, strict=True):
                    np.testing.assert_allclose(as_numpy(a), as_numpy(b), rtol=1e-6, atol=1e-9)
