"""``trulens.nn.models.pytorch``: PyTorch modules with trulens' names for their layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from ..... import Call
from .....backends.torch.adapters import Parts, as_tensor, keep_untouched, modules_behind
from .....errors import BackendError
from .....tree import map_leaves
from ...utils.typing import ModelInputs
from ..backend import Backend
from ..slices import CutNameError, LogitCut
from .base import ModelWrapper


class PytorchModelWrapper(ModelWrapper):
    """A PyTorch module. Layers are named by dotted path, by path joined with ``_``, or by number.

    A number counts the layers without children. ``device`` is the device that the module and its arguments are moved to; by default they
    stay. The module runs in evaluation mode and its mode is restored. The other arguments exist for compatibility and have no effect.
    Raises BackendError for a model that is not a module.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        logit_layer: Any = None,
        device: Any = None,
        force_eval: bool = True,
        input_shape: Any = None,
        input_dtype: Any = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise BackendError("A PyTorch model must be a module", found=f"a {type(model).__name__}", advice="a torch.nn.Module")
        super().__init__(model, logit_layer=logit_layer)
        if device is not None:
            model.to(device)

    @property
    def backend(self) -> Backend:
        return Backend.PYTORCH

    @property
    def device(self) -> torch.device:
        """The device of the module's first parameter; the default device if it has none."""
        first = next(self.model.parameters(), None)
        return torch.get_default_device() if first is None else first.device

    def call(self, inputs: ModelInputs) -> Call:
        """Returns the arguments as tensors on the module's device."""
        args, kwargs = map_leaves((inputs.args, inputs.kwargs), lambda _, leaf: self._tensor(leaf))
        return Call.of(args, kwargs)

    def output(self, inputs: ModelInputs) -> Any:
        """Returns the module's own output for a copy of the arguments, in evaluation mode; the module is left unchanged."""
        call = self.call(inputs)
        with keep_untouched(Parts(modules_behind(self.model))), torch.no_grad():
            args, kwargs = map_leaves((call.args, call.kwargs), lambda _, leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf)
            return self.model(*args, **kwargs)

    def _tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
            leaf = as_tensor(leaf, next((p.dtype for p in self.model.parameters() if p.is_floating_point()), None))
        return leaf.to(self.device) if isinstance(leaf, torch.Tensor) else leaf

    def layer(self, name: Any) -> str:
        """Returns a layer by its path, its joined path or its number. Raises CutNameError for unknown and for ambiguous names."""
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise CutNameError(
                "A layer is named by its path or its number", found=f"a {type(name).__name__}", advice='Cut("layer3"), or Cut(3)'
            )
        if isinstance(name, int):
            leaves = [path for path, _ in list_leaf_layers(self.model)]
            if not -len(leaves) <= name < len(leaves):
                there = f"layer {name} of {len(leaves)} layers"
                raise CutNameError("The model has no layer of this number", found=there, advice=f"a number below {len(leaves)}")
            return leaves[name]
        modules = {path: module for path, module in self.model.named_modules(remove_duplicate=False) if path}
        if name in modules:
            return name
        found = [path for path in modules if path.replace(".", "_") == name]
        inmost = [path for path in found if not any(True for _ in modules[path].children())]
        found = inmost if len(inmost) == 1 else found
        if len(found) > 1:
            raise CutNameError(f"The name {name!r} is ambiguous", found=", ".join(map(repr, found)), advice="one of these dotted paths")
        return found[0] if found else name

    def print_layer_names(self) -> None:
        """Prints the joined name of every layer and the layer."""
        for path, module in list_leaf_layers(self.model):
            sys.stdout.write(f"'{path.replace('.', '_')}':\t{module}\n")

    def logits(self, x: Any) -> Any:
        """Returns the scores before the last softmax."""
        return self.fprop((x,), to_cut=LogitCut())

    def probits(self, x: Any) -> Any:
        """Returns probabilities: the softmax of the scores, or the sigmoid of a single score."""
        scores = self.logits(x)
        tensor = torch.as_tensor(scores)
        found = torch.sigmoid(tensor) if tensor.ndim < 2 or tensor.shape[1] == 1 else torch.softmax(tensor, 1)
        return found.numpy() if isinstance(scores, np.ndarray) else found


def list_leaf_layers(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yields the layers without children in order, each with its path."""
    for name, child in model.named_children():
        inner = [*list_leaf_layers(child, f"{path}{name}.")]
        yield from inner or [(f"{path}{name}", child)]
