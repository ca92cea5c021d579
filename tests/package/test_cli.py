"""The command line from outside: what goes where, exit codes, how fast help is; and what the doctor says of versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ascribe.cli import commands as cli
from ascribe.cli import doctor
from ascribe.methods import METHODS
from ascribe.result.attribution import Attribution, Check
from ascribe.utils.columns import align_columns


def ascribe(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ascribe", *words], capture_output=True, text=True, check=False)


HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "skimage", "rich", "PIL", "transformers", "keras", "jax")
"""What takes longer to load than help takes to read; Python and NumPy are 0.2 seconds."""


def test_help_loads_nothing_heavy_and_names_every_command() -> None:
    code = "import sys; from ascribe import cli\ntry: cli.main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(found.stderr.split())
    assert "ascribe.cli.commands" in found.stderr.split()
    assert all(f"\n    {name} " in found.stdout for name in ("explain", "compare", "report", "demo", "methods", "doctor", "show"))


def test_without_a_command_it_says_how_to_use_it() -> None:
    assert ascribe().stdout.startswith("usage: ascribe")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ascribe {doctor.installed_version('ascribe')}\n"


@pytest.mark.parametrize("words", [["dance"], ["show"], ["demo", "--seed", "x"], ["show", "no-such-file"]])
def test_senseless_commands_give_2_and_write_to_stderr_only(words: list[str]) -> None:
    done = ascribe(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr


def saved(folder: Path, status: str) -> Path:
    a = Attribution(np.ones((1, 3)), method="Saliency()", checks=(Check("completeness", status, "told"),))
    a.save(folder / "a.safetensors")
    return folder / "a.safetensors"


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_show_tells_by_its_exit_code_whether_a_check_failed(tmp_path: Path, status: str, code: int) -> None:
    done = ascribe("show", str(saved(tmp_path, status)))
    assert done.returncode == code
    assert "Saliency()" in done.stdout
    assert "\x1b" not in done.stdout


def test_show_of_another_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello, this is no result at all")
    done = ascribe("show", str(tmp_path / "a.txt"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_demo_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "sklearn" else object())
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr() == ("", "ascribe demo needs sklearn: pip install 'ascribe[demo]'\n")


def test_methods_lists_every_named_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods"]) == 0
    text = capsys.readouterr().out
    first = re.findall(r"^  (\w+)  ", text, re.MULTILINE)
    assert sorted(first) == sorted(METHODS)
    assert {"Saliency", "IntegratedGradients", "GradCam"} <= set(METHODS)
    assert text.count("Cost:") == len(METHODS)


@pytest.mark.parametrize(("asked", "meant"), [
    ("Smoothgrad", "SmoothGrad"), ("integrated_gradients", "IntegratedGradients"),
    ("gradcam", "GradCam"), ("KernelSHAP", "KernelShap")])  # fmt: skip
def test_methods_asks_back_where_a_name_is_nearly_right(asked: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods", asked]) == 2
    said = capsys.readouterr().err
    assert f"did you mean {meant}" in said
    assert len(said) < 150
    assert cli.main(["methods", "quite another thing"]) == 2
    assert "the methods are AblationCam, " in capsys.readouterr().err


def test_doctor_marks_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name in ("torch", "rich") else "1.0")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert cli.main(["doctor"]) == 0
    lines = {line.split()[1]: line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()}
    assert lines["torch"] == ["--", "torch", "not installed (PyTorch models): pip install 'ascribe[torch]'"]
    assert lines["rich"][0] == "--"
    assert lines["numpy"][0] == "ok"


def test_methods_tells_all_about_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods", "SmoothGrad"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SmoothGrad(samples=")
    assert "Smilkov" in told
    assert cli.main(["methods", "Guess"]) == 2
    assert "SmoothGrad" in capsys.readouterr().err


def test_table_aligns_and_underlines() -> None:
    assert align_columns([("a", "bb"), ("ccc", "d")]) == "a    bb\n---  --\nccc  d"
    assert align_columns([("a", "bb"), ("ccc", "d")], head=False) == "a    bb\nccc  d"


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "doctor", interrupt)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "ascribe: interrupted\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "ascribe", "doctor"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_doctor_names_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    told = capsys.readouterr().out
    assert np.__version__ in told
    assert "cpu" in told


@pytest.mark.parametrize(
    ("torch", "torchvision", "required", "said"),
    [
        ("2.13.0+cpu", None, None, None),
        (None, "0.28.0", "2.13.0", None),
        ("2.13.0", "0.28.0", "2.13.0", None),
        ("2.13.0+cpu", "0.28.0+cpu", "2.13.0", None),
        ("2.13.0+cpu", "0.28.0", "2.13.0", "another build"),
        ("2.12.1", "0.28.0", "2.13.0", "needs torch 2.13.0"),
    ],
)
def test_doctor_sees_a_torchvision_that_does_not_fit(torch, torchvision, required, said) -> None:
    found = doctor.torchvision_mismatch(torch, torchvision, required)
    assert found is None if said is None else said in found
