"""Relative attributing propagation: shares by the size of contributions, then every active input less the same amount."""

from __future__ import annotations

from typing import Any

import torch

from ....errors import RuleError
from .kinds import VIEWS
from .layers import Layer
from .stabilise import Answer, has_negative, shared, signed
from .tape import Tensor


def absolute(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """Shares by the size of contributions, whatever their sign: ``R_i = sum_j |z_ij| / sum_i |z_ij| R_j``."""
    size, weight = layer.x.value.abs(), layer.weight.abs()
    p = shared(relevance, layer.product(size, weight), rule.epsilon)
    return None, size * layer.transpose(p, weight)


def relative(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """What pushes a neuron up shares its relevance, what pushes it down gets a share of its own by size; then the sum is set right.

    Every input that got something gives up the same, so that those with less than the mean of a record end up against it.
    """
    x, both = layer.x.value, has_negative(layer.x.value)
    plus, minus = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    ups, downs = signed(layer, both, plus, minus, None), -signed(layer, both, minus, plus, None)
    p = shared(relevance, ups, rule.epsilon)
    n = shared(relevance, ups + downs, rule.epsilon)
    credit = layer.transpose(p, plus) - layer.transpose(n, minus)
    if both:
        credit = torch.where(x >= 0, credit, layer.transpose(p, minus) - layer.transpose(n, plus))
    return None, shifted(layer, x * credit, relevance)


def shifted(layer: Layer, credit: Tensor, relevance: Tensor) -> Tensor:
    """Less the same amount at every active input of a record, so that it adds up to the relevance that came."""
    rows, total = by_record(layer, credit), by_record(layer, relevance).sum(1, keepdim=True)
    active = rows != 0
    count = active.sum(1, keepdim=True).clamp(min=1)
    found = torch.where(active, rows - (rows.sum(1, keepdim=True) - total) / count, 0.0)
    return found.reshape(credit.shape)


def by_record(layer: Layer, t: Tensor) -> Tensor:
    """``[records, numbers]``. Raises RuleError where a layer's first axis does not run over the records."""
    source = layer.x
    while source.shape[0] != layer.records and source.entry is not None and source.entry.name in VIEWS:
        source = source.entry.ins[0]
    if source.shape[0] != layer.records or len(t) % layer.records:
        there = f"{layer.entry.name} on {tuple(layer.x.shape)} in {layer.entry.place or 'the model'}, {layer.records} records"
        raise RuleError("relative propagation where a layer's rows are not the records", there=there, try_="asc.rules.Absolute() there")
    return t.reshape(layer.records, -1)
