"""The paths of the layers inside Keras models, as far as the models declare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .package import package_name, package_of


def parts_of(layer: Any) -> list[Any]:
    """The layers and operations that a layer calls, as far as it declares them."""
    if package_name(layer) is None:
        return []
    package = package_of(layer)
    return [part for part in package.parts(layer) if not isinstance(part, package.layers.InputLayer)]


def named_layers(layer: Any, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every layer and operation inside a layer with its path, in the order of the model. Those that only a run shows are missing."""
    for part in parts_of(layer):
        name = getattr(part, "name", None)
        if name is not None and id(part) not in above:
            yield f"{prefix}{name}", part
            yield from named_layers(part, f"{prefix}{name}.", (*above, id(layer)))


def named_parts(roots: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every layer and operation inside some models with its path; a model of several is one itself."""
    for prefix, root in roots.items():
        if prefix:
            yield prefix, root
        yield from named_layers(root, f"{prefix}." if prefix else "")
