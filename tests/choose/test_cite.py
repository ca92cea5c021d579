"""BibTeX of what was used: every method and metric with a paper has an entry, once."""

from __future__ import annotations

import re

import pytest
import torch

import ascribe as asc
from ascribe.errors import ArgumentError
from ascribe.methods import METHODS
from ascribe.metrics import METRICS

ENTRY = re.compile(r"@(misc|software)\{(\w+),\n((?:  \w+ = \{.*\},?\n)+)\}")


@pytest.mark.parametrize("name", [*METHODS, *METRICS])
def test_every_source_with_a_paper_has_an_entry(name: str) -> None:
    source = {**METHODS, **METRICS}[name].source
    text = asc.cite(name)
    entries = ENTRY.findall(text)
    papers = len(re.findall(r'\d{4}[a-z]?, "', source))
    assert len(entries) == papers + 1
    assert entries[-1][1] == "ascribe"
    assert all(body.count("{") == body.count("}") for _, _, body in entries)


def test_one_entry_written_out() -> None:
    first = asc.cite(asc.IntegratedGradients()).split("\n\n")[0]
    assert first == (
        "@misc{sundararajan2017axiomatic,\n  author = {Sundararajan and others},\n  title = {{Axiomatic Attribution for Deep Networks}},\n"
        "  year = {2017},\n  eprint = {1703.01365},\n  archiveprefix = {arXiv}\n}"
    )


def test_results_and_repeated_papers() -> None:
    model = torch.nn.Linear(3, 2)
    a = asc.DeepLift()(model, torch.rand(2, 3), of=1)
    assert asc.cite(a) == asc.cite(asc.DeepLift)
    assert asc.cite(asc.GradCam, asc.GuidedGradCam).count("selvaraju2017") == 1
    with pytest.raises(ArgumentError, match="needs methods"):
        asc.cite(3)
