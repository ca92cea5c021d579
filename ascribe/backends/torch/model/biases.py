"""The biases of PyTorch layers, and the implicit ones of batch normalisation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ...protocol import Bias

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
PIECEWISE_LINEAR = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.Fold, nn.Unfold,
)  # fmt: skip
"""Layers that add nothing: scaling what comes in by a positive number scales what goes out."""


def bias_of(module: nn.Module) -> Bias | None:
    """The bias of a layer; None for a layer without bias, and for one that is not linear plus a bias.

    Batch normalisation by stored statistics is ``weight * x / std`` plus ``bias - weight * mean / std`` (Srinivas and Fleuret
    2019, section 3.2). Models are explained in evaluation mode, so the stored ones are used wherever there are any.
    """
    if isinstance(module, nn.Linear):
        return None if module.bias is None else Bias(module.bias.detach(), -1)
    if isinstance(module, CONVOLUTIONS):
        return None if module.bias is None else Bias(module.bias.detach(), 1)
    if isinstance(module, BATCH_NORMS) and module.running_mean is not None and module.running_var is not None:
        shift = -module.running_mean / torch.sqrt(module.running_var + module.eps)
        if module.affine:
            shift = module.bias + module.weight * shift
        return Bias(shift.detach(), 1)
    return None


def bends(module: nn.Module) -> bool:
    """True if the layer is neither linear plus a known bias nor known to add nothing; containers do nothing themselves."""
    if isinstance(module, BATCH_NORMS):
        return module.running_mean is None
    if isinstance(module, (nn.Linear, *CONVOLUTIONS, *PIECEWISE_LINEAR)):
        return False
    return not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))


def read_biases(host: nn.Module | None, layers: Iterable[str]) -> tuple[dict[str, Bias], list[str]]:
    """The biases among these layers, and the names of those that bend: ``norm (LayerNorm)``."""
    modules = {name: host.get_submodule(name) for name in layers} if host is not None else {}
    biases = {name: bias for name, module in modules.items() if (bias := bias_of(module)) is not None}
    return biases, [f"{name} ({type(module).__name__})" for name, module in modules.items() if bends(module)]
