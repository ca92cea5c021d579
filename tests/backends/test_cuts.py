"""Places in a model: what is there, what is read, written and differentiated at them, and what need not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes
from ascribe.errors import CutError
from tests.support.odd_models import rows, seeded, table
from tests.support.snapshots import unchanged

Tensor = torch.Tensor
X = rows(3, 4)
STEPS = 5

pytestmark = pytest.mark.filterwarnings("ignore:completeness")


def slope(run: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The gradient of the rows of ``run`` at a value."""
    with torch.enable_grad():
        z = at.detach().clone().requires_grad_()
        return torch.autograd.grad(run(z * 1.0).sum(), z)[0]  # not the leaf itself: the run may work in place


def line(run: Callable[[Tensor], Tensor], end: Tensor) -> Tensor:
    """Integrated gradients from zero, a point after the other."""
    end = end.detach()
    return end * sum(w * slope(run, p * end) for p, w in zip(*quadrature_nodes("gauss-legendre", STEPS), strict=True))


def close(a: Any, b: Tensor, tolerance: float = 2e-6) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b.detach(), rtol=0, atol=tolerance * max(1.0, float(b.abs().max()))))


def over(cut: asc.Cut) -> asc.Line:
    return asc.Line(0.0, steps=STEPS, at=cut)


# In-place work and aliases. ``forward`` runs a model whole; ``rest`` is what follows when the value at the cut is z.


class Aliased(nn.Module):
    """A layer, something that works in place or returns what it was given, and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lin, self.two, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.act, self.same, self.drop = nn.ReLU(inplace=True), nn.Identity(), nn.Dropout(0.5)

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        """The output when the cut's value is ``z``; ``h`` is what the first layer gave."""
        raise NotImplementedError


class InPlaceActivation(Aliased):
    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act(self.lin(x)))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.relu(z))


class InPlaceSum(Aliased):
    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        h += x
        return self.out(torch.sin(h))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(z + x))


class InPlaceSlice(Aliased):
    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        h[:, 0] = 0.5
        h[:, 1:3].mul_(2.0)
        return self.out(torch.sin(h))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(torch.cat([torch.full_like(z[:, :1], 0.5), 2 * z[:, 1:3], z[:, 3:]], 1)))


class InPlaceThroughView(Aliased):
    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        self.act(h.view(-1, 2))
        return self.out(h)

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.relu(z))


class InPlaceReliedOn(Aliased):
    """The activation changes ``h`` as well, and the sum relies on it."""

    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        return self.out(torch.sin(self.act(h) + h))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(2 * torch.relu(z)))


class IdentityBranch(Aliased):
    cut = "same"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        return self.out(torch.sin(2 * h + self.same(h)))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(2 * h + z))


class DropoutBranch(IdentityBranch):
    cut = "drop"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        return self.out(torch.sin(2 * h + self.drop(h)))


class DropoutThenInPlace(Aliased):
    cut = "drop"

    def forward(self, x: Tensor) -> Tensor:
        h = self.lin(x)
        return self.out(torch.sin(self.act(self.drop(h.clone())) + h))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(torch.relu(z) + h))


class Block(Aliased):
    """A residual block as torchvision writes it."""

    cut = "two"

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(self.act(self.lin(x)))
        h += x
        return self.out(self.act(h))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.relu(z + x))


class Chunks(Aliased):
    cut = "lin"

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.lin(x).chunk(2, 1)
        return self.out(torch.sin(torch.cat([a * 2, torch.relu(b)], 1)))

    def rest(self, x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return self.out(torch.sin(torch.cat([z[:, :2] * 2, torch.relu(z[:, 2:])], 1)))


ALIASED = [InPlaceActivation, InPlaceSum, InPlaceSlice, InPlaceThroughView, InPlaceReliedOn, IdentityBranch, DropoutBranch,
           DropoutThenInPlace, Block, Chunks]  # fmt: skip


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("kind", ALIASED)
def test_in_place_work_and_aliases(kind: type[Aliased], grad: bool) -> None:
    model = seeded(kind())
    plain = model(X)
    seen: list[Tensor] = []
    handle = model.get_submodule(kind.cut).register_forward_hook(lambda m, a, y: seen.append(y.detach().clone()))
    model(X)
    handle.remove()
    value, h = seen[0], model.lin(X).detach()
    run = lambda z: model.rest(X, z, h)[:, 1]  # noqa: E731
    assert close(model.rest(X, value, h), plain)
    cut = asc.Cut(kind.cut)
    with torch.set_grad_enabled(grad), unchanged(model, arguments=X):
        for _ in range(2):
            assert close(asc.activation(model, X, at=cut).values, value)
            found = asc.influence(model, X, of=1, at=cut)
            assert close(found.record, value)
            assert close(found.values, slope(run, value))
            assert close(asc.attribute(model, X, of=1, at=cut, over=over(cut)).values, line(run, value))
            neuron = asc.influence(model, X, of=asc.Unit(1, on=cut))
            assert close(torch.as_tensor(neuron.explained).float(), value[:, 1])


def test_writing_where_others_hold_the_same_memory_is_right_or_refused() -> None:
    class Others(Aliased):
        def forward(self, x: Tensor) -> Tensor:
            h = self.lin(x)
            self.act(h)
            return self.out(torch.sin(h))

    model = seeded(Others())
    cut, value = asc.Cut("act", "in"), model.lin(X)
    try:
        found = asc.attribute(model, X, of=1, at=cut, over=over(cut))
    except CutError as error:
        assert "E-CUT-ALIAS" in str(error)  # noqa: PT017 - either way out is right
    else:
        assert close(found.values, line(lambda z: model.out(torch.sin(torch.relu(z)))[:, 1], value))


# Layers used several times, and called in their own ways


class Repeats(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lin(torch.sin(self.lin(x))))


def test_a_layer_used_twice() -> None:
    model = seeded(Repeats())
    first = model.lin(X)
    second = model.lin(torch.sin(first))
    after_first = lambda z: model.out(model.lin(torch.sin(z)))[:, 1]  # noqa: E731
    after_second = lambda z: model.out(z)[:, 1]  # noqa: E731
    both = asc.influence(model, X, of=1, at="lin")
    assert close(both.values[0], slope(after_first, first))
    assert close(both.values[1], slope(after_second, second))
    assert close(both.record[1], second)
    assert "used 2 times" in next(c for c in both.checks if c.name == "calls").detail
    for call, (value, run) in enumerate([(first, after_first), (second, after_second)]):
        cut = asc.Cut("lin", call=call)
        for _ in range(2):
            assert close(asc.activation(model, X, at=cut).values, value)
            assert close(asc.influence(model, X, of=1, at=cut).values, slope(run, value))
            assert close(asc.attribute(model, X, of=1, at=cut, over=over(cut)).values, line(run, value))
    with pytest.raises(CutError, match="E-CUT-CALLS"):
        asc.influence(model, X, of=asc.Unit(1, on=asc.Cut("lin")))
    neuron = asc.influence(model, X, of=asc.Unit(1, on=asc.Cut("lin", call=1)))
    assert close(neuron.values, slope(lambda z: model.lin(torch.sin(model.lin(z)))[:, 1], X))


def test_all_uses_written_at_once() -> None:
    model = seeded(Repeats())
    cut = asc.Cut("lin")
    first, second = model.lin(X).detach(), model.lin(torch.sin(model.lin(X))).detach()
    found = asc.attribute(model, X, of=1, at=cut, over=over(cut)).values
    assert not bool(found[0].any())  # the second use is written over, so nothing depends on the first
    assert close(found[1], line(lambda z: model.out(z)[:, 1], second))
    assert found[0].shape == first.shape


def test_a_layer_used_as_often_as_the_values_say() -> None:
    """How often a layer runs is learnt from calls of the same shapes; a use that was named is always waited for."""

    class Deeper(Repeats):
        def forward(self, x: Tensor) -> Tensor:
            h = self.lin(x)
            return self.out(self.lin(torch.sin(h)) if x.sum() > 0 else h)

    model = seeded(Deeper())
    asc.activation(model, -X.abs(), at="lin")
    assert asc.activation(model, X.abs(), at=asc.Cut("lin", call=1)).values.shape == (len(X), 4)
    asc.activation(model, X.abs(), at=["lin", asc.Cut("out")])
    assert len(asc.activation(model, X.abs(), at="lin").values) == 2


class ByName(nn.Module):
    """Calls its layer by keyword, and another with both."""

    def __init__(self) -> None:
        super().__init__()
        self.lin, self.mix, self.out = nn.Linear(4, 4), nn.Bilinear(4, 4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sin(self.lin(input=x * 2))
        return self.out(self.mix(h, input2=torch.cos(h)))


def test_layers_called_by_keyword() -> None:
    model = seeded(ByName())
    h = torch.sin(model.lin(X * 2)).detach()
    cut = asc.Cut("lin", "in")
    run = lambda z: model.out(model.mix(torch.sin(model.lin(z)), torch.cos(torch.sin(model.lin(z)))))[:, 1]  # noqa: E731
    assert close(asc.activation(model, X, at=cut).values, 2 * X)
    assert close(asc.influence(model, X, of=1, at=cut).values, slope(run, 2 * X))
    assert close(asc.attribute(model, X, of=1, at=cut, over=over(cut)).values, line(run, 2 * X))
    both = asc.influence(model, X, of=1, at=asc.Cut("mix", "in")).values
    assert list(both) == [0, "input2"]
    assert close(both[0], slope(lambda z: model.out(model.mix(z, torch.cos(h)))[:, 1], h))
    for accessor, run in ((0, lambda z: model.mix(z, torch.cos(h))), ("input2", lambda z: model.mix(h, z))):
        cut = asc.Cut("mix", "in", accessor)
        value = asc.activation(model, X, at=cut).values
        assert close(asc.attribute(model, X, of=1, at=cut, over=over(cut)).values, line(lambda z, f=run: model.out(f(z))[:, 1], value))


class Recurrent(nn.Module):
    def __init__(self, first: bool, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.first = first
        self.rnn, self.out = kind(4, 5, 2, batch_first=first), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.rnn(x if self.first else x.transpose(0, 1))[0]
        return self.out(torch.sin(y[:, -1] if self.first else y[-1]))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("chunk", [None, 2])
def test_recurrent_layers(first: bool, kind: type[nn.RNNBase], chunk: int | None) -> None:
    model, x = seeded(Recurrent(first, kind)), rows(3, 6, 4)
    y, state = model.rnn(x if first else x.transpose(0, 1))
    run = lambda z: model.out(torch.sin(z[:, -1] if first else z[-1]))[:, 1]  # noqa: E731
    cut = asc.Cut("rnn", accessor=0)
    assert close(asc.influence(model, x, of=1, at=cut, chunk=chunk).values, slope(run, y))
    for _ in range(2):
        assert close(asc.attribute(model, x, of=1, at=cut, over=over(cut), chunk=chunk).values, line(run, y))
        assert close(asc.attribute(model, x, of=1, over=over(asc.INPUT), chunk=chunk).values, line(lambda z: model(z)[:, 1], x))
    whole = asc.influence(model, x, of=1, at="rnn", chunk=chunk)
    assert close(whole.values[0], slope(run, y))
    states = state if isinstance(state, tuple) else (state,)
    got = whole.record[1] if isinstance(whole.record[1], tuple) else (whole.record[1],)
    assert all(close(g, s) for g, s in zip(got, states, strict=True))
    last = asc.activation(model, x, at=asc.Cut("rnn", accessor=(1, 0) if kind is nn.LSTM else 1)).values
    assert close(last, states[0])


def test_parts_of_dictionaries_and_objects() -> None:
    class Parts(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"states": [x * 2, torch.sin(x)], "mask": None, "length": 3}

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts, self.out = Parts(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            found = self.parts(x)
            return self.out(found["states"][0] * found["states"][1])

    model = seeded(Whole())
    cut = asc.Cut("parts", accessor=("states", 1))
    run = lambda z: model.out(2 * X * z)[:, 1]  # noqa: E731
    for _ in range(2):
        assert close(asc.attribute(model, X, of=1, at=cut, over=over(cut)).values, line(run, torch.sin(X)))
    both = asc.influence(model, X, of=1, at="parts").values
    assert close(both["states"][1], slope(run, torch.sin(X)))
    with pytest.raises(CutError, match="states"):
        asc.influence(model, X, of=1, at=asc.Cut("parts", accessor="state"))
    with pytest.raises(CutError, match="E-CUT-INTEGER"):
        asc.influence(model, X, of=1, at=asc.Cut("parts", accessor="length"))


def test_several_places_in_one_call_are_those_alone() -> None:
    model = table()
    cuts = ["0", asc.INPUT, asc.Cut("2", "in"), "1"]
    for path in (None, asc.Line(0.0, steps=STEPS), asc.Line(0.1, steps=STEPS, at=asc.Cut("0"))):
        wanted = [cut for cut in cuts if cut != asc.INPUT or path is None or path.at == asc.INPUT]
        together = asc.attribute(model, X, of=1, at=wanted, over=path).values
        for cut, value in zip(wanted, together, strict=True):
            assert close(value, asc.attribute(model, X, of=1, at=cut, over=path).values)


class Placed(nn.Module):
    """Multiplies every step by an embedding of its position: a value that all records share."""

    def __init__(self) -> None:
        super().__init__()
        self.position, self.head = nn.Embedding(2, 2), nn.Linear(2, 3)

    def rest(self, x: Tensor, p: Tensor) -> Tensor:
        return self.head(torch.tanh(x.view(-1, 2, 2) * p).sum(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(x, self.position(torch.arange(2)))


def test_a_value_that_records_share_is_explained_for_each_of_them() -> None:
    """Wherever the points are."""
    model, (places, shares) = seeded(Placed()), quadrature_nodes("gauss-legendre", STEPS)
    p = model.position.weight.detach()
    wanted = [
        sum(w * slope(lambda z, x=x, t=t: model.rest(t * x, z)[:, 1], p) for t, w in zip(places, shares, strict=True)) for x in X.split(1)
    ]
    assert close(asc.influence(model, X, of=1, at="position", over=asc.Line(0.0, steps=STEPS)).values, torch.stack(wanted))
    alone = torch.stack([slope(lambda z, x=x: model.rest(x, z)[:, 1], p) for x in X.split(1)])
    assert close(asc.attribute(model, X, of=1, at="position").values, alone * p)


# What runs, and how often


class Tally:
    """Rows that pass each layer from now on, counted where the library takes it for data: a hook that changes is another model."""

    def __init__(self, model: nn.Module, layers: list[str]) -> None:
        self.layers, self.rows = layers, np.zeros((len(layers), 1024))
        for i, name in enumerate(layers):
            model.get_submodule(name).register_forward_hook(self.hook(i, self.rows))

    @staticmethod
    def hook(i: int, rows: np.ndarray) -> Callable[..., None]:
        return lambda m, a, y: rows[i].__setitem__(0, rows[i, 0] + len(y))

    def __getitem__(self, name: str) -> int:
        return int(self.rows[self.layers.index(name), 0])

    def clear(self) -> None:
        self.rows[:] = 0


def deep() -> nn.Module:
    return seeded(nn.Sequential(*(layer for _ in range(4) for layer in (nn.Linear(4, 4), nn.Tanh()))))


@pytest.mark.parametrize("ask", [
    lambda m, call: asc.influence(m, X, of=asc.Unit(1, on=asc.Cut("2", call=call))),
    lambda m, call: asc.influence(m, X, of=asc.Unit(1, on=asc.Cut("2", call=call)), at=asc.Cut("0", call=call)),
    lambda m, call: asc.attribute(m, X, of=asc.Unit(1, on=asc.Cut("2", call=call)), over=asc.Line(0.0, steps=STEPS)),
    lambda m, call: asc.attribute(m, X, of=asc.Unit(1, on=asc.Cut("2", call=call)), at=asc.Cut("0", call=call),
                                  over=over(asc.Cut("0", call=call))),
    lambda m, call: asc.activation(m, X, at=asc.Cut("2", call=call)),
    lambda m, call: asc.activation(m, X, at=[asc.Cut("1", call=call), asc.Cut("2", call=call)]),
])  # fmt: skip
def test_what_comes_after_the_last_cut_does_not_run(ask: Callable[[nn.Module, int | None], Any]) -> None:
    model = deep()
    seen = Tally(model, ["2", "3", "7"])
    ask(model, 0)
    assert seen["2"] > 0
    assert seen["3"] == seen["7"] == 0
    seen.clear()
    ask(model, None)  # the first call has to find out how often the layer runs
    seen.clear()
    ask(model, None)
    assert seen["2"] > 0
    assert seen["3"] == seen["7"] == 0


def test_what_comes_before_the_cut_runs_once_per_record() -> None:
    model, cut = deep(), asc.Cut("6")
    ask = lambda: asc.attribute(model, X, of=1, at=cut, over=asc.Line(0.0, steps=64, at=cut))  # noqa: E731
    seen = Tally(model, ["0", "7"])
    ask()
    seen.clear()
    found = ask()
    assert found.cost is not None
    assert seen["0"] == len(X) * found.cost.forward  # whatever the number of points in a run
    assert found.cost.forward <= 4
    assert seen["7"] >= 64 * len(X)


def test_one_pass_where_one_is_enough() -> None:
    model = deep()
    seen = Tally(model, ["0", "7"])
    asc.attribute(model, X, of=1, at="4")
    seen.clear()
    found = asc.attribute(model, X, of=1, at="4")
    assert seen["0"] == seen["7"] == len(X)
    assert (found.cost.forward, found.cost.backward, found.cost.rows) == (1, 1, len(X))


# Names of places


def test_cuts_of_lists_what_runs_in_its_order() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.unused = nn.Linear(4, 3), nn.Linear(1, 1)
            self.body = nn.ModuleDict({"b": nn.Tanh(), "a": nn.Linear(4, 4)})
            self.rnn = nn.GRU(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            h = self.body["b"](self.body["a"](self.body["a"](x)))
            return self.last(self.rnn(h)[0][:, -1])

    model, x = seeded(Branch()), rows(3, 2, 4)
    with unchanged(model, arguments=x):
        places = asc.cuts_of(model, x)
    assert [repr(p.cut) for p in places if p.cut.anchor == "out"] == [
        "Cut('body.a')", "Cut('body.b')", "Cut('rnn')", "Cut('last')", "OUTPUT"]  # fmt: skip
    assert [repr(p.cut) for p in places][:2] == ["INPUT", "Cut('body.a', 'in')"]
    found = {repr(p.cut): p for p in places}
    assert found["Cut('body.a')"].calls == 2
    assert found["Cut('body.a')"].kind == "Linear"
    assert found["Cut('body.a')"].shape == (1, 2, 4)
    assert found["Cut('rnn')"].shapes == ((1, 2, 4), (1, 1, 4))
    assert found["Cut('rnn')"].shape is None
    assert found["OUTPUT"].shape == (1, 3)
    for place in places:
        if place.cut.layer and place.cut.call is None and place.calls == 1:
            asc.activation(model, x, at=place.cut)


def test_logits_are_found() -> None:
    body = table()
    scores = body(X)
    named = nn.Sequential()
    named.add_module("logits", body)
    named.add_module("squash", nn.Softmax(1))
    attention = nn.Sequential(nn.Linear(4, 4), nn.Softmax(1), nn.Linear(4, 5))
    cases: list[tuple[nn.Module, Tensor]] = [
        (body, scores), (nn.Sequential(body, nn.Softmax(1)), scores), (nn.Sequential(body, nn.Sigmoid()), scores),
        (nn.Sequential(body, nn.LogSoftmax(1)), scores), (nn.Sequential(body, nn.Softmax(1), nn.Identity()), scores), (named, scores),
        (seeded(attention), attention(X)),
    ]  # fmt: skip
    for model, truth in cases:
        for _ in range(2):
            found = asc.influence(model.eval(), X, of=asc.Unit(2, on=asc.LOGITS))
            assert close(torch.as_tensor(found.explained).float(), truth[:, 2])


def test_embeddings_are_found_beside_positions() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places, self.out = nn.Embedding(30, 4), nn.Embedding(8, 4), nn.Linear(4, 3)

        def forward(self, ids: Tensor) -> Tensor:
            where = torch.arange(ids.shape[1])
            return self.out(torch.tanh(self.words(ids) + self.places(where)).mean(1))

    model, ids = seeded(Text()), torch.tensor([[20, 4, 5], [6, 7, 0]])
    where = model.places(torch.arange(3))
    run = lambda z: model.out(torch.tanh(z + where).mean(1))[:, 1]  # noqa: E731
    for at in (asc.EMBEDDINGS, asc.INPUT, "words"):
        assert close(asc.influence(model, ids, of=1, at=at).values, slope(run, model.words(ids)))
    spread = asc.influence(model, ids, of=1, at="places")
    words = model.words(ids)
    for i in range(2):  # shared by the records, so each record's own influence is that of the record alone
        alone = slope(lambda z, i=i: model.out(torch.tanh(words[i : i + 1] + z).mean(1))[:, 1], where)
        assert close(spread.values[i], alone)
    together = asc.attribute(model, ids, of=1, at="places", over=over(asc.Cut("places")))
    for i in range(2):
        assert close(together.values[i], line(lambda z, i=i: model.out(torch.tanh(words[i : i + 1] + z).mean(1))[:, 1], where))
