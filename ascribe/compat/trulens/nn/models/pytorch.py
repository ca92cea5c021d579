"""``trulens.nn.models.pytorch``: PyTorch's modules with trulens' names for their layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from ..... import Call
from .....backends.torch.adapters import Parts, as_tensor, modules_behind, untouched
from .....errors import BackendError
from .....tree import map_leaves
from ...utils.typing import ModelInputs
from ..slices import CutNameError, LogitCut
from .base import ModelWrapper


class PytorchModelWrapper(ModelWrapper):
    """A module. Its layers go by their paths with dots, by those paths joined with ``_``, and by number.

    A number counts the layers that have no others inside them. ``device`` is where the module is put and its arguments are sent; without
    one it stays where it is. A module is always run in evaluation mode, and left in the mode it was in. The other arguments are trulens'
    and do nothing. Raises BackendError for a model that is no module.
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
            raise BackendError(f"a {type(model).__name__} as a PyTorch model", there="a torch.nn.Module")
        super().__init__(model, logit_layer=logit_layer)
        if device is not None:
            model.to(device)

    @property
    def device(self) -> torch.device:
        """Where the module's first parameter is; the default device where it has none."""
        first = next(self.model.parameters(), None)
        return torch.get_default_device() if first is None else first.device

    def call(self, inputs: ModelInputs) -> Call:
        """The arguments as tensors on the module's device."""
        args, kwargs = map_leaves((inputs.args, inputs.kwargs), lambda _, leaf: self._tensor(leaf))
        return Call.of(args, kwargs)

    def output(self, inputs: ModelInputs) -> Any:
        """What the module itself returns for a copy of the arguments, in evaluation mode; nothing of it is left behind."""
        call = self.call(inputs)
        with untouched(Parts(modules_behind(self.model))), torch.no_grad():
            args, kwargs = map_leaves((call.args, call.kwargs), lambda _, leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf)
            return self.model(*args, **kwargs)

    def _tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiub":
            leaf = as_tensor(leaf, next((p.dtype for p in self.model.parameters() if p.is_floating_point()), None))
        return leaf.to(self.device) if isinstance(leaf, torch.Tensor) else leaf

    def layer(self, name: Any) -> str:
        """A layer by its path, its joined path or its number. Raises CutNameError for none, or for a joined path of two layers."""
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise CutNameError(f"a layer named by a {type(name).__name__}", try_="its path, or its number")
        if isinstance(name, int):
            leaves = [path for path, _ in leaves_of(self.model)]
            if not -len(leaves) <= name < len(leaves):
                raise CutNameError(f"layer {name}", there=f"{len(leaves)} layers", try_=f"a number below {len(leaves)}")
            return leaves[name]
        modules = {path: module for path, module in self.model.named_modules(remove_duplicate=False) if path}
        if name in modules:
            return name
        found = [path for path in modules if path.replace(".", "_") == name]
        inmost = [path for path in found if not any(True for _ in modules[path].children())]
        found = inmost if len(inmost) == 1 else found
        if len(found) > 1:
            raise CutNameError(
                f"layer {name!r} is {len(found)} layers", there=", ".join(map(repr, found)), try_="one of them, with its dots"
            )
        return found[0] if found else name

    def print_layer_names(self) -> None:
        """Write every layer's joined name and what it is, as trulens did."""
        for path, module in leaves_of(self.model):
            sys.stdout.write(f"'{path.replace('.', '_')}':\t{module}\n")

    def logits(self, x: Any) -> Any:
        """The scores before the last softmax, for every record."""
        return self.fprop((x,), to_cut=LogitCut())

    def probits(self, x: Any) -> Any:
        """Probabilities: the softmax of the scores (of a single score, its sigmoid)."""
        scores = self.logits(x)
        tensor = torch.as_tensor(scores)
        found = torch.sigmoid(tensor) if tensor.ndim < 2 or tensor.shape[1] == 1 else torch.softmax(tensor, 1)
        return found.numpy() if isinstance(scores, np.ndarray) else found


def leaves_of(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers with none inside them, in order, each with its path."""
    for name, child in model.named_children():
        inner = [*leaves_of(child, f"{path}{name}.")]
        yield from inner or [(f"{path}{name}", child)]
