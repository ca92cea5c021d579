"""Class activation maps as formulas: (activation, gradient) -> one number per position.

Every formula takes two arrays of one shape, ``[records, channels, positions]``, and returns ``[records, positions]``. Positions are pixels,
voxels or tokens; :func:`compute_map` arranges the axes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...arrays import Array, namespace

Formula = Callable[[Array, Array], Array]


def compute_map(formula: Formula, activation: Array, gradient: Array) -> Array:
    """Returns the map ``[records, 1, *space]`` of ``[records, channels, *space]`` arrays, in the type of the activation.

    With several quantities the gradient and the map have one more axis in front. Computed in at least single precision.
    """
    if gradient.ndim > activation.ndim:
        maps = [compute_map(formula, activation, part) for part in gradient]
        return namespace(activation).stack(maps, 0)
    records, channels, *space = activation.shape
    flat = (records, channels, int(np.prod(space)))
    values = formula(as_single_or_wider(activation).reshape(flat), as_single_or_wider(gradient).reshape(flat))
    return namespace(activation).cast(values.reshape((records, 1, *space)), activation)


def grad_cam(activation: Array, gradient: Array) -> Array:
    """Returns the sum of channels weighted by their mean gradient (Selvaraju et al. 2017, equations 1 and 2)."""
    return _weighted(activation, gradient.mean(2))


def grad_cam_plus_plus(activation: Array, gradient: Array) -> Array:
    """Returns the sum of channels weighted by their positive gradients, normalised over the positions (Chattopadhay et al. 2018, eq. 19).

    The paper's share ``g^2 / (2 g^2 + sum(A) g^3)`` is ``1 / (2 + sum(A) g)``, which neither underflows nor divides zero by
    zero; where g = 0 the weight is zero either way. The paper explains exp(logit), so its weights carry one more factor
    exp(logit): the same for all positions of a record, and left out here because it overflows.
    """
    shared = 2 + gradient * activation.sum(2)[:, :, None]
    return _weighted(activation, _ratio(gradient.clip(min=0), shared).sum(2))


def x_grad_cam(activation: Array, gradient: Array) -> Array:
    """Returns the sum of channels weighted by their gradient averaged over the activation (Fu et al. 2020, equation 8).

    Each channel's map sums to its sum of activation x gradient. A channel whose activations sum to zero has weight zero.
    """
    return _weighted(activation, _ratio((activation * gradient).sum(2), activation.sum(2)))


def hires_cam(activation: Array, gradient: Array) -> Array:
    """Returns activation x gradient, summed over the channels (Draelos and Carin 2020)."""
    return (activation * gradient).sum(1)


def layer_cam(activation: Array, gradient: Array) -> Array:
    """Returns activation x positive gradient, summed over the channels (Jiang et al. 2021, equations 5 and 6)."""
    return hires_cam(activation, gradient.clip(min=0))


def eigen_cam(activation: Array, gradient: Array | None = None) -> Array:
    """Returns each position's projection on the first principal direction of the activations (Muhammad and Yeasin 2020).

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


def rescale_sizes(values: Array) -> Array:
    """Returns absolute values scaled to [0, 1] in each record: FullGrad's ``psi`` before upsampling. A constant record becomes zeros."""
    flat = abs(as_single_or_wider(values)).reshape((values.shape[0], -1))
    top, bottom = (sign * namespace(flat).amax(sign * flat, (1,))[:, None] for sign in (1, -1))
    return namespace(values).cast(_ratio(flat - bottom, top - bottom).reshape(values.shape), values)


def as_single_or_wider(values: Array) -> Array:
    """Returns the array in at least single precision."""
    xp = namespace(values)
    wide = xp.accumulator((1,), values)
    return values if wide.dtype == values.dtype else xp.cast(values, wide)


def _weighted(activation: Array, weights: Array) -> Array:
    return (weights[:, :, None] * activation).sum(1)


def _ratio(above: Array, below: Array) -> Array:
    """Returns ``above / below``, and zero where ``below`` is zero."""
    return (below != 0) * above / (below + (below == 0))
