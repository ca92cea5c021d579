"""``trulens.nn.backend.pytorch_backend.pytorch``: PyTorch's functions by trulens' names; some also accept NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from . import Backend
from . import memory_suggestions as memory_suggestions

Tensor = torch.Tensor
DeviceLike = str | torch.device

backend = Backend.PYTORCH
dim_order = "channels_first"
channel_axis = 1
floatX = torch.get_default_dtype()
floatX_size = floatX.itemsize

abs, clone, maximum, minimum, sign, stack = torch.abs, torch.clone, torch.maximum, torch.minimum, torch.sign, torch.stack
ones_like = torch.ones_like


def set_seed(seed: int) -> None:
    """Seeds the generators of PyTorch and NumPy."""
    torch.manual_seed(seed)
    np.random.seed(seed)


def is_deterministic() -> bool:
    return bool(torch.backends.cudnn.deterministic)


def get_default_device(device: DeviceLike | None = None) -> torch.device:
    """Returns the given device, or PyTorch's default."""
    return torch.device(device) if device is not None else torch.get_default_device()


def is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def gradient(scalar: Tensor, wrt: Any) -> list[Any]:
    """Returns the differentiable gradient at each tensor; None for tensors that ``scalar`` does not depend on."""
    return list(torch.autograd.grad(scalar, wrt, retain_graph=True, allow_unused=True, create_graph=True))


def as_array(t: Any, dtype: Any = None) -> np.ndarray:
    array = t.detach().cpu().numpy() if is_tensor(t) else np.asarray(t)
    return array if dtype is None else array.astype(dtype)


def as_tensor(x: Any, dtype: Any = None, device: DeviceLike | None = None) -> Tensor:
    """Returns an array as a tensor of its own dtype; a tensor unchanged."""
    return x if is_tensor(x) else torch.tensor(x, dtype=dtype, device=get_default_device(device))


def shape(t: Any) -> tuple[int, ...]:
    return tuple(t.shape)


int_shape = shape


def expand_dims(t: Tensor, axis: int = -1) -> Tensor:
    return torch.unsqueeze(t, axis)


def reshape(t: Any, shape: Any) -> Any:
    return t.reshape(shape)


def mean(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.mean(axis=axis, keepdims=keepdims) if axis is not None else t.mean()


def sum(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.sum(axis=axis, keepdims=keepdims) if axis is not None else t.sum()


def max(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _extreme(t, "amax", axis, keepdims)


def min(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _extreme(t, "amin", axis, keepdims)


def _extreme(t: Any, name: str, axis: Any, keepdims: bool) -> Any:
    """NumPy's or PyTorch's maximum or minimum; over all elements without an axis."""
    find = getattr(np if isinstance(t, np.ndarray) else torch, name)
    return find(t) if axis is None else find(t, axis, keepdims=keepdims)


def zeros_like(t: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return torch.zeros_like(as_tensor(t), dtype=dtype, requires_grad=requires_grad)


def random_normal_like(t: Tensor, mean: float = 0.0, var: float = 1.0) -> Tensor:
    return torch.empty_like(t).normal_(mean, std=float(np.sqrt(var)))


def sigmoid(t: Tensor, axis: Any = None) -> Tensor:
    return torch.sigmoid(t)


def softmax(t: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(t, axis)


def tile(t: Tensor, shape: Any) -> Tensor:
    return t.repeat(shape)


def concat(ts: Any, axis: int = 0) -> Tensor:
    return torch.cat(tuple(ts), axis)
