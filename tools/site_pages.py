"""The pages of the documentation site that are generated: the API reference, changes, contributing, and ``llms.txt``."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MODULES = {
    "": "The package itself: what most calls need",
    "methods": "Named methods",
    "quantities": "Quantities (targets), ``of=``",
    "cuts": "Cuts (layers), ``at=``",
    "distributions": "Distributions of points, ``over=``",
    "coalitions": "Coalitions (feature subsets), ``over=``",
    "removal": "Replacements of removed features, ``by=``",
    "features": "Groups of features, ``features=``",
    "rules": "Backward rules, ``by=``",
    "result": "Results",
    "metrics": "Metrics",
    "choose": "Describe, compare, recommend, tune",
    "plots": "Figures",
    "reports": "Reports",
    "tape": "Recorded operations",
    "errors": "Errors",
}
"""The modules of the reference and their headings."""
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages at the root of the repository, and their names on the site."""
NAVIGATION = {
    "Start": "getting-started tasks choosing-a-method choosing seven-cases faq glossary citing",
    "Tutorials": "tutorials/image-classifier tutorials/vision-transformer tutorials/text-classifier tutorials/token-classification "
    "tutorials/question-answering tutorials/generation tutorials/tables tutorials/time-series tutorials/segmentation-and-boxes "
    "tutorials/genomics tutorials/audio tutorials/graphs tutorials/several-inputs tutorials/layers-and-neurons "
    "tutorials/compare-and-choose",
    "User guide": "models frameworks quantities cuts distributions results pictures-of-images pictures-of-tables methods removal "
    "coalitions deeplift lrp rules transformers cams metrics performance command-line errors references",
    "Coming from": "coming-from-shap migrating-from-captum migrating-from-trulens migrating-from-pnpxai coming-from-grad-cam "
    "coming-from-zennit coming-from-inseq",
    "Reference": "reference/index",
    "Measured": "reports/*",
    "Contributing": "contributing design extending backends supported-versions changes",
}
"""The chapters of the site and their pages."""
HEAD = "% This page is generated when the site is built.\n\n"


def public_names(module: str) -> list[str]:
    """Returns the public names of a module; of the package only those that have no page of a module of their own."""
    home = import_module(f"ascribe.{module}" if module else "ascribe")
    names = sorted(name for name in home.__all__ if not inspect.ismodule(getattr(home, name)) and not name.startswith("__"))
    if module:
        return names
    elsewhere = {id(getattr(import_module(f"ascribe.{m}"), name)) for m in MODULES if m for name in public_names(m)}
    return [name for name in names if id(getattr(home, name)) not in elsewhere]


def directive(value: Any) -> str:
    """Returns the directive of Sphinx that documents a value."""
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"


def reference_page(module: str) -> str:
    """Returns one page of the reference in reStructuredText, the markup of the docstrings."""
    path = f"ascribe.{module}" if module else "ascribe"
    home = import_module(path)
    lines = [path, "=" * len(path), "", f"{MODULES[module]}.", "", f".. currentmodule:: {path}", ""]
    if not module:
        lines += ["Everything else is public in the module of its kind; the root has the usual members of each.", "", ".. toctree::", ""]
        lines += [*[f"   {m}" for m in MODULES if m], ""]
    for name in public_names(module):
        kind = directive(getattr(home, name))
        lines += [name, "-" * len(name), "", f".. {kind}:: {path}.{name}", *(["   :no-value:"] if kind == "autodata" else []), ""]
    return "\n".join(lines)


SECTION = re.compile(r"^(Parameters of [a-z ]+|Parameters|Returns|Raises):$")
FACT = re.compile(r"^(Cost|Needs|Claims|Source): ")
ITEM = re.compile(r"^    (?P<name>[*\w, ]+): (?P<text>.*)$")


def mark_up_docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Turns the sections of a docstring into lists and headings of reStructuredText, in place."""
    lines[:] = mark_up(lines)


def sign_class(app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str) -> tuple[str, str] | None:
    """Returns the signature of a class from its fields, which a metaclass hides; None for other objects."""
    if what != "class" or not is_dataclass(value):
        return None
    given = [field for field in fields(value) if field.init]
    plain = [f"{field.name}: {str(field.type).replace('Any', 'object')}" + _default(field) for field in given]
    return f"({', '.join(plain)})", returns


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return ""
    text = repr(field.default) if field.default is not MISSING else "..."
    return f" = {text if len(text) <= 40 and not text.startswith('<') else '...'}"


def mark_up(lines: list[str]) -> list[str]:
    """Returns a docstring with its parameters as a list and its facts as lines of their own."""
    found: list[str] = []
    inside = fact = False
    for line in lines:
        fact = bool(FACT.match(line)) or (fact and bool(line.strip()))
        line = re.sub(r"\|(\w)\|", r"\\|\1\\|", line)
        if SECTION.match(line):
            inside = True
            found += ["", f"**{line[:-1]}**", ""]
        elif FACT.match(line):
            inside = False
            found += ["", f"- {line}"]
        elif inside and (item := ITEM.match(line)):
            found.append(f"- ``{item['name']}``: {item['text']}")
        elif inside and line.startswith("        "):
            found.append(f"  {line.strip()}")
        elif fact:
            found.append(f"  {line}")
        else:
            inside = inside and (line.startswith("    ") or not line.strip())
            found.append(line.strip() if inside else line)
    return found


def write_pages(docs: Path) -> None:
    """Writes the generated pages into the folder of the documentation."""
    (docs / "reference").mkdir(exist_ok=True)
    for source, target in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = HEAD + re.sub(r"\]\((docs/[^)]*|CHANGELOG\.md|CONTRIBUTING\.md[^)]*)\)", _inside, text)
        write_if_changed(docs / target, text + (contents() if target == "index.md" else ""))
    for module in MODULES:
        write_if_changed(docs / "reference" / f"{module or 'index'}.rst", reference_page(module))


def contents() -> str:
    """Returns the tables of contents of the first page, which Sphinx shows at the side."""
    parts = [
        f"\n```{{toctree}}\n:caption: {title}\n:hidden:\n:glob:\n\n" + "\n".join(pages.split()) + "\n```\n"
        for title, pages in NAVIGATION.items()
    ]
    return "".join(parts)


def write_if_changed(path: Path, text: str) -> None:
    """Writes a file unless it has this text already, so that Sphinx does not build it again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _inside(match: re.Match[str]) -> str:
    target, _, anchor = match[1].partition("#")
    target = OUTSIDE.get(target, target.removeprefix("docs/"))
    target = "design.md" if target.startswith("decisions") else target
    return f"]({target}{'#' + anchor if anchor else ''})"


def point_links_inside(_: Any, name: str, source: list[str]) -> None:
    """Points links to files that are not on the site to the pages that stand for them."""
    up = "../" * name.count("/")
    for outside, target in OUTSIDE.items():
        source[0] = source[0].replace(f"](../{up}{outside}", f"]({up}{target}")
    source[0] = re.sub(r"\]\((?:\.\./)*decisions/[^)]*\)", f"]({up}design.md)", source[0])
    source[0] = re.sub(r"^```python no-run", "```python", source[0], flags=re.MULTILINE)


def write_llms(app: Any, error: Exception | None) -> None:
    """Writes ``llms.txt``: what the package is, and a link to each page of the guide with its first sentence."""
    if error is not None:
        return
    lines = [
        "# ascribe",
        "",
        "> Explains which parts of the input a prediction of a model depends on, and how far that can be trusted.",
        "",
    ]
    for page in sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")]):
        text = page.read_text(encoding="utf-8")
        title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), page.stem)
        link = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        lines.append(f"- [{title}]({link}){first_sentence(text)}")
    (Path(app.outdir) / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def first_sentence(text: str) -> str:
    """Returns the first sentence of a page after a colon; nothing for a page without a sentence."""
    plain = re.sub(r"```.*?```|<[^>]+>|!\[[^]]*\]\([^)]*\)", "", text, flags=re.DOTALL)
    paragraphs = [" ".join(p.split()) for p in plain.split("\n\n") if p.strip() and not p.lstrip().startswith(("#", "|", ">", "%", ":"))]
    return f": {re.split(r'(?<=[.?!]) ', paragraphs[0])[0]}" if paragraphs else ""
