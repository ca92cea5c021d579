"""The command line from outside: what goes where, exit codes, how fast help is; and what the doctor says of versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from ascribe.cli import commands as cli
from ascribe.cli import doctor, pages
from ascribe.methods import METHODS, catalogue
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
    assert all(f"\n    {name} " in found.stdout for name in ("demo", "methods", "doctor", "show", "explain", "compare", "report"))


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


def test_methods_lists_every_named_method_in_its_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert sorted(listed) == sorted(METHODS)
    assert [title for title in catalogue.FAMILIES if title in lines] == list(catalogue.FAMILIES)
    assert "Other methods" not in lines
    assert (
        lines.index("Gradients") < lines.index("DeepLIFT") < lines.index("Class activation maps") < lines.index("Shapley and Owen values")
    )
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(" ".join(lines).split())
    for cls in METHODS.values():
        assert f"({cls.cost}" in text


@pytest.mark.parametrize("width", [40, 66, 100])
def test_methods_fits_the_width(width: int) -> None:
    long = [line for line in pages.methods_page(width).splitlines() if len(line) > width]
    assert [line for line in long if " " in line.strip()] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_page_of_a_method_is_wrapped_and_keeps_its_words(name: str) -> None:
    text = pages.method_page(name, 80)
    assert text.split() == catalogue.method_page(name).split()
    head, *rest = text.partition("\n\n")[2].split("\n\n")
    prose = [line for part in (head, *rest) if ">>>" not in part for line in part.splitlines()]
    assert [line for line in prose if len(line) > 80] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The rule of Bach et al. 2015, for layers. It is slow.", "The rule of Bach et al. 2015, for layers."),
        ("Values, e.g. gradients. More", "Values, e.g. gradients."),
        ("The mean of 2.5 values. More", "The mean of 2.5 values."),
        ("By L. Shapley. More", "By L. Shapley."),
        ("No full stop", "No full stop"),
    ],
)
def test_a_sentence_does_not_end_in_an_abbreviation(text: str, sentence: str) -> None:
    assert pages.first_sentence(text) == sentence


def test_headings_are_bold_on_a_terminal_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["methods"]) == 0
    coloured = capsys.readouterr().out
    assert coloured.startswith("\x1b[1mGradients\x1b[0m\n")
    assert max(map(len, coloured.splitlines())) <= 50
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.main(["methods"]) == 0
    assert capsys.readouterr().out == coloured.replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize(("asked", "meant"), [
    ("Smoothgrad", "SmoothGrad"), ("integrated_gradients", "IntegratedGradients"),
    ("gradcam", "GradCam"), ("KernelSHAP", "KernelShap")])  # fmt: skip
def test_methods_asks_back_where_a_name_is_nearly_right(asked: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods", asked]) == 2
    said = capsys.readouterr().err
    assert f"did you mean {meant}" in " ".join(said.split())
    assert len(said) < 160
    assert cli.main(["methods", "quite another thing"]) == 2
    assert "the methods are AblationCam, " in " ".join(capsys.readouterr().err.split())


def test_doctor_marks_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name in ("torch", "rich") else "1.0")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "version_ranges", dict)
    assert cli.main(["doctor"]) == 0
    lines = {line.split()[1]: line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if line[0] != " "}
    assert lines["torch"] == ["--", "torch", "not installed: pip install 'ascribe[torch]' (PyTorch models)"]
    assert lines["rich"][0] == "--"
    assert lines["numpy"][0] == "ok"


def test_doctor_names_the_extra_of_every_package_of_every_extra() -> None:
    """Extras that hold others (all), and those for work on ascribe itself, are left out."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name not in ("all", "test", "docs", "dev")}
    listed = {re.split(r"[\[<>=]", need)[0]: name for name, needs in extras.items() for need in needs if not need.startswith("ascribe[")}
    assert listed == doctor.EXTRAS
    assert set(doctor.EXTRAS) <= set(doctor.USES)


def test_doctor_sees_versions_out_of_range_and_keras_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"torch": "2.5.1+cpu", "rich": "14.0", "numpy": "2.1.0"}
    monkeypatch.setattr(doctor, "installed_version", versions.get)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["numpy<3,>=1.26", "torch<3,>=2.6; extra == 'torch'", "rich<16,>=13; extra == 'x'"]
    )
    assert cli.main(["doctor"]) == 1
    problems = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.startswith("PROBLEM")]
    assert len(problems) == 1
    assert problems[0].startswith("PROBLEM torch 2.5.1+cpu is installed, and ascribe needs <3,>=2.6")
    versions |= {"torch": None, "keras": "3.12"}
    assert [it.subject for it in doctor.list_problems()] == ["keras"]


@pytest.mark.parametrize(
    ("version", "required", "fits"),
    [
        ("2.6.0+cpu", "<3,>=2.6", True), ("2.6", ">=2.6.0", True), ("2.5.9", ">=2.6", False), ("3.0", "<3", False), ("2.10", ">=2.9", True),
        ("0.7.2", "<1,>=0.7.2", True), ("1.0.0rc1", "<1", False), ("4.0", "<=4", True),
    ],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(version: str, required: str, fits: bool) -> None:
    assert doctor.fits_range(version, required) is fits


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
    for words in (["doctor"], ["--help"], ["methods"], []):
        done = subprocess.run([sys.executable, "-m", "ascribe", *words], stdout=writer, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    os.close(writer)


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
