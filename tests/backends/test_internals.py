"""Private names of PyTorch that are relied on: all are there, none is used elsewhere unlisted, and without them nothing is left behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.torch.model import internals
from ascribe.backends.torch.model import removable_hooks as hooks
from ascribe.backends.torch.namespace import xp
from tests.support.small_models import rows
from tests.support.snapshots import unchanged

FOLDER = Path(internals.__file__).parent
LISTED = {name for _, names in internals.USED for name in names}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in internals.USED for name in names])
def test_every_private_name_is_there(owner: Any, name: str) -> None:
    assert hasattr(owner, name), f"this PyTorch has no {name}: its fallback in ascribe.backends.torch.model.internals is in use"


def test_private_modules_of_torch_are_used_in_one_place() -> None:
    pattern = re.compile(r"torch\._\w+|from torch[\w.]* import _\w+|\b_global_forward\w+")
    for path in FOLDER.rglob("*.py"):
        if path.name != "internals.py":
            assert not pattern.findall(path.read_text(encoding="utf-8")), path.name


def test_without_hooks_by_name_they_are_removed_by_their_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), rows(3, 4)
    truth = asc.influence(model, x, of=1, at="1").values
    monkeypatch.setattr(hooks, "HAS_HOOKS", False)
    monkeypatch.setattr(hooks, "HOOKS", ("_gone",))
    with unchanged(model, arguments=x):
        found = asc.influence(model, x, of=1, at="1").values
    assert torch.equal(found, truth)


def test_without_the_private_functions_the_answers_are_the_safe_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.backends.cudnn.enabled
    for name, missing in {"PEEK": None, "OPERATION_MODES": int, "FUNCTION_MODES": int, "HOLDERS": None, "HAS_KERNEL": None}.items():
        assert getattr(internals, name) is not missing
        monkeypatch.setattr(internals, name, missing)
    monkeypatch.setattr(internals, "COMPILED", object())
    monkeypatch.setattr(internals, "HAS_HOOKS_OF_ALL", False)
    assert internals.transform_level() == 0
    assert internals.mode_depths() == (0, 0)
    internals.leave_modes((0, 0))
    assert not internals.is_composite(torch.ops.aten.linear.default)
    assert internals.hooks_of_all_modules() == ()
    assert xp.holders(torch.zeros(2)) is None
    assert internals.cudnn_enabled() is before
    internals.set_cudnn_enabled(before)
    assert torch.backends.cudnn.enabled is before


def test_a_model_is_explained_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), rows(3, 4)
    truth = [asc.influence(model, x, of=1, at="1").values, asc.attribute(model, x, of=1, over=asc.coalitions.LeaveOneOut(), by=0.0).values]
    for name, missing in {"PEEK": None, "OPERATION_MODES": int, "FUNCTION_MODES": int, "HOLDERS": None}.items():
        monkeypatch.setattr(internals, name, missing)
    found = [asc.influence(model, x, of=1, at="1").values, asc.attribute(model, x, of=1, over=asc.coalitions.LeaveOneOut(), by=0.0).values]
    assert all(map(torch.equal, found, truth))


def test_inference_mode_is_as_it_was_after_a_call() -> None:
    model, x = nn.Linear(4, 2), rows(3, 4)
    truth = asc.influence(model, x, of=1).values
    with torch.inference_mode():
        found = asc.influence(model, x.clone(), of=1).values
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(found, truth)
