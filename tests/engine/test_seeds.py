"""The seed decides every draw: the same numbers in another process, others for another seed, and nobody else's generator moves."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ascribe as asc
from ascribe.errors import AscribeError
from tests.support.small_models import Words, chain, rows, seeded

RANDOM = {
    "smooth": asc.SmoothGrad(4),
    "squares": asc.SquareGrad(4),
    "variance": asc.VarGrad(4),
    "expected": asc.ExpectedGradients(rows(5, 4, seed=9), 4),
    "random path": asc.IntegratedGradients(0.3, 4, "random"),
    "uniform baseline": asc.IntegratedGradients("uniform", 4),
}
OVER = {
    "uniform": asc.Uniform(0.2, 4),
    "smooth paths": asc.Gaussian(0.2, 3) * asc.Line(0.0, 3),
    "background": asc.Background(rows(5, 4, seed=9), 3),
}

SCRIPT = """
import hashlib, sys
from tests.engine.test_seeds import numbers
for name, values in numbers(int(sys.argv[1])).items():
    print(name, hashlib.sha256(values.tobytes()).hexdigest())
"""


def numbers(seed: int) -> dict[str, np.ndarray]:
    """Everything that is drawn, for a seed."""
    net, x = chain(4, 6, 3), rows(3, 4)
    found = {name: method(net, x, of=1, seed=seed).values.numpy() for name, method in RANDOM.items()}
    return found | {name: asc.attribute(net, x, of=1, over=over, seed=seed).values.numpy() for name, over in OVER.items()}


def in_a_process(seed: int, hashes: str) -> dict[str, str]:
    """The digests that a process of its own prints."""
    script = SCRIPT
    environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", script, str(seed)], env=environment, capture_output=True, text=True, check=True)
    return dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())


def test_two_processes_give_the_same_numbers():
    there = in_a_process(5, hashes="1")
    here = {name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in numbers(5).items()}
    assert there == here
    assert len(there) == len(RANDOM) + len(OVER)


def test_another_seed_gives_other_numbers():
    several = [numbers(seed) for seed in (0, 1, 2)]
    for name in several[0]:
        a, b, c = (values[name] for values in several)
        assert not np.allclose(a, b), name
        assert not np.allclose(b, c), name


@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_draws_do_not_depend_on_the_records_or_the_chunks(chunk):
    net, x = chain(4, 6, 3), rows(7, 4)
    for method in RANDOM.values():
        among = method(net, x, of=1, seed=3, chunk=chunk).values
        torch.testing.assert_close(method(net, x[4:5], of=1, seed=3).values[0], among[4])


def test_the_generators_of_others_are_left_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    numbers(0)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_a_seed_of_torch_or_numpy_changes_nothing():
    before = numbers(4)
    torch.manual_seed(99)
    np.random.seed(99)
    after = numbers(4)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_several_inputs_and_layers_draw_noise_of_their_own():
    net, ids = seeded(Words), torch.tensor([[1, 2, 3]])
    noisy = asc.influence(net, ids, of=1, at=asc.EMBEDDINGS, over=asc.Gaussian(0.3, 2, at=asc.EMBEDDINGS), seed=1).values
    other = asc.influence(net, ids, of=1, at=asc.EMBEDDINGS, over=asc.Gaussian(0.3, 2, at=asc.EMBEDDINGS), seed=2).values
    assert not torch.allclose(noisy, other)
    draws = asc.Gaussian(0.3, 2).draw(1).noise
    assert not np.allclose(draws.draw(0, 0, (4,)), draws.draw(0, 1, (4,)))


@pytest.mark.parametrize("seed", [-1, 1.7, None, "a"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(AscribeError):
        asc.influence(chain(4, 3), rows(2, 4), of=1, over=asc.Gaussian(), seed=seed)
