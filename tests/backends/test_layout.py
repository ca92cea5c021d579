"""Pictures with channels last in memory: taken where it is faster and the same, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.torch.run import channels_last as layout
from tests.support.small_models import rows

X = rows(2, 3, 8, 8)


class Net(nn.Module):
    """A convolution and what comes after it; remembers how the pictures it was given were laid out."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.head, self.kind = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2), kind
        self.last: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last.append(x.is_contiguous(memory_format=torch.channels_last))
        if self.kind == "storage":  # reads numbers in the order of the memory: another layout is another result
            x = torch.as_strided(x, x.shape, (192, 64, 8, 1))
        y = self.conv(x)
        return self.head(y.view(len(y), -1) if self.kind == "view" else y.flatten(1))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any gain is a gain, however short the chunk."""
    monkeypatch.setattr(layout, "LEAST", 0.0)
    monkeypatch.setattr(layout, "GAIN", 1e9)


def explained(net: nn.Module, chunk: int = 16) -> asc.Attribution:
    return asc.attribute(net, X, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0), features=asc.Grid(4), chunk=chunk)


@pytest.mark.parametrize("kind", ["plain", "view", "storage"])
@pytest.mark.usefixtures("eager")
def test_the_other_layout_is_taken_only_where_it_gives_the_same(kind):
    torch.manual_seed(0)
    net = Net(kind).double().eval()
    single = explained(net, chunk=2)  # one point at a time: as the user laid it out
    net.last.clear()
    found = explained(net)
    torch.testing.assert_close(found.values, single.values, rtol=0, atol=1e-12)
    net.last.clear()
    again = explained(net)
    torch.testing.assert_close(again.values, single.values, rtol=0, atol=1e-12)
    assert (sum(net.last) > 0) == (kind == "plain")


def test_nothing_is_laid_out_otherwise_where_it_gains_nothing(monkeypatch):
    monkeypatch.setattr(layout, "LEAST", 0.0)
    monkeypatch.setattr(layout, "GAIN", 0.0)
    torch.manual_seed(0)
    net = Net("plain").double().eval()
    explained(net)
    net.last.clear()
    explained(net)
    assert not any(net.last)


@pytest.mark.usefixtures("eager")
def test_passes_with_gradients_are_left_alone():
    net = Net("plain").double().eval()
    asc.attribute(net, X, of=1, over=asc.Line(0.0, 6), chunk=6)
    assert not any(net.last)
