"""Points of the user's own: the mean over them, wherever they are, and values read with other values written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.errors import CutError, DistributionError, RuleError
from tests.support.small_models import TwoInputs, Words, chain, gradient, rows, seeded

NET, X = chain(4, 6, 3), rows(5, 4)
POINTS = torch.stack([0.3 * X, X + 1, rows(5, 4, seed=3)])


def close(found, expected):
    torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chunk", [None, 1, 2, 4])
def test_influence_is_the_mean_over_the_points(chunk):
    slopes = [gradient(lambda z: NET(z)[:, 1], p) for p in POINTS]
    close(asc.influence(NET, X, of=1, over=asc.Points(POINTS), chunk=chunk).values, sum(slopes) / 3)
    found = asc.attribute(NET, X, of=1, over=asc.Points(POINTS), chunk=chunk)
    close(found.values, sum(s * p for s, p in zip(slopes, POINTS, strict=True)) / 3)
    assert found.gap is None


def test_points_at_a_layer_and_values_further_in():
    held = rows(2, 5, 6, seed=4)
    slopes = [gradient(lambda h: NET[1:](h)[:, 2], p) for p in held]
    close(asc.influence(NET, X, of=2, at="0", over=asc.Points(held, at=asc.Cut("0"))).values, sum(slopes) / 2)
    inner = [gradient(lambda h: NET[2:](h)[:, 2], torch.tanh(p)) * torch.tanh(p) for p in held]
    close(asc.attribute(NET, X, of=2, at="1", over=asc.Points(held, at=asc.Cut("0"))).values, sum(inner) / 2)


def test_the_class_is_the_records_own():
    best = NET(X).argmax(1)
    slopes = [gradient(lambda z: NET(z)[range(5), best], p) for p in POINTS]
    close(asc.influence(NET, X, over=asc.Points(POINTS)).values, sum(slopes) / 3)


def test_one_row_of_points_serves_all_records():
    slopes = [gradient(lambda z: NET(z)[:, 1], p[:1].expand(5, 4)) for p in POINTS]
    close(asc.influence(NET, X, of=1, over=asc.Points(POINTS[:, :1])).values, sum(slopes) / 3)
    numbers = asc.influence(NET, X.numpy(), of=1, over=asc.Points(POINTS[:, :1].numpy())).values
    np.testing.assert_allclose(numbers, (sum(slopes) / 3).numpy(), rtol=1e-9)


@pytest.mark.parametrize("given", [tuple, lambda pair: {0: pair[0], "b": pair[1]}], ids=["a tuple", "a dict"])
def test_several_inputs_are_visited_together(given):
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3)
    pa, pb = rows(2, 5, 4, seed=1), rows(2, 5, 3, seed=2)
    found = asc.influence(net, a, b=b, of=1, over=asc.Points(given((pa, pb)))).values
    expected = sum(gradient(lambda z, q=q: net(z, q)[:, 1], p) for p, q in zip(pa, pb, strict=True)) / 2
    close(found[0], expected)


WRONG = [POINTS[0], POINTS[..., :3], POINTS[:, :2], POINTS[:0], 0.0, (), (POINTS, POINTS)]


@pytest.mark.parametrize("values", WRONG, ids=lambda v: str(getattr(v, "shape", v))[:40])
def test_points_that_do_not_fit(values):
    with pytest.raises(DistributionError):
        asc.influence(NET, X, of=1, over=asc.Points(values))


def test_as_many_points_for_each_input():
    with pytest.raises(DistributionError, match="E-POINTS-SHAPE"):
        asc.influence(seeded(TwoInputs), X, rows(5, 3), over=asc.Points((POINTS, rows(2, 5, 3))))


def test_no_products():
    for wrong in (lambda: asc.Line() * asc.Points(POINTS), lambda: asc.Points(POINTS) * asc.Line()):
        with pytest.raises((DistributionError, TypeError)):
            wrong()


class TestActivation:
    def test_values_behind_others(self):
        close(asc.activation(NET, X, at=asc.OUTPUT, over=asc.Points(POINTS)).values, sum(NET(p) for p in POINTS) / 3)
        held = rows(1, 5, 6, seed=4)
        two = asc.activation(NET, X, at=["1", asc.OUTPUT], over=asc.Points(held, at="0")).values
        close(two[0], torch.tanh(held[0]))
        close(two[1], NET[1:](held[0]))

    def test_token_ids_are_replaced_at_the_embeddings(self):
        net, ids = seeded(Words), torch.tensor([[1, 2, 3], [4, 5, 6]])
        embedded = rows(1, 2, 3, 4)
        found = asc.activation(net, input_ids=ids, at=asc.Cut("head"), over=asc.Points(embedded, at=asc.EMBEDDINGS)).values
        h = net.norm(torch.tanh(net.mix(embedded[0]))).tanh().mean(1)
        close(found, net.head(h))

    def test_other_distributions_are_refused(self):
        with pytest.raises(DistributionError, match="Points"):
            asc.activation(NET, X, at=asc.OUTPUT, over=asc.Line())


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.rnn(x)[-1][0][-1])


@pytest.mark.parametrize("accessor", [(-1, 0), (1, -2), (-1, -2)], ids=repr)
def test_positions_counted_from_the_end(accessor):
    """Places are found by their paths: one from the end must be the same place as one from the front, not a place that is never met."""
    net, x = seeded(Last), rows(5, 7, 4)
    front, back = asc.Cut("rnn", "out", (1, 0)), asc.Cut("rnn", "out", accessor)
    expected = asc.influence(net, x, of=1, at=front).values
    assert expected.abs().sum() > 0
    close(asc.influence(net, x, of=1, at=back).values, expected)
    line = asc.attribute(net, x, of=1, at=back, over=asc.Line(0.0, 4, at=back)).values
    close(line, asc.attribute(net, x, of=1, at=front, over=asc.Line(0.0, 4, at=front)).values)
    close(asc.influence(net, x, of=1, at=asc.INPUT.at(-1)).values, asc.influence(net, x, of=1).values)


class TestSeveralFromOneFunction:
    """A function that gives a list is several quantities."""

    @pytest.mark.parametrize("over", [asc.Point(), asc.Line(0.0, 4), asc.Points(POINTS), asc.Background(rows(3, 4, seed=8))], ids=repr)
    @pytest.mark.parametrize("chunk", [None, 2])
    def test_each_is_what_it_is_alone(self, over, chunk):
        found = asc.attribute(NET, X, of=lambda y: [y[:, 0], y[:, 2] ** 2], over=over, chunk=chunk)
        assert found.quantities == 2
        for k, one in enumerate((lambda y: y[:, 0], lambda y: y[:, 2] ** 2)):
            alone = asc.attribute(NET, X, of=one, over=over)
            close(found.values[k], alone.values)
            np.testing.assert_allclose(found.quantity_at(k).explained, alone.explained)

    def test_beside_others(self):
        found = asc.influence(NET, X, of=[asc.Unit(1), asc.quantities.Custom(lambda y: (y[:, 0], y[:, 2]))])
        close(found.values[2], gradient(lambda z: NET(z)[:, 2], X))
        assert asc.influence(NET, X, of=lambda y: [y[:, 0]]).values.shape == X.shape


class TestPlacesTogether:
    """A quantity of the values at several places."""

    on = asc.cuts.JointCut.of("0", asc.Cut("1"), asc.OUTPUT)

    @staticmethod
    def written_out(z):
        h = NET[0](z)
        return (h[:, 0] * torch.tanh(h)[:, 1] + NET(z)[:, 2]).reshape(-1)

    @pytest.mark.parametrize("over", [asc.Point(), asc.Line(0.0, 5), asc.Points(POINTS)], ids=repr)
    @pytest.mark.parametrize("chunk", [None, 2])
    def test_it_is_given_all_of_them(self, over, chunk):
        of = asc.quantities.Custom(lambda y: y[0][:, 0] * y[1][:, 1] + y[2][:, 2], on=self.on)
        found = asc.influence(NET, X, of=of, over=over, chunk=chunk)
        close(found.values, asc.influence(WrittenOut(), X, of=lambda y: y, over=over).values)
        np.testing.assert_allclose(found.explained, self.written_out(X).detach())

    def test_points_at_one_of_them(self):
        of = asc.quantities.Custom(lambda y: y[0][:, 0] * y[1][:, 1], on=asc.cuts.JointCut.of("0", "1"))
        found = asc.attribute(NET, X, of=of, at="0", over=asc.Line(0.0, 5, at="0"))
        held = NET[0](X).detach()
        position, weight = np.polynomial.legendre.leggauss(5)
        points = [(w / 2, (p + 1) / 2 * held) for p, w in zip(position, weight, strict=True)]
        slopes = [w * gradient(lambda h: h[:, 0] * torch.tanh(h)[:, 1], p) for w, p in points]
        close(found.values, sum(slopes) * held)

    def test_they_have_a_repr(self):
        assert eval(repr(self.on), vars(asc)) == self.on
        assert asc.cuts.JointCut.of("0") == asc.Cut("0")

    def test_where_they_cannot_be(self):
        of = asc.quantities.Custom(lambda y: y[0][:, 0], on=self.on)
        for wrong in (
            lambda: asc.influence(NET, X, at=self.on),
            lambda: asc.activation(NET, X, at=self.on),
            lambda: asc.attribute(NET, X, over=asc.Line(at=self.on)),
            lambda: asc.attribute(NET, X, of=of, by=asc.rules.Epsilon()),
            lambda: asc.influence(Mlp([np.eye(4)], [np.zeros(4)]), X.numpy(), of=of),
        ):
            with pytest.raises((CutError, RuleError)):
                wrong()


class WrittenOut(nn.Module):
    def forward(self, x):
        return TestPlacesTogether.written_out(x)
