"""What is used of PyTorch without being documented there, in one place. Each has a fallback that is safe in a PyTorch without it.

``tests/test_internals.py`` fails when a name of :data:`USED` is gone, and runs the fallbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn, overrides
from torch.nn.modules import module as all_modules
from torch.utils import _python_dispatch as dispatch

Tensor = torch.Tensor
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
"""A module's hooks by their number, after and before its forward pass."""
OPTIONS = ("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")
"""The numbers of those that are given keyword arguments."""
MODULE = ("_modules", "_parameters", "_buffers", *HOOKS, *OPTIONS)

USED: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (nn.Module(), MODULE),
    (all_modules, ("_global_forward_hooks", "_global_forward_pre_hooks")),
    (torch.zeros(1), ("_version",)),
    (torch.zeros(1).untyped_storage(), ("_cdata",)),
    (torch.ops.aten.add.Tensor, ("_schema", "_overloadname", "_op_dk")),
    (dispatch, ("TorchDispatchMode", "_pop_mode")),
    (dispatch.TorchDispatchMode, ("_should_skip_dynamo",)),
    (overrides, ("_pop_mode",)),
    (torch._C, ("_len_torch_dispatch_stack", "_len_torch_function_stack", "_get_cudnn_enabled", "_set_cudnn_enabled")),
    (torch._C, ("_storage_Use_Count", "DispatchKey", "_dispatch_has_kernel_for_dispatch_key", "_functorch")),
    (getattr(torch._C, "_functorch", None), ("peek_interpreter_stack",)),
)
"""Objects of PyTorch, and the private names that the package reads on them."""

HAS_HOOKS = all(hasattr(nn.Module(), name) for name in (*HOOKS, *OPTIONS))
"""Whether hooks are found on a module by their owner; otherwise they are removed by their handles."""


def transform_level() -> int:
    """How many transforms of ``torch.func`` are being applied; 0 where that is not known, and the model's own error stands."""
    peek: Callable[[], Any] | None = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
    inside = peek() if peek is not None else None
    return 0 if inside is None else int(inside.level())


def mode_depths() -> tuple[int, int]:
    """How many modes of operations and of functions this thread is in; 0 where that is not known."""
    return _depth("_len_torch_dispatch_stack"), _depth("_len_torch_function_stack")


def leave_modes(before: tuple[int, int]) -> None:
    """Leave the modes that an interrupt kept from being left; none where their number is not known."""
    while _depth("_len_torch_dispatch_stack") > before[0]:
        dispatch._pop_mode()
    while _depth("_len_torch_function_stack") > before[1]:
        overrides._pop_mode()


def _depth(name: str) -> int:
    count: Callable[[], int] | None = getattr(torch._C, name, None)
    return 0 if count is None else count()


def cudnn_enabled() -> bool:
    """Whether cuDNN may be used."""
    read: Callable[[], bool] = getattr(torch._C, "_get_cudnn_enabled", lambda: torch.backends.cudnn.enabled)
    return read()


def set_cudnn_enabled(value: bool) -> None:
    """Allow or forbid cuDNN, also where the flags of the process are frozen."""
    write: Callable[[bool], object] | None = getattr(torch._C, "_set_cudnn_enabled", None)
    if write is None:
        torch.backends.cudnn.enabled = value
    else:
        write(value)


def storage_holders(tensor: Tensor) -> int | None:
    """How many tensors hold the memory of a tensor; None where that is not known, and the memory is not used again."""
    count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)
    return None if count is None else int(count(tensor.untyped_storage()._cdata))


def hooks_of_all_modules() -> tuple[Any, ...]:
    """Forward hooks that act on every module of the process."""
    before: dict[int, Any] = getattr(all_modules, "_global_forward_pre_hooks", {})
    after: dict[int, Any] = getattr(all_modules, "_global_forward_hooks", {})
    return (*before.values(), *after.values()) if before or after else ()


COMPOSITE: Any = getattr(getattr(torch._C, "DispatchKey", None), "CompositeImplicitAutograd", None)
"""Where PyTorch keeps its own way to do an operation by others. ``func.decompose`` would prefer one written in Python, for compilers."""


def is_composite(func: Any) -> bool:
    """Whether PyTorch does an operation by others; False where that is not known, and the operation is recorded as one."""
    look: Callable[[str, Any], bool] | None = getattr(torch._C, "_dispatch_has_kernel_for_dispatch_key", None)
    return look is not None and COMPOSITE is not None and bool(look(func.name(), COMPOSITE))
