"""Explainers that need models from the internet: they say so."""

from __future__ import annotations

from typing import Any

from ....errors import CompatError
from .base import Explainer


class Gfgp(Explainer):
    """Perturbations by a diffusion model, which PnPXAI downloads. Raises CompatError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise CompatError(
            "`Gfgp` needs a diffusion model that PnPXAI downloads from a model hub and runs as code",
            found="no diffusion model",
            advice="asc.Rise() or asc.KernelShap(by=asc.Blur()), which need the model alone",
        )


class LEAR(Explainer):
    """Counterfactual maps by a generator, which PnPXAI downloads. Raises CompatError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise CompatError(
            "`LEAR` needs a counterfactual generator for one kind of brain scans that PnPXAI downloads from a model hub and runs as code",
            found="no generator",
            advice="asc.IntegratedGradients(baseline), with a healthy record as the baseline",
        )
