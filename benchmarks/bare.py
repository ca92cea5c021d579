"""The same passes written by hand in plain torch, as someone in a hurry to be fast would write them.

Every loop takes the number of rows to run at once, so that its best chunk can be looked for. The parameters are frozen by
the caller. ``ends`` also runs what a completeness gap needs (the records, and their baseline), without a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.models import Subject

Score = Callable[[Tensor, slice], Tensor]


def rectangles(records: int, points: int, chunk: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of records x points with about ``chunk`` rows in each."""
    if chunk < records:
        yield from ((slice(r, r + chunk), slice(p, p + 1)) for r in range(0, records, chunk) for p in range(points))
        return
    step = chunk // records
    yield from ((slice(0, records), slice(p, p + step)) for p in range(0, points, step))


@lru_cache
def line(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre positions and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def spread(values: np.ndarray | Tensor, like: Tensor) -> Tensor:
    """One number per point (or per point and record), shaped to multiply points x records x features."""
    numbers = torch.as_tensor(values, dtype=like.dtype, device=like.device)
    return numbers.reshape(*numbers.shape, *[1] * (like.ndim + 1 - numbers.ndim))


def pulled(score: Score, points: Tensor, records: slice) -> Tensor:
    """The gradient at every point of a block, shaped as the points are."""
    rows = points.flatten(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(score(rows, records), rows)
    return gradient.view_as(points)


def integrated(score: Score, x: Tensor, x0: Tensor, *, steps: int, chunk: int) -> Tensor:
    """Integrated gradients from ``x0`` to ``x``."""
    nodes, weights = line(steps)
    total, way = torch.zeros_like(x), x - x0
    for records, points in rectangles(len(x), steps, chunk):
        at = torch.addcmul(x0[records], spread(nodes[points], x), way[records])
        weight = torch.as_tensor(weights[points], dtype=x.dtype, device=x.device)
        total[records] += torch.tensordot(weight, pulled(score, at, records), 1)
    return total * way


def smooth(score: Score, x: Tensor, *, scale: float, samples: int, chunk: int) -> Tensor:
    """The mean gradient under Gaussian noise."""
    total = torch.zeros_like(x)
    for records, points in rectangles(len(x), samples, chunk):
        block = x[records]
        noise = torch.randn(len(range(samples)[points]), *block.shape, device=x.device)
        total[records] += pulled(score, torch.add(block, noise, alpha=scale), records).sum(0)
    return total / samples


def expected(score: Score, x: Tensor, background: Tensor, *, samples: int, chunk: int) -> Tensor:
    """Expected gradients: a random background row and a random place on the way from it, for every sample."""
    total = torch.zeros_like(x)
    for records, points in rectangles(len(x), samples, chunk):
        block = x[records]
        shape = len(range(samples)[points]), len(block)
        start = background[torch.randint(len(background), shape, device=x.device)]
        way = block - start
        at = torch.addcmul(start, spread(torch.rand(shape, device=x.device), x), way)
        total[records] += (pulled(score, at, records) * way).sum(0)
    return total / samples


def split(model: nn.Module, layer: str) -> tuple[nn.Sequential, nn.Sequential]:
    """A flat model in two: up to and with the layer, and the rest."""
    assert isinstance(model, nn.Sequential)
    at = [name for name, _ in model.named_children()].index(layer) + 1
    return model[:at], model[at:]


def _last(score: Score, x: Tensor, x0: Tensor | None) -> None:
    with torch.no_grad():
        score(x, slice(None))
        if x0 is not None:
            score(x0, slice(None))


def integrated_gradients(subject: Subject, *, steps: int, chunk: int, ends: bool) -> Tensor:
    """Integrated gradients from zero at the input or the embeddings."""
    x = subject.start(subject)
    x0 = torch.zeros_like(x)
    if ends:
        _last(subject.score, x, x0)
    return integrated(subject.score, x, x0, steps=steps, chunk=chunk)


def smooth_grad(subject: Subject, *, samples: int, chunk: int, ends: bool) -> Tensor:
    """SmoothGrad at the input."""
    x = subject.start(subject)
    if ends:
        _last(subject.score, x, None)
    return smooth(subject.score, x, scale=0.15, samples=samples, chunk=chunk)


def expected_gradients(subject: Subject, *, samples: int, chunk: int, ends: bool) -> Tensor:
    """Expected gradients at the input; the ends are the records and the whole background."""
    x, background = subject.start(subject), subject.extras["background"]
    if ends:
        _last(subject.score, x, None)
        with torch.no_grad():
            subject.model(background)
    return expected(subject.score, x, background, samples=samples, chunk=chunk)


def layer_integrated_gradients(subject: Subject, layer: str, *, steps: int, chunk: int) -> Tensor:
    """Integrated gradients along the straight line between two values of a layer; what is before it runs once for each."""
    before, after = split(subject.model, layer)
    with torch.no_grad():
        x = subject.args[0]
        h, h0 = before(x), before(torch.zeros_like(x))

    def score(rows: Tensor, records: slice) -> Tensor:
        out = after(rows)
        target = subject.target[records]
        return out.gather(1, target.repeat(len(out) // len(target))[:, None]).sum()

    return integrated(score, h, h0, steps=steps, chunk=chunk)


def gradient(subject: Subject) -> Tensor:
    """The gradient at the record."""
    x = subject.start(subject).detach().requires_grad_()
    return torch.autograd.grad(subject.score(x), x)[0]


def saliency(subject: Subject) -> Tensor:
    """The size of the gradient at the record."""
    return gradient(subject).abs()


def input_x_gradient(subject: Subject) -> Tensor:
    """The gradient at the record times the record."""
    return gradient(subject) * subject.start(subject)


def pairs(subject: Subject) -> Tensor:
    """What records and the rows of a background take at least: each run once, a backward pass of the records for each row."""
    x = subject.start(subject).detach().requires_grad_()
    total, score = torch.zeros_like(x), subject.score(x)
    for row in subject.extras["background"]:
        with torch.no_grad():
            subject.model(row[None])
        total += torch.autograd.grad(score, x, retain_graph=True)[0] * (x.detach() - row)
    return total / len(subject.extras["background"])


def grad_cam(subject: Subject, layer: str) -> Tensor:
    """The channels of a layer, weighted by their mean gradient."""
    before, after = split(subject.model, layer)
    with torch.no_grad():
        h = before(subject.args[0])
    h.requires_grad_()
    (gradient,) = torch.autograd.grad(after(h).gather(1, subject.target[:, None]).sum(), h)
    return torch.relu((gradient.mean((2, 3), keepdim=True) * h.detach()).sum(1, keepdim=True))


def activation(subject: Subject, layer: str) -> Tensor:
    """What a layer returns; nothing after it runs."""
    with torch.no_grad():
        return split(subject.model, layer)[0](subject.args[0])
