"""What kind of data the records are: the explainers, baselines, features and post-processing that suit it."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from ..explainers import AVAILABLE_EXPLAINERS, EXPLAINERS_FOR_TABULAR, GRADIENT_BASED_EXPLAINERS, PERTURBATION_BASED_EXPLAINERS, Explainer
from ..explainers.utils.base import UtilFunction
from ..explainers.utils.baselines import (
    BASELINE_FUNCTIONS_FOR_IMAGE,
    BASELINE_FUNCTIONS_FOR_TABULAR,
    BASELINE_FUNCTIONS_FOR_TEXT,
    BASELINE_FUNCTIONS_FOR_TIME_SERIES,
    BaselineFunction,
)
from ..explainers.utils.feature_masks import (
    FEATURE_MASK_FUNCTIONS_FOR_IMAGE,
    FEATURE_MASK_FUNCTIONS_FOR_TABULAR,
    FEATURE_MASK_FUNCTIONS_FOR_TEXT,
    FEATURE_MASK_FUNCTIONS_FOR_TIME_SERIES,
    FeatureMaskFunction,
)
from ..explainers.utils.function_selectors import FunctionSelector
from ..explainers.utils.postprocess import (
    NORMALIZATION_FUNCTIONS_FOR_IMAGE,
    NORMALIZATION_FUNCTIONS_FOR_TABULAR,
    NORMALIZATION_FUNCTIONS_FOR_TEXT,
    NORMALIZATION_FUNCTIONS_FOR_TIME_SERIES,
    POOLING_FUNCTIONS_FOR_IMAGE,
    POOLING_FUNCTIONS_FOR_TABULAR,
    POOLING_FUNCTIONS_FOR_TEXT,
    POOLING_FUNCTIONS_FOR_TIME_SERIES,
    NormalizationFunction,
    PoolingFunction,
    PostProcessor,
)


class Modality:
    """The base of modalities: functions to choose from, by name, and which of them are the default."""

    EXPLAINERS: ClassVar[tuple[type[Explainer], ...]] = tuple(AVAILABLE_EXPLAINERS)
    BASELINES: ClassVar[dict[str, Any]] = BASELINE_FUNCTIONS_FOR_IMAGE
    FEATURE_MASKS: ClassVar[dict[str, Any]] = FEATURE_MASK_FUNCTIONS_FOR_IMAGE
    POOLINGS: ClassVar[dict[str, Any]] = POOLING_FUNCTIONS_FOR_IMAGE
    NORMALIZATIONS: ClassVar[dict[str, Any]] = NORMALIZATION_FUNCTIONS_FOR_IMAGE
    BASELINE, FEATURE_MASK = "zeros", "felzenszwalb"

    def __init__(
        self,
        channel_dim: int,
        baseline_fn_selector: FunctionSelector | None = None,
        feature_mask_fn_selector: FunctionSelector | None = None,
        pooling_fn_selector: FunctionSelector | None = None,
        normalization_fn_selector: FunctionSelector | None = None,
        **kwargs: Any,
    ) -> None:
        channels = {"channel_dim": channel_dim}
        self.channel_dim = channel_dim
        self.baseline_fn_selector = baseline_fn_selector or FunctionSelector(self.BASELINES, self.baseline_kwargs())
        self.feature_mask_fn_selector = feature_mask_fn_selector or FunctionSelector(self.FEATURE_MASKS)
        self.pooling_fn_selector = pooling_fn_selector or FunctionSelector(self.POOLINGS, channels)
        self.normalization_fn_selector = normalization_fn_selector or FunctionSelector(self.NORMALIZATIONS)

    def baseline_kwargs(self) -> dict[str, Any]:
        """Returns the settings that all baseline functions get."""
        return {"dim": self.channel_dim}

    def get_default_baseline_fn(self) -> Any:
        """Returns the default baseline function."""
        return self.baseline_fn_selector.select(self.BASELINE)

    def get_default_feature_mask_fn(self) -> Any:
        """Returns the default feature mask function."""
        return self.feature_mask_fn_selector.select(self.FEATURE_MASK)

    def get_default_postprocessors(self) -> list[PostProcessor]:
        """Returns every pooling with every normalisation."""
        pairs = itertools.product(self.pooling_fn_selector.choices, self.normalization_fn_selector.choices)
        return [PostProcessor(self.pooling_fn_selector.select(p), self.normalization_fn_selector.select(n)) for p, n in pairs]

    def map_fn_selector(self, method_type: type[UtilFunction]) -> FunctionSelector | None:
        """Returns the functions of a kind, to tune over; None for others."""
        return {
            BaselineFunction: self.baseline_fn_selector,
            FeatureMaskFunction: self.feature_mask_fn_selector,
            PoolingFunction: self.pooling_fn_selector,
            NormalizationFunction: self.normalization_fn_selector,
        }.get(method_type)


class ImageModality(Modality):
    """Images, by default ``[records, channels, height, width]``."""

    def __init__(self, channel_dim: int = 1, *selectors: Any, **more: Any) -> None:
        super().__init__(channel_dim, *selectors, **more)


class TextModality(Modality):
    """Sequences of token ids; removed tokens get ``mask_token_id``."""

    EXPLAINERS = (*GRADIENT_BASED_EXPLAINERS, *PERTURBATION_BASED_EXPLAINERS)
    BASELINES = BASELINE_FUNCTIONS_FOR_TEXT
    FEATURE_MASKS = FEATURE_MASK_FUNCTIONS_FOR_TEXT
    POOLINGS = POOLING_FUNCTIONS_FOR_TEXT
    NORMALIZATIONS = NORMALIZATION_FUNCTIONS_FOR_TEXT
    BASELINE, FEATURE_MASK = "token", "no_mask_1d"

    def __init__(self, channel_dim: int = -1, mask_token_id: int = 0, *selectors: Any, **more: Any) -> None:
        self.mask_token_id = mask_token_id
        super().__init__(channel_dim, *selectors, **more)

    def baseline_kwargs(self) -> dict[str, Any]:
        return {"token_id": self.mask_token_id}


class TimeSeriesModality(Modality):
    """Series ``[records, channels, steps]``."""

    BASELINES = BASELINE_FUNCTIONS_FOR_TIME_SERIES
    FEATURE_MASKS = FEATURE_MASK_FUNCTIONS_FOR_TIME_SERIES
    POOLINGS = POOLING_FUNCTIONS_FOR_TIME_SERIES
    NORMALIZATIONS = NORMALIZATION_FUNCTIONS_FOR_TIME_SERIES
    BASELINE, FEATURE_MASK = "zeros", "no_mask_2d"

    def __init__(self, channel_dim: int = -1, *selectors: Any, **more: Any) -> None:
        super().__init__(channel_dim, *selectors, **more)


class TabularModality(Modality):
    """Tables ``[records, columns]``, which PnPXAI promises and does not have."""

    EXPLAINERS = EXPLAINERS_FOR_TABULAR
    BASELINES = BASELINE_FUNCTIONS_FOR_TABULAR
    FEATURE_MASKS = FEATURE_MASK_FUNCTIONS_FOR_TABULAR
    POOLINGS = POOLING_FUNCTIONS_FOR_TABULAR
    NORMALIZATIONS = NORMALIZATION_FUNCTIONS_FOR_TABULAR
    BASELINE, FEATURE_MASK = "zeros", "no_mask_1d"

    def __init__(self, channel_dim: int = -1, *selectors: Any, **more: Any) -> None:
        super().__init__(channel_dim, *selectors, **more)
