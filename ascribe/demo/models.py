"""Two small networks and their training, which takes a few seconds."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from .data import Task


def build_cnn(classes: int) -> nn.Sequential:
    """Returns a network for 8 x 8 pixels: three convolutions, one max pooling and two linear layers."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 32, 3, padding=1),
            relu3=nn.ReLU(),
            flat=nn.Flatten(),
            hidden=nn.Linear(32 * 4 * 4, 64),
            relu4=nn.ReLU(),
            head=nn.Linear(64, classes),
        )
    )


def build_mlp(features: int, classes: int) -> nn.Sequential:
    """Returns a network for tables with two hidden layers."""
    return nn.Sequential(
        OrderedDict(
            hidden1=nn.Linear(features, 32),
            act1=nn.GELU(),
            hidden2=nn.Linear(32, 32),
            act2=nn.GELU(),
            head=nn.Linear(32, classes),
        )
    )


def train_model(task: Task, seed: int) -> nn.Sequential:
    """Returns a trained network in evaluation mode; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classes = len(task.class_names)
        model = build_mlp(len(task.feature_names), classes) if task.feature_names else build_cnn(classes)
        _fit(model, torch.as_tensor(task.train), torch.as_tensor(task.train_labels))
    return model.eval().requires_grad_(False)


def accuracy(model: nn.Module, records: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of records that the model classifies correctly."""
    with torch.no_grad():
        guess = model(torch.as_tensor(records)).argmax(1).numpy()
    return float((guess == labels).mean())


def _fit(model: nn.Module, records: torch.Tensor, labels: torch.Tensor, epochs: int = 20, batch: int = 64) -> None:
    """Trains with Adam on the cross-entropy, a cosine schedule, and shuffled records in every epoch."""
    steps = epochs * -(-len(records) // batch)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(records)).split(batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(records[rows]), labels[rows]).backward()
            optimiser.step()
            schedule.step()
