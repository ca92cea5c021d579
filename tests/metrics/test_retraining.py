"""Retraining: records are explained for their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import ascribe as asc
from ascribe import metrics


def test_judged_records_are_explained_for_their_labels():
    """A model that is always wrong: the features of the label are removed, not those of the predicted class."""
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[9.0, 9.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]))
    x, y = torch.ones(6, 4) + torch.arange(6)[:, None] * 0.1, np.ones(6, int)
    seen: list[np.ndarray] = []

    def fit(records: Any, labels: Any) -> Any:
        def predict(test: Any) -> np.ndarray:
            seen.append(np.asarray(test))
            return np.ones(len(test))

        return predict

    metrics.Roar(fit, x, y, y, shares=(0.5,))(asc.InputXGradient(), model, x)
    changed = seen[0] != x.numpy()
    middle = np.isclose(x.numpy(), x.numpy().mean(0))  # a record that is the mean of the training records does not change
    assert (changed[:, 2:] | middle[:, 2:]).all()
    assert not changed[:, :2].any()
