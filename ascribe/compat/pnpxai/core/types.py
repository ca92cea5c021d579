"""The kinds of modules that are looked for: ``isinstance(module, Attention)`` asks for one."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from torch import nn


class Kind(type):
    """The class of the kinds: a module is an instance of a kind if it is of one of its classes, or if its class is named like them."""

    classes: tuple[type, ...]
    named: tuple[str, ...]

    def __instancecheck__(cls, module: Any) -> bool:
        """Returns True for a module of the kind."""
        if isinstance(module, cls.classes):
            return True
        return isinstance(module, nn.Module) and any(type(module).__name__.endswith(name) for name in cls.named)

    def __subclasscheck__(cls, other: type) -> bool:
        """Returns True for the kind itself and for classes of its modules."""
        return other is cls or (inspect.isclass(other) and not isinstance(other, Kind) and issubclass(other, cls.classes))


class Linear(metaclass=Kind):
    """Linear layers, and the same layer with transposed weights, which transformers calls Conv1D."""

    classes: ClassVar[tuple[type, ...]] = (nn.Linear, nn.Bilinear)
    named: ClassVar[tuple[str, ...]] = ("Conv1D",)


class Convolution(metaclass=Kind):
    """Convolutions, transposed ones too."""

    classes: ClassVar[tuple[type, ...]] = (
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    )
    named: ClassVar[tuple[str, ...]] = ()


class Pool(metaclass=Kind):
    """Average and maximum pooling."""

    classes: ClassVar[tuple[type, ...]] = (
        *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
        *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    )
    named: ClassVar[tuple[str, ...]] = ()


class BatchNorm(metaclass=Kind):
    """Batch normalisation."""

    classes: ClassVar[tuple[type, ...]] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    named: ClassVar[tuple[str, ...]] = ()


class Activation(metaclass=Kind):
    """Activations."""

    classes: ClassVar[tuple[type, ...]] = (nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.Softplus)
    named: ClassVar[tuple[str, ...]] = ()


class LSTM(metaclass=Kind):
    """Long short-term memory."""

    classes: ClassVar[tuple[type, ...]] = (nn.LSTM, nn.LSTMCell)
    named: ClassVar[tuple[str, ...]] = ()


class RNN(metaclass=Kind):
    """Other recurrent layers: simple ones and GRUs, which PnPXAI does not see."""

    classes: ClassVar[tuple[type, ...]] = (nn.RNN, nn.GRU, nn.RNNCell, nn.GRUCell)
    named: ClassVar[tuple[str, ...]] = ()


class Attention(metaclass=Kind):
    """Attention: PyTorch's layer, and modules of any library that are called so."""

    classes: ClassVar[tuple[type, ...]] = (nn.MultiheadAttention,)
    named: ClassVar[tuple[str, ...]] = ("Attention", "AttentionModule", "SelfAttention", "FlashAttention2", "SdpaAttention")


class Embedding(metaclass=Kind):
    """Embeddings of ids."""

    classes: ClassVar[tuple[type, ...]] = (nn.Embedding, nn.EmbeddingBag)
    named: ClassVar[tuple[str, ...]] = ()


ModuleType = Linear | Convolution | RNN | LSTM | Attention | Pool | Embedding
