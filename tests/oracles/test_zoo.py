"""Rules hold on architectures as they are built: the zoo, and the sweep over every family of ``transformers``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

pytest.importorskip("transformers")

import ascribe as asc
from benchmarks.zoo.__main__ import main
from benchmarks.zoo.measure import ALIVE, Row, explain_subject, explained, gap, lost, measured, moved, totals, without_formula
from benchmarks.zoo.models import Subject, Zoo, unbiased
from benchmarks.zoo.sweep import sweep, tried
from benchmarks.zoo.tables import swept
from benchmarks.zoo.tiny import Family
from tests.support.lxt_peer import built

SUBJECTS = Zoo().subjects
CASES = [(s.name, kind) for s in SUBJECTS.values() for kind in s.kinds]
QUICK = {
    "DenseNet-like",
    "LSTM, packed",
    "functions only",
    "reused ReLU",
    "U-Net-like",
    "ResNet",
    "ViT",
    "BERT",
    "Llama",
    "Mixtral",
    "Mamba",
}
FUSED = [name for name, kind in CASES if kind == "sdpa"]
MARKED = [pytest.param(name, kind, marks=() if name in QUICK else pytest.mark.slow) for name, kind in CASES]
PEER = str(Path(__file__).with_name("lxt_peer.py"))
ROUTED = {"Mixtral"}


@cache
def row(name: str, kind: str) -> Row:
    return measured(SUBJECTS[name], kind)


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_network_is_alive(name):
    """Of one whose output hardly depends on the record, a sum that is right says nothing, and rounding decides whether it is."""
    subject = SUBJECTS[name]
    over = asc.Line(subject.reference, 1, "riemann-right", at=subject.at)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = asc.attribute(subject.model("eager", torch.float32), of=subject.of, at=subject.at, over=over, **subject.call(torch.float32))
    assert moved(found) >= ALIVE


def test_a_dead_network_is_not_measured():
    def call(dtype):
        return {"input": torch.ones(2, 12, dtype=dtype)}

    flat = Subject("flat", lambda kind: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), call)
    dead = replace(flat, make=lambda kind: nn.Sequential(Scaled(1e-5), *flat.make(kind)))
    assert measured(flat, "eager").moves >= ALIVE
    with pytest.raises(ValueError, match="flat is dead"):
        measured(dead, "eager")


class Scaled(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input * self.by


@pytest.mark.parametrize(("name", "kind"), MARKED)
def test_deeplift_adds_up(name, kind):
    """In double precision where the model is in double precision throughout; its own casts to single round."""
    found = row(name, kind)
    assert found.single <= 1e-4
    assert found.through <= 1e-8
    assert found.double <= 1e-5


@pytest.mark.parametrize(("name", "kind"), MARKED)
def test_cp_lrp_conserves_and_nothing_is_without_a_rule(name, kind):
    found = row(name, kind)
    assert found.conserved <= 1e-3
    assert found.named == ("topk" if name in ROUTED else "")


@pytest.mark.parametrize(("name", "kind"), [p for p in MARKED if "packed" not in p.values[0]])  # its lengths are no input
def test_a_record_is_explained_by_itself(name, kind):
    subject = SUBJECTS[name]
    whole = explained(subject, kind, torch.float64, asc.rules.Rescale())
    rows = {key: value[1:2] for key, value in subject.call(torch.float64).items()}
    model = subject.model(kind, torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        over = asc.Reference(0.0, at=subject.at)
        alone = asc.attribute(model, of=subject.of, at=subject.at, over=over, by=asc.rules.Rescale(), **rows)
    size = abs(totals(whole)).max() + 1
    assert abs(totals(alone)[0] - totals(whole)[1]) < 1e-5 * size


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FUSED])
@pytest.mark.parametrize("rule", [asc.rules.Rescale(), asc.rules.AttnLRP(), asc.rules.CPLRP()], ids=repr)
def test_attention_by_one_kernel_and_by_several_agree(name, rule):
    eager, fused = (explained(SUBJECTS[name], kind, torch.float64, rule) for kind in ("eager", "sdpa"))
    largest = max(float(a.abs().max()) for _, a in eager.arrays())
    assert largest > 0
    for (_, a), (_, b) in zip(eager.arrays(), fused.arrays(), strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-5 * largest)


def test_biases_are_where_the_rest_goes():
    """The zoo's measure can fail: with its biases, a network's relevance does not add up to the score."""
    subject = SUBJECTS["BERT"]
    assert lost(explained(subject, "eager", torch.float32, asc.rules.CPLRP())) > 0.01
    assert lost(explain_subject(subject, unbiased(subject.model("eager", torch.float32)), torch.float32, asc.rules.Gradient())) > 0.01
    assert gap(explained(subject, "eager", torch.float32, asc.rules.Rescale())) > 0
    assert without_formula(explained(SUBJECTS["Mixtral"], "eager", torch.float32, asc.rules.Rescale())) == "topk"


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "mamba", "gpt_oss", "bloom", "deepseek_v3", "rwkv"])
def test_some_families_of_the_sweep(kind):
    """A state-space model, sinks, a function of its own, latent attention, a recurrence: none is silent."""
    found = tried(Family(kind, "lm"))
    assert found.state in ("conserved", "named"), found


@pytest.mark.slow
def test_the_sweep():
    """Conserved on at least 210 families that can be built small, silent on none."""
    found = list(sweep())
    states = [f.state for f in found]
    assert states.count("conserved") >= 210
    assert not [f for f in found if f.state == "silent"]
    assert "conserved" in swept(found)


def test_the_command_prints_a_table(capsys):
    assert main(["reused"]) == 0
    assert "| reused ReLU | eager |" in capsys.readouterr().out
    assert main(["sweep", "gpt_neox lm"]) == 0
    assert "| gpt_neox | lm | conserved |" in capsys.readouterr().out


@pytest.mark.parametrize("family", ["Llama", "Qwen3"])
def test_attnlrp_is_that_of_lxt(family, tmp_path):
    """In a process of its own, which lxt patches."""
    if importlib.util.find_spec("lxt") is None:
        pytest.skip("lxt is not installed")
    file = tmp_path / "relevance.safetensors"
    ran = subprocess.run([sys.executable, PEER, family, str(file)], capture_output=True, text=True, check=False)
    if "lxt" in ran.stderr and ("ImportError" in ran.stderr or "ModuleNotFoundError" in ran.stderr):
        pytest.skip(f"lxt does not import: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr[-2000:]
    theirs = load_file(str(file))["relevance"]
    ids = torch.arange(1, 10)[None]
    ours = asc.AttnLRP()(built(family), input_ids=ids, use_cache=False, of=asc.Unit(8, 5), at=asc.EMBEDDINGS).values
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
    plain = asc.InputXGradient()(built(family), input_ids=ids, use_cache=False, of=asc.Unit(8, 5), at=asc.EMBEDDINGS).values
    assert (ours - plain).abs().max() > 0.1 * theirs.abs().max()
