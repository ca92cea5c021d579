"""``trulens.nn.models.tensorflow_v2``: Keras models of TensorFlow 2, and its other models."""

from __future__ import annotations

from ..backend import Backend
from .base import ModelWrapper
from .keras import KerasModelWrapper


class Tensorflow2ModelWrapper(KerasModelWrapper):
    """A model of the Keras of TensorFlow 2, as :class:`KerasModelWrapper`. Raises ValueError for any other model."""

    def expected_backend(self, backend: Backend | None) -> Backend | None:
        return Backend.TENSORFLOW

    @property
    def backend(self) -> Backend:
        return Backend.TENSORFLOW


class TensorflowModuleWrapper(ModelWrapper):
    """A ``tf.Module``, a ``tf.function`` or a loaded SavedModel.

    Layers have the names that ascribe gives them: paths of modules, or operations of the graph.
    """

    @property
    def backend(self) -> Backend:
        return Backend.TENSORFLOW
