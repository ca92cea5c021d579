"""A position of its own for each record, as ``of=``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import QuantityError
from tests.support.odd_models import rows, seeded

Tensor = torch.Tensor
STEPS, SERIES = [4, 0, 2], [1, 1, 0]


class Forecast(nn.Module):
    """``[records, 6, 2]``: steps to come, of two series."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 12))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).reshape(len(x), 6, 2)


SPELLINGS: dict[str, Any] = {
    "lists": asc.Unit(STEPS, SERIES),
    "tensors": asc.Unit(torch.tensor(STEPS), torch.tensor(SERIES)),
    "a tuple of arrays": (np.array(STEPS), np.array(SERIES)),
    "a list of tuples": list(zip(STEPS, SERIES, strict=True)),
}


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("over", [None, asc.Line(0.0, steps=4), asc.coalitions.LeaveOneOut()])
def test_each_record_has_its_own(spelling: str, over: Any, chunk: int | None) -> None:
    model, x = seeded(Forecast()), rows(3, 5)
    by = asc.Replace(0.0) if isinstance(over, asc.coalitions.LeaveOneOut) else None
    found = asc.attribute(model, x, of=SPELLINGS[spelling], over=over, by=by, chunk=chunk)
    for i, position in enumerate(zip(STEPS, SERIES, strict=True)):
        truth = asc.attribute(model, x[i : i + 1], of=position, over=over, by=by)
        assert torch.allclose(found.values[i : i + 1], truth.values, atol=1e-6)


def test_with_a_position_for_all_and_with_a_range() -> None:
    model, x = seeded(Forecast()), rows(3, 5)
    mixed = asc.attribute(model, x, of=asc.Unit(STEPS, 1), by=asc.rules.Rescale())
    same = asc.attribute(model, x, of=asc.Unit(STEPS, [1, 1, 1]), by=asc.rules.Rescale())
    assert torch.equal(mixed.values, same.values)
    ranged = asc.attribute(model, x, of=asc.Unit(slice(1, 3), SERIES))
    for i, series in enumerate(SERIES):
        truth = asc.attribute(model, x[i : i + 1], of=asc.Unit(slice(1, 3), series))
        assert torch.allclose(ranged.values[i : i + 1], truth.values, atol=1e-6)


def test_a_class_for_each_record_is_a_position_too() -> None:
    model, x = seeded(nn.Linear(5, 4)), rows(3, 5)
    found = asc.attribute(model, x, of=asc.Unit([3, 0, 2]))
    assert torch.equal(found.values, asc.attribute(model, x, of=[3, 0, 2]).values)
    assert found.target is not None
    assert found.target.tolist() == [3, 0, 2]
    assert found.quantity == "Unit((3, 0, 2))"
    assert asc.Unit(torch.tensor([3, 0, 2])) == asc.Unit([3, 0, 2])


@pytest.mark.parametrize(
    ("of", "code"),
    [
        (asc.Unit([4, 0], 1), "E-TARGET-COUNT"),
        (asc.Unit([4, 0, 6], 1), "E-TARGET-RANGE"),
        (asc.Unit([4, 0, -1], 1), "E-TARGET-RANGE"),
        (asc.Unit([4, 0, 1]), "E-TARGET-SHAPE"),
        (lambda: asc.Unit([[4, 0, 1]]), "E-TARGET-SHAPE"),
        (lambda: asc.Unit([[4], [0, 1]]), "E-TARGET-SHAPE"),
        (lambda: asc.Unit([4.5, 0, 1], 1), "E-TARGET-TYPE"),
    ],
)
def test_refused(of: Any, code: str) -> None:
    with pytest.raises(QuantityError) as caught:
        asc.attribute(seeded(Forecast()), rows(3, 5), of=of if isinstance(of, asc.Unit) else of())
    assert caught.value.code == code
