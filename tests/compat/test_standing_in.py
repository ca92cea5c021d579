"""Facades in the place of other libraries: found by unchanged code, gone without a trace, and never there unasked."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from ascribe.compat import facades, standing_in
from ascribe.compat.__main__ import main
from ascribe.compat.standing import table
from ascribe.errors import AscribeError, CompatError

ROOT = Path(__file__).parents[2]
NAMES = facades()


def of(library: str) -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == library}


@pytest.fixture
def real(tmp_path, monkeypatch) -> Path:
    """A library called trulens that has nothing to do with the old one, as today's does not."""
    package = tmp_path / "trulens"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("mine = True\n")
    (package / "core" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = of("trulens")
    yield package
    for name in of("trulens"):
        del sys.modules[name]
    sys.modules.update(before)


def test_nothing_is_installed_unasked():
    code = "import importlib.util, ascribe.compat; print(importlib.util.find_spec('trulens'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "ascribe" not in done.stdout


NEEDS = {"keras": "keras", "tensorflow": "tensorflow", "tf_keras": "tensorflow"}
"""The modules with functions of a framework, and the framework."""


@pytest.mark.parametrize("name", NAMES)
def test_every_module_that_is_stood_in_for_can_be_imported(name):
    path, modules = list(sys.meta_path), of(name)
    with standing_in(name):
        for foreign, own in table(name).items():
            if NEEDS.get(own.rpartition(".")[2], "sys") not in sys.modules and ".backend." in own:
                continue  # importing it would import a framework
            module, ours = importlib.import_module(foreign), importlib.import_module(own)
            assert module.__name__ == foreign
            assert module.__spec__.origin == own
            assert module is not ours
            assert ours.__name__ == own
            for public in (key for key in vars(ours) if not key.startswith("_")):
                if not isinstance(vars(ours)[public], ModuleType):
                    assert getattr(module, public) is getattr(ours, public)
    assert sys.meta_path == path
    assert of(name) == modules


@pytest.mark.parametrize("name", NAMES)
def test_what_the_facade_lacks_is_an_import_error_of_ours(name):
    with standing_in(name), pytest.raises(ModuleNotFoundError, match=r"E-COMPAT-MODULE") as error:
        importlib.import_module(f"{name}.no_such_part")
    assert isinstance(error.value, AscribeError)
    assert error.value.name == f"{name}.no_such_part"


LACKING = [
    "from captum.attr import LLMAttribution",
    "import captum.attr as a; a.TextTokenInput",
    "from captum import concept",
    "from ascribe.compat.captum.attr import LLMGradientAttribution",
    "import captum.influence",
]


@pytest.mark.parametrize("line", LACKING)
def test_names_of_the_library_that_the_facade_lacks(line):
    """They say so themselves, as modules do, and are no plain ImportError."""
    with standing_in("captum"), pytest.raises(CompatError, match=r"captum\.(attr|concept|influence).*\[E-COMPAT-"):
        exec(line, {})


def test_names_that_the_library_never_had():
    with standing_in("captum"):
        import captum.attr

        assert not hasattr(captum.attr, "NoSuchMethod")
        with pytest.raises(ImportError):
            exec("from captum.attr import NoSuchMethod", {})


@pytest.mark.parametrize("name", NAMES)
def test_modules_have_a_file(name):
    """Programs print it, and inspect finds the source by it."""
    with standing_in(name):
        for foreign, own in table(name).items():
            assert importlib.import_module(foreign).__file__ == importlib.import_module(own).__file__
        source = inspect.getsourcefile(importlib.import_module(name))
        assert Path(str(source)).is_file()


def test_a_library_without_a_facade():
    with pytest.raises(CompatError, match="trulens"), standing_in("os"):
        pass


def test_the_real_library_comes_back_as_it_was(real):
    core, root = importlib.import_module("trulens.core"), importlib.import_module("trulens")
    with standing_in("trulens"):
        import trulens

        assert not hasattr(trulens, "mine")
        with pytest.raises(ImportError):
            importlib.import_module("trulens.core")
    import trulens

    assert trulens is root
    assert trulens.core is core
    assert of("trulens") == {"trulens": root, "trulens.core": core}


def test_the_real_library_comes_back_after_an_error(real):
    root = importlib.import_module("trulens")
    path = list(sys.meta_path)
    with pytest.raises(ZeroDivisionError), standing_in("trulens"):
        importlib.import_module("trulens")
        raise ZeroDivisionError
    assert of("trulens") == {"trulens": root}
    assert sys.meta_path == path


def test_one_unknown_name_among_several_leaves_nothing_open(real):
    path = list(sys.meta_path)
    with pytest.raises(CompatError), standing_in("trulens", "nothing"):
        pass
    assert sys.meta_path == path
    assert importlib.import_module("trulens").mine


def test_nested(real):
    root = importlib.import_module("trulens")
    with standing_in("trulens"):
        outer = importlib.import_module("trulens")
        with standing_in("trulens"):
            assert importlib.import_module("trulens") is outer
        assert importlib.import_module("trulens") is outer
    assert importlib.import_module("trulens") is root


def test_threads_that_overlap(real):
    """The first that asks brings the facade, the last that is done takes it away, in whatever order they are done."""
    root = importlib.import_module("trulens")
    inside, first_done = threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        with standing_in("trulens"):
            inside.set()
            first_done.wait(10)
            seen.append(importlib.import_module("trulens"))

    thread = threading.Thread(target=other)
    with standing_in("trulens"):
        thread.start()
        assert inside.wait(10)
    first_done.set()
    thread.join()
    assert not hasattr(seen[0], "mine")
    assert importlib.import_module("trulens") is root


# The command

SCRIPT = "import sys, helper, trulens\nprint(sys.argv[1:], __name__, trulens.__spec__.origin, helper.here)\n"


@pytest.fixture
def script(tmp_path) -> Path:
    (tmp_path / "helper.py").write_text("here = 'beside it'\n")
    path = tmp_path / "old_script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("words", [["old_script.py"], ["-m", "old_script"]], ids=" ".join)
def test_a_script_runs_unchanged(script, words):
    command = [sys.executable, "-m", "ascribe.compat", "trulens", *words, "--fast", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['--fast', '3'] __main__ ascribe.compat.trulens beside it"


@pytest.mark.parametrize("end", ["", "1 / 0\n", "sys.exit(3)\n"], ids=["done", "error", "exit"])
def test_what_a_script_leaves_running_finds_the_facade_too(script, end):
    script.write_text(
        "import atexit, sys, threading\n"
        "main = threading.main_thread()\n"
        "def late(name):\n"
        "    import helper, trulens.utils.nlp\n"
        "    print(name, trulens.__spec__.origin, sys.argv[1:])\n"
        "atexit.register(late, 'exit')\n"
        "threading.Thread(target=lambda: (main.join(), late('thread'))).start()\n" + end
    )
    command = [sys.executable, "-m", "ascribe.compat", "trulens", script.name, "word"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, env={"PYTHONPATH": str(ROOT)}, check=False)
    lines = {f"{name} ascribe.compat.trulens ['word']" for name in ("exit", "thread")}
    assert set(done.stdout.splitlines()) == lines, done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr == "" or end == "1 / 0\n"


def test_a_scripts_own_exit_and_errors_are_its_own(script, monkeypatch):
    path = list(sys.path), list(sys.argv)
    script.write_text("import sys; sys.exit(7)")
    with pytest.raises(SystemExit) as left:
        main(["trulens", str(script)])
    assert left.value.code == 7
    script.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        main(["trulens", str(script)])
    assert (sys.path, sys.argv) == path


@pytest.mark.parametrize("words", [[], ["trulens"], ["trulens", "-m"], ["trulens", "no_such_file.py"], ["nothing", __file__]], ids=" ".join)
def test_senseless_commands_give_2(words, capsys):
    assert main(words) == 2
    assert "usage" in capsys.readouterr().err
