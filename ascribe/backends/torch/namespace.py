"""PyTorch's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .model.internals import storage_holders

Tensor = torch.Tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """NumPy's numbers as a tensor on the CPU, whatever the default device is; those of an array that runs backwards in a copy."""
    return torch.from_numpy(array if min(array.strides, default=0) >= 0 and array.flags.writeable else array.copy())


TYPES = {t for t in vars(torch).values() if isinstance(t, torch.dtype)}
KINDS = {t: "f" if t.is_floating_point else "c" if t.is_complex else "b" if t is torch.bool else "i" for t in TYPES}
"""The NumPy letter of each type."""


class TorchNamespace:
    """See :class:`ascribe.arrays.Namespace`."""

    writes_in_place = True

    def asarray(self, a: Any, like: Tensor) -> Tensor:
        given: Tensor = a.detach() if isinstance(a, Tensor) else from_numpy(np.ascontiguousarray(a))
        if given.is_floating_point() and like.is_floating_point():
            return given.to(like.device, like.dtype)
        return given.to(like.device)

    def numpy(self, a: Tensor) -> np.ndarray:
        a = a.detach()
        if a.is_floating_point() and a.element_size() < 4:
            a = a.float()
        return a.cpu().numpy().copy()

    def concat(self, arrays: list[Tensor], axis: int) -> Tensor:
        return torch.cat(arrays, axis)

    def stack(self, arrays: list[Tensor], axis: int) -> Tensor:
        return torch.stack(arrays, axis)

    def broadcast_to(self, a: Tensor, shape: tuple[int, ...]) -> Tensor:
        return a.expand(shape)

    def moveaxis(self, a: Tensor, source: int, to: int) -> Tensor:
        return a.movedim(source, to)

    def where(self, condition: Tensor, a: Any, b: Any) -> Tensor:
        return torch.where(condition, a, b)

    def exp(self, a: Tensor) -> Tensor:
        return torch.exp(a)

    def log(self, a: Tensor) -> Tensor:
        return torch.log(a)

    def sqrt(self, a: Tensor) -> Tensor:
        return torch.sqrt(a)

    def sign(self, a: Tensor) -> Tensor:
        return torch.sign(a)

    def maximum(self, a: Tensor, b: float) -> Tensor:
        return torch.clamp(a, min=b)

    def amax(self, a: Tensor, axes: tuple[int, ...]) -> Tensor:
        if not a.numel():  # the largest of nothing
            return a.sum(axes) if axes else a
        return torch.amax(a, axes) if axes else a

    def take(self, a: Tensor, index: Tensor, axis: int) -> Tensor:
        return a.index_select(axis, index)

    def mix(self, a: Tensor, b: Tensor, share: Tensor, into: Tensor | None = None) -> Tensor:
        return torch.lerp(a, b, share, out=into)

    def product(self, a: Tensor, b: Tensor, into: Tensor | None = None) -> Tensor:
        return torch.mul(a, b, out=into)

    def empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def holders(self, a: Tensor) -> int | None:
        return storage_holders(a) if a.device.type == "cpu" else None  # elsewhere PyTorch keeps memory, and a run may still read it

    def zeros_like(self, a: Tensor) -> Tensor:
        return torch.zeros_like(a)

    def pick(self, a: Tensor, index: np.ndarray) -> Tensor:
        at = torch.as_tensor(index, device=a.device)
        if a.ndim == 2:
            return a.gather(1, at.unsqueeze(1)).squeeze(1)
        return a[torch.arange(len(a), device=a.device), at]

    def sums(self, a: Tensor, kept: int) -> np.ndarray:
        axes = tuple(range(kept, a.ndim))
        return (a.sum(axes, dtype=torch.float64) if axes else a.double()).cpu().numpy()

    def sizes(self, a: Tensor, kept: int) -> np.ndarray:
        axes = tuple(range(kept, a.ndim))
        found = self.numpy(a.abs().sum(axes) if axes else a.abs()).astype(np.float64)
        return found if np.isfinite(found).all() else self.sums(a.abs(), kept)  # what is finite may add up to more than its type holds

    def is_floating(self, a: Tensor) -> bool:
        return a.is_floating_point()

    def eps(self, a: Tensor) -> float:
        return torch.finfo(a.dtype).eps if a.dtype.is_floating_point else 0.0

    def accumulator(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(shape, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)

    def accumulate(self, total: Tensor, terms: Tensor, weights: np.ndarray) -> Tensor:
        w = torch.as_tensor(weights, dtype=total.dtype, device=total.device)
        flat = terms.detach().reshape(len(w), -1).to(total.dtype)
        if total.is_contiguous():
            total.view(-1).addmv_(flat.t(), w)
            return total
        return total + (flat.t() @ w).view(total.shape)

    def cast(self, a: Tensor, like: Tensor) -> Tensor:
        return a.to(like.dtype)

    def kind(self, a: Tensor) -> str:
        return KINDS[a.dtype]

    def astype(self, a: Tensor, dtype: Any) -> Tensor:
        return a.to(dtype)

    def as_floats(self, a: Tensor) -> Tensor:
        return a.to(torch.get_default_dtype())

    def constant(self, a: Any, like: Tensor) -> Tensor:
        return torch.as_tensor(a, dtype=like.dtype, device=like.device)

    def stop(self, a: Tensor) -> Tensor:
        return a.detach()

    def zeros(self, shape: Any, like: Tensor) -> Tensor:
        return like.new_zeros(shape)

    def ones_like(self, a: Tensor) -> Tensor:
        return torch.ones_like(a)

    def reshape(self, a: Tensor, shape: Any) -> Tensor:
        return a.reshape(shape)

    def permute(self, a: Tensor, order: Any) -> Tensor:
        return a.permute(order)

    def matrix_transpose(self, a: Tensor) -> Tensor:
        return a.transpose(-1, -2)

    def expand_dims(self, a: Tensor, axis: int) -> Tensor:
        return a.unsqueeze(axis)

    def put(self, a: Tensor, index: Any, b: Tensor) -> Tensor:
        a[index] = b
        return a

    def take_along(self, a: Tensor, index: Tensor, axis: int) -> Tensor:
        return a.gather(axis, index)

    def scatter(self, values: Tensor, index: Tensor, shape: Any) -> Tensor:
        return values.new_zeros(shape).scatter_add_(-1, index, values)

    def abs(self, a: Tensor) -> Tensor:
        return a.abs()

    def tanh(self, a: Tensor) -> Tensor:
        return a.tanh()

    def sigmoid(self, a: Tensor) -> Tensor:
        return a.sigmoid()

    def clip(self, a: Tensor, low: float | None, high: float | None) -> Tensor:
        return a.clamp(low, high)

    def copysign(self, number: float, a: Tensor) -> Tensor:
        return torch.copysign(a.new_tensor(number), a)

    def divide(self, a: Tensor, b: Tensor, into: Tensor) -> Tensor:
        return torch.div(a, b, out=into) if a.shape == into.shape and a.dtype is into.dtype else a / b

    def conj(self, a: Tensor) -> Tensor:
        return a.conj()

    def real(self, a: Tensor) -> Tensor:
        return a.real

    def softmax(self, a: Tensor, axis: int) -> Tensor:
        return a.softmax(axis)

    def log_softmax(self, a: Tensor, axis: int) -> Tensor:
        return a.log_softmax(axis)

    def sum(self, a: Tensor, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return a.sum() if axes is None else a.sum(axes, keepdim=keepdims)

    def mean(self, a: Tensor, axes: tuple[int, ...], keepdims: bool = False) -> Tensor:
        return a.mean(axes, keepdim=keepdims)

    def max_and_place(self, a: Tensor) -> tuple[Tensor, Tensor]:
        largest = a.max(-1, keepdim=True)
        return largest.values, largest.indices

    def sum_and_size(self, a: Tensor) -> list[Tensor]:
        kind = torch.float64 if a.dtype is torch.float64 else torch.float32
        return [a.sum(dtype=kind), torch.linalg.vector_norm(a, 1, dtype=kind)]

    def isnan(self, a: Tensor) -> Tensor:
        return a.isnan()

    def isfinite(self, a: Tensor) -> Tensor:
        return a.isfinite()

    def nan_to_num(self, a: Tensor, number: float) -> Tensor:
        return a.nan_to_num(number)

    def any(self, a: Tensor) -> bool:
        return bool(a.any())

    def may_have(self, a: Tensor) -> bool:
        return bool(a.any())

    def all(self, a: Tensor) -> bool:
        return bool(a.all())

    def has_nan(self, a: Tensor) -> bool:
        return bool(a.sum().isnan())

    def equal(self, a: Tensor, b: Tensor) -> bool:
        return torch.equal(a, b)

    def tiny(self, a: Tensor) -> float:
        return torch.finfo(a.dtype).tiny


xp = TorchNamespace()
