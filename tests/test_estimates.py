"""An estimate against what the call then takes."""

from __future__ import annotations

import pytest

import ascribe as asc

torch = pytest.importorskip("torch")


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).eval()


@pytest.mark.parametrize(
    "over",
    [None, asc.Line(0.0, steps=7), asc.Gaussian(0.1, 5), asc.Background(torch.zeros(6, 4)) * asc.Line(steps=2), asc.Line(stepwise=True)],
)
def test_rows_backward_are_those_of_the_call(over: object) -> None:
    model, x = net(), torch.randn(5, 4)
    back = []
    model[2].register_full_backward_hook(lambda m, i, o: back.append(len(o[0])))
    told = asc.estimate(model, x, of=1, over=over)
    asc.attribute(model, x, of=1, over=over)
    back.clear()
    asc.attribute(model, x, of=1, over=over)  # the first call also tries the model out
    assert sum(back) == told.backward_rows
    assert told.bytes_per_row > 0
    assert told.peak_bytes == told.chunk * told.bytes_per_row


def test_rules_that_compare_are_refused() -> None:
    with pytest.raises(asc.AscribeError, match="an estimate for by=Rescale"):
        asc.estimate(net(), torch.randn(5, 4), by=asc.Rescale())
