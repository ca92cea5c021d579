"""Class activation maps as formulas: (activation, gradient) -> one number per position.

Every formula reads ``[records, channels, positions]`` arrays, both of one shape, and returns ``[records, positions]``: it does
not matter whether the positions were pixels of a picture, voxels or tokens. ``cam_map`` lays out the axes around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import namespace

Array = Any
Formula = Callable[[Array, Array], Array]


def cam_map(formula: Formula, activation: Array, gradient: Array) -> Array:
    """``formula`` on ``[records, channels, *space]`` arrays: a map ``[records, 1, *space]`` of the activation's own type.

    With several quantities the gradient has one more axis in front, and so has the map. Computed in at least single precision.
    """
    if gradient.ndim > activation.ndim:
        maps = [cam_map(formula, activation, part) for part in gradient]
        return namespace(activation).stack(maps, 0)
    records, channels, *space = activation.shape
    flat = (records, channels, int(np.prod(space)))
    values = formula(widened(activation).reshape(flat), widened(gradient).reshape(flat))
    return namespace(activation).cast(values.reshape((records, 1, *space)), activation)


def grad_cam(activation: Array, gradient: Array) -> Array:
    """Channels weighted by their mean gradient (Selvaraju et al. 2017, equations 1 and 2)."""
    return _weighted(activation, gradient.mean(2))


def grad_cam_plus_plus(activation: Array, gradient: Array) -> Array:
    """Channels weighted by their positive gradients, each shared out among the positions (Chattopadhay et al. 2018, eq. 19).

    The paper's share ``g^2 / (2 g^2 + sum(A) g^3)`` is ``1 / (2 + sum(A) g)``, which neither underflows nor divides zero by
    zero; where g = 0 the weight is zero either way. The paper explains exp(logit), so its weights carry one more factor
    exp(logit): the same for all positions of a record, and left out here because it overflows.
    """
    shared = 2 + gradient * activation.sum(2)[:, :, None]
    return _weighted(activation, _ratio(gradient.clip(min=0), shared).sum(2))


def x_grad_cam(activation: Array, gradient: Array) -> Array:
    """Channels weighted by their gradient averaged where they are active (Fu et al. 2020, equation 8).

    Each channel's map sums to its sum of activation x gradient. A channel whose activations sum to zero weighs nothing.
    """
    return _weighted(activation, _ratio((activation * gradient).sum(2), activation.sum(2)))


def hires_cam(activation: Array, gradient: Array) -> Array:
    """Activation x gradient, summed over the channels (Draelos and Carin 2020)."""
    return (activation * gradient).sum(1)


def layer_cam(activation: Array, gradient: Array) -> Array:
    """Activation x positive gradient, summed over the channels (Jiang et al. 2021, equations 5 and 6)."""
    return hires_cam(activation, gradient.clip(min=0))


def eigen_cam(activation: Array, gradient: Array | None = None) -> Array:
    """Each position's activations along their strongest common direction (Muhammad and Yeasin 2020): no gradient needed.

    That direction is the first right singular vector of the ``[positions, channels]`` matrix, and has no sign of its own. Here
    the map's product with the mean activation is never negative, so that non-negative activations give a non-negative map.
    """
    host = namespace(activation).numpy(activation)
    usable = np.isfinite(host).all((1, 2))
    strength, pattern = np.linalg.svd(np.where(usable[:, None, None], host, 0), full_matrices=False)[1:]
    values = strength[:, :1] * pattern[:, 0]
    against = (values * host.mean(1)).sum(1) < 0
    values = np.where(usable[:, None], np.where(against[:, None], -values, values), np.nan)
    return namespace(activation).asarray(values, activation)


def rescaled(values: Array) -> Array:
    """Sizes between 0 and 1 in each record: FullGrad's ``psi`` before the upsampling. A constant record becomes zeros."""
    flat = abs(widened(values)).reshape((values.shape[0], -1))
    top, bottom = (sign * namespace(flat).amax(sign * flat, (1,))[:, None] for sign in (1, -1))
    return namespace(values).cast(_ratio(flat - bottom, top - bottom).reshape(values.shape), values)


def widened(values: Array) -> Array:
    """The same numbers in at least single precision."""
    xp = namespace(values)
    wide = xp.accumulator((1,), values)
    return values if wide.dtype == values.dtype else xp.cast(values, wide)


def _weighted(activation: Array, weights: Array) -> Array:
    return (weights[:, :, None] * activation).sum(1)


def _ratio(above: Array, below: Array) -> Array:
    """``above / below``, and zero where ``below`` is zero."""
    return (below != 0) * above / (below + (below == 0))
