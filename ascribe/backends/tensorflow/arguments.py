"""The arguments of a TensorFlow model: NumPy rows of them for the engine, tensors for the model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ...calls.call import Call
from ...cuts import Cut, accessor_path
from ...errors import CutError, InputError
from ...tree import Path, map_leaves
from ...utils.ragged import Ragged
from ..arguments import may_be_ids
from ..blackbox.arguments import Inputs
from .axes import WHOLE, Axis
from .namespace import xp

OPAQUE = (tf.RaggedTensor, tf.SparseTensor)
"""Kinds of arrays that are passed through unchanged, row by row where they have one for each record."""


class TensorflowInputs(Inputs):
    """Positional and keyword arguments as one tree of NumPy arrays.

    NumPy's floating arrays get the type of the model's variables, ``dtype``, where they all have the same. Tensors keep theirs.
    """

    def __init__(self, call: Call, dtype: tf.DType | None) -> None:
        self.kinds: dict[Path, tf.DType] = {}
        self.short: dict[Path, np.dtype[Any]] = {}
        """The types of NumPy arrays that NumPy itself does not compute with: bfloat16."""
        self.dtype, self.numpy = dtype, True
        check_dense(self.given(call))
        super().__init__(call)
        self.numpy = not any(isinstance(leaf, (tf.Tensor, tf.Variable, *OPAQUE)) for leaf in self.given(call))

    @staticmethod
    def given(call: Call) -> list[Any]:
        """The arguments as they were given."""
        found: list[Any] = []
        map_leaves((call.args, call.kwargs), lambda _, leaf: found.append(leaf))
        return found

    def _array(self, path: Path, leaf: Any) -> Any:
        if isinstance(leaf, (tf.Tensor, tf.Variable)):
            self.kinds[path] = leaf.dtype
            return xp.numpy(leaf)
        if isinstance(leaf, np.ndarray) and leaf.dtype.name == "bfloat16":
            self.short[path] = leaf.dtype
            leaf = leaf.astype(np.float32)
        leaf = super()._array(path, leaf)
        if isinstance(leaf, np.ndarray):
            if leaf.dtype.kind == "f" and self.dtype is not None:
                self.kinds[path] = self.dtype
                return leaf.astype(np.float32 if self.dtype.size < 4 else self.dtype.as_numpy_dtype)
            self.kinds[path] = tf.string if leaf.dtype.kind in "OUS" else tf.as_dtype(leaf.dtype)
        return leaf

    def explained(self, start: Path) -> list[Path]:
        """As for other models. Raises InputError for complex numbers."""
        found = super().explained(start)
        if any(self.leaves[p].dtype.kind == "c" for p in found):
            there = ", ".join(str(tuple(self.leaves[p].shape)) for p in found)
            advice = "asc.attribute(lambda z: model(tf.complex(z[..., 0], z[..., 1])), x), with real and imaginary parts as numbers"
            raise InputError("Inputs of complex numbers cannot be explained", found=there, advice=advice, code="E-INPUT-COMPLEX")
        return found

    def differentiable(self, cut: Cut) -> list[Path]:
        """The floating arguments under a cut at the input. Raises CutError where there is none."""
        found = [p for p in self.explained(accessor_path(cut)) if self.leaves[p].dtype.kind == "f"]
        if not found:
            there = ", ".join(f"{self.kinds[p].name} {tuple(self.leaves[p].shape)}" for p in self.own)
            problem = f"`{cut!r}` holds integers or words, which have no gradient"
            raise CutError(problem, found=there, advice="at=asc.EMBEDDINGS, or a layer by its name", code="E-CUT-INTEGER")
        return found

    def axis_of(self, path: Path) -> Axis:
        """Where an argument keeps its records."""
        axis = self.axis(path)
        if isinstance(axis, Ragged):
            return Axis(rows=axis)
        if self.counted.whole and len(self.leaves[path]) != 1:
            return WHOLE
        return Axis(axis)

    @property
    def floating(self) -> list[Path]:
        """The explained floating arguments; none where there are only integers and words."""
        under = self.own if self.only is None else [p for p in self.own if p[1] in self.only]
        return [p for p in under if self.leaves[p].dtype.kind == "f" and "mask" not in str(p[1])]

    @property
    def ids(self) -> list[Path]:
        """The integers that belong to records and may be ids; without any, floating ones without a fraction, which Keras makes of ids."""
        kinds = {p: self.leaves[p] for p in self.own if may_be_ids(p)}
        whole = [p for p, a in kinds.items() if a.dtype.kind == "f" and a.size and (a >= 0).all() and np.array_equal(a, np.rint(a))]
        return [p for p, a in kinds.items() if a.dtype.kind in "iu"] or whole

    def signature(self, call: Call) -> Hashable:
        """Equal for calls with arguments of the same structure, shapes and types, and with the same records."""
        leaves = [(path, tuple(a.shape), self.kinds[path].name if path in self.kinds else a.dtype.str) for path, a in self.leaves.items()]
        others = [leaf for leaf in self.given(call) if not hasattr(leaf, "shape")]
        return self.records, tuple(leaves), repr(others), None if self.only is None else tuple(self.only)

    def tensor(self, path: Path, array: np.ndarray) -> Any:
        """An argument as a tensor of the type it was given in."""
        kind = self.kinds[path]
        if kind == tf.string:
            return tf.convert_to_tensor(np.asarray(array).tolist(), tf.string)
        if kind.is_integer and array.dtype.kind == "f":
            array = np.rint(array)
        return tf.cast(tf.convert_to_tensor(np.ascontiguousarray(array)), kind)

    def tensors(self, index: np.ndarray, points: int, news: Mapping[Path, np.ndarray]) -> Any:
        """The tree of arguments as tensors for some records, all of them ``points`` times, but for the rows in ``news``."""
        whole = np.array_equal(index, np.arange(self.records)) and points == 1

        def change(path: Path, leaf: Any) -> Any:
            if isinstance(leaf, np.ndarray) and path in self.kinds:
                return self.tensor(path, leaf)
            if isinstance(leaf, OPAQUE) and not whole:
                return opaque_rows(leaf, np.tile(index, points), self.records)
            return leaf

        return map_leaves(self.rows(index, points, news), change)


def check_dense(leaves: list[Any]) -> None:
    """Raises InputError where the only arrays are ragged or sparse."""
    if any(isinstance(leaf, (tf.Tensor, tf.Variable, np.ndarray)) for leaf in leaves):
        return
    opaque = next((leaf for leaf in leaves if isinstance(leaf, OPAQUE)), None)
    if opaque is not None:
        ragged = isinstance(opaque, tf.RaggedTensor)
        problem = f"{'Ragged' if ragged else 'Sparse'} tensors cannot be explained; next to other inputs they are passed through unchanged"
        advice = (
            "asc.attribute(lambda x: model(tf.RaggedTensor.from_tensor(x, lengths=n)), x.to_tensor())"
            if ragged
            else "tf.sparse.to_dense(x)"
        )
        raise InputError(problem, found=f"a {type(opaque).__name__} of shape {tuple(opaque.shape)}", advice=advice, code="E-INPUT-LAYOUT")


def opaque_rows(leaf: Any, rows: np.ndarray, records: int) -> Any:
    """Rows of a ragged or sparse tensor, if it has one for each record; otherwise the tensor itself."""
    if isinstance(leaf, tf.RaggedTensor):
        return tf.gather(leaf, rows) if int(leaf.nrows()) == records else leaf
    if int(leaf.dense_shape[0]) != records:
        return leaf
    each = tf.sparse.split(sp_input=leaf, num_split=records, axis=0)
    return tf.sparse.concat(0, [each[r] for r in rows])
