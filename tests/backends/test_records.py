"""How records are found: in what the model does with them, or said by the call. Each record's values are those it has by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import CutError, InputError, MethodError
from tests.support.odd_models import TokensAsRows, rows, seeded, table

Tensor = torch.Tensor

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")

WAYS: dict[str, dict[str, Any]] = {
    "gradient": {},
    "line": {"over": asc.Line(0.0, steps=4)},
    "rescale": {"over": asc.Reference(0.0), "by": asc.rules.Rescale()},
    "epsilon": {"by": asc.rules.Epsilon()},
    "removal": {"over": asc.coalitions.LeaveOneOut(), "by": asc.Replace(0.0)},
}


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two results agree up to what sums in another order differ by in single precision."""
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(b.abs().max()))))


class Squeezed(nn.Module):
    """``.squeeze()`` at the end, as in many tutorials: one axis less where there is a single record, or a single class."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)).unsqueeze(-1).squeeze()).squeeze()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("records", [1, 2, 4, 5])
def test_an_axis_that_is_squeezed_away(records: int, classes: int, way: str) -> None:
    model, x = seeded(Squeezed(classes)), rows(records, 4)
    plain = nn.Sequential(model.first, nn.Tanh(), model.last)
    found, truth = (asc.attribute(m, x, of=0, **WAYS[way]) for m in (model, plain))
    assert close(found.values, truth.values)
    assert found.explained is not None
    assert found.explained.shape == (records,)
    if way != "epsilon":  # a tanh between two layers has a rule of its own for each spelling of what follows it
        inner = asc.attribute(model, x, of=0, at="first", **WAYS[way])
        assert close(inner.values, asc.attribute(plain, x, of=0, at="0", **WAYS[way]).values)


class Graphs(nn.Module):
    """Scores of graphs: nodes in one table, messages along edges, sums by graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor, edges: Tensor, batch: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        h = h + torch.zeros_like(h).index_add(0, edges[1], h[edges[0]])
        graphs = h.new_zeros(int(batch.max()) + 1, 6).index_add(0, batch, h)
        return self.last(torch.tanh(graphs))


BATCH = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
EDGES = torch.tensor([[0, 1, 3, 5, 6, 7, 8], [1, 2, 4, 6, 7, 8, 5]])
NODES = rows(9, 4)


def graphs_alone() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for graph in range(3):
        mine = BATCH == graph
        edges = EDGES[:, mine[EDGES[0]]] - int(mine.nonzero()[0])
        yield NODES[mine], edges, BATCH[mine] * 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", ["INPUT", "first", "last"])
def test_graphs_with_a_batch_vector(at: str, way: str) -> None:
    model = seeded(Graphs())
    for order in (torch.arange(9), torch.tensor([3, 0, 5, 1, 6, 4, 2, 8, 7])):  # nodes of a graph need not lie together
        back = torch.argsort(order)
        call = asc.Call(NODES[order], back[EDGES], BATCH[order], records=BATCH[order])
        found = asc.attribute(model, call, of=[0, 1, 2], at=at, **WAYS[way])
        alone = [asc.attribute(model, asc.Call(*part, records=1), of=i, at=at, **WAYS[way]) for i, part in enumerate(graphs_alone())]
        values = [a.values if at == "last" else a.values[0] for a in alone]
        assert close(found.values if at == "last" else found.values[back], torch.cat(values))
        assert found.explained is not None
        np.testing.assert_allclose(found.explained, np.concatenate([a.explained for a in alone]), rtol=1e-5)


def test_a_baseline_may_have_the_layout_of_the_rows() -> None:
    model, start = seeded(Graphs()), rows(9, 4, seed=5)
    found = asc.attribute(model, asc.Call(NODES, EDGES, BATCH, records=BATCH), of=1, over=asc.Line(start, steps=8))
    per_call = asc.attribute(model, asc.Call(NODES, EDGES, BATCH, records=1), of=lambda y: y[..., 1].sum(), over=asc.Line(start, steps=8))
    assert close(found.values, per_call.values[0])
    other = asc.attribute(model, asc.Call(NODES, EDGES, BATCH, records=BATCH), of=1, over=asc.Line(asc.Call(start, EDGES, BATCH), steps=8))
    assert close(other.values, found.values)


def test_one_graph_behind_a_wrapper_of_one_row() -> None:
    net = seeded(Graphs())
    found = asc.attribute(lambda x: net(x[0], EDGES, BATCH)[:1], NODES[None], of=1, over=asc.Line(0.0, steps=4))
    truth = asc.attribute(net, asc.Call(NODES, EDGES, BATCH, records=BATCH), of=1, over=asc.Line(0.0, steps=4)).values.clone()
    truth[BATCH != 0] = 0
    assert close(found.values[0], truth)
    bare = asc.attribute(lambda x: net(x[0], EDGES, BATCH)[0], NODES[None], of=1, over=asc.Line(0.0, steps=4))
    assert close(bare.values, found.values)


@pytest.mark.parametrize("way", WAYS)
def test_one_number_for_the_whole_call(way: str) -> None:
    net, x = table(), rows(5, 4)

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)[:, 0].mean()

    for model, of in ((Mean(), 0), (net, lambda y: y[..., 0].mean())):
        found = asc.attribute(model, asc.Call(x, records=1), of=of, **WAYS[way])
        assert found.explained is not None
        assert found.explained == pytest.approx([float(net(x)[:, 0].mean())], rel=1e-5)
        if way != "epsilon":  # relevance is shared among the records by what each gives to their sum, biases included
            assert close(found.values[0] * 5, asc.attribute(net, x, of=0, **WAYS[way]).values)
    with pytest.raises(InputError, match=r"for any number of records.*records=1"):
        asc.attribute(Mean(), x)
    with pytest.raises(InputError, match="records=1"):
        asc.attribute(net, x, of=lambda y: y.sum())


class Recurrent(nn.Module):
    """Ids and a first state ``[layers, records, width]``."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.last = nn.Embedding(20, 4), nn.GRU(4, 6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        x = x if x.is_floating_point() else self.words(x)
        return self.last(self.rnn(x, state)[0][:, -1])


@pytest.mark.parametrize("records", [1, 2, 3])
@pytest.mark.parametrize("ids", [True, False])
def test_a_first_state_with_the_records_on_its_second_axis(records: int, ids: bool) -> None:
    model, state = seeded(Recurrent()), rows(2, records, 6, seed=3)
    x = torch.arange(records * 5).reshape(records, 5) if ids else rows(records, 5, 4)
    calls = [asc.Call(x, state, records={1: 1})] + ([asc.Call(x, state)] if ids and records != 2 else [])
    for call in calls:
        for over in (None, asc.Line(0.0, steps=4)):
            found = asc.attribute(model, call, of=1, over=over)
            values = found.values if isinstance(found.values, tuple) else (found.values,)
            for i in range(records):
                one = asc.attribute(model, asc.Call(x[i : i + 1], state[:, i : i + 1], records={1: 1}), of=1, over=over).values
                one = one if isinstance(one, tuple) else (one,)
                assert close(values[-1][:, i : i + 1], one[-1])
                assert ids or close(values[0][i : i + 1], one[0])
    at = asc.attribute(model, asc.Call(x, state, records={1: 1}), of=1, at=asc.Cut("rnn", "out", 0)).values
    assert at.shape == (records, 5, 6)


def test_texts_in_one_list_with_offsets() -> None:
    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag, self.last = nn.EmbeddingBag(20, 6), nn.Linear(6, 3)

        def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
            return self.last(torch.tanh(self.bag(ids, offsets)))

    model, ids, offsets = seeded(Texts()), torch.tensor([3, 4, 5, 6, 7, 8, 9]), torch.tensor([0, 3, 5])
    texts = torch.repeat_interleave(torch.arange(3), torch.tensor([3, 2, 2]))
    pieces = torch.tensor_split(ids, [3, 5])
    call = asc.Call(ids, offsets, records=texts)
    for way in ("gradient", "line", "rescale", "epsilon"):
        found = asc.attribute(model, call, of=[0, 1, 2], **WAYS[way])
        alone = [asc.attribute(model, asc.Call(p, offsets[:1], records=p * 0), of=i, **WAYS[way]).values for i, p in enumerate(pieces)]
        assert close(found.values, torch.cat(alone))
    words = asc.attribute(model, call, of=[0, 1, 2], over=asc.coalitions.LeaveOneOut(), by=asc.MaskToken(0))
    for i, piece in enumerate(pieces):
        start = int(offsets[i])
        for j in range(len(piece)):
            other = torch.where(torch.arange(len(piece)) == j, 0, piece)
            change = model(piece, offsets[:1])[0, i] - model(other, offsets[:1])[0, i]
            assert float(words.values[start + j]) == pytest.approx(float(change), abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_rows_folded_into_the_records_are_unfolded(way: str) -> None:
    model, x = seeded(TokensAsRows()), rows(3, 5, 4)
    found = asc.attribute(model, x, of=[0, 1, 2], at="fc", **WAYS[way])
    assert found.values.shape == (3, 5, 3)
    alone = [asc.attribute(model, x[i : i + 1], of=i, at="fc", **WAYS[way]).values for i in range(3)]
    assert close(found.values, torch.cat(alone))
    assert close(asc.activation(model, x, at="fc").values, model.fc(x).detach())


class Views(nn.Module):
    """Two views of each record: all the first ones, then all the second ones."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, second = torch.tanh(self.net(torch.cat([x, x * x]))).chunk(2)
        return first * second


@pytest.mark.parametrize("way", WAYS)
def test_rows_folded_in_the_other_order(way: str) -> None:
    model, x = seeded(Views()), rows(3, 4)
    found = asc.attribute(model, x, of=1, at="net", **WAYS[way])
    assert found.values.shape == (3, 2, 3)
    alone = [asc.attribute(model, x[i : i + 1], of=1, at="net", **WAYS[way]).values for i in range(3)]
    assert close(found.values, torch.cat(alone))
    assert close(asc.activation(model, x, at="net").values, torch.stack([model.net(x), model.net(x * x)], 1).detach())


class SideOutputs(nn.Module):
    """Logits, and parts that nobody asked for: other rows, one number, a row per token, a table of all."""

    def __init__(self) -> None:
        super().__init__()
        self.net = table()

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.net(x)
        router = y.repeat_interleave(3, 0)
        return {"loss": y.mean(), "logits": y, "router": router, "odd": torch.zeros(7, 2), "pairs": y @ y.T, "picked": y[::2]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("records", [1, 4])
def test_only_what_the_quantity_reads_is_looked_at(records: int, way: str) -> None:
    model, x = seeded(SideOutputs()), rows(records, 4)
    truth = asc.attribute(model.net, x, of=2, **WAYS[way])
    for of in (2, asc.Unit(2, on=asc.OUTPUT.at("logits")), lambda out: out["logits"][:, 2]):
        found = asc.attribute(model, x, of=of, **WAYS[way])
        assert close(found.values, truth.values)
    assert found.prediction is not None
    assert found.prediction.shape == (records, 5)
    routed = asc.attribute(model, x, of=lambda out: out["router"][..., 2].mean(1), **WAYS[way])
    assert close(routed.values, truth.values)


def test_an_error_names_the_part_that_has_other_rows() -> None:
    with pytest.raises(CutError, match=r"'picked'.*OUTPUT.at"):
        asc.activation(seeded(SideOutputs()), rows(4, 4), at=asc.OUTPUT)


def test_places_that_all_records_share() -> None:
    class Positions(nn.Module):
        def __init__(self, wide: bool) -> None:
            super().__init__()
            self.place, self.last, self.wide = nn.Embedding(5, 4), nn.Linear(4, 3), wide

        def forward(self, x: Tensor) -> Tensor:
            p = self.place(torch.arange(5)[None] if self.wide else torch.arange(5))
            return self.last(torch.tanh(x * p).mean(1))

    x = rows(3, 5, 4)
    for wide in (True, False):
        model = seeded(Positions(wide))
        for over in (None, asc.Line(0.0, steps=4, at=asc.Cut("place"))):
            found = asc.attribute(model, x, of=1, at="place", over=over).values
            alone = torch.cat([asc.attribute(seeded(Positions(wide)), x[i : i + 1], of=1, at="place", over=over).values for i in range(3)])
            assert close(found.reshape(3, 5, 4), alone.reshape(3, 5, 4))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a count that fits nothing": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records=3)), "`records=3` fits no argument"),
    "no records": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records=0)), "records=0"),
    "an axis that is not there": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records={0: 2})), "fits no argument"),
    "an argument that is not there": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records={"h": 0})), "fits no argument"),
    "too few rows": (
        lambda: asc.attribute(table(), asc.Call(rows(4, 4), records=torch.tensor([0, 0, 1]))),
        "has 3 rows, and no argument has as many",
    ),
    "no whole numbers": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records=rows(4))), "record of each row"),
    "a word": (lambda: asc.attribute(table(), asc.Call(rows(4, 4), records="all")), "record of each row"),
    "axes of other lengths": (lambda: asc.attribute(table(), asc.Call(rows(4, 3), rows(2, 5), records={0: 0, 1: 0})), "different numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    ask, said = REFUSED[name]
    with pytest.raises(InputError, match=said) as caught:
        ask()
    assert caught.value.code == "E-RECORDS"


def test_a_models_own_argument_of_that_name() -> None:
    class Counts(nn.Module):
        def forward(self, x: Tensor, records: float) -> Tensor:
            return x * records

    for found in (
        asc.attribute(Counts(), rows(2, 3), records=3.0, of=1),
        asc.attribute(Counts(), asc.Call.of((rows(2, 3),), {"records": 3.0}), of=1),
    ):
        assert close(found.values[:, 1], 3 * rows(2, 3)[:, 1])


class Counted(nn.Module):
    """Counts the rows of each run."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.rows: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return self.net(x)


@pytest.mark.parametrize("by", [None, asc.rules.Epsilon()])
@pytest.mark.parametrize("at", ["INPUT", "net.0", ["INPUT", "net.0", "net.2"]])
@pytest.mark.parametrize("records", [1, 4])
def test_what_a_first_call_runs_beside_its_own_work(records: int, at: Any, by: Any) -> None:
    """A single record is its own proof; beside several, one row is run, whatever the number of cuts. Then nothing."""
    model = Counted(table())
    runs = []
    for _ in range(2):
        model.rows.clear()
        asc.attribute(model, rows(records, 4), of=1, at=at, by=by)
        runs.append(list(model.rows))
    assert runs[1] == [records]
    assert sorted(runs[0]) == sorted([records, *[1] * (records > 1)])


def test_black_boxes() -> None:
    x, batch = rows(9, 4).numpy(), BATCH.numpy()
    weights = rows(4, 3, seed=7).numpy()

    def graphs(x: np.ndarray, batch: np.ndarray) -> np.ndarray:
        sums = np.zeros((batch.max() + 1, 4))
        np.add.at(sums, batch, x)
        return np.tanh(sums) @ weights

    for way in (
        {"over": asc.coalitions.LeaveOneOut(), "by": asc.Replace(0.0)},
        {"over": asc.coalitions.Permutations(400), "by": asc.Replace(0.0)},
    ):
        found = asc.attribute(graphs, asc.Call(x, batch, records=batch), of=[0, 1, 2], **way)
        assert found.values.shape == x.shape
        for i in range(3):
            mine = batch == i
            whole = asc.attribute(graphs, asc.Call(x[mine], batch[mine] * 0, records=1), of=i, **way)
            assert found.explained is not None
            assert whole.explained == pytest.approx(found.explained[[i]])
            if isinstance(way["over"], asc.coalitions.LeaveOneOut):
                np.testing.assert_allclose(whole.values[0], found.values[mine], atol=1e-6)
            else:
                sums = graphs(x[mine], batch[mine] * 0)[0, i] - graphs(0 * x[mine], batch[mine] * 0)[0, i]
                assert found.values[mine].sum() == pytest.approx(sums, abs=1e-6)
    mean = asc.attribute(
        lambda x: float(np.tanh(x @ weights).mean()), asc.Call(x, records=1), over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0)
    )
    assert mean.values.shape == (1, 9, 4)
    cube, way = x.reshape(3, 3, 4), {"of": 1, "over": asc.coalitions.LeaveOneOut(), "by": asc.Replace(0.0)}
    time_first = asc.attribute(lambda x: np.tanh(x.sum(0) @ weights), asc.Call(cube, records={0: 1}), **way)
    plain = asc.attribute(lambda x: np.tanh(x.sum(1) @ weights), cube.transpose(1, 0, 2).copy(), **way)
    np.testing.assert_allclose(time_first.values, plain.values.transpose(1, 0, 2), atol=1e-6)


def test_a_result_of_rows_knows_its_records(tmp_path: Any) -> None:
    order = torch.tensor([3, 0, 5, 1, 6, 4, 2, 8, 7])
    call = asc.Call(NODES[order], torch.argsort(order)[EDGES], BATCH[order], records=BATCH[order])
    for over in (None, asc.coalitions.LeaveOneOut()):
        found = asc.attribute(seeded(Graphs()), call, of=[0, 1, 2], over=over, by=None if over is None else asc.Replace(0.0))
        assert found.rows is not None
        assert len(found) == 3
        assert found.rows.tolist() == BATCH[order].tolist()
        some = found.records([2, 0])
        assert some.rows is not None
        assert some.explained is not None
        np.testing.assert_allclose(some.explained, found.explained[[2, 0]])
        for new, old in enumerate((2, 0)):
            assert torch.equal(some.values[some.rows == new], found.values[found.rows == old])
            assert torch.equal(some.record[some.rows == new], found.record[found.rows == old])
        padded = found.padded()
        assert padded.values.shape == (3, 4, 4)
        assert padded.rows is None
        assert padded.values.sum().item() == pytest.approx(found.values.sum().item(), abs=1e-5)
        scaled = found.normalize()
        assert [float(scaled.values[found.rows == i].abs().max()) for i in range(3)] == pytest.approx([1.0] * 3)
        found.save(tmp_path / "a.safetensors")
        back = asc.Attribution.load(tmp_path / "a.safetensors", framework="torch")
        assert back.rows is not None
        assert back.rows.tolist() == found.rows.tolist()
        assert torch.equal(back.values, found.values)
        assert set(found.to_pandas()["record"]) == {0, 1, 2}
        assert found._repr_html_()
        assert found.plot(record=2, kind="image")
    inner = asc.activation(seeded(Graphs()), call, at="first")
    assert len(inner) == 3
    assert inner.values.shape == (9, 6)


def test_as_many_rows_as_records() -> None:
    model, x, edges = seeded(Graphs()), rows(3, 4), torch.zeros(2, 0, dtype=torch.long)
    for batch in (torch.arange(3), torch.tensor([2, 0, 1])):
        found = asc.attribute(model, asc.Call(x, edges, batch, records=batch), of=1)
        for i in range(3):
            alone = asc.attribute(model, asc.Call(x[i : i + 1], edges, batch[:1] * 0, records=1), of=1)
            assert close(found.values[i : i + 1], alone.values)
            assert found.explained is not None
            assert alone.explained == pytest.approx(found.explained[[int(batch[i])]])


def test_a_map_of_frames_is_no_map_of_a_volume() -> None:
    class Frames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(2, 3, 3), nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.relu(self.conv(x.flatten(0, 1))).mean((2, 3))
            return self.last(h.reshape(len(x), -1, 3).mean(1))

    model, x = seeded(Frames()), rows(3, 4, 2, 6, 6)
    assert asc.attribute(model, x, of=1, at="conv").values.shape == (3, 4, 3, 4, 4)
    with pytest.raises(MethodError, match="no map"):
        asc.GradCam("conv")(model, x, of=1)
