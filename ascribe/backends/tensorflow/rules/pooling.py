"""Max-pooling over windows: the windows are stacked, and the first largest element of each is the winner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ....tape.formulas.pooling import change_share
from ....tape.step import Back, Formula, Step
from .raw import Node

Array = Any


def padding_of(node: Node, shape: tuple[int, ...], out: tuple[int, ...]) -> list[tuple[int, int]]:
    """How many elements are added before and after, for each axis."""
    kind = node.text("padding")
    if kind == "EXPLICIT":
        given = node.settings["explicit_paddings"]
        return list(zip(given[::2], given[1::2], strict=True))
    if kind == "VALID":
        return [(0, 0)] * len(shape)
    sizes, strides = node.settings["ksize"], node.settings["strides"]
    total = [max((m - 1) * step + size - n, 0) for n, m, size, step in zip(shape, out, sizes, strides, strict=True)]
    return [(n // 2, n - n // 2) for n in total]


def windows_of(node: Node) -> Callable[[Array], Array]:
    """The function that stacks every window's elements, in row-major order, along a new last axis."""
    shape, out = tuple(node.inputs[0].shape), tuple(node.outputs[0].shape)
    sizes, strides, padding = node.settings["ksize"], node.settings["strides"], padding_of(node, shape, out)

    def stacked(x: Array) -> Array:
        x = tf.pad(x, padding, constant_values=tf.constant(-np.inf, x.dtype))
        parts = []
        for place in np.ndindex(*sizes):
            index = [slice(p, p + (n - 1) * step + 1, step) for p, n, step in zip(place, out, strides, strict=True)]
            parts.append(x[tuple(index)])
        return tf.stack(parts, -1)

    return stacked


def pooled(s: Step) -> Back:
    """``window_max``: (x, windows): the winner takes the change."""
    v, stacked = s.arguments
    out, framework = s.entry.out(), s.entry.framework
    rows = stacked(v.value)
    winner, share = tf.argmax(rows, -1), tf.ones_like(s.g)
    if s.reference(out) is not out.value:
        before = stacked(tf.broadcast_to(s.reference(v), v.shape))
        change = out.value - s.reference(out)
        winner = tf.where(change >= 0, winner, tf.argmax(before, -1))
        share = change_share(framework, change, taken(rows, winner) - taken(before, winner))
    back = tf.one_hot(winner, rows.shape[-1], dtype=rows.dtype) * (share * s.g)[..., None]
    (g,) = framework.pull(lambda x: [stacked(x)], [v.value], [back])
    return [(v, g)]


def taken(rows: Array, place: Array) -> Array:
    """One element of each row."""
    return tf.gather(rows, place, batch_dims=place.shape.rank)


POOL: dict[str, Formula] = {"window_max": pooled}
"""Windows may overlap."""
