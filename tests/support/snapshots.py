"""Everything about a model, its arguments and the process that a call must leave as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch._dynamo
from torch import nn

from ascribe.tree import walk

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_backward_hooks",
         "_backward_pre_hooks", "_forward_hooks_always_called", "_state_dict_hooks", "_load_state_dict_pre_hooks")  # fmt: skip


def numbers(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor, or None on the meta device."""
    return None if tensor.is_meta else tensor.detach().cpu().clone().reshape(-1).view(torch.uint8).numpy().tobytes()


def of_module(module: nn.Module) -> dict[str, Any]:
    """One module: its mode, hooks, and what hangs on it, by name and by identity."""
    held = vars(module)
    return {
        "training": module.training,
        "hooks": {name: list(held[name]) for name in HOOKS if name in held},
        "attributes": sorted(held),
        "parameters": {n: (id(p), p.requires_grad, id(p.grad), numbers(p)) for n, p in held["_parameters"].items() if p is not None},
        "buffers": {n: None if b is None else (id(b), b.requires_grad, numbers(b)) for n, b in held["_buffers"].items()},
        "children": {n: id(m) for n, m in held["_modules"].items()},
    }


def of_model(model: nn.Module) -> dict[str, Any]:
    """Every module in a model, and its state_dict's keys, in order."""
    return {"state_dict": list(model.state_dict()), **{name: of_module(module) for name, module in model.named_modules()}}


def of_arguments(*arguments: Any) -> list[Any]:
    """Tensors and arrays as they are, down to how often they were written to."""
    found: list[Any] = []
    for path, leaf in walk(arguments):
        if isinstance(leaf, torch.Tensor):
            version = None if leaf.is_inference() else leaf._version
            found.append((path, id(leaf), leaf.requires_grad, id(leaf.grad), version, numbers(leaf), len(leaf._backward_hooks or {})))
        elif isinstance(leaf, np.ndarray):
            found.append((path, id(leaf), leaf.tobytes(), leaf.flags.writeable))
    return found


def of_process() -> dict[str, Any]:
    """Random states, modes and defaults."""
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes(),  # type: ignore[index, union-attr]
        "random": random.getstate(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "stance": torch._dynamo.eval_frame._stance.stance,
    }


@contextmanager
def unchanged(*models: nn.Module, arguments: Any = ()) -> Iterator[None]:
    """Fail if anything differs after the block, also when it ends with an exception."""

    def now() -> list[Any]:
        return [of_process(), of_arguments(arguments), *map(of_model, models)]

    before = now()
    try:
        yield
    finally:
        after = now()
        assert not {key for key, value in before[0].items() if after[0][key] != value}
        assert after[1] == before[1]
        for old, new in zip(before[2:], after[2:], strict=True):
            assert new["state_dict"] == old["state_dict"]
            changed = {(name, key) for name in old if name != "state_dict" for key in old[name] if new[name][key] != old[name][key]}
            assert not changed
