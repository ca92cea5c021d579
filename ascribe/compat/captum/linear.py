"""Linear models for LIME, fitted to weighted samples in closed form or by scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...coalitions.lime import lasso
from ...errors import MethodError
from .translate.errors import raise_as_captum

Fitted = tuple[np.ndarray, np.ndarray]


class Model(ABC):
    """Base class of the models that LIME fits: classes of your own define these three methods."""

    @abstractmethod
    def fit(self, train_data: Any, **kwargs: Any) -> Any:
        """Fits the model to a loader of inputs, outputs and optional weights."""

    @abstractmethod
    def representation(self) -> Tensor:
        """Returns the explanation: the coefficients of a linear model."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Returns the model's prediction."""


def read_samples(train_data: Iterable[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns all rows of a loader: inputs ``[rows, features]``, outputs ``[rows, outputs]``, weights ``[rows]``.

    Raises MethodError for an empty loader.
    """
    batches = [[torch.as_tensor(part).detach().cpu().double() for part in batch] for batch in train_data]
    if not batches:
        with raise_as_captum():
            raise MethodError(
                "A model cannot be fitted without samples", found="a loader without batches", advice="a loader with at least one batch"
            )
    x, y, *rest = (torch.cat(parts) for parts in zip(*batches, strict=True))
    weights = rest[0].reshape(-1).numpy() if rest else np.ones(len(x))
    return x.flatten(1).numpy(), y.reshape(len(x), -1).numpy(), weights


class LinearModel(nn.Module, Model):
    """A linear layer, fitted by ``train_fn(x, y, weights, **options)``, which returns coefficients and intercepts."""

    linear: nn.Linear

    def __init__(self, train_fn: Callable[..., Fitted], **kwargs: Any) -> None:
        super().__init__()
        self.train_fn, self.options = train_fn, kwargs

    def fit(self, train_data: Any, **kwargs: Any) -> dict[str, Any]:
        """Fits the layer to a loader of inputs, outputs and weights."""
        x, y, weights = read_samples(train_data)
        slope, intercept = self.train_fn(x, y, weights, **{**self.options, **kwargs})
        self.linear = nn.Linear(x.shape[1], y.shape[1]).double()
        with torch.no_grad():
            self.linear.weight.copy_(torch.as_tensor(slope).reshape(y.shape[1], -1))
            self.linear.bias.copy_(torch.as_tensor(intercept).reshape(-1))
        return {}

    def forward(self, x: Tensor) -> Tensor:
        """Returns the linear outputs."""
        found: Tensor = self._fitted()(x.double())
        return found

    def representation(self) -> Tensor:
        """Returns the coefficients, ``[outputs, features]``."""
        return self._fitted().weight.detach()

    def bias(self) -> Tensor | None:
        """Returns the intercepts, ``[outputs]``."""
        return self._fitted().bias.detach()

    def _fitted(self) -> nn.Linear:
        if not hasattr(self, "linear"):
            with raise_as_captum():
                raise MethodError("The model has not been fitted", found=f"{type(self).__name__} before fit()", advice="fit(loader) first")
        return self.linear


def fit_least_squares(x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, alpha: float = 0.0, l1: bool = False, **unused: Any) -> Fitted:
    """Weighted least squares with an intercept and a penalty ``alpha`` on squared (``l1``: absolute) coefficients.

    Options of an iterative optimiser (learning rates, epochs) have no effect: the solution is exact.
    """
    weights = weights / weights.sum()
    middle_x, middle_y = weights @ x, weights @ y
    moments, sides = (x - middle_x).T * weights @ (x - middle_x), (x - middle_x).T * weights @ (y - middle_y)
    if l1:
        slope = lasso(moments, sides, alpha)
    else:
        slope = np.linalg.lstsq(moments + alpha * np.eye(len(moments)), sides, rcond=None)[0]
    return slope.T, middle_y - middle_x @ slope


def fit_sklearn(x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, sklearn_module: str, **options: Any) -> Fitted:
    """Fits a class of scikit-learn, given by its dotted name."""
    module, _, name = sklearn_module.rpartition(".")
    found = getattr(import_module(f"sklearn.{module}"), name)(**options).fit(x, y[:, 0] if y.shape[1] == 1 else y, sample_weight=weights)
    return np.atleast_2d(found.coef_), np.atleast_1d(found.intercept_)


class SGDLinearModel(LinearModel):
    """Least squares in closed form, the limit of captum's iterations."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fit_least_squares, **kwargs)


class SGDLinearRegression(SGDLinearModel):
    """Least squares without a penalty."""


class SGDRidge(SGDLinearModel):
    """Least squares with ``alpha`` (1) times the squared coefficients."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"alpha": 1.0, **kwargs})


class SGDLasso(SGDLinearModel):
    """Least squares with ``alpha`` (1) times the absolute coefficients."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"alpha": 1.0, "l1": True, **kwargs})


class SkLearnLinearModel(LinearModel):
    """A linear model of scikit-learn, given by its name: ``"linear_model.Ridge"``."""

    def __init__(self, sklearn_module: str, **kwargs: Any) -> None:
        super().__init__(fit_sklearn, sklearn_module=sklearn_module, **kwargs)


class SkLearnLasso(SkLearnLinearModel):
    """scikit-learn's Lasso."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("linear_model.Lasso", **kwargs)


class SkLearnRidge(SkLearnLinearModel):
    """scikit-learn's Ridge."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("linear_model.Ridge", **kwargs)


class SkLearnLinearRegression(SkLearnLinearModel):
    """scikit-learn's LinearRegression."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("linear_model.LinearRegression", **kwargs)


class SkLearnLogisticRegression(SkLearnLinearModel):
    """scikit-learn's LogisticRegression."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("linear_model.LogisticRegression", **kwargs)


class SkLearnSGDClassifier(SkLearnLinearModel):
    """scikit-learn's SGDClassifier."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("linear_model.SGDClassifier", **kwargs)
