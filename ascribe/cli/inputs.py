"""The arguments of a model from a file: which columns, which records, and the arrays that the model's framework takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..arrays import is_table
from ..backends.recognise import framework
from ..calls.call import Call
from .files import Data, Reading, format_slice, read_file
from .output import UsageError

Records = slice | list[int] | None


def parse_records(text: str | None) -> Records:
    """Returns the value of ``--records``: ``0:10``, ``5`` or ``0,3,8``. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        if ":" in text:
            parts = [int(part) if part.strip() else None for part in text.split(":")]
            return slice(*parts)
        return [int(part) for part in text.split(",")]
    except (ValueError, TypeError) as error:
        raise UsageError("The records cannot be read", found=f"--records {text}", advice="--records 0:10 or --records 0,3,8") from error


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Returns the value of ``--size``, height and width. Raises UsageError for anything else."""
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and 0 < int(height) <= 20_000 and 0 < int(width) <= 20_000):
        raise UsageError("The size cannot be read", found=f"--size {text}", advice="--size 224x224, height and width")
    return int(height), int(width)


def model_framework(model: Any, data: Any = None) -> str:
    """Returns the framework of a model: "torch", "jax", "keras", "tensorflow", "numpy" or "blackbox"."""
    return framework(model, Call() if data is None else Call(data))


def read_inputs(path: Path, name: str, model: Any, reading: Reading, columns: str | None, records: Records) -> Data:
    """Returns the arguments of a model as its framework takes them. Raises UsageError for what does not fit."""
    is_text = path.suffix.lower() == ".txt"
    data = read_file(path, name, replace(reading, texts=records if is_text else None))
    data = select_columns(data, columns)
    if not is_text:
        data = select_records(data, records)
    return for_framework(data, model, reading.framework)


def select_columns(data: Data, columns: str | None) -> Data:
    """Returns some columns of a table. Raises UsageError for a column that does not exist, and for data that is no table."""
    if columns is None:
        return data
    if not is_table(data.value):
        raise UsageError("Only tables have columns", found=f"--columns {columns}", advice="a .csv or .parquet file")
    chosen = [name.strip() for name in columns.split(",")]
    known = [str(name) for name in data.value.columns]
    missing = [name for name in chosen if name not in known]
    if missing:
        raise UsageError(f"The table has no column {', '.join(missing)}", found=", ".join(known[:20]), advice=f"--columns {known[0]}")
    return data.each(lambda table: table[chosen], f"{{0}}[{braced(repr(chosen))}]")


def braced(text: str) -> str:
    """Returns a text for a format string."""
    return text.replace("{", "{{").replace("}", "}}")


def select_records(data: Data, records: Records) -> Data:
    """Returns some records of every array that has them: those with the length of the first. Raises UsageError if there are none left."""
    if records is None:
        return data
    count = next((len(one) for one in data.leaves if getattr(one, "shape", ())), 0)
    if isinstance(records, list) and any(not -count <= k < count for k in records):
        raise UsageError("A record is out of range", found=f"{records} of {count} records", advice=f"--records 0:{count}")
    if isinstance(records, slice) and not range(count)[records]:
        there = f"--records {format_slice(records)} of {count} records"
        raise UsageError("No records are left", found=there, advice=f"--records 0:{count}")
    written = format_slice(records) if isinstance(records, slice) else str(records)
    if len(data.leaves) == 1 and not isinstance(data.value, (dict, list)):
        if is_table(data.value):
            return data.each(lambda one: one.iloc[records], f"{{0}}.iloc[{written}]")
        return data.each(lambda one: one[records], f"{{0}}[{written}]")
    return data.each(
        lambda one: one[records] if one.shape[:1] == (count,) else one, f"{{0}}[{written}] if {{0}}.shape[:1] == ({count},) else {{0}}"
    )


def for_framework(data: Data, model: Any, family: str) -> Data:
    """Returns arrays as a model takes them: tensors in the data type of the parameters for PyTorch modules, tables as arrays."""
    first = data.leaves[0]
    if is_table(first) and family != "blackbox":
        data = table_as_array(data, "float64" if family == "torch" else "float32")
    return as_tensors(data, model) if family == "torch" else data


def as_tensors(data: Data, model: Any) -> Data:
    """Returns tensors; floating ones get the data type of the parameters, and all the device of the model."""
    import torch

    if not all(isinstance(one, torch.Tensor) for one in data.leaves):
        data = data.each(torch.as_tensor, "torch.as_tensor({0})", "import torch")
    weights = model.parameters() if isinstance(model, torch.nn.Module) else ()
    weight = next((p for p in weights if p.is_floating_point()), torch.empty(0))
    if any(one.is_floating_point() and one.dtype != weight.dtype for one in data.leaves):
        each = isinstance(data.value, (dict, list))
        code = f"{{0}}.to({weight.dtype}) if {{0}}.is_floating_point() else {{0}}" if each else f"{{0}}.to({weight.dtype})"
        data = data.each(lambda one: one.to(weight.dtype) if one.is_floating_point() else one, code, "import torch")
    if weight.device.type != "cpu":
        data = data.each(lambda one: one.to(weight.device), f"{{0}}.to({str(weight.device)!r})")
    return data


def table_as_array(data: Data, kind: str) -> Data:
    """Returns a table as an array of numbers. Raises UsageError for columns of words."""
    words = [str(name) for name, column in data.value.items() if column.dtype.kind not in "biuf"]
    if words:
        there = f"the columns {', '.join(words[:8])} hold other values"
        keep = [str(name) for name in data.value.columns if str(name) not in words]
        raise UsageError("A network takes numbers only", found=there, advice=f"--columns {','.join(keep[:4]) or 'A,B'}")
    names = tuple(str(name) for name in data.value.columns)
    named = replace(data, code=(*data.code, f"columns = list({data.name}.columns)")) if data.name == "x" else data
    return replace(named.each(lambda table: table.to_numpy(kind), f"{{0}}.to_numpy({kind!r})"), columns=names)
