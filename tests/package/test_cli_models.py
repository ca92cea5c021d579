"""The commands that run models: every kind of data, what goes where, wrong input of each kind, and the program that does the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ascribe.cli import commands as cli
from ascribe.cli.expressions import parse_quantity, parse_value, qualify, split_list
from ascribe.errors import ArgumentError
from ascribe.result.attribution import Attribution

MODELS = """
import numpy as np
import torch
from torch import nn


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2)).eval()


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(3, 2)

    def forward(self, x, more):
        return self.a(x) + self.b(more)


def table(rows):
    return np.asarray(rows, float) @ np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])


linear = table


def text():
    torch.manual_seed(0)

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(9, 5), nn.Linear(5, 2)

        def forward(self, input_ids, attention_mask):
            return self.head(torch.tanh(self.embedding(input_ids) * attention_mask[..., None]).mean(1))

    return Bag().eval()


def tokenizer():
    import tokenizers
    import transformers

    words = {"[PAD]": 0, "[UNK]": 1, "good": 2, "film": 3, "<b>bad": 4}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_models.py").write_text(MODELS)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(6, 4)))
    np.savez(tmp_path / "two.npz", arr_0=rng.normal(size=(5, 4)), more=rng.normal(size=(5, 3)))
    save_file({"x": rng.normal(size=(5, 4))}, tmp_path / "x.safetensors")
    (tmp_path / "t.csv").write_text("age,<b>bmi,dose\n1,2,3\n4,5,6\n7,8,10\n")
    (tmp_path / "t.txt").write_text("good film\n<b>bad film film\n\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cli_models", raising=False)
    return tmp_path


def run(*words: str) -> int:
    return cli.main(list(words))


@pytest.mark.parametrize(
    ("model", "data", "more", "shape"),
    [
        ("cli_models:mlp", "x.npy", ["--of", "1", "--records", "0:3"], [3, 4]),
        ("cli_models:mlp", "x.safetensors", ["--method", "Saliency(signed=True)"], [5, 4]),
        ("cli_models:mlp", "x.npy", ["--method", "DeepLift", "--at", "0", "--of", "Contrast(0, 1)"], [6, 6]),
        ("cli_models:linear", "t.csv", ["--method", "ShapleyExact", "--background", "t.csv", "--of", "0"], [3, 3]),
        ("cli_models:mlp", "x.npy", ["--method", "KernelShap(40, by=Resample(background))", "--background", "x.npy"], [6, 4]),
        ("cli_models:text", "t.txt", ["--tokenizer", "cli_models:tokenizer", "--of", "1"], [2, 3]),
    ],
)
def test_explain_and_its_program_agree(
    folder: Path, model: str, data: str, more: list[str], shape: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    if data.endswith("txt"):
        pytest.importorskip("tokenizers")
    assert run("explain", model, data, *more, "--out", "a.safetensors", "--seed", "3") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("method")
    assert all(len(line) <= 140 for line in shown.out.splitlines())
    a = Attribution.load(folder / "a.safetensors")
    assert list(a.values.shape) == shape
    assert run("explain", model, data, *more, "--out", "b.safetensors", "--seed", "3", "--show-code") == 0
    program = capsys.readouterr().out
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment(folder))
    assert done.returncode == 0, done.stderr
    b = Attribution.load(folder / "b.safetensors")
    np.testing.assert_allclose(b.values, a.values, rtol=1e-5, atol=1e-7)
    assert (b.method, b.axes) == (a.method, a.axes)


def environment(folder: Path) -> dict[str, str]:
    import os

    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, str(folder)])}


def test_several_arrays_are_named_arguments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "cli_models:Two", "two.npz", "--of", "1", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["shapes"] == [[5, 4], [5, 3]]
    assert facts["ok"] is True
    assert len(facts["explained"]) == len(facts["gap"]) == 5


def test_an_image_of_a_given_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((20, 30, 3), 100, np.uint8)).save(folder / "i.png")
    assert run("explain", "cli_models:cnn", "i.png", "--size", "8x8", "--method", "GradCam", "--json") == 0
    assert json.loads(capsys.readouterr().out)["shapes"] == [[1, 1, 6, 6]]
    assert run("explain", "cli_models:cnn", "i.png", "--size", "8") == 1
    assert "224x224" in capsys.readouterr().err


def test_compare_prints_scores_and_writes_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "compare",
        "cli_models:mlp",
        "x.npy",
        "--methods",
        "Saliency, IntegratedGradients(steps=8)",
        "--of",
        "1",
        "--metrics",
        "Sparseness",
    ]
    assert run(*words, "--out", "c.html") == 0
    shown = capsys.readouterr()
    assert "IntegratedGradients" in shown.out
    assert "Sparseness" in shown.out
    assert (folder / "c.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(*words, "--show-code") == 0
    program = capsys.readouterr().out
    assert (
        "asc.compare(model, *args, methods=[asc.Saliency(), asc.IntegratedGradients(steps=8)], metrics=[asc.metrics.Sparseness()]"
        in program
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=environment(folder)).returncode == 0


def test_reports_of_saved_results_and_of_methods(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method, name in (("Saliency", "a"), ("InputXGradient", "b")):
        assert run("explain", "cli_models:mlp", "x.npy", "--of", "1", "--method", method, "--out", f"{name}.safetensors") == 0
    assert run("report", "a.safetensors", "b.safetensors", "-o", "saved.html", "--title", "<b>T") == 0
    page = (folder / "saved.html").read_text(encoding="utf-8")
    assert "InputXGradient" in page
    assert "<b>T" not in page
    assert run("report", "cli_models:mlp", "x.npy", "--methods", "Saliency,DeepLift", "--of", "1", "-o", "m.html") == 0
    assert (folder / "m.html").is_file()
    capsys.readouterr()
    assert run("report", "cli_models:mlp", "x.npy", "--methods", "Saliency,DeepLift", "--of", "1", "-o", "p.html", "--show-code") == 0
    program = capsys.readouterr().out
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=environment(folder)).returncode == 0
    assert (folder / "p.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "cli_models", "x.npy"], "package.module:factory"),
        (["explain", "no_such_module:f", "x.npy"], "no module 'no_such_module'"),
        (["explain", "cli_models:nothing", "x.npy"], "has no 'nothing'"),
        (["explain", "cli_models:mlp", "missing.npy"], "no such file"),
        (["explain", "cli_models:mlp", "cli_models.py"], "not read"),
        (["explain", "cli_models:mlp", "pickled.npy"], "could not be read"),
        (["explain", "cli_models:mlp", "x.npy", "--method", "IntegratedGradient"], "IntegratedGradients"),
        (["explain", "cli_models:mlp", "x.npy", "--method", "__import__('os').system('touch hacked')"], "literals only"),
        (["explain", "cli_models:mlp", "x.npy", "--method", "Saliency.__class__"], "no module"),
        (["explain", "cli_models:mlp", "x.npy", "--method", "Unit(1)"], "must be a method"),
        (["explain", "cli_models:mlp", "x.npy", "--method", "Saliency("], "no expression"),
        (["explain", "cli_models:mlp", "x.npy", "--of", "9"], "out of range"),
        (["explain", "cli_models:mlp", "x.npy", "--records", "a:b"], "0:10"),
        (["explain", "cli_models:mlp", "t.txt"], "--tokenizer"),
        (["report", "a.html", "b"], "results, or a model"),
        (["report", "none.safetensors"], "no such result"),
    ],
)
def test_wrong_input_is_an_error_of_ours(folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert run(*words) in (1, 2)
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert not (folder / "hacked").exists()


def test_expressions_are_read_and_never_run() -> None:
    import ascribe as asc

    assert parse_value("IntegratedGradients(0.5, steps=8)", {}) == asc.IntegratedGradients(0.5, steps=8)
    assert parse_value("LRP(rules.EPSILON_PLUS)", {}) == asc.LRP(asc.rules.EPSILON_PLUS)
    assert parse_value("GradCam", {}) == asc.GradCam()
    assert parse_value("Replace(-1.5)", {}) == asc.Replace(-1.5)
    for text in (
        "lambda: 1",
        "[x for x in (1,)]",
        "1 + 1",
        "Saliency(*[1])",
        "Saliency(**{})",
        "f'{1}'",
        "errors.__class__",
        "sys",
        "a.b.c",
    ):
        with pytest.raises(ArgumentError):
            parse_value(text, {})
    assert qualify("KernelShap(200, by=Resample(background))", {"background": 1}) == "asc.KernelShap(200, by=asc.Resample(background))"
    assert qualify("rules.Epsilon(0.1)") == "asc.rules.Epsilon(0.1)"
    assert split_list("A(1, [2, 3]), B('x,y') ,C") == ["A(1, [2, 3])", "B('x,y')", "C"]
    assert parse_quantity("0,2,1", {}) == [0, 2, 1]
    assert parse_quantity("tabby cat", {}) == "tabby cat"


def test_methods_fit_the_width_and_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("methods") == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert [line for line in shown.splitlines() if line in ("Gradients", "Class activation maps", "Shapley and Owen values")] != []
    assert run("methods", "IntegratedGradients") == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
