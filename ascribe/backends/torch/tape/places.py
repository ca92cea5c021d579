"""In which module an operation runs: hooks on every module keep the path of the one that is running, for one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..taps import RUNNING


class Trail:
    """The paths of the modules that are running, the innermost last."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    @property
    def here(self) -> str:
        return self.paths[-1] if self.paths else ""

    @contextmanager
    def kept(self, host: nn.Module | None, run: object) -> Iterator[None]:
        """Follow a run through a model's modules; another thread's run through the same ones is not followed."""
        handles = []
        try:
            for path, module in host.named_modules() if host is not None else ():
                if path and not isinstance(module, torch.jit.ScriptModule):
                    enter, leave = self._steps(path, run)
                    handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _steps(self, path: str, run: object) -> Any:
        paths = self.paths

        def enter(module: nn.Module, args: Any) -> None:
            if RUNNING.get() is run:
                paths.append(path)

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            if RUNNING.get() is run and path in paths:  # a module that raised never came by here
                while paths.pop() != path:
                    pass

        return enter, leave
