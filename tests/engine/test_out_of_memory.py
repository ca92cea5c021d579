"""Where not everything fits at once: the same numbers, in smaller pieces, and the size that fitted is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import MemoryLimitError
from tests.support.odd_models import rows, seeded
from tests.support.snapshots import unchanged

Tensor = torch.Tensor

pytestmark = pytest.mark.filterwarnings("ignore:completeness")


class Tight(nn.Module):
    """Runs out of memory for more than so many rows; counts how often, and the most rows it was given."""

    def __init__(self, most: int = 10**9, error: type[BaseException] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 5)
        self.most, self.error = most, error
        self.failed, self.largest = 0, 0

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = torch.tanh(self.first(x))
        if len(h) > self.most:
            self.failed += 1
            raise self.error("out of memory: tried to allocate 2.00 GiB")
        self.largest = max(self.largest, len(h))
        return self.last(h if mask is None else h * mask)


LABELS = [i % 5 for i in range(16)]
ASKED: dict[str, Callable[[Any, Tensor, int], Any]] = {
    "gradient": lambda m, x, n: asc.influence(m, x),
    "gradient of labels": lambda m, x, n: asc.attribute(m, x, of=LABELS[:n]),
    "line": lambda m, x, n: asc.attribute(m, x, over=asc.Line(0.0, steps=12)),
    "line of labels": lambda m, x, n: asc.attribute(m, x, of=LABELS[:n], over=asc.Line(0.0, steps=12)),
    "line from rows": lambda m, x, n: asc.attribute(m, x, of=1, over=asc.Line(rows(n, 4, seed=5), steps=12)),
    "line at a layer": lambda m, x, n: asc.attribute(m, x, of=1, at="first", over=asc.Line(0.0, steps=12, at=asc.Cut("first"))),
    "line to a layer": lambda m, x, n: asc.attribute(m, x, of=LABELS[:n], at="first", over=asc.Line(0.0, steps=12)),
    "stepwise": lambda m, x, n: asc.attribute(m, x, of=1, at="first", over=asc.Line(0.0, steps=12, stepwise=True)),
    "tolerance": lambda m, x, n: asc.attribute(m, x, of=1, over=asc.Line(0.0, tolerance=1e-3)),
    "noise": lambda m, x, n: asc.influence(m, x, of=1, over=asc.Gaussian(0.1, 6)),
    "background": lambda m, x, n: asc.attribute(m, x, of=LABELS[:n], over=asc.Background(rows(20, 4, seed=3))),
    "several": lambda m, x, n: asc.attribute(m, x, of=[asc.Unit(0), asc.Labels(tuple(LABELS[:n]))], over=asc.Line(0.0, steps=12)),
    "a call as baseline": lambda m, x, n: asc.attribute(m, x, of=1, over=asc.Line(asc.Call(rows(n, 4, seed=6)), steps=6)),
    "activation": lambda m, x, n: asc.activation(m, x, at="last"),
}


CASES = [(name, records, most) for name in ASKED for records in (1, 3, 16) for most in (1, 3, 8, 40)]


@pytest.mark.parametrize(("name", "records", "most"), CASES)
def test_the_same_numbers_in_smaller_pieces(name: str, records: int, most: int) -> None:
    x = rows(records, 4)
    truth = ASKED[name](seeded(Tight()), x, records)
    tight = seeded(Tight(most))
    for _ in range(3):
        tight.failed = 0
        found = ASKED[name](tight, x, records)
        assert torch.allclose(found.values, truth.values, rtol=1e-5, atol=1e-6)
        if truth.explained is not None:
            assert found.explained == pytest.approx(truth.explained, rel=1e-4, abs=1e-6)
        if truth.gap is not None:
            assert found.gap.absolute == pytest.approx(truth.gap.absolute, abs=1e-5)
        if truth.target is not None:
            assert (found.target == truth.target).all()
    assert tight.largest <= most
    assert tight.failed == 0, "the size that fitted was forgotten"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
@pytest.mark.parametrize("name", ["gradient", "line", "line at a layer", "activation"])
@pytest.mark.parametrize("records", [1, 3])
def test_one_row_that_does_not_fit(name: str, records: int, error: type[BaseException]) -> None:
    tight, x = seeded(Tight(0, error)), rows(records, 4)
    with unchanged(arguments=x), pytest.raises(MemoryLimitError) as caught:
        ASKED[name](tight, x, records)
    assert caught.value.code == "E-MEMORY"


def test_records_that_cannot_be_run_apart_are_not() -> None:
    class JointCut(Tight):
        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            return super().forward(x - x.mean(0), mask)

    x = rows(6, 4)
    truth = asc.attribute(seeded(JointCut()), x, of=1, over=asc.Line(0.0, steps=12))
    found = asc.attribute(seeded(JointCut(13)), x, of=1, over=asc.Line(0.0, steps=12))
    assert torch.allclose(found.values, truth.values, atol=1e-6)
    with pytest.raises(MemoryLimitError):
        asc.attribute(seeded(JointCut(5)), x, of=1, over=asc.Line(0.0, steps=12))


def test_arguments_are_halved_with_their_records() -> None:
    x, mask = rows(9, 4), (rows(9, 6, seed=2) > 0).float()
    truth = asc.attribute(seeded(Tight()), x, mask, of=1, over=asc.Line(0.0, steps=12))
    found = asc.attribute(seeded(Tight(4)), x, mask, of=1, over=asc.Line(0.0, steps=12))
    for a, b in zip(*(v.values if isinstance(v.values, tuple) else (v.values,) for v in (found, truth)), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_model_that_needs_less_later_is_given_no_more_than_fitted() -> None:
    tight, x = seeded(Tight(8)), rows(4, 4)
    line = asc.Line(0.0, steps=64)
    asc.attribute(tight, x, of=1, over=line)
    found = asc.attribute(tight, x, of=1, over=line)
    assert found.cost is not None
    assert found.cost.chunk is not None
    assert found.cost.chunk <= 8
