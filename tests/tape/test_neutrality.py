"""The tape and the formulas know no framework: a tape of NumPy arrays gives the numbers that a PyTorch model gives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ascribe as asc
from ascribe.backends.numpy.namespace import xp
from ascribe.rules import CPLRP, AlphaBeta, AttnLRP, Epsilon, Flat, Gamma, Guided, LstmLRP, Rescale, RevealCancel, ZBox
from ascribe.tape import Tape, Var
from ascribe.tape.alignment import References
from ascribe.tape.assignment import assign
from ascribe.tape.gates import rank_values
from ascribe.tape.regions import find_regions
from ascribe.tape.reveal_cancel import PartedReverse
from ascribe.tape.reverse import Reverse
from tests.tape.numpy_framework import NUMPY, record, source

random = np.random.default_rng(0)
FIRST, SECOND, THIRD = random.normal(size=(6, 8)), random.normal(size=(8, 8)), random.normal(size=(8, 4))
SHIFT, SCALE, OFFSET = random.normal(size=8), random.normal(size=8), random.normal(size=8)
RECORD, REFERENCE = random.normal(size=(3, 6)), random.normal(size=(1, 6))


def layer_norm(x: np.ndarray, axes: tuple[int, ...], weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    centred = x - x.mean(axes, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axes, keepdims=True) + eps) * weight + bias)


def recorded(x: np.ndarray) -> tuple[Tape, Var]:
    """A small network: matrix products, a bias, ReLU, a gate, layer norm, softmax."""
    tape = Tape()
    h = record(tape, np.matmul, "matmul", source(tape, x), FIRST)
    h = record(tape, np.add, "add", h, SHIFT)
    h = record(tape, lambda z: np.maximum(z, 0), "relu", h)
    h = record(tape, np.multiply, "multiply", h, record(tape, xp.sigmoid, "sigmoid", record(tape, np.matmul, "matmul", h, SECOND)))
    h = record(tape, layer_norm, "layer_norm", h, (-1,), SCALE, OFFSET, 1e-5)
    h = record(tape, np.matmul, "matmul", record(tape, np.tanh, "tanh", h), THIRD)
    out = record(tape, xp.softmax, "softmax", h, -1)
    tape.close()
    return tape, out


class Twin(nn.Module):
    """The same network in PyTorch."""

    def forward(self, x: Tensor) -> Tensor:
        first, second, third, shift, scale, offset = map(torch.from_numpy, (FIRST, SECOND, THIRD, SHIFT, SCALE, OFFSET))
        h = (x @ first + shift).relu()
        h = h * (h @ second).sigmoid()
        h = nn.functional.layer_norm(h, (8,), scale, offset)
        return (h.tanh() @ third).softmax(-1)


def relevance(rule: Any, unit: int) -> np.ndarray:
    """The relevance of the inputs for one output, by the neutral tape alone."""
    tape, out = recorded(RECORD)
    refer = References(tape, [REFERENCE], recorded(REFERENCE)[0]) if rule.compares else lambda v: v.value
    find_regions(tape, rule.treats["elementwise"] == "guided")
    rules, (start,) = assign(rule, NUMPY).settle(tape, out), tape.sources
    rank_values(tape, [start], rule, lambda entry: rules.of(entry).rule)
    start.kept = True
    g = np.zeros_like(out.value)
    g[:, unit] = 1
    reverse = Reverse(NUMPY, tape, rules, refer)
    if "parts" in rule.treats:
        parted = PartedReverse(reverse)
        parted(out, g, [start])
        return np.asarray(parted.shares[0])
    ((multiplier, direct),) = reverse(out, g, [start])
    shares = 0.0 if multiplier is None else multiplier * (RECORD - refer(start) if rule.compares else RECORD)
    return np.asarray(shares if direct is None else shares + direct)


RULES = (
    Rescale(), RevealCancel(), AttnLRP(), CPLRP(), Epsilon(), Epsilon(0.1, bias=False), Gamma(), Gamma(generalised=True), AlphaBeta(),
    ZBox(-4, 4), Flat(), LstmLRP(), Guided(),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_numpy_tape_gives_the_numbers_of_pytorch(rule: Any) -> None:
    over = {"over": asc.Reference(torch.from_numpy(REFERENCE))} if rule.compares else {}
    expected = asc.attribute(Twin(), torch.from_numpy(RECORD), of=2, by=rule, progress=False, **over).values.numpy()
    np.testing.assert_allclose(relevance(rule, 2), expected, rtol=1e-10, atol=1e-12)


def test_the_tape_loads_no_framework() -> None:
    code = """
import sys, pkgutil, importlib, ascribe.tape, ascribe.rules
for package in (ascribe.tape, ascribe.rules):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print(*sorted({"torch", "jax", "tensorflow"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
