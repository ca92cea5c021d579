"""The package as a whole: light to import, the public names, the floor plan, and nothing in it that should not be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import ascribe
from ascribe.version import VERSION
from tools import layers, suppressions

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ascribe"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    "torch", "matplotlib", "pandas", "sklearn", "scipy", "tensorflow", "jax", "keras", "transformers",
    "rich", "skimage", "onnxruntime", "lightgbm", "xgboost", "catboost", "shap",
)  # fmt: skip


def python(code: str) -> str:
    """What a new interpreter prints for ``code``."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_framework() -> None:
    loaded = python("import sys, ascribe; print(*sorted({name.partition('.')[0] for name in sys.modules}))").split()
    assert "ascribe" in loaded
    assert not set(loaded) & set(HEAVY)


def test_import_loads_little_beside_numpy_and_itself() -> None:
    code = "import sys, numpy; had = set(sys.modules); import ascribe; print(*(n for n in set(sys.modules) - had if n[:7] != 'ascribe'))"
    assert len(python(code).split()) <= 40  # about 20, each of under a millisecond: a clock would measure the machine


def test_numpy_alone_is_enough(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))
import numpy as np, ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
model = Mlp([np.eye(3)], [np.zeros(3)])
a = asc.IntegratedGradients()(model, np.array([[1.0, 2.0, 3.0]]))
a.save({str(tmp_path / "a.safetensors")!r})
asc.Attribution.load({str(tmp_path / "a.safetensors")!r}).show()
"""
    assert "IntegratedGradients" in python(code)


MODULES = ascribe.MODULES
PUBLIC = {"": ascribe.__all__} | {m: getattr(ascribe, m).__all__ for m in MODULES if m != "compat"}


def test_the_front_door_is_small() -> None:
    """The names of the package are those of the first hour; the rest is in its modules."""
    assert 80 <= len(ascribe.__all__) <= 100
    assert set(dir(ascribe)) == {*ascribe.__all__, *MODULES, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"}


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_once(module: str) -> None:
    names, home = PUBLIC[module], getattr(ascribe, module) if module else ascribe
    assert len(set(names)) == len(names)
    assert all(hasattr(home, name) for name in names)
    assert all(not name.startswith("_") for name in names)


@pytest.mark.parametrize("module", PUBLIC)
def test_no_two_names_differ_in_case_or_underscores_only(module: str) -> None:
    names = [*PUBLIC[module], *([] if module else MODULES)]
    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(name.replace("_", "").lower(), []).append(name)
    assert [group for group in plain.values() if len(group) > 1] == []


def test_names_are_the_same_thing_in_every_module_but_for_rules() -> None:
    """A method and its rule may share a name, ``AttnLRP`` and ``rules.AttnLRP``; spelt alike, never nearly alike."""
    plain = {name.lower(): name for name in ascribe.__all__}
    for module, names in PUBLIC.items():
        for name in names:
            assert plain.get(name.lower(), name) == name, f"{module}.{name} beside {plain[name.lower()]}"


def test_modules_load_when_they_are_used() -> None:
    assert python("import sys, ascribe; print('ascribe.plots' in sys.modules, 'ascribe.metrics' in sys.modules)") == "False False"
    assert python("import ascribe; print(ascribe.metrics.Infidelity.__name__, ascribe.plots.__name__)") == "Infidelity ascribe.plots"


def test_names_that_live_in_a_module_are_found_there() -> None:
    with pytest.raises(AttributeError, match=r"asc\.rules\.Epsilon"):
        vars(ascribe)["__getattr__"]("Epsilon")


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Importing it would replace the function: ``ascribe.influence`` must stay callable."""
    taken = {name for name in dir(ascribe) if callable(getattr(ascribe, name))}
    assert {path.stem for path in PACKAGE.iterdir()} & taken == set()


def test_version_is_that_of_the_distribution() -> None:
    assert metadata.version("ascribe") == VERSION == ascribe.__version__


def test_typed_and_licensed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert metadata.metadata("ascribe")["License-Expression"] == "Apache-2.0"


def test_floor_plan_holds() -> None:
    assert layers.faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("errors", "from .engine import attribute", "not below it"),
        ("errors", "from . import engine", "not below it"),
        ("errors", "import ascribe.engine.verbs", "not below it"),
        ("engine", "from ascribe import attribute", "imports the package face"),
        ("engine", "from .errors import _hidden", "private name _hidden"),
        ("engine", "def late():\n    from .methods import Saliency", "not below it"),
        ("cellar", "x = 1", "has no layer"),
        ("rules/a", "from .b import y", "import cycle"),
        ("rules/a", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import y", "import cycle"),
        ("rules/a", "def late():\n    from .b import y", "import cycle"),
        ("errors", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .engine import attribute", "not below it"),
    ],
)
def test_floor_plan_sees(tmp_path: Path, module: str, source: str, said: str) -> None:
    house = tmp_path / "ascribe"
    for name, text in {"engine": "", "errors": "", "methods": "", "rules/b": "from .a import x", "__init__": "", module: source}.items():
        path = house / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert any(said in line for line in layers.faults(house)), layers.faults(house)


def test_few_suppressions(capsys: pytest.CaptureFixture[str]) -> None:
    assert suppressions.main(PACKAGE) == 0, capsys.readouterr().out


def test_suppressions_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('x = 1  # type: ignore[misc]\ny = "# noqa"\n')
    assert suppressions.main(tmp_path) == 1
    assert len(suppressions.marks(tmp_path / "a.py")) == 1


def imported(path: Path) -> set[str]:
    """The first names of all packages that a file imports, wherever in the file."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | taken}


@pytest.mark.parametrize("banned", ["torchvision", "cv2", "pickle", "dill", "cloudpickle"])
def test_never_imported(banned: str) -> None:
    assert [path.name for path in SOURCES if banned in imported(path)] == []


def test_requirements_cover_every_import() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for needs in project["optional-dependencies"].values() for need in needs]
    names = {"scikit-learn": "sklearn", "scikit-image": "skimage", "pillow": "PIL"}
    declared = {names.get(it := re.split(r"[\[<>=]", need)[0], it) for need in [*project["dependencies"], *extras]}
    used = set().union(*map(imported, SOURCES)) - set(sys.stdlib_module_names) - {"ascribe"}
    assert used - declared == set()


def test_pins_are_exact_and_for_every_machine() -> None:
    lines = (ROOT / "requirements" / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 10
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin) for pin in pins)
