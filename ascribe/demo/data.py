"""Two data sets of scikit-learn, split into training records and held-out records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split


@dataclass(frozen=True, eq=False)
class Task:
    """Records in float32 with their classes, and the names of classes and features.

    In both tasks a feature is removed by setting it to 0: the background of an image, the training mean of a standardised table.
    """

    name: str
    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] = ()


def load_digits_task(seed: int) -> Task:
    """Returns handwritten digits: 8 x 8 pixels between 0 (background) and 1 (ink)."""
    data = load_digits()
    pixels = (data.images / 16.0).astype(np.float32)[:, None]
    names = tuple(str(name) for name in data.target_names)
    return Task("digits", *_split(pixels, data.target, seed), names)


def load_cancer_task(seed: int) -> Task:
    """Returns 30 measurements of cell nuclei, standardised by the mean and the standard deviation of the training records."""
    data = load_breast_cancer()
    train, train_labels, held_out, held_out_labels = _split(data.data, data.target, seed)
    mean, spread = train.mean(0), train.std(0)
    tables = [((table - mean) / spread).astype(np.float32) for table in (train, held_out)]
    classes, features = (tuple(str(name) for name in names) for names in (data.target_names, data.feature_names))
    return Task("breast cancer", tables[0], train_labels, tables[1], held_out_labels, classes, features)


def _split(records: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and held-out records and labels, stratified; one fifth is held out."""
    train, held_out, train_labels, held_out_labels = train_test_split(records, labels, test_size=0.2, random_state=seed, stratify=labels)
    return train, train_labels, held_out, held_out_labels
