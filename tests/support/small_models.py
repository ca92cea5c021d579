"""Small networks in double precision that the tests of the engine share, and what they do written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Tensor = torch.Tensor
DOUBLE = torch.float64


def rows(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A double-precision module in evaluation mode, its parameters the same every time; torch's own generator is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double().eval()


def chain(*sizes: int, activation: Callable[[], nn.Module] = nn.Tanh, seed: int = 0) -> nn.Sequential:
    """Linear layers with an activation between each two: children "0", "1", ..."""

    def make() -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += ([activation()] if i else []) + [nn.Linear(a, b)]
        return nn.Sequential(*layers)

    return seeded(make, seed)  # type: ignore[return-value]


class Quadratic(nn.Module):
    """``x A x + b x`` for each class."""

    def __init__(self, size: int = 4, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.a = nn.Parameter(rows(classes, size, size, seed=seed))
        self.b = nn.Parameter(rows(classes, size, seed=seed + 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ni,cij,nj->nc", x, self.a, x) + x @ self.b.T

    def slope(self, x: Tensor, c: int) -> Tensor:
        """The gradient of class ``c``."""
        return x @ (self.a[c] + self.a[c].T) + self.b[c]


class TwoInputs(nn.Module):
    """Two tensors that belong to records, one that does not, a number and a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 5), nn.Linear(3, 5), nn.Linear(5, 3)

    def forward(self, a: Tensor, b: Tensor, shift: Tensor | None = None, scale: float = 1.0, *, flip: bool = False) -> Tensor:
        h = torch.tanh(self.left(a)) * self.right(b) * scale
        if shift is not None:
            h = h + shift
        return self.head(-h if flip else h)


class Branches(nn.Module):
    """A residual block whose input goes two ways, and an identity on one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.drop, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.stem(x))
        return self.head(2 * h + torch.tanh(self.inner(self.drop(h))))


class Twice(nn.Module):
    """One layer used two times."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.act, self.head = nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.shared(self.act(self.shared(x)))))


class Pictures(nn.Module):
    """A small convolutional network for ``[records, 2, 6, 6]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 5, 3), nn.Linear(5 * 2 * 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.softplus(self.conv1(x))
        h = F.max_pool2d(torch.tanh(self.conv2(h)), 2)
        return self.fc(h.flatten(1))


class Rectified(nn.Sequential):
    """Convolutions, rectifiers and a pool in a row, for ``[records, 2, 6, 6]``."""

    def __init__(self) -> None:
        inner = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()
        super().__init__(*inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


class Dense(nn.Module):
    """Class scores at every pixel: ``[records, 3, height, width]``."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x)))


class Words(nn.Module):
    """Token ids and a mask to class scores, through embeddings and a layer that mixes positions; an object is returned."""

    def __init__(self, size: int = 20) -> None:
        super().__init__()
        self.embed, self.mix, self.norm, self.head = nn.Embedding(size, 4), nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Any]:
        h = self.norm(torch.tanh(self.mix(self.embed(input_ids))))
        weight = torch.ones_like(h[..., 0]) if attention_mask is None else attention_mask.to(h.dtype)
        pooled = (h.tanh() * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
        return {"logits": self.head(pooled), "hidden": h}


def sums(values: Any) -> Tensor:
    """What each record's values add up to, over all arrays."""
    if isinstance(values, Tensor):
        return values.reshape(len(values), -1).sum(1)
    return sum((sums(v) for v in (values.values() if isinstance(values, dict) else values)), start=torch.zeros((), dtype=DOUBLE))


def gradient(value: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """PyTorch's own gradient of one number per record."""
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(value(leaf).sum(), leaf)[0]


def differences(value: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of one number per record, all coordinates one after the other."""
    found = torch.zeros_like(x)
    flat = found.view(len(x), -1)
    with torch.no_grad():
        for i in range(flat.shape[1]):
            d = torch.zeros_like(flat)
            d[:, i] = step
            d = d.view_as(x)
            flat[:, i] = (value(x + d) - value(x - d)) / (2 * step)
    return found
