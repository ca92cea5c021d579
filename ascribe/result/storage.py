"""Results as files: a safetensors file with the arrays, and JSON in its header for everything else. No pickle.

Texts, for which safetensors has no type, are stored as UTF-8 JSON (see ``object_arrays``). bfloat16, which NumPy does not have, is
written with PyTorch and read without it: its bits are the upper half of those of a float32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import is_array
from ..errors import ResultError
from ..features.table import FeatureTable
from ..tree import children
from ..utils.files import write_atomically
from . import headers
from .attribution import Attribution
from .object_arrays import encode_objects, is_words

if TYPE_CHECKING:
    from os import PathLike

FORMAT = 1
"""The format version; it increases when older readers would misread a file."""
CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
TYPES = {code: np.dtype(name).newbyteorder("<") for name, code in CODES.items() if code != "BF16"} | {"BF16": np.dtype("<u2")}
ARRAYS = ("explained", "prediction", "target", "rows", "base_value")
GAPS = ("gap.absolute", "gap.relative")
HEADER = 100_000_000
"""The maximum size in bytes of a header that safetensors reads."""


@dataclass(frozen=True)
class StoredArray:
    """An array as stored in a file: little-endian, bfloat16 as 16-bit integers."""

    code: str
    array: np.ndarray

    def numpy(self) -> np.ndarray:
        """Returns the array as NumPy; bfloat16 becomes float32, which represents all of its values."""
        if self.code == "BF16":
            return (self.array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return self.array.astype(self.array.dtype.newbyteorder("="))

    def torch(self) -> Any:
        """Returns the array as a PyTorch tensor of its original type."""
        import torch

        if self.code == "BF16":
            return torch.from_numpy(self.array.astype(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(self.numpy())


def encode_array(array: Any) -> StoredArray:
    """Returns an array of any framework in the form of a file. Raises ResultError for types that cannot be saved."""
    name = getattr(array.dtype, "name", str(array.dtype).removeprefix("torch."))
    if name not in CODES:
        advice = f"a.to_numpy(), or values of one of the types {', '.join(CODES)}"
        raise ResultError("Arrays of this type cannot be saved", found=f"an array of type {name}", advice=advice)
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if name == "bfloat16":
            import torch

            array = array.contiguous().view(torch.int16)
        array = array.numpy()
    bits = np.asarray(array)
    return StoredArray(CODES[name], bits.view(np.uint16) if name == "bfloat16" else bits)


def save(a: Attribution, path: str | PathLike[str]) -> None:
    """Writes a result to ``path`` atomically: the file is complete or unchanged."""
    tensors: dict[str, StoredArray] = {}
    known: dict[str, Any] = {name: getattr(a, name) for name in ARRAYS}
    known |= {"gap.absolute": a.gap.absolute, "gap.relative": a.gap.relative} if a.gap else {}
    if a.features is not None:
        known |= {"features.values": a.features.values, "features.error": a.features.error}
        known |= {f"features.places.{k}": place for k, place in enumerate(a.features.places)}
    table = a.features
    described = {
        "values": _described(a.values, "values", tensors),
        "record": _described(a.record, "record", tensors),
        "error": _described(a.error, "error", tensors),
        "features": None if table is None else {"names": table.names, "told": table.description, "arrays": len(table.places)},
        "cut": a.cut,
        "quantity": a.quantity,
        "method": a.method,
        "class_names": a.class_names,
        "checks": [asdict(check) for check in a.checks],
        "cost": asdict(a.cost) if a.cost else None,
        "settings": dict(a.settings),
        "axes": [asdict(one) for one in a.axes],
    }
    tensors |= {name: encode_array(np.asarray(array)) for name, array in known.items() if array is not None}
    try:
        text = json.dumps({"format": FORMAT, "sealed": True} | described, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultError(
            "The settings cannot be written as JSON", found=str(error), advice="dataclasses.replace(a, settings={})"
        ) from error
    try:
        _result(json.loads(text), tensors, lambda array: array.array)  # do not write a file that cannot be read
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        fix = "dataclasses.replace(a, ...) with valid fields"
        raise ResultError(
            "The fields of this result do not fit together, so that it cannot be saved", found=str(error), advice=fix
        ) from error
    write_safetensors(Path(path), tensors, {"ascribe": text, "sha256": compute_checksum(text, tensors)})


def load(path: str | PathLike[str], framework: str) -> Attribution:
    """Returns the result in the file at ``path``, with ``values`` and ``record`` as arrays of ``framework``.

    Raises ResultError if the file is no result or is damaged.
    """
    if framework not in ("numpy", "torch"):
        raise ResultError("`framework=` must be 'numpy' or 'torch'", found=f"framework={framework!r}", advice='framework="numpy"')
    tensors, metadata = read_safetensors(Path(path))
    try:
        text = json.loads(metadata["ascribe"])
        version = text["format"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ResultError(
            f"The file {path} is not a result of ascribe",
            found=f"metadata {sorted(metadata)}",
            advice="a file written by Attribution.save()",
        ) from None
    if version != FORMAT:
        problem = f"This version of ascribe reads format {FORMAT} only"
        raise ResultError(problem, found=f"format {version!r:.20} in {path}", advice="pip install -U ascribe")
    try:
        if (text.get("sealed") or "sha256" in metadata) and metadata.get("sha256") != compute_checksum(metadata["ascribe"], tensors):
            raise ValueError("The checksum does not match the content")
        return _result(text, tensors, StoredArray.torch if framework == "torch" else StoredArray.numpy)
    except ImportError as error:
        raise ResultError("`framework='torch'` needs PyTorch", found=str(error), advice="framework='numpy'") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ResultError(f"The file {path} is damaged", found=str(error), advice="a.save(path) again, or a copy of the file") from error


def _result(text: Mapping[str, Any], tensors: Mapping[str, StoredArray], make: Callable[[StoredArray], Any]) -> Attribution:
    """Returns the result that a header and its arrays describe. Raises ValueError if they are not valid."""
    headers.check_types(text)
    known = {name: tensors[name].numpy() if name in tensors else None for name in (*ARRAYS, *GAPS)}
    error = headers.rebuild_value(text["error"], tensors, make, plain=False) if text.get("error") else None
    a = Attribution(
        headers.rebuild_value(text["values"], tensors, make, plain=False),
        headers.rebuild_value(text["record"], tensors, make, plain=True),
        text["cut"],
        text["quantity"],
        text["method"],
        class_names=None if text["class_names"] is None else tuple(text["class_names"]),
        gap=headers.read_gap(*(known.pop(name) for name in GAPS)),
        checks=headers.read_checks(text),
        cost=headers.read_cost(text),
        settings=text["settings"],
        error=error,
        features=_features(text.get("features"), tensors),
        axes=headers.read_axes(text),
        **known,
    )
    headers.check_consistency(a)
    return a


def _features(header: Any, tensors: Mapping[str, StoredArray]) -> FeatureTable | None:
    """Returns the feature table that a header describes."""
    if header is None:
        return None
    values, error = (tensors.get(f"features.{name}") for name in ("values", "error"))
    if values is None:
        raise ValueError("The table of features has no values")
    names = None if header["names"] is None else tuple(header["names"])
    places = [tensors.get(f"features.places.{k}") for k in range(header.get("arrays", 0))]
    result = tuple(None if place is None else place.numpy() for place in places)
    return FeatureTable(values.numpy(), None if error is None else error.numpy(), names, header["told"], result)


def compute_checksum(text: str, tensors: Mapping[str, StoredArray]) -> str:
    """Returns the SHA-256 checksum of a file's content: the header text, and every array with its name, type, shape and elements."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, tensor.code, tensor.array.shape]).encode())
        digest.update(np.ascontiguousarray(tensor.array, TYPES[tensor.code]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_safetensors(path: Path, tensors: Mapping[str, StoredArray], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file atomically. Raises ResultError if the header is too large."""
    from safetensors import SafetensorError

    try:
        if any(t.code == "BF16" for t in tensors.values()):  # a type that NumPy does not have
            from safetensors.torch import save as packed_tensors

            raw = packed_tensors({name: t.torch().clone() for name, t in tensors.items()}, dict(metadata))
        else:
            from safetensors.numpy import save as packed_arrays

            raw = packed_arrays({name: np.array(t.array, TYPES[t.code], order="C") for name, t in tensors.items()}, dict(metadata))
    except SafetensorError as error:
        size = sum(map(len, metadata.values()))
        raise ResultError(
            "This result cannot be written to a safetensors file",
            found=f"{error}; settings, names and checks have {size:,} bytes of at most {HEADER:,}",
            advice="dataclasses.replace(a, settings={})",
        ) from error
    if len(raw) >= 8 and int.from_bytes(raw[:8], "little") > HEADER:  # safetensors does not read such a file
        raise ResultError(
            "The settings, names and checks are too large for a file",
            found=f"{int.from_bytes(raw[:8], 'little'):,} bytes of at most {HEADER:,}",
            advice="dataclasses.replace(a, settings={})",
        )
    write_atomically(path, raw)


def read_safetensors(path: Path) -> tuple[dict[str, StoredArray], dict[str, str]]:
    """Returns the arrays and the metadata of a safetensors file, which is read once."""
    from safetensors import SafetensorError, deserialize

    raw = path.read_bytes()
    try:
        tensors = {name: _array(**entry) for name, entry in deserialize(raw)}  # type: ignore[no-untyped-call]
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        there = f"{type(error).__name__}: {error}"
        raise ResultError(
            f"The file {path} is not a complete safetensors file", found=there, advice="a file written by Attribution.save()"
        ) from error
    return tensors, header.get("__metadata__") or {}


def _array(*, dtype: str, shape: list[int], data: bytes) -> StoredArray:
    return StoredArray(dtype, np.frombuffer(bytearray(data), TYPES[dtype]).reshape(shape))


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"A value of type {type(value).__name__} has no form in JSON: {value!r:.60}")


def _described(value: Any, name: str, tensors: dict[str, StoredArray], depth: int = 0) -> Any:
    """Returns the structure of ``value`` as JSON, and adds its arrays to ``tensors`` under names that begin with ``name``."""
    if depth > headers.DEEP:
        raise ResultError(
            "This value is nested too deeply to be saved", found=f"more than {headers.DEEP} levels", advice="a flatter structure"
        )
    if is_array(value):
        while name in tensors:  # {"a.b": x, "a": {"b": y}}
            name += "'"
        if is_words(value):
            raw, about = encode_objects(value)
            tensors[name] = StoredArray("U8", raw)
            return {"words": about | {"array": name}}
        tensors[name] = encode_array(value)
        return {"array": name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"plain": value}
    parts = children(value)
    if parts is None or not all(isinstance(key, (int, str)) for key, _ in parts):
        raise ResultError(
            "A result can be saved if its values are arrays, or tuples, lists and dicts of arrays",
            found=f"{type(value).__name__} at {name}",
            advice="a.to_numpy()",
        )
    kind = "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "dict"
    return {kind: [[key, _described(part, _key(f"{name}.{key}"), tensors, depth + 1)] for key, part in parts]}


def _key(name: str) -> str:
    """Returns a name without lone surrogates, which UTF-8 cannot encode."""
    return name.encode("utf-8", "backslashreplace").decode()
