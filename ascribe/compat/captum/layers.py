"""What layers hold: read, never differentiated."""

from __future__ import annotations

from typing import Any

from ...engine.verbs import activation
from .asked import Asked
from .base import LayerAttribution


def held(asked: Asked) -> Any:
    """The value of a layer, or of each of several."""
    return asked.result(activation(asked.model, asked.call, at=asked.at).values)


class LayerActivation(
    LayerAttribution,
    init="forward_func layer device_ids",
    call="inputs additional_forward_args attribute_to_layer_input",
    by=held,
    multiplies=True,
):
    """What a layer holds for each record."""
