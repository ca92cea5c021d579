"""Perturbation methods of ascribe, captum and shap with their defaults: exact Shapley values, Kernel SHAP, ablation, occlusion."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.counting import counted
from benchmarks.models import Subject, cnn
from benchmarks.timing import Call, Contender, Effort, Spread, Watch, paired, rounds, spread


@dataclass(frozen=True)
class Raced:
    """One job: seconds of everyone, rows passed, how many times ascribe fits into the others, and the bound on captum's ratio."""

    name: str
    seconds: dict[str, Spread]
    rows: dict[str, str]
    ratios: dict[str, Spread]
    aim: float | None
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A model with ends to count rows at, a record, and everyone's way to explain it."""

    name: str
    model: nn.Module
    ends: tuple[str, str]
    makers: Mapping[str, Callable[[nn.Module], Call]]
    aim: float | None


class Nothing(nn.Module):
    """A model without computation, which leaves the overhead of a library."""

    def __init__(self) -> None:
        super().__init__()
        self.touch = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.touch(x)[:, 0, 0, :2]


def patches(height: int, width: int, down: int, across: int) -> Tensor:
    """Ids of ``down`` x ``across`` nearly equal rectangles."""
    row, column = torch.arange(height) * down // height, torch.arange(width) * across // width
    return row[:, None] * across + column


def jobs(image: int, batch: int, samples: int) -> list[Job]:
    """Six features exactly, 49 by Kernel SHAP, 64 regions one by one."""
    return [
        exact(image),
        kernel(224 if samples >= 1000 else 28, samples),
        *(job for size in (1, batch) for job in (ablation(image, size), occlusion(image, size))),
    ]


def by_hand(x: Tensor, ids: Tensor, there: Tensor, target: Tensor | int) -> Callable[[nn.Module], Call]:
    """The minimal work: the model on rows with regions set to zero, eight at once."""
    flat, one = ids.reshape(-1), torch.as_tensor(target).reshape(-1, 1)

    def made(model: nn.Module) -> Call:
        def call() -> Tensor:
            found = []
            with torch.no_grad():
                for some in there.split(max(1, 8 // len(x))):
                    rows = (x * some[:, flat].reshape(-1, 1, 1, *ids.shape)).flatten(0, 1)
                    found.append(model(rows).gather(1, one.expand(len(x), 1).repeat(len(some), 1)))
            return torch.cat(found)

        return call

    return made


def each_missing(x: Tensor, regions: int) -> Tensor:
    """All regions present, then each of them removed."""
    return torch.cat([torch.ones(1, regions), 1 - torch.eye(regions)]).to(x)


def regions(s: Subject, ids: Tensor, ours: str, theirs: str) -> dict[str, Callable[[nn.Module], Call]]:
    """A method of ascribe and one of captum, by name, over regions that are replaced by zero."""

    def ours(model: nn.Module) -> Call:
        import ascribe as asc

        method = getattr(asc, ours)(0.0, ids)
        return lambda: method(model, *s.args, of=s.target).values

    def captum(model: nn.Module) -> Call:
        import captum.attr

        method = getattr(captum.attr, theirs)(model)
        return lambda: method.attribute(*s.args, target=s.target, feature_mask=ids[None, None])

    return {"ascribe": ours, "captum": captum}


def exact(image: int) -> Job:
    """Six regions of one image, all coalitions."""
    subject = cnn("cpu", image, 1)
    makers = regions(subject, patches(image, image, 2, 3), "ShapleyExact", "ShapleyValues")
    name = "removal: exact Shapley values, 6 features, CNN, batch 1"
    return Job(name, subject.model, (subject.first, subject.last), makers, 20.0)


def kernel(side: int, samples: int) -> Job:
    """49 regions of one image, sampled, in a model without computation."""
    torch.manual_seed(0)
    x, ids = torch.randn(1, 3, side, side), patches(side, side, 7, 7)

    def ours(model: nn.Module, smooth: bool | None = False) -> Call:
        import ascribe as asc

        over = asc.coalitions.ShapleyRegression(samples, smooth=smooth)
        return lambda: asc.attribute(model, x, of=1, over=over, by=0.0, features=ids).values

    def captum(model: nn.Module) -> Call:
        from captum.attr import KernelShap

        method = KernelShap(model)
        return lambda: method.attribute(x, target=1, feature_mask=ids[None, None], n_samples=samples)

    def shap(model: nn.Module) -> Call:
        return shap_kernel(model, x, ids, samples)

    bare = by_hand(x, ids, torch.randint(0, 2, (samples, 49)).to(x), 1)
    makers = {"bare": bare, "ascribe": ours, "ascribe, smooth": lambda model: ours(model, None), "captum": captum, "shap": shap}
    name = f"removal: Kernel SHAP, 49 features, {samples} samples, 3x{side}x{side}, a model that does nothing"
    return Job(name, Nothing().eval(), ("touch", "touch"), makers, 10.0)


def shap_kernel(model: nn.Module, x: Tensor, ids: Tensor, samples: int) -> Call:
    """KernelExplainer on the presence of features, with the masking that its users write, 50 rows at once."""
    import shap

    logging.getLogger("shap").setLevel(logging.ERROR)
    flat = ids.reshape(-1)

    def scores(there: np.ndarray) -> np.ndarray:
        found = []
        for some in torch.as_tensor(there, dtype=x.dtype).split(50):
            rows = x * some[:, flat].reshape(-1, 1, *ids.shape)
            with torch.no_grad():
                found.append(model(rows)[:, 1].numpy())
        return np.concatenate(found)

    explainer = shap.KernelExplainer(scores, np.zeros((1, 49)))
    return lambda: explainer.shap_values(np.ones((1, 49)), nsamples=samples, silent=True)


def ablation(image: int, batch: int) -> Job:
    """64 regions, one by one."""
    subject = cnn("cpu", image, batch)
    ids = patches(image, image, 8, 8)
    bare = by_hand(subject.args[0], ids, each_missing(subject.args[0], 64), subject.target)
    makers = {"bare": bare} | regions(subject, ids, "FeatureAblation", "FeatureAblation")
    name = f"removal: FeatureAblation, 64 regions, CNN, batch {batch}"
    return Job(name, subject.model, (subject.first, subject.last), makers, 3.0 if batch == 1 else 1.0)


def occlusion(image: int, batch: int) -> Job:
    """64 windows that do not overlap."""
    subject = cnn("cpu", image, batch)
    x, target, size = subject.args[0], subject.target, (3, image // 8, image // 8)

    def ours(model: nn.Module) -> Call:
        import ascribe as asc

        return lambda: asc.Occlusion(size, by=0.0)(model, x, of=target).values

    def captum(model: nn.Module) -> Call:
        from captum.attr import Occlusion

        method = Occlusion(model)
        return lambda: method.attribute(x, size, size, target=target)

    bare = by_hand(x, patches(image, image, 8, 8), each_missing(x, 64), target)
    makers = {"bare": bare, "ascribe": ours, "captum": captum}
    name = f"removal: Occlusion, 64 windows, CNN, batch {batch}"
    return Job(name, subject.model, (subject.first, subject.last), makers, 3.0 if batch == 1 else 1.0)


def removals(image: int, batch: int, quick: bool, effort: Effort, watch: Watch, only: str = "") -> list[Raced]:
    """The jobs whose name has ``only`` in it, everyone in turn within a round; ``quick`` ones are tiny, and meet and miss nothing."""
    chosen = [job for job in jobs(image, batch, 150 if quick else 1000) if only.lower() in job.name.lower()]
    return [raced(replace(job, aim=None) if quick else job, effort, watch) for job in chosen]


def raced(job: Job, effort: Effort, watch: Watch) -> Raced:
    """Runs every contender once and counts rows, then times them in turn."""
    rows: dict[str, str] = {}
    few = replace(effort, least=min(3, effort.least))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, make in job.makers.items():
                call = make(job.model)
                call()  # a first call also finds out how several rows may be run at once
                rows[name] = str(counted(job.model, job.ends, call).first)
            figures = rounds({name: Contender(lambda make=make: make(job.model)) for name, make in job.makers.items()}, few, watch)
    except Exception as error:
        return Raced(job.name, {}, rows, {}, job.aim, f"{type(error).__name__}: {error}")
    ratios = {name: paired(figures, name, "ascribe") for name in figures if name != "ascribe"}
    return Raced(job.name, {name: spread(times) for name, times in figures.items()}, rows, ratios, job.aim)
