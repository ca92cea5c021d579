"""The path of the module in which an operation runs, by hooks on every module during one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..model.removable_hooks import Hooks
from ..run.hooks import RUNNING


class Step:
    """The hooks of one module."""

    def __init__(self, paths: list[str], path: str, run: object) -> None:
        self.paths, self.path, self.run = paths, path, run

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if RUNNING.get() is self.run:
            self.paths.append(self.path)

    def after(self, module: nn.Module, args: Any, output: Any) -> None:
        if RUNNING.get() is self.run and self.path in self.paths:  # a module that raised never came by here
            while self.paths.pop() != self.path:
                pass


class Trail:
    """The paths of the running modules, the innermost last."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    @property
    def here(self) -> str:
        return self.paths[-1] if self.paths else ""

    @contextmanager
    def kept(self, host: nn.Module | None, run: object) -> Iterator[None]:
        """Follows a run through a model's modules; another thread's run through the same ones is not followed."""
        hooks = Hooks()
        with hooks.kept():
            for path, module in host.named_modules() if host is not None else ():
                if path and not isinstance(module, torch.jit.ScriptModule):
                    hooks.place(module, Step(self.paths, path, run), before=True, after=True)
            yield
