"""All undocumented names of PyTorch that are used, in one place. Each has a fallback that is safe in a PyTorch without it.

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
"""True if hooks are found on a module by their owner; otherwise they are removed by their handles."""
HAS_HOOKS_OF_ALL = hasattr(all_modules, "_global_forward_pre_hooks") and hasattr(all_modules, "_global_forward_hooks")


COMPILED: Any = torch._C
PEEK: Callable[[], Any] | None = getattr(getattr(COMPILED, "_functorch", None), "peek_interpreter_stack", None)
OPERATION_MODES: Callable[[], int] = getattr(COMPILED, "_len_torch_dispatch_stack", int)
FUNCTION_MODES: Callable[[], int] = getattr(COMPILED, "_len_torch_function_stack", int)
HOLDERS: Callable[[int], int] | None = getattr(COMPILED, "_storage_Use_Count", None)
HAS_KERNEL: Callable[[str, Any], bool] | None = getattr(COMPILED, "_dispatch_has_kernel_for_dispatch_key", None)
COMPOSITE: Any = getattr(getattr(COMPILED, "DispatchKey", None), "CompositeImplicitAutograd", None)
"""Where PyTorch keeps its own way to do an operation by others. ``func.decompose`` would prefer one written in Python, for compilers."""


def transform_level() -> int:
    """How many transforms of ``torch.func`` are being applied; 0 where that is not known, and the model's own error stands."""
    inside = PEEK() if PEEK is not None else None
    return 0 if inside is None else int(inside.level())


def mode_depths() -> tuple[int, int]:
    """How many modes of operations and of functions this thread is in; 0 where that is not known."""
    return OPERATION_MODES(), FUNCTION_MODES()


def leave_modes(before: tuple[int, int]) -> None:
    """Leave the modes that an interrupt kept from being left; none where their number is not known."""
    while OPERATION_MODES() > before[0]:
        dispatch._pop_mode()
    while FUNCTION_MODES() > before[1]:
        overrides._pop_mode()


def cudnn_enabled() -> bool:
    """True if cuDNN may be used."""
    read: Callable[[], bool] | None = getattr(COMPILED, "_get_cudnn_enabled", None)
    return bool(torch.backends.cudnn.enabled) if read is None else read()


def set_cudnn_enabled(value: bool) -> None:
    """Allow or forbid cuDNN, also where the flags of the process are frozen."""
    write: Callable[[bool], object] | None = getattr(COMPILED, "_set_cudnn_enabled", None)
    if write is None:
        torch.backends.cudnn.enabled = value
    else:
        write(value)


def storage_holders(tensor: Tensor) -> int | None:
    """How many tensors hold the memory of a tensor; None where that is not known, and the memory is not used again."""
    return None if HOLDERS is None else int(HOLDERS(tensor.untyped_storage()._cdata))


def hooks_of_all_modules() -> tuple[Any, ...]:
    """Forward hooks that act on every module of the process."""
    if not HAS_HOOKS_OF_ALL:
        return ()
    before, after = all_modules._global_forward_pre_hooks, all_modules._global_forward_hooks
    return (*before.values(), *after.values()) if before or after else ()


def is_composite(func: Any) -> bool:
    """True if PyTorch does an operation by others; False where that is not known, and the operation is recorded as one."""
    return HAS_KERNEL is not None and COMPOSITE is not None and bool(HAS_KERNEL(func.name(), COMPOSITE))
