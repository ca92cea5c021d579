"""Models for the tests of the command line: what a user would write into a file of the current folder."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

WEIGHTS = np.linspace(-1.0, 1.0, 12).reshape(4, 3)


def network() -> Any:
    import torch

    torch.manual_seed(0)
    sys.stdout.write("a model that prints\n")
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 3)).eval()


def convolution() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, 2)
    ).eval()


def two_inputs() -> Any:
    import torch

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Linear(4, 3), torch.nn.Linear(2, 3)

        def forward(self, x: Any, extra: Any) -> Any:
            return self.a(x) + self.b(extra)

    torch.manual_seed(0)
    return Two().eval()


def text_model() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.EmbeddingBag(32, 6), torch.nn.Linear(6, 2)).eval()


def tokenizer() -> Any:
    """Three ids for each text: the lengths of its first words."""
    import torch

    return lambda texts: torch.tensor([[len(word) for word in (*text.split(), "", "", "")[:3]] for text in texts])


def transformer() -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(
        BertConfig(vocab_size=12, id2label={0: "neg", 1: "pos"}, label2id={"neg": 0, "pos": 1}, **sizes)
    ).eval()


def hugging_face() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "a", "small", "text", "one", "more", "line", "of", "words", "last"]
    made = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_input_names=names)


def function() -> Any:
    return lambda x: np.tanh(np.asarray(x, float) @ WEIGHTS)


@functools.cache
def pipeline() -> Any:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "height": [1.5, 1.9, 1.6, 1.7], "town": ["A", "B", "A", "B"]})
    columns = make_column_transformer((StandardScaler(), ["age", "height"]), (OneHotEncoder(), ["town"]))
    return make_pipeline(columns, LogisticRegression()).fit(table, ["no", "yes", "no", "yes"])


def fails() -> Any:
    raise RuntimeError("no weights \x1b[31m here")


def nothing() -> None:
    return None


def needs(path: str) -> Any:
    return path


ready = None
number = 3
