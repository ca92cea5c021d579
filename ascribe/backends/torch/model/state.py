"""Copies of what a forward pass may write to: every run starts from the state before the call, and the model is left in that state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import is_
from typing import Any

import torch
from torch import nn

from ....tree import walk

REGISTERS = ("_parameters", "_buffers", "_modules")
"""The registers of a module: its parameters, buffers and children."""


WRITES = (nn.Embedding, nn.EmbeddingBag)
"""Layers that shorten the rows of their weights as they look them up, where they have a ``max_norm``."""


class State:
    """A model's buffers (running statistics, counters), the ``weights`` that it may write to, and what a first run registers.

    Everything that hangs on the modules is held in one list, so that a model that did nothing of the kind, as most, is known by a
    single comparison.
    """

    def __init__(self, modules: list[nn.Module], weights: Sequence[torch.Tensor] = ()) -> None:
        self.modules = modules
        self.live: list[Any] = []
        for m in modules:
            self.live += (m.__dict__, m._parameters, m._buffers, m._modules)
        self.before = [d.copy() if type(d) is dict else dict(d.items()) for d in self.live]
        self.sizes = list(map(len, self.before))
        self.things = _things(compress(self.before, self.sizes))
        found = [b for buffers in self.before[2::4] for b in buffers.values() if b is not None and not b.is_inference()]
        for m in modules:
            if isinstance(m, WRITES) and m.max_norm is not None:
                found.append(m.weight)
        self.buffers = [*found]
        found += [w for w in weights if not w.is_inference()] if weights else []
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        """The tensors that may be written to, each with a copy."""
        self.versions: list[int] = []
        self.touched: set[int] = set()
        """The addresses of the tensors that were written to."""
        if found:
            self.kept = [(b, b.detach().clone()) for b in {id(b): b for b in found}.values()]
            self.versions = [b._version for b, _ in self.kept]
        self.runs, self.unseen = 0, False

    def rewind(self) -> None:
        """Put everything that was written to back as the user left it, so that every run starts from there."""
        self.runs += 1
        if not self.kept:
            return
        if self.runs == 2 and not self.unseen:  # writing through .data counts no version: after the first run the numbers are compared
            self.unseen = any(v == b._version and not _equal(b, copy) for (b, copy), v in zip(self.kept, self.versions, strict=True))
        for i, (tensor, copy) in enumerate(self.kept):
            if tensor._version != self.versions[i] or (self.unseen and not _equal(tensor, copy)):
                with torch.no_grad():
                    tensor.detach().copy_(copy)
                self.versions[i] = tensor._version
                self.touched.add(id(tensor))

    def put_back(self) -> None:
        """Everything as it was: buffers, and parameters, buffers and children that were replaced or added."""
        self.unseen = self.unseen or self.runs > 0
        self.rewind()
        if list(map(len, self.live)) == self.sizes and all(map(is_, _things(compress(self.live, self.sizes)), self.things)):
            return
        for i, module in enumerate(self.modules):
            attributes, *registers = self.before[4 * i : 4 * i + 4]
            _put_back(module, attributes, registers)


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if two tensors hold the same bytes, as far as that is known."""
    return a.is_meta or torch.equal(a, b)


def _things(registers: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for register in registers:
        found += register.values()
    return found


def _put_back(module: nn.Module, attributes: dict[str, Any], registers: list[dict[str, Any]]) -> None:
    """A module's parameters, buffers and children as they were.

    Its plain attributes too, where it registered others than those or keeps a tensor of a run: a whole chunk would live on with it.
    """
    live = [getattr(module, name) for name in REGISTERS]
    if _same(module.__dict__, attributes) and all(map(_same, live, registers)):
        return
    news = [value for name, value in module.__dict__.items() if value is not attributes.get(name)]
    grown = any(dict(a.items()).keys() != b.keys() for a, b in zip(live, registers, strict=True))
    for register, before in zip(live, registers, strict=True):
        found = dict(register.items())
        for key in found.keys() - before.keys():
            del register[key]
        for key, value in before.items():
            if key not in found or found[key] is not value:
                register[key] = value
    if grown or any(isinstance(leaf, torch.Tensor) for _, leaf in walk(news)):  # last: an interrupt must leave it to be seen
        module.__dict__.update(attributes)
        for name in set(module.__dict__) - set(attributes):
            del module.__dict__[name]


def _same(now: Any, before: dict[str, Any]) -> bool:
    """True if a dictionary holds the same objects as before."""
    return len(now) == len(before) and (not before or all(map(is_, now.values(), before.values())))
