"""Errors for inputs that are not arrays (lists, texts, sparse matrices, data loaders), with code that converts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Number
from typing import Any

import numpy as np

from ..arrays import is_array, is_table
from ..errors import InputError
from .call import Call

Description = tuple[str, str, str]
"""What the value is, and the expressions that convert it to a tensor and to an array."""

TOKENS = 'inputs = tokenizer(texts, return_tensors="pt", padding=True), then (model, **inputs)'
WORDS = (
    "words as features: x = np.array([text.split()], dtype=object), "
    'f = lambda rows: model.predict_proba([" ".join(filter(None, row)) for row in rows]), then (f, x) with by=asc.Replace("")'
)
LOOP = "a call for each batch: for x, y in loader: method(model, x, of=y)"


def error_without_arrays(call: Call, tensors: bool) -> InputError:
    """Returns the error for a call without arrays, with the type of the arguments; ``tensors`` is True for PyTorch models."""
    given = [*((f"input {i}", a) for i, a in enumerate(call.args)), *call.kwargs.items()]
    wanted = "a tensor" if tensors else "an array"
    usual = "attribute(model, x, ...) with " + ("the model's own arguments" if tensors else "NumPy arrays or pandas tables")
    for name, value in given:
        result = describe_value(value)
        if result is not None:
            what, tensor, array = result
            there = f"{name} is {what}"
            return InputError(f"The model is called without {wanted}", found=there, advice=tensor if tensors else array)
    there = ", ".join(f"{name}: {type(value).__name__}" for name, value in given)
    return InputError(f"The model is called without {wanted}", found=there, advice=usual)


def describe_value(value: Any) -> Description | None:
    """Returns the description of a value and its conversions; None if it is unknown."""
    return next((result for question in DESCRIPTIONS if (result := question(value)) is not None), None)


def describe_texts(value: Any) -> Description | None:
    """Describes texts: one, a list, or a column of a table."""
    if isinstance(value, str):
        return f"the text {value[:30]!r}", TOKENS, WORDS
    if is_column(value) and not is_row(value) and len(value) and all(isinstance(v, str) for v in value):
        return f"a column of {len(value)} texts", TOKENS, WORDS.replace("[text.split()]", "[text.split() for text in texts]")
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        return f"a list of {len(value)} texts", TOKENS, f"{WORDS}; texts of several lengths one by one"
    return None


def describe_row(value: Any) -> Description | None:
    """Describes a row or a column of a table."""
    if not is_column(value):
        return None
    if is_row(value):
        tensor = 'torch.tensor(row.to_numpy("float32"))[None]'
        return f"a row of a table as a {type(value).__name__}", tensor, "the row as a table, which keeps the types: table.iloc[[0]]"
    what = f"a column of {len(value)} values as a {type(value).__name__}"
    return what, 'torch.tensor(column.to_numpy("float32"))[:, None], or [None] for one record', "column.to_frame(), or x.to_numpy()[None]"


def describe_table(value: Any) -> Description | None:
    """Describes tables: pandas tables given to a network, and tables of other libraries."""
    if is_table(value):
        return f"a table ({type(value).__name__})", 'torch.tensor(table.to_numpy("float32"))', "table.to_pandas()"
    if hasattr(value, "column_names") and hasattr(value, "to_pandas"):
        return f"a {type(value).__name__}", 'torch.tensor(table.to_pandas().to_numpy("float32"))', "table.to_pandas()"
    return None


def describe_sparse(value: Any) -> Description | None:
    """Describes sparse matrices, such as the output of TfidfVectorizer."""
    if not (hasattr(value, "nnz") and hasattr(value, "toarray")):
        return None
    ids = "features=np.where(x != 0, np.arange(x.shape[1]), -1) and by=0.0 remove only the elements that are not 0"
    return f"a sparse matrix of shape {value.shape}", "torch.tensor(x.toarray()).float()", f"x = x.toarray(); {ids}"


def describe_array(value: Any) -> Description | None:
    """Describes arrays without a batch dimension or without numbers."""
    if not is_array(value):
        return None
    if not getattr(value, "shape", ()):
        return "a single number", "torch.tensor([[x]])", "np.array([[x]])"
    if getattr(value.dtype, "kind", "") in "OUS":
        return f"an array of type {value.dtype}", 'torch.tensor(x.astype("float32")), or ids for words', 'x.astype("float32")'
    return f"an array of {type(value).__module__.partition('.')[0]}", "torch.tensor(np.asarray(x))", "np.asarray(x)"


def describe_list(value: Any) -> Description | None:
    """Describes numbers in lists: one record, or several."""
    if isinstance(value, Number):
        return "a number", "torch.tensor([[x]])", "np.array([[x]])"
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if all(isinstance(v, Number) for v in value):
        return f"a list of {len(value)} numbers", "torch.tensor([x], dtype=torch.float32) for one record", "np.array([x]) for one record"
    if all(isinstance(v, (list, tuple)) for v in value):
        whole = all(isinstance(v, Integral) for row in value for v in row)  # ids stay ids
        return f"a list of {len(value)} lists", "torch.tensor(x)" if whole else "torch.tensor(x, dtype=torch.float32)", "np.stack(x)"
    if all(isinstance(v, Mapping) for v in value):
        return f"a list of {len(value)} dictionaries", 'torch.tensor(pandas.DataFrame(x).to_numpy("float32"))', "pandas.DataFrame(x)"
    inside = next((result for v in value if (result := describe_value(v)) is not None), None)
    return None if inside is None else (f"a list of {len(value)}, the first of them {inside[0]}", *inside[1:])


def describe_mapping(value: Any) -> Description | None:
    """Describes a record given as a dict of columns."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(v, (str, Number, type(None))) for v in value.values()):
        return None
    return "a record as a dictionary", "torch.tensor([list(x.values())])", "pandas.DataFrame([x])"


def describe_loader(value: Any) -> Description | None:
    """Describes data sets and data loaders."""
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and "Dataset" in str(type(value).__mro__):
        first = "stack([data[i][0] for i in range(8)])"
        return f"a data set ({type(value).__name__})", f"x = torch.{first}", f"x = np.{first}"
    if hasattr(value, "dataset") or (hasattr(value, "__iter__") and not isinstance(value, (str, bytes, list, tuple, Mapping))):
        return f"batches of a {type(value).__name__}", LOOP, LOOP
    return None


def describe_image(value: Any) -> Description | None:
    """Describes Pillow images."""
    if not (hasattr(value, "getbands") and hasattr(value, "convert")):
        return None
    tensor = "torch.from_numpy(np.asarray(image)).movedim(-1, 0)[None].float() / 255, or the transform or processor of the model"
    return "a Pillow image", tensor, "np.asarray(image)[None]"


DESCRIPTIONS: tuple[Callable[[Any], Description | None], ...] = (
    describe_texts,
    describe_row,
    describe_table,
    describe_sparse,
    describe_image,
    describe_array,
    describe_list,
    describe_mapping,
    describe_loader,
)


def is_column(value: Any) -> bool:
    """True for a row or a column of a table, such as a pandas Series."""
    return hasattr(value, "to_frame") and getattr(value, "ndim", 1) == 1 and not hasattr(value, "columns")


def is_row(value: Any) -> bool:
    """True for a row of a table: its entries have names."""
    index = getattr(value, "index", None)
    return index is not None and not callable(index) and len(index) > 0 and all(isinstance(label, str) for label in index)


def holds_texts(array: Any) -> bool:
    """True for an array ``[records]`` with one text per record, whose words are not separate features."""
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "OUST":
        return False
    return bool(len(array)) and all(isinstance(text, str) and len(text.split()) > 1 for text in array)
