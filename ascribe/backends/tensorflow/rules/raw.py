"""Single operations of TensorFlow: their kind and attributes, evaluated again on other tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context, execute
from tensorflow.python.framework import op_def_registry

Array = Any


@dataclass(frozen=True, eq=False)
class Node:
    """One operation in a run: its kind, its attributes as alternating names and values, and its tensors."""

    kind: str
    attributes: tuple[Any, ...]
    inputs: Sequence[Array]
    outputs: Sequence[Array]

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The attributes by name."""
        return dict(zip(self.attributes[::2], self.attributes[1::2], strict=True))

    def text(self, name: str) -> str:
        """An attribute that is a word."""
        value = self.settings.get(name, "")
        return value.decode() if isinstance(value, bytes) else str(value)

    @cached_property
    def raw(self) -> Raw:
        """The operation by itself."""
        return Raw(self.kind, self.attributes, len(self.outputs), tuple(t.dtype for t in self.inputs))


@dataclass(frozen=True, eq=False)
class Raw:
    """An operation without its tensors; ``types`` are those of its arguments."""

    kind: str
    attributes: tuple[Any, ...]
    outputs: int
    types: tuple[tf.DType, ...]

    def __call__(self, *args: Any) -> Any:
        """The result, or the list of results. A gradient tape records the operation."""
        given = [a if isinstance(a, tf.Tensor) else tf.convert_to_tensor(a, t) for a, t in zip(args, self.types, strict=True)]
        found = execute.execute(self.kind.encode(), self.outputs, inputs=given, attrs=self.attributes, ctx=context.context(), name=None)
        if execute.must_record_gradient():
            execute.record_gradient(self.kind, given, self.attributes, found)
        return found[0] if self.outputs == 1 else list(found)


def completed(kind: str, attributes: Sequence[Any]) -> tuple[Any, ...]:
    """Attributes with the default of each one that was left out: some of TensorFlow's functions leave out words, others flags."""
    if None not in attributes[1::2]:
        return tuple(attributes)
    defaults = {a.name: default_of(a.default_value) for a in op_def_registry.get(kind).attr}
    pairs = zip(attributes[::2], attributes[1::2], strict=True)
    return tuple(part for name, value in pairs for part in (name, defaults.get(name) if value is None else value))


def default_of(value: Any) -> Any:
    """The default value of an attribute; None where there is none, or where it is a shape."""
    kind = value.WhichOneof("value")
    if kind == "list":
        return [*value.list.i, *value.list.f, *value.list.s, *value.list.b]
    return getattr(value, kind) if kind in ("s", "i", "f", "b", "type") else None


def attributes_of(operation: Any) -> tuple[Any, ...]:
    """The attributes of an operation of a graph, as eager execution takes them."""
    found: list[Any] = []
    for definition in op_def_registry.get(operation.type).attr:
        if definition.type != "func" and definition.name in operation.node_def.attr:
            found += [definition.name, eager_value(operation.get_attr(definition.name))]
    return tuple(found)


def eager_value(value: Any) -> Any:
    """The value of an attribute as eager execution takes it."""
    if isinstance(value, tf.DType):
        return value.as_datatype_enum
    if isinstance(value, list):
        return [eager_value(one) for one in value]
    if hasattr(value, "unknown_rank"):  # a shape
        return None if value.unknown_rank else [d.size for d in value.dim]
    return value
