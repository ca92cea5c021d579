"""Max-pooling over windows: JAX gives no positions, so the windows are stacked and the first largest element of each is the winner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....tape.formulas.pooling import change_share
from ....tape.step import Back, Formula, Step

Array = Any


def windows_of(shape: tuple[int, ...], params: Mapping[str, Any]) -> Callable[[Array], Array]:
    """The function that stacks every window's elements, in row-major order, along a new last axis; ``shape`` is that of the result."""
    sizes, strides, padding = params["window_dimensions"], params["window_strides"], params["padding"]
    spread = params.get("window_dilation") or (1,) * len(sizes)

    def stacked(x: Array) -> Array:
        x = jax.lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(low, high, 0) for low, high in padding])
        parts = []
        for place in np.ndindex(*sizes):
            start = [p * d for p, d in zip(place, spread, strict=True)]
            stop = [a + (n - 1) * step + 1 for a, n, step in zip(start, shape, strides, strict=True)]
            parts.append(jax.lax.slice(x, start, stop, strides))
        return jnp.stack(parts, -1)

    return stacked


def pooled(s: Step) -> Back:
    """``window_max``: (x), with the parameters of the primitive: the winner takes the change."""
    v, params = s.arguments
    out = s.entry.out()
    stacked = windows_of(out.shape, params)
    rows, scatter = jax.vjp(stacked, v.value)
    winner = jnp.argmax(rows, -1)
    if s.reference(out) is out.value:
        return [(v, scatter(jax.nn.one_hot(winner, rows.shape[-1], dtype=rows.dtype) * s.g[..., None])[0])]
    before = stacked(jnp.broadcast_to(s.reference(v), v.shape))
    change = out.value - s.reference(out)
    winner = jnp.where(change >= 0, winner, jnp.argmax(before, -1))
    moved = jnp.take_along_axis(rows, winner[..., None], -1) - jnp.take_along_axis(before, winner[..., None], -1)
    share = change_share(s.entry.framework, change, moved[..., 0])
    return [(v, scatter(jax.nn.one_hot(winner, rows.shape[-1], dtype=rows.dtype) * (share * s.g)[..., None])[0])]


POOL: dict[str, Formula] = {"window_max": pooled}
"""Windows may overlap."""
