"""``ascribe explain``, ``compare`` and ``report`` on models and data from files: the values are those of the same calls in Python."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import ascribe as asc
from ascribe.cli import main
from ascribe.cli.files import READERS
from ascribe.result.attribution import Attribution

from . import cli_models as models

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(asc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
"""For processes in another folder: the package that is tested."""
X = np.random.default_rng(0).normal(size=(6, 4))
HOSTILE = "we\x1b[31might"
COLUMNS = ["age", "height", HOSTILE, "income"]
NET, FUNCTION, PIPELINE, CONV, TWO, TEXT = (
    f"cli_models:{name}" for name in ("network", "function", "pipeline", "convolution", "two_inputs", "text_model")
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of models and data of every kind."""
    (tmp_path / "cli_models.py").write_text(Path(models.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.savez("positional.npz", X, X[:, :2])
    np.savez("named.npz", x=X, extra=X[:, :2])
    save_file({"x": torch.tensor(X), "extra": torch.tensor(X[:, :2])}, "named.safetensors")
    pd.DataFrame(X, columns=COLUMNS).to_csv("x.csv", index=False)
    people = pd.DataFrame({"age": [25.0, 45.0, 31.0], "height": [1.8, 1.6, 1.7], "town": ["A", "B", "B"]})
    people.to_csv("people.csv", index=False)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8)).save("photo.png")
    Path("texts.txt").write_text("a small text\n\none more line of words\nlast one\n", encoding="utf-8")
    return tmp_path


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> Attribution:
    """The result that a command saves; its exit code is 0."""
    assert main(["explain", *words, "--out", "a.safetensors"]) == 0
    assert "wrote a.safetensors" in capsys.readouterr().err
    return Attribution.load("a.safetensors")


def tensor(*shape: slice) -> torch.Tensor:
    return torch.tensor(X[shape], dtype=torch.float32)


CASES: dict[str, tuple[list[str], Callable[[], Attribution]]] = {
    "npy": (
        [NET, "x.npy", "--of", "1", "--method", "IntegratedGradients(steps=8)", "--records", "0:3"],
        lambda: asc.IntegratedGradients(steps=8)(models.network(), tensor(slice(0, 3)), of=1),
    ),
    "csv": (
        [NET, "x.csv", "--method", "Saliency", "--at", "1"],
        lambda: asc.Saliency()(models.network(), tensor(), at="1"),
    ),
    "seed and background": (
        [NET, "x.npy", "--method", "ExpectedGradients(samples=4)", "--background", "x.npy", "--seed", "3", "--records", "5,0"],
        lambda: asc.ExpectedGradients(tensor(), samples=4)(models.network(), tensor([5, 0]), seed=3),
    ),
    "quantity": (
        [NET, "x.npy", "--method", "InputXGradient", "--of", "Contrast(0, 2)"],
        lambda: asc.InputXGradient()(models.network(), tensor(), of=asc.Contrast(0, 2)),
    ),
    "keywords": (
        [TWO, "named.npz", "--method", "InputXGradient", "--of", "2", "--records", ":2"],
        lambda: asc.InputXGradient()(models.two_inputs(), x=tensor(slice(2)), extra=tensor(slice(2))[:, :2], of=2),
    ),
    "safetensors": (
        [TWO, "named.safetensors", "--method", "InputXGradient", "--of", "2"],
        lambda: asc.InputXGradient()(models.two_inputs(), x=tensor(), extra=tensor()[:, :2], of=2),
    ),
    "positional": (
        [TWO, "positional.npz", "--method", "IntegratedGradients(baseline=background, steps=4)", "--background", "positional.npz"],
        lambda: asc.IntegratedGradients(asc.Call(tensor(), tensor()[:, :2]), steps=4)(models.two_inputs(), tensor(), tensor()[:, :2]),
    ),
    "function": (
        [FUNCTION, "x.npy", "--of", "0", "--method", "ShapleyExact(by=Replace(0.5))"],
        lambda: asc.ShapleyExact(by=asc.Replace(0.5))(models.function(), X, of=0),
    ),
    "pipeline": (
        [PIPELINE, "people.csv", "--of", "yes", "--background", "people.csv", "--records", "0:2"],
        lambda: asc.KernelShap(by=asc.Resample(pd.read_csv("people.csv")))(models.pipeline(), pd.read_csv("people.csv")[:2], of="yes"),
    ),
    "image": (
        [CONV, "photo.png", "--method", "GradCam", "--size", "16x14"],
        lambda: asc.GradCam()(models.convolution(), photo(14, 16)),
    ),
    "texts": (
        [TEXT, "texts.txt", "--tokenizer", "cli_models:tokenizer", "--records", "1:", "--method", "Saliency"],
        lambda: asc.Saliency()(models.text_model(), models.tokenizer()(["one more line of words", "last one"])),
    ),
}  # fmt: skip
"""The words of a command, and the same call in Python."""


def photo(width: int, height: int) -> torch.Tensor:
    image = Image.open("photo.png").convert("RGB").resize((width, height))
    return torch.tensor(np.asarray(image) / np.float32(255)).permute(2, 0, 1)[None]


def same_values(a: Attribution, b: Attribution) -> None:
    """Single precision: the models are the same, and only the number of threads may differ."""
    mine, other = dict(a.arrays()), dict(b.arrays())
    assert mine.keys() == other.keys()
    for path in mine:
        np.testing.assert_allclose(np.asarray(mine[path], float), np.asarray(other[path], float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_explain_gives_the_values_of_the_call(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, call = CASES[name]
    same_values(explained(capsys, *words), call())


@pytest.mark.parametrize("name", CASES)
def test_the_shown_program_runs_and_gives_the_same_values(name: str, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    words, _ = CASES[name]
    a = explained(capsys, *words)
    Path("a.safetensors").rename("first.safetensors")
    assert main(["explain", *words, "--out", "a.safetensors", "--show-code"]) == 0
    assert not Path("a.safetensors").exists()
    monkeypatch.setattr(sys, "path", [".", *sys.path])
    exec(compile(capsys.readouterr().out, "program", "exec"), {"__name__": "program"})
    same_values(a, Attribution.load("a.safetensors"))


def test_the_program_runs_in_a_process_of_its_own(folder: Path) -> None:
    words = [sys.executable, "-m", "ascribe", "compare", NET, "x.csv", "--methods", "Saliency,InputXGradient", "--of", "1", "--show-code"]
    shown = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert shown.stderr == "a model that prints\n"
    (folder / "program.py").write_text(shown.stdout, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    assert "InputXGradient" in done.stdout


def test_results_are_on_stdout_and_the_rest_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", NET, "x.csv", "--method", "Saliency", "--records", "0:2", "--out", "a.safetensors"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("method   Saliency()")
    assert said.err == "a model that prints\nascribe: wrote a.safetensors\n"
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "\x1b" not in said.out
    assert "we\\x1b[31might" in said.out


def test_columns_keep_their_names_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    a = explained(capsys, NET, "x.csv", "--method", "IntegratedGradients(steps=8)")
    assert a.features is not None
    assert a.features.names == tuple(COLUMNS)
    np.testing.assert_allclose(a.features.values, a.values, rtol=1e-6)


def test_texts_have_a_value_for_each_token_and_the_tokens_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cli_models:transformer", "texts.txt", "--tokenizer", "cli_models:hugging_face", "--method", "InputXGradient", "--of", "pos"]
    a = explained(capsys, *words)
    texts = ["a small text", "one more line of words", "last one"]
    inputs = dict(models.hugging_face()(texts, return_tensors="pt", padding=True))
    direct = asc.InputXGradient()(models.transformer(), **inputs, of="pos")
    np.testing.assert_allclose(a.values, direct.values.sum(-1).numpy(), rtol=1e-4, atol=1e-7)
    assert main(["explain", *words]) == 0
    assert "tokens 0  [0] a [1] small [2] text [3] [PAD] [4] [PAD]" in capsys.readouterr().out
    assert main(["explain", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"][2] == ["last", "one", "[PAD]", "[PAD]", "[PAD]"]


def test_json_has_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", NET, "x.csv", "--method", "InputXGradient", "--of", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(found["values"], asc.InputXGradient()(models.network(), tensor(), of=1).values.numpy(), rtol=1e-5, atol=1e-7)
    assert found["names"] == COLUMNS
    assert found["ok"] is True


def test_a_failed_check_gives_1(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import torch\n\ndef make():\n    net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Sigmoid())\n"
    code += "    net[0].weight.data.fill_(200.0)\n    net[0].bias.data.fill_(-140.0)\n    return net.eval()\n"
    Path("steep.py").write_text(code, encoding="utf-8")
    np.save("ones.npy", np.ones((2, 1), np.float32))
    assert main(["explain", "steep:make", "ones.npy", "--of", "0", "--method", "IntegratedGradients(steps=2)"]) == 1
    assert "fail" in capsys.readouterr().out


def test_compare_prints_ranks_and_writes_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--methods", "Saliency,IntegratedGradients(steps=8)", "--metrics", "RelevanceGain,Sensitivity(samples=2)", "--of", "1"]
    assert main(["compare", NET, "x.csv", *words, "--out", "c.html"]) == 0
    said = capsys.readouterr().out
    assert "RelevanceGain: higher is better" in said
    assert "IntegratedGradients(steps=8)" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "IntegratedGradients(steps=8)" in Path("c.html").read_text(encoding="utf-8")
    assert main(["compare", NET, "x.csv", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    methods = {"Saliency": asc.Saliency(), "IntegratedGradients(steps=8)": asc.IntegratedGradients(steps=8)}
    metrics = {"RelevanceGain": asc.metrics.RelevanceGain(), "Sensitivity(samples=2)": asc.metrics.Sensitivity(samples=2)}
    c = asc.compare(models.network(), tensor(), methods=methods, metrics=metrics, of=1)
    np.testing.assert_allclose([row["mean"] for row in found["rows"]], [row["mean"] for row in c.table()], rtol=1e-4, atol=1e-6)


def test_compare_gives_1_where_a_method_does_not_apply(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", NET, "x.npy", "--methods", "Saliency,GradCam"]) == 1
    said = capsys.readouterr().out
    assert said.count("GradCam failed: MethodError") == 1


def test_report_of_saved_results_and_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Saliency", "InputXGradient"):
        assert main(["explain", NET, "x.csv", "--method", name, "--records", "0:2", "--out", f"{name}.safetensors"]) == 0
    assert main(["explain", FUNCTION, "x.npy", "--out", "f.safetensors"]) == 0
    capsys.readouterr()
    assert main(["report", "Saliency.safetensors", "InputXGradient.safetensors", "f.safetensors", "-o", "r.html", "--title", "<b>"]) == 0
    assert capsys.readouterr().out == "r.html\n"
    page = Path("r.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;</title>" in page
    assert "\x1b" not in page
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [card["title"] for card in data["cards"]] == ["Record 0", "Record 1", *(f"Record {k}" for k in range(6))]
    assert [[one["method"] for one in card["maps"]] for card in data["cards"][1:3]] == [
        ["Saliency()", "InputXGradient()"],
        ["KernelShap()"],
    ]
    assert main(["report", NET, "x.csv", "--methods", "Saliency,InputXGradient", "--records", "1", "-o", "m.html"]) == 0
    cards = json.loads(Path("m.html").read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0])["cards"]
    assert [one["method"] for one in cards[0]["maps"]] == ["Saliency", "InputXGradient"]


def test_a_report_of_maps_tokens_and_several_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", CONV, "photo.png", "--methods", "GradCam,Saliency", "-o", "maps.html"]) == 0
    assert main(["report", TWO, "named.npz", "--methods", "Saliency", "--records", "0:2", "-o", "two.html"]) == 0
    assert main(["report", TEXT, "texts.txt", "--tokenizer", "cli_models:tokenizer", "--methods", "Saliency", "-o", "texts.html"]) == 0
    assert all(Path(name).read_text(encoding="utf-8").count('"title":"Record 0"') for name in ("maps.html", "two.html", "texts.html"))


def test_show_shows_what_explain_saved(capsys: pytest.CaptureFixture[str]) -> None:
    explained(capsys, NET, "x.csv", "--method", "Saliency")
    assert main(["show", "a.safetensors"]) == 0
    assert "income" in capsys.readouterr().out


def test_results_go_through_a_pipe_that_is_closed_early() -> None:
    program = f"{shlex.quote(sys.executable)} -m ascribe"
    words = f"{program} explain {NET} x.csv --method Saliency | head -1; {program} methods | head -1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.splitlines() == ["method   Saliency()(model, *inputs, of=PredictedClass())", "Gradients"]
    assert done.stderr == "a model that prints\n"


PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_the_commands_of_the_page_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    code, data = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    Path("models.py").write_text(code, encoding="utf-8")
    exec(compile(code + data, str(PAGE), "exec"), {"__name__": "page"})
    monkeypatch.delitem(sys.modules, "models", raising=False)
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "ascribe"
        assert main(words) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert said
        assert "--json" in words or "--show-code" in words or max(map(len, said.splitlines())) <= 80
    monkeypatch.delitem(sys.modules, "models", raising=False)
    assert all(Path(name).is_file() for name in ("ig.safetensors", "compare.html", "report.html", "people.html"))


def test_the_page_names_every_command_and_every_kind_of_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    commands = ("explain", "compare", "report", "show", "methods", "doctor", "demo")
    assert [name for name in commands if f"`ascribe {name}" not in text] == []
    assert [suffix for suffix in READERS if f"`{suffix.replace('.jpeg', '.jpg')}`" not in text] == []
