"""Files with the arguments of a model: arrays, tables, images, texts. Each is read with the lines of Python that read it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AscribeError
from .loading import Loaded
from .output import UsageError

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Data:
    """The arguments of a model: an array or a table, a list of positional arguments, or a dict of keyword arguments.

    ``code`` has the lines that make it as the variable ``name``, ``imports`` what they import. ``columns`` are the names of the columns
    of a table that is an array now.
    """

    value: Any
    name: str
    code: tuple[str, ...]
    imports: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None

    def each(self, change: Callable[[Any], Any], code: str, *imports: str) -> Data:
        """Returns every array or table changed; ``code`` is the change as an expression of ``{0}``."""
        name = self.name
        if isinstance(self.value, dict):
            value: Any = {key: change(one) for key, one in self.value.items()}
            line = f"{name} = {{name: {code.format('one')} for name, one in {name}.items()}}"
        elif isinstance(self.value, list):
            value, line = [change(one) for one in self.value], f"{name} = [{code.format('one')} for one in {name}]"
        else:
            value, line = change(self.value), f"{name} = {code.format(name)}"
        return replace(self, value=value, code=(*self.code, line), imports=(*self.imports, *imports))

    @property
    def leaves(self) -> list[Any]:
        """The arrays and tables."""
        return list(self.value.values()) if isinstance(self.value, dict) else self.value if isinstance(self.value, list) else [self.value]


@dataclass(frozen=True)
class Reading:
    """What reading a file needs besides its path: the size of images, the tokenizer of texts, the framework, which texts."""

    size: Size | None = None
    tokenizer: Loaded | None = None
    framework: str = ""
    texts: slice | list[int] | None = None


def read_file(path: Path, name: str, reading: Reading) -> Data:
    """Returns the content of a file as the variable ``name``. Raises UsageError for a file that is missing or cannot be read."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UsageError(f"Files {path.suffix or 'without a suffix'} are not read", found=str(path), advice=" ".join(READERS))
    if not path.is_file():
        near = get_close_matches(path.name, [one.name for one in path.parent.iterdir()], 1) if path.parent.is_dir() else []
        raise UsageError("There is no such file", found=str(path), advice=str(path.parent / near[0]) if near else "the path of a file")
    try:
        return read(path, name, reading)
    except AscribeError:
        raise
    except ImportError as error:
        raise UsageError(
            f"{path.suffix} files need a package", found=str(error), advice=f"pip install {PACKAGES[path.suffix.lower()]}"
        ) from error
    except (ValueError, OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    except Exception as error:  # parsers have errors of their own: safetensors, pyarrow, Pillow
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> UsageError:
    """Returns the error for a file that its reader refuses."""
    pickled = "allow_pickle" in str(error) or "pickled" in str(error)
    advice = "np.save(path, array) of an array of numbers; pickles run code and are not opened" if pickled else "a file of another writer"
    return UsageError(f"The file {path} cannot be read", found=f"{type(error).__name__}: {str(error)[:300]}", advice=advice)


def read_npy(path: Path, name: str, _: Reading) -> Data:
    """Reads one array."""
    value = np.load(path, allow_pickle=False)
    if not isinstance(value, np.ndarray):
        raise ValueError("an archive of arrays, named .npy")
    return Data(value, name, (f"{name} = np.load({str(path)!r}, allow_pickle=False)",), ("import numpy as np",))


def read_npz(path: Path, name: str, _: Reading) -> Data:
    """Reads arrays by name; arrays named arr_0, arr_1, ... are positional arguments."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    opened = f"file = np.load({str(path)!r}, allow_pickle=False)"
    count = len(arrays)
    if not count:
        raise ValueError("no arrays")
    if set(arrays) != {f"arr_{k}" for k in range(count)}:
        return Data(arrays, name, (opened, f"{name} = dict(file)"), ("import numpy as np",))
    if count == 1:
        return Data(arrays["arr_0"], name, (opened, f'{name} = file["arr_0"]'), ("import numpy as np",))
    value = [arrays[f"arr_{k}"] for k in range(count)]
    return Data(value, name, (opened, f'{name} = [file[f"arr_{{k}}"] for k in range({count})]'), ("import numpy as np",))


def read_safetensors(path: Path, name: str, reading: Reading) -> Data:
    """Reads arrays by name as keyword arguments: tensors for PyTorch models, else NumPy arrays."""
    if reading.framework == "torch":
        from safetensors.torch import load_file

        return Data(load_file(path), name, (f"{name} = load_file({str(path)!r})",), ("from safetensors.torch import load_file",))
    from safetensors.numpy import load_file as load_arrays

    return Data(load_arrays(path), name, (f"{name} = load_file({str(path)!r})",), ("from safetensors.numpy import load_file",))


def read_csv(path: Path, name: str, _: Reading) -> Data:
    """Reads a table with a header."""
    import pandas as pd

    return Data(pd.read_csv(path), name, (f"{name} = pd.read_csv({str(path)!r})",), ("import pandas as pd",))


def read_parquet(path: Path, name: str, _: Reading) -> Data:
    """Reads a table."""
    import pandas as pd

    return Data(pd.read_parquet(path), name, (f"{name} = pd.read_parquet({str(path)!r})",), ("import pandas as pd",))


def read_image(path: Path, name: str, reading: Reading) -> Data:
    """Reads an image as float32 ``[1, 3, height, width]`` in [0, 1], upright, resized if there is a size."""
    from PIL import Image, ImageOps

    lines = [f"image = ImageOps.exif_transpose(Image.open({str(path)!r})).convert('RGB')".replace("'RGB'", '"RGB"')]
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    if reading.size is not None:
        height, width = reading.size
        image = image.resize((width, height))
        lines.append(f"image = image.resize(({width}, {height}))")
    value = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    lines.append(f"{name} = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255")
    return Data(value, name, tuple(lines), ("import numpy as np", "from PIL import Image, ImageOps"))


def read_text(path: Path, name: str, reading: Reading) -> Data:
    """Reads one text from each line that is not empty, and gives the list to the tokenizer."""
    if reading.tokenizer is None:
        raise UsageError("A file of texts needs a tokenizer", found=str(path), advice="--tokenizer module:factory")
    texts = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    lines = [
        f'lines = Path({str(path)!r}).read_text("utf-8").splitlines()',
        "texts = [line for line in lines if line.strip()]",
    ]
    if isinstance(reading.texts, slice):
        texts = texts[reading.texts]
        lines.append(f"texts = texts[{format_slice(reading.texts)}]")
    elif reading.texts is not None:
        texts = [texts[k] for k in reading.texts]
        lines.append(f"texts = [texts[k] for k in {reading.texts}]")
    if not texts:
        raise ValueError("no texts")
    tokenizer = reading.tokenizer
    options: dict[str, Any] = {}
    if hasattr(tokenizer.value, "pad_token") and hasattr(tokenizer.value, "convert_ids_to_tokens"):  # of Hugging Face
        options = {"return_tensors": "pt" if reading.framework == "torch" else "np", "padding": True}
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    value = tokenizer.value(texts, **options)
    lines += [f"tokenizer = {tokenizer.code}", f"{name} = tokenizer(texts{given})"]
    if isinstance(value, Mapping):
        value, lines[-1] = dict(value), f"{name} = dict(tokenizer(texts{given}))"
    elif isinstance(value, (tuple, list)):
        value, lines[-1] = list(value), f"{name} = list(tokenizer(texts{given}))"
    return Data(value, name, tuple(lines), ("from pathlib import Path", f"import {tokenizer.module}"))


def format_slice(it: slice) -> str:
    """Returns a slice as it is written: ``0:10``."""
    parts = ["" if one is None else str(one) for one in (it.start, it.stop)]
    return ":".join(parts) + ("" if it.step is None else f":{it.step}")


READERS: Mapping[str, Callable[[Path, str, Reading], Data]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".png": read_image,
    ".jpg": read_image,
    ".jpeg": read_image,
    ".txt": read_text,
}
"""The reader of files by their suffix."""
PACKAGES = {
    ".csv": "'ascribe[data]'",
    ".parquet": "'ascribe[data]' pyarrow",
    ".png": "'ascribe[images]'",
    ".jpg": "'ascribe[images]'",
    ".jpeg": "'ascribe[images]'",
    ".safetensors": "safetensors",
    ".npy": "numpy",
    ".npz": "numpy",
    ".txt": "the packages of the tokenizer",
}
"""What to install where the packages of a reader are missing."""
