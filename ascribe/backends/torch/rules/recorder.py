"""Writes the tape: every operation of a run on values that depend on the explained inputs.

The recorder is a dispatch mode, so it belongs to the thread that runs the model and to nothing else: no hook, no patch, no flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ....tape import Entry, Tape, Var
from ....tape.formulas.layers import WEIGHTED
from ..model.internals import COMPOSITE, is_composite
from .formulas import TORCH
from .framework import PICKS, var_of
from .module_paths import Trail
from .operations import ROWS
from .storages import Store, Stores, apart, fills, laid_out, layout, plain, with_layout
from .unfuse import MADE_OF, UNFUSED

Tensor = torch.Tensor
aten = torch.ops.aten

LAYERS = frozenset(name for name, row in ROWS.items() if row.form in WEIGHTED)
"""Operations that are layers where they have fixed weights."""

STATISTICS = frozenset({"native_batch_norm", "_native_batch_norm_legit"})
"""Operations that write running statistics in addition to their results."""

FACTORIES = frozenset(
    {f"{what}_like" for what in ("zeros", "ones", "full", "empty", "rand", "randn", "randint")}
    | {f"new_{what}" for what in ("zeros", "ones", "full", "empty", "empty_strided")}
)
"""Operations that use the shape of their argument only."""

CHECKED = frozenset({"isnan", "isinf", "isposinf", "isneginf", "isfinite"})
"""Checks for NaN and infinity. Where all elements agree, the answer is a constant."""

MASKED = frozenset({"index", "_unsafe_index", "index_put", "_index_put_impl", "_unsafe_index_put", "masked_select", "masked_scatter"})
"""Operations that pick places by a mask: how many there are is a choice."""

OVERWRITES = frozenset({"copy_", "fill_", "zero_"})
"""Operations in place that overwrite the whole value."""


@dataclass
class Given:
    """The inputs of an operation: values on the tape with their tensors, and the operations that choices came from."""

    values: list[Var] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    origins: list[Entry] = field(default_factory=list)


class Recorder(TorchDispatchMode):
    """Records while it is entered; :meth:`source` registers where the tape starts.

    ``reads`` says of an operation whether the way back needs the numbers that went in, and those that came out; others are let go
    with the model's own. Inside ``__torch_dispatch__`` the mode is off by itself; ``off`` is for what others do while it is entered.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Asked by PyTorch when the class is made: False leaves the handler unwrapped.

        The wrapper imports PyTorch's compiler at the first operation, which takes a second and more. A session runs compiled models
        eagerly, so that there is nothing for the compiler to skip.
        """
        return False

    def __init__(self, reads: Callable[[Entry], tuple[bool, bool]] = lambda entry: (True, True)) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads = reads
        self.tape = Tape()
        self.stores = Stores()
        self.trail = Trail()
        self.off = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Runs operations that are not the model's."""
        before, self.off = self.off, True
        try:
            yield
        finally:
            self.off = before

    def source(self, t: Tensor) -> Var:
        """Registers a tensor that the tape starts from."""
        with self.paused():
            var = var_of(t, None, len(self.tape.sources))
            self.hold(var, t)
            self.tape.sources.append(var)
            self.stores.put(t, var)
        return var

    def mark(self, t: Tensor) -> tuple[Tensor, Var]:
        """A copy of a tensor to continue with, and its value on the tape; a source if the tensor depends on none."""
        with self.paused():
            old = self.read(t)
            copy = t.clone()
            if old is None:
                return copy, self.source(copy)
            var = self._add(Entry(None, "mark", (old,), {}, [old], TORCH), [copy]).out()
            self.hold(var, copy)
            self.stores.put(copy, var)
        return copy, var

    def hold(self, var: Var, t: Tensor) -> None:
        """Keeps a value's array on the tape; ``t`` is its tensor now."""
        if var.held is None:
            var.held = self.stores.save(t)

    def read(self, t: Tensor) -> Var | None:
        """The value on the tape of a tensor, or None."""
        store = self.stores.find(t)
        if store is None or (not store.values and store.flat is None):
            return None
        var = store.values.get(layout(t))
        if var is not None:
            return var
        flat = self._flat(store, t)
        if flat is None:
            return None
        call = (flat, list(t.shape), list(t.stride()), t.storage_offset())
        var = self._add(Entry(aten.as_strided.default, "as_strided", call, {}, [flat], TORCH), [t]).out()
        store.values[layout(t)] = var
        return var

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.off:
            return func(*args, **kwargs)
        name, written, pure = described(func)
        if name in FACTORIES:
            return func(*args, **kwargs)
        if (name in UNFUSED or composite(func)) and self._any((*args, *kwargs.values())):
            with self:
                return UNFUSED[name](*args, **kwargs) if name in UNFUSED else func._op_dk(COMPOSITE, *args, **kwargs)
        if (made := made_of(func)) is not None and self._any((*args, *kwargs.values())):
            with self:
                out = made(*args, **kwargs)
            if out is not NotImplemented:
                return out
        if name.rstrip("_") in ("index_put", "_index_put_impl") and self._filled(args):
            target, (mask,), value = args[:3]
            with self:
                mask = mask.reshape(*mask.shape, *[1] * (target.dim() - mask.dim()))
                return (target.masked_fill_ if written else target.masked_fill)(mask, value.reshape(()))
        if pure:
            return self._returned(func, name, args, kwargs)
        if written == [0] or (name.endswith("_") and 0 in written):
            return self._wrote(func, name, args, kwargs)
        return self._opaque(func, name, args, kwargs)

    def _any(self, args: Any) -> bool:
        return any(isinstance(a, torch.Tensor) and self.read(a) is not None for a in args)

    def _filled(self, args: Any) -> bool:
        """True if one number is written at a mask that is on the tape, as ``masked_fill`` does."""
        (target, masks, value), adds = args[:3], len(args) > 3 and args[3]
        one = len(masks) == 1 and masks[0] is not None and masks[0].dtype is torch.bool and value.numel() == 1 and not adds
        return one and value.dtype is target.dtype and self.read(masks[0]) is not None

    def _returned(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Records an operation without side effects."""
        given = Given()
        recorded = [self._argument(a, given) for a in args]
        named = {k: self._argument(a, given) for k, a in kwargs.items()}
        if name.rstrip("_") in MASKED:
            recorded[1:] = [self._as_chosen(a, t, given) for a, t in zip(recorded[1:], args[1:], strict=True)]
        ins, origins = given.values, given.origins
        again = self._sorted(name, args, recorded, origins)
        out = func(*args, **kwargs)
        if name in CHECKED and out.all() == out.any():
            return out
        if again is not None:
            self.stores.put(out, self._add(Entry(aten.alias.default, "alias", (again,), {}, [again], TORCH), [out]).out())
            return out
        if not ins and not origins:
            self.tape.before += name in LAYERS and not self.tape.entries
            return out
        outs = list(out) if isinstance(out, (list, tuple)) else [out]
        if origins and (ins or name == "_local_scalar_dense"):
            self.rely(origins)
        if not ins:
            self.stores.chosen(outs, origins)
            return out
        if name == "_local_scalar_dense":
            if ins[0].continuous:  # a number handed to Python; that something is true or false shows in the operations that follow
                self.tape.opaque["item"] = self.tape.opaque.get("item", 0) + 1
            return out
        if torch.Tag.inplace_view in func.tags:
            func = functional(func)
        named = {k: self._kept(a) for k, a in named.items()}
        entry = Entry(func, name.rstrip("_") if name.endswith("_") else name, tuple(map(self._kept, recorded)), named, ins, TORCH)
        self._add(entry, outs, given)
        for t, var in zip(outs, entry.outs, strict=True):
            if var is not None and (var.continuous or t.dtype is torch.bool):
                self.stores.put(t, var)
            elif var is not None and name != "_pack_padded_sequence":  # which counts by lengths that are no choice
                self.stores.of(t).origins = (entry,)
        if name == "mode" or (name == "topk" and not entry.arg(4, "sorted", True)):  # in no order that is known
            self.rely([entry])
        return out

    def rely(self, origins: list[Entry]) -> None:
        """Fixes choices that later operations use: they stay those of the record."""
        for entry in origins:
            entry.fixed = True
            self.tape.choices[entry.name] = self.tape.choices.get(entry.name, 0) + 1

    def _sorted(self, name: str, args: Any, recorded: list[Any], origins: list[Entry]) -> Var | None:
        """The sorted values, where an operation gathers them by the places that sorting them gave; None for any other."""
        if name != "gather" or len(origins) != 1 or not isinstance(recorded[0], Var):
            return None
        entry = origins[0]
        if entry.name not in PICKS or entry.fixed or whole_of(entry.ins[0]) is not whole_of(recorded[0]):
            return None
        position, default = PICKS[entry.name]
        dim, places = entry.arg(position, "dim", default), entry.out(1).value
        same = dim is not None and dim % args[0].dim() == args[1] % args[0].dim() and torch.equal(places, args[2])
        return entry.out() if same else None

    def _wrote(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Records an operation in place on its first argument as its functional counterpart."""
        target = args[0]
        if torch.Tag.nondeterministic_seeded in func.tags:  # random numbers are constants
            func, name, args, kwargs = aten.copy_.default, "copy_", (target, func(target.detach().clone(), *args[1:], **kwargs)), {}
        given = Given()
        recorded = [self._argument(a, given) for a in args]
        named = {k: self._argument(a, given) for k, a in kwargs.items()}
        if name.rstrip("_") in MASKED:
            recorded[1:] = [self._as_chosen(a, t, given) for a, t in zip(recorded[1:], args[1:], strict=True)]
        ins, origins = given.values, given.origins
        whole = fills(target)
        if whole and name in OVERWRITES and not any(isinstance(a, Var) for a in recorded[1:]):
            store = self.stores.part(target)
            store.values, store.flat = {}, None
            return func(*args, **kwargs)
        known = self.stores.find(target)
        flat: Var | Tensor | None = None
        if ins and not whole:
            flat = self._flat(known, target) if known is not None else None
            flat = laid_out(target).clone() if flat is None else flat  # a constant that becomes a value
        entry = Entry(functional(func), name.rstrip("_"), tuple(recorded), named, ins, TORCH)
        if ins and self.reads(entry)[0]:
            self._hold(given)
        store = self.stores.part(target)
        if ins:
            address = target.untyped_storage()._cdata
            entry.args = tuple(self._kept(a, address) for a in recorded)
            entry.kwargs = {k: self._kept(a, address) for k, a in named.items()}
        out = func(*args, **kwargs)
        if not ins:
            return out
        self.rely(origins)
        var = self._add(entry, [target]).out()
        store.values = {} if whole else {k: v for k, v in store.values.items() if apart(k, layout(target))}
        store.flat = None
        if not whole:
            store.flat = self._scattered(target, flat, var)
        store.values[layout(target)] = var
        return out

    def _scattered(self, target: Tensor, flat: Any, var: Var) -> Var:
        """The storage after a part of it was written."""
        call = (flat, var, list(target.shape), list(target.stride()), target.storage_offset())
        ins = [v for v in (flat, var) if isinstance(v, Var)]
        return self._add(Entry(aten.as_strided_scatter.default, "as_strided_scatter", call, {}, ins, TORCH), [laid_out(target)]).out()

    def _opaque(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Runs an operation that writes elsewhere (``out=``), and reports it as opaque if it reads a recorded value."""
        if name in STATISTICS:
            return self._returned(func, name, args, kwargs)
        given = Given()
        for a in (*args, *kwargs.values()):
            self._argument(a, given)
        if given.values:
            self.tape.opaque[str(func)] = self.tape.opaque.get(str(func), 0) + 1
        return func(*args, **kwargs)

    def _argument(self, a: Any, given: Given) -> Any:
        """An argument as recorded: values on the tape as such; collects them, and where choices come from."""
        if isinstance(a, torch.Tensor):
            var = self.read(a)
            if var is not None:
                given.values.append(var)
                given.tensors.append(a)
                return var
            store = self.stores.find(a)
            if store is not None:
                given.origins.extend(store.origins)
            return a
        if isinstance(a, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in a):
            return [self._argument(part, given) for part in a]
        return a

    def _as_chosen(self, recorded: Any, a: Any, given: Given) -> Any:
        """An argument of what picks places, its masks as they are: what they were made from is a choice."""
        if isinstance(recorded, list):
            return [self._as_chosen(part, t, given) for part, t in zip(recorded, a, strict=True)]
        if not isinstance(recorded, Var) or recorded.dtype is not torch.bool or recorded.entry is None:
            return recorded
        for number in [i for i, v in enumerate(given.values) if v is recorded][::-1]:
            del given.values[number], given.tensors[number]
        given.origins.append(recorded.entry)
        return a

    def _kept(self, a: Any, address: int | None = None) -> Any:
        """A constant argument that the tape keeps; a copy if it is about to be written to."""
        if isinstance(a, list):
            return [self._kept(part, address) for part in a]
        if not isinstance(a, torch.Tensor) or isinstance(a, torch.nn.Parameter):
            return a
        return a.detach().clone() if a.untyped_storage()._cdata == address else self.stores.save(a)

    def _add(self, entry: Entry, outs: list[Any], given: Given | None = None) -> Entry:
        self.tape.entries.append(entry)
        entry.place = self.trail.here
        entry.outs = [var_of(o, entry, k) if isinstance(o, torch.Tensor) else None for k, o in enumerate(outs)]
        before, after = self.reads(entry)
        if before and given is not None:
            self._hold(given)
        if after:
            for var, t in zip(entry.outs, outs, strict=True):
                if var is not None:
                    self.hold(var, t)
        return entry

    def _hold(self, given: Given) -> None:
        for var, t in zip(given.values, given.tensors, strict=True):
            self.hold(var, t)

    def _flat(self, store: Store, near: Tensor) -> Var | None:
        """A storage as one flat value, if a recorded value fills it; ``near`` is any tensor in it."""
        if store.flat is not None:
            return store.flat
        value, full = next(((t, v) for key, v in store.values.items() if plain(key) and fills(t := with_layout(key, near))), (near, None))
        if full is None:
            return None
        if value.dim() != 1:
            order = sorted(range(value.dim()), key=lambda d: (-value.stride()[d], -value.shape[d]))
            permuted = value.permute(order)
            full = self._add(Entry(aten.permute.default, "permute", (full, order), {}, [full], TORCH), [permuted]).out()
            full = self._add(Entry(aten.reshape.default, "reshape", (full, [-1]), {}, [full], TORCH), [permuted.reshape(-1)]).out()
        store.flat = full
        return full


def whole_of(var: Var) -> Var:
    """The value that another is a copy or view of."""
    while var.entry is not None and (var.entry.op.same or var.entry.name in ("expand", "view")) and var.entry.ins[0].shape == var.shape:
        var = var.entry.ins[0]
    return var


@lru_cache(None)
def described(func: Any) -> tuple[str, list[int], bool]:
    """An operation's name, which arguments it writes to, and whether it only returns."""
    written = [i for i, a in enumerate(func._schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    return func._schema.name.split("::")[1], written, torch.Tag.inplace_view in func.tags or not written


@lru_cache(None)
def made_of(func: Any) -> Callable[..., Any] | None:
    """An operation as a function of others that have rules; None for most."""
    return MADE_OF.get(str(func))


@lru_cache(None)
def composite(func: Any) -> bool:
    """True if an operation is composed of others, which the recorder sees one by one."""
    return is_composite(func)


@lru_cache(None)
def functional(func: Any) -> Any:
    """The functional counterpart of an in-place operation."""
    name = func._schema.name.split("::")[1]
    packet = getattr(aten, name.removesuffix("_"))
    if func._overloadname in packet.overloads():
        return getattr(packet, func._overloadname)
    wanted = [a.name for a in func._schema.arguments]
    for overload in packet.overloads():
        if [a.name for a in getattr(packet, overload)._schema.arguments] == wanted:
            return getattr(packet, overload)
    return packet.default
