"""Wrong input of each kind on the command line: one message that says what was not found, the exit code 2, nothing on standard output."""

from __future__ import annotations

import ast
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import ascribe as asc
from ascribe.cli import main
from ascribe.cli.expressions import Expression, read_cut, read_methods, read_metrics, read_quantity
from ascribe.cli.files import Data, Reading, read_file
from ascribe.cli.inputs import for_framework, parse_records, parse_size, select_records
from ascribe.cli.loading import folder_on_path, load_object
from ascribe.cli.output import UsageError

from . import cli_models as models

NET = "cli_models:network"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of models and data, some of it damaged."""
    (tmp_path / "cli_models.py").write_text(Path(models.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "broken_import.py").write_text("import a_package_that_is_missing\n", encoding="utf-8")
    (tmp_path / "broken_syntax.py").write_text("def (\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).normal(size=(5, 4)))
    np.save("objects.npy", np.array([{"a": 1}], dtype=object))
    np.savez("objects.npz", x=np.array([{"a": 1}], dtype=object))
    np.savez("empty.npz")
    Path("pickled.npy").write_bytes(pickle.dumps({"a": 1}))
    Path("empty.npy").write_bytes(b"")
    Path("empty.csv").write_bytes(b"")
    Path("empty.txt").write_bytes(b"\n\n")
    Path("text.png").write_bytes(b"no image")
    Path("text.safetensors").write_bytes(b"no tensors")
    pd.DataFrame({"age": [1.0, 2.0], "to\x1bwn": ["A", "B"]}).to_csv("words.csv", index=False)
    Path("texts.txt").write_text("one text\n", encoding="utf-8")
    return tmp_path


WRONG: dict[str, tuple[list[str], str]] = {
    "no file": ([NET, "y.npy"], "There is no such file. Found: y.npy. Try: x.npy."),
    "no suffix": ([NET, "x"], "without a suffix"),
    "a suffix": ([NET, "x.pkl"], "Files .pkl are not read"),
    "objects in npy": ([NET, "objects.npy"], "pickles run code and are not opened"),
    "objects in npz": ([NET, "objects.npz"], "pickles run code and are not opened"),
    "a pickle": ([NET, "pickled.npy"], "pickles run code and are not opened"),
    "an empty file": ([NET, "empty.npy"], "The file empty.npy cannot be read"),
    "no arrays": ([NET, "empty.npz"], "no arrays"),
    "an empty table": ([NET, "empty.csv"], "The file empty.csv cannot be read"),
    "no image": ([NET, "text.png"], "The file text.png cannot be read"),
    "no tensors": ([NET, "text.safetensors"], "The file text.safetensors cannot be read"),
    "words in a table": ([NET, "words.csv"], r"the columns to\x1bwn hold other values. Try: --columns age."),
    "a column": ([NET, "words.csv", "--columns", "aged"], r"no column aged. Found: age, to\x1bwn"),
    "columns of an array": ([NET, "x.npy", "--columns", "age"], "Only tables have columns"),
    "no tokenizer": ([NET, "texts.txt"], "Try: --tokenizer module:factory."),
    "no texts": ([NET, "empty.txt", "--tokenizer", "cli_models:tokenizer"], "no texts"),
    "records": ([NET, "x.npy", "--records", "first"], "The records cannot be read. Found: --records first."),
    "records out of range": ([NET, "x.npy", "--records", "3,9"], "of 5 records"),
    "no records left": ([NET, "x.npy", "--records", "7:"], "No records are left"),
    "a size": ([NET, "x.npy", "--size", "224"], "--size 224x224, height and width"),
    "no module": (["cli_modelz:network", "x.npy"], "There is no module cli_modelz"),
    "no function": (["cli_models:netwerk", "x.npy"], "Try: cli_models:network."),
    "no colon": (["cli_models", "x.npy"], "not given as module:factory"),
    "a path": (["cli_models.py:network()", "x.npy"], "not given as module:factory"),
    "a number": (["cli_models:number", "x.npy"], "cli_models:number is of the class int"),
    "a failure": (["cli_models:fails", "x.npy"], r"RuntimeError: no weights \x1b[31m here (cli_models.py, line"),
    "nothing": (["cli_models:nothing", "x.npy"], "cli_models:nothing returned nothing"),
    "an argument": (["cli_models:needs", "x.npy"], "missing 1 required positional argument: 'path'"),
    "an import": (["broken_import:make", "x.npy"], "No module named 'a_package_that_is_missing'"),
    "a syntax error": (["broken_syntax:make", "x.npy"], "SyntaxError"),
    "a method": ([NET, "x.npy", "--method", "Salience"], "Try: Saliency."),
    "an argument of a method": ([NET, "x.npy", "--method", "IntegratedGradients(n_steps=8)"], "IntegratedGradients(steps=8)"),
    "no background": ([NET, "x.npy", "--method", "ExpectedGradients"], "Try: --background FILE."),
    "two methods": ([NET, "x.npy", "--method", "Saliency,LRP"], "takes one method"),
    "a folder": ([NET, "x.npy", "--out", "no/a.safetensors"], "Try: mkdir -p no."),
    "hostile": ([NET, "\x1b[31m.npy"], r"Found: \x1b[31m.npy."),
}  # fmt: skip
"""The words after ``ascribe explain``, and a part of the message."""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_2_and_says_what_was_not_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, part = WRONG[name]
    assert main(["explain", *words]) == 2
    said = capsys.readouterr()
    assert part in " ".join(said.err.split())
    assert said.err.rstrip().endswith("]")
    assert said.out == ""
    assert "\x1b" not in said.err


def test_names_of_files_and_of_commands_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", NET, "x.npy", "--method", "Saliency", "--out", "\x1b[31m.safetensors"]) == 0
    assert r"wrote \x1b[31m.safetensors" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["\x1b[31mdance"])
    assert caught.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken.safetensors").mkdir()
    assert main(["explain", NET, "x.npy", "--method", "Saliency", "--out", "taken.safetensors"]) == 1
    assert "taken.safetensors" in capsys.readouterr().err


BAD = [
    "__import__('os').system('echo hi')",
    "(lambda: 1)()",
    "Saliency().__class__",
    "Saliency(**{'a': 1})",
    "Saliency(*[1])",
    "IntegratedGradients(steps=2**30)",
    "IntegratedGradients(steps=[k for k in range(3)])",
    "IntegratedGradients(steps=1e999)",
    "IntegratedGradients(baseline=b'x')",
    "IntegratedGradients(baseline=f'{1}')",
    "open('x.npy')",
    "compat.facades()",
    "asc.methods.base.Method()",
    "attribute()",
    "Attribution.load('a')",
    "METHODS",
    "metrics.RelevanceGain()",
    "Saliency), (Saliency",
    "Saliency; Saliency",
    "((((((",
    "",
    "Saliency," * 400,
]
"""Texts that are no list of methods."""


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_expressions_have_classes_of_ascribe_and_literals_only(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_methods(text, {})
    assert caught.value.code == "E-USAGE"


GOOD = {
    "Saliency": asc.Saliency(),
    "asc.IntegratedGradients(steps=64)": asc.IntegratedGradients(steps=64),
    "IntegratedGradients(-1.5, quadrature='trapezoid')": asc.IntegratedGradients(-1.5, quadrature="trapezoid"),
    "DeepLift(baseline=[0.0, -1.0])": asc.DeepLift(baseline=[0.0, -1.0]),
    "KernelShap(64, by=Replace(0.5), features=Grid(8))": asc.KernelShap(64, by=asc.Replace(0.5), features=asc.Grid(8)),
    "LRP(rules.Epsilon(0.1))": asc.LRP(asc.rules.Epsilon(0.1)),
    "LRP(by=rules.EPSILON_PLUS)": asc.LRP(by=asc.rules.EPSILON_PLUS),
    "AttnLRP()": asc.AttnLRP(),
    "methods.At(Saliency(), EMBEDDINGS)": asc.methods.At(asc.Saliency(), asc.EMBEDDINGS),
}


@pytest.mark.parametrize("text", GOOD)
def test_expressions_are_the_values_that_python_makes(text: str) -> None:
    ((written, found),) = read_methods(text, {}).items()
    assert found.value == GOOD[text]
    assert written == ast.unparse(ast.parse(text))
    assert eval(found.code, {"asc": asc}) == GOOD[text]


def test_lists_of_methods_and_metrics_and_the_background() -> None:
    rows = {"background": Expression(np.ones((2, 4)), "background")}
    found = read_methods("Saliency, ExpectedGradients(samples=2), KernelShap, KernelShap(by=Replace(0.0)), DeepLift(background)", rows)
    assert [one.code for one in found.values()] == [
        "asc.Saliency()",
        "asc.ExpectedGradients(samples=2, background=background)",
        "asc.KernelShap(by=asc.Resample(background))",
        "asc.KernelShap(by=asc.Replace(0.0))",
        "asc.DeepLift(background)",
    ]
    assert all(eval(one.code, {"asc": asc, "background": np.ones((2, 4))}) == one.value for one in found.values())
    assert [one.code for one in read_metrics("RelevanceGain,Sensitivity(samples=2)", {}).values()] == [
        "asc.metrics.RelevanceGain()",
        "asc.metrics.Sensitivity(samples=2)",
    ]
    with pytest.raises(UsageError, match="twice"):
        read_methods("Saliency,Saliency", {})
    with pytest.raises(UsageError, match="RelevanceGain"):
        read_metrics("RelevanceGian", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None), ("3", 3), ("-1", -1), ("[0, 2]", [0, 2]), ("golden retriever", "golden retriever"), ("cat", "cat"),
        ("'3'", "3"), ("n02-cat", "n02-cat"), ("Contrast(3, 5)", asc.Contrast(3, 5)), ("Prob(1)", asc.Prob(1)),
        ("PredictedClass", asc.PredictedClass()), ("Unit(3, on=Cut('layer1'))", asc.Unit(3, on=asc.Cut("layer1"))),
    ],
)  # fmt: skip
def test_quantities(text: str | None, value: object) -> None:
    found = read_quantity(text, {})
    assert found.value == value
    assert type(found.value) is type(value)
    assert eval(found.code, {"asc": asc}) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None), ("0", "0"), ("encoder.layer.2", "encoder.layer.2"), ("layer1", "layer1"), ("EMBEDDINGS", asc.EMBEDDINGS),
        ("Cut('layer1', 'in')", asc.Cut("layer1", "in")), ("['0', '2']", ["0", "2"]),
    ],
)  # fmt: skip
def test_cuts(text: str | None, value: object) -> None:
    found = read_cut(text, {})
    assert found.value == value
    assert eval(found.code, {"asc": asc}) == value


@pytest.mark.parametrize("text", ["__import__('os')", "open('x')", "Contrast(1, __import__('os'))"])
def test_quantities_are_not_executed(text: str) -> None:
    with pytest.raises(UsageError):
        read_quantity(text, {})


def test_records_and_sizes() -> None:
    assert parse_records("0:10") == slice(0, 10)
    assert parse_records(":-1") == slice(None, -1)
    assert parse_records("::2") == slice(None, None, 2)
    assert parse_records("5") == [5]
    assert parse_records("0,3") == [0, 3]
    assert parse_size("224x112") == (224, 112)
    data = Data({"x": np.arange(6).reshape(3, 2), "shared": np.arange(2), "scale": np.array(2.0)}, "x", ())
    chosen = select_records(data, slice(0, 2))
    assert {name: one.shape for name, one in chosen.value.items()} == {"x": (2, 2), "shared": (2,), "scale": ()}
    names = {"x": data.value}
    exec("\n".join(chosen.code), names)
    assert all(np.array_equal(names["x"][name], one) for name, one in chosen.value.items())


def test_images_are_upright_and_scaled() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = (255, 0, 51)
    turned = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: viewers rotate the image by 90 degrees to the right
    turned.save("turned.png", exif=exif)
    found = read_file(Path("turned.png"), "x", Reading()).value
    assert (found.shape, found.dtype) == ((1, 3, 6, 4), np.float32)
    np.testing.assert_allclose(found[0, :, 0, 3], [1.0, 0.0, 0.2], rtol=1e-6)
    Image.fromarray(pixels[..., 0]).save("grey.jpg")
    assert read_file(Path("grey.jpg"), "x", Reading(size=(8, 10))).value.shape == (1, 3, 8, 10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_arrays_go_to_the_device_of_the_model() -> None:
    data = for_framework(Data(np.ones((2, 4)), "x", ()), torch.nn.Linear(4, 3).cuda(), "torch")
    assert data.value.device.type == "cuda"
    names = {"x": np.ones((2, 4)), "torch": torch}
    exec("\n".join(data.code), names)
    assert torch.equal(names["x"], data.value)


def test_tensors_get_the_data_type_of_the_parameters_and_ids_keep_theirs() -> None:
    data = Data({"x": np.ones((2, 4)), "ids": np.ones((2, 3), np.int32)}, "x", ())
    found = for_framework(data, torch.nn.Linear(4, 3).bfloat16(), "torch")
    assert [one.dtype for one in found.leaves] == [torch.bfloat16, torch.int32]
    assert all(isinstance(one, np.ndarray) for one in for_framework(data, None, "blackbox").leaves)


def test_archives_of_one_and_of_several_arrays() -> None:
    np.savez("one.npz", np.ones(3))
    np.savez("many.npz", *(np.full(2, k) for k in range(12)))
    assert read_file(Path("one.npz"), "x", Reading()).value.shape == (3,)
    assert [one[0] for one in read_file(Path("many.npz"), "x", Reading()).value] == list(range(12))


def test_parquet_says_what_to_install_or_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def read(path: object) -> pd.DataFrame:
        return pd.DataFrame({"age": [1.0, 2.0]})

    def missing(path: object) -> None:
        raise ImportError("Missing optional dependency 'pyarrow'")

    Path("x.parquet").write_bytes(b"")
    monkeypatch.setattr(pd, "read_parquet", read)
    assert list(read_file(Path("x.parquet"), "x", Reading()).value["age"]) == [1.0, 2.0]
    monkeypatch.setattr(pd, "read_parquet", missing)
    assert main(["explain", NET, "x.parquet"]) == 2
    assert "pip install 'ascribe[data]' pyarrow" in capsys.readouterr().err


def test_a_model_at_the_place_of_a_factory_is_taken_as_it_is() -> None:
    Path("ready_made.py").write_text(
        "import cli_models\nnet = cli_models.network()\nclass Maker:\n    make = staticmethod(cli_models.function)\n"
    )
    with folder_on_path():
        net = load_object("ready_made:net")
        assert net.value is sys.modules["ready_made"].net
        assert net.code == "ready_made.net"
        assert load_object("ready_made:Maker.make").code == "ready_made.Maker.make()"
    assert str(Path.cwd()) not in sys.path


def test_a_report_of_other_files_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["text.safetensors"], ["no.safetensors"], [NET, "x.npy"], [NET], ["text.safetensors", "--methods", "Saliency"]):
        assert main(["report", *words, "-o", "r.html"]) == 2
        assert "[E-USAGE]" in capsys.readouterr().err
    assert not Path("r.html").exists()
