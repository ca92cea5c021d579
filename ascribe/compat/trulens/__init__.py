"""``trulens.nn`` of trulens 0.13.4, computed by ascribe: see docs/migrating-from-trulens.md."""

from __future__ import annotations

STANDS_FOR = {
    "trulens": "",
    "trulens.nn": "nn",
    "trulens.nn.attribution": "nn.attribution",
    "trulens.nn.backend": "nn.backend",
    "trulens.nn.backend.keras_backend": "nn.backend",
    "trulens.nn.backend.keras_backend.keras": "nn.backend.keras",
    "trulens.nn.backend.pytorch_backend": "nn.backend",
    "trulens.nn.backend.pytorch_backend.pytorch": "nn.backend.pytorch",
    "trulens.nn.backend.tf_backend": "nn.backend",
    "trulens.nn.backend.tf_backend.tf": "nn.backend.tensorflow",
    "trulens.nn.distributions": "nn.distributions",
    "trulens.nn.models": "nn.models",
    "trulens.nn.models._model_base": "nn.models.base",
    "trulens.nn.models.keras": "nn.models.keras",
    "trulens.nn.models.pytorch": "nn.models.pytorch",
    "trulens.nn.models.tensorflow_v1": "nn.models.others",
    "trulens.nn.models.tensorflow_v2": "nn.models.tensorflow",
    "trulens.nn.quantities": "nn.quantities",
    "trulens.nn.slices": "nn.slices",
    "trulens.utils": "utils",
    "trulens.utils.nlp": "utils.nlp",
    "trulens.utils.test": "utils.test",
    "trulens.utils.tru_logger": "utils.tru_logger",
    "trulens.utils.typing": "utils.typing",
    "trulens.visualizations": "visualizations",
}

__version__ = "0.13.4"
