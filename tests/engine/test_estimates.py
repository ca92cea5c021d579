"""An estimate against what the call then takes."""

from __future__ import annotations

import pytest

import ascribe as asc
from ascribe.distributions.members import list_factors

torch = pytest.importorskip("torch")


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).eval()


@pytest.mark.parametrize(
    "over",
    [
        None,
        asc.Line(0.0, steps=7),
        asc.Gaussian(0.1, 5),
        asc.Background(torch.rand(6, 4)) * asc.Line(steps=2),
        asc.Background(torch.rand(9, 4), 3) * asc.Gaussian(0.1, 2) * asc.Line(steps=4),
        asc.Gaussian(0.1, 3) * asc.Line(torch.rand(5, 4), steps=2),
        asc.Line(stepwise=True),
    ],
)
def test_rows_backward_are_those_of_the_call(over: object) -> None:
    model, x = net(), torch.randn(5, 4)
    back, forth = [], []
    model[2].register_full_backward_hook(lambda m, i, o: back.append(len(o[0])))
    model[2].register_forward_hook(lambda m, i, o: forth.append(len(o)))
    told = asc.estimate(model, x, of=1, over=over)
    for _ in range(2):  # the first call also tries the model out, as it is with these lists: what a hook holds is a part of its state
        back.clear()
        forth.clear()
        asc.attribute(model, x, of=1, over=over)
    assert sum(back) == told.backward_rows
    assert sum(forth) <= told.forward_rows < sum(forth) + 5 * len(start_rows(over))  # a start that records share is run once
    assert told.chunk <= told.backward_rows
    assert told.bytes_per_row > 0
    assert told.peak_bytes == told.chunk * told.bytes_per_row


def start_rows(over: object) -> range:
    """The rows that paths start from."""
    return range(
        1 + max((getattr(f, "samples", None) or len(f.rows) for f in list_factors(over or asc.Point()) if hasattr(f, "rows")), default=1)
    )


def test_rules_that_compare_are_refused() -> None:
    with pytest.raises(asc.AscribeError, match=r"does not estimate rules that compare.*by=rules\.Rescale"):
        asc.estimate(net(), torch.randn(5, 4), by=asc.rules.Rescale())
