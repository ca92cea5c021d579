"""Rows with stand-ins, written line by line into memory that is used again: bit for bit what the plain formula gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ascribe as asc
from ascribe.removal.base import FixedReplacement
from ascribe.removal.blend import Blend, collapse_repeated_lines
from tests.support.small_models import rows

RNG = np.random.default_rng(0)
GRID = (np.arange(9)[:, None] * 3 // 9 * 4 + np.arange(11) * 4 // 11)[None, None]
CELLS = {
    "a grid": GRID,
    "lines of several lengths": (np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])[:, None] * 4 + np.arange(11) * 4 // 11)[None, None],
    "no equal lines": RNG.integers(0, 12, (1, 1, 9, 11)),
    "each record its own": np.concatenate([GRID, GRID[..., ::-1]]),
    "each record its own lines": np.concatenate([GRID, GRID[:, :, ::-1]]),
    "channels": np.arange(3).reshape(1, 3, 1, 1),
    "every number": np.arange(297).reshape(1, 3, 9, 11),
}
SHARES = {"whole": RNG.random((5, 298)) < 0.5, "in part": RNG.random((5, 298)).astype(np.float32)}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("instead", ["nothing", "a value", "draws"])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, np.float32, np.float64], ids=str)
def test_rows_are_those_of_the_formula_bit_for_bit(name, share, instead, kind):
    torch_kind = isinstance(kind, torch.dtype)
    x: Any = rows(2, 3, 9, 11).to(kind) if torch_kind else rows(2, 3, 9, 11).numpy().astype(kind)
    other = {"nothing": x[None, :1] * 0, "a value": x[None, :1] * 0 + 2, "draws": x[None, ::1][[0, 0, 0, 0, 0]] * 0.5}[instead]
    blend = Blend(x, CELLS[name], FixedReplacement(other))
    presence = SHARES[share]
    keep = torch.as_tensor(presence.astype(np.float32)).to(kind)[:, CELLS[name]] if torch_kind else presence.astype(kind)[:, CELLS[name]]
    own = x[None]
    if instead == "nothing":
        expected = keep * own
    else:
        expected = torch.lerp(other, own, keep) if torch_kind else other * (1 - keep) + own * keep
    for points in (5, 3, 5):
        part = other if len(other) == 1 else other[:points]
        found = blend(presence[:points], part)
        assert np.array_equal(np.asarray(found), np.asarray(expected[:points]))


def test_lines_of_a_grid_are_looked_up_once():
    cells, spans = collapse_repeated_lines(GRID)
    assert cells.shape == (1, 1, 3, 11)
    assert spans == [(0, 3), (3, 6), (6, 9)]
    assert collapse_repeated_lines(CELLS["every number"])[1] == []


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_memory_that_somebody_has_kept_is_not_written_again(kind):
    x: Any = rows(1, 3, 9, 11) if kind == "torch" else rows(1, 3, 9, 11).numpy()
    blend = Blend(x, GRID, FixedReplacement(x[None] * 0))
    first, second = (np.zeros((2, 13), bool) + flag for flag in (True, False))

    def address(a: Any) -> int:
        return int(a.data_ptr() if kind == "torch" else a.ctypes.data)

    places = [address(blend(presence, blend.x[None] * 0)) for presence in (first, second, first)]
    assert len(set(places)) == 1
    kept = blend(first, x[None] * 0)[:, 0, 1:]  # a part is enough
    again = blend(second, x[None] * 0)
    assert address(again) not in places
    assert float(abs(kept).sum()) > 0
    assert float(abs(again).sum()) == 0


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_a_model_may_keep_what_it_is_given(kind):
    seen: list[Any] = []

    def model(x: Any) -> Any:
        seen.append(x)
        return x.sum((1, 2, 3))

    x: Any = rows(1, 1, 4, 4) if kind == "torch" else rows(1, 1, 4, 4).numpy()
    asc.attribute(model, x, of=lambda y: y, over=asc.coalitions.LeaveOneOut(), features=asc.Grid(2), chunk=2)
    held = [np.asarray(rows_) for rows_ in seen if len(rows_) == 2]
    assert len({tuple(h.reshape(-1).tolist()) for h in held}) == len(held)
    assert len(held) >= 2
