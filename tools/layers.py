"""Hold the package to its floor plan: imports run downwards, nothing private crosses a module, no cycles. `layers.py PACKAGE`.

Reads the source, imports nothing. An import inside a function counts like any other, except those named in LATE.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "version", "utils", "arrays", "tree", "values"),
    ("cuts", "calls", "rules", "coalitions"),
    ("quantities", "distributions", "features"),
    ("removal", "tape", "display"),
    ("backends", "result"),
    ("engine", "plots"),
    ("methods", "reports"),
    ("metrics",),
    ("choose",),
    ("compat", "demo"),
    ("cli", "__main__"),
)
"""From the ground up. A module imports from layers below its own, or from its own wing (its first name).

The modules of the first layer, and those of the last, count as one wing.
"""

FACE = ("cli", "compat", "demo")
"""The rooms that use the package as its users do, and so import it whole."""

LATE = {
    ("result", "plots"): "Attribution.plot() loads matplotlib, and the code that uses it, when it is called",
}
"""Imports upwards that are allowed inside a function, and why."""


DOORS = {
    ("result.attribution", "plots"): "Attribution.plot()",
    ("result.attribution", "result.dataframe"): "Attribution.to_pandas()",
    ("result.attribution", "result.storage"): "Attribution.save() and load()",
    ("result.arithmetic", "result.attribution"): "the type of the arguments: the module holds the work of Attribution's methods",
    ("result.averages", "result.attribution"): "likewise",
    ("result.exports", "result.attribution"): "likewise",
    ("result.rows", "result.attribution"): "likewise",
    ("result.selection", "result.attribution"): "likewise",
    ("result.notebook", "result.attribution"): "likewise",
    ("result.summary", "result.attribution"): "likewise",
    ("result.terminal", "result.attribution"): "likewise",
    ("result.text", "result.attribution"): "likewise",
}
"""Arrows that close a ring of modules and are allowed, and why: methods of Attribution whose work is in files of their own."""


class Import(NamedTuple):
    """One import of something of the package's own."""

    source: str
    target: str
    names: tuple[str, ...]
    line: int
    late: bool
    typing: bool


def modules(package: Path) -> dict[str, Path]:
    """Every module's dotted name inside the package (the face is ``""``) and its file."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(node: ast.AST, late: bool = False, typing: bool = False) -> Iterator[tuple[ast.stmt, bool, bool]]:
    """Every import statement below ``node``, and whether it stands in a function or serves types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late, typing
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from statements(child, True, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from statements(child, late, True)
        else:
            yield from statements(child, late, typing)


def origin(node: ast.ImportFrom, source: str, is_package: bool, name: str) -> str | None:
    """The dotted name inside the package that ``from ... import`` reads from; None for another package."""
    if not node.level:
        head, _, rest = (node.module or "").partition(".")
        return rest if head == name else None
    here = source.split(".") if source else []
    here = here if is_package else here[:-1]
    here = here[: len(here) - (node.level - 1)]
    return ".".join([*here, *([node.module] if node.module else [])])


def imports(package: Path) -> list[Import]:
    """All imports of the package's own modules, by its own modules."""
    known = modules(package)
    found = []
    for source, path in known.items():
        for node, late, typing in statements(ast.parse(path.read_text(encoding="utf-8"))):
            for target, names in targets(node, source, path.name == "__init__.py", package.name, known):
                found.append(Import(source, target, names, node.lineno, late, typing))
    return found


def targets(node: ast.stmt, source: str, is_package: bool, name: str, known: dict[str, Path]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The package's modules that one statement imports, each with the names it takes from there."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            head, _, rest = alias.name.partition(".")
            if head == name:
                yield rest, ()
    elif isinstance(node, ast.ImportFrom) and (base := origin(node, source, is_package, name)) is not None:
        for alias in node.names:
            inner = f"{base}.{alias.name}" if base else alias.name
            yield (inner, ()) if inner in known else (base, (alias.name,))


def room(module: str) -> str:
    return module.partition(".")[0]


def wing(module: str) -> str:
    """The first name of a module; one name for all modules of the first layer, and one for those of the last."""
    name = room(module)
    return next((str(k) for k in (0, -1) if name in LAYERS[k]), name)


def floor(module: str) -> int | None:
    """The number of a module's layer; the face stands above all; None where the table does not name its room."""
    if not module:
        return len(LAYERS)
    return next((level for level, rooms in enumerate(LAYERS) if room(module) in rooms), None)


def fault(it: Import) -> str | None:
    """What is wrong with one import, in words."""
    private = [n for n in it.names if n.startswith("_") and not n.startswith("__")]
    if private:
        return f"takes the private name {private[0]} from {it.target or 'the package'}"
    if not it.target and it.source:
        return None if room(it.source) in FACE else "imports the package face"
    if wing(it.source) == wing(it.target) or not it.source:
        return None
    if it.late and (room(it.source), room(it.target)) in LATE:
        return None
    low, high = floor(it.source), floor(it.target)
    if low is None or high is None:
        return None  # reported once for the whole folder, by faults()
    return None if high < low else f"imports {it.target}, which is not below it"


def cycle(found: list[Import]) -> list[str]:
    """One ring of modules that import each other, for types or inside functions too, unless DOORS allows one of its arrows."""
    needs: dict[str, set[str]] = {}
    for it in found:
        if it.source and it.target and it.source != it.target and (it.source, it.target) not in DOORS:
            needs.setdefault(it.source, set()).add(it.target)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def faults(package: Path) -> list[str]:
    """Everything that breaks the floor plan, one line each."""
    found = imports(package)
    reports = (f"{it.source.replace('.', '/') or '__init__'}:{it.line}: {why}" for it in found if (why := fault(it)))
    lines = list(dict.fromkeys(reports))
    unnamed = {room(m) for m in modules(package) if m and floor(m) is None}
    lines += [f"{name}: has no layer; name it in tools/layers.py" for name in sorted(unnamed)]
    round_ = cycle(found)
    return lines + ([f"import cycle: {' -> '.join(round_)}"] if round_ else [])


def main(package: Path) -> int:
    lines = faults(package)
    for line in lines:
        print(line)
    print(f"layers: {len(modules(package))} modules, {len(lines)} faults")
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: layers.py PACKAGE")
    sys.exit(main(Path(sys.argv[1])))
