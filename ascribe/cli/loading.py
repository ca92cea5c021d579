"""Models and data named on the command line, each with the Python code that loads it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, InputError


@dataclass
class Loaded:
    """The arguments of a model from a file: positional ones, keywords, what a tokenizer returned, and the code that loads them."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    encoding: Any = None
    code: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)


def load_factory(name: str, what: str) -> tuple[Any, list[str]]:
    """Returns what ``package.module:factory`` makes, and the code for it. The folder of the call is importable.

    Raises ArgumentError where there is no such module or name.
    """
    module, _, factory = name.partition(":")
    if not module or not factory:
        raise ArgumentError(f"The {what} is named by its module and factory", found=f"{name!r:.120}", advice="package.module:factory")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name):
            raise
        raise ArgumentError(
            f"There is no module {module!r:.120}", found=str(error), advice="a module of this folder, or an installed one"
        ) from error
    if not hasattr(home, factory):
        names = ", ".join(name for name in vars(home) if not name.startswith("_"))
        raise ArgumentError(f"The module {module} has no {factory!r:.80}", found=f"{names:.300}", advice=f"{module}:name")
    made = getattr(home, factory)
    call = "()" if is_factory(made) else ""
    return (made() if call else made), [f'{what} = importlib.import_module("{module}").{factory}{call}']


def is_factory(value: Any) -> bool:
    """True for a function or a class that makes a model when it is called without arguments; False for a model itself."""
    if inspect.isclass(value):
        return True
    if not inspect.isfunction(value):
        return False
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in inspect.signature(value).parameters.values()
    )


def load_data(path: Path, size: str | None, tokenizer: str | None) -> Loaded:
    """Returns the arguments in a file. Raises InputError for a missing file, another kind of file, and data that cannot be read."""
    if not path.is_file():
        raise InputError("There is no such file of data", found=str(path), advice="a path to an existing file")
    readers: dict[str, Callable[[Path], Loaded]] = {
        ".npy": read_npy, ".npz": read_npz, ".safetensors": read_tensors, ".csv": read_csv, ".parquet": read_parquet,
        ".png": lambda p: read_image(p, size), ".jpg": lambda p: read_image(p, size), ".jpeg": lambda p: read_image(p, size),
        ".txt": lambda p: read_text(p, tokenizer),
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError("This kind of file is not read", found=path.name, advice=", ".join(readers))
    try:
        return reader(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"The file {path.name} could not be read", found=f"{error}"[:300], advice="a valid file without pickled objects"
        ) from error


def read_npy(path: Path) -> Loaded:
    """Returns the array of a file as the only argument."""
    return Loaded([np.load(path, allow_pickle=False)], code=[f"x = np.load({str(path)!r}, allow_pickle=False)"], imports={"numpy as np"})


def read_npz(path: Path) -> Loaded:
    """Returns the arrays of a file: ``arr_0`` and so on by position, others by name."""
    with np.load(path, allow_pickle=False) as file:
        return by_name({name: file[name] for name in file.files}, f"np.load({str(path)!r}, allow_pickle=False)", "numpy as np")


def read_tensors(path: Path) -> Loaded:
    """Returns the arrays of a safetensors file by their names."""
    from safetensors.numpy import load_file

    return by_name(load_file(path), f"load_file({str(path)!r})", "safetensors.numpy:load_file")


def by_name(arrays: dict[str, np.ndarray], source: str, needed: str) -> Loaded:
    """Returns arrays as arguments: ``arr_0`` and so on, and a single ``x``, by position, others by name."""
    first = sorted((name for name in arrays if name.startswith("arr_")), key=lambda name: int(name[4:]) if name[4:].isdigit() else 0)
    first = first or [name for name in arrays if name == "x" and len(arrays) == 1]
    code = [f"file = {source}", f"args = [file[name] for name in {first!r}]"]
    code.append(f"kwargs = {{name: file[name] for name in {[n for n in arrays if n not in first]!r}}}")
    return Loaded([arrays[name] for name in first], {n: a for n, a in arrays.items() if n not in first}, code=code, imports={needed})


def read_csv(path: Path) -> Loaded:
    """Returns a table with the names of its columns."""
    return Loaded([import_pandas().read_csv(path)], code=[f"x = pd.read_csv({str(path)!r})"], imports={"pandas as pd"})


def read_parquet(path: Path) -> Loaded:
    """Returns a table with the names of its columns."""
    try:
        return Loaded([import_pandas().read_parquet(path)], code=[f"x = pd.read_parquet({str(path)!r})"], imports={"pandas as pd"})
    except ImportError as error:
        raise InputError("Parquet files need pyarrow", found="pyarrow is not installed", advice="pip install pyarrow") from error


def import_pandas() -> Any:
    """Returns pandas. Raises InputError where it is not installed."""
    try:
        return import_module("pandas")
    except ImportError as error:
        raise InputError("Tables need pandas", found="pandas is not installed", advice="pip install 'ascribe[data]'") from error


def read_image(path: Path, size: str | None) -> Loaded:
    """Returns an image as float32 ``[1, 3, height, width]`` from 0 to 1; ``size`` is ``HxW``."""
    try:
        image = import_module("PIL.Image")
    except ImportError as error:
        raise InputError("Images need Pillow", found="Pillow is not installed", advice="pip install pillow") from error
    picture, code = image.open(path).convert("RGB"), f"Image.open({str(path)!r}).convert('RGB')"
    if size is not None:
        height, _, width = size.lower().partition("x")
        if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
            raise InputError("`--size` is a height and a width", found=size, advice="--size 224x224")
        picture, code = picture.resize((int(width), int(height))), f"{code}.resize(({int(width)}, {int(height)}))"
    pixels = np.moveaxis(np.asarray(picture, np.float32) / 255, -1, 0)[None]
    return Loaded(
        [pixels], code=[f"x = np.moveaxis(np.asarray({code}, np.float32) / 255, -1, 0)[None]"], imports={"numpy as np", "PIL:Image"}
    )


def read_text(path: Path, tokenizer: str | None) -> Loaded:
    """Returns one text for each line, as token ids."""
    if tokenizer is None:
        raise InputError("Texts need a tokenizer", found=path.name, advice="--tokenizer package.module:factory")
    made, code = load_factory(tokenizer, "tokenizer")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    encoding = made(lines, return_tensors="pt", padding=len(lines) > 1, return_token_type_ids=False)
    code += [f"lines = [line for line in open({str(path)!r}, encoding='utf-8').read().splitlines() if line.strip()]"]
    code += [f"encoding = tokenizer(lines, return_tensors='pt', padding={len(lines) > 1}, return_token_type_ids=False)"]
    return Loaded([], dict(encoding), encoding, [*code, "args, kwargs = [], dict(encoding)"])


def fit_to_model(loaded: Loaded, model: Any, records: str | None) -> None:
    """Selects records, and turns arrays into tensors of the type of a PyTorch model's parameters, in place."""
    simple = len(loaded.args) == 1 and not loaded.kwargs
    if simple:
        loaded.code.append("args, kwargs = [x], {}") if not any("args" in line for line in loaded.code) else None
    if records is not None:
        place = parse_slice(records)
        loaded.args = [x[place] for x in loaded.args]
        loaded.kwargs = {name: x[place] for name, x in loaded.kwargs.items()}
        loaded.code.append(f"args, kwargs = [x[{records}] for x in args], {{name: x[{records}] for name, x in kwargs.items()}}")
        if loaded.encoding is not None:
            raise InputError("`--records` does not apply to texts", found=f"--records {records}", advice="a file with these lines")
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module) or loaded.encoding is not None:
        return
    kind = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.float32)
    loaded.args = [as_tensor(x, kind) for x in loaded.args]
    loaded.kwargs = {name: as_tensor(x, kind) for name, x in loaded.kwargs.items()}
    loaded.imports |= {"torch", "numpy as np"}
    loaded.code += [
        "tensor = lambda x: torch.as_tensor(np.asarray(x)).to("
        f"{kind}) if np.asarray(x).dtype.kind == 'f' else torch.as_tensor(np.asarray(x))",
        "args, kwargs = [tensor(x) for x in args], {name: tensor(x) for name, x in kwargs.items()}",
    ]


def as_tensor(x: Any, kind: Any) -> Any:
    """Returns an array or a table as a tensor; numbers with a fraction get the type of the model's parameters."""
    import torch

    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise InputError("A PyTorch model needs numbers", found=f"a column of type {array.dtype}", advice="numeric columns, or a pipeline")
    tensor = torch.as_tensor(np.ascontiguousarray(array))
    return tensor.to(kind) if array.dtype.kind == "f" else tensor


def parse_slice(text: str) -> slice:
    """Returns ``0:10`` as a slice; a single number is one record. Raises InputError for other texts."""
    parts = text.split(":")
    if len(parts) > 2 or not all(part == "" or part.lstrip("-").isdigit() for part in parts) or text in ("", "-"):
        raise InputError("`--records` is a range", found=f"--records {text}", advice="--records 0:10")
    first, last = (int(part) if part else None for part in (parts if len(parts) == 2 else (parts[0], str(int(parts[0]) + 1))))
    return slice(first, last)
