"""The models that are timed: random weights under a fixed seed, with the records that are explained."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Subject:
    """A model, its arguments, and how its rows look to someone who writes the loop by hand.

    ``start`` gives the tensor that is explained (the input, or the embeddings); ``forward`` runs the model on rows of
    it, with what else the model needs repeated. ``first`` and ``last`` name the layers at which rows are counted.
    """

    name: str
    model: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    target: Tensor
    first: str
    last: str
    start: Callable[[Subject], Tensor]
    forward: Callable[[Subject, Tensor, slice], Tensor]
    extras: Mapping[str, Any] = field(default_factory=dict)

    def fresh(self) -> Subject:
        """Returns the subject with a new model, for which no library has cached facts."""
        return replace(self, model=copy.deepcopy(self.model))

    def score(self, rows: Tensor, records: slice = slice(None)) -> Tensor:
        """The sum of each row's target output; rows are points x records, records fastest."""
        out = self.forward(self, rows, records)
        target = self.target[records]
        return out.gather(1, target.repeat(len(out) // len(target))[:, None]).sum()


def cnn(device: str, image: int = 64, batch: int = 8, rows: int = 16) -> Subject:
    """Four 3x3 convolutions (3-32-32-64-64) and three linear layers, flat, so that it can be cut by hand."""
    torch.manual_seed(0)
    layers: list[tuple[str, nn.Module]] = []
    for i, (a, b) in enumerate([(3, 32), (32, 32), (32, 64), (64, 64)], 1):
        layers += [(f"conv{i}", nn.Conv2d(a, b, 3, padding=1)), (f"relu{i}", nn.ReLU())]
        layers += [(f"pool{i}", nn.MaxPool2d(2))] if i % 2 == 0 else []
    layers += [("spread", nn.AdaptiveAvgPool2d(4)), ("flat", nn.Flatten())]
    layers += [("fc1", nn.Linear(1024, 128)), ("relu5", nn.ReLU()), ("fc2", nn.Linear(128, 64)), ("relu6", nn.ReLU())]
    layers += [("fc3", nn.Linear(64, 10))]
    model = nn.Sequential(OrderedDict(layers)).eval().to(device)
    x = torch.randn(batch, 3, image, image, device=device)
    background = torch.randn(rows, 3, image, image, device=device)
    return _plain("CNN", model, x, {"background": background}, ("conv1", "fc3"))


def mlp(device: str, batch: int = 8) -> Subject:
    """Two layers, 20-32-5: so small that only the cost of a call is left."""
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict([("fc1", nn.Linear(20, 32)), ("relu1", nn.ReLU()), ("fc2", nn.Linear(32, 5))]))
    x = torch.randn(batch, 20, device=device)
    return _plain("MLP", model.eval().to(device), x, {}, ("fc1", "fc2"))


def bert(device: str, tokens: int = 32, batch: int = 8, width: int = 64) -> Subject:
    """A BERT classifier of 4 layers and 4 heads, with padding at the right of some records."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=1000, hidden_size=width, num_hidden_layers=4, num_attention_heads=4, intermediate_size=4 * width,
                        max_position_embeddings=tokens, num_labels=3)  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    return _text("BERT", model, (tokens, batch), left=False, ends=("bert.encoder.layer.0", "classifier"), device=device)


def llama(device: str, tokens: int = 32, batch: int = 8, width: int = 64, layers: int = 4) -> Subject:
    """A Llama classifier with 4 heads, with padding at the left of some records."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(vocab_size=1000, hidden_size=width, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=4 * width,
                         num_key_value_heads=2, max_position_embeddings=tokens, num_labels=3, pad_token_id=0,
                         use_cache=False)  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(config)
    return _text("Llama", model, (tokens, batch), left=True, ends=("model.layers.0", "score"), device=device)


def _plain(name: str, model: nn.Module, x: Tensor, extras: Mapping[str, Any], ends: tuple[str, str]) -> Subject:
    with torch.no_grad():
        target = model(x).argmax(1)
    return Subject(name, model, (x,), {}, target, *ends, lambda s: s.args[0], lambda s, z, records: s.model(z), extras)


def _text(name: str, model: Any, shape: tuple[int, int], *, left: bool, ends: tuple[str, str], device: str) -> Subject:
    model = model.eval().to(device)
    tokens, batch = shape
    ids = torch.randint(1, 1000, (batch, tokens))
    mask = torch.ones_like(ids)
    for record in range(0, batch, 2):
        padding = slice(0, tokens // 4) if left else slice(tokens - tokens // 4, tokens)
        mask[record, padding] = 0
        ids[record, padding] = 0
    kwargs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    with torch.no_grad():
        target = model(**kwargs).logits.argmax(1)
    return Subject(name, model, (), kwargs, target, *ends, _embedded, _from_embeddings)


def _embedded(subject: Subject) -> Tensor:
    model: Any = subject.model
    with torch.no_grad():
        return model.get_input_embeddings()(subject.kwargs["input_ids"])


def _from_embeddings(subject: Subject, rows: Tensor, records: slice) -> Tensor:
    mask = subject.kwargs["attention_mask"][records]
    return subject.model(inputs_embeds=rows, attention_mask=mask.repeat(len(rows) // len(mask), 1)).logits
