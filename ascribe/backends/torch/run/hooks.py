"""Hooks that read, write and differentiate at a place in a running model.

A tap listens to one side of one module. Each demand on it handles the arrays it wants there, in the order write, wrt, read, so
that one place can be written, differentiated and read in one run. Two threads can run the same module at once: a hook
does nothing unless the run that placed it is the one going on in this context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from ....cuts import Cut, accessor_path
from ....errors import CutError
from ....tree import Path, follow, normalize_path, replace_leaves, walk
from ..model.internals import transform_level
from ..model.removable_hooks import Hooks

Tensor = torch.Tensor
RUNNING: ContextVar[object | None] = ContextVar("ascribe_torch_run", default=None)


class Stop(BaseException):
    """Everything asked for has been seen: what comes after need not run. Not an Exception, so that models do not catch it."""


def floating(tree: Any, accessor: Path) -> list[tuple[Path, Tensor]]:
    """The floating tensors of a value, under an accessor.

    Raises KeyError, IndexError or AttributeError where the accessor leads nowhere.
    """
    accessor = normalize_path(tree, accessor)
    part = follow(tree, accessor)
    return [((*accessor, *path), leaf) for path, leaf in walk(part) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


SeenArrays = list[tuple[int, Path, Tensor]]
"""The arrays that came by at a cut: the number of the use, where each is in the value, and the array."""


@dataclass
class Demand:
    """A demand at one cut in one run; ``seen`` collects (call, path, tensor) for every array that came by."""

    cut: Cut
    last: int | None = None
    seen: SeenArrays = field(default_factory=list)
    fired: int = 0
    looks: ClassVar[bool] = False
    """True if it only looks at what comes by, and keeps nothing."""

    def done(self) -> bool:
        """True if nothing more can come: the wanted use of the layer is over, or the last of them."""
        last = self.cut.call if self.cut.call is not None else self.last
        return last is not None and self.fired > last

    def visit(self, call: int, tree: Any) -> dict[Path, Tensor]:
        """Look at the value; return the arrays that replace its own."""
        self.fired = call + 1
        if self.cut.call not in (None, call):
            return {}
        if isinstance(tree, Tensor) and self.cut.accessor is None:
            new = self.handle(call, (), tree) if tree.is_floating_point() else None
            return {} if new is None else {(): new}
        try:
            found = floating(tree, accessor_path(self.cut))
        except (KeyError, IndexError, AttributeError, TypeError) as wrong:
            problem = f"`{self.cut!r}` has no part {self.cut.accessor!r}"
            advice = "the cut without accessor=, or with the path of one of its tensors"
            raise CutError(problem, found=outline(tree), advice=advice) from wrong
        return {path: new for path, leaf in found if (new := self.handle(call, path, leaf)) is not None}

    def handle(self, call: int, path: Path, leaf: Tensor) -> Tensor | None:
        """One array: remember it, and replace it unless None."""
        raise NotImplementedError


@dataclass
class Read(Demand):
    """Keep the value as it is now, whatever later works in place on it.

    ``live`` keeps what gradients need. What the model returns has nothing after it, and is kept without a copy.
    """

    live: bool = False
    tree: Any = None

    def visit(self, call: int, tree: Any) -> dict[Path, Tensor]:
        super().visit(call, tree)
        if self.cut.call in (None, call):
            self.tree = replace_leaves(tree, {path: kept for c, path, kept in self.seen if c == call}) if self.cut.layer else tree
        return {}

    def handle(self, call: int, path: Path, leaf: Tensor) -> None:
        leaf = leaf if self.live else leaf.detach()
        self.seen.append((call, path, leaf.clone() if self.cut.layer or not self.live else leaf))


@dataclass
class Watch(Demand):
    """Make the value a place that gradients can be taken at, for what flows on from here and nothing else.

    A view costs nothing, but whatever later works in place on the tensor moves the place along; ``moved`` shows it, and
    ``cloned`` mends it by letting only a copy go on.
    """

    cloned: bool = False
    versions: list[int] = field(default_factory=list)

    def handle(self, call: int, path: Path, leaf: Tensor) -> Tensor:
        here = leaf.view_as(leaf) if leaf.requires_grad else leaf.detach().requires_grad_()
        self.seen.append((call, path, here))
        self.versions.append(here._version)
        return here.clone() if self.cloned else here if leaf.requires_grad else here.view_as(here)

    def moved(self) -> bool:
        return not self.cloned and any(t._version != v for (_, _, t), v in zip(self.seen, self.versions, strict=True))


@dataclass
class Write(Demand):
    """Replace the value by others, one after the other; ``kept`` is the share of the model's own value that stays.

    ``through``: the model differentiates inside. Its own gradient goes on through the place, at the value that is put there.
    """

    values: Sequence[Tensor] = ()
    kept: Sequence[Tensor | None] = ()
    cloned: bool = False
    through: bool = False

    def handle(self, call: int, path: Path, leaf: Tensor) -> Tensor:
        if len(self.seen) == len(self.values):
            problem = f"`{self.cut!r}` ran more often than when its value was recorded"
            there = f"more than {len(self.values)} uses of the layer"
            raise CutError(problem, found=there, advice="a cut at one use: Cut(..., call=0)")
        value = self.values[len(self.seen)]
        if self.kept and (keep := self.kept[len(self.seen)]) is not None:
            value = mixed(value, leaf.detach(), keep)
        self.seen.append((call, path, value))
        if self.through and leaf.requires_grad and leaf.shape == value.shape:
            return value + (leaf - leaf.detach())
        return value.clone() if self.cloned else value.view_as(value)


def mixed(value: Tensor, leaf: Tensor, keep: Tensor) -> Tensor:
    """``leaf`` where it is kept, ``value`` elsewhere; the model may have run on the records once for all points."""
    leaf = leaf if leaf.shape == value.shape else leaf.repeat([n // m for n, m in zip(value.shape, leaf.shape, strict=True)])
    return torch.where(keep, leaf, value) if keep.dtype == torch.bool else torch.lerp(value, leaf, keep)


class Tap:
    """All demands on one side of one module."""

    def __init__(self, run: Run, demands: list[Demand]) -> None:
        self.run, self.demands, self.calls = run, demands, 0

    def visit(self, tree: Any) -> Any:
        call, self.calls = self.calls, self.calls + 1
        if transform_level() != self.run.level and not all(demand.looks for demand in self.demands):
            raise CutError(
                f"`{self.demands[0].cut!r}` is inside a transform of torch.func (grad, vmap, jacrev)",
                found="values that belong to the transform, not to the call",
                advice="at=asc.INPUT, or a layer outside of it",
                code="E-CUT-TRANSFORM",
            )
        for demand in self.demands:
            tree = replace_leaves(tree, demand.visit(call, tree))
        self.run.check_done()
        return tree

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        return self.visit((args, kwargs)) if RUNNING.get() is self.run else None

    def after(self, module: nn.Module, args: Any, output: Any) -> Any:
        return self.visit(output) if RUNNING.get() is self.run else None


class Listened(Protocol):
    """The layers of a model, as a run uses them."""

    def listen(self, hooks: Hooks, taps: Mapping[tuple[str, str], Tap]) -> None:
        """Let the taps, by a layer's name and the side, listen until the hooks are taken away. Raises CutError for unknown layers."""

    def not_run(self, cut: Cut) -> CutError:
        """The error for a cut that a whole run of the model did not pass."""


class Run:
    """One run of a model with demands at places inside it."""

    def __init__(self, layers: Listened | None, demands: Sequence[Demand], stop: bool) -> None:
        self.layers, self.demands = layers, demands
        self.inside = False
        """True if anything is demanded at a layer."""
        for demand in demands:
            if demand.cut.layer:
                self.inside = True
            elif demand.cut.anchor != "in":
                stop = False
        self.stop, self.stopped = stop, False
        self.level = 0

    def check_done(self) -> None:
        if self.stop and all(d.done() for d in self.demands if d.cut.layer):
            self.stopped = True
            raise Stop

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Place the hooks, and take them away whatever happens."""
        sides: dict[tuple[str, str], list[Demand]] = {}
        for demand in self.demands:
            if demand.cut.layer:
                sides.setdefault((demand.cut.layer, demand.cut.anchor), []).append(demand)
        before = RUNNING.get()
        self.level = transform_level()
        hooks = Hooks()
        with hooks.kept():
            try:
                RUNNING.set(self)
                if sides and self.layers is not None:
                    self.layers.listen(hooks, {place: Tap(self, demands) for place, demands in sides.items()})
                yield
            finally:
                RUNNING.set(before)

    def __call__(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The model's output, or None when it was stopped early, or needed no run: the arguments are known without one."""
        if self.stop and self.demands and not self.inside:
            self.stopped = True
            return None
        if not self.inside:
            before = RUNNING.get()
            try:
                RUNNING.set(self)  # hooks of a run around this one are not for it
                return fn(*args, **kwargs)
            finally:
                RUNNING.set(before)
        with self.hooked():
            try:
                output = fn(*args, **kwargs)
            except Stop:
                return None
        missing = [d.cut for d in self.demands if d.cut.layer and not d.fired]
        if missing and not self.stopped:
            assert self.layers is not None
            raise self.layers.not_run(missing[0])
        return output


def never_ran(cut: Cut) -> CutError:
    """The error for a layer that exists, but that the model did not call."""
    return CutError(
        f"`{cut!r}` never ran in this call",
        found="a layer that exists, but that the model did not call",
        advice="asc.cuts_of(model, *args), which lists the cuts that a call runs",
        code="E-CUT-NOT-RUN",
    )


def hook(hooks: Hooks, module: nn.Module, anchor: str, tap: Tap) -> None:
    """Let a tap listen to a module. Raises CutError for modules that take no hooks."""
    try:
        hooks.place(module, tap, before=anchor == "in", after=anchor != "in")
    except RuntimeError as wrong:
        raise CutError(
            f"A {type(module).__name__} does not support cuts inside it",
            found=str(wrong).splitlines()[0],
            advice="the module before scripting, or at=asc.INPUT",
            code="E-CUT-SCRIPT",
        ) from wrong


def module_at(host: nn.Module | None, layer: str) -> nn.Module:
    """The module at a dotted path. Raises CutError that names the nearest there is."""
    if host is None:
        problem = f"The model is a function, which has no layer {layer!r}"
        raise CutError(problem, advice="an nn.Module, or at=asc.INPUT", code="E-CUT-FUNCTION")
    if found := module_named(host, layer):
        return found[0]
    raise unknown_layer(host, layer, [name for name, _ in host.named_modules(remove_duplicate=False)])


def unknown_layer(host: nn.Module, layer: str, known: list[str]) -> CutError:
    """The error for a layer that the model does not have; it lists the nearest of those that are known."""
    names = ", ".join(nearest(layer, known))
    return CutError(
        f"The model has no layer {layer!r}",
        found=f"{type(host).__name__} with layers such as {names}" if names else f"{type(host).__name__} without layers",
        advice="one of these, or asc.cuts_of(model, *args) for all" if names else "at=asc.INPUT",
        code="E-CUT-UNKNOWN",
    )


def module_named(host: nn.Module, layer: str) -> list[nn.Module]:
    """The module at a dotted path, alone in a list that is empty where there is none."""
    module = host
    for name in layer.split("."):
        children: Any = module._modules  # no plain dictionary in a script
        if name not in children or children[name] is None:
            return []
        module = children[name]
    return [module]


def nearest(name: str, names: list[str]) -> list[str]:
    """Up to eight names that look like this one, or the first eight."""
    from difflib import get_close_matches

    return get_close_matches(name, names, 8, 0.4) or [n for n in names if n][:8]


def outline(tree: Any) -> str:
    """The structure of a value in a line: paths and shapes, never numbers."""
    parts = []
    for path, leaf in walk(tree):
        what = f"tensor {tuple(leaf.shape)}" if isinstance(leaf, Tensor) else type(leaf).__name__
        parts.append(f"{'.'.join(map(str, path)) or 'a'}: {what}" if path else what)
    return "; ".join(parts[:12]) or "nothing"
